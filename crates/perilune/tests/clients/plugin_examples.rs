//! Every program of docs/plugin-examples.md, run by a daemon as a site's own or, where that takes an image and a node, by itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Child;

use perilune_testkit::process::{command, end, run, wait_for};
use serde_json::{Value, json};

use crate::plugins::{examples, write_program};
use crate::proxy::token;
use crate::site::{Machine, Site, limit};
use crate::tools::{CURL, JQ, NAMED, RSYNC};

const PAGE: &str = "plugin-examples.md";
const BMC: &str = "10.141.255.250";
/// An outlet that remembers how it was switched.
const OUTLET: &str = r#"
import http.server, json
class Outlet(http.server.BaseHTTPRequestHandler):
    is_on = False
    def do_GET(self):
        if "turn=" in self.path:
            Outlet.is_on = self.path.endswith("turn=on")
        body = json.dumps({"ison": Outlet.is_on}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.HTTPServer(("10.141.255.250", 80), Outlet).serve_forever()
"#;

/// A site that has all examples, with its own directory in place of `/srv`.
struct Tried {
    site: Site,
    outlet: Child,
    _machine: Machine,
    ran: BTreeSet<&'static str>,
}

impl Drop for Tried {
    fn drop(&mut self) {
        end(&mut self.outlet);
    }
}

impl Tried {
    fn start() -> Self {
        let mut site = Site::start("10.141.200.1", "10.141.200.100");
        let own = site.data().join("srv");
        for directory in ["silenced", "attic"] {
            fs::create_dir_all(own.join(directory)).unwrap();
        }
        site.configure(
            "[PLUGINS]\nRUN_AS = root\nALLOWED_EXPORTERS = failures\nALLOWED_IMPORTERS = notice\n[OSUSER]\nDRIVER = plugin\n",
        );
        for (name, text) in examples(PAGE) {
            let text = text.replace("/srv", own.to_str().unwrap());
            write_program(&site.data().join("plugins").join(name), &text);
        }
        let machine = site.machine("52:54:00:00:0e:01");
        machine.take(&format!("{BMC}/16"));
        let outlet = machine.lab.command("python3").args(["-c", OUTLET]).spawn().unwrap();
        site.restart();
        Self { site, outlet, _machine: machine, ran: BTreeSet::new() }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.site.data().join("srv").join(name)).unwrap_or_default()
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let met = wait_for(&limit(), || holds().then_some(())).unwrap();
        assert!(met.is_some(), "{what}\n{}", self.site.log());
    }

    fn ask(&self, path: &str, body: Option<&Value>) -> String {
        let curl = CURL.find().unwrap();
        let token = format!("x-access-tokens: {}", token(&self.site, &curl));
        let mut command = self.site.network.command(&curl);
        command.args(["-s", "--header", &token, &format!("http://127.0.0.1:7050{path}")]);
        let body = body.map(Value::to_string);
        command.args(body.iter().flat_map(|body| ["--data", body.as_str()]));
        run(&mut command, &limit()).unwrap()
    }

    /// Runs a program by itself. Answers what it says.
    fn alone(&self, name: &str, question: &Value) -> String {
        let program = self.site.data().join("plugins").join(name);
        let file = self.site.data().join("question");
        fs::write(&file, question.to_string()).unwrap();
        let script = format!("{} < {}", program.display(), file.display());
        run(command("sh").args(["-c", &script]), &limit()).unwrap()
    }
}

#[test]
fn each_example_of_the_page_does_what_is_said_of_it() {
    if [CURL, JQ, NAMED, RSYNC].iter().any(|tool| tool.find().is_none()) {
        return;
    }
    let mut tried = Tried::start();
    changes(&mut tried);
    power(&mut tried);
    unknown_machines(&mut tried);
    programs_and_users(&mut tried);
    images(&mut tried);
    let all = examples(PAGE);
    let all: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(tried.ran, all, "one of them was not tried");
}

fn changes(tried: &mut Tried) {
    tried.site.cli(&["network", "add", "ib", "--network", "10.149.0.0/16"]);
    tried.until("zones are not written", || {
        tried.read("perilune.zones").contains("zone \"ib\" { type slave")
    });
    let state = |state: &str| json!({ "monitor": { "status": { "node001": { "state": state } } } });
    tried.ask("/monitor/status/node001", Some(&state("install.unpack")));
    tried.ask("/monitor/status/node001", Some(&state("install.error")));
    let told = || tried.read("failures").contains("node001 was not installed\n");
    tried.until("a failure is not told", told);
    let began = || tried.read("events").contains("Z perilune: startup\n");
    tried.until("the beginning is not told", began);
    tried.ran.extend(["hooks/config/dns", "hooks/monitor/node", "hooks/luna/default"]);
}

fn power(tried: &mut Tried) {
    let site = &tried.site;
    site.cli(&["bmcsetup", "add", "outlets", "--username", "nobody", "--password", "nothing"]);
    site.cli(&["group", "change", "compute", "--bmcsetup", "outlets"]);
    let bmc = format!("BMC,network=cluster,ipaddress={BMC}");
    site.cli(&["node", "change", "node001", "--interface", &bmc]);
    tried.until("the outlet does not answer", || {
        site.refused_or_said(&["power", "status", "node001"]).contains("node001: off")
    });
    site.cli(&["power", "on", "node001"]);
    assert!(site.cli(&["power", "status", "node001"]).contains("node001: on"));
    site.cli(&["power", "off", "node001", "--yes"]);
    let silenced = tried.site.data().join("srv/silenced/node001");
    tried.until("nobody is silenced", || silenced.exists());
    tried.ran.extend(["control/default", "hooks/control/default"]);
}

