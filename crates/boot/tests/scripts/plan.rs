//! The plan for our own installer.

use std::fs;

use perilune_boot::{Directories, Error, Site, Templates};
use perilune_model::Draft;
use perilune_model::interface::Link;
use perilune_model::object::{ClusterSecrets, GroupSecrets, NodeSecrets};
use perilune_model::secret::{Secret, Secrets};
use perilune_plan::{FileSystem, Plan, Root, Script};

use crate::cluster::{built_in, change_image, change_node, environment, everything, name, small};

fn plan(draft: &Draft) -> Result<Plan, Error> {
    plan_of(draft, "node001", &built_in())
}

fn plan_of(draft: &Draft, node: &str, templates: &Templates) -> Result<Plan, Error> {
    let environment = environment(draft);
    let site = Site { templates, environment: &environment, cluster: draft };
    site.plan(node)
}

fn told(scripts: &[Script]) -> Vec<(&str, &str)> {
    scripts.iter().map(|script| (script.name.as_str(), script.text.trim())).collect()
}

#[test]
fn a_node_is_told_everything() {
    let (_directory, templates) = plugins();
    insta::assert_json_snapshot!(plan_of(&everything(), "node001", &templates).unwrap());
}

#[test]
fn the_boot_order_of_the_node_comes_before_that_of_its_group() {
    use perilune_model::provisioning::BootOrder;

    let mut draft = small();
    assert_eq!(plan(&draft).unwrap().boot_order, None);
    let mut group = (**draft.group("compute").unwrap()).clone();
    group.provisioning.boot_order = Some(BootOrder::Disk);
    draft.put(group).unwrap();
    assert_eq!(plan(&draft).unwrap().boot_order, Some(perilune_plan::BootOrder::Disk));
    change_node(&mut draft, |node| node.provisioning.boot_order = Some(BootOrder::Network));
    assert_eq!(plan(&draft).unwrap().boot_order, Some(perilune_plan::BootOrder::Network));
}

#[test]
fn without_layout_and_script_the_root_is_in_memory() {
    let mut draft = small();
    let mut group = (**draft.group("compute").unwrap()).clone();
    group.provisioning.partscript = None;
    draft.put(group).unwrap();
    assert_eq!(plan(&draft).unwrap().root, Root::Memory);
}

#[test]
fn the_partscript_that_groups_begin_with_is_a_root_in_memory_for_our_installer() {
    let mut draft = small();
    let mut group = (**draft.group("compute").unwrap()).clone();
    group.provisioning.partscript = Some(perilune_model::group::DEFAULT_PARTSCRIPT.to_owned());
    draft.put(group).unwrap();
    assert_eq!(plan(&draft).unwrap().root, Root::Memory);
    let mut plain = (**draft.group("compute").unwrap()).clone();
    let text = "mount -o mpol=interleave -t tmpfs tmpfs /sysroot";
    plain.provisioning.partscript = Some(text.to_owned());
    draft.put(plain).unwrap();
    assert_eq!(plan(&draft).unwrap().root, Root::Memory, "plain text is the same text");
    let mut other = (**draft.group("compute").unwrap()).clone();
    other.provisioning.partscript = Some(format!("{text} -o size=9G"));
    draft.put(other).unwrap();
    assert!(matches!(plan(&draft).unwrap().root, Root::Scripts(_)));
}

#[test]
fn the_postscript_that_groups_begin_with_is_not_run_on_a_root_on_disk() {
    let mut draft = small();
    let mut group = (**draft.group("compute").unwrap()).clone();
    group.provisioning.postscript = Some(perilune_model::group::DEFAULT_POSTSCRIPT.to_owned());
    draft.put(group.clone()).unwrap();
    assert_eq!(plan(&draft).unwrap().postscripts.len(), 1);
    let default = plan(&draft).unwrap().postscripts.swap_remove(0).text;
    group.provisioning.disklayout = Some("{}".to_owned());
    draft.put(group.clone()).unwrap();
    assert_eq!(plan(&draft).unwrap().postscripts, []);
    // As an editor of another system, or of a browser, gives it back.
    group.provisioning.postscript = Some(format!("{}\r\n\r\n", default.replace('\n', " \r\n")));
    draft.put(group.clone()).unwrap();
    assert_eq!(plan(&draft).unwrap().postscripts, []);
    group.provisioning.postscript =
        Some("echo '/dev/sdb1 /data ext4' >> /sysroot/etc/fstab".to_owned());
    draft.put(group).unwrap();
    assert_eq!(plan(&draft).unwrap().postscripts.len(), 1);
}

