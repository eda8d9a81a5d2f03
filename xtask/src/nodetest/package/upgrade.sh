echo '# ours' >>/etc/perilune/perilune.env
before=$(systemctl show --property=MainPID --value perilune)
dpkg -i /root/new.deb
dpkg -s perilune | grep 'Version: 0.1.1'
systemctl is-active perilune
test "$(systemctl show --property=MainPID --value perilune)" != "$before"
grep '# ours' /etc/perilune/perilune.env
perilune osimage list | grep small
perilune osimage pack small
