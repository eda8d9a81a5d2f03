//! Images of several controllers on one database: what one packs, all have.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::controllers::{Site, address_of, make_node, wait};
use crate::kill::Daemon;

const VERSION: &str = "6.1.0-9-test";

/// A tree that can be packed.
pub(crate) fn make_tree(tree: &Path) {
    let modules = tree.join("lib/modules").join(VERSION);
    for directory in [modules.join("kernel"), tree.join("boot"), tree.join("etc")] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(tree.join("boot").join(format!("vmlinuz-{VERSION}")), "kernel".repeat(1000)).unwrap();
    fs::write(tree.join("etc/hostname"), "image").unwrap();
    for list in ["dep", "alias", "softdep", "order", "builtin"] {
        fs::write(modules.join(format!("modules.{list}")), "").unwrap();
    }
}

/// A header of a 64-bit ELF file that needs nothing, for a program that could be `/init`.
pub(crate) fn smallest_program() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    header.extend([0; 28]);
    header.extend([64, 56, 0, 64, 0, 0].map(u16::to_le_bytes).concat());
    header
}

pub(crate) fn packed(daemon: &Daemon) -> Vec<String> {
    let (_, shown) = daemon.get("/config/osimage/compute").unwrap();
    let shown = &shown["config"]["osimage"]["compute"];
    let names = ["kernelfile", "initrdfile", "imagefile"].map(|field| shown[field].as_str());
    names.into_iter().flatten().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What a controller says of itself to the others.
fn said_of(daemon: &Daemon, number: usize) -> serde_json::Value {
    daemon.get("/controller").unwrap().1["controllers"][number].clone()
}

/// What somebody with this token is answered who goes nowhere else: status, where to go instead, and the bytes.
fn asked(url: &str, token: &str) -> (u16, String, Vec<u8>) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    let agent = ureq::Agent::new_with_config(config.max_redirects_will_error(false).build());
    let asked = agent.get(url).header("x-access-tokens", token).call();
    let mut answer = asked.unwrap_or_else(|error| panic!("{url}: {error}"));
    let location = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
    let bytes = answer.body_mut().read_to_vec().unwrap();
    (answer.status().as_u16(), location.unwrap_or_default(), bytes)
}

#[test]
fn what_one_controller_packs_the_others_fetch_and_who_lacks_it_sends_machines_on() {
    let Some(site) = Site::new(3) else { return };
    site.configure("API", "PROXIES = 127.0.0.1");
    site.configure("BOOT", "EVIDENCE = arm");
    for directory in &site.data {
        fs::write(directory.path().join("agent"), smallest_program()).unwrap();
        // Scripts name what the tests listen at.
        let ini = directory.path().join("luna.ini");
        let text = fs::read_to_string(&ini).unwrap();
        fs::write(&ini, text.replace("PROTOCOL = https", "PROTOCOL = http")).unwrap();
    }
    make_tree(&site.data[0].path().join("images/compute"));
    let daemons = [site.start(0), site.start(1), site.start(2)];
    let files = |number: usize, name: &str| -> PathBuf {
        site.data[number].path().join("files").join(name)
    };
    assert_eq!(daemons[1].config("osimage", "compute", &json!({})), Some(201));
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster" }]);
    let group = json!({ "osimage": "compute", "interfaces": interfaces });
    assert_eq!(daemons[1].config("group", "compute", &group), Some(201));
    make_node(&daemons[1], "node1", "52:54:00:00:00:01");

    // Work on the tree is for the controller that has it; another says which that is.
    wait("it is not known where the tree is", || {
        said_of(&daemons[1], 0)["trees"] == json!(["compute"])
    });
    let (code, refused) = daemons[1].get("/config/osimage/compute/_pack").unwrap();
    assert_eq!(code, 409, "{refused}");
    let told = refused["message"].as_str().unwrap();
    assert!(told.contains("at controller controller0") && told.contains(&daemons[0].url), "{told}");
    let (code, answer) = daemons[0].get("/config/osimage/compute/_pack").unwrap();
    assert_eq!(code, 200, "{answer}");
    wait("it is not packed", || {
        let names = packed(&daemons[1]);
        names.len() == 3 && names.iter().all(|name| files(0, name).exists())
    });
    let names = packed(&daemons[1]);
    for name in &names {
        let made = fs::read(files(0, name)).unwrap();
        for number in [1, 2] {
            wait("a file does not come", || files(number, name).exists());
            assert_eq!(fs::read(files(number, name)).unwrap(), made, "{name} of {number}");
        }
    }
    let archive = names.iter().find(|name| name.ends_with(".tar.zst")).unwrap();
    wait("not all is said", || said_of(&daemons[0], 2)["lacks"] == json!([]));

    // What broke off goes on where it ended; what is something else is fetched anew.
    let made = fs::read(files(0, archive)).unwrap();
    for half in [made[..made.len() / 2].to_vec(), vec![0; made.len() / 2]] {
        fs::write(files(1, &format!(".fetched-{archive}.part")), half).unwrap();
        fs::remove_file(files(1, archive)).unwrap();
        wait("it is not fetched again", || files(1, archive).exists());
        assert_eq!(fs::read(files(1, archive)).unwrap(), made);
    }

    // One that cannot have them sends machines on, and lets nobody have an archive who may not.
    for name in &names {
        fs::create_dir(files(2, &format!(".fetched-{name}.part"))).unwrap();
        fs::remove_file(files(2, name)).unwrap();
        let (url, token) = (format!("{}/files/{name}", daemons[2].url), daemons[2].token());
        if name == archive {
            assert_eq!(asked(&url, "").0, 401);
        }
        let (code, location, _) = asked(&url, if name == archive { &token } else { "" });
        assert_eq!(code, 307);
        // Who was sent on by a controller needs no token there.
        let (code, _, bytes) = asked(&location, "");
        assert_eq!((code, bytes), (200, fs::read(files(0, name)).unwrap()));
    }
    wait("the lack is not said", || {
        said_of(&daemons[0], 2)["lacks"].as_array().unwrap().len() == 3
    });
    let address = address_of(&daemons[2], "node1");
    assert_eq!(daemons[2].post("/boot/window", &json!({ "nodes": "node1" })).unwrap().0, 200);
    let script = daemons[2].text_from("/boot/search/mac/52:54:00:00:00:01?again=9", &address);
    let is_told = |daemon: &Daemon| script.contains(&format!("luna.url={} ", daemon.url));
    let is_elsewhere = daemons[..2].iter().any(is_told);
    assert!(is_elsewhere, "{script}");
    // Where to go on is told as well.
    let others = script.split_once("perilune.others=").unwrap().1;
    let others = others.split(' ').next().unwrap();
    assert!(others.split(',').count() == 2 && others.contains(&daemons[2].url), "{script}");
    let warnings = daemons[2].get("/monitor/warnings").unwrap().1.to_string();
    assert!(!warnings.contains("perilune osimage pack"), "{warnings}");
}