#[test]
fn a_nodes_partscript_that_does_nothing_overrides_what_its_group_has() {
    let layout = r#"{"disks": [{"partitions": [{"filesystem": "ext4", "mount": "/"}]}]}"#;
    for (layout, script) in [(None, Some("mount /dev/sda1 /sysroot")), (Some(layout), None)] {
        let mut draft = small();
        let mut group = (**draft.group("compute").unwrap()).clone();
        group.provisioning.disklayout = layout.map(str::to_owned);
        group.provisioning.partscript = script.map(str::to_owned);
        draft.put(group).unwrap();
        assert_ne!(plan(&draft).unwrap().root, Root::Memory);
        for nothing in [" ", "\n", "# in memory", "Cg==", perilune_model::group::DEFAULT_PARTSCRIPT]
        {
            change_node(&mut draft, |node| {
                node.provisioning.partscript = Some(nothing.to_owned());
            });
            assert_eq!(plan(&draft).unwrap().root, Root::Memory, "{nothing:?}");
        }
    }
}

#[test]
fn a_layout_comes_before_a_script_of_the_group_and_the_nodes_own_script_before_a_layout_of_the_group()
 {
    let mut draft = small();
    let layout = r#"{"disks": [{"partitions": [{"filesystem": "ext4", "mount": "/"}]}]}"#;
    let mut group = (**draft.group("compute").unwrap()).clone();
    group.provisioning.disklayout = Some(layout.to_owned());
    draft.put(group).unwrap();
    let Root::Disk(layout) = plan(&draft).unwrap().root else { panic!("a layout is expected") };
    assert_eq!(layout.disks[0].partitions[0].filesystem, FileSystem::Ext4);
    change_node(&mut draft, |node| {
        node.provisioning.partscript = Some("mount /dev/sda1 /sysroot".to_owned());
    });
    let Root::Scripts(scripts) = plan(&draft).unwrap().root else { panic!("a script is expected") };
    assert_eq!(told(&scripts), [("partscript", "mount /dev/sda1 /sysroot")]);
}

