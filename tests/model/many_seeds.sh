#!/usr/bin/env bash
# Runs model_tests or power_tests over many seeds in several processes, each with a PostgreSQL server of its own.
#   many_seeds.sh PROGRAM FIRST_SEED SEEDS OPERATIONS PROCESSES
# OPERATIONS are those of one seed of model_tests; power_tests does not look at them. Prints the lines of seeds that are
# done and what it counted, and the output of a process that found a difference. Exit code 0: none did.
set -euo pipefail
program=$1 first=$2 seeds=$3 operations=$4 processes=$5
outputs=$(mktemp -d)
trap 'rm -rf "$outputs"' EXIT

running=()
for ((i = 0; i < processes; i++)); do
  from=$((first + seeds * i / processes)) to=$((first + seeds * (i + 1) / processes))
  CAIRN_SEED=$from CAIRN_SEEDS=$((to - from)) CAIRN_OPERATIONS=$operations \
    "$program" > >(tee "$outputs/$i" | grep --line-buffered -E '^(seed |[0-9]+ messages,)') 2>&1 &
  running+=($!)
done
failed=0
for i in "${!running[@]}"; do
  if ! wait "${running[i]}"; then
    failed=1
    cat "$outputs/$i"
  fi
done
exit "$failed"
