#!/usr/bin/env bash
# Large files come back with equal sha256 while neither program holds them in memory.
#   large_files.sh [BIN] [MIB...]     folder of cairn and cairnd; sizes in MiB, 300 and 2048 by default
# Prints a line for each file and the peak memory of each program; exit code 0 when all is equal and no peak reaches
# the limit.
set -euo pipefail
bin=$(realpath "${1:-$(dirname "${BASH_SOURCE[0]}")/../../build/release/net}")
sizes_mib=("${@:2}")
((${#sizes_mib[@]} > 0)) || sizes_mib=(300 2048)
limit_mib=400
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Runs a command; its peak resident memory in KiB goes to file $work/peak.
measured() {
  python3 - "$work/peak" "$@" <<'PY'
import os, subprocess, sys
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
PY
}

worst_kib=0
note_peak() { # KIB
  if (($1 > worst_kib)); then worst_kib=$1; fi
}

start_node
for mib in "${sizes_mib[@]}"; do
  file=$work/object
  # A stream of a cipher over zeros: no slower than the disk, and nothing that compresses.
  openssl enc -aes-128-ctr -pass "pass:$mib" -nosalt -md sha256 -in /dev/zero 2>/dev/null | head -c "${mib}M" >"$file" || true
  [[ $(stat -c %s "$file") == $((mib << 20)) ]] || fail "could not make $mib MiB"
  sum=$(sha256sum <"$file")
  measured "$bin/cairn" --node "$address" put "$file" --key "large-$mib" || fail "put of $mib MiB failed"
  put_kib=$(cat "$work/peak")
  rm "$file"
  measured "$bin/cairn" --node "$address" get "large-$mib" -o "$file" || fail "get of $mib MiB failed"
  get_kib=$(cat "$work/peak")
  [[ $(sha256sum <"$file") == "$sum" ]] || fail "$mib MiB came back different"
  rm "$file"
  node_kib=$(awk '/^VmHWM/ { print $2 }' "/proc/$node_pid/status")
  printf 'large_files: %d MiB equal; peak memory: cairn put %d MiB, cairn get %d MiB, cairnd %d MiB\n' \
    "$mib" $((put_kib / 1024)) $((get_kib / 1024)) $((node_kib / 1024))
  note_peak "$put_kib"
  note_peak "$get_kib"
  note_peak "$node_kib"
done
stop_node
((worst_kib < limit_mib * 1024)) || fail "peak memory $((worst_kib / 1024)) MiB is past the limit of $limit_mib MiB"
