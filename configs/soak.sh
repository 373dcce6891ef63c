#!/usr/bin/env bash
# The long version of the tests whose length is a number: crashes, power losses, random traffic, garbage. One after
# the other, each with a log of its own; a table at the end says what ran, how much of it, and what came of it. Exit
# code 0 only when every row passed.
set -euo pipefail

usage() {
  cat <<'TEXT'
configs/soak.sh [--build DIR] [--logs DIR] [--seed N] [--NAME=N ...]

  --build DIR             where the programs were built (build/release)
  --logs DIR              where each row's output goes (a new directory in /tmp)
  --seed N                first seed of everything random (by the clock)

How much of each; 0 leaves the row out:
  --host-kills=200        kill -9 of cairnd under load, all receipts compared after each
  --both-kills=50         the same, of its PostgreSQL as well
  --database-kills=50     of its PostgreSQL alone
  --stops=50              SIGTERM under load
  --put-kills=100         kill -9 after `cairn put`, with and without PostgreSQL (tests/crash/kill_loop.sh)
  --full-disks=20         times a small file system is filled (as root)
  --power-seeds=2000      seeds of tests/power
  --model-seeds=100       seeds of random traffic against the model ...
  --model-operations=10000  ... and operations of each
  --garbage-seconds=600   garbage on the port

The defaults take some hours on two cores. An hour:
  configs/soak.sh --host-kills=60 --both-kills=20 --database-kills=20 --stops=20 --put-kills=20 --full-disks=5 \
    --power-seeds=300 --model-seeds=10 --garbage-seconds=120
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/release
logs=
seed=$(date +%s)
declare -A amount=([host-kills]=200 [both-kills]=50 [database-kills]=50 [stops]=50 [put-kills]=100 [full-disks]=20
  [power-seeds]=2000 [model-seeds]=100 [model-operations]=10000 [garbage-seconds]=600)

refuse() {
  printf 'soak: %s; --help tells more\n' "$1" >&2
  exit 2
}
while (($# > 0)); do
  argument=$1
  shift
  if [[ "$argument" == --help ]]; then
    usage
    exit 0
  fi
  if [[ "$argument" == --?*=* ]]; then
    value=${argument#*=} argument=${argument%%=*}
  else
    (($# > 0)) || refuse "$argument needs a value, or is unknown"
    value=$1
    shift
  fi
  name=${argument#--}
  case $name in
    build) build=$value ;;
    logs) logs=$value ;;
    seed) seed=$value ;;
    *)
      [[ -n "${amount[$name]:-}" ]] || refuse "unknown argument $argument"
      [[ "$value" =~ ^[0-9]+$ ]] || refuse "$argument takes a number"
      amount[$name]=$value
      ;;
  esac
done
[[ "$seed" =~ ^[0-9]+$ ]] || refuse "--seed takes a number"
[[ -d "$build/tests" ]] || refuse "no programs in $build"
if [[ -z "$logs" ]]; then logs=$(mktemp -d /tmp/cairn-soak-XXXXXX); fi
mkdir -p "$logs"

rows=()
failed=0

# Also when it is interrupted: what was done by then is worth knowing.
print_table() {
  printf '\n%-16s %-28s %8s  %s\n' what 'how much' seconds result
  ((${#rows[@]} == 0)) || printf '%s\n' "${rows[@]}"
  printf 'seed %s, logs in %s\n' "$seed" "$logs"
}
trap print_table EXIT
trap 'exit 130' INT TERM

# Runs one row unless its amount is 0. A program that is missing, or that skipped what it was for, has not passed.
row() { # NAME AMOUNT UNIT COMMAND...
  local name=$1 count=$2 unit=$3 log=$logs/$1.log begun=$SECONDS result=passed
  shift 3
  ((count > 0)) || return 0
  printf 'soak: %s, %s %s\n' "$name" "$count" "$unit"
  if ! "$@" >"$log" 2>&1; then
    result=FAILED
  elif grep -qF '[  SKIPPED ]' "$log"; then
    result=SKIPPED
  fi
  # The one line in which each program says what it counted.
  grep -E '^(crash kind|kill_loop|full_disk|power|garbage|[0-9]+ messages) ?.*[0-9]' "$log" | tail -n 2 || true
  if [[ "$result" != passed ]]; then
    failed=1
    tail -n 20 "$log"
  fi
  rows+=("$(printf '%-16s %-28s %8d  %s' "$name" "$count $unit" $((SECONDS - begun)) "$result")")
}

crash() { # CYCLES TEST
  env CAIRN_SEED="$seed" CAIRN_CYCLES="$1" "$build/tests/crash_tests" --gtest_filter="CrashTest.$2"
}

row host-kills "${amount[host-kills]}" cycles crash "${amount[host-kills]}" 'HostKilled*'
row both-kills "${amount[both-kills]}" cycles crash "${amount[both-kills]}" 'HostAndDatabase*'
row database-kills "${amount[database-kills]}" cycles crash "${amount[database-kills]}" 'DatabaseKilled*'
row stops "${amount[stops]}" cycles crash "${amount[stops]}" 'HostStopped*'
row put-kills "${amount[put-kills]}" 'cycles of each kind' tests/crash/kill_loop.sh "$build/net" "${amount[put-kills]}"
row full-disks "${amount[full-disks]}" repetitions "$build/tests/full_disk_tests" --gtest_repeat="${amount[full-disks]}"
row power "${amount[power-seeds]}" seeds \
  env CAIRN_SEED="$seed" CAIRN_SEEDS="${amount[power-seeds]}" "$build/tests/power_tests"
row model "${amount[model-seeds]}" "seeds of ${amount[model-operations]}" \
  tests/model/many_seeds.sh "$build/tests/model_tests" "$seed" "${amount[model-seeds]}" "${amount[model-operations]}" 2
row garbage "${amount[garbage-seconds]}" seconds env CAIRN_SEED="$seed" CAIRN_GARBAGE_SECONDS="${amount[garbage-seconds]}" \
  "$build/tests/exposure_tests" --gtest_filter='*Garbage*'
exit "$failed"
