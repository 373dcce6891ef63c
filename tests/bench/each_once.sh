#!/usr/bin/env bash
# Runs each measuring tool for a moment, so that none is found broken on the day when a figure is wanted. What they measure
# here means nothing.
#   each_once.sh TOOLS BIN     the folder of the tools, and that of cairn and cairnd
set -euo pipefail
if (($# != 2)); then
  printf 'usage: each_once.sh TOOLS BIN\n' >&2
  exit 2
fi
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
tools=$(realpath "$1")
bin=$(realpath "$2")
source "$here/../crash/common.sh"

run() { # NAME COMMAND...: it must succeed, and print a figure
  local name=$1 status=0
  shift
  timeout 300 "$@" >"$work/out" 2>"$work/err" || status=$?
  if ((status != 0)) || ! grep -q '[0-9]' "$work/out"; then
    cat "$work/out" "$work/err" >&2
    fail "$name ended with $status"
  fi
  printf '%s: %s lines\n' "$name" "$(wc -l <"$work/out")"
}

"$here/../../configs/make-certs.sh" "$work/certs" here >"$work/out" 2>&1 || fail 'no certificates'
run transport_throughput "$tools/transport_throughput" 1 "$work/certs/ca.pem" \
  "$work/certs/here.pem" "$work/certs/here.key"
run micro "$tools/micro" --benchmark_min_time=0.001
run in_process "$tools/in_process" 1 0.2
run scale "$tools/scale" "$work/scale" 100 1000 0.2
start_node
run archive_latency "$tools/archive_latency" "$address" 20 20
stop_node
