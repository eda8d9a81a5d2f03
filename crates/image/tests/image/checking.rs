//! The check list of an image, and what of one machine is left in it.

use std::{fs, os::unix::fs::symlink, path::Path};

use perilune_image::{CancelFlag, CheckRequest, Level, check, identity_patterns};

use crate::trees::{Bench, VERSION};

fn write(tree: &Path, path: &str, text: &str) {
    let file = tree.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// The findings about a subject: level and text.
fn found(tree: &Path, subject: &str) -> Vec<(Level, String)> {
    let request =
        CheckRequest { tree: tree.to_owned(), kernel_version: None, kernel_modules: Vec::new() };
    let findings = check(&request, &CancelFlag::default()).unwrap();
    let of_subject = findings.into_iter().filter(|finding| finding.subject == subject);
    of_subject.map(|finding| (finding.level, finding.text)).collect()
}

const LEFT: [(&str, &str); 8] = [
    ("etc/machine-id", "0f4ac1cd00004000800000000000abcd\n"),
    ("var/lib/dbus/machine-id", "0f4ac1cd00004000800000000000abcd\n"),
    ("etc/ssh/ssh_host_ed25519_key", "key"),
    ("etc/ssh/ssh_host_ed25519_key.pub", "key"),
    ("etc/iscsi/initiatorname.iscsi", "# Made\nInitiatorName = iqn.1993-08.org.debian:01:abc\n"),
    ("etc/nvme/hostid", "0f4ac1cd-0000-4000-8000-00000000abcd\n"),
    ("etc/nvme/hostnqn", "nqn.2014-08.org.nvmexpress:uuid:0f4ac1cd\n"),
    ("var/lib/systemd/random-seed", "seed"),
];

#[test]
fn what_of_one_machine_is_left_in_an_image_is_told_when_it_is_packed_and_checked() {
    let bench = Bench::new();
    for (path, text) in LEFT {
        write(bench.image.path(), path, text);
    }
    let warnings = bench.pack().unwrap().warnings.join("; ");
    let findings = found(bench.image.path(), "identity");
    let texts: Vec<&str> = findings.iter().map(|(_, text)| text.as_str()).collect();
    assert!(findings.iter().all(|(level, _)| *level == Level::Warning), "{findings:?}");
    for (path, _) in LEFT {
        assert!(warnings.contains(&format!("/{path}")), "{path}: {warnings}");
        assert!(texts.iter().any(|text| text.contains(&format!("/{path}"))), "{path}: {texts:?}");
    }
}

#[test]
fn files_that_name_no_machine_are_none_to_speak_of() {
    let bench = Bench::new();
    let tree = bench.image.path();
    write(tree, "etc/machine-id", "uninitialized\n");
    write(tree, "etc/iscsi/initiatorname.iscsi", "GenerateName=yes\n# InitiatorName=iqn.x\n");
    write(tree, "etc/nvme/hostid", "");
    write(tree, "etc/ssh/ssh_config", "Host *\n");
    fs::create_dir_all(tree.join("var/lib/dbus")).unwrap();
    symlink("/etc/machine-id", tree.join("var/lib/dbus/machine-id")).unwrap();
    assert_eq!(found(tree, "identity").len(), 1);
    assert_eq!(found(tree, "identity")[0].0, Level::Good);
    write(tree, "etc/machine-id", "");
    assert_eq!(found(tree, "identity")[0].0, Level::Good);
}

#[test]
fn who_copies_a_running_machine_can_leave_all_of_that_out() {
    let patterns: Vec<String> = identity_patterns().collect();
    for (path, _) in LEFT {
        let path = format!("/{path}");
        let is_left_out = patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == *pattern,
        });
        assert!(is_left_out, "{path}");
    }
}

