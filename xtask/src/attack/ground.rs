//! Where the attack takes place: a controller that runs on its defaults, a cluster with secrets that can be told apart, and the people who
//! may log in.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::process::{run, wait_for};
use perilune_testkit::{Bmc, Limit, Stop, bmc};
use serde_json::{Value, json};

use crate::attack::machine::Machine;
use crate::attack::request::{Answer, Request};
use crate::build::Programs;
use crate::daemon::{Daemon, PLAIN_PORT, PORT};
use crate::output::Output;
use crate::site::{BMC, CONTROLLER, Site};

/// The node that is attacked, its MAC address and its reserved address.
pub(super) const NODE: &str = "node001";
pub(super) const NODE_MAC: &str = "52:54:00:aa:00:01";
pub(super) const NODE_ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 141, 0, 1);
/// Another node of the same group.
pub(super) const OTHER_NODE: &str = "node002";
pub(super) const OTHER_MAC: &str = "52:54:00:aa:00:02";
pub(super) const OTHER_ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 141, 0, 2);
/// Whoever reads one of these has learnt a secret.
pub(super) const SECRETS: [(&str, &str); 3] = [
    ("the node's secret", "Tm9kZXNlY3JldCBrZXB0"),
    ("the group's secret", "R3JvdXBzZWNyZXQga2VwdA"),
    ("the BMC's password", "Kept-BMC-password"),
];
/// What the archive of the image begins with.
pub(super) const ARCHIVE: &str = "the archive of an image";
const ARCHIVE_FILE: &str = "compute.tar.zst";
/// Where no BMC answers.
const NO_BMC: &str = "10.148.0.9";
const PASSWORD: &str = "quite a long password";

/// By which protocol somebody asks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    pub(super) fn url(self, path: &str) -> String {
        match self {
            Self::Http => format!("http://{CONTROLLER}:{PLAIN_PORT}{path}"),
            Self::Https => format!("https://{CONTROLLER}:{PORT}{path}"),
        }
    }
}

pub(super) struct Ground<'a> {
    pub(super) site: &'a Site,
    pub(super) daemon: Daemon,
    pub(super) stop: &'a Stop,
    pub(super) administrator: String,
    /// Powers nothing; it says what its chassis would do.
    _bmc: Bmc,
}

impl<'a> Ground<'a> {
    pub(super) fn prepare(
        site: &'a Site,
        programs: &Programs,
        output: &Output,
        stop: &'a Stop,
    ) -> Result<Self> {
        let daemon = Daemon::start(site, programs, output, stop)?;
        // Whoever may have what is attacked over both protocols.
        daemon.answer_everything_in_clear(site, stop)?;
        let directory = site.path("bmc");
        fs::create_dir_all(&directory)?;
        let simulator = site.lab.command(bmc::PROGRAM);
        let address = format!("{BMC}:623").parse().context("not an address")?;
        let bmc = Bmc::start(simulator, address, None, &directory)?;
        let mut ground = Self { site, daemon, stop, administrator: String::new(), _bmc: bmc };
        ground.log_in_again()?;
        ground.describe()?;
        Ok(ground)
    }

    /// A machine at the controller's bridge.
    pub(super) fn plug(&self, name: &str, mac: &str) -> Result<Machine> {
        let namespace = format!("{}-{name}", self.site.lab.name());
        Machine::plug(&self.site.lab, &namespace, mac, self.site.path(name))
    }

    /// Restarts the daemon as a crash would, with this list of what counts as evidence.
    pub(super) fn accept_evidence(&mut self, evidence: &str) -> Result<()> {
        self.configure("BOOT", "EVIDENCE", evidence)
    }

    fn configure(&mut self, section: &str, key: &str, value: &str) -> Result<()> {
        let file = self.daemon.configuration();
        let text = fs::read_to_string(&file)?;
        let ours = format!("\n[{section}]\n");
        let (kept, _) = text.split_once(&ours).unwrap_or((&text, ""));
        fs::write(&file, format!("{kept}{ours}{key} = {value}\n"))?;
        self.crash()
    }

    /// Kills the daemon and starts it again.
    pub(super) fn crash(&mut self) -> Result<()> {
        self.daemon.crash(self.site, self.stop)?;
        self.log_in_again()
    }

