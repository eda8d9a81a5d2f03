//! The identity of a node goes where the node goes.

use perilune_model::identity::{self, HostKey, NodeIdentity};
use perilune_model::{Cluster, Draft, Error, Kind, node};

use crate::site::{change, cluster, name, refused, with_node};

fn made(node: &str, machine_id: &str) -> NodeIdentity {
    let key = HostKey {
        name: "ed25519".to_owned(),
        public: "ssh-ed25519 AAAA".to_owned(),
        content: "private".to_owned(),
    };
    NodeIdentity {
        name: name(node),
        machine_id: machine_id.to_owned(),
        ssh_host_keys: vec![key],
        ..NodeIdentity::default()
    }
}

fn with_identity(node: &str) -> Cluster {
    let cluster = with_node(&cluster(), node);
    change(&cluster, |draft| identity::complete(draft, made(node, "one")))
}

fn of<'a>(cluster: &'a Cluster, node: &str) -> Option<&'a str> {
    cluster.node_identities().get(node).map(|identity| identity.machine_id.as_str())
}

#[test]
fn an_identity_that_is_there_stays_until_it_is_renewed() {
    let cluster = with_identity("node001");
    let again = change(&cluster, |draft| identity::complete(draft, made("node001", "two")));
    assert_eq!(of(&again, "node001"), Some("one"));
    let renewed = change(&again, |draft| identity::renew(draft, vec![made("node001", "two")]));
    assert_eq!(of(&renewed, "node001"), Some("two"));
    let made_for_none = identity::complete(&mut Draft::new(&cluster), made("node009", "x"));
    assert!(matches!(made_for_none, Err(Error::NotFound { .. })), "{made_for_none:?}");
    refused(&cluster, |draft| identity::renew(draft, vec![made("node009", "x")]));
}

#[test]
fn it_is_renamed_and_removed_with_its_node_and_no_copy_has_it() {
    let cluster = with_identity("node001");
    let request = node::Request { new_name: Some(name("login1")), ..node::Request::default() };
    let renamed = change(&cluster, |draft| node::save(draft, &name("node001"), &request));
    assert_eq!((of(&renamed, "login1"), of(&renamed, "node001")), (Some("one"), None));
    let removed = change(&renamed, |draft| draft.remove(Kind::Node, "login1"));
    assert!(removed.node_identities().is_empty());
    let copied = change(&cluster, |draft| {
        node::clone(draft, "node001", &name("node002"), &node::Request::default())
    });
    assert_eq!(of(&copied, "node002"), None);
}

#[test]
fn a_removal_that_is_taken_back_brings_it_back_and_none_keeps_a_node_from_being_taken_back() {
    let cluster = with_identity("node001");
    let mut draft = Draft::new(&cluster);
    draft.remove(Kind::Node, "node001").unwrap();
    let (removed, taken_back) = draft.finish();
    assert_eq!(change(&removed, |draft| draft.replay(&taken_back.inverse)), cluster);

    let empty = self::cluster();
    let mut draft = Draft::new(&empty);
    node::save(&mut draft, &name("node001"), &crate::site::in_group("compute")).unwrap();
    let (with_node, added) = draft.finish();
    let installed = change(&with_node, |draft| identity::complete(draft, made("node001", "one")));
    let undone = change(&installed, |draft| draft.replay(&added.inverse));
    assert!(undone.nodes().is_empty() && undone.node_identities().is_empty());
}
