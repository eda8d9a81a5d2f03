//! What becomes of the tree of an image that is removed.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::image_site::{ImageSite, make_tree, until};

#[test]
fn an_image_that_is_removed_leaves_its_tree_unless_the_tree_is_asked_for() {
    let site = ImageSite::start();
    site.add_image("compute");
    assert_eq!(site.get("/config/osimage/compute/_delete").0, 204);
    assert_eq!(site.get("/config/osimage/compute/_delete").0, 404);
    until(|| site.get("/monitor/queue").1["monitor"]["queue"] == json!([]));
    assert!(site.images().join("compute/etc/hostname").exists());

    assert_eq!(site.post_image("compute", "", &json!({})).0, 201);
    assert_eq!(site.get("/config/osimage/compute/_delete?tree=true").0, 204);
    until(|| !site.images().join("compute").exists());
    until(|| site.get("/monitor/queue").1["monitor"]["queue"] == json!([]));
    assert_eq!(fs::read_dir(site.images()).unwrap().count(), 0);
}

#[test]
fn a_word_that_is_no_yes_and_no_no_removes_nothing() {
    let site = ImageSite::start();
    site.add_image("compute");
    for word in ["maybe", "2", "", "tree"] {
        let (status, answer) = site.get(&format!("/config/osimage/compute/_delete?tree={word}"));
        assert_eq!(status, 400, "{word}: {answer}");
    }
    assert!(site.images().join("compute").exists());
    assert_eq!(site.get("/config/osimage/compute/_delete?tree=Off").0, 204);
    assert!(site.images().join("compute").exists());
}

#[test]
fn a_tree_that_is_elsewhere_or_leads_elsewhere_is_refused_and_nothing_is_removed() {
    let site = ImageSite::start();
    let outside = site.directory.path().join("outside");
    make_tree(&outside);
    symlink(&outside, site.images().join("link")).unwrap();
    for path in [outside.clone(), site.images().join("link"), site.images().join("link/etc")] {
        assert_eq!(site.post_image("compute", "", &json!({ "path": path })).0 / 100, 2);
        let (status, answer) = site.get("/config/osimage/compute/_delete?tree=true");
        assert_eq!(status, 400, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("outside of the images' directory"), "{message}");
        assert_eq!(site.image("compute")["name"], "compute");
    }
    assert_eq!(site.post_image("compute", "", &json!({ "path": site.images() })).0, 204);
    assert_eq!(site.get("/config/osimage/compute/_delete?tree=true").0, 400);
    assert!(outside.join("etc/hostname").exists());
    assert_eq!(site.get("/config/osimage/compute/_delete").0, 204);
}

#[test]
fn a_tree_that_another_image_uses_is_refused() {
    let site = ImageSite::start();
    site.add_image("compute");
    symlink("compute", site.images().join("also")).unwrap();
    for path in ["compute", "compute/etc", "also"] {
        assert_eq!(site.post_image("other", "", &json!({ "path": path })).0 / 100, 2);
        let (status, answer) = site.get("/config/osimage/compute/_delete?tree=true");
        assert_eq!(status, 400, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains("the image other uses"), "{answer}");
    }
    assert!(site.images().join("compute/etc/hostname").exists());
}

#[test]
fn a_trial_says_what_would_become_of_the_tree() {
    let site = ImageSite::start();
    site.add_image("compute");
    for (query, fate) in [("", "stays"), ("tree=true&", "is removed, too")] {
        let path = format!("/config/osimage/compute/_delete?{query}dry_run=true");
        let (status, answer) = site.get(&path);
        assert_eq!((status, &answer["changes"][0]["action"]), (200, &json!("remove")));
        let note = answer["notes"][0].as_str().unwrap();
        let tree = site.images().join("compute");
        assert_eq!(note, format!("the tree {} {fate}", tree.display()));
    }
    assert!(site.images().join("compute/etc/hostname").exists());
    assert_eq!(site.image("compute")["name"], "compute");
}

/// As existing clients do, which cannot ask for a tree to be removed.
#[test]
fn an_image_can_be_made_where_a_removed_one_has_left_its_tree() {
    let site = ImageSite::start();
    site.add_image("compute");
    let copy = site.images().join("copy");
    let fields = json!({ "newosimage": "copy", "bare": true, "path": copy });
    let clone = || {
        let (status, begun) = site.post_image("compute", "/_clone", &fields);
        assert_eq!(status, 200, "{begun}");
        assert_eq!(site.follow(&begun["request_id"]).1, 200);
        assert!(copy.join("etc/hostname").exists());
    };
    clone();
    for _ in 0..2 {
        fs::write(copy.join("old"), "of the image that was removed").unwrap();
        assert_eq!(site.get("/config/osimage/copy/_delete").0, 204);
        assert!(copy.join("old").exists(), "it stays until somebody wants its place");
        clone();
        assert!(!copy.join("old").exists());
    }
    // What somebody has made there since is not what the image has left.
    assert_eq!(site.get("/config/osimage/copy/_delete").0, 204);
    fs::remove_dir_all(&copy).unwrap();
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("mine"), "").unwrap();
    let (status, answer) = site.post_image("compute", "/_clone", &fields);
    assert_eq!(status, 404, "{answer}");
    assert!(copy.join("mine").exists());
    // Nor is a tree that another image uses by now.
    fs::remove_dir_all(&copy).unwrap();
    clone();
    assert_eq!(site.get("/config/osimage/copy/_delete").0, 204);
    assert_eq!(site.post_image("other", "", &json!({ "path": copy })).0, 201);
    assert_eq!(site.post_image("compute", "/_clone", &fields).0, 404);
    assert!(copy.join("etc/hostname").exists());
}

#[test]
fn an_image_takes_the_name_and_the_place_of_a_removed_one() {
    let site = ImageSite::start();
    site.add_image("compute");
    site.add_image("old");
    fs::write(site.images().join("old/old"), "").unwrap();
    assert_eq!(site.get("/config/osimage/old/_delete").0, 204);
    assert_eq!(site.post_image("compute", "", &json!({ "newosimage": "old" })).0, 204);
    assert!(site.images().join("old/etc/hostname").exists());
    assert!(!site.images().join("old/old").exists());
    until(|| fs::read_dir(site.images()).unwrap().count() == 1);
}
