//! What monitoring reads of a daemon, and what it may change. The site's Prometheus is played by a small server; the real one is asked in
//! `crates/perilune/tests/clients/prometheus.rs`.

use std::fs;

use serde_json::{Value, json};

use crate::image_site::ImageSite;

/// The document that programs which scrape are given, as lines.
fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

fn site() -> ImageSite {
    let site = ImageSite::start();
    let group = json!({ "config": { "group": { "compute": {} } } });
    assert_eq!(site.post("/config/group/compute", &group).0, 201);
    let node = json!({ "group": "compute", "interfaces": [
        { "interface": "BOOTIF", "network": "cluster", "ipaddress": "10.141.0.7" } ] });
    let body = json!({ "config": { "node": { "node001": node } } });
    assert_eq!(site.post("/config/node/node001", &body).0, 201);
    site
}

#[test]
fn prometheus_is_told_whom_to_ask() {
    let site = ImageSite::start();
    assert_eq!(site.get_as("/export/prometheus", "").0, 404, "no node, no target");
    let site = self::site();
    let (status, targets) = site.get_as("/export/prometheus", "");
    assert_eq!(status, 200, "a program of this machine needs no token: {targets}");
    let targets = targets.as_array().unwrap();
    assert_eq!(targets.len(), 5);
    let first = &targets[0];
    assert_eq!(first["targets"], json!(["10.141.0.7:14200"]));
    assert_eq!(first["labels"]["exporter"], json!("node"));
    assert_eq!(first["labels"]["hostname"], json!("node001.cluster"));
    assert_eq!(first["labels"]["luna_group"], json!("compute"));
}

#[test]
fn what_is_not_allowed_is_not_told_and_not_taken() {
    let site = site();
    for name in ["boot_plugins", "zabbix", "..", "%2e%2e%2fx"] {
        let (status, answer) = site.get(&format!("/export/{name}"));
        assert_eq!(status, 404, "{name}: {answer}");
        assert_eq!(site.post(&format!("/import/{name}"), &json!({})).0, 404, "{name}");
    }
    let (_, answer) = site.get("/export/zabbix");
    assert!(answer["message"].as_str().unwrap().contains("ALLOWED_EXPORTERS"), "{answer}");
    assert_eq!(site.post_as("/import/prometheus_rules", &json!({}), "").0, 401);
    assert_eq!(site.get("/import/prometheus_rules").0, 405);
}

#[test]
fn rules_that_mean_nothing_are_refused_with_their_place() {
    let site = site();
    let rules = json!({ "groups": [{ "name": "x", "rules": [{ "alert": "A", "expr": "up", "for": "soon" }] }] });
    let (status, answer) = site.post("/import/prometheus_rules", &rules);
    assert_eq!(status, 404);
    assert!(answer["message"].as_str().unwrap().contains("groups[0].rules[0].for"), "{answer}");
    let (status, answer) =
        site.post("/import/prometheus_hw_rules", &json!([{ "hostname": "../x" }]));
    assert!(status == 404 && answer["message"].as_str().unwrap().contains("hostname"), "{answer}");
}

#[test]
fn hardware_rules_need_what_prometheus_knows() {
    let site = site();
    let request = json!([{ "hostname": "node001.cluster", "force": false }]);
    let (status, made) = site.post("/import/prometheus_hw_rules", &request);
    assert_eq!(status, 200, "{made}");
    assert_eq!(made[0]["status"], json!(false));
    assert!(made[0]["message"].as_str().unwrap().contains("No data found for query"), "{made}");
    let (_, there) = site.get("/export/prometheus_hw_rules?hasconfig=node001.cluster,x");
    assert_eq!(there[0], json!({ "hostname": "node001.cluster", "status": false }));
    assert_eq!(there.as_array().unwrap().len(), 2);
    let (_, all) = site.get("/export/prometheus_hw_rules");
    assert_eq!(all[0]["hostname"], json!("node001.cluster"));
    assert_eq!(all[0]["status"], json!(false));
}

