#!/usr/bin/env bash
# Looks for data races: the tests of the tsan preset over a CAF built with ThreadSanitizer. Debian's CAF is not
# instrumented: what passes through its mailboxes and atomics would be taken for races. The source is the one that
# Debian's package is made of; it is built once, below build/.
#   tsan.sh [--jobs N] [CTEST ARGUMENT...]      e.g. tsan.sh -R 'node_tests|protocol_tests'
# The last line is the tests' summary; exit code 0 only when all passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=$(nproc)
if [[ "${1:-}" == --jobs ]]; then
  jobs=${2:?--jobs needs a number}
  shift 2
fi

caf=$PWD/build/tsan-caf
if [[ ! -e "$caf/lib/libcaf_core.so" ]]; then
  version=$(dpkg-query -W -f '${source:Upstream-Version}' libcaf-dev)
  mkdir -p "$caf/lists/partial"
  # Sources of the distribution that the packages come from, without a change to the system's own lists.
  sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$caf/source.sources"
  apt=(apt-get -qq -o "Dir::Etc::sourcelist=$caf/source.sources" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$caf/lists" -o APT::Sandbox::User=root)
  (cd "$caf" && "${apt[@]}" update && "${apt[@]}" source --download-only --tar-only actor-framework)
  tar -xf "$caf/actor-framework_$version.orig.tar.gz" -C "$caf"
  # Newer compilers want a header that this one forgets; the distribution patches it likewise.
  sed -i '0,/^#include </s//#include <limits>\n#include </' \
    "$caf/actor-framework-$version/libcaf_io/caf/io/network/receive_buffer.hpp"
  cmake -S "$caf/actor-framework-$version" -B "$caf/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_CXX_FLAGS='-fsanitize=thread -g1' -DCMAKE_SHARED_LINKER_FLAGS=-fsanitize=thread \
    -DCMAKE_INSTALL_PREFIX="$caf" -DCAF_NO_EXAMPLES=yes -DCAF_NO_UNIT_TESTS=yes -DCAF_NO_TOOLS=yes \
    -DCAF_NO_PYTHON=yes -DCAF_NO_OPENCL=yes >/dev/null
  cmake --build "$caf/build" --target install -j "$jobs" >/dev/null
fi

cmake --preset tsan >/dev/null
cmake --build --preset tsan -j "$jobs"
# Same version and settings as Debian's, so it takes their place when programs start.
export LD_LIBRARY_PATH=$caf/lib
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
ctest --preset tsan "$@" 2>&1 | tee "$log" || status=$?
summary=$(grep -E '^[0-9]+% tests passed' "$log" | tail -n 1) || summary="no test ran"
printf '\n%s\n' "$summary"
exit "$status"
