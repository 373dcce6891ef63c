#!/usr/bin/env bash
# One command from a clone to tested: installs the packages, builds the dev preset (AddressSanitizer,
# UndefinedBehaviorSanitizer, warnings are errors), runs every test. The last line is the tests' summary.
# Exit code 0 only when all passed. CMAKE_BUILD_PARALLEL_LEVEL overrides the number of compiler processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

configs/setup.sh

# A compiler process on CAF's templates takes more than 1 GiB with the sanitizers on.
jobs=$(awk -v cores="$(nproc)" '/^MemAvailable/ { fit = int($2 / 1572864); print fit < 1 ? 1 : fit < cores ? fit : cores }' \
  /proc/meminfo)
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$jobs}"

cmake --preset dev
cmake --build --preset dev

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
ctest --preset dev 2>&1 | tee "$log" || status=$?
summary=$(grep -E '^[0-9]+% tests passed' "$log" | tail -n 1) || summary="no test ran"
printf '\n%s\n' "$summary"
exit "$status"
