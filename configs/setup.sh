#!/usr/bin/env bash
# Installs the Debian packages that Cairn needs: to build it, to test it and to run a node.
# Unattended; safe to repeat (a moment and no apt call when all is there); as root or with sudo.
#   configs/setup.sh          what the build, the tests and a node need
#   configs/setup.sh --dev    also the formatter, the static analyser and the fuzzer
set -euo pipefail

packages=(
  # build
  g++               # the compiler; C++20, version 12 or later
  cmake             # the build system, 3.25 or later for the presets
  ninja-build       # the generator that the presets name
  ccache            # makes repeated builds quick
  pkg-config        # finds libpqxx and ISA-L, which ship no CMake package
  # libraries
  libcaf-dev        # CAF, the actor framework: actors, messages, network
  libpqxx-dev       # PostgreSQL client
  libssl-dev        # OpenSSL: MD5, TLS
  zlib1g-dev        # Adler-32
  libdeflate-dev    # Adler-32 in vector lanes
  libisal-dev       # ISA-L: CRC-32C, erasure code
  libfmt-dev        # text formatting
  libspdlog-dev     # logging
  libexpected-dev   # tl::expected: a value or an error
  libcli11-dev      # command lines
  nlohmann-json3-dev # --json output
  # tests
  libgtest-dev      # GoogleTest
  libgmock-dev      # its matchers
  libbenchmark-dev  # Google Benchmark: tests/bench/micro.cpp
  openssl           # certificates for trials and tests (configs/make-certs.sh)
  patch             # deliberate defects: tests/power/mutations.sh
  # a running node
  postgresql        # the server that a node runs for itself
  util-linux        # setpriv: a node started as root runs that server as the user postgres
)
dev_packages=(
  clang-format      # `tests/lint/lint.sh` checks the format where it is installed
  clang-tidy        # static analysis, see .clang-tidy
  clang             # libFuzzer: tests/fuzz/run.sh
  libclang-rt-14-dev # its run-time library
)

die() {
  printf 'setup: %s\n' "$1" >&2
  exit 1
}

case "${1:-}" in
  "") ;;
  --dev) packages+=("${dev_packages[@]}") ;;
  -h | --help)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  *) printf 'usage: setup.sh [--dev]\n' >&2 && exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  die "this is not a Debian system (no apt-get); Cairn is built and tested on Debian 12"
fi

# Asks dpkg once for all: this is the whole work of a run where nothing is missing.
missing=()
find_missing() {
  local installed package
  installed=" $(dpkg-query -W -f='${db:Status-Status}/${Package} ' "${packages[@]}" 2>/dev/null || true)"
  missing=()
  for package in "${packages[@]}"; do
    [[ "$installed" == *" installed/$package "* ]] || missing+=("$package")
  done
}

find_missing
if ((${#missing[@]} == 0)); then
  printf 'setup: all %d packages are installed\n' "${#packages[@]}"
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || die "needs root to install: ${missing[*]} (you are not root and there is no sudo)"
  # Without a terminal sudo cannot ask for a password; say so now rather than hang or fail halfway.
  if ! sudo -n true 2>/dev/null && [[ ! -t 0 ]]; then
    die "needs root to install: ${missing[*]} (sudo asks for a password and there is no terminal)"
  fi
  as_root=(sudo)
fi
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
    apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@" </dev/null
}

# The first install of Debian's server package makes a cluster "main" and starts it. Nobody asked for that: nodes
# run servers of their own. The file stays if the install fails, so that its repair does not make one either.
no_cluster=/etc/postgresql-common/createcluster.d/cairn-setup.conf
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
  "${as_root[@]}" mkdir -p "${no_cluster%/*}"
  printf '# Set during the installation of Cairn'\''s packages.\ncreate_main_cluster = false\n' |
    "${as_root[@]}" tee "$no_cluster" >/dev/null
fi

printf 'setup: installing %d packages: %s\n' "${#missing[@]}" "${missing[*]}"
apt update || printf 'setup: the package lists could not all be refreshed, going on with what is there\n' >&2
apt install --no-install-recommends "${missing[@]}" ||
  die "apt-get could not install: ${missing[*]} (its messages are above)"

find_missing
((${#missing[@]} == 0)) || die "still not installed: ${missing[*]}"
"${as_root[@]}" rm -f "$no_cluster"
printf 'setup: done\n'
