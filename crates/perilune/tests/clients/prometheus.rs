//! A real Prometheus: it finds nodes by the daemon's list, reads the daemon's metrics, and takes rules that come through the daemon.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use perilune_testkit::Error;
use perilune_testkit::process::{end, run, wait_for};
use serde_json::{Value, json};

use crate::site::{Site, limit};
use crate::tools::{CURL, PROMETHEUS, PROMTOOL};

/// Prometheus, until this is dropped.
struct Prometheus(Child);

impl Prometheus {
    fn start(site: &Site, program: &str) -> Self {
        let directory = site.data().join("prometheus");
        let configuration = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{}/rules/*.rules']\n\
             scrape_configs:\n\
             - job_name: cluster\n  http_sd_configs: [{{ url: 'http://127.0.0.1:7050/export/prometheus', refresh_interval: 1s }}]\n\
             - job_name: perilune\n  static_configs: [{{ targets: ['127.0.0.1:7050'] }}]\n\
             - job_name: lshw\n  metrics_path: /files/lshw\n  static_configs: [{{ targets: ['127.0.0.1:7050'] }}]\n",
            directory.display()
        );
        let file = directory.join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        let mut command = site.network.command(program);
        let child = command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .args(["--web.listen-address=127.0.0.1:9090", "--web.enable-lifecycle"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn ask(site: &Site, url: &str, more: &[&str]) -> Result<Value, Error> {
    let curl = CURL.find().unwrap();
    let answer = run(site.network.command(&curl).args(["--silent", url]).args(more), &limit())?;
    Ok(serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
}

/// Waits until Prometheus says so.
fn until(site: &Site, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let url = format!("http://127.0.0.1:9090{path}");
    let said = || ask(site, &url, &[]).ok().filter(|said| holds(said));
    let found = wait_for(&limit(), said).unwrap();
    found.unwrap_or_else(|| panic!("{path}: {:?}", ask(site, &url, &[])))
}

fn import(site: &Site, token: &str, name: &str, body: &Value) -> Value {
    let (header, body) = (format!("x-access-tokens: {token}"), body.to_string());
    let url = format!("http://127.0.0.1:7050/import/{name}");
    ask(site, &url, &["--header", &header, "--data", &body]).unwrap()
}

fn rules(expr: &str) -> Value {
    json!({ "groups": [{ "name": "trinityx", "rules": [{
        "alert": "NodeDown", "expr": expr, "for": "5m", "annotations": { "description": "it's down: {{ $labels.hostname }}" },
        "labels": { "severity": "critical", "nhc": true, "category": "service" } }] }] })
}

/// The alerts of the package, which are about what is told.
fn take_alerts(site: &Site, promtool: &str, directory: &Path) {
    let alerts = include_str!("../../../../xtask/dist/prometheus.rules");
    fs::write(directory.join("perilune.rules"), alerts).unwrap();
    let file = directory.join("perilune.rules");
    run(site.network.command(promtool).args(["check", "rules"]).arg(&file), &limit()).unwrap();
    let documented = include_str!("../../../../docs/metrics.md");
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let names = alerts.split(|letter| !is_part(letter));
    let names: Vec<&str> = names.filter(|word| word.starts_with("perilune_")).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        let name =
            ["_count", "_bucket"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(documented.contains(&format!("`{name}`")), "docs/metrics.md lacks {name}");
    }
}

#[test]
fn a_real_prometheus_finds_nodes_and_takes_rules_through_the_daemon() {
    let (Some(program), Some(promtool), Some(_)) =
        (PROMETHEUS.find(), PROMTOOL.find(), CURL.find())
    else {
        return;
    };
    let mut site = Site::start("10.141.200.1", "10.141.200.100");
    let directory = site.data().join("prometheus/rules");
    fs::create_dir_all(&directory).unwrap();
    let part = "lshw_device{hostname=\"node001.cluster\",class=\"memory\",slot=\"DIMM \\\"A\\\" {{ nonsense\"} 1\n";
    fs::write(site.data().join("files/lshw"), part).unwrap();
    let configuration = site.data().join("luna.ini");
    let ini = fs::read_to_string(&configuration).unwrap();
    let more =
        format!("\n[PROMETHEUS]\nURL = http://127.0.0.1:9090\nRULES = {}\n", directory.display());
    fs::write(&configuration, ini.clone() + &more).unwrap();
    site.restart();
    let _prometheus = Prometheus::start(&site, &program);

    // Whom to ask, and the daemon itself.
    until(&site, "/api/v1/targets", |said| {
        let targets = said.pointer("/data/activeTargets").and_then(Value::as_array);
        let of = |pool: &str| {
            let all = targets.into_iter().flatten();
            all.filter(|target| target["scrapePool"] == pool).cloned().collect::<Vec<_>>()
        };
        of("cluster").len() == 5 && of("perilune").iter().any(|target| target["health"] == "up")
    });
    let count =
        |said: &Value| said.pointer("/data/result").and_then(Value::as_array).map_or(0, Vec::len);
    until(
        &site,
        "/api/v1/query?query=perilune_objects%7Bkind%3D%22node%22%7D%20%3D%3D%201",
        |said| count(said) == 1,
    );

    take_alerts(&site, &promtool, &directory);

    // Rules.
    let password = ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).unwrap();
    let login = json!({ "username": "admin", "password": password }).to_string();
    let answer = ask(&site, "http://127.0.0.1:7050/token", &["--data", &login]).unwrap();
    let token = answer["token"].as_str().unwrap().to_owned();
    let taken = import(&site, &token, "prometheus_rules", &rules("up == 0"));
    assert_eq!(taken, json!("Prometheus rules updated successfully"));
    let file = directory.join("trix.service.rules");
    run(site.network.command(&promtool).args(["check", "rules"]).arg(&file), &limit()).unwrap();
    until(&site, "/api/v1/rules", |said| {
        ["NodeDown", "PeriluneDown"].iter().all(|name| said.to_string().contains(name))
    });
    let before = fs::read_to_string(&file).unwrap();
    let refused = import(&site, &token, "prometheus_rules", &rules("up =="));
    assert!(
        refused["message"].as_str().unwrap().contains("Prometheus refuses the rules"),
        "{refused}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "what it had was put back");
    let told = ask(&site, "http://127.0.0.1:7050/export/prometheus_rules", &[]).unwrap();
    assert_eq!(told, rules("up == 0"));

    // The parts of a node.
    until(&site, "/api/v1/query?query=lshw_device", |said| count(said) == 1);
    let request = json!([{ "hostname": "node001.cluster", "force": false }]);
    let made = import(&site, &token, "prometheus_hw_rules", &request);
    assert_eq!(made, json!([{ "hostname": "node001.cluster", "status": true }]));
    let file = directory.join("trix.hw.node001.cluster.rules");
    run(site.network.command(&promtool).args(["check", "rules"]).arg(&file), &limit()).unwrap();
    until(&site, "/api/v1/rules", |said| said.to_string().contains("MissingHardwareComponent"));
    let again = import(&site, &token, "prometheus_hw_rules", &request);
    assert!(again[0]["message"].as_str().unwrap().contains("are there already"), "{again}");
    let switched =
        import(&site, &token, "prometheus_rules_settings", &json!({ "hw": { "nhc": false } }));
    assert_eq!(switched, json!([{ "hostname": "node001.cluster", "status": true }]));
    let told = ask(
        &site,
        "http://127.0.0.1:7050/export/prometheus_hw_rules?hostnames=node001.cluster",
        &[],
    )
    .unwrap();
    assert_eq!(told[0]["data"]["groups"][0]["rules"][0]["labels"]["nhc"], json!(false), "{told}");
}