#[test]
fn a_program_of_the_site_is_an_exporter_and_cannot_stop_others() {
    let site = site();
    let own = "export/prometheus_rules";
    site.plugin(own, "#!/bin/sh\ncat\n");
    let (status, told) = site.get("/export/prometheus_rules?rack=r1");
    assert_eq!((status, &told["arguments"][0]), (200, &json!(["rack", "r1"])), "{told}");
    // As whom it runs: never as root, unless the configuration says so of this one, and nobody else may write it then.
    site.plugin(own, "#!/bin/sh\nid -u\n");
    assert_ne!(site.get("/export/prometheus_rules").1, 0);
    site.plugin(own, "#!/bin/sh\necho broken >&2\nexit 3\n");
    let (status, told) = site.get("/export/prometheus_rules");
    assert!(status == 404 && told["message"].as_str().unwrap().contains("broken"), "{told}");
    // A Python file of an existing site, where there is no executable.
    fs::remove_file(site.directory.path().join("data/plugins").join(own)).unwrap();
    let class = "class Plugin:\n    def Export(self, args):\n        print('noise')\n        return True, args\n";
    site.plugin("export/prometheus_rules.py", class);
    let (status, told) = site.get("/export/prometheus_rules?rack=r1");
    assert_eq!((status, &told), (200, &json!({ "rack": "r1" })));
}

#[test]
fn metrics_tell_what_is_counted_and_what_is_so() {
    let site = site();
    site.get("/config/node/node001");
    site.get("/config/node/there-is-none");
    site.get("/no/such/path");
    let (status, text) = site.get_text("/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
    for line in [
        "perilune_objects{kind=\"node\"} 1",
        "perilune_nodes{state=\"none\"} 1",
        "perilune_http_request_duration_seconds_count{method=\"GET\",route=\"/config/node/{name}\",status=\"200\"} 1",
        "perilune_http_request_duration_seconds_count{method=\"GET\",route=\"/config/node/{name}\",status=\"404\"} 1",
        "perilune_http_request_duration_seconds_count{method=\"GET\",route=\"none\",status=\"404\"} 1",
    ] {
        assert!(lines(&text).contains(&line), "{line}: {text}");
    }
    assert!(!text.contains("there-is-none"), "what clients write makes no labels");
}

#[test]
fn images_and_tasks_are_told_as_existing_clients_read_them() {
    let site = site();
    let (status, all) = site.get_as("/monitor/mother", "");
    assert_eq!(
        (status, &all["monitor"]["status"]["mother"]["tasks"]),
        (200, &json!({ "state": "tasks ok", "status": "200" }))
    );
    let (_, one) = site.get_as("/monitor/mother/cleanup", "");
    assert_eq!(
        one["monitor"]["status"]["cleanup"],
        json!({ "state": "cleanup ok", "status": "200" })
    );
    let image =
        json!({ "config": { "osimage": { "debian": { "kernelfile": "debian-1-vmlinuz" } } } });
    assert_eq!(site.post("/config/osimage/debian", &image).0, 201);
    let (_, images) = site.get_as("/monitor/osimage", "");
    let debian = &images["monitor"]["status"]["osimage"]["debian"];
    assert_eq!(debian["status"], json!("501"), "{images}");
    fs::write(site.files().join("debian-1-vmlinuz"), "").unwrap();
    let (_, one) = site.get_as("/monitor/osimage/debian", "");
    assert_eq!(
        one["monitor"]["status"]["debian"],
        json!({ "state": "debian ok", "status": "200" })
    );
    for path in ["/monitor/ha", "/monitor/sync"] {
        let (status, answer) = site.get_as(path, "");
        assert_eq!((status, &answer["message"]), (404, &json!("no entries found")), "{path}");
    }
    let (status, answer) = site.get_as("/monitor/ha/insync", "");
    assert_eq!((status, &answer["message"]), (404, &json!("insync not found")));
    let (_, nothing): (u16, Value) = site.get_as("/monitor/osimage/none", "");
    assert_eq!(nothing["message"], json!("none not found"));
}
