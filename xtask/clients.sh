#!/bin/bash
# Real DHCP and TFTP clients against the daemon, in network namespaces that are made and removed here. As root, after
# `cargo build -p perilune`. A client that is not installed is left out, and said so.
set -euo pipefail
cd "$(dirname "$0")/.."
perilune=$PWD/${CARGO_TARGET_DIR:-target}/debug/perilune
space=perilune-clients-$$
work=$(mktemp -d)
daemon=

tidy() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    wait 2>/dev/null || true
    ip netns del "$space-c" 2>/dev/null || true
    ip netns del "$space" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT

ip netns add "$space"
ip netns add "$space-c"
ip -n "$space" link set lo up
ip -n "$space" link add br0 type bridge
ip -n "$space" addr add 10.141.255.254/16 dev br0
ip -n "$space" link set br0 up
ip -n "$space" link add v0 type veth peer name c0 netns "$space-c" address 52:54:00:00:00:77
ip -n "$space" link set v0 master br0 up
ip -n "$space-c" link set c0 up

on_client() { timeout 20 ip netns exec "$space-c" "$@"; }
cli() { HOME=$work PERILUNE_CONFIG=$work/data/luna.ini timeout 20 ip netns exec "$space" "$perilune" "$@"; }
have() { command -v "$1" >/dev/null || { echo "NOT TESTED: $1 is not installed"; return 1; }; }
expect() { grep -q "$1" "$work/out" || { echo "FAILED: no '$1' in:"; cat "$work/out"; exit 1; }; echo "ok: $1"; }

ip netns exec "$space" "$perilune" serve --data-dir "$work/data" --listen 127.0.0.1:7050 --dhcp-interface br0 2>"$work/log" &
daemon=$!
for _ in $(seq 100); do cli cluster show >/dev/null 2>&1 && break; sleep 0.1; done
cli network change cluster --dhcp yes --dhcp-range-begin 10.141.200.1 --dhcp-range-end 10.141.200.100 >/dev/null

if have busybox; then
    on_client busybox udhcpc -i c0 -n -q -f -s /bin/true >"$work/out" 2>&1 || true
    expect 'lease of 10\.141\.200\.[0-9]* obtained'
fi
if have dhclient; then
    on_client dhclient -1 -v -lf "$work/leases" -pf "$work/pid" -sf /bin/true c0 >"$work/out" 2>&1 || true
    expect 'bound to 10\.141\.200\.[0-9]*'
    [ ! -s "$work/pid" ] || kill "$(cat "$work/pid")" 2>/dev/null || true
fi
cli group add compute >/dev/null
cli node add node001 --group compute --mac 52:54:00:00:00:77 >/dev/null
if have busybox; then
    on_client busybox udhcpc -i c0 -n -q -f -s /bin/true >"$work/out" 2>&1 || true
    expect 'lease of 10\.141\.0\.1 obtained'
fi

ip -n "$space-c" addr add 10.141.0.99/16 dev c0
head -c 1000000 /dev/urandom >"$work/data/tftp/program"
fetched() { cmp -s "$work/got" "$work/data/tftp/program" || { echo "FAILED: $1"; exit 1; }; echo "ok: $1"; rm -f "$work/got"; }
if have curl; then
    on_client curl -s -o "$work/got" tftp://10.141.255.254/program && fetched curl
    on_client curl -s -o "$work/got" tftp://10.141.255.254/absent && { echo "FAILED: an absent file is there"; exit 1; }
    echo "ok: an absent file is refused"
fi
if have atftp; then
    on_client atftp -g -r program -l "$work/got" --option "blksize 1468" --option "windowsize 8" 10.141.255.254 && fetched atftp
fi
if have tftp; then
    on_client tftp -m binary 10.141.255.254 -c get program "$work/got" && fetched tftp
fi
