//! `--dry-run` does nothing, whatever it is given to.

use std::path::Path;

use crate::kill::Daemon;
use crate::{errors, perilune, said};

fn done(data: &Path, arguments: &[&str]) -> String {
    let output = perilune(data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Something of every kind that commands change.
fn site(data: &Path) -> Daemon {
    let daemon = Daemon::start(data);
    for command in [
        &["osimage", "add", "debian", "--path", "/nowhere"][..],
        &["group", "add", "compute", "--osimage", "debian"],
        &["node", "add", "n[1-3]", "--group", "compute"],
        &["node", "interface", "set", "n1", "BMC", "--network", "cluster"],
        &["rack", "add", "r1"],
        &["rack", "place", "r1", "n1", "--position", "1"],
        &["bmcsetup", "add", "b1"],
        &["switch", "add", "sw1", "--network", "cluster"],
        &["otherdev", "add", "pdu1", "--network", "cluster"],
        &["cloud", "add", "c1"],
        &["dns", "set", "cluster", "www", "10.141.9.9"],
        &["secret", "set", "group", "compute", "key", "--content", "x", "--path", "/etc/key"],
        &["user", "add", "ann", "--password", "long enough"],
    ] {
        done(data, command);
    }
    daemon
}

/// All that can be seen of the site: what is described, who may log in, what was done, which boots are expected.
fn state(data: &Path) -> Vec<String> {
    let shown = [
        &["export", "--secrets", "-o", "json"][..],
        &["history", "-o", "json"],
        &["user", "list", "-o", "json"],
        &["user", "token", "list", "-o", "json"],
        &["node", "windows", "-o", "json"],
        &["key", "show"],
        &["audit", "--kind", "done", "-n", "1000", "-o", "json"],
    ];
    let texts = shown.iter().map(|words| {
        let output = perilune(data, words);
        format!("{words:?}: {}", said(&output))
    });
    texts.collect()
}

/// A line for each command that does something, as somebody would type it.
const COMMANDS: &str = "
cluster change --ntp-server 10.141.0.1
network add spare --network 10.9.0.0/16
network change cluster --gateway 10.141.0.1
network remove cluster --yes
network rename cluster other
osimage add copy --path /nowhere
osimage change debian --comment x
osimage clone debian copy
osimage pack debian
osimage kernel debian --kernelversion 9.9
osimage tag set debian v1
osimage remove debian --yes
osimage grab n1 --commit
osimage push n1 --commit
group add login
group change compute --comment x
group clone compute copy
group remove compute --yes
group rename compute other
group interface set compute eth1 --network cluster
node add n9 --group compute
node change n[1-3] --label canary=yes
node clone n1 n9
node remove n[1-2] --yes
node rename n1 n9
node interface set n1 eth1 --network cluster
node interface remove n1 BMC --yes
node adopt 52:54:00:00:00:09 n9 --group compute
node replace n1 52:54:00:00:00:09
node arm n1
node reinstall n1
bmcsetup add b2
bmcsetup change b1 --userid 3
bmcsetup clone b1 b2
bmcsetup remove b1 --yes
switch add sw2
switch change sw1 --oid 1.2
switch remove sw1 --yes
otherdev add pdu2
otherdev remove pdu1 --yes
cloud add c2
cloud remove c1 --yes
dns set cluster www 10.141.9.10
dns remove cluster www --yes
secret set cluster munge --content x --path /etc/munge
secret set group compute key --content y
secret remove group compute key --yes
key rotate
rack add r2
rack change r1 --size 10
rack place r1 n2 --position 2
rack take-out n1 --yes
rack remove r1 --yes
power on n1
power off n[1-3] --yes
identify on n1
sel clear n1
bmc forget n1
user add bob --password secret-enough
user change ann --role admin
user password ann --password other-enough
user revoke ann
user token add ci --role viewer
user remove ann --yes
undo 2
";

#[test]
fn a_dry_run_of_any_command_does_nothing() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    let before = state(data);
    for line in COMMANDS.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').chain(["--dry-run"]).collect();
        let output = perilune(data, &words);
        let told = errors(&output);
        // What cannot be tried says so. A line that is not taken would show nothing.
        let is_taken = !["Usage:", "unexpected argument", "unrecognized"]
            .iter()
            .any(|word| told.contains(word));
        assert!(is_taken, "{line}: {told}");
        let after = state(data);
        for (one, other) in before.iter().zip(&after) {
            assert_eq!(one, other, "after '{line}': {}", said(&output));
        }
    }
}
