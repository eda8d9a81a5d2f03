//! Grabbing an image from a node and pushing one to nodes, with the real rsync. In the place of ssh is a program that runs what it
//! is given right here, but for nodes that are dead: the node's files are those of a directory on this machine.

#![expect(clippy::disallowed_methods, reason = "a test may wait for a program")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use serde_json::json;

use crate::kill::Daemon;
use crate::{perilune, said};

/// Runs the command of the other side; the second node does not answer.
const SHELL: &str = "#!/bin/sh
while [ \"$1\" = -l ]; do shift 2; done
[ ! -e \"$(dirname \"$0\")/quiet\" ] || [ \"$2\" != cat ] || exit 1
case $1 in 10.141.0.2) echo 'ssh: connect to host 10.141.0.2 port 22: No route to host' >&2; exit 255;; esac
shift
exec \"$@\"
";

struct Site {
    directory: tempfile::TempDir,
    _daemon: Daemon,
}

impl Site {
    /// Two nodes; their file system is the directory `root`, and the image has a tree of its own.
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(directory: tempfile::TempDir) -> Self {
        let at = |name: &str| directory.path().join(name);
        let shell = at("shell");
        fs::write(&shell, SHELL).unwrap();
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(at("root/keep out")).unwrap();
        fs::write(at("root/file"), "of the node").unwrap();
        fs::write(at("root/keep out/secret"), "of the node").unwrap();
        fs::create_dir_all(at("data")).unwrap();
        let daemon = Daemon::start_with(&at("data"), &[("RSYNC_RSH", &shell)]);
        let image = json!({
            "path": at("tree").to_str().unwrap(), "grab_filesystems": at("root").to_str().unwrap(),
            "grab_exclude": "secret, /nothing/*",
        });
        assert_eq!(daemon.config("osimage", "debian", &image), Some(201));
        assert_eq!(daemon.config("group", "compute", &json!({ "osimage": "debian" })), Some(201));
        for (number, node) in (1..).zip(["node001", "node002"]) {
            let address = format!("10.141.0.{number}");
            let interface =
                json!({ "interface": "BOOTIF", "network": "cluster", "ipaddress": address });
            let fields = json!({ "group": "compute", "interfaces": [interface] });
            assert_eq!(daemon.config("node", node, &fields), Some(201));
        }
        Self { directory, _daemon: daemon }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where a file of the node is in the image.
    fn in_image(&self, name: &str) -> PathBuf {
        let path = self.at("root").join(name);
        self.at("tree").join(path.strip_prefix("/").unwrap())
    }

    fn perilune(&self, arguments: &[&str]) -> Output {
        perilune(&self.at("data"), arguments)
    }
}

#[test]
fn an_image_is_grabbed_from_a_node_after_a_look() {
    let site = Site::start();
    let output = site.perilune(&["osimage", "grab", "node001", "--bare"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for part in
        ["[DRY RUN]", "would change: ", "root/file", "finished grabbing osimage debian: Success"]
    {
        assert!(said(&output).contains(part), "{part} is not in {}", said(&output));
    }
    assert!(!site.at("tree").exists());

    let output = site.perilune(&["osimage", "grab", "node001", "--bare", "--commit"]);
    assert!(said(&output).contains("[REAL/NODRY RUN]"), "{}", said(&output));
    assert_eq!(fs::read_to_string(site.in_image("file")).unwrap(), "of the node");
    assert!(site.in_image("keep out").is_dir());
    assert!(!site.in_image("keep out/secret").exists(), "it is excluded");

    fs::remove_file(site.at("root/file")).unwrap();
    let output = site.perilune(&["osimage", "grab", "node001", "--bare", "--commit"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!site.in_image("file").exists(), "what the node has no more, the image has no more");

    // Without a kernel it is not packed, and whoever follows is told.
    let output = site.perilune(&["osimage", "grab", "node001", "--commit"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("error: assembling osimage debian"), "{}", said(&output));
}

#[test]
fn what_a_node_has_mounted_is_named_and_not_grabbed() {
    // What is mounted below /tmp of a node is nothing to speak of.
    let site = Site::start_in(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let mounted = site.at("root/keep out/over there");
    fs::create_dir_all(&mounted).unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        let run = std::process::Command::new(program).args(arguments).arg(&mounted).status();
        run.is_ok_and(|status| status.success())
    };
    if !mount("mount", &["-t", "tmpfs", "tmpfs"]) {
        println!("NOT TESTED: nothing can be mounted here");
        return;
    }
    fs::write(mounted.join("elsewhere"), "of another file system").unwrap();
    let grab = || site.perilune(&["osimage", "grab", "node001", "--bare", "--commit"]);
    let output = grab();
    fs::write(site.at("quiet"), "").unwrap();
    let quiet = grab();
    assert!(mount("umount", &[]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = format!("note: what is mounted at {} on node001 is not grabbed", mounted.display());
    assert!(said(&output).contains(&told), "{}", said(&output));
    assert!(!said(&output).contains("/proc"), "{}", said(&output));
    assert!(site.in_image("keep out/over there").is_dir());
    assert!(!site.in_image("keep out/over there/elsewhere").exists());
    assert!(site.in_image("file").exists());
    // A node that does not tell is read as before, and that is told.
    assert!(said(&quiet).contains("node001 does not tell what it has mounted"), "{}", said(&quiet));
    assert!(!site.in_image("keep out/over there/elsewhere").exists());
}

#[test]
fn an_image_is_pushed_to_nodes_and_those_that_do_not_answer_are_named() {
    let site = Site::start();
    let output = site.perilune(&["osimage", "push", "node001", "--commit"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("is not a tree of an image"), "{}", said(&output));

    fs::create_dir_all(site.in_image("")).unwrap();
    fs::write(site.in_image("new"), "of the image").unwrap();
    let output = site.perilune(&["osimage", "push", "node001"]);
    assert!(said(&output).contains("would change: "), "{}", said(&output));
    assert!(!site.at("root/new").exists());

    let output = site.perilune(&["osimage", "push", "--group", "compute", "--commit"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for part in [
        "node001:success",
        "node002:Failed -> rsync ended with",
        "No route to host",
        "1 of the nodes did not get it",
    ] {
        assert!(said(&output).contains(part), "{part} is not in {}", said(&output));
    }
    assert_eq!(fs::read_to_string(site.at("root/new")).unwrap(), "of the image");
    assert_eq!(
        fs::read_to_string(site.at("root/file")).unwrap(),
        "of the node",
        "nothing of its own goes"
    );

    for arguments in [["osimage", "push", "nothing"], ["osimage", "grab", "nothing"]] {
        let output = site.perilune(&arguments);
        assert!(said(&output).contains("there is no node 'nothing'"), "{}", said(&output));
    }
    let output = site.perilune(&["osimage", "grab", "node001", "--osimage", "nothing"]);
    assert!(said(&output).contains("there is no OS image 'nothing'"), "{}", said(&output));
}
