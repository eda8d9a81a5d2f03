//! Packing and copying images, and what is told about it.

use std::fs;

use serde_json::{Value, json};

use crate::image_site::{ImageSite, VERSION, make_tree};

#[test]
fn a_packed_image_is_served_and_shown() {
    let site = ImageSite::start();
    site.add_image("compute");
    let (status, begun) = site.get("/config/osimage/compute/_pack");
    assert_eq!((status, &begun["message"]), (200, &json!("osimage pack for compute queued")));
    let (texts, worst) = site.follow(&begun["request_id"]);
    assert_eq!(texts[0], "queued pack osimage compute with id 1");
    assert_eq!(texts.last().unwrap(), "created http provisioning for osimage compute");
    assert_eq!(worst, 200);
    let image = site.image("compute");
    assert_eq!(image["kernelversion"], VERSION);
    let file = |key: &str| site.files().join(image[key].as_str().unwrap());
    assert_eq!(fs::read(file("kernelfile")).unwrap(), b"kernel");
    assert!(file("initrdfile").exists());
    assert!(file("imagefile").to_str().unwrap().ends_with(".tar.zst"));
    let (status, kernel) =
        site.get_as(&format!("/files/{}", image["kernelfile"].as_str().unwrap()), "");
    assert_eq!((status, kernel), (200, json!("kernel")));
}

#[test]
fn older_installers_get_their_form_of_archive() {
    let site = ImageSite::start();
    site.add_image("compute");
    let (_, begun) = site.get("/config/osimage/compute/_pack?format=tar.bz2");
    site.follow(&begun["request_id"]);
    assert!(site.image("compute")["imagefile"].as_str().unwrap().ends_with(".tar.bz2"));
    assert_eq!(site.get("/config/osimage/compute/_pack?format=zip").0, 400);
}

#[test]
fn a_tree_without_a_kernel_is_told_to_whoever_follows_and_unknown_images_at_once() {
    let site = ImageSite::start();
    site.add_image("compute");
    fs::remove_dir_all(site.images().join("compute/lib/modules")).unwrap();
    let (texts, worst) = site.pack("compute");
    assert!(texts.last().unwrap().starts_with("error assembling osimage compute: "), "{texts:?}");
    assert_eq!(worst, 500);
    assert_eq!(site.image("compute")["imagefile"], Value::Null);
    for path in ["_pack", "_cancel"] {
        assert_eq!(site.get(&format!("/config/osimage/nothing/{path}")).0, 404);
    }
}

#[test]
fn another_kernel_is_chosen_and_packed_unless_only_the_choice_is_wanted() {
    let site = ImageSite::start();
    site.add_image("compute");
    assert_eq!(
        site.post_image("compute", "/kernel", &json!({ "kernelversion": "7.0", "bare": true })).0,
        204
    );
    assert_eq!(site.image("compute")["kernelversion"], "7.0");
    // What cannot be packed is refused, and leaves nothing behind.
    let (status, refused) =
        site.post_image("compute", "/kernel", &json!({ "kernelversion": "8.0" }));
    assert_eq!(status, 404, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains(VERSION), "{refused}");
    assert_eq!(site.image("compute")["kernelversion"], "7.0");
    let (status, begun) =
        site.post_image("compute", "/kernel", &json!({ "kernelversion": VERSION }));
    assert_eq!(status, 200, "{begun}");
    assert_eq!(site.follow(&begun["request_id"]).1, 200);
    for (name, fields) in [
        ("compute", json!({ "bare": true })),
        ("compute", json!({ "kernel": "6.1" })),
        ("nothing", json!({ "kernelversion": "6.1" })),
    ] {
        assert_eq!(site.post_image(name, "/kernel", &fields).0, 404, "{fields}");
    }
}

#[test]
fn a_clone_is_copied_and_packed() {
    let site = ImageSite::start();
    site.add_image("compute");
    let (status, begun) =
        site.post_image("compute", "/_clone", &json!({ "name": "compute", "newosimage": "copy" }));
    assert_eq!((status, &begun["message"]), (200, &json!("osimage clone for copy queued")));
    assert_eq!(site.follow(&begun["request_id"]).1, 200);
    assert!(site.images().join("copy/etc/hostname").exists());
    assert!(site.image("copy")["imagefile"].as_str().unwrap().starts_with("copy-"));

    let bare = json!({ "newosimage": "bare", "bare": true, "path": site.directory.path().join("elsewhere/bare") });
    let (_, begun) = site.post_image("compute", "/_clone", &bare);
    assert_eq!(site.follow(&begun["request_id"]).1, 200);
    assert!(site.directory.path().join("elsewhere/bare/etc/hostname").exists());
    assert_eq!(site.image("bare")["imagefile"], Value::Null);
}