#[test]
fn a_wrong_layout_says_what_is_wrong() {
    for (layout, reason) in
        [("{", "EOF"), (r#"{"disks": [{"partitions": []}]}"#, "disk 1 has no partitions")]
    {
        let mut draft = small();
        change_node(&mut draft, |node| node.provisioning.disklayout = Some(layout.to_owned()));
        let message = plan(&draft).unwrap_err().to_string();
        assert!(message.starts_with("node001 cannot boot: its disklayout is wrong: "), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn what_is_missing_is_said_with_the_command_that_helps() {
    let mut not_packed = small();
    change_image(&mut not_packed, |image| image.files.imagefile = None);
    let mut kickstart = small();
    change_image(&mut kickstart, |image| image.files.imagefile = Some("kickstart".to_owned()));
    for (draft, words) in
        [(not_packed, "perilune osimage pack 'compute'"), (kickstart, "kickstart")]
    {
        let message = plan(&draft).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let nobody = plan_of(&small(), "node009", &built_in()).unwrap_err();
    assert!(matches!(nobody, Error::UnknownNode { .. }));
}

#[test]
fn the_nodes_secret_takes_the_place_of_its_groups_and_the_clusters_at_the_same_path() {
    let mut draft = small();
    let secret = |secret: &str, content: &str, path: Option<&str>| Secret {
        name: name(secret),
        content: content.to_owned(),
        path: path.map(str::to_owned),
        ..Secret::default()
    };
    draft
        .put(ClusterSecrets(Secrets {
            name: name("cluster"),
            secrets: vec![
                secret("everywhere", "ZQ==", Some("/etc/a")),
                Secret {
                    owner: Some("munge:munge".to_owned()),
                    mode: Some("400".to_owned()),
                    ..secret("munge", "bQ==", Some("/etc/munge"))
                },
            ],
        }))
        .unwrap();
    draft
        .put(GroupSecrets(Secrets {
            name: name("compute"),
            secrets: vec![
                secret("shared", "YQ==", Some("/etc/a")),
                secret("other", "Yg==", Some("/etc/b")),
                secret("unplaced", "Yw==", None),
            ],
        }))
        .unwrap();
    draft
        .put(NodeSecrets(Secrets {
            name: name("node001"),
            secrets: vec![secret("own", "plain text", Some("/etc/a"))],
        }))
        .unwrap();
    let found = plan(&draft).unwrap().secrets;
    assert_eq!(
        (found[0].owner.as_deref(), found[0].mode.as_deref()),
        (Some("munge:munge"), Some("400"))
    );
    let found: Vec<_> =
        found.iter().map(|secret| (secret.path.as_str(), secret.content.as_str())).collect();
    assert_eq!(found, [("/etc/munge", "bQ=="), ("/etc/b", "Yg=="), ("/etc/a", "cGxhaW4gdGV4dA==")]);
}

#[test]
fn options_of_interfaces_are_plain_text() {
    let mut draft = small();
    change_node(&mut draft, |node| {
        let link = Link { options: Some("YT1iCg==".to_owned()), ..Link::default() };
        node.interfaces[0].link = link;
    });
    assert_eq!(plan(&draft).unwrap().interfaces[0].options.as_deref(), Some("a=b\n"));
}

/// A site with scripts, one of them named after a group, and roles.
fn plugins() -> (tempfile::TempDir, Templates) {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let file = directory.path().join("boot").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write("scripts/ours/prescript", "# Nothing.\n");
    write("scripts/ours/partscript", "mkfs.xfs /dev/sdb\n");
    write("scripts/ours/postscript", "echo ours\n");
    write("scripts/compute/postscript", "echo compute\n");
    write("scripts/raid1/partscript", "mdadm --create /dev/md0\n");
    write("scripts/burnin/prescript", "stress\n");
    write("roles/storage/unit", "[Unit]\n");
    write("roles/scratch/unit", "Description=__LUNA_ROLE__\n");
    write("roles/scratch/script", "#!/bin/sh\n");
    let own = Directories { templates: None, plugins: Some(directory.path().to_owned()) };
    (directory, Templates::new(own))
}

#[test]
fn scripts_run_in_the_order_of_the_install_script_and_roles_are_whole() {
    let (_directory, templates) = plugins();
    let mut draft = small();
    change_node(&mut draft, |node| {
        node.provisioning.postscript = Some("echo node".to_owned());
        node.provisioning.scripts = Some("default,ours".to_owned().into());
        node.provisioning.roles = Some("scratch".to_owned().into());
    });
    let plan = plan_of(&draft, "node001", &templates).unwrap();
    assert_eq!(
        told(&plan.postscripts),
        [
            ("postscript", "echo node"),
            ("postscript of compute", "echo compute"),
            ("postscript of ours", "echo ours"),
        ]
    );
    assert_eq!(told(&plan.prescripts), [], "comments alone are no script");
    let Root::Scripts(scripts) = plan.root else { panic!("scripts are expected") };
    let named: Vec<&str> = scripts.iter().map(|script| script.name.as_str()).collect();
    assert_eq!(named, ["partscript", "partscript of ours"]);
    let [role] = plan.roles.as_slice() else { panic!("one role is expected") };
    assert_eq!((role.name.as_str(), role.unit.as_str()), ("scratch", "Description=scratch\n"));
}

#[test]
fn disks_are_not_laid_out_twice() {
    let (_directory, templates) = plugins();
    let mut draft = small();
    let layout = r#"{"disks": [{"partitions": [{"filesystem": "ext4", "mount": "/"}]}]}"#;
    change_node(&mut draft, |node| {
        node.provisioning.disklayout = Some(layout.to_owned());
        node.provisioning.scripts = Some("ours".to_owned().into());
    });
    let message = plan_of(&draft, "node001", &templates).unwrap_err().to_string();
    assert!(message.contains("by its disklayout and by the partscript of ours"), "{message}");
}

#[test]
fn a_plugin_that_is_gone_is_named() {
    let mut draft = small();
    change_node(&mut draft, |node| node.provisioning.roles = Some("scratch".to_owned().into()));
    let message = plan(&draft).unwrap_err().to_string();
    assert!(message.contains("its role 'scratch' is not installed"), "{message}");
}
