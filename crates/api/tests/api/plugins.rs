//! Hooks over the API: what there is, how it went, and calling one by hand.

use serde_json::{Value, json};

use crate::image_site::{ImageSite, until};

const PATH: &str = "/monitor/plugin";

fn hook(site: &ImageSite) -> Value {
    let (status, answer) = site.get(PATH);
    assert_eq!(status, 200, "{answer}");
    answer["monitor"]["plugin"]["hooks/config/node"].clone()
}

#[test]
fn hooks_are_listed_called_by_hand_and_by_what_changes_and_failures_are_warnings() {
    let site = ImageSite::start();
    site.describe();
    assert_eq!(
        hook(&site),
        json!({ "file": null, "at": null, "failures": 0, "failure": null, "given_up": false })
    );
    let run = |plugin: &str| site.post(PATH, &json!({ "plugin": plugin }));
    for plugin in ["hooks/config/node", "hooks/config/rack", "../../etc/passwd", ""] {
        assert_eq!(run(plugin).0, 404, "{plugin}");
    }
    for wrong in [json!([]), json!({}), json!({ "plugin": 1 })] {
        assert_eq!(site.post(PATH, &wrong).0, 400, "{wrong}");
    }
    site.plugin("hooks/config/node", "#!/bin/sh\ncat\n");
    site.plugin("hooks/config/rack", "#!/bin/sh\n");
    let (status, answer) = run("hooks/config/node");
    assert_eq!(status, 200, "{answer}");
    let told: Value = serde_json::from_str(answer["output"].as_str().unwrap()).unwrap();
    assert_eq!(told["nodes"][1], json!({ "name": "node002", "group": "compute" }));
    assert!(hook(&site)["at"].is_string() && hook(&site)["failure"].is_null());
    assert_eq!(
        site.get(PATH).1["monitor"]["not_run"]["hooks/config"],
        json!(["hooks/config/rack"])
    );
    site.plugin("hooks/config/node", "#!/bin/sh\necho broken >&2; exit 3\n");
    let (status, answer) = run("hooks/config/node");
    assert_eq!(status, 409);
    assert!(answer["message"].as_str().unwrap().ends_with("broken"), "{answer}");
    assert!(site.get("/monitor/warnings").1.to_string().contains("hooks/config/node failed"));
    // What changes is told, and then all is well again.
    site.plugin("hooks/config/node", "#!/bin/sh\ngrep -q node003\n");
    let node = json!({ "config": { "node": { "node003": { "group": "compute" } } } });
    assert_eq!(site.post("/config/node/node003", &node).0, 201);
    until(|| hook(&site)["failures"] == 0);
    // Nobody but an administrator calls programs.
    assert_eq!(site.post_as(PATH, &json!({ "plugin": "hooks/config/node" }), "").0, 401);
    let own = site.node_token("node001");
    assert_eq!(site.post_as(PATH, &json!({ "plugin": "hooks/config/node" }), &own).0, 403);
}

/// What existing sites have, as it is called there.
#[test]
fn a_python_file_of_the_site_controls_machines_and_tells_no_password() {
    let site = ImageSite::start();
    site.describe();
    let control = "class Plugin:\n    def power_status(self, device, username, password):\n        return True, 'off'\n    def power_on(self, device, username, password):\n        return False, 'no ' + password\n";
    site.plugin("control/compute.py", control);
    let setup = json!({ "config": { "bmcsetup": { "own": { "username": "admin", "password": "s3cret-word" } } } });
    assert_eq!(site.post("/config/bmcsetup/own", &setup).0, 201);
    let bmc = json!({ "config": { "node": { "node001": { "bmcsetup": "own", "interfaces": [{ "interface": "BMC", "network": "cluster", "ipaddress": "10.141.3.1" }] } } } });
    let (status, answer) = site.post("/config/node/node001", &bmc);
    assert_eq!(status, 204, "{answer}");
    let (status, answer) = site.get("/control/action/power/node001/_status");
    assert_eq!((status, &answer["control"]["power"]), (200, &json!("off")), "{answer}");
    let (status, answer) = site.get("/control/action/power/node001/_on");
    assert_eq!(status, 501, "{answer}");
    assert!(!answer.to_string().contains("s3cret-word"), "{answer}");
    // One that cannot be loaded is told by what is wrong with it.
    site.plugin("control/compute.py", "import nothing_of_this_name\n");
    let (_, answer) = site.get("/control/action/power/node001/_status");
    assert!(answer.to_string().contains("nothing_of_this_name"), "{answer}");
    assert!(site.get(PATH).1["monitor"]["not_run"].as_object().unwrap().is_empty());
}
