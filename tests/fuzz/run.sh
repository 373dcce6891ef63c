#!/usr/bin/env bash
# Searches with libFuzzer: builds the fuzz preset and runs each target for so many seconds, one after the other.
#   run.sh [SECONDS] [TARGET...]     60 by default; all of scan, message, text, config
# What is found new stays below build/fuzz/corpus; an input that fails is named and kept in build/fuzz. Exit code 0 when
# nothing failed. Needs clang: configs/setup.sh --dev.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-60}
shift $(($# > 0 ? 1 : 0))
targets=("$@")
((${#targets[@]} > 0)) || targets=(scan message text config)
[[ "$seconds" =~ ^[0-9]+$ ]] || { printf 'run.sh: %s is no number of seconds\n' "$seconds" >&2 && exit 2; }
for target in "${targets[@]}"; do
  [[ -e "tests/fuzz/${target}_fuzz.cpp" ]] || { printf 'run.sh: no target %s\n' "$target" >&2 && exit 2; }
done
if ! command -v clang++ >/dev/null; then
  printf 'run.sh: clang++ is missing: configs/setup.sh --dev installs it\n' >&2
  exit 2
fi

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
failed=0
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  log=build/fuzz/$target.log
  status=passed
  (cd build/fuzz && "tests/${target}_fuzz" "corpus/$target" "../../tests/fuzz/corpus/$target" \
    -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=2048 -timeout=10 -close_fd_mask=3 -print_final_stats=1) \
    >"$log" 2>&1 || status=FAILED failed=1
  runs=$(awk '/number_of_executed_units/ { print $2 }' "$log")
  printf '%-8s %s: %s inputs in %s s (%s)\n' "$target" "$status" "${runs:-?}" "$seconds" "$log"
done
exit "$failed"
