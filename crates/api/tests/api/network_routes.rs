//! Static routes: the catalogue, whom they are coupled to, and who has them in the end.

use serde_json::{Value, json};

use crate::image_site::ImageSite;

fn save(site: &ImageSite, kind: &str, name: &str, fields: &Value) -> (u16, Value) {
    site.post(&format!("/config/{kind}/{name}"), &json!({ "config": { kind: { name: fields } } }))
}

fn show(site: &ImageSite, kind: &str, name: &str) -> Value {
    let (status, mut answer) = site.get(&format!("/config/{kind}/{name}"));
    assert_eq!(status, 200, "{answer}");
    answer["config"][kind][name].take()
}

fn couple(site: &ImageSite, route: &str, target: &str, verb: &str) -> u16 {
    site.get(&format!("/config/route/{route}/{target}/{verb}")).0
}

fn backbone() -> Value {
    json!({ "destination": "10.0.0.0/8", "gateway": "10.141.0.253", "metric": "100" })
}

fn site_with_a_route() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(save(&site, "route", "backbone", &backbone()).0, 201);
    site
}

#[test]
fn a_route_is_made_shown_changed_renamed_and_removed_as_clients_know_it() {
    let site = ImageSite::start();
    assert_eq!(site.get("/config/route").0, 404);
    assert_eq!(site.get("/config/route/backbone").0, 404);
    assert_eq!(save(&site, "route", "backbone", &backbone()).0, 201);
    let expected = json!({ "name": "backbone", "destination": "10.0.0.0/8", "gateway": "10.141.0.253", "metric": 100,
        "device": "", "comment": null, "assigned": "" });
    assert_eq!(show(&site, "route", "backbone"), expected);
    // What an answer shows can be sent back, and what is not said stays.
    assert_eq!(save(&site, "route", "backbone", &expected), (204, json!("")));
    assert_eq!(save(&site, "route", "backbone", &json!({ "comment": "up" })).0, 204);
    assert_eq!(show(&site, "route", "backbone")["metric"], 100);
    assert_eq!(save(&site, "route", "other", &backbone()).0, 201);
    assert_eq!(save(&site, "route", "other", &json!({ "newname": "backbone" })).0, 400);
    assert_eq!(save(&site, "route", "other", &json!({ "newname": "two words.3" })).0, 201);
    assert_eq!(site.get("/config/route").1["config"]["route"].as_object().unwrap().len(), 2);
    assert_eq!(site.get("/config/route/two%20words.3/_delete").0, 204);
    assert_eq!(site.get("/config/route/two%20words.3/_delete").0, 404);
    for (fields, field) in [
        (json!({}), "destination"),
        (json!({ "destination": "", "gateway": "10.0.0.1" }), "destination"),
        (json!({ "destination": "10.0.0.0/33", "gateway": "10.0.0.1" }), "destination"),
        (json!({ "destination": "default", "gateway": "10.0.0.1" }), "destination"),
        (json!({ "destination": "10.0.0.0/8" }), "gateway"),
        (json!({ "destination": "10.0.0.0/8", "gateway": "fd00::1" }), "gateway"),
        (json!({ "destination": "10.0.0.0/8", "gateway": "224.0.0.1" }), "gateway"),
        (json!({ "destination": "10.0.0.0/8", "gateway": ["10.0.0.1"] }), "gateway"),
        (json!({ "destination": "10.0.0.0/8", "device": "a b" }), "device"),
        (json!({ "destination": "10.0.0.0/8", "device": "eth0", "metric": -1 }), "metric"),
        (
            json!({ "destination": "10.0.0.0/8", "device": "eth0", "metric": "4294967296" }),
            "metric",
        ),
        (json!({ "destination": "10.0.0.0/8", "device": "eth0", "gatway": "" }), "gatway"),
    ] {
        let (status, answer) = save(&site, "route", "wrong", &fields);
        assert_eq!(status, 400, "{fields}: {answer}");
        assert_eq!(answer["errors"][0]["field"], field, "{fields}: {answer}");
        assert_eq!(site.get("/config/route/wrong").0, 404);
    }
    assert_eq!(save(&site, "route", "b'ad", &backbone()).0, 400);
    assert_eq!(
        save(&site, "route", "backbone", &json!({ "gateway": "" })).0,
        400,
        "nothing is left"
    );
    for destination in ["192.0.2.7", "192.0.2.9/24", "fd00:8::/32", "0.0.0.0/0"] {
        let fields = json!({ "destination": destination, "device": "BOOTIF" });
        assert_eq!(save(&site, "route", "more", &fields).0 / 100, 2);
        assert_eq!(show(&site, "route", "more")["destination"], destination);
    }
}

