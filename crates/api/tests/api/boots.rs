//! What machines fetch, and what they are believed.

use perilune_plan::Purpose;
use perilune_seal::KeyPair;
use serde_json::{Value, json};

use crate::image_site::{ImageSite, opened};

const MAC: &str = "52:54:00:00:00:01";

fn bootable(site: &ImageSite) {
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    site.describe();
    let body = json!({ "config": { "group": { "compute": { "osimage": "compute" } } } });
    assert_eq!(site.post("/config/group/compute", &body).0, 204);
    let interface = json!({ "interfaces": [{ "interface": "BOOTIF", "macaddress": MAC }] });
    assert_eq!(
        site.post(
            "/config/node/node001",
            &json!({ "config": { "node": { "node001": interface } } })
        )
        .0,
        204
    );
}

fn ticket_in(script: &str) -> Option<String> {
    let (_, rest) = script.split_once("perilune.ticket=")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

#[test]
fn a_machine_that_nobody_described_is_told_what_to_do_and_is_listed() {
    let site = ImageSite::start();
    let (code, script) = site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.200.7");
    assert_eq!(code, 200);
    assert!(
        script.starts_with("#!ipxe") && script.contains(&format!("perilune node adopt {MAC}")),
        "{script}"
    );
    let unknown = site.get("/monitor/unknown").1["monitor"]["unknown"].clone();
    assert_eq!(unknown[0]["macaddress"], MAC);
    assert_eq!(unknown[0]["ipaddress"], "10.141.200.7");
    assert_eq!(site.text_from("/boot/search/mac/nonsense", "10.141.200.7").0, 400);
}

#[test]
fn templates_that_a_site_brings_later_count_without_a_restart() {
    let site = ImageSite::start();
    let menu = || site.text_from("/boot", "10.141.200.7").1;
    let built_in = menu();
    let templates = site.directory.path().join("data/templates");
    std::fs::create_dir(&templates).unwrap();
    std::fs::write(templates.join("templ_boot_ipxe.cfg"), "#!ipxe\necho the site's own\n").unwrap();
    assert_eq!(menu(), "#!ipxe\necho the site's own\n");
    std::fs::remove_dir_all(&templates).unwrap();
    assert_eq!(menu(), built_in);
}

#[test]
fn a_mistyped_name_at_the_boot_menu_is_told_at_the_console() {
    let site = ImageSite::start();
    bootable(&site);
    for (path, expected) in
        [("hostname/nope", "there is no node 'nope'"), ("group/nope", "there is no group 'nope'")]
    {
        let (code, script) =
            site.text_from(&format!("/boot/manual/{path}/52:54:00:00:00:09"), "10.141.200.7");
        assert_eq!(code, 200);
        assert!(script.starts_with("#!ipxe") && script.contains(expected), "{script}");
    }
}

fn count(site: &ImageSite) -> usize {
    site.get("/config/node").1["config"]["node"].as_object().unwrap().len()
}

/// How many changes there were.
fn revision(site: &ImageSite) -> Value {
    site.get("/history").1["history"][0]["revision"].clone()
}

#[test]
fn what_a_machine_claims_at_its_console_changes_nothing_until_somebody_accepts_it() {
    let site = ImageSite::start();
    bootable(&site);
    let (before, nodes) = (revision(&site), count(&site));
    let mac = |number: u8| format!("52:54:00:00:01:{number:02x}");
    let ask_from = |wish: &str, number: u8, from: &str| {
        site.text_from(&format!("/boot/manual/{wish}/{}", mac(number)), from).1
    };
    let ask = |wish: &str, number: u8| ask_from(wish, number, "10.141.200.7");
    for number in 0..20 {
        let script = ask("group/compute", number);
        assert!(script.contains(&format!("perilune node adopt {}", mac(number))), "{script}");
        assert!(
            script.contains(&format!("/boot/manual/group/compute/{}", mac(number))),
            "{script}"
        );
        assert_eq!(ticket_in(&script), None);
    }
    // node001 has a machine; who says to be it takes nothing away.
    let script = ask("hostname/node001", 30);
    assert!(script.contains("waits for an administrator to make it node node001"), "{script}");
    assert_eq!((revision(&site), count(&site)), (before, nodes));
    assert!(
        ticket_in(&site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1).is_some()
    );

    let unknown = site.get("/monitor/unknown").1["monitor"]["unknown"].clone();
    assert_eq!(unknown[0]["claim"], "the next node of group compute");
    let accept =
        |number: u8, body: Value| site.post(&format!("/boot/claim/{}/_accept", mac(number)), &body);
    assert_eq!(accept(99, json!({})).0, 404, "it claims nothing");
    let (code, answer) = accept(30, json!({}));
    assert_eq!(code, 409, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("--replace"), "{answer}");
    let (code, answer) = accept(0, json!({}));
    assert_eq!((code, &answer["node"]), (200, &json!("node002")), "the next without a machine");
    assert!(ask_from("group/compute", 0, "10.141.0.2").contains("this machine is node002"));
    assert_eq!(accept(30, json!({ "replace": "perhaps" })).0, 400);
    assert_eq!(accept(30, json!({ "replace": "yes" })).0, 200);
    let script = ask_from("hostname/node001", 30, "10.141.0.1");
    assert!(script.contains("this machine is node001"), "{script}");
    for nobody in ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"] {
        assert_eq!(
            site.text_from(&format!("/boot/manual/group/compute/{nobody}"), "10.9.9.9").0,
            400
        );
    }
}