fn unknown_machines(tried: &mut Tried) {
    let site = &tried.site;
    fs::write(site.data().join("srv/cables.csv"), "52:54:00:00:00:77,sw01,7\n").unwrap();
    site.cli(&["switch", "add", "sw01", "--network", "cluster", "--ipaddress", "10.141.250.1"]);
    site.cli(&["node", "add", "node007", "--group", "compute", "--switch", "sw01"]);
    site.cli(&["node", "change", "node007", "--switchport", "7"]);
    tried.ask("/boot/search/mac/52:54:00:00:00:77", None);
    tried.until("the machine is not found", || {
        site.cli(&["node", "show", "node007"]).contains("52:54:00:00:00:77")
            || site.cli(&["claim", "list"]).contains("52:54:00:00:00:77")
    });
    let cloud = |mac: &str| tried.alone("boot/detection/cloud", &json!({ "macaddress": mac }));
    assert_eq!(cloud("fa:16:3e:00:00:01"), "{\"cloud\":\"openstack\"}\n");
    assert_eq!(cloud("52:54:00:00:00:01"), "{}\n");
    tried.ran.extend(["boot/detection/switchport", "boot/detection/cloud"]);
}

fn programs_and_users(tried: &mut Tried) {
    assert!(tried.ask("/export/failures", None).contains("node001 was not installed"));
    let said = tried.ask("/import/notice", Some(&json!({ "text": "down on Friday" })));
    assert!(said.contains("the notice is changed"), "{said}");
    assert_eq!(tried.read("notice"), "down on Friday\n");
    let site = &tried.site;
    site.cli(&["osgroup", "add", "staff", "--gid", "2000"]);
    site.cli(&["osuser", "add", "eva", "--uid", "2001", "--groups", "staff"]);
    assert!(site.cli(&["osuser", "list"]).contains("eva"));
    assert!(site.cli(&["osuser", "show", "eva"]).contains("2001"));
    assert!(!tried.read("users.json").contains("userPassword"));
    site.cli(&["osuser", "remove", "eva", "--yes"]);
    assert!(!site.cli(&["osuser", "list"]).contains("eva"));
    tried.ran.extend(["export/failures", "import/notice", "osuser/default"]);
}

fn images(tried: &mut Tried) {
    let data = tried.site.data();
    let at = |name: &str| data.join(name);
    for directory in ["tree/etc", "made", "node/etc"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("tree/etc/issue"), "image").unwrap();
    fs::write(at("node/etc/issue"), "node").unwrap();
    fs::write(at("node/etc/secret"), "kept").unwrap();
    let question = |operation: &str| {
        json!({
            "operation": operation, "image_path": at("tree"), "files_path": at("made"), "file_prefix": "compute-1",
            "file_to_remove": "compute-1.tar.gz", "ipaddress": "node", "grab_exclude": ["/etc/secret"], "nodry": true,
        })
    };
    let image = "osimage/operations/image/default";
    assert_eq!(tried.alone(image, &question("pack")), "");
    let built = tried.alone(image, &question("build"));
    assert_eq!(built, "{\"imagefile\": \"compute-1.tar.gz\"}");
    let mut list = command("tar");
    let list = run(list.arg("-tzf").arg(at("made/compute-1.tar.gz")), &limit()).unwrap();
    assert!(list.contains("./etc/issue"), "{list}");
    tried.alone("osimage/other/cleanup", &question("cleanup"));
    assert!(at("srv/attic/compute-1.tar.gz").exists() && !at("made/compute-1.tar.gz").exists());
    // What stands in for ssh, and a directory for the root of the node.
    let shell = at("shell");
    write_program(&shell, "#!/bin/sh\nshift 3\nexec sh -c \"$*\"\n");
    for operation in ["osgrab", "ospush"] {
        local(
            &data.join(format!("plugins/osimage/operations/{operation}/default")),
            &shell,
            &at("node"),
        );
    }
    tried.alone("osimage/operations/osgrab/default", &question("grab"));
    assert_eq!(fs::read_to_string(at("tree/etc/issue")).unwrap(), "node");
    assert!(!at("tree/etc/secret").exists(), "what is left out is copied");
    fs::write(at("tree/etc/issue"), "image again").unwrap();
    tried.alone("osimage/operations/ospush/default", &question("push"));
    assert_eq!(fs::read_to_string(at("node/etc/issue")).unwrap(), "image again");
    assert!(at("node/etc/secret").exists(), "what is left out is removed");
    tried.ran.extend([image, "osimage/other/cleanup"]);
    tried.ran.extend(["osimage/operations/osgrab/default", "osimage/operations/ospush/default"]);
}

/// Has a program reach this directory in place of a node's root.
fn local(program: &Path, shell: &Path, root: &Path) {
    let text = fs::read_to_string(program).unwrap();
    let text = text.replace(":/\"", &format!(":{}/\"", root.display()));
    let text = text.replace("rsync ", &format!("rsync --rsh {} ", shell.display()));
    write_program(program, &text);
}
