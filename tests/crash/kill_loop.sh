#!/usr/bin/env bash
# What `cairn put` said is stored survives kill -9 right after it, with and without the node's PostgreSQL.
#   kill_loop.sh [BIN] [CYCLES]     folder of cairn and cairnd; cycles of each kind, 20 by default
# Every cycle stores a file of another size, kills, starts again, and compares this file and all before it. Prints
# one line; exit code 0 when nothing was lost.
set -euo pipefail
bin=$(realpath "${1:-$(dirname "${BASH_SOURCE[0]}")/../../build/release/net}")
cycles=${2:-20}
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

sizes=(0 1 4096 100000 1048577 5242880)
compared=0
start_node

# Stores one file, kills, starts again, compares every file so far.
cycle() { # NAME SIZE WITH_POSTGRES
  head -c "$2" /dev/urandom >"$work/$1"
  "$bin/cairn" --node "$address" put "$work/$1" >/dev/null || fail "put $1 failed"
  if [[ "$3" == yes ]]; then kill_postgres_9; fi
  kill_node_9
  start_node
  local file
  for file in "$work"/file-*; do
    "$bin/cairn" --node "$address" get "${file##*/}" -o "$work/back" >/dev/null 2>>"$work/node.log" ||
      fail "get ${file##*/} after cycle $1 failed"
    cmp -s "$file" "$work/back" || fail "${file##*/} differs after cycle $1"
    compared=$((compared + 1))
  done
}

for with_postgres in no yes; do
  for ((i = 1; i <= cycles; ++i)); do
    cycle "file-$with_postgres-$i" "${sizes[i % ${#sizes[@]}]}" "$with_postgres"
  done
done
stop_node
printf 'kill_loop: %d kills of cairnd, %d of them with its PostgreSQL: %d files compared, none lost\n' \
  $((2 * cycles)) "$cycles" "$compared"
