//! Which files of which image a node boots: its image and tag, its group's, and what becomes of them when either changes.

use perilune_model::effective::{Effective, Source};
use perilune_model::group;
use perilune_model::image::{Image, ImageFiles, Tag, activate_tag, remove_tag};
use perilune_model::node::{self, Node};
use perilune_model::provisioning::TagChoice;
use perilune_model::{Cluster, Object, Patch};

use crate::site::{change, cluster, fields, in_group, name, refused};

fn files(kernel: &str) -> ImageFiles {
    ImageFiles { kernelfile: Some(kernel.to_owned()), ..ImageFiles::default() }
}

fn image(of: &str) -> Image {
    let tag = |tag: &str| Tag {
        name: name(tag),
        files: files(&format!("{of}:{tag}")),
        kerneloptions: Some(format!("{tag} options")),
    };
    Image {
        name: name(of),
        files: files(&format!("{of}:now")),
        kerneloptions: Some("options of now".to_owned()),
        tags: vec![tag("one"), tag("two")],
        ..Image::default()
    }
}

/// Images `a` and `b`, each with the tags `one` and `two`; the group `compute` has `a`, and `other` has `b` with its tag `two`.
fn site() -> Cluster {
    change(&cluster(), |draft| {
        draft.put(image("a"))?;
        draft.put(image("b"))?;
        group::save(draft, &name("compute"), &of_group("a", ""))?;
        group::save(draft, &name("other"), &of_group("b", "two"))
    })
}

fn patch<T>(text: &str, value: impl FnOnce(&str) -> T) -> Patch<T> {
    match text {
        "-" => Patch::Keep,
        "" => Patch::Clear,
        text => Patch::Set(value(text)),
    }
}

fn of_group(image: &str, tag: &str) -> group::Request {
    let mut request = group::Request::default();
    request.provisioning.osimage = patch(image, name);
    request.provisioning.osimagetag = patch(tag, |tag| TagChoice::from(name(tag)));
    request
}

/// A request of a node; `-` says nothing, and an empty text unsets.
fn of_node(image: &str, tag: &str) -> node::Request {
    let mut request = node::Request::default();
    request.provisioning.osimage = patch(image, name);
    request.provisioning.osimagetag = patch(tag, |tag| TagChoice::from(name(tag)));
    request
}

fn boots(cluster: &Cluster, node: &str) -> String {
    let effective = Effective::of_node(cluster, cluster.node(node).unwrap());
    effective.files().unwrap().kernelfile.clone().unwrap()
}

fn save(cluster: &Cluster, node: &str, request: &node::Request) -> Cluster {
    change(cluster, |draft| node::save(draft, &name(node), request))
}

fn save_group(cluster: &Cluster, group: &str, request: &group::Request) -> Cluster {
    change(cluster, |draft| group::save(draft, &name(group), request))
}

#[test]
fn a_node_boots_its_own_tag_else_with_an_image_of_its_own_the_files_of_now_else_its_groups_tag() {
    // The group's tag, the node's image and tag, what it boots, who says so.
    let table = [
        ("", "-", "-", "a:now", Source::Default),
        ("", "-", "one", "a:one", Source::Node),
        ("", "-", "default", "a:now", Source::Node),
        ("", "a", "-", "a:now", Source::Node),
        ("", "a", "one", "a:one", Source::Node),
        ("", "b", "-", "b:now", Source::Node),
        ("one", "-", "-", "a:one", Source::Group),
        ("one", "-", "two", "a:two", Source::Node),
        ("one", "-", "default", "a:now", Source::Node),
        ("one", "-", "", "a:one", Source::Group),
        ("one", "a", "-", "a:now", Source::Node),
        ("one", "a", "", "a:now", Source::Node),
        ("one", "a", "default", "a:now", Source::Node),
        ("one", "a", "two", "a:two", Source::Node),
        ("one", "b", "-", "b:now", Source::Node),
        ("one", "b", "two", "b:two", Source::Node),
    ];
    for (of, image, tag, expected, source) in table {
        for active in ["", "two"] {
            let cluster = change(&site(), |draft| {
                activate_tag(draft, "a", &patch(active, name))?;
                group::save(draft, &name("compute"), &of_group("-", of))?;
                let request = node::Request { group: Some(name("compute")), ..of_node(image, tag) };
                node::save(draft, &name("node001"), &request)
            });
            let case = format!("group {of:?}, node {image:?} {tag:?}, active {active:?}");
            assert_eq!(boots(&cluster, "node001"), expected, "{case}");
            let effective = Effective::of_node(&cluster, cluster.node("node001").unwrap());
            assert_eq!(effective.osimagetag().source, source, "{case}");
            let (_, kept) = expected.split_once(':').unwrap();
            let options = if kept == "now" { "options of now" } else { &format!("{kept} options") };
            assert_eq!(effective.boot_kernel_arguments(), Some(options), "{case}");
        }
    }
}

#[test]
fn an_image_that_is_given_or_taken_from_a_node_resets_its_tag() {
    let tagged = save_group(&site(), "compute", &of_group("-", "one"));
    let node = node::Request { group: Some(name("compute")), ..of_node("a", "two") };
    let cluster = save(&tagged, "node001", &node);
    assert_eq!(boots(&cluster, "node001"), "a:two");
    assert_eq!(boots(&save(&cluster, "node001", &of_node("a", "-")), "node001"), "a:now");
    assert_eq!(boots(&save(&cluster, "node001", &of_node("b", "-")), "node001"), "b:now");
    assert_eq!(boots(&save(&cluster, "node001", &of_node("", "-")), "node001"), "a:one");
    assert_eq!(boots(&save(&cluster, "node001", &of_node("-", "")), "node001"), "a:now");
}

