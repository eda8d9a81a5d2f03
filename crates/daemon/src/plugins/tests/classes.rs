//! Python files of existing sites, of the kinds that are asked and not only told.

use super::*;

async fn ask(plugins: &Path, plugin: &str, question: &Value) -> Result<String, String> {
    let answer = runner(plugins).ask(plugin, question, LIMITS).await.unwrap();
    answer.map(|answer| String::from_utf8(answer).unwrap())
}

async fn json_of(plugins: &Path, plugin: &str, question: &Value) -> Value {
    let answer = ask(plugins, plugin, question).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test]
async fn machines_are_controlled_by_a_class() {
    let plugins = tempfile::tempdir().unwrap();
    let class = r#"
class Plugin:
    def power_on(self, device=None, username=None, password=None):
        print("this is no part of the answer")
        return True, "up/on"
    def power_status(self, device=None, username=None, password=None):
        known = (device, username, password) == ("10.148.0.1", "admin", "s3cret-word")
        return (True, " On ") if known else (False, "who?")
    def power_off(self, one, two, three):
        return False, "the outlet is stuck"
    def no_identify(self, device, username, password):
        return True
    def sel_list(self, device, username, password):
        return True, "1 | fan;;2 | power"
    def power_reset(self, device, username, password):
        return None
"#;
    write(plugins.path(), "control/compute.py", class, 0o644);
    let ask = async |action: &str| {
        let question = json!({ "version": 1, "name": "node001", "address": "10.148.0.1", "group": "compute",
            "username": "admin", "password": "s3cret-word", "action": action });
        json_of(plugins.path(), "control/compute", &question).await
    };
    assert_eq!(ask("power status").await, json!({ "power": "on" }));
    assert_eq!(ask("power on").await, json!({ "text": "up/on" }));
    assert_eq!(ask("power off").await, json!({ "error": "the outlet is stuck" }));
    assert_eq!(ask("chassis noidentify").await, json!({ "text": "" }));
    assert_eq!(ask("sel list").await, json!({ "text": "1 | fan\n2 | power" }));
    assert_eq!(ask("power reset").await, json!({ "error": "power_reset answered None" }));
    assert_eq!(ask("sel clear").await, json!({ "error": "compute.py has no method sel_clear" }));
}

#[tokio::test]
async fn a_hook_of_control_is_told_by_its_class() {
    let plugins = tempfile::tempdir().unwrap();
    let log = plugins.path().join("log");
    let class = r#"
class Plugin:
    def power_off(self, nodename=None, groupname=None):
        open(LOG, "a").write(nodename + " " + groupname)
    def power_on(self, nodename=None, groupname=None):
        return False, "no"
"#;
    let class = format!("LOG = {:?}\n{class}", log.to_str().unwrap());
    write(plugins.path(), "hooks/control/default.py", &class, 0o644);
    let tell = async |action| {
        let told = [action, "node001", "compute"];
        runner(plugins.path()).tell("hooks/control/default", told, LIMITS).await.unwrap()
    };
    assert_eq!(tell("power_off").await, Ok(()));
    assert_eq!(fs::read_to_string(log).unwrap(), "node001 compute");
    assert_eq!(tell("power_soft").await, Ok(()), "a hook may do without");
    let failure = tell("power_on").await.unwrap_err();
    assert!(failure.ends_with("power_on answered (False, 'no')"), "{failure}");
}

