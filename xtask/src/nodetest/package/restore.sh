perilune export >/root/before.yaml
perilune backup /root/backup.tar.zst --with-images
systemctl stop perilune
mv /var/lib/perilune /var/lib/lost
systemd-tmpfiles --create perilune.conf
perilune restore /root/backup.tar.zst --data-dir /var/lib/perilune
test -z "$(find /var/lib/perilune -mindepth 1 -maxdepth 1 ! -name images ! -user perilune)"
systemctl start perilune
perilune export >/root/after.yaml
cmp /root/before.yaml /root/after.yaml
find /var/lib/perilune/files -name 'small-*.tar.zst' | grep small