    fn log_in_again(&mut self) -> Result<()> {
        let text = fs::read_to_string(self.daemon.configuration())?;
        let value = |key: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            let found = lines
                .map(|(name, value)| (name.trim(), value.trim()))
                .find(|(name, _)| *name == key);
            found
                .map(|(_, value)| value.to_owned())
                .with_context(|| format!("no {key} in the configuration"))
        };
        self.administrator = self.log_in(&value("USERNAME")?, &value("PASSWORD")?)?;
        Ok(())
    }

    fn log_in(&self, user: &str, password: &str) -> Result<String> {
        let answer = self.ask(&Request::post(
            Scheme::Http,
            "/token",
            json!({ "username": user, "password": password }),
        ))?;
        let token = answer.json().pointer("/token").and_then(Value::as_str).map(str::to_owned);
        token.with_context(|| format!("{user} is not let in: {} {}", answer.status, answer.text))
    }

    /// A token of somebody with this role.
    pub(super) fn person(&self, role: &str) -> Result<String> {
        let body =
            json!({ "config": { "user": { role: { "password": PASSWORD, "role": role } } } });
        self.change(&format!("/config/user/{role}"), body)?;
        self.log_in(role, PASSWORD)
    }

    /// Asks from the controller's own network, with whatever token the request has.
    pub(super) fn ask(&self, request: &Request) -> Result<Answer> {
        request.send(&mut self.site.lab.command("curl"))
    }

    /// Asks as administrator.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let answer = self.ask(&Request::get(Scheme::Http, path).token(&self.administrator))?;
        ensure!(answer.status == 200, "GET {path}: {} {}", answer.status, answer.text);
        Ok(answer.json())
    }

    /// Changes something as administrator.
    pub(super) fn change(&self, path: &str, body: Value) -> Result<()> {
        let answer =
            self.ask(&Request::post(Scheme::Http, path, body).token(&self.administrator))?;
        ensure!(
            (200..300).contains(&answer.status),
            "POST {path}: {} {}",
            answer.status,
            answer.text
        );
        Ok(())
    }

    /// Expects a boot of a node for half an hour, or no longer.
    pub(super) fn arm(&self, node: &str, seconds: u64) -> Result<()> {
        self.change("/boot/window", json!({ "nodes": node, "seconds": seconds }))
    }

    /// No boot of a node is expected, whatever evidence there was.
    pub(super) fn close(&self, node: &str) -> Result<()> {
        // Where `arm` is no evidence nobody can close a window either; the node's own report does.
        let body = json!({ "nodes": node, "seconds": 0 });
        let answer = self
            .ask(&Request::post(Scheme::Http, "/boot/window", body).token(&self.administrator))?;
        ensure!(matches!(answer.status, 200 | 409), "{} {}", answer.status, answer.text);
        Ok(())
    }

    /// Whether a boot of the node is expected.
    pub(super) fn is_expected(&self, node: &str) -> Result<bool> {
        let list = self.get("/boot/window")?;
        let windows =
            list.pointer("/windows").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(windows.iter().any(|window| window.get("node").is_some_and(|name| name == node)))
    }

    /// Waits until a boot of the node is expected, as evidence reaches the daemon by itself.
    pub(super) fn becomes_expected(&self, node: &str) -> Result<bool> {
        let expected = || self.is_expected(node).unwrap_or(false).then_some(());
        Ok(wait_for(&Limit::seconds(20), expected)?.is_some())
    }

    /// What the API shows of the node, but for how its boot goes on.
    pub(super) fn description(&self) -> Result<Value> {
        let mut answer = self.get(&format!("/config/node/{NODE}"))?;
        let shown = answer.pointer_mut(&format!("/config/node/{NODE}"));
        let mut shown = shown.map(Value::take).unwrap_or_default();
        for observed in ["status", "tpm_present"] {
            if let Some(fields) = shown.as_object_mut() {
                fields.remove(observed);
            }
        }
        Ok(shown)
    }

    /// How the node's boot goes on, as far as anybody was told.
    pub(super) fn state(&self) -> Result<String> {
        let path = format!("/monitor/node/{NODE}");
        Ok(self.ask(&Request::get(Scheme::Http, &path).token(&self.administrator))?.text)
    }

    /// The number of the last change.
    pub(super) fn revision(&self) -> Result<u64> {
        let history = self.get("/history")?;
        history
            .pointer("/history/0/revision")
            .and_then(Value::as_u64)
            .context("no revision in the history")
    }

    /// Bytes of memory that the daemon has, of which it has most.
    pub(super) fn most_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.steady().id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kilobytes.context("no VmHWM")?.saturating_mul(1024))
    }

    fn describe(&self) -> Result<()> {
        fs::write(self.daemon.files().join(ARCHIVE_FILE), ARCHIVE)?;
        for file in ["kernel", "initrd"] {
            fs::write(self.daemon.files().join(file), file)?;
        }
        let save = |resource: &str, name: &str, fields: Value| {
            self.change(
                &format!("/config/{resource}/{name}"),
                json!({ "config": { resource: { name: fields } } }),
            )
        };
        let range = json!({ "dhcp": true, "dhcp_range_begin": "10.141.200.1", "dhcp_range_end": "10.141.200.100" });
        save("network", "cluster", range)?;
        save("network", "bmcs", json!({ "network": "10.148.0.0/16" }))?;
        let [_, _, (_, password)] = SECRETS;
        for (name, password) in [("kept", password), ("factory", bmc::PASSWORD)] {
            save("bmcsetup", name, json!({ "username": bmc::USER, "password": password }))?;
        }
        save(
            "osimage",
            "compute",
            json!({ "kernelfile": "kernel", "initrdfile": "initrd", "imagefile": ARCHIVE_FILE }),
        )?;
        save(
            "group",
            "compute",
            json!({ "osimage": "compute", "bmcsetupname": "kept",
            "interfaces": [{ "interface": "BOOTIF", "network": "cluster" }, { "interface": "BMC", "network": "bmcs" }] }),
        )?;
        for (node, mac, address) in
            [(NODE, NODE_MAC, NODE_ADDRESS), (OTHER_NODE, OTHER_MAC, OTHER_ADDRESS)]
        {
            let mut interfaces = vec![
                json!({ "interface": "BOOTIF", "network": "cluster", "macaddress": mac, "ipaddress": address.to_string() }),
            ];
            // The simulator knows one password, which is no secret.
            let (bmc, setup) = if node == OTHER_NODE { (BMC, "factory") } else { (NO_BMC, "kept") };
            interfaces.push(json!({ "interface": "BMC", "network": "bmcs", "ipaddress": bmc }));
            save(
                "node",
                node,
                json!({ "group": "compute", "bmcsetup": setup, "interfaces": interfaces }),
            )?;
        }
        for ((owner, name), (_, secret)) in
            [("node", NODE), ("group", "compute")].into_iter().zip(SECRETS)
        {
            // A node's secret of the same name would stand for its group's.
            let secrets = json!([{ "name": owner, "content": padded(secret), "path": format!("/etc/{owner}") }]);
            self.change(
                &format!("/config/secrets/{owner}/{name}"),
                json!({ "config": { "secrets": { owner: { name: secrets } } } }),
            )?;
        }
        Ok(())
    }

    /// The controller answers this address, which is in no network that is described.
    pub(super) fn route_to(&self, address: &str) -> Result<()> {
        let route = [&format!("{address}/32"), "dev", perilune_testkit::lab::BRIDGE];
        run(self.site.lab.command("ip").args(["route", "add"]).args(route), &Limit::seconds(20))?;
        Ok(())
    }

    /// The controller learns anew which card has which address, as it would a moment after a machine took another's.
    pub(super) fn forget_neighbours(&self) -> Result<()> {
        run(self.site.lab.command("ip").args(["neighbour", "flush", "all"]), &Limit::seconds(20))?;
        Ok(())
    }

    /// Runs the command line as administrator.
    pub(super) fn perilune(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.site.lab.command(&self.daemon.program());
        command.args(arguments).env("PERILUNE_CONFIG", self.daemon.configuration());
        let home = self.site.path("home");
        command.env("XDG_CONFIG_HOME", &home).env("XDG_CACHE_HOME", &home);
        Ok(run(&mut command, &Limit::seconds(120).unless(self.stop))?)
    }
}

/// Base64 as secrets are given, of the part that is searched for.
fn padded(secret: &str) -> String {
    format!("{secret}{}", "=".repeat((4 - secret.len() % 4) % 4))
}

/// The secrets that a text has.
pub(super) fn secrets_in(text: &str) -> Vec<&'static str> {
    SECRETS.iter().filter(|(_, secret)| text.contains(secret)).map(|(name, _)| *name).collect()
}

/// Fails when an answer has a secret.
pub(super) fn has_none(what: &str, text: &str) -> Result<()> {
    let found = secrets_in(text);
    if !found.is_empty() {
        bail!("{what} shows {}", found.join(", "));
    }
    Ok(())
}
