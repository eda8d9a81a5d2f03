//! Other name servers with the same names.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use perilune_testkit::process::{end, wait_for};
use perilune_testkit::{Lab, Limit};

pub(super) const BIND: &str = "/usr/sbin/named";
const NSD: &str = "/usr/sbin/nsd";

/// A server at work. It ends with this value.
pub(super) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

impl Server {
    /// BIND with a zone file.
    pub(super) fn bind(network: &Lab, directory: &Path, zone: &Path) -> Result<Self> {
        let zone = format!("zone \"cluster\" {{ type primary; file \"{}\"; }};", zone.display());
        Self::named(network, directory, "bind", &zone)
    }

    /// BIND that has its zone from another.
    pub(super) fn secondary(network: &Lab, directory: &Path, primary: &str) -> Result<Self> {
        let zone = format!(
            "zone \"cluster\" {{ type secondary; primaries {{ {primary}; }}; file \"cluster.copy\"; }};"
        );
        Self::named(network, directory, "secondary", &zone)
    }

    fn named(network: &Lab, directory: &Path, name: &str, zone: &str) -> Result<Self> {
        let place = directory.join(name);
        fs::create_dir(&place)?;
        let shown = place.display();
        let text = format!(
            "options {{ directory \"{shown}\"; pid-file \"{shown}/pid\"; session-keyfile none; managed-keys-directory \"{shown}\"; \
             listen-on {{ any; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; minimal-responses yes; }};\n\
             controls {{ }};\n{zone}\n"
        );
        let file = place.join("named.conf");
        fs::write(&file, text)?;
        let mut command = network.command(BIND);
        command.arg("-g").arg("-c").arg(&file);
        Self::start(command, &place.join("log"), "running")
    }

    /// NSD with a zone file; none where it is not installed.
    pub(super) fn nsd(network: &Lab, directory: &Path, zone: &Path) -> Result<Option<Self>> {
        if !Path::new(NSD).exists() {
            return Ok(None);
        }
        let place = directory.join("nsd");
        fs::create_dir(&place)?;
        let (shown, zone) = (place.display(), zone.display());
        let text = format!(
            "server:\n  server-count: 2\n  ip-address: 10.141.255.254\n  username: \"\"\n  zonesdir: \"{shown}\"\n  database: \"\"\n  \
             pidfile: \"{shown}/pid\"\n  xfrdfile: \"{shown}/xfrd\"\n  zonelistfile: \"{shown}/zones\"\n  xfrdir: \"{shown}\"\n  \
             rrl-ratelimit: 0\n  minimal-responses: yes\nremote-control:\n  control-enable: no\nzone:\n  name: cluster\n  zonefile: \"{zone}\"\n"
        );
        let file = place.join("nsd.conf");
        fs::write(&file, text)?;
        let mut command = network.command(NSD);
        command.arg("-d").arg("-c").arg(&file);
        Self::start(command, &place.join("log"), "nsd started").map(Some)
    }

    fn start(mut command: Command, log: &Path, ready: &str) -> Result<Self> {
        let file = fs::File::create(log)?;
        let child = command.stdout(Stdio::null()).stderr(file).spawn();
        let server = Self(child.context("a name server does not start")?);
        let told = || fs::read_to_string(log).unwrap_or_default();
        let serves = || told().contains(ready).then_some(());
        ensure!(
            wait_for(&Limit::seconds(60), serves)?.is_some(),
            "a name server does not serve:\n{}",
            told()
        );
        Ok(server)
    }
}
