# What the crash scripts share: a scratch directory, one node in it, and its end whatever happens.
# Source it with the folder of the programs in $bin.

# What users run is what is tested: no sanitizer, no debugger.
work=$(mktemp -d /tmp/cairn-crash-XXXXXX)
chmod 755 "$work"
data=$work/node
node_pid=
address=

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  if [[ -s "$work/node.log" ]]; then tail -n 20 "$work/node.log" >&2; fi
  exit 1
}

# Ends the processes whose working directory is the node's database: a number from a file proves nothing.
end_postgres() {
  local pid
  for pid in $(postgres_pids); do kill -9 "$pid" 2>/dev/null || true; done
  while [[ -n $(postgres_pids) ]]; do read -r -t 0.05 <>"$work/never" || true; done
}

postgres_pids() {
  local process
  for process in /proc/[0-9]*; do
    if [[ $(readlink "$process/cwd" 2>/dev/null) == "$data/postgres/data" ]]; then echo "${process#/proc/}"; fi
  done
}

clean_up() {
  if [[ -n "$node_pid" ]]; then
    kill -9 "$node_pid" 2>/dev/null || true
    wait "$node_pid" 2>/dev/null || true
  fi
  end_postgres
  rm -rf "$work"
}
trap clean_up EXIT
mkfifo "$work/never"

# Starts the node and waits for its ready line, which tells the port. Sets node_pid and address.
start_node() {
  local line=
  rm -f "$work/ready"
  mkfifo "$work/ready"
  "$bin/cairnd" --data-dir="$data" --listen=127.0.0.1:0 --reserve-percent=0 --min-reserve=0 "$@" \
    >"$work/ready" 2>>"$work/node.log" &
  node_pid=$!
  exec {ready}<"$work/ready"
  read -r -t 120 -u "$ready" line || fail "cairnd is not ready"
  exec {ready}<&-
  address=${line##*listen=}
}

kill_node_9() {
  kill -9 "$node_pid"
  wait "$node_pid" 2>/dev/null || true
  node_pid=
}

kill_postgres_9() {
  kill -9 "$(head -n 1 "$data/postgres/data/postmaster.pid")"
}

# Ends the node in order; its exit code must be 0.
stop_node() {
  kill -TERM "$node_pid"
  wait "$node_pid" || fail "cairnd ended with exit code $?"
  node_pid=
}
