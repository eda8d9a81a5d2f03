tree=/var/lib/perilune/images/small
kernel=$(uname -r)
mkdir -p $tree/boot $tree/etc $tree/lib/modules/$kernel/kernel
cp /boot/vmlinuz-$kernel $tree/boot/
cp /etc/shadow $tree/etc/
for list in dep alias softdep order builtin; do : >$tree/lib/modules/$kernel/modules.$list; done
if runuser -u perilune -- cat $tree/etc/shadow; then exit 1; fi
perilune osimage add small
perilune osimage pack small
systemctl is-active perilune-worker
test "$(find /var/lib/perilune/files -type f -name 'small-*' | wc -l)" = 3
test -z "$(find /var/lib/perilune/files -type f ! -user perilune)"
zstd -dc /var/lib/perilune/files/small-*.tar.zst | grep -a -q 'root:'
perilune osimage check small | grep kernel
perilune osimage clone small copy
test "$(stat -c '%U %a' /var/lib/perilune/images/copy/etc/shadow)" = "root $(stat -c %a /etc/shadow)"
perilune osimage rename copy moved
test -d /var/lib/perilune/images/moved
perilune osimage remove moved --tree --yes
for attempt in $(seq 50); do
    if [ ! -e /var/lib/perilune/images/moved ]; then break; fi
    sleep 0.2
done
test ! -e /var/lib/perilune/images/moved