#[tokio::test]
async fn a_class_reads_switches_and_says_where_a_machine_is() {
    let plugins = tempfile::tempdir().unwrap();
    let ports = r#"
import os
FILE = os.path.join(os.path.dirname(__file__), "switchports.dat")
class Plugin:
    def clear(self):
        open(FILE, "w").close()
    def scan(self, name, ipaddress, oid, read, rw, uplinkports):
        open(FILE, "a").write(f"{name}=7=AA:BB:CC:DD:EE:FF\n")
    def find(self, macaddress):
        for line in open(FILE):
            switch, port, mac = line.strip().split("=")
            if mac.lower() == macaddress:
                return True, switch, port
        return False, None
"#;
    let clouds = r#"
class Plugin:
    def find(self, macaddress):
        return (True, "aws") if macaddress.startswith("02") else (False, None)
"#;
    write(plugins.path(), "boot/detection/switchport.py", ports, 0o644);
    write(plugins.path(), "boot/detection/cloud.py", clouds, 0o644);
    let runner = runner(plugins.path()).with(Vec::new(), vec!["boot/detection".to_owned()]);
    let ask = async |plugin: &str, question: Value| {
        let answer = runner.ask(plugin, &question, LIMITS).await.unwrap().unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()
    };
    let switch = json!({ "name": "sw1", "ipaddress": "10.1.0.1", "oid": null, "read": "public" });
    let scan = json!({ "version": 1, "operation": "scan", "switches": [switch] });
    let (port, cloud) = ("boot/detection/switchport", "boot/detection/cloud");
    assert_eq!(ask(port, scan).await, json!({}));
    let find = |mac: &str| json!({ "version": 1, "macaddress": mac, "switches": [] });
    let found = json!({ "switch": "sw1", "port": "7" });
    assert_eq!(ask(port, find("aa:bb:cc:dd:ee:ff")).await, found);
    assert_eq!(ask(port, find("aa:bb:cc:dd:ee:00")).await, json!({}));
    assert_eq!(ask(cloud, find("02:00:00:00:00:01")).await, json!({ "cloud": "aws" }));
    assert_eq!(ask(cloud, find("aa:00:00:00:00:01")).await, json!({}));
}

#[tokio::test]
async fn what_is_exported_and_imported_is_data_or_text() {
    let plugins = tempfile::tempdir().unwrap();
    let class = r#"
class Plugin:
    def Export(self, args=None):
        if "fail" in args:
            return False, "there is nothing"
        return True, args["as"] if "as" in args else [1, 2]
    def Import(self, json_data=None):
        return True, f"took {len(json_data)}"
"#;
    write(plugins.path(), "export/own.py", class, 0o644);
    write(plugins.path(), "import/own.py", class, 0o644);
    let export = async |arguments: Value| {
        ask(plugins.path(), "export/own", &json!({ "version": 1, "arguments": arguments })).await
    };
    assert_eq!(export(json!([])).await.unwrap(), "[1, 2]");
    assert_eq!(export(json!([["as", "a line"]])).await.unwrap(), "a line");
    let failure = export(json!([["fail", "1"]])).await.unwrap_err();
    assert!(failure.ends_with("Export answered (False, 'there is nothing')"), "{failure}");
    let data = json!({ "version": 1, "data": { "a": 1, "b": 2 } });
    assert_eq!(ask(plugins.path(), "import/own", &data).await.unwrap(), "took 2");
    // Methods without the object, and files without the class.
    let bare = "class Plugin:\n    def export(args):\n        return True, {'args': args}\n";
    write(plugins.path(), "export/bare.py", bare, 0o644);
    let none = json!({ "version": 1, "arguments": [] });
    let answer = json_of(plugins.path(), "export/bare", &none).await;
    assert_eq!(answer, json!({ "args": {} }));
    write(plugins.path(), "export/empty.py", "", 0o644);
    let failure = ask(plugins.path(), "export/empty", &none).await.unwrap_err();
    assert!(failure.ends_with("empty.py has no class Plugin"), "{failure}");
}

#[tokio::test]
async fn images_are_made_ready_by_a_class_where_it_wants_to() {
    let plugins = tempfile::tempdir().unwrap();
    let class = r#"
class Plugin:
    fetch = "curl"
    def create(self, image_file=None, files_path=None, server_ipaddress=None, server_port=None, server_protocol=None):
        return True, f"{image_file} at {server_protocol}://{server_ipaddress}:{server_port}"
    def cleanup(self, files_path=None, image_file=None):
        return False, f"no {image_file} in {files_path}"
"#;
    write(plugins.path(), "boot/provision/ipfs.py", class, 0o644);
    let bare = "class Plugin:\n    fetch = 'cp'\n";
    write(plugins.path(), "boot/provision/nfs.py", bare, 0o644);
    let question = |operation: &str| {
        json!({ "plugin": "boot/provision", "operation": operation, "image_file": "a.tar.gz", "files_path": "/files",
            "server_ipaddress": "10.141.255.254", "server_port": 7050, "server_protocol": "http" })
    };
    let created = json_of(plugins.path(), "boot/provision/ipfs", &question("create")).await;
    assert_eq!(created, json!({ "message": "a.tar.gz at http://10.141.255.254:7050" }));
    let failure = ask(plugins.path(), "boot/provision/ipfs", &question("cleanup")).await;
    assert!(failure.unwrap_err().contains("no a.tar.gz in /files"));
    let created = json_of(plugins.path(), "boot/provision/nfs", &question("create")).await;
    assert_eq!(created, json!({}));
}