#[test]
fn a_tag_stays_behind_with_the_image_that_it_is_of_whatever_the_next_one_calls_its_tags() {
    let node = node::Request { group: Some(name("compute")), ..of_node("-", "two") };
    let cluster = save(&site(), "node001", &node);
    assert_eq!(boots(&cluster, "node001"), "a:two");
    let moved = save(&cluster, "node001", &in_group("other"));
    assert_eq!(boots(&moved, "node001"), "b:now");
    let renewed = save_group(&cluster, "compute", &of_group("b", "one"));
    assert_eq!(boots(&renewed, "node001"), "b:now");
    let tagged = node::Request { group: Some(name("other")), ..of_node("-", "one") };
    assert_eq!(boots(&save(&cluster, "node001", &tagged), "node001"), "b:one");
    let own = node::Request { group: Some(name("other")), ..of_node("a", "two") };
    let own = save(&cluster, "node001", &own);
    assert_eq!(boots(&save(&own, "node001", &in_group("compute")), "node001"), "a:two");
    assert_eq!(boots(&save(&cluster, "node001", &in_group("compute")), "node001"), "a:two");
}

#[test]
fn a_tag_that_is_removed_is_the_files_of_now_and_not_the_groups_tag() {
    let cluster = save_group(&site(), "compute", &of_group("-", "one"));
    let inherits = node::Request { group: Some(name("compute")), ..of_node("-", "two") };
    let owns = node::Request { group: Some(name("compute")), ..of_node("a", "two") };
    let cluster = save(&save(&cluster, "node001", &inherits), "node002", &owns);
    let (nodes, groups) = perilune_model::image::tag_users(&cluster, "a", "two");
    assert_eq!((nodes.len(), groups.len()), (2, 0));
    let cluster = change(&cluster, |draft| remove_tag(draft, "a", "two"));
    assert_eq!((boots(&cluster, "node001"), boots(&cluster, "node002")), two("a:now", "a:now"));
    let cluster = change(&cluster, |draft| remove_tag(draft, "a", "one"));
    assert_eq!(boots(&cluster, "node001"), "a:now");
}

fn two(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[test]
fn a_copy_of_a_node_boots_what_the_node_boots_and_keeps_its_tag_beside_the_same_image() {
    let tagged = save_group(&site(), "compute", &of_group("-", "one"));
    // The node's image and tag, what the copy is given, what it boots.
    let table = [
        ("-", "-", "-", "-", "a:one"),
        ("-", "default", "-", "-", "a:now"),
        ("a", "two", "-", "-", "a:two"),
        ("a", "-", "-", "-", "a:now"),
        ("a", "two", "a", "-", "a:two"),
        ("-", "two", "a", "-", "a:two"),
        ("a", "two", "b", "-", "b:now"),
        ("b", "two", "a", "-", "a:now"),
        ("b", "two", "", "-", "a:now"),
        ("a", "two", "", "-", "a:two"),
        ("a", "-", "", "-", "a:now"),
        ("a", "two", "b", "one", "b:one"),
        ("-", "-", "a", "-", "a:now"),
    ];
    for (image, tag, given_image, given_tag, expected) in table {
        let source = node::Request { group: Some(name("compute")), ..of_node(image, tag) };
        let cluster = save(&tagged, "node001", &source);
        let cluster = change(&cluster, |draft| {
            node::clone(draft, "node001", &name("node002"), &of_node(given_image, given_tag))
        });
        let case = format!("{image:?} {tag:?}, given {given_image:?} {given_tag:?}");
        assert_eq!(boots(&cluster, "node002"), expected, "{case}");
    }
}

#[test]
fn a_copy_of_a_group_keeps_the_tag_beside_the_same_image() {
    let tagged = save_group(&site(), "compute", &of_group("-", "two"));
    for (given, expected) in [("-", "a:two"), ("a", "a:two"), ("b", "b:now")] {
        let cluster = change(&tagged, |draft| {
            group::clone(draft, "compute", &name("copy"), &of_group(given, "-"))?;
            node::save(draft, &name("node001"), &in_group("copy"))
        });
        assert_eq!(boots(&cluster, "node001"), expected, "given {given:?}");
    }
}

#[test]
fn a_document_cannot_leave_a_node_with_a_tag_that_its_image_does_not_have() {
    let node = node::Request { group: Some(name("compute")), ..of_node("-", "one") };
    let cluster = save(&site(), "node001", &node);
    let bring = |object: Object| {
        let desired =
            perilune_model::Desired { object, interfaces: perilune_model::Interfaces::OfGroup };
        refused(&cluster, |draft| draft.bring_to(vec![desired], &[]))
    };
    let mut group = group::Group::clone(cluster.group("compute").unwrap());
    group.provisioning.osimage = Some(name("compute"));
    let refusal = bring(group.into());
    assert_eq!(fields(&refusal), ["osimagetag"]);
    assert!(refusal.to_string().contains("node001"), "{refusal}");
    let mut node = Node::clone(cluster.node("node001").unwrap());
    node.provisioning.osimagetag = Some(TagChoice::Named(name("three")));
    assert_eq!(fields(&bring(node.into())), ["osimagetag"]);
}
