//! Nodes that are installed on their disks, once or again.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

const MAC: &str = "52:54:00:00:00:01";

/// A site whose node is installed once.
fn site() -> ImageSite {
    let site = ImageSite::start();
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    site.describe();
    let fields = json!({ "osimage": "compute", "install_policy": "once" });
    save(&site, "group", "compute", &fields);
    let interface = json!({ "interfaces": [{ "interface": "BOOTIF", "macaddress": MAC }] });
    save(&site, "node", "node001", &interface);
    assert_eq!(site.post("/boot/window", &json!({ "nodes": "node001" })).0, 200);
    site
}

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) {
    let body = json!({ "config": { kind: { name: fields } } });
    let status = site.post(&format!("/config/{kind}/{name}"), &body).0;
    assert!([201, 204].contains(&status), "{status}");
}

fn succeed(site: &ImageSite, told: &Value) -> u16 {
    let mut report = json!({ "state": "install.success" });
    report.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
    let body = json!({ "monitor": { "status": { "node001": report } } });
    site.post("/monitor/node/node001", &body).0
}

fn reinstall(site: &ImageSite, wanted: bool) -> (u16, Value) {
    site.post("/boot/reinstall", &json!({ "nodes": "node001", "cancel": !wanted }))
}

fn script(site: &ImageSite) -> String {
    site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1
}

/// Whether the node is installed at its next boot.
fn installs(site: &ImageSite) -> bool {
    script(site).contains("kernel --name")
}

#[test]
fn a_success_on_a_disk_turns_the_next_boots_to_it_until_somebody_says_otherwise() {
    let site = site();
    assert!(installs(&site));
    let told =
        json!({ "installation": { "filesystem": "ABCD-1234", "file": "/EFI/BOOT/BOOTX64.EFI" } });
    assert_eq!(succeed(&site, &told), 204);
    let from_disk = script(&site);
    assert!(
        from_disk.contains("root-path perilune:ABCD-1234:/EFI/BOOT/BOOTX64.EFI"),
        "{from_disk}"
    );
    let progress = site.get("/monitor/progress").1["monitor"]["progress"]["node001"].clone();
    assert!(progress["installed"].is_string() && progress["reinstall"] == false, "{progress}");
    assert_eq!(reinstall(&site, true).0, 204);
    assert_eq!(site.post("/boot/window", &json!({ "nodes": "node001" })).0, 200);
    assert!(installs(&site));
    assert_eq!(reinstall(&site, false).0, 204);
    assert!(!installs(&site));
    assert_eq!(reinstall(&site, true).0, 204);
    assert_eq!(succeed(&site, &told), 204);
    assert!(!installs(&site), "it was installed anew");
}

#[test]
fn a_root_in_memory_is_no_installation_and_other_installers_are_believed_to_use_their_disk() {
    let site = site();
    assert_eq!(succeed(&site, &json!({ "installation": null })), 204);
    assert!(installs(&site));
    assert_eq!(succeed(&site, &json!({})), 204);
    assert!(installs(&site), "nothing is said about disks: its root is in memory");
    let layout = json!({ "disklayout": r#"{"disks":[{"partitions":[{"filesystem":"ext4","mount":"/"}]}]}"# });
    save(&site, "group", "compute", &layout);
    assert_eq!(succeed(&site, &json!({})), 204);
    let from_disk = script(&site);
    assert!(from_disk.contains("sanboot") && !from_disk.contains("root-path"), "{from_disk}");
}

#[test]
fn what_a_node_cannot_have_meant_is_refused_and_what_is_unfit_is_left_out() {
    let site = site();
    for told in [json!("disk"), json!({ "filesystem": 7 }), json!([1])] {
        assert_eq!(succeed(&site, &json!({ "installation": told })), 400, "{told}");
        assert!(installs(&site), "{told}");
    }
    let told = json!({ "filesystem": "x\nshell", "file": "/a".repeat(10_000) });
    assert_eq!(succeed(&site, &json!({ "installation": told })), 204);
    let from_disk = script(&site);
    assert!(!from_disk.contains("shell") && !from_disk.contains("root-path"), "{from_disk}");
}

#[test]
fn nodes_that_start_from_their_disks_whatever_is_wanted_are_not_promised_anything() {
    let site = site();
    let told = json!({ "installation": {} });
    assert_eq!(succeed(&site, &told), 204);
    for (fields, reason) in [
        (json!({ "install_policy": "never" }), "install_policy is never"),
        (json!({ "netboot": false, "install_policy": "once" }), "netboot is no"),
    ] {
        save(&site, "node", "node001", &fields);
        let (status, answer) = reinstall(&site, true);
        assert_eq!(status, 409);
        assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
        assert_eq!(reinstall(&site, false).0, 204);
    }
    save(&site, "node", "node001", &json!({ "netboot": true }));
    assert!(!installs(&site), "nothing was noted");
    for (body, status) in [
        (json!({ "nodes": "node001,nobody" }), 404),
        (json!({ "nodes": "node[" }), 400),
        (json!({ "node": "node001" }), 400),
    ] {
        assert_eq!(site.post("/boot/reinstall", &body).0, status, "{body}");
    }
    assert!(!installs(&site), "all or none");
}

#[test]
fn an_installation_goes_with_a_new_name_and_not_to_a_new_node() {
    let site = site();
    assert_eq!(succeed(&site, &json!({ "installation": {} })), 204);
    save(&site, "node", "node001", &json!({ "newnodename": "login1" }));
    assert!(!installs(&site));
    save(&site, "node", "login1", &json!({ "newnodename": "node001" }));
    assert_eq!(site.get("/config/node/node001/_delete").0, 204);
    let interface = json!({ "interface": "BOOTIF", "macaddress": MAC, "network": "cluster", "ipaddress": "10.141.0.1" });
    save(&site, "node", "node001", &json!({ "group": "compute", "interfaces": [interface] }));
    assert_eq!(site.post("/boot/window", &json!({ "nodes": "node001" })).0, 200);
    assert!(installs(&site));
}
