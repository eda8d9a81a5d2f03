dpkg -i /root/old.deb
getent passwd perilune
for unit in perilune.service perilune-worker.service perilune-worker.socket; do
    systemd-analyze verify --man=no /usr/lib/systemd/system/$unit
done
if systemctl is-active --quiet perilune perilune-worker perilune-worker.socket; then exit 1; fi
if systemctl is-enabled --quiet perilune; then exit 1; fi
test "$(stat -c '%U %G %a' /var/lib/perilune)" = "root perilune 1775"
test "$(stat -c '%U %G %a' /var/lib/perilune/images)" = "root perilune 750"
test "$(stat -c '%U' /var/lib/perilune/files)" = perilune
# Nobody said which network is served.
systemctl start perilune
if systemctl is-active --quiet perilune; then exit 1; fi