#[test]
fn the_nearest_that_has_any_route_says_all_of_a_nodes() {
    let site = site_with_a_route();
    assert_eq!(
        save(
            &site,
            "route",
            "campus",
            &json!({ "destination": "192.0.2.0/24", "device": "BOOTIF" })
        )
        .0,
        201
    );
    let of = |kind: &str, name: &str| {
        let shown = show(&site, kind, name);
        (shown["routes"].clone(), shown.get("_routes_source").cloned(), shown["_override"].clone())
    };
    assert_eq!(of("node", "node001"), (json!(null), None, json!(false)));
    for (target, times) in [("network/cluster", 2), ("group/compute", 1), ("node/node001", 1)] {
        for _ in 0..times {
            assert_eq!(couple(&site, "campus", target, "_couple"), 201, "{target}");
        }
    }
    assert_eq!(couple(&site, "backbone", "node/node001", "_couple"), 201);
    assert_eq!(
        show(&site, "route", "campus")["assigned"],
        "group/compute,network/cluster,node/node001"
    );
    let listed = site.get("/config/route").1;
    assert_eq!(listed["config"]["route"]["backbone"]["assigned"], "node/node001");
    let own = json!("campus, backbone");
    assert_eq!(of("node", "node001"), (own.clone(), Some(json!("node")), json!(true)));
    assert_eq!(of("group", "compute"), (json!("campus"), Some(json!("group")), json!(true)));
    assert_eq!(show(&site, "network", "cluster")["routes"], "campus");
    let entry = &site.get("/config/node").1["config"]["node"]["node001"];
    assert_eq!(
        (&entry["routes"], &entry["_routes_source"], &entry["_override"]),
        (&own, &json!("node"), &json!(true))
    );
    // A copy has what its source has.
    let copy = json!({ "config": { "node": { "node001": { "newnodename": "node009" } } } });
    assert_eq!(site.post("/config/node/node001/_clone", &copy).0, 201);
    assert_eq!(show(&site, "node", "node009")["routes"], own);
    let copy = json!({ "config": { "node": { "node001": { "newnodename": "node010", "routes": "backbone" } } } });
    assert_eq!(site.post("/config/node/node001/_clone", &copy).0, 201);
    assert_eq!(show(&site, "node", "node010")["routes"], "backbone");
    assert_eq!(site.get("/config/node/node009/_delete").0, 204);
    assert_eq!(site.get("/config/node/node010/_delete").0, 204);
    // A route goes when it is coupled to nothing.
    let (status, answer) = site.get("/config/route/campus/_delete");
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().contains("network cluster"), "{answer}");
    assert_eq!(save(&site, "route", "campus", &json!({ "newname": "campus2" })).0, 201);
    assert_eq!(of("node", "node001").0, "campus2, backbone");
    assert_eq!(save(&site, "node", "node001", &json!({ "routes": "" })).0, 204);
    assert_eq!(of("node", "node001"), (json!("campus2"), Some(json!("group")), json!(false)));
    assert_eq!(couple(&site, "campus2", "group/compute", "_decouple"), 201);
    assert_eq!(couple(&site, "campus2", "group/compute", "_decouple"), 404);
    assert_eq!(of("node", "node001"), (json!("campus2"), Some(json!("network")), json!(false)));
    assert_eq!(of("group", "compute").1, Some(json!("network")));
    assert_eq!(couple(&site, "campus2", "network/cluster", "_decouple"), 201);
    assert_eq!(site.get("/config/route/campus2/_delete").0, 204);
    for (target, status) in [
        ("node/none", 404),
        ("group/none", 404),
        ("network/none", 404),
        ("switch/sw01", 400),
        ("nodes/node001", 400),
    ] {
        assert_eq!(couple(&site, "backbone", target, "_couple"), status, "{target}");
    }
    assert_eq!(couple(&site, "none", "node/node001", "_couple"), 404);
}

#[test]
fn the_field_names_all_routes_of_one_and_wrong_ones_change_nothing() {
    let site = site_with_a_route();
    for (kind, name) in [("node", "node001"), ("group", "compute"), ("network", "cluster")] {
        assert_eq!(save(&site, kind, name, &json!({ "routes": "backbone, backbone" })).0, 204);
        assert_eq!(show(&site, kind, name)["routes"], "backbone");
        let many: Vec<String> = (0..65).map(|number| format!("r{number}")).collect();
        for wrong in
            [json!("backbone,none"), json!(true), json!({}), json!([1]), json!("a'b"), json!(many)]
        {
            let (status, answer) = save(&site, kind, name, &json!({ "routes": wrong }));
            assert_eq!(status, 400, "{kind}: {wrong}: {answer}");
            assert_eq!(answer["errors"][0]["field"], "routes", "{answer}");
            assert_eq!(show(&site, kind, name)["routes"], "backbone");
        }
        assert_eq!(save(&site, kind, name, &json!({ "routes": ["backbone"] })).0, 204);
        assert_eq!(save(&site, kind, name, &json!({ "routes": null })).0, 204);
        assert_eq!(show(&site, kind, name)["routes"], json!(null));
    }
}

