dpkg -r perilune
if systemctl is-active --quiet perilune perilune-worker perilune-worker.socket; then exit 1; fi
test ! -e /usr/bin/perilune
test ! -e /run/perilune/worker.sock
test -e /var/lib/perilune/perilune.db
grep '# ours' /etc/perilune/perilune.env
