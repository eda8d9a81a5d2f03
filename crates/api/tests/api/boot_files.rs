//! Which files of its image a node is sent, however the node came to be as it is.

use perilune_testkit::luna::Database;
use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// A site whose image `compute` has a tag `stable` of the files `k-1` and has the files `k-2` by now; the group boots the tag.
fn site() -> ImageSite {
    let site = ImageSite::start();
    for (tag, number) in [(Some("stable"), 1), (None, 2)] {
        let files = json!({
            "kernelfile": format!("k-{number}"), "initrdfile": format!("i-{number}"), "imagefile": format!("a-{number}.tar.zst"),
        });
        assert!(site.post_image("compute", "", &files).0 < 300);
        if let Some(tag) = tag {
            assert_eq!(site.post_image("compute", "/tag", &json!({ "tag": tag })).0, 204);
        }
    }
    site.describe();
    save(&site, "group", "compute", &json!({ "osimage": "compute", "osimagetag": "stable" }), 204);
    site
}

fn save(site: &ImageSite, resource: &str, name: &str, fields: &Value, expected: u16) {
    let (code, answer) = site.post(
        &format!("/config/{resource}/{name}"),
        &json!({ "config": { resource: { name: fields } } }),
    );
    assert_eq!(code, expected, "{fields}: {answer}");
}

/// The number behind the names of the files in the boot script of a node with this MAC address.
fn boots(site: &ImageSite, mac: &str) -> char {
    // Any address but a proxy's that names nobody is believed to be somebody's: a ticket is of no interest here.
    site.post("/boot/window", &json!({ "nodes": site.node_of(mac) }));
    let script = site.text_from(&format!("/boot/search/mac/{mac}"), "").1;
    let (_, rest) = script.split_once("/files/k-").unwrap_or_else(|| panic!("{script}"));
    let number = rest.chars().next().unwrap();
    assert!(script.contains(&format!("/files/i-{number}")), "{script}");
    number
}

fn mac(number: usize) -> String {
    format!("52:54:00:00:01:{number:02x}")
}

fn shown(site: &ImageSite, node: &str) -> (Value, Value) {
    let node = site.get(&format!("/config/node/{node}")).1["config"]["node"][node].clone();
    (node["osimagetag"].clone(), node["_osimagetag_source"].clone())
}

#[test]
fn a_node_with_an_image_of_its_own_boots_the_files_of_now_by_the_api() {
    let site = site();
    // What is said of the node, what it boots, the tag that is shown, and whose it is.
    let table = [
        (json!({}), '1', "stable", "group"),
        (json!({ "osimage": "compute" }), '2', "default", "node"),
        (json!({ "osimage": "compute", "osimagetag": "" }), '2', "default", "node"),
        (json!({ "osimage": "compute", "osimagetag": "stable" }), '1', "stable", "node"),
        (json!({ "osimagetag": "default" }), '2', "default", "node"),
        (json!({ "osimagetag": "stable" }), '1', "stable", "node"),
        (json!({ "osimage": "", "osimagetag": "" }), '1', "stable", "group"),
    ];
    for (number, (fields, expected, tag, source)) in table.into_iter().enumerate() {
        let name = format!("made{number}");
        let mut fields = fields;
        fields["group"] = json!("compute");
        fields["interfaces"] = json!([{ "interface": "BOOTIF", "macaddress": mac(number) }]);
        save(&site, "node", &name, &fields, 201);
        assert_eq!(boots(&site, &mac(number)), expected, "{fields}");
        assert_eq!(shown(&site, &name), (json!(tag), json!(source)), "{fields}");
        // A copy boots the same.
        let copy = json!({ "newnodename": format!("copy{number}"), "interfaces": [{ "interface": "BOOTIF", "macaddress": mac(number + 100) }] });
        let body = json!({ "config": { "node": { name.as_str(): copy } } });
        assert_eq!(site.post(&format!("/config/node/{name}/_clone"), &body).0, 201);
        assert_eq!(boots(&site, &mac(number + 100)), expected, "copy of {fields}");
    }
    let list = site.get("/config/node").1["config"]["node"].clone();
    assert_eq!(list["made1"]["osimagetagid"], "default");
    assert_eq!(list["made0"]["osimagetagid"], Value::Null);
}

