#!/usr/bin/env bash
# Measures the cases of README.md with `cairn bench` on a node of its own, each of them several times, one case after the
# other in turn; prints the medians, each beside what disk and MD5 did in the same runs.
#   cases.sh [BIN] [REPEATS] [SECONDS]   folder of cairn and cairnd; 5 repeats of 4 s by default
# Nothing else may run on the machine. Writes some GiB to /tmp and removes them.
set -euo pipefail
bin=$(realpath "${1:-$(dirname "${BASH_SOURCE[0]}")/../../build/release/net}")
repeats=${2:-5}
seconds=${3:-4}
source "$(dirname "${BASH_SOURCE[0]}")/../crash/common.sh"

cases=(
  'put 4 KiB x 1|--mode put --size 4k --concurrency 1'
  'put 4 KiB x 8|--mode put --size 4k --concurrency 8'
  'put 4 KiB x 64|--mode put --size 4k --concurrency 64'
  'put 64 KiB x 64|--mode put --size 64k --concurrency 64'
  'put 1 MiB x 64|--mode put --size 1M --concurrency 64'
  'put one stream, 16 x 1.25 MiB in flight|--mode put --size 1280k --sequences 64 --concurrency 1 --in-flight 16'
  'put one stream, 1 x 1.25 MiB in flight|--mode put --size 1280k --sequences 64 --concurrency 1 --in-flight 1'
  'get 4 KiB x 1|--mode get --size 4k --concurrency 1'
  'get 4 KiB x 64|--mode get --size 4k --concurrency 64'
  'get 64 KiB x 64|--mode get --size 64k --concurrency 64'
  'get 1 MiB x 64|--mode get --size 1M --concurrency 64'
  'get 4 KiB of 1 MiB x 64|--mode get --size 1M --range 4k --concurrency 64'
)

start_node
for ((repeat = 0; repeat < repeats; repeat++)); do
  for each in "${cases[@]}"; do
    # shellcheck disable=SC2086
    "$bin/cairn" --node "$address" --json bench --seconds "$seconds" ${each#*|} | tr -d '\n' >>"$work/results" ||
      fail "${each%%|*} failed"
    printf '\t%s\n' "${each%%|*}" >>"$work/results"
  done
done
stop_node

python3 - "$work/results" <<'PY'
import json, statistics, sys

runs = {}
for line in open(sys.argv[1]):
    text, name = line.rstrip("\n").split("\t")
    runs.setdefault(name, []).append(json.loads(text))

def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None

def shown(value, form="{:,.0f}"):
    return "-" if value is None else form.format(value)

print("| case | objects/s | MB/s | p50 us | p99 us | CPU us an object (client, node, database) | archives a round |"
      " raw write + sync p50 us | put p50 / raw | MD5 of all cores MB/s |")
print("|---|---|---|---|---|---|---|---|---|---|")
for name, results in runs.items():
    kind = "put" if name.startswith("put") else "get"
    of = lambda *path: median([dig(result, *path) for result in results])
    def dig(value, *path):
        for key in path:
            value = value.get(key) if value else None
        return value
    cpu = [of("cpu", who, "us_per_object") for who in ("client", "node", "database")]
    together = sum(value or 0 for value in cpu)
    print("|", " | ".join([
        name, shown(of(kind, "per_second")), shown(of(kind, "mb_per_second")), shown(of(kind, "latency", "p50_us")),
        shown(of(kind, "latency", "p99_us")), f"{together:,.0f} ({', '.join(shown(value) for value in cpu)})",
        shown(of("archives_per_round") if kind == "put" else None, "{:.1f}"),
        shown(of("reference", "write_sync", "p50_us")), shown(of("reference", "put_p50_ratio"), "{:.2f}"),
        shown(of("reference", "md5_mb_per_second"))]), "|")
print(f"\nmedians of {max(map(len, runs.values()))} runs each")
PY