#[test]
fn a_clone_may_be_a_description_alone() {
    let site = ImageSite::start();
    site.add_image("compute");
    let (status, answer) =
        site.post_image("compute", "/_clone", &json!({ "newosimage": "copy", "nocopy": true }));
    assert_eq!((status, &answer["message"]), (200, &json!("OS Image cloned successfully")));
    // Whoever polls is told that it is done, as of any clone.
    let (messages, status) = site.follow(&answer["request_id"]);
    assert_eq!(status, 200, "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("cloned successfully")), "{messages:?}");
    assert_eq!(site.image("copy")["kernelmodules"], "ipmi_devintf, ipmi_si, ipmi_msghandler");
    assert!(!site.images().join("copy").exists());
}

#[test]
fn every_clone_that_cannot_be_is_not_found() {
    let site = ImageSite::start();
    site.add_image("compute");
    make_tree(&site.images().join("there"));
    for (source, fields) in [
        ("nothing", json!({ "newosimage": "copy" })),
        ("compute", json!({ "newosimage": "compute" })),
        ("compute", json!({ "bare": true })),
        ("compute", json!({ "newosimage": "there" })),
        ("compute", json!({ "newosimage": "copy", "colour": "red" })),
        ("compute", json!({ "newosimage": "copy", "tag": "t9" })),
    ] {
        assert_eq!(site.post_image(source, "/_clone", &fields).0, 404, "{source} {fields}");
    }
    assert_eq!(site.get("/config/osimage/copy").0, 404);
}

#[test]
fn files_of_before_are_kept_for_an_hour_even_over_a_restart() {
    let site = ImageSite::start();
    site.add_image("compute");
    site.pack("compute");
    let first = site.image("compute")["imagefile"].as_str().unwrap().to_owned();
    site.pack("compute");
    let site = site.restart();
    assert!(site.files().join(&first).exists());
    let (_, answer) = site.get("/monitor/queue");
    let queue = answer["monitor"]["queue"].as_array().unwrap();
    assert_eq!(queue.len(), 1, "{answer}");
    assert_eq!(
        (&queue[0]["subsystem"], &queue[0]["status"]),
        (&json!("housekeeper"), &json!("queued"))
    );
    assert!(queue[0]["task"].as_str().unwrap().contains(&first), "{answer}");
    assert_eq!((&queue[0]["level"], &queue[0]["queue_id"]), (&json!("maintask"), &json!(3)));
}

#[test]
fn nothing_to_cancel_is_no_failure() {
    let site = ImageSite::start();
    site.add_image("compute");
    let (status, answer) = site.get("/config/osimage/compute/_cancel");
    assert_eq!((status, &answer["message"]), (200, &json!("nothing is done with osimage compute")));
}

#[test]
fn polling_needs_no_token_and_ends_with_nothing_known() {
    let site = ImageSite::start();
    for path in ["/config/status/1795468470.4444", "/service/status/1795468470.4444"] {
        let (status, answer) = site.get_as(path, "");
        assert_eq!((status, &answer["message"]), (404, &json!("No data for this request")));
    }
    assert_eq!(site.get_as(&format!("/config/status/{}", "1".repeat(257)), "").0, 400);
}

#[test]
fn messages_of_another_controller_are_taken_listed_and_delivered_once() {
    let site = ImageSite::start();
    let post =
        |status: &Value| site.post("/monitor/status", &json!({ "monitor": { "status": status } }));
    assert_eq!(post(&json!({ "messages": [] })).0, 404);
    let told = json!({ "request_id": "1.2", "messages": [{ "message": "building" }, { "message": "EOF" }] });
    assert_eq!(post(&told), (201, json!({ "message": "success" })));
    let (_, answer) = site.get("/monitor/status");
    let kept = &answer["monitor"]["status"][0];
    assert_eq!((&kept["message"], &kept["read"]), (&json!("building"), &json!(0)));
    assert_eq!(
        (&kept["request_id"], &kept["username_initiator"]),
        (&json!("1.2"), &json!("__remote__"))
    );
    assert_eq!(site.follow(&json!("1.2")), (vec!["building".to_owned()], 200));
    assert_eq!(site.get("/monitor/status").1, json!({ "monitor": { "status": [] } }));
    assert_eq!(site.get_as("/monitor/status", "").0, 401);
}

#[test]
fn each_of_two_followers_of_one_job_gets_every_message() {
    let site = ImageSite::start();
    let id = site.get("/service/luna2/reload").1["request_id"].as_str().unwrap().to_owned();
    let path = format!("/config/status/{id}");
    for follower in ["192.0.2.1", "192.0.2.2"] {
        let (status, text) = site.text_from(&path, follower);
        assert_eq!(status, 200, "{follower}: {text}");
        assert!(text.contains("queued service luna2 reload"), "{text}");
        assert!(text.contains("finished reload service luna2"), "{text}");
        assert_eq!(site.text_from(&path, follower).0, 404, "{follower} was told everything");
    }
    for _ in 0..2 {
        let (status, answer) = site.get(&format!("{path}?after=0"));
        assert_eq!((status, &answer["is_over"]), (200, &json!(true)), "{answer}");
        assert_eq!(answer["messages"].as_array().unwrap().len(), 3, "{answer}");
        let rest = site.get(&format!("{path}?after={}", answer["last"])).1;
        assert_eq!((&rest["messages"], &rest["is_over"]), (&json!([]), &json!(true)));
    }
}
