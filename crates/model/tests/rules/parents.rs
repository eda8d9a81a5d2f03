//! Groups that inherit from other groups.

use perilune_model::effective::{Effective, Source};
use perilune_model::image::{self, Image, Tag};
use perilune_model::provisioning::TagChoice;
use perilune_model::secret::{self, Owner};
use perilune_model::{Cluster, Draft, Edit, Error, Kind, Name, Patch, group, label, node};

use crate::site::{change, cluster, fields, group as group_of, in_group, name, refused};

fn below(parent: &str) -> group::Request {
    group::Request { parent: Patch::Set(name(parent)), ..group::Request::default() }
}

fn save(draft: &mut Draft, group: &str, request: &group::Request) -> Result<(), Error> {
    group::save(draft, &name(group), request).map(drop)
}

/// `compute`, `gpu` below it, `big` below that, and node001 of `big`.
fn site() -> Cluster {
    change(&cluster(), |draft| {
        save(draft, "gpu", &below("compute"))?;
        save(draft, "big", &below("gpu"))?;
        node::save(draft, &name("node001"), &in_group("big")).map(drop)
    })
}

fn effective(cluster: &Cluster) -> Effective<'_> {
    Effective::of_node(cluster, cluster.node("node001").unwrap())
}

#[test]
fn the_nearest_that_says_something_counts() {
    let mut site = site();
    assert_eq!(effective(&site).osimage().value, Some(&name("compute")));
    assert_eq!(effective(&site).osimage().source, Source::Group, "as existing clients know it");
    assert!(
        effective(&site).netboot().value,
        "a group with a parent begins with nothing of its own"
    );
    let says = |said: &perilune_model::provisioning::Provisioning| said.roles.is_some();
    for (group, expected) in [("compute", Some("compute")), ("gpu", Some("gpu")), ("big", None)] {
        site = change(&site, |draft| {
            let mut request = group::Request::default();
            request.provisioning.roles = Patch::Set(group.to_owned().into());
            save(draft, group, &request)
        });
        assert_eq!(effective(&site).roles().value, Some(&group.to_owned().into()));
        assert_eq!(effective(&site).ancestor(says).map(Name::as_str), expected);
    }
    let interfaces = &group_of(&site, "big").interfaces;
    assert_eq!(interfaces, &group_of(&site, "compute").interfaces, "it begins with those");
}

#[test]
fn no_group_is_above_itself_nor_below_more_than_there_may_be() {
    let site = site();
    for (group, parent) in [("compute", "big"), ("compute", "gpu"), ("gpu", "gpu")] {
        let error = refused(&site, |draft| save(draft, group, &below(parent)));
        assert_eq!(fields(&error), ["parent"], "{group} below {parent}");
    }
    let error = refused(&site, |draft| save(draft, "gpu", &below("absent")));
    assert_eq!(fields(&error), ["parent"]);
    let mut draft = Draft::new(&site);
    let mut last = "big".to_owned();
    for number in 3..=group::MOST_ANCESTORS {
        let next = format!("g{number}");
        save(&mut draft, &next, &below(&last)).unwrap();
        last = next;
    }
    let deep = draft.finish().0;
    let error = refused(&deep, |draft| save(draft, "more", &below(&last)));
    assert_eq!(fields(&error), ["parent"]);
    let error = refused(&deep, |draft| {
        save(draft, "top", &group::Request::default())?;
        save(draft, "compute", &below("top"))
    });
    assert_eq!(fields(&error), ["parent"], "nor is one put above them all");
    // Two edits that are fine one by one, and make a circle together.
    let circle = [("compute", "gpu"), ("gpu", "compute")].map(|(group, parent)| {
        let parent = Some(name(parent));
        Edit::Put(group::Group { parent, ..group_of(&site, group) }.into())
    });
    assert_eq!(fields(&Draft::new(&site).replay(&circle).unwrap_err()), ["parent"]);
}

