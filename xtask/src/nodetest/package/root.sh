systemctl stop perilune
chown -R root:root /var/lib/perilune
chmod 0755 /var/lib/perilune /var/lib/perilune/images
dpkg -i /root/new.deb
systemctl is-active perilune
test "$(stat -c %U /var/lib/perilune/perilune.db)" = perilune
test "$(stat -c %U /var/lib/perilune/images/small)" = root
perilune osimage list | grep small
perilune osimage pack small