#[test]
fn a_rule_of_the_site_accepts_the_next_node_and_asking_twice_makes_one() {
    let site = ImageSite::start();
    bootable(&site);
    let body = json!({ "config": { "cluster": { "nextnode_discover": true } } });
    assert_eq!(site.post("/config/cluster", &body).0, 204);
    let asked = "/boot/manual/group/compute/52:54:00:00:00:09";
    let first = site.text_from(asked, "10.141.200.7");
    assert!(first.1.contains("node002"), "{}", first.1);
    let nodes = count(&site);
    site.text_from(asked, "10.141.200.7");
    assert_eq!(count(&site), nodes);
}

#[test]
fn a_ticket_is_for_the_node_at_its_own_address_until_it_is_installed() {
    let site = ImageSite::start();
    bootable(&site);
    let elsewhere = site.text_from(&format!("/boot/search/mac/{MAC}"), "10.9.9.9").1;
    assert_eq!(ticket_in(&elsewhere), None, "somebody else gets no ticket");
    let script = site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1;
    let ticket = ticket_in(&script).unwrap();
    let key = KeyPair::generate().unwrap();
    let exchange = |node: &str, ticket: &str, from: &str| {
        site.exchange(node, &json!({ "ticket": ticket }), from, &key)
    };
    assert_eq!(exchange("node002", &ticket, "10.141.0.1:700").0, 401);
    assert_eq!(exchange("node001", &ticket, "10.9.9.9:700").0, 401);
    assert_eq!(exchange("node001", "forged", "10.141.0.1:700").0, 401);
    for unprivileged in ["10.141.0.1:40000", "10.141.0.1:1024", "10.141.0.1"] {
        let (code, answer) = exchange("node001", &ticket, unprivileged);
        assert_eq!(code, 401, "any user of the node can ask from {unprivileged}");
        assert!(answer["message"].as_str().unwrap().contains("port below 1024"), "{answer}");
    }
    let (code, answer) = exchange("node001", &ticket, "10.141.0.1:700");
    assert_eq!(code, 201);
    let token = answer["token"].as_str().unwrap().to_owned();
    let (code, again) = exchange("node001", &ticket, "10.141.0.1:701");
    assert_eq!((code, &again), (201, &answer), "the answer may have got lost");
    let thief = KeyPair::generate().unwrap();
    let stolen = site.exchange("node001", &json!({ "ticket": ticket }), "10.141.0.1:700", &thief);
    assert_eq!(stolen.0, 401, "another key, never");
    let sealed = site.get_as("/boot/plan/node001", &token).1;
    assert!(sealed["image"].is_null() && sealed["sealed"].is_string(), "{sealed}");
    let plan = opened(&key, &Purpose::Plan.of("node001"), sealed);
    assert_eq!((&plan["node"], &plan["image"]["file"]), (&json!("node001"), &json!("a.tar.zst")));
    // Who has read the token on the network asks for what is not sealed.
    for in_clear in ["/config/secrets/node", "/boot/install", "/kickstart/install"] {
        let (code, answer) = site.get_as(&format!("{in_clear}/node001"), &token);
        assert_eq!(code, 403, "{in_clear}: its secrets are in the plan, sealed: {answer}");
    }
    let success = json!({ "monitor": { "status": { "node001": { "state": "install.success" } } } });
    for _ in 0..2 {
        let (code, answer) = site.post_as("/monitor/node/node001", &success, &token);
        assert_eq!(code, 204, "the report may be repeated: {answer}");
    }
    let runs = json!({ "selector": "node001", "columns": ["osimage", "runs"] });
    let row = site.post("/select/node", &runs).1["rows"][0].clone();
    assert_eq!(row[0], row[1], "it runs the image that it was told to install");
    assert_ne!(row[1], "");
    assert_eq!(exchange("node001", &ticket, "10.141.0.1:700").0, 401, "the boot is over");
}

