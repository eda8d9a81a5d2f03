//! Files of the installed system that hold its name and its place in the network.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perilune_plan::{Plan, Secret};

use crate::console::Console;
use crate::network::resolver;
use crate::tree::{self, Tree};

/// Above the names that the agent writes; what stands below is the image's.
const MARK: &str = "# This node, by its provisioner";

/// Host name, hosts, and the resolver where nothing else writes it.
pub fn write_identity(tree: &Tree, plan: &Plan, writes_resolver: bool) -> Result<(), tree::Error> {
    tree.write("etc/hostname", format!("{}\n", plan.hostname), 0o644)?;
    let hosts = hosts(&tree.read("etc/hosts")?, plan);
    tree.write("etc/hosts", hosts, 0o644)?;
    // A link leads to a file that the system makes when it runs.
    if writes_resolver && !tree.is_link("etc/resolv.conf") && !plan.nameservers.is_empty() {
        tree.write("etc/resolv.conf", resolver(&plan.nameservers, &plan.search), 0o644)?;
    }
    Ok(())
}

/// Writes the files that few may read. A secret that cannot be decoded is an error that names it.
pub fn write_secrets(tree: &Tree, secrets: &[Secret], console: &Console) -> anyhow::Result<()> {
    for secret in secrets {
        let plain: String = secret.content.split_whitespace().collect();
        let content = STANDARD.decode(plain).map_err(|error| {
            anyhow::anyhow!("the content of the secret '{}' is not base64: {error}", secret.name)
        })?;
        tree.write(&secret.path, content, 0o600)?;
        console.line(&format!("secret '{}' is in {}", secret.name, secret.path));
    }
    Ok(())
}

/// The image's file with our names in it, and without what says something else about them.
fn hosts(text: &str, plan: &Plan) -> String {
    let names = names(plan);
    let mut result = String::new();
    let local = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
    let has_local = text.lines().any(|line| words(line).contains(&"localhost"));
    if !has_local {
        result.push_str(local);
    }
    let is_ours = |line: &str| {
        line == MARK || words(line).iter().skip(1).any(|word| names.iter().any(|name| name == word))
    };
    for line in text.lines().filter(|line| !is_ours(line)) {
        result.push_str(line);
        result.push('\n');
    }
    result.push_str(MARK);
    result.push('\n');
    for address in own_addresses(plan) {
        writeln!(result, "{address} {}", names.join(" ")).ok();
    }
    result
}

/// The words of a line before its comment.
fn words(line: &str) -> Vec<&str> {
    line.split('#').next().unwrap_or_default().split_whitespace().collect()
}

/// The long name first, then the short one.
fn names(plan: &Plan) -> Vec<String> {
    let mut names = vec![plan.hostname.clone()];
    for short in [plan.hostname.split('.').next().unwrap_or_default(), plan.node.as_str()] {
        if !short.is_empty() && !names.iter().any(|name| name == short) {
            names.push(short.to_owned());
        }
    }
    names
}

/// The fixed addresses by which others know the node; the local one where it has none.
fn own_addresses(plan: &Plan) -> Vec<IpAddr> {
    let boot = plan.interfaces.iter().find(|interface| interface.name == plan.boot_interface);
    let texts = boot.into_iter().filter(|boot| !boot.dhcp).flat_map(|boot| &boot.addresses);
    let addresses: Vec<IpAddr> =
        texts.filter_map(|text| text.split('/').next()?.parse().ok()).collect();
    if addresses.is_empty() { vec![IpAddr::from([127, 0, 1, 1])] } else { addresses }
}