#[test]
fn a_parent_is_renamed_with_its_children_and_not_removed_from_them() {
    let site = site();
    let error = refused(&site, |draft| draft.remove(Kind::Group, "gpu"));
    assert!(matches!(&error, Error::InUse { by, .. } if by == &["group big"]), "{error}");
    let renamed = group::Request { new_name: Some(name("other")), ..group::Request::default() };
    let site = change(&site, |draft| save(draft, "gpu", &renamed));
    assert_eq!(group_of(&site, "big").parent, Some(name("other")));
    let orphan = group::Request { parent: Patch::Clear, ..group::Request::default() };
    let site = change(&site, |draft| {
        save(draft, "big", &orphan)?;
        draft.remove(Kind::Group, "other")
    });
    assert_eq!(effective(&site).osimage().value, None);
}

#[test]
fn a_tag_is_of_the_image_that_is_said_no_further_away() {
    let tag = |tag: &str| Patch::Set(TagChoice::Named(name(tag)));
    let site = change(&site(), |draft| {
        let tags = vec![Tag { name: name("v1"), ..Tag::default() }];
        draft.put(Image { name: name("other"), tags, ..Image::default() })?;
        let mut request = group::Request::default();
        request.provisioning.osimagetag = tag("stable");
        save(draft, "compute", &request)
    });
    assert_eq!(effective(&site).osimagetag().value, Some(&name("stable")));
    let mut other = group::Request::default();
    other.provisioning.osimage = Patch::Set(name("other"));
    let with_image = change(&site, |draft| save(draft, "gpu", &other));
    assert_eq!(effective(&with_image).osimagetag().value, None, "it is a tag of another image");
    let mut wrong = group::Request::default();
    wrong.provisioning.osimagetag = tag("stable");
    assert_eq!(fields(&refused(&with_image, |draft| save(draft, "big", &wrong))), ["osimagetag"]);
    let mut v1 = group::Request::default();
    v1.provisioning.osimagetag = tag("v1");
    let tagged = change(&with_image, |draft| save(draft, "big", &v1));
    assert_eq!(effective(&tagged).osimagetag().value, Some(&name("v1")));
    // The tag goes with the image, and nobody boots another's of that name.
    let mut back = group::Request::default();
    back.provisioning.osimage = Patch::Clear;
    let left = change(&tagged, |draft| save(draft, "gpu", &back));
    assert_eq!(effective(&left).osimage().value, Some(&name("compute")));
    assert_eq!(effective(&left).osimagetag().value, None);
    let removed = change(&tagged, |draft| image::remove_tag(draft, "other", "v1"));
    assert_eq!(effective(&removed).osimagetag().value, None);
    let elsewhere = change(&tagged, |draft| {
        save(draft, "third", &group::Request::default())?;
        save(draft, "big", &below("third"))
    });
    assert_eq!(effective(&elsewhere).osimagetag().value, None);
}

#[test]
fn labels_and_secrets_come_from_all_groups_above() {
    let labels = |words: &[&str]| {
        let mut request = label::Request::default();
        for word in words {
            request.add(word).unwrap();
        }
        group::Request { labels: request, ..group::Request::default() }
    };
    let secret = |content: &str| secret::Request {
        name: name("key"),
        content: Some(content.to_owned()),
        path: Some("/etc/key".to_owned()),
        ..secret::Request::default()
    };
    let site = change(&site(), |draft| {
        save(draft, "compute", &labels(&["tier=cpu", "site=a"]))?;
        save(draft, "gpu", &labels(&["tier=gpu"]))?;
        secret::save(draft, Owner::Group, "compute", &[secret("far")])?;
        secret::save(draft, Owner::Group, "big", &[secret("near")]).map(drop)
    });
    let node = site.node("node001").unwrap();
    assert_eq!((node.label(&site, "tier"), node.label(&site, "site")), (Some("gpu"), Some("a")));
    assert_eq!(node.inherited_labels(&site).to_string(), "site=a,tier=gpu");
    let contents: Vec<String> = secret::of_node(&site, node)
        .into_iter()
        .flat_map(|list| list.secrets.iter().map(|secret| secret.content.clone()))
        .collect();
    assert_eq!(contents, ["far", "near"], "the last one is written");
}
