#!/usr/bin/env bash
# The rules of this code base that no compiler checks. Prints file:line: message for each violation.
#   lint.sh [ROOT]     the repository's root; this one's by default
# Exit code 0 clean, 1 violations, 2 nothing to check. A line that must break a rule carries `lint: allow` and,
# beside it, why.
set -euo pipefail
root=${1:-$(dirname "${BASH_SOURCE[0]}")/../..}
cd "$root"
export LC_ALL=C

findings=0
report() { # FILE LINE MESSAGE
  printf '%s:%s: %s\n' "$1" "$2" "$3"
  findings=$((findings + 1))
}

# Files with one of the name patterns below the folders that exist.
files_in() { # "FOLDER..." PATTERN...
  local folder folders=() names=()
  for folder in $1; do
    [[ ! -e "$folder" ]] || folders+=("$folder")
  done
  ((${#folders[@]} > 0)) || return 0
  shift
  for name in "$@"; do
    names+=(-o -name "$name")
  done
  find "${folders[@]}" -name build -prune -o -type f \( "${names[@]:1}" \) -print | sort
}

# Reports each line that matches in the code: the sources without comments and without lines marked as allowed.
forbid() { # REGEX MESSAGE FILE...
  local regex=$1 message=$2 file line
  shift 2
  (($# > 0)) || return 0
  while IFS=: read -r file line _; do
    report "$file" "$line" "$message"
  done < <(cd "$code" && grep -nHE -- "$regex" "$@")
}

mapfile -t core < <(files_in core '*.hpp' '*.cpp')
mapfile -t actors < <(files_in actors '*.hpp' '*.cpp')
mapfile -t net < <(files_in net '*.hpp' '*.cpp')
mapfile -t tests < <(files_in tests '*.hpp' '*.cpp')
mapfile -t scripts < <(files_in "configs tests .ci" '*.sh' run)
mapfile -t markable < <(files_in "core actors net tests configs .ci CMakeLists.txt" \
  '*.hpp' '*.cpp' '*.sh' run '*.md' '*.txt' '*.cmake' '*.in' '*.sql' '*.conf' '*.py')
program=("${core[@]}" "${actors[@]}" "${net[@]}")
cxx=("${program[@]}" "${tests[@]}")
if ((${#program[@]} == 0)); then
  printf 'lint: no sources under %s\n' "$PWD" >&2
  exit 2
fi

# A `//` right after a colon belongs to a URL in a string.
code=$(mktemp -d)
trap 'rm -rf "$code"' EXIT
cp --parents "${cxx[@]}" "$code"
(cd "$code" && sed -i -E -e '/lint: allow/s/.*//' -e 's#(^|[^:])//.*#\1#' "${cxx[@]}")

# Includes point one way: net -> actors -> core.
include='^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]'
forbid "${include}actors/" "core includes actors/" "${core[@]}"
forbid "${include}net/" "core includes net/" "${core[@]}"
forbid "${include}caf/" "core includes CAF" "${core[@]}"
forbid "${include}net/" "actors includes net/" "${actors[@]}"
forbid "${include}caf/(io|openssl)/" "actors includes CAF's network" "${actors[@]}"
forbid "${include}CLI/" "actors includes the command line library" "${actors[@]}"
forbid "${include}tests/" "includes tests/ outside tests" "${program[@]}"
forbid "${include}(\./|[^>\"]*\.\./)" "includes by a relative path; write it from the root" "${cxx[@]}"

for header in "${cxx[@]}"; do
  if [[ "$header" == *.hpp ]] && ! grep -qE '^#pragma once[[:space:]]*$' "$header"; then
    report "$header" 1 "header without #pragma once"
  fi
done

# A word that begins here, and is not a member of something.
call='(^|[^A-Za-z0-9_.>])'
forbid "(^|[^A-Za-z0-9_])(sleep_for|sleep_until|nanosleep|usleep)[[:space:]]*\(" \
  "sleeps; wait for the event or use a timer" "${program[@]}"
forbid "${call}sleep[[:space:]]*\(" "sleeps; wait for the event or use a timer" "${program[@]}"
# system() is also a member function of CAF's actors and a likely variable name: those do not count.
forbid "(::system[[:space:]]*\(|${call}system[[:space:]]*\([[:space:]]*\"|(^|[;{}=!(]|return|&&|[|][|])[[:space:]]*system[[:space:]]*\()" \
  "calls system(); start the program directly" "${program[@]}"
forbid "${call}v?sprintf[[:space:]]*\(" "calls sprintf(); use fmt" "${program[@]}"
forbid "${call}strcpy[[:space:]]*\(" "calls strcpy(); use std::string" "${program[@]}"
forbid "${call}gets[[:space:]]*\(" "calls gets()" "${program[@]}"
forbid "${call}s?rand[[:space:]]*\(" "calls rand(); use <random>" "${program[@]}"
forbid "(^|[^A-Za-z0-9_])std::(cout|cerr|clog)([^A-Za-z0-9_]|$)" \
  "writes to a standard stream; only the programs in net/ do" "${core[@]}" "${actors[@]}"

# Markers in comments count, so these are looked for in whole lines. The brackets keep this file clean itself.
while IFS=: read -r file line _; do
  report "$file" "$line" "marker for later work; do it or open an issue"
done < <(grep -nHwE 'TOD[O]|FIXM[E]' "${markable[@]}" | grep -vF 'lint: allow')

for script in "${scripts[@]}"; do
  if ! complaint=$(bash -n "$script" 2>&1); then
    line=$(sed -nE 's/^.*: line ([0-9]+): .*/\1/p' <<<"$complaint" | head -n 1)
    report "$script" "${line:-1}" "bash -n: $(head -n 1 <<<"$complaint" | sed -E 's/^.*: line [0-9]+: //')"
  fi
done

if command -v clang-format >/dev/null && [[ -f .clang-format ]]; then
  while IFS=: read -r file line _; do
    report "$file" "$line" "format differs from .clang-format; run clang-format -i"
  done < <(clang-format --dry-run --Werror "${cxx[@]}" 2>&1 | grep -E '^[^: ]+:[0-9]+:[0-9]+: error: code should be' |
    sort -t: -u -k1,1)
fi

if ((findings > 0)); then
  printf 'lint: %d finding(s)\n' "$findings" >&2
  exit 1
fi
printf 'lint: %d sources and %d scripts are clean\n' "${#cxx[@]}" "${#scripts[@]}"
