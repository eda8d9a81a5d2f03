//! Machines that ask more often than they may, and those who ask meanwhile.

use serde_json::json;

use crate::image_site::ImageSite;

const BUSY: &str = "asked too often";

#[test]
fn a_machine_that_asks_too_often_waits_and_neither_others_nor_a_node_that_boots_do() {
    let site = ImageSite::start();
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster", "macaddress": "52:54:00:00:00:01", "ipaddress": "10.141.0.1" }]);
    let save = |resource: &str, name: &str, fields: serde_json::Value| {
        let body = json!({ "config": { resource: { name: fields } } });
        assert_eq!(site.post(&format!("/config/{resource}/{name}"), &body).0, 201);
    };
    save("group", "compute", json!({}));
    save("node", "node001", json!({ "group": "compute", "interfaces": interfaces }));
    let revision = site.get("/history").1["history"][0]["revision"].clone();
    let ask = |number: u32, from: &str| {
        let path = format!(
            "/boot/manual/group/compute/52:54:00:aa:{:02x}:{:02x}",
            number / 256,
            number % 256
        );
        site.text_from(&path, from)
    };
    let answers: Vec<(u16, String)> = (0..400).map(|number| ask(number, "10.9.9.9")).collect();
    assert!(answers.iter().all(|(status, _)| *status == 200));
    let refused = answers.iter().filter(|(_, script)| script.contains(BUSY)).count();
    assert!((1..=160).contains(&refused), "{refused}");
    let (_, last) = answers.last().unwrap();
    assert!(last.contains("/boot/manual/group/compute/52:54:00:aa:01:8f ||"), "{last}");
    assert!(!ask(1, "10.9.9.10").1.contains(BUSY), "a neighbour");
    assert_eq!(site.get("/history").1["history"][0]["revision"], revision, "nothing changed");
    // The node's own machine is one of those that ask too often, until its boot is expected.
    assert!((0..400).any(|number| ask(number, "10.141.0.1").1.contains(BUSY)));
    assert_eq!(site.post("/boot/window", &json!({ "nodes": "node001" })).0, 200);
    let (_, script) = site.text_from("/boot/search/mac/52:54:00:00:00:01", "10.141.0.1");
    assert!(!script.contains(BUSY), "{script}");
}

#[test]
fn tickets_and_measurements_are_counted_as_scripts_are() {
    let site = ImageSite::start();
    let body = json!({ "ticket": "none", "tpm_sha256": "none", "key": "none" });
    for path in ["/boot/ticket/node001", "/tpm/node001"] {
        let from = if path.starts_with("/tpm") { "10.9.9.8" } else { "10.9.9.9" };
        let ask = |from: &str| site.post_from(path, &body, from).0;
        let refused = (0..400).filter(|_| ask(&format!("{from}:700")) == 503).count();
        assert!((1..=160).contains(&refused), "{path}: {refused}");
        assert_ne!(ask("10.9.9.10:700"), 503, "a neighbour of who asks for {path}");
    }
}
