#!/usr/bin/env bash
# Searches with libFuzzer: builds the fuzz preset and runs each target for so many seconds of processor time, one after
# the other.
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
cmake --build --preset fuzz --target "${targets[@]/%/_fuzz}"
failed=0
TIMEFORMAT='%U %S' # what `time` prints: processor seconds

# One stretch of a target: libFuzzer counts wall time, so that on a busy machine it takes several.
stretch() { # TARGET SECONDS
  (cd build/fuzz && "tests/${1}_fuzz" "corpus/$1" "../../tests/fuzz/corpus/$1" -max_total_time="$2" -max_len=16384 \
    -rss_limit_mb=2048 -timeout=60 -close_fd_mask=3 -print_final_stats=1) >"build/fuzz/$1.log" 2>&1
}

for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/corpus/$target"
  status=passed used=0 inputs=0
  while [[ $status == passed ]] && ((used < seconds)); do
    took=$({ time stretch "$target" $((seconds - used)); } 2>&1) || status=FAILED failed=1
    used=$(awk -v used="$used" '{ print int(used + $1 + $2 + 0.5) }' <<<"$took")
    inputs=$((inputs + $(awk '/number_of_executed_units/ { n = $2 } END { print n + 0 }' "build/fuzz/$target.log")))
  done
  printf '%-8s %s: %s inputs in %s s of processor time (build/fuzz/%s.log)\n' "$target" "$status" "$inputs" "$used" "$target"
done
exit "$failed"
