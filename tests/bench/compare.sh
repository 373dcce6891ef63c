#!/usr/bin/env bash
# Compares two builds of `micro`, the one of an earlier commit and this one's, in turn: each step's time in copies of a
# MiB of the same run, the median of several runs. Exit code 1 when a step became slower by more than the limit.
#   compare.sh OLD NEW [LIMIT] [FILTER]   two programs; percent, 25 by default; a regular expression of step names
set -euo pipefail
if (($# < 2)) || [[ ! -x $1 || ! -x $2 ]]; then
  printf 'usage: compare.sh OLD NEW [LIMIT] [FILTER]   OLD and NEW are programs: build/release/tests/micro of two commits\n' >&2
  exit 2
fi
old=$1 new=$2 limit=${3:-25} filter=${4:-.}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for repeat in 1 2 3 4 5; do
  for side in old new; do
    "${!side}" --benchmark_filter="^copy/1048576|$filter" --benchmark_min_time=0.1 --benchmark_format=json \
      >"$results/$side.$repeat" 2>/dev/null
  done
done
python3 - "$results" "$limit" <<'PY'
import glob, json, statistics, sys

def times(side):
    found = {}
    for path in glob.glob(f"{sys.argv[1]}/{side}.*"):
        text = open(path).read()
        steps = {step["name"]: step["real_time"] * {"ns": 1, "us": 1e3, "ms": 1e6}[step["time_unit"]]
                 for step in json.loads(text[text.index("{"):])["benchmarks"] if "real_time" in step}
        for name, time in steps.items():
            found.setdefault(name, []).append(time / steps["copy/1048576"])
    return {name: statistics.median(values) for name, values in found.items()}

old, new = times("old"), times("new")
slower = 0
for name in new:
    if name not in old:
        continue
    change = 100 * (new[name] / old[name] - 1)
    is_slower = change > float(sys.argv[2])
    slower += is_slower
    print(f"{name:40} {old[name]:10.3f} -> {new[name]:10.3f} copies of a MiB  {change:+6.1f} %{'  SLOWER' if is_slower else ''}")
sys.exit(1 if slower else 0)
PY
