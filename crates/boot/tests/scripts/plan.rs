//! The plan for our own installer.

use perilune_boot::{Error, plan_for};
use perilune_model::Draft;
use perilune_model::interface::Link;
use perilune_model::object::{GroupSecrets, NodeSecrets};
use perilune_model::secret::{Secret, Secrets};
use perilune_plan::{FileSystem, Plan, Root};

use crate::cluster::{change_image, change_node, everything, name, small};

fn plan(draft: &Draft) -> Result<Plan, Error> {
    plan_for(draft, "node001", &|stored| stored.strip_prefix("sealed:").map(str::to_owned))
}

#[test]
fn a_node_is_told_everything() {
    insta::assert_json_snapshot!(plan(&everything()).unwrap());
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
    assert_eq!(plan(&draft).unwrap().root, Root::Script("mount /dev/sda1 /sysroot".to_owned()));
}

#[test]
fn a_wrong_layout_says_what_is_wrong() {
    for (layout, reason) in
        [("{", "EOF"), (r#"{"disks": [{"partitions": []}]}"#, "no partition is mounted at '/'")]
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
    let nobody = plan_for(&small(), "node009", &|_| None).unwrap_err();
    assert!(matches!(nobody, Error::UnknownNode { .. }));
}

#[test]
fn the_nodes_secret_takes_the_place_of_its_groups_at_the_same_path() {
    let mut draft = small();
    let secret = |secret: &str, content: &str, path: Option<&str>| Secret {
        name: name(secret),
        content: content.to_owned(),
        path: path.map(str::to_owned),
    };
    draft
        .put(GroupSecrets(Secrets {
            name: name("compute"),
            secrets: vec![
                secret("shared", "sealed:YQ==", Some("/etc/a")),
                secret("other", "sealed:Yg==", Some("/etc/b")),
                secret("unplaced", "sealed:Yw==", None),
            ],
        }))
        .unwrap();
    draft
        .put(NodeSecrets(Secrets {
            name: name("node001"),
            secrets: vec![secret("own", "sealed:ZA==", Some("/etc/a"))],
        }))
        .unwrap();
    let found = plan(&draft).unwrap().secrets;
    let found: Vec<_> =
        found.iter().map(|secret| (secret.path.as_str(), secret.content.as_str())).collect();
    assert_eq!(found, [("/etc/b", "Yg=="), ("/etc/a", "ZA==")]);

    draft
        .put(NodeSecrets(Secrets {
            name: name("node001"),
            secrets: vec![secret("own", "torn", Some("/etc/a"))],
        }))
        .unwrap();
    assert!(plan(&draft).unwrap_err().to_string().contains("secret 'own' cannot be decrypted"));
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
