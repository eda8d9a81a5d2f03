//! OS images and their tags, as clients describe them.

use std::fs;

use serde_json::json;

use crate::image_site::{ImageSite, make_tree};

#[test]
fn an_image_is_made_shown_changed_and_listed() {
    let site = ImageSite::start();
    assert_eq!(site.get("/config/osimage").0, 404);
    assert_eq!(site.get("/config/osimage/compute").0, 404);
    let (status, answer) =
        site.post_image("compute", "", &json!({ "name": "compute", "osrelease": "9" }));
    assert_eq!(
        (status, &answer["message"]),
        (201, &json!("OS Image compute created successfully"))
    );
    let shown = site.image("compute");
    let keys: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "name",
            "grab_filesystems",
            "grab_exclude",
            "initrdfile",
            "kernelfile",
            "kernelmodules",
            "kerneloptions",
            "kernelversion",
            "path",
            "imagefile",
            "distribution",
            "osrelease",
            "comment",
            "tag"
        ]
    );
    assert_eq!(shown["grab_filesystems"], "LywgL2Jvb3QsIC92YXI=");
    assert_eq!(shown["kernelmodules"], "ipmi_devintf, ipmi_si, ipmi_msghandler");
    assert_eq!(shown["path"], site.images().join("compute").to_str().unwrap());
    assert_eq!((&shown["osrelease"], &shown["tag"]), (&json!("9"), &json!("default")));
    assert_eq!(
        site.post_image("compute", "", &json!({ "osrelease": "", "imagefile": "kickstart" })).0,
        204
    );
    let (_, list) = site.get("/config/osimage");
    let listed = &list["config"]["osimage"]["compute"];
    assert_eq!(
        (&listed["osrelease"], &listed["imagefile"]),
        (&json!(null), &json!("!!kickstart!!"))
    );
    assert_eq!(listed["grab_filesystems"], "/, /boot, /var");
}

#[test]
fn what_cannot_be_is_refused_with_every_reason() {
    let site = ImageSite::start();
    let (status, answer) =
        site.post_image("compute", "", &json!({ "kernelversio": "6.1", "imagefile": "a/b" }));
    assert_eq!(status, 400);
    let fields: Vec<&str> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["imagefile", "kernelversio"]);
    assert_eq!(site.post_image("inventory", "", &json!({})).0, 400);
    assert_eq!(site.post("/config/osimage/compute", &json!({ "config": {} })).0, 400);
    assert_eq!(site.get_as("/config/osimage", "").0, 401);
    assert_eq!(site.get("/config/osimage").0, 404);
}

#[test]
fn a_rename_moves_the_tree_that_is_named_after_the_image() {
    let site = ImageSite::start();
    site.add_image("compute");
    assert_eq!(
        site.post_image("compute", "", &json!({ "name": "compute", "newosimage": "rocky9" })).0,
        204
    );
    assert!(site.images().join("rocky9/etc/hostname").exists());
    assert!(!site.images().join("compute").exists());
    assert_eq!(site.image("rocky9")["path"], site.images().join("rocky9").to_str().unwrap());

    site.add_image("login");
    assert_eq!(site.post_image("rocky9", "", &json!({ "newosimage": "login" })).0, 400);
    assert_eq!(site.post_image("nothing", "", &json!({ "newosimage": "something" })).0, 404);
    fs::create_dir(site.images().join("taken")).unwrap();
    assert_eq!(site.post_image("rocky9", "", &json!({ "newosimage": "taken" })).0, 404);
    fs::remove_dir_all(site.images().join("rocky9")).unwrap();
    assert_eq!(site.post_image("rocky9", "", &json!({ "newosimage": "rocky10" })).0, 404);
    assert_eq!(site.image("rocky9")["name"], "rocky9");
}

#[test]
fn a_tree_that_is_elsewhere_stays_there_when_the_image_is_renamed() {
    let site = ImageSite::start();
    let tree = site.directory.path().join("tree");
    make_tree(&tree);
    site.post_image("compute", "", &json!({ "path": tree }));
    assert_eq!(site.post_image("compute", "", &json!({ "newosimage": "rocky9" })).0, 204);
    assert!(tree.exists());
    assert_eq!(site.image("rocky9")["path"], tree.to_str().unwrap());
}

#[test]
fn members_are_told_and_keep_the_image_from_being_removed() {
    let site = ImageSite::start();
    site.add_image("compute");
    assert_eq!(site.get("/config/osimage/compute/_member").0, 404);
    let group = json!({ "config": { "group": { "compute": { "osimage": "compute" } } } });
    assert_eq!(site.post("/config/group/compute", &group).0, 201);
    let node = json!({ "config": { "node": { "node001": { "group": "compute" } } } });
    let (status, answer) = site.post("/config/node/node001", &node);
    assert_eq!(status, 201, "{answer}");
    let (_, members) = site.get("/config/osimage/compute/_member");
    assert_eq!(members["config"]["osimage"]["compute"]["members"], json!(["node001"]));
    let (status, answer) = site.get("/config/osimage/compute/_delete");
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().contains("group compute"), "{answer}");
    assert!(site.images().join("compute").exists());
}

#[test]
fn a_tag_keeps_files_and_is_removed_with_every_mention() {
    let site = ImageSite::start();
    site.add_image("compute");
    site.pack("compute");
    assert_eq!(site.get("/config/osimagetag").0, 404);
    assert_eq!(site.post_image("compute", "/tag", &json!({})).0, 400);
    assert_eq!(site.post_image("nothing", "/tag", &json!({ "tag": "t1" })).0, 404);
    assert_eq!(site.post_image("compute", "/tag", &json!({ "tag": "t1" })).0, 204);
    let image = site.image("compute");
    assert_eq!((&image["tag"], &image["assigned_tags"]), (&json!("t1"), &json!("t1")));

    let group = json!({ "config": { "group": { "compute": { "osimage": "compute", "osimagetag": "t1" } } } });
    assert_eq!(site.post("/config/group/compute", &group).0, 201);
    let (_, tags) = site.get("/config/osimagetag/compute");
    let tag = &tags["config"]["osimagetag"]["t1"];
    assert_eq!((&tag["osimage"], &tag["groups"]), (&json!("compute"), &json!("compute")));
    assert_eq!(tag["imagefile"], image["imagefile"]);
    assert!(tag.get("nodes").is_none());
    assert_eq!(site.get("/config/osimagetag/nothing").0, 404);

    assert_eq!(site.post_image("compute", "/tag", &json!({ "tag": "" })).0, 204);
    assert_eq!(site.image("compute")["tag"], "default");
    assert_eq!(site.get("//config/osimage/compute/osimagetag/t1/_delete").0, 204);
    assert_eq!(site.get("/config/osimage/compute/osimagetag/t1/_delete").0, 404);
    assert_eq!(site.get("/config/osimagetag").0, 404);
    assert_eq!(
        site.get("/config/group/compute").1["config"]["group"]["compute"]["osimagetag"],
        "default"
    );
}
