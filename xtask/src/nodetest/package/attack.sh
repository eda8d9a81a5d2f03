ask() {
    said=$(runuser -u "$1" -- perl -MIO::Socket::UNIX -e '
        my $socket = IO::Socket::UNIX->new(Peer => "/run/perilune/worker.sock") or print("not reached\n"), exit;
        print $socket "$ARGV[0]\n"; print while <$socket>;' "$2" </dev/null)
    # To be seen where it is not what is looked for.
    echo "$said" >&2
    echo "$said"
}
remove='{"verb":"remove","tree":"TREE","request":"1"}'
ask nobody "$remove" | grep 'not reached'
ask perilune "$(echo "$remove" | sed 's,TREE,/etc,')" | grep 'it is not below'
ask perilune "$(echo "$remove" | sed 's,TREE,/var/lib/perilune/images/../files,')" | grep 'it is not below'
ask perilune '{"verb":"run","program":"/bin/sh"}' | grep 'does not know'
# The daemon's user cannot put anything in the place of trees.
for attempt in 'mv /var/lib/perilune/images /var/lib/perilune/other' 'ln -s /etc /var/lib/perilune/images/link' 'touch /var/lib/perilune/images/small/x' 'rm -r /var/lib/perilune/images'; do
    if runuser -u perilune -- $attempt; then exit 1; fi
done
ln -s /etc /var/lib/perilune/images/link
ask perilune '{"verb":"leave","tree":"/var/lib/perilune/images/link"}' | grep 'a link is not followed'
rm /var/lib/perilune/images/link
# Nor has the worker write where it may not, were it led there.
runuser -u perilune -- mv /var/lib/perilune/files /var/lib/perilune/aside
runuser -u perilune -- ln -s /etc /var/lib/perilune/files
ask perilune "{\"verb\":\"pack\",\"name\":\"x\",\"tree\":\"/var/lib/perilune/images/small\",\"kernel_version\":null,\"kernel_modules\":[],\"epoch\":1,\"format\":\"tar.zst\",\"mounts\":\"refuse\",\"readers\":\"Everybody\",\"parts\":\"all\"}" | grep 'it cannot be opened'
runuser -u perilune -- rm /var/lib/perilune/files
runuser -u perilune -- mv /var/lib/perilune/aside /var/lib/perilune/files
test -z "$(find /etc -name 'x-1*')"