#[test]
fn what_a_node_boots_is_the_same_after_an_export_and_an_import_of_each_kind() {
    let site = site();
    let kinds = [
        (json!({}), '1'),
        (json!({ "osimage": "compute" }), '2'),
        (json!({ "osimage": "compute", "osimagetag": "stable" }), '1'),
        (json!({ "osimagetag": "default" }), '2'),
        (json!({ "osimagetag": "stable" }), '1'),
    ];
    for (number, (fields, _)) in kinds.iter().enumerate() {
        let mut fields = fields.clone();
        fields["group"] = json!("compute");
        fields["interfaces"] = json!([{ "interface": "BOOTIF", "macaddress": mac(number) }]);
        save(&site, "node", &format!("made{number}"), &fields, 201);
    }
    let check = |site: &ImageSite, what: &str| {
        for (number, (fields, expected)) in kinds.iter().enumerate() {
            assert_eq!(boots(site, &mac(number)), *expected, "{what}: {fields}");
        }
    };
    check(&site, "as it was made");
    let tables = site.get("/config/cluster/export").1;
    let document = site.get("/config/export").1;
    for (number, (fields, _)) in kinds.iter().enumerate() {
        let group = if fields.get("osimage").is_some() { "" } else { "compute" };
        let other = json!({ "osimage": group, "osimagetag": "" });
        save(&site, "node", &format!("made{number}"), &other, 204);
    }
    let (code, answer) = site.post("/config/cluster/import", &tables);
    assert_eq!(code, 201, "{answer}");
    check(&site, "tables");
    for number in 0..kinds.len() {
        save(&site, "node", &format!("made{number}"), &json!({ "osimage": "" }), 204);
    }
    let (code, answer) = site.post("/config/apply", &document);
    assert_eq!(code, 200, "{answer}");
    check(&site, "document");
    let unchanged = site.post("/config/apply?dry_run=true", &document).1;
    assert_eq!(unchanged["changes"], json!([]), "{unchanged}");
}

#[test]
fn a_site_that_is_taken_over_boots_the_files_that_it_booted() {
    let database = Database::site();
    database.sql(
        "UPDATE osimage SET kernelfile = 'k-2', initrdfile = 'i-2' WHERE id = 1; UPDATE osimagetag SET kernelfile = 'k-1', initrdfile = 'i-1' WHERE id = 1;
         UPDATE \"group\" SET osimagetagid = 1;",
    );
    let mut expected = Vec::new();
    for image in ["NULL", "1"] {
        for tag in ["NULL", "''", "'default'", "1", "99", "'None'", "'gone'", "0"] {
            let number = expected.len() + 50;
            let inherits = ["NULL", "''", "0"].contains(&tag);
            expected.push(if tag == "1" || (inherits && image == "NULL") { '1' } else { '2' });
            database.sql(&format!(
                "INSERT INTO node (id, name, groupid, osimageid, osimagetagid, service) VALUES ({number}, 'taken{number}', 1, {image}, {tag}, 0);
                 INSERT INTO nodeinterface (id, nodeid, interface, macaddress) VALUES ({number}, {number}, 'BOOTIF', '{}');
                 INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) VALUES ({number}, 'nodeinterface', {number}, '10.141.7.{number}', 1);",
                mac(number)
            ));
        }
    }
    let site = ImageSite::start();
    let bytes = std::fs::read(database.file()).unwrap();
    let (code, answer) = site.post_bytes("/config/import?dry_run=false", &bytes, None);
    assert_eq!((code, &answer["import"]["committed"]), (200, &json!(true)), "{answer}");
    for (position, expected) in expected.into_iter().enumerate() {
        let node = format!("taken{}", position + 50);
        assert_eq!(boots(&site, &mac(position + 50)), expected, "{node}: {answer:#}");
    }
}
