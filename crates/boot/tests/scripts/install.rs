//! The install script as bash reads and runs it: against a controller, into a directory.
#![expect(clippy::disallowed_methods, reason = "bash, tar and shellcheck are what is tested with")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use perilune_boot::{Directories, Environment, Site, Templates};
use perilune_model::Draft;
use std::io::Write;

use crate::cluster::{built_in, change_image, change_node, environment, everything, small};
use crate::controller::Controller;

/// Whether bash finds no error in the script's form.
pub(crate) fn bash_parses(script: &str) -> bool {
    let (output, status) = feed(Command::new("bash").arg("-n"), script);
    if !status {
        eprintln!("{output}");
    }
    // Some errors are only warnings to bash: a document that has no end.
    status && output.is_empty()
}

fn feed(command: &mut Command, text: &str) -> (String, bool) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (both(&output), output.status.success())
}

fn both(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

fn every_script() -> Vec<String> {
    let mut scripts = Vec::new();
    for distribution in ["rocky", "opensuse", "ubuntu", "debian", "arch"] {
        for mut draft in [small(), everything()] {
            change_image(&mut draft, |image| image.distribution = Some(distribution.to_owned()));
            scripts.push(render(&draft, &built_in(), &environment(&draft)));
        }
    }
    scripts
}

fn render(draft: &Draft, templates: &Templates, environment: &Environment) -> String {
    let site = Site { templates, environment, cluster: draft };
    site.install_script("node001", "a.b.c").unwrap()
}

#[test]
fn bash_finds_no_error_in_any_install_script() {
    for script in every_script() {
        assert!(bash_parses(&script), "in:\n{script}");
    }
}

#[test]
fn shellcheck_finds_nothing_to_warn_of() {
    if Command::new("shellcheck").arg("--version").output().is_err() {
        return;
    }
    for script in every_script() {
        let arguments = ["--shell=bash", "--severity=warning", "-"];
        let (output, success) = feed(Command::new("shellcheck").args(arguments), &script);
        assert!(success, "{output}");
    }
}

/// A run of the script: an image, a controller, and directories in place of the initramfs's.
struct Run {
    directory: tempfile::TempDir,
    controller: Controller,
    output: String,
    success: bool,
}

impl Run {
    fn root(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root(path))
            .unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.output))
    }
}

const SECRETS: &str = r#"{"config": {"secrets": {"node": {"node001": [{"name": "path", "content": "c2VjcmV0IG9uZQo=", "path": "/etc/keys/one"},
 {"name": "no \"path\"", "content": "bm9uZQ=="}, {"name": "up", "content": "dXA=", "path": "/etc/../../escaped"}]},
 "group": {"compute": [{"name": "content", "content": "YQpi\nCg==", "path": "/etc/two words", "owner": "12:34", "mode": "0640"}]},
 "cluster": [{"name": "binary", "content": "AP8K", "path": "/etc/binary", "owner": "munge:munge", "mode": "400"}]}}"#;
const SCRIPT: &str = r#"{"script": {"burnin": {"prescript": "ZWNobyBwcmUgPj4gIiRfU1lTVEVNUk9PVC9yYW4iCg==", "partscript": "Cg==", "postscript": "ZWNobyBwb3N0ID4+ICIkX1NZU1RFTVJPT1QvcmFuIgo="}}}"#;
const ROLE: &str =
    r#"{"role": {"storage": {"unit": "W1VuaXRdCg==", "script": "CiMhL2Jpbi9zaAo="}}}"#;

