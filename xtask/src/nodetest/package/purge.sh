dpkg -P perilune | grep 'stay in /var/lib/perilune'
test -e /var/lib/perilune/perilune.db
test ! -e /etc/perilune
test ! -e /var/log/perilune
