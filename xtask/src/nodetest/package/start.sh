interface=$(ip -o route get 10.141.255.254 | sed 's/.* dev \([^ ]*\) .*/\1/')
perilune setup --data-dir /var/lib/perilune --interface "$interface" --dhcp-range none --name lab --yes
systemctl enable --now perilune
perilune status
perilune network list | grep 10.141.0.0
process=$(systemctl show --property=MainPID --value perilune)
test "$(stat -c %U /proc/$process)" = perilune
# CAP_NET_BIND_SERVICE (10) and CAP_NET_RAW (13), and no other.
test "$(sed -n 's/^CapEff:\t//p' /proc/$process/status)" = 0000000000002400
ss -Hlpun | grep ':67 '
ss -Hlpun | grep ':69 '
for file in luna.ini luna.key perilune.db; do
    test "$(stat -c '%U %a' /var/lib/perilune/$file)" = "perilune 600"
done
if systemctl is-active --quiet perilune-worker; then exit 1; fi
systemctl is-active perilune-worker.socket