#[test]
fn what_is_exported_is_applied_again_undone_and_kept_by_tables() {
    let site = site_with_a_route();
    for target in ["node/node001", "group/compute", "network/cluster"] {
        assert_eq!(couple(&site, "backbone", target, "_couple"), 201);
    }
    let document = site.get("/config/export").1;
    assert_eq!(
        document["route"]["backbone"],
        json!({ "destination": "10.0.0.0/8", "gateway": "10.141.0.253", "metric": 100 })
    );
    assert_eq!(document["node"]["node001"]["routes"], "backbone");
    let (status, answer) = site.post("/config/apply", &document);
    assert_eq!((status, &answer["changes"]), (200, &json!([])), "{answer}");
    // All of it goes with one document, and comes back with one undo.
    let mut without = document.clone();
    without["route"] = json!({});
    for (kind, name) in [("node", "node001"), ("group", "compute"), ("network", "cluster")] {
        without[kind][name].as_object_mut().unwrap().remove("routes");
    }
    assert_eq!(site.post("/config/apply?prune=true", &without).0, 200);
    assert_eq!(site.get("/config/route").0, 404);
    let revision = site.get("/history").1["history"][0]["revision"].as_u64().unwrap();
    let (status, answer) = site.post(&format!("/history/{revision}/_undo"), &json!({}));
    assert_eq!(status, 201, "{answer}");
    assert_eq!(site.get("/config/export").1, document);
    // The route itself cannot be taken back while somebody has it.
    let wrong = json!({ "route": { "backbone": { "gateway": "10.0.0.1" } } });
    let (status, answer) = site.post("/config/apply", &wrong);
    assert_eq!(status, 400);
    assert!(
        answer["message"].as_str().unwrap().contains("route backbone: destination"),
        "{answer}"
    );
    // Tables that say nothing of routes leave them; their own table says all of them.
    let cloud = json!({ "cloud": [{ "id": 1, "name": "one", "type": "aws" }] });
    assert_eq!(site.post("/config/cluster/import", &cloud).0, 201);
    assert_eq!(
        show(&site, "route", "backbone")["assigned"],
        "group/compute,network/cluster,node/node001"
    );
    let table = json!({ "route": [{ "id": 7, "name": "campus", "destination": "192.0.2.0/24", "gateway": "10.141.0.253" }] });
    assert_eq!(site.post("/config/cluster/import", &table).0, 201);
    assert_eq!(site.get("/config/route/backbone").0, 404);
    assert_eq!(show(&site, "node", "node001")["routes"], json!(null));
}

#[test]
fn who_may_only_look_couples_nothing_and_nobody_couples_by_head() {
    let site = site_with_a_route();
    let path = "/config/route/backbone/node/node001/_couple";
    assert_eq!(site.get_as(path, "").0, 401);
    assert_eq!(site.get_as(path, &site.node_token("node001")).0, 403);
    assert_eq!(site.head(path).0, 405);
    assert_eq!(show(&site, "route", "backbone")["assigned"], "");
}

#[test]
fn a_relay_belongs_to_a_network_that_shares_a_wire() {
    let site = ImageSite::start();
    site.describe();
    let range = json!({ "network": "10.160.0.0/24", "dhcp_relay": "10.141.0.253" });
    let (status, answer) = save(&site, "network", "behind", &range);
    assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("dhcp_relay")), "{answer}");
    let shared = json!({ "network": "10.160.0.0/24", "shared": "cluster", "dhcp_relay": "10.141.0.253, fd00::1",
        "dhcp_link_subnet": "192.0.2.0/24" });
    assert_eq!(save(&site, "network", "behind", &shared).0, 201);
    let shown = show(&site, "network", "behind");
    assert_eq!(shown["dhcp_relay"], "10.141.0.253,fd00::1");
    assert_eq!(shown["dhcp_link_subnet"], "192.0.2.0/24");
    for (fields, field) in [
        (json!({ "shared": "" }), "dhcp_relay"),
        (json!({ "dhcp_relay": "" }), "dhcp_link_subnet"),
        (json!({ "dhcp_relay": "10.141.0" }), "dhcp_relay"),
        (json!({ "dhcp_relay": ["10.141.0.1", 1] }), "dhcp_relay"),
        (json!({ "dhcp_link_subnet": "192.0.2.0" }), "dhcp_link_subnet"),
    ] {
        let (status, answer) = save(&site, "network", "behind", &fields);
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    let document = site.get("/config/export").1;
    assert_eq!(site.post("/config/apply", &document).1["changes"], json!([]));
    let clear = json!({ "dhcp_relay": "", "dhcp_link_subnet": "" });
    assert_eq!(save(&site, "network", "behind", &clear).0, 204);
    assert_eq!(show(&site, "network", "behind")["dhcp_relay"], json!(null));
    assert_eq!(save(&site, "network", "behind", &shared).0, 204);
    assert_eq!(show(&site, "network", "cluster")["dhcp_relay"], json!(null));
}
