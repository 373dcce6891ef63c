#!/usr/bin/env bash
# Whether power_tests find what they are for: makes one deliberate defect after the other in a copy of the sources
# (tests/power/mutations/*.patch), and runs seeds from 1 on until one fails. First the unchanged copy runs them all.
#   mutations.sh [--check] [SEEDS] [COPY]     500 seeds; the copy stays for the next time (build/mutations)
# --check only tells whether each patch still applies. Exit code 0: unchanged nothing fails, and each defect is found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=$PWD/tests/power/mutations
only_check=no
if [[ "${1:-}" == --check ]]; then
  only_check=yes
  shift
fi
seeds=${1:-500}
[[ "$seeds" =~ ^[0-9]+$ ]] || { printf 'mutations.sh: %s is no number of seeds\n' "$seeds" >&2 && exit 2; }

if [[ "$only_check" == yes ]]; then
  for patch in "$here"/*.patch; do
    patch --quiet --dry-run --force --fuzz=0 -p1 <"$patch" || { printf '%s does not apply\n' "$patch" && exit 1; }
  done
  exit 0
fi

copy=$(realpath -m "${2:-build/mutations}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Writes only what differs, so that what was built stays built.
copy_sources() {
  local file
  for file in CMakeLists.txt CMakePresets.json actors core net tests configs; do
    find "$file" -type f
  done | while read -r file; do
    cmp -s "$file" "$copy/$file" || { mkdir -p "$(dirname "$copy/$file")" && cp "$file" "$copy/$file"; }
  done
}
build() {
  (cd "$copy" && cmake --preset release && cmake --build --preset release --target power_tests) >"$log" 2>&1 ||
    { tail -n 20 "$log" && exit 2; }
}
run() {
  CAIRN_SEED=1 CAIRN_SEEDS="$seeds" "$copy/build/release/tests/power_tests" --gtest_filter='PowerTest.AcknowledgedFacts*' >"$log" 2>&1
}
# The line that tells which seed failed and why; none when none did.
found() {
  grep -m 1 -E '^seed [0-9]+: ' <(grep -vE '^seed [0-9]+: done' "$log")
}

copy_sources
build
if ! run; then
  cat "$log"
  printf 'mutations.sh: power_tests fail on the unchanged sources\n' >&2
  exit 1
fi
printf '%-24s %s\n' unchanged "nothing in $seeds seeds"

missed=0
for patch in "$here"/*.patch; do
  name=$(basename "$patch" .patch)
  patch --quiet --force --fuzz=0 -p1 -d "$copy" <"$patch"
  build
  if run; then
    seed="not found in $seeds seeds"
    missed=$((missed + 1))
  elif ! seed=$(found); then
    cat "$log"
    seed="failed, but at no seed"
    missed=$((missed + 1))
  fi
  printf '%-24s %s\n' "$name" "$seed"
  copy_sources
done
exit "$((missed > 0))"