#[test]
fn a_boot_that_nothing_shows_gets_no_ticket_and_the_console_says_what_is_missing() {
    let site = ImageSite::start().configure("[BOOT]\nEVIDENCE = arm\n");
    bootable(&site);
    let search = || site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1;
    let before = site.get("/monitor/node/node001").0;
    let script = search();
    assert_eq!(ticket_in(&script), None);
    assert!(script.contains("perilune node arm node001"), "{script}");
    assert_eq!(site.get("/monitor/node/node001").0, before, "no state changes");
    let arm = |body: Value| site.post("/boot/window", &body);
    assert_eq!(arm(json!({ "nodes": "node[001-999]" })).0, 404);
    assert_eq!(ticket_in(&search()), None, "all of them or none");
    assert_eq!(arm(json!({ "nodes": "node001", "seconds": 86_401 })).0, 400);
    let (code, answer) = arm(json!({ "nodes": "node[001-002]", "seconds": 600 }));
    assert_eq!(code, 200);
    assert_eq!(answer["windows"][0]["node"], "node001");
    assert_eq!(answer["windows"][1]["evidence"], "arm");
    assert_eq!(
        ticket_in(&site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.2").1),
        None
    );
    assert!(ticket_in(&search()).is_some());
    assert_eq!(arm(json!({ "nodes": "node001", "seconds": 0 })).0, 200);
    assert_eq!(ticket_in(&search()), None);
}

#[test]
fn firmware_that_was_not_seen_asks_for_an_address_again_twice_at_most() {
    let site = ImageSite::start().configure("[BOOT]\nEVIDENCE = dhcp\n");
    bootable(&site);
    let search =
        |again: &str| site.text_from(&format!("/boot/search/mac/{MAC}{again}"), "10.141.0.1").1;
    for (again, next) in [("", "?again=1"), ("?again=1", "?again=2")] {
        let script = search(again);
        assert!(script.contains("dhcp netX") && script.contains(next), "{script}");
    }
    let script = search("?again=2");
    assert!(script.contains("no boot of it is expected"), "{script}");
    let body = json!({ "nodes": "node001" });
    let (code, answer) = site.post("/boot/window", &body);
    assert_eq!(code, 409, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("[BOOT] EVIDENCE"), "{answer}");
}

#[test]
fn a_ticket_and_its_use_outlive_the_daemon() {
    let site = ImageSite::start();
    bootable(&site);
    let script = site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1;
    let body = json!({ "ticket": ticket_in(&script).unwrap() });
    let (key, thief) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let site = site.restart();
    let (code, first) = site.exchange("node001", &body, "10.141.0.1:700", &key);
    assert_eq!(code, 201, "{first}");
    let site = site.restart();
    assert_eq!(site.exchange("node001", &body, "10.141.0.1:700", &thief).0, 401);
    assert_eq!(site.exchange("node001", &body, "10.141.0.1:700", &key), (201, first));
}

#[test]
fn a_later_boot_ends_the_token_of_the_former_only_when_its_own_ticket_is_used() {
    let site = ImageSite::start();
    bootable(&site);
    let key = KeyPair::generate().unwrap();
    let ticket = || {
        let script = site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1;
        json!({ "ticket": ticket_in(&script).unwrap() })
    };
    let (first, second) = (ticket(), ticket());
    let exchange = |body: &Value| site.exchange("node001", body, "10.141.0.1:700", &key);
    let token = exchange(&first).1["token"].as_str().unwrap().to_owned();
    let third = ticket();
    assert_eq!(site.get_as("/boot/plan/node001", &token).0, 200, "only tickets were given");
    assert_eq!(exchange(&third).0, 201);
    assert_eq!(site.get_as("/boot/plan/node001", &token).0, 401);
    for old in [&first, &second] {
        assert_eq!(exchange(old).0, 401, "a later boot was served");
    }
}

#[test]
fn a_kickstart_file_is_for_the_machine_whose_boot_is_served() {
    let site = ImageSite::start();
    bootable(&site);
    assert_eq!(site.post_image("compute", "", &json!({ "imagefile": "kickstart" })).0, 204);
    let script = site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1;
    let (_, rest) = script.split_once("inst.ks=").unwrap();
    let url = rest.split_whitespace().next().unwrap();
    assert!(!script.contains("perilune.ticket"), "the kernel's command line has its length");
    let (controller, path) = url.split_at(url.find("/kickstart").unwrap());
    assert!(controller.starts_with("http://10.141.255.254:"), "{controller}");
    let (code, file) = site.text_from(path, "10.141.0.1");
    assert_eq!(code, 200, "{file}");
    let (_, rest) = file.split_once("LUNA_TOKEN=").unwrap();
    let token = rest.lines().next().unwrap().trim_matches('\'');
    let state = json!({ "monitor": { "status": { "node001": { "state": "install.success" } } } });
    let (bare, ticket) = path.split_once("?ticket=").unwrap();
    for refused in [
        bare.to_owned(),
        format!("{bare}?ticket=forged"),
        format!("/kickstart/install/node002?ticket={ticket}"),
    ] {
        let (code, answer) = site.text_from(&refused, "10.141.0.1");
        assert_eq!(code, 401, "{refused}: {answer}");
    }
    assert_eq!(site.text_from(path, "10.9.9.9").0, 401, "another machine");
    let (code, seen) = site.get(bare);
    assert_eq!(code, 200, "an administrator may look");
    assert!(!seen.to_string().contains(token), "and sees no token");
    assert_eq!(site.get_as(bare, &site.node_token("node002")).0, 403);
    assert_eq!(site.post_as("/monitor/node/node001", &state, token).0, 204, "it reports its end");
    assert_eq!(site.text_from(path, "10.141.0.1").0, 401, "the boot is over");
}

#[test]
fn a_node_goes_past_the_menu_unless_it_wants_it() {
    let site = ImageSite::start();
    bootable(&site);
    assert!(site.text_from("/boot", "10.141.0.1").1.contains(&format!("/boot/search/mac/{MAC}")));
    assert!(site.text_from("/boot", "10.141.200.1").1.contains("menu"));
    let body = json!({ "config": { "node": { "node001": { "bootmenu": true } } } });
    assert_eq!(site.post("/config/node/node001", &body).0, 204);
    assert!(site.text_from("/boot", "10.141.0.1").1.contains("menu"));
}

#[test]
fn files_need_a_token_by_their_kind_and_stay_in_their_directory() {
    let site = ImageSite::start();
    for name in ["a.tar.zst", "kernel-6.1"] {
        std::fs::write(site.files().join(name), "0123456789").unwrap();
    }
    assert_eq!(site.text_from("/files/kernel-6.1", "10.141.0.1"), (200, "0123456789".to_owned()));
    assert_eq!(site.get_as("/files/a.tar.zst", "").0, 401);
    assert_eq!(site.get("/files/a.tar.zst").0, 200);
    assert_eq!(site.get("/files").1, json!(["a.tar.zst"]));
    for path in
        ["/files/..%2fluna.ini", "/files/%2e%2e%2fluna.ini", "/files/.hidden", "/files/absent"]
    {
        let (code, answer) = site.get(path);
        assert!(matches!(code, 404 | 503), "{path}: {code}");
        assert!(answer.is_null() || answer["message"].is_string());
    }
    assert_eq!(site.get_as("/filesauth", "").1["message"], "Missing request uri");
}

#[test]
fn a_nodes_token_is_good_for_the_archives_of_its_own_image() {
    let site = ImageSite::start();
    site.describe();
    for (name, file) in [("compute", "compute-17.tar.zst"), ("compute-2", "compute-2-18.tar.zst")] {
        assert_eq!(site.post_image(name, "", &json!({ "imagefile": file })).0, 201);
    }
    let set = |kind: &str, name: &str, fields: Value| {
        let body = json!({ "config": { kind: { name: fields } } });
        assert_eq!(site.post(&format!("/config/{kind}/{name}"), &body).0, 204);
    };
    set("group", "compute", json!({ "osimage": "compute" }));
    let others = ["compute-2-18.tar.zst", "compute-16.tar.zst", "a.tar.gz", "A.TAR.GZ"];
    for file in ["compute-17.tar.zst", "compute-17.tar.zst.torrent"].iter().chain(&others) {
        std::fs::write(site.files().join(file), "0123456789").unwrap();
    }
    let token = &site.node_token("node001");
    let ask = |file: &str| site.get_as(&format!("/files/{file}"), token);
    let may = |file: &str| site.may_fetch(&format!("/luna/files/{file}"), token);
    for file in ["compute-17.tar.zst", "compute-17.tar.zst.torrent"] {
        assert_eq!((ask(file).0, may(file)), (200, 200), "{file}");
    }
    for file in others {
        let (status, answer) = ask(file);
        assert_eq!((status, may(file)), (403, 403), "{file}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains("image of node node001"), "{answer}");
    }
    assert_eq!(site.get_as("/files/a.tar.gz", &site.node_token("node002")).0, 403);
    // The image is packed meanwhile: the node may go on with what it began with, or begin with what there is now.
    set("osimage", "compute", json!({ "imagefile": "compute-16.tar.zst" }));
    assert_eq!((ask("compute-16.tar.zst").0, ask("compute-17.tar.zst").0), (200, 200));
    let over = json!({ "nodes": "node001", "seconds": 0 });
    assert_eq!(site.post("/boot/window", &over).0, 200);
    let later = site.node_token("node001");
    assert_eq!(site.get_as("/files/compute-17.tar.zst", &later).0, 403);
    assert_eq!(ask("compute-16.tar.zst").0, 401, "the former boot is over");
    let ask = |file: &str| site.get_as(&format!("/files/{file}"), &later).0;
    set("node", "node001", json!({ "osimage": "compute-2" }));
    assert_eq!((ask("compute-2-18.tar.zst"), ask("compute-17.tar.zst")), (200, 403));
}

#[test]
fn firmware_that_boots_by_http_is_served_as_by_tftp() {
    let site = ImageSite::start();
    std::fs::create_dir_all(site.tftp()).unwrap();
    for name in ["luna_ipxe.efi", "other.efi"] {
        std::fs::write(site.tftp().join(name), "0123456789").unwrap();
    }
    for path in ["/files/luna_ipxe.efi", "//files//luna_ipxe.efi"] {
        assert_eq!(site.text_from(path, "10.141.0.1"), (200, "0123456789".to_owned()), "{path}");
        // UEFI firmware asks how long a file is before it fetches it.
        assert_eq!(site.head(path), (200, Some("10".to_owned())), "{path}");
    }
    assert_eq!(site.head("/files/absent").0, 503);
    assert_eq!(site.get_as("/files/other.efi", "").0, 503, "only the programs of our answers");
}

#[test]
fn a_boot_program_that_is_missing_is_told_with_what_to_do() {
    let site = ImageSite::start();
    // No distribution has this one.
    let (code, answer) = site.get_as("/files/luna_snponly_arm64.efi", "");
    let message = answer["message"].as_str().unwrap();
    assert_eq!(code, 503);
    assert!(
        message.contains("is not present in") && message.contains("iPXE for UEFI on arm64"),
        "{message}"
    );
    assert!(
        message.ends_with(&format!("put the file into {}", site.tftp().display())),
        "{message}"
    );
    let (_, answer) = site.get_as("/files/absent", "");
    assert!(!answer["message"].as_str().unwrap().contains("iPXE"), "{answer}");
}

#[test]
fn unknown_paths_are_empty_and_wrong_methods_say_so() {
    let site = ImageSite::start();
    assert_eq!(site.get("/nonsense"), (404, json!("")));
    assert_eq!(site.get("/config/node/"), (404, json!("")));
    assert_eq!(site.get("//config//cluster").0, 200);
    let (code, answer) = site.post("/config/node/node001/_delete", &json!({}));
    assert_eq!(code, 405);
    assert!(answer["message"].is_string());
}

#[test]
fn a_sites_own_scripts_and_roles_may_be_named_as_soon_as_they_are_there() {
    let site = ImageSite::start();
    bootable(&site);
    let name = |field: &str, value: &str| {
        let node = json!({ "node001": { field: value } });
        site.post("/config/node/node001", &json!({ "config": { "node": node } }))
    };
    let (code, refused) = name("roles", "default,scratch");
    assert_eq!(code, 400);
    assert_eq!(refused["errors"][0]["field"], "roles");
    assert_eq!(
        refused["errors"][0]["reason"],
        "there is no 'scratch'; installed are bond, default"
    );
    let plugins = site.directory.path().join("data/plugins/boot");
    std::fs::create_dir_all(plugins.join("roles/scratch")).unwrap();
    std::fs::write(plugins.join("roles/scratch/script"), "#!/bin/sh\nmount /scratch\n").unwrap();
    std::fs::create_dir_all(plugins.join("scripts")).unwrap();
    let python = "class Plugin():\n    postscript = \"\"\"\necho done\n\"\"\"\n";
    std::fs::write(plugins.join("scripts/stamp.py"), python).unwrap();
    assert_eq!(name("roles", "default,scratch").0, 204);
    assert_eq!(name("scripts", "stamp").0, 204);
    let plan = site.get("/boot/plan/node001").1;
    let last = plan["postscripts"].as_array().and_then(|scripts| scripts.last()).unwrap();
    assert_eq!(last["name"], "postscript of stamp");
    assert_eq!(last["text"].as_str().map(str::trim), Some("echo done"));
    assert_eq!(plan["roles"][1]["script"], "#!/bin/sh\nmount /scratch\n");
}

#[test]
fn what_will_keep_nodes_from_booting_is_told_before_they_are_switched_on() {
    let site = ImageSite::start();
    bootable(&site);
    let add = |node: &str, fields: Value| {
        let body = json!({ "config": { "node": { node: fields } } });
        assert_eq!(site.post(&format!("/config/node/{node}"), &body).0, 201);
    };
    add("node003", json!({ "group": "compute" }));
    let body = json!({ "config": { "group": { "empty": {} } } });
    assert_eq!(site.post("/config/group/empty", &body).0, 201);
    let mac =
        json!([{ "interface": "BOOTIF", "network": "cluster", "macaddress": "52:54:00:00:00:09" }]);
    add("other", json!({ "group": "empty", "interfaces": mac }));
    let (code, answer) = site.get("/monitor/warnings");
    assert_eq!(code, 200);
    let all = answer["monitor"]["warnings"].as_array().unwrap();
    let about = |nodes: &Value| -> Vec<&str> {
        let of_nodes = all.iter().filter(|warning| warning["nodes"] == *nodes);
        of_nodes.map(|warning| warning["warning"].as_str().unwrap()).collect()
    };
    assert!(
        about(&json!("node[002-003]"))[0].starts_with("no machine is known for it"),
        "{answer}"
    );
    assert_eq!(
        about(&json!("other")),
        ["it has no image; do: perilune node change NODE --osimage IMAGE"]
    );
    assert_eq!(about(&json!("node001")), Vec::<&str>::new(), "it could boot");
    let all = about(&Value::Null);
    assert!(all.iter().any(|text| text.contains("[BOOT] EVIDENCE")), "{answer}");
    let lost: Vec<&str> = all.into_iter().filter(|text| text.contains("the file ")).collect();
    assert_eq!(lost.len(), 3, "{answer}");
    assert!(lost[0].starts_with("the file k of image compute is not in"), "{answer}");
}

#[test]
fn a_node_that_starts_from_its_disk_stays_what_it_was() {
    let site = ImageSite::start();
    bootable(&site);
    let state =
        || site.get("/monitor/node/node001").1["monitor"]["status"]["node001"]["state"].clone();
    let asks = || site.text_from(&format!("/boot/search/mac/{MAC}"), "10.141.0.1").1;
    asks();
    assert_eq!(state(), "install.discovered");
    let report = json!({ "monitor": { "status": { "node001": { "state": "install.success" } } } });
    assert_eq!(site.post("/monitor/node/node001", &report).0, 204);
    let body = json!({ "config": { "node": { "node001": { "netboot": false } } } });
    assert_eq!(site.post("/config/node/node001", &body).0, 204);
    let script = asks();
    assert!(script.contains("sanboot"), "{script}");
    assert_eq!(state(), "install.success");
}
