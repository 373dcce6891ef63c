#!/usr/bin/env bash
# From a clone to a running node that stores files and gives them back: installs the packages, builds the release
# preset, starts a node with a PostgreSQL of its own in a temporary directory, and removes all of it at the end.
# CMAKE_BUILD_PARALLEL_LEVEL overrides the number of compiler processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repo=$PWD

step() { printf '\n== %s\n' "$1"; }
say() { printf '   %s\n' "$1"; }
die() {
  printf '\ndemo: %s\n' "$1" >&2
  exit 1
}
human_size() { numfmt --to=iec-i --suffix=B --format=%.1f "$1"; }

# Under /tmp whatever TMPDIR says: a node started by root runs PostgreSQL as another user, who must get there, and
# the path of a unix socket is short.
work=$(mktemp -d /tmp/cairn-demo.XXXXXX)
chmod 755 "$work"
node_pid=""

# Stops the node if it still runs and removes the work directory, however the script ends.
clean_up() {
  local status=$? postmaster
  if [[ -n "$node_pid" ]] && kill -TERM "$node_pid" 2>/dev/null; then
    if ! timeout 30 tail --pid="$node_pid" -f /dev/null; then
      kill -KILL "$node_pid" 2>/dev/null || true
      # Its server would outlive it.
      while IFS= read -r postmaster; do
        kill -QUIT "$(head -n 1 "$postmaster")" 2>/dev/null || true
      done < <(find "$work" -name postmaster.pid)
    fi
  fi
  if ((status != 0)) && [[ -s "$work/node.log" ]]; then
    printf '\nThe last lines of the node'\''s log:\n' >&2
    tail -n 20 "$work/node.log" >&2
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command with its output kept back, and shows it only when the command fails.
quietly() {
  if ! "$@" >"$work/quiet.log" 2>&1; then
    cat "$work/quiet.log" >&2
    die "failed: $*"
  fi
}

# Shows a command line and its output, indented.
show() {
  printf '   $ cairn %s\n' "$*"
  "$cairn" --node "$address" "$@" 2>&1 | sed 's/^/     /' || die "failed: cairn $*"
}

step "Packages"
configs/setup.sh

step "Release build (some minutes the first time, a moment afterwards)"
started=$SECONDS
jobs=$(awk -v cores="$(nproc)" '/^MemAvailable/ { fit = int($2 / 1572864); print fit < 1 ? 1 : fit < cores ? fit : cores }' \
  /proc/meminfo)
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$jobs}"
quietly cmake --preset release
if [[ -t 1 ]]; then
  cmake --build --preset release --target cairnd cairn || die "the build failed"
else
  quietly cmake --build --preset release --target cairnd cairn
fi
cairnd=$repo/build/release/net/cairnd
cairn=$repo/build/release/net/cairn
say "done in $((SECONDS - started)) s"

step "A node starts, with a PostgreSQL of its own"
"$cairnd" --data-dir="$work/data" --listen=127.0.0.1:0 >"$work/node.out" 2>"$work/node.log" </dev/null &
node_pid=$!
address=""
for ((tenths = 0; tenths < 600; ++tenths)); do
  address=$(sed -n 's/^ready .*listen=\([^ ]*\).*/\1/p' "$work/node.out")
  [[ -z "$address" ]] || break
  if ! kill -0 "$node_pid" 2>/dev/null; then
    status=0
    wait "$node_pid" || status=$?
    node_pid=""
    die "the node did not start (exit code $status)"
  fi
  sleep 0.1
done
[[ -n "$address" ]] || die "the node was not ready within 60 s"
say "$(grep '^ready ' "$work/node.out")"

# The real file is the node's own program; the small ones are the sources of the code that stores them.
step "It stores its own program ($(human_size "$(stat -c %s "$cairnd")")) and its own sources"
mapfile -t sources < <(find core -type f -size -1024k | LC_ALL=C sort)
((${#sources[@]} > 0)) || die "no sources under core/"
show put "$cairnd" --key programs/cairnd
for file in "${sources[@]}"; do
  "$cairn" --node "$address" put "$file" --key "sources/$file" >"$work/put.log" 2>&1 ||
    { cat "$work/put.log" >&2 && die "could not store $file"; }
done
say "${#sources[@]} sources under sources/core/"

step "What it holds"
say "\$ cairn ls"
"$cairn" --node "$address" ls >"$work/list" || die "failed: cairn ls"
head -n 6 "$work/list" | sed 's/^/     /'
(($(wc -l <"$work/list") <= 6)) || say "  ... $(wc -l <"$work/list") lines in all"

step "Everything is read back and compared"
mkdir "$work/back"
equal=0
compare() { # KEY ORIGINAL
  local copy="$work/back/file"
  rm -f "$copy"
  "$cairn" --node "$address" get "$1" -o "$copy" >"$work/get.log" 2>&1 ||
    { cat "$work/get.log" >&2 && die "could not read $1 back"; }
  cmp "$2" "$copy" || die "$1 differs from $2"
  equal=$((equal + 1))
}
compare programs/cairnd "$cairnd"
say "the program: $(md5sum <"$work/back/file" | cut -d ' ' -f 1), equal"
for file in "${sources[@]}"; do
  compare "sources/$file" "$file"
done
say "the sources: ${#sources[@]} files, equal"

step "Status, then an orderly stop"
show status
kill -TERM "$node_pid"
timeout 60 tail --pid="$node_pid" -f /dev/null || die "the node did not stop within 60 s"
status=0
wait "$node_pid" || status=$?
node_pid=""
((status == 0)) || die "the node stopped with exit code $status"
say "stopped, exit code 0"

printf '\nDEMO OK: all %d files compared equal (%d s)\n' "$equal" "$SECONDS"
