#!/usr/bin/env bash
# Makes a private certificate authority and a certificate per name, for trials of Cairn with TLS:
#   make-certs.sh [--days N] DIR NAME...
# Each NAME is a host's or client's name: letters, digits, '.', '-' and '_'. DIR then holds
#   ca.pem, ca.key           the authority; whoever has ca.key can speak as any node of the cluster
#   NAME.pem, NAME.key       valid for NAME, localhost, 127.0.0.1 and ::1, as server and as client
# --days N   how long what is made now is valid, 365 by default; 0 makes certificates that have expired
# Repeating it is safe: what is there is kept, unless it is not signed by DIR's authority, or has expired; what is
# missing is made. To renew a certificate remove it. Keys (EC P-256) are readable by their owner alone, mode 0600.
# Needs openssl. Exit code 0 when all is there, 1 when something failed, 2 for wrong usage.
set -euo pipefail
umask 077

help() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
usage() {
  printf 'make-certs: %s\nusage: make-certs.sh [--days N] DIR NAME...\n' "$1" >&2
  exit 2
}

days=365
while (($# > 0)); do
  case "$1" in
    -h | --help) help && exit 0 ;;
    --days) days=${2-} && shift $(($# > 1 ? 2 : 1)) ;;
    --days=*) days=${1#*=} && shift ;;
    --) shift && break ;;
    -*) usage "no such option: $1" ;;
    *) break ;;
  esac
done
[[ "$days" =~ ^[0-9]{1,5}$ ]] || usage "--days takes a number of days"
(($# >= 2)) || usage "a directory and at least one name are needed"
directory=$1
shift
for name in "$@"; do
  [[ "$name" =~ ^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$ && "$name" != ca ]] || usage "not a name: $name"
done
command -v openssl >/dev/null || { printf 'make-certs: openssl is not installed\n' >&2 && exit 1; }
mkdir -p -- "$directory"
cd -- "$directory"

# Everything is made here and moved into place, the key first: a run that ends half way leaves no certificate
# without its key.
work=$(mktemp -d ./make-certs.XXXXXX)
trap 'rm -rf -- "$work"' EXIT

quietly() {
  if ! "$@" >"$work/output" 2>&1; then
    printf 'make-certs: failed: %s\n' "$*" >&2
    cat "$work/output" >&2
    exit 1
  fi
}
new_key() { # FILE
  quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}
put_in_place() { # NAME
  chmod 600 "$work/key"
  chmod 644 "$work/pem"
  mv -f -- "$work/key" "$1.key"
  mv -f -- "$work/pem" "$1.pem"
}
is_valid() { # CERTIFICATE; by DIR's authority, now
  openssl verify -CAfile ca.pem "$1" >/dev/null 2>&1
}
belong_together() { # NAME
  [[ -s "$1.key" && -s "$1.pem" ]] &&
    [[ "$(openssl pkey -in "$1.key" -pubout 2>/dev/null)" == "$(openssl x509 -in "$1.pem" -noout -pubkey 2>/dev/null)" ]]
}

if ! belong_together ca || ! is_valid ca.pem; then
  new_key "$work/key"
  quietly openssl req -x509 -new -key "$work/key" -sha256 -days $((days > 0 ? days : 1)) \
    -subj "/CN=Cairn trial authority $(openssl rand -hex 4)" \
    -addext "basicConstraints=critical,CA:true,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -out "$work/pem"
  put_in_place ca
fi

for name in "$@"; do
  if belong_together "$name" && is_valid "$name.pem"; then
    continue
  fi
  new_key "$work/key"
  quietly openssl req -new -key "$work/key" -subj "/CN=$name" -out "$work/request"
  printf '%s\n' \
    "basicConstraints=critical,CA:false" \
    "keyUsage=critical,digitalSignature" \
    "extendedKeyUsage=serverAuth,clientAuth" \
    "subjectKeyIdentifier=hash" \
    "authorityKeyIdentifier=keyid" \
    "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1,IP:::1" >"$work/extensions"
  quietly openssl x509 -req -in "$work/request" -CA ca.pem -CAkey ca.key -sha256 -days "$days" \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$work/pem"
  put_in_place "$name"
done
chmod 600 -- *.key