#[test]
fn the_check_list_says_what_a_node_would_lack() {
    let bench = Bench::new();
    let tree = bench.image.path();
    assert_eq!(found(tree, "kernel")[0], (Level::Good, VERSION.to_owned()));
    let warnings = |subject: &str| {
        found(tree, subject).iter().filter(|(level, _)| *level == Level::Warning).count()
    };
    assert_eq!((warnings("loader"), warnings("ssh")), (2, 1));
    assert_eq!(found(tree, "network")[0].0, Level::Fault);
    assert_eq!(found(tree, "selinux")[0].0, Level::Good);
    assert_eq!(found(tree, "credentials")[0].0, Level::Good);
    assert!(found(tree, "size")[0].1.contains("MiB"));

    write(tree, "usr/lib/systemd/boot/efi/systemd-bootx64.efi", "");
    write(tree, "usr/sbin/grub-install", "");
    fs::create_dir_all(tree.join("usr/lib/grub/i386-pc")).unwrap();
    write(tree, "usr/sbin/sshd", "");
    write(tree, "usr/sbin/NetworkManager", "");
    assert_eq!(warnings("loader"), 0);
    assert!(found(tree, "loader")[0].1.contains("for Secure Boot install shim-signed"));
    write(tree, "boot/efi/EFI/rocky/shimx64.efi", "");
    assert!(found(tree, "loader")[0].1.contains("systemd-boot"), "shim alone starts nothing");
    write(tree, "boot/efi/EFI/rocky/grubx64.efi", "");
    assert!(found(tree, "loader")[0].1.contains("also with Secure Boot"));
    assert_eq!(warnings("disk"), 2);
    write(tree, "usr/bin/dracut", "");
    write(tree, "sbin/e2fsck", "");
    assert_eq!(warnings("disk"), 0);
    assert!(found(tree, "ssh")[0].1.contains("not enabled"));
    assert!(found(tree, "network")[0].1.contains("not enabled"));
    let wants = tree.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("/lib/systemd/system/ssh.service", wants.join("ssh.service")).unwrap();
    symlink("/lib/systemd/system/x", wants.join("NetworkManager.service")).unwrap();
    assert_eq!((found(tree, "ssh")[0].0, found(tree, "network")[0].0), (Level::Good, Level::Good));

    write(tree, "etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n");
    assert!(found(tree, "selinux")[0].1.contains("the policy 'targeted' is not installed"));
    write(tree, "etc/selinux/targeted/contexts/files/file_contexts", "");
    assert!(found(tree, "selinux")[0].1.contains("setfiles is missing"));
    write(tree, "usr/sbin/setfiles", "");
    assert_eq!(found(tree, "selinux")[0], (Level::Good, "enforcing, policy targeted".to_owned()));

    fs::remove_file(tree.join(format!("boot/vmlinuz-{VERSION}"))).unwrap();
    assert_eq!(found(tree, "kernel")[0].0, Level::Fault);
}

#[test]
fn credentials_of_a_controller_are_found_wherever_they_lie_and_never_shown() {
    let bench = Bench::new();
    let tree = bench.image.path();
    write(
        tree,
        "trinity/local/luna/daemon/config/luna.ini",
        "[API]\nUSERNAME = luna\nPASSWORD = hunter2\n",
    );
    write(tree, "opt/old/luna.ini.rpmsave", "[API]\nsecret_key: hunter2\n");
    write(tree, "etc/luna.ini", "[API]\nENDPOINT = controller:7050\nPASSWORD =\n");
    write(tree, "var/lib/old/luna.key", "hunter2");
    write(tree, "root/token.txt", "eyJhunter2");
    write(tree, "usr/share/doc/token", "A token is a word.");
    let huge = fs::File::create(tree.join("opt/old/luna.ini.huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let findings = found(tree, "credentials");
    let texts: Vec<&str> = findings.iter().map(|(_, text)| text.as_str()).collect();
    assert!(findings.iter().all(|(level, _)| *level == Level::Fault), "{findings:?}");
    let places = ["/opt/old/luna.ini.rpmsave has", "/root/token.txt has a login"];
    let places = places.iter().chain(&["/trinity/local/", "/var/lib/old/luna.key has the key"]);
    assert_eq!(texts.len(), 4, "{texts:?}");
    for (text, place) in texts.iter().zip(places) {
        assert!(text.starts_with(place), "{text}");
    }
    assert!(!texts.join(" ").contains("hunter2"));
}