/// Packs a small tree with `program` and installs it. `change` is made to the cluster before.
fn install(program: &str, extension: &str, change: impl FnOnce(&mut Draft, &Path)) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    for path in ["etc/systemd/system", "tmp", "usr/bin"] {
        fs::create_dir_all(tree.join(path)).unwrap();
    }
    fs::write(tree.join("etc/passwd"), "image:x:0:0::/:/bin/sh\nmunge:x:996:995::/:/bin/false\n")
        .unwrap();
    fs::write(tree.join("etc/group"), "image:x:0:\nmunge:x:995:\n").unwrap();
    fs::write(tree.join("usr/bin/program"), vec![7; 300_000]).unwrap();
    fs::set_permissions(tree.join("usr/bin/program"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::hard_link(tree.join("usr/bin/program"), tree.join("usr/bin/link")).unwrap();
    let archive = directory.path().join(format!("compute.{extension}"));
    let pack = Command::new("tar")
        .args(["--xattrs", "--acls", "-I", program, "-C"])
        .arg(&tree)
        .arg("-cf")
        .arg(&archive)
        .arg(".")
        .status();
    assert!(pack.unwrap().success());

    let mut draft = small();
    change_image(&mut draft, |image| {
        image.files.imagefile = Some(format!("compute.{extension}"));
        image.files.size = Some(fs::metadata(&archive).unwrap().len());
    });
    change_node(&mut draft, |node| node.provisioning.partscript = Some("true".to_owned()));
    change(&mut draft, &archive);
    let answers = BTreeMap::from([
        (format!("/files/compute.{extension}"), fs::read(&archive).unwrap()),
        ("/config/secrets/node/node001".to_owned(), SECRETS.into()),
        ("/boot/scripts/burnin".to_owned(), SCRIPT.into()),
        ("/boot/roles/storage".to_owned(), ROLE.into()),
    ]);
    let (controller, address) = Controller::start(answers);
    let environment = Environment::single(address.ip(), address.port());
    let script = render(&draft, &built_in(), &environment);
    let root = directory.path().join("root");
    let script =
        script.replace("_SYSTEMROOT='/sysroot'", &format!("_SYSTEMROOT='{}'", root.display()));
    fs::create_dir_all(directory.path().join("etc")).unwrap();
    for name in ["passwd", "group"] {
        fs::write(directory.path().join("etc").join(name), "initramfs:x:0:0::/:/bin/sh\n").unwrap();
    }
    // What it would run inside the root is only noted.
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let chroot = format!("#!/bin/sh\necho \"$@\" >> '{}/chroot'\n", directory.path().display());
    fs::write(programs.join("chroot"), chroot).unwrap();
    fs::set_permissions(programs.join("chroot"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let file = directory.path().join("install.sh");
    fs::write(&file, script).unwrap();
    let output = Command::new("timeout")
        .args(["60", "bash"])
        .arg(&file)
        .env("PATH", path)
        .env("LUNA_TMP", directory.path().join("lunatmp"))
        .env("LUNA_ETC", directory.path().join("etc"))
        .env("LUNA_PAUSE", "0")
        .env("rootmnt", &root)
        .output()
        .unwrap();
    Run { directory, controller, output: both(&output), success: output.status.success() }
}

fn with_everything(draft: &mut Draft, _: &Path) {
    change_node(draft, |node| {
        node.provisioning.scripts = Some("burnin".to_owned().into());
        node.provisioning.roles = Some("storage".to_owned().into());
        node.provisioning.prescript =
            Some("mkdir -p \"$_SYSTEMROOT\"; echo own pre >> \"$_SYSTEMROOT/ran\"".to_owned());
        node.provisioning.postscript = Some("echo own post >> \"$_SYSTEMROOT/ran\"".to_owned());
    });
}

#[test]
fn an_image_is_installed_with_all_steps_in_their_order() {
    for (program, extension) in [("lbzip2", "tar.bz2"), ("zstd", "tar.zst"), ("gzip", "tar.gz")] {
        let run = install(program, extension, with_everything);
        assert!(run.success, "{}", run.output);
        let states = [
            "scripts",
            "prescript",
            "partscript",
            "download",
            "unpack",
            "setnet",
            "secrets",
            "postscript",
            "roles",
            "success",
        ];
        assert_eq!(
            run.controller.states(),
            states.map(|state| format!("install.{state}")),
            "{}",
            run.output
        );
        assert!(run.controller.requests().iter().all(|request| request.token == "a.b.c"));

        let program = fs::metadata(run.root("usr/bin/program")).unwrap();
        assert_eq!(program.permissions().mode() & 0o7777, 0o6755);
        assert_eq!(program.ino(), fs::metadata(run.root("usr/bin/link")).unwrap().ino());
        assert!(run.read("etc/passwd").starts_with("image:x:0:0::/:/bin/sh\n"));
        assert_eq!(run.read("etc/hostname"), "node001.cluster\n");
        assert_eq!(run.read("ran"), "own pre\npre\nown post\npost\n");
        let network =
            run.read("etc/NetworkManager/system-connections/Connection_BOOTIF.nmconnection");
        assert!(
            network.contains("\naddress1=10.141.0.1/16\ngateway=10.141.255.254\n"),
            "{network}"
        );
        assert_eq!(run.read("usr/local/roles/storage"), "#!/bin/sh\n");
        assert_eq!(run.read("etc/systemd/system/luna-storage.service"), "[Unit]\n");
        // The initramfs has its own again, and nothing of the installer is left.
        let own = fs::read_to_string(run.directory.path().join("etc/passwd")).unwrap();
        assert_eq!(own, "initramfs:x:0:0::/:/bin/sh\n");
        assert!(!run.directory.path().join("lunatmp").exists());
    }
}

#[test]
fn secrets_are_written_for_their_owner_alone() {
    let run = install("gzip", "tar.gz", |_, _| {});
    assert!(run.success, "{}", run.output);
    assert_eq!(run.read("etc/keys/one"), "secret one\n");
    assert_eq!(run.read("etc/two words"), "a\nb\n");
    let mode = fs::metadata(run.root("etc/keys/one")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read(run.root("etc/binary")).unwrap(), [0, 0xff, 10]);
    for (path, expected) in [
        ("etc/keys/one", (0, 0, 0o600)),
        ("etc/two words", (12, 34, 0o640)),
        ("etc/binary", (996, 995, 0o400)),
    ] {
        let file = fs::metadata(run.root(path)).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), expected, "{path}");
    }
    assert!(!run.directory.path().join("escaped").exists(), "{}", run.output);
    assert!(run.output.contains("'..' in its path"), "{}", run.output);
}

#[test]
fn a_secret_of_somebody_whom_the_image_does_not_know_ends_the_installation() {
    let run = install("gzip", "tar.gz", |draft, archive| {
        let again = archive.with_file_name("again");
        fs::create_dir_all(again.join("etc")).unwrap();
        fs::write(again.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        fs::write(again.join("etc/group"), "root:x:0:\n").unwrap();
        let mut pack = Command::new("tar");
        let pack = pack.arg("-C").arg(&again).arg("-czf").arg(archive).arg(".").status();
        assert!(pack.unwrap().success());
        let size = fs::metadata(archive).unwrap().len();
        change_image(draft, |image| image.files.size = Some(size));
    });
    assert!(!run.success, "{}", run.output);
    assert_eq!(run.controller.states().pop().unwrap(), "install.error", "{}", run.output);
    assert!(run.output.contains("the image has no user 'munge'"), "{}", run.output);
}

#[test]
fn a_script_that_fails_ends_the_installation_with_its_reason() {
    let run = install("gzip", "tar.gz", |draft, _| {
        change_node(draft, |node| node.provisioning.prescript = Some("exit 7".to_owned()));
    });
    assert!(!run.success);
    assert_eq!(run.controller.states(), ["install.scripts", "install.prescript", "install.error"]);
    let last = run.controller.requests().pop().unwrap();
    assert!(last.body.contains("the prescript failed with exit code 7"), "{}", last.body);
}

#[test]
fn a_damaged_archive_is_not_taken_for_a_system() {
    let run = install("zstd", "tar.zst", |draft, archive| {
        let mut bytes = fs::read(archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(archive, bytes).unwrap();
        change_image(draft, |image| image.files.checksum = None);
    });
    assert!(!run.success, "{}", run.output);
    assert_eq!(run.controller.states().pop().unwrap(), "install.error", "{}", run.output);
    assert!(run.output.contains("could not be unpacked"), "{}", run.output);
}

#[test]
fn the_second_way_is_taken_when_the_first_leads_nowhere() {
    let run = install("gzip", "tar.gz", |draft, _| {
        change_node(draft, |node| {
            node.provisioning.provision_method = Some("torrent".to_owned().into());
            node.provisioning.provision_fallback = Some("http".to_owned().into());
        });
    });
    assert!(run.success, "{}", run.output);
    assert!(run.output.contains("(torrent)") && run.output.contains("(http)"), "{}", run.output);
}

#[test]
fn without_an_image_the_installer_waits_for_somebody_to_bring_one() {
    let run = install("gzip", "tar.gz", |draft, archive| {
        // The archive is not what the cluster says: somebody else's, cut short.
        change_image(draft, |image| image.files.size = Some(7));
        let installer = archive.parent().unwrap().join("lunatmp");
        let bring = format!(
            "(while ! ls '{0}' >/dev/null 2>&1; do sleep 0.1; done; sleep 2; cp '{1}' '{0}/compute.tar.gz'; kill -USR1 $PPID) >/dev/null 2>&1 &",
            installer.display(),
            archive.display(),
        );
        change_node(draft, |node| node.provisioning.prescript = Some(bring));
    });
    assert!(run.success, "{}", run.output);
    assert!(run.output.contains("no image: service mode"), "{}", run.output);
    let states = run.controller.states();
    assert_eq!(states[states.len() - 7..][0], "install.unpack", "{states:?}");
    assert!(run.root("usr/bin/program").exists());
}

#[test]
fn debian_is_configured_for_what_the_image_has() {
    let of_debian = |draft: &mut Draft| {
        change_image(draft, |image| image.distribution = Some("debian".to_owned()));
    };
    let mode =
        |run: &Run, path: &str| fs::metadata(run.root(path)).unwrap().permissions().mode() & 0o777;
    let run = install("gzip", "tar.gz", |draft, _| of_debian(draft));
    let network = run.read("etc/systemd/network/20-luna-BOOTIF.network");
    assert!(network.contains("Address=10.141.0.1/16\n"), "{network}");
    assert_eq!(mode(&run, "etc/systemd/network/20-luna-BOOTIF.network"), 0o644);
    assert!(!run.root("etc/network").exists() && !run.root("etc/resolv.conf").exists());

    let run = install("gzip", "tar.gz", |draft, _| {
        of_debian(draft);
        let ifupdown = "mkdir -p $rootmnt/etc/network; : > $rootmnt/etc/network/interfaces";
        change_node(draft, |node| node.provisioning.partscript = Some(ifupdown.to_owned()));
    });
    let network = run.read("etc/network/interfaces.d/BOOTIF");
    assert!(network.contains("iface BOOTIF inet static\n    address 10.141.0.1/16\n"), "{network}");
    assert_eq!(run.read("etc/resolv.conf"), "search cluster\nnameserver 127.0.0.1\n");
    assert_eq!(mode(&run, "etc/resolv.conf"), 0o644);
    assert!(!run.root("etc/systemd/network").exists());
}

#[test]
fn files_are_labelled_whenever_the_image_has_a_policy_that_is_enforced_or_permissive() {
    // The configuration, whether there is a setfiles, whether files are labelled now, and whether later.
    let table = [
        ("SELINUX=enforcing\nSELINUXTYPE=targeted", true, true, false),
        ("SELINUX = Permissive # for now", true, true, false),
        ("SELINUX=enforcing\nSELINUXTYPE=targeted", false, false, true),
        ("SELINUX=disabled\nSELINUXTYPE=targeted", true, false, false),
        ("SELINUX=enforcing\nSELINUXTYPE=minimum", true, false, false),
        ("SELINUX=enforcing\nSELINUXTYPE=../targeted", true, false, false),
        ("#SELINUX=enforcing", true, false, false),
    ];
    for (position, (configuration, has_setfiles, now, later)) in table.into_iter().enumerate() {
        // Whether the cluster wants security decides nothing.
        let security = position % 2 == 1;
        let run = install("gzip", "tar.gz", |draft, _| {
            let mut settings = (**draft.settings()).clone();
            settings.security = security;
            draft.put(settings).unwrap();
            let setfiles = if has_setfiles { "usr/sbin/setfiles" } else { "usr/sbin/other" };
            let script = format!(
                "mkdir -p $rootmnt/etc/selinux/targeted/contexts/files $rootmnt/usr/sbin\n\
                 echo '{configuration}' > $rootmnt/etc/selinux/config\n\
                 : > $rootmnt/etc/selinux/targeted/contexts/files/file_contexts\n\
                 : > $rootmnt/{setfiles}; chmod 755 $rootmnt/{setfiles}"
            );
            change_node(draft, |node| node.provisioning.partscript = Some(script));
        });
        assert!(run.success, "{}", run.output);
        let inside = fs::read_to_string(run.directory.path().join("chroot")).unwrap_or_default();
        let labelled = inside.contains(
            "/usr/sbin/setfiles -F -e /proc -e /sys -e /dev -e /run /etc/selinux/targeted/contexts/files/file_contexts /\n",
        );
        assert_eq!(labelled, now, "{configuration}, security {security}: {inside}");
        assert_eq!(run.root(".autorelabel").exists(), later, "{configuration}");
    }
}

#[test]
fn a_site_plugin_takes_part() {
    let plugins = tempfile::tempdir().unwrap();
    let scripts = plugins.path().join("boot/scripts/compute");
    fs::create_dir_all(&scripts).unwrap();
    fs::write(scripts.join("postscript"), "echo plugin of {{ NODE_NAME }}\n").unwrap();
    let directories =
        Directories { plugins: Some(plugins.path().to_owned()), ..Directories::default() };
    let draft = small();
    let script = render(&draft, &Templates::new(directories), &environment(&draft));
    assert!(script.contains("\n    echo plugin of node001\n"), "{script}");
    assert!(bash_parses(&script));
}

#[test]
fn texts_of_plugins_in_python_are_used() {
    let plugins = tempfile::tempdir().unwrap();
    for kind in ["scripts", "roles"] {
        fs::create_dir_all(plugins.path().join("boot").join(kind)).unwrap();
    }
    let script = "class Plugin():\n    prescript = ''\n    partscript = 'mkfs'\n    postscript = \"\"\"\necho {{ NODE_NAME }}\n\"\"\"\n";
    fs::write(plugins.path().join("boot/scripts/node001.py"), script).unwrap();
    let role = "class Plugin():\n    unit = 'ExecStart=__LUNA_ROLE__'\n    script = '#!/bin/sh'\n";
    fs::write(plugins.path().join("boot/roles/storage.py"), role).unwrap();
    let directories =
        Directories { plugins: Some(plugins.path().to_owned()), ..Directories::default() };
    let templates = Templates::new(directories);
    let draft = small();
    let script = render(&draft, &templates, &environment(&draft));
    assert!(script.contains("\necho node001\n"), "{script}");
    assert!(bash_parses(&script));
    // Base64 of "\n", of "mkfs", and of the unit with the role's name.
    let named = templates.named_script("node001").unwrap();
    assert_eq!((named.prescript.as_str(), named.partscript.as_str()), ("Cg==", "bWtmcw=="));
    assert_eq!(templates.role("storage").unwrap().unit, "RXhlY1N0YXJ0PXN0b3JhZ2U=");
    assert!(templates.role("../storage").is_none() && templates.role("nothing").is_none());
}
