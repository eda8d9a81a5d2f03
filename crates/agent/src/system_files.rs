//! Files of the installed system that hold its name and its place in the network.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perilune_plan::{Plan, Secret};

use crate::account;
use crate::console::Console;
use crate::network::resolver;
use crate::tree::{self, Tree};

/// Above the names that the agent writes; what stands below is the image's.
const MARK: &str = "# This node, by its provisioner";

/// Host name, hosts, and the resolver where nothing else writes it. `lent` is the address that DHCP has lent the installer.
pub fn write_names(
    tree: &Tree,
    plan: &Plan,
    lent: Option<IpAddr>,
    writes_resolver: bool,
) -> Result<(), tree::Error> {
    tree.write("etc/hostname", format!("{}\n", plan.hostname), 0o644)?;
    let hosts = hosts(&tree.read("etc/hosts")?, plan, lent);
    tree.write("etc/hosts", hosts, 0o644)?;
    // A link leads to a file that the system makes when it runs.
    if writes_resolver && !tree.is_link("etc/resolv.conf") && !plan.nameservers.is_empty() {
        tree.write("etc/resolv.conf", resolver(&plan.nameservers, &plan.search), 0o644)?;
    }
    Ok(())
}

/// Writes the files that few may read. A secret that cannot be decoded, or whose owner the image does not know, is an error that names
/// it.
pub fn write_secrets(tree: &Tree, secrets: &[Secret], console: &Console) -> anyhow::Result<()> {
    for secret in secrets {
        let plain: String = secret.content.split_whitespace().collect();
        let content = STANDARD.decode(plain).map_err(|error| {
            anyhow::anyhow!("the content of the secret '{}' is not base64: {error}", secret.name)
        })?;
        let owner = secret.owner.as_deref().map(|owner| account::owner(tree, owner)).transpose();
        let owner = owner.with_context(|| format!("the secret '{}'", secret.name))?;
        let mode = secret.mode.as_deref().map(|mode| u32::from_str_radix(mode, 8)).transpose();
        let mode = mode.with_context(|| format!("the mode of the secret '{}'", secret.name))?;
        tree.write_as(&secret.path, content, mode.unwrap_or(0o600), owner)?;
        console.line(&format!("secret '{}' is in {}", secret.name, secret.path));
    }
    Ok(())
}

/// The image's file with our names in it, and without what says something else about them.
fn hosts(text: &str, plan: &Plan, lent: Option<IpAddr>) -> String {
    let names = names(plan);
    let mut result = String::new();
    let local = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
    let has_local = text.lines().any(|line| words(line).contains(&"localhost"));
    if !has_local {
        result.push_str(local);
    }
    let others = plan.hosts.iter().flat_map(|host| &host.names);
    let ours: BTreeSet<&str> = names.iter().chain(others).map(String::as_str).collect();
    let is_ours =
        |line: &str| line == MARK || words(line).iter().skip(1).any(|word| ours.contains(word));
    for line in text.lines().filter(|line| !is_ours(line)) {
        result.push_str(line);
        result.push('\n');
    }
    result.push_str(MARK);
    result.push('\n');
    for address in own_addresses(plan, lent) {
        writeln!(result, "{address} {}", names.join(" ")).ok();
    }
    for host in &plan.hosts {
        writeln!(result, "{} {}", host.address, host.names.join(" ")).ok();
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

/// The addresses by which others know the node: those that are fixed, and what DHCP lends, which it will lend again; a local one where
/// it has none.
fn own_addresses(plan: &Plan, lent: Option<IpAddr>) -> Vec<IpAddr> {
    let boot = plan.interfaces.iter().find(|interface| interface.name == plan.boot_interface);
    let asks = boot.is_some_and(|boot| boot.dhcp);
    let texts = boot.into_iter().filter(|_| !asks).flat_map(|boot| &boot.addresses);
    let fixed = texts.filter_map(|text| text.split('/').next()?.parse().ok());
    let addresses: Vec<IpAddr> = lent.filter(|_| asks).into_iter().chain(fixed).collect();
    if addresses.is_empty() { vec![IpAddr::from([127, 0, 1, 1])] } else { addresses }
}

#[cfg(test)]
mod tests {
    use perilune_plan::{Host, Interface};

    use super::*;

    fn plan(dhcp: bool, others: &[(&str, &[&str])]) -> Plan {
        let host = |(address, names): &(&str, &[&str])| Host {
            address: address.parse().unwrap(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let boot = Interface {
            name: "BOOTIF".to_owned(),
            addresses: vec!["10.141.0.1/16".to_owned(), "fd00:141::1/64".to_owned()],
            dhcp,
            ..Interface::default()
        };
        let hosts = others.iter().map(host).collect();
        Plan { hosts, ..crate::interfaces::tests::plan(vec![boot]) }
    }

    #[test]
    fn a_secret_is_written_as_it_is_and_only_for_who_may_read_it() {
        use std::os::unix::fs::MetadataExt as _;

        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        let own = std::fs::metadata(directory.path()).unwrap();
        let own = (own.uid(), own.gid());
        tree.write("etc/passwd", format!("munge:x:{}:1::/:/bin/false\n", own.0), 0o644).unwrap();
        tree.write("etc/group", format!("munge:x:{}:\n", own.1), 0o644).unwrap();
        let secret = |owner: Option<&str>, mode: Option<&str>| Secret {
            name: "munge".to_owned(),
            content: "AP8K".to_owned(),
            path: "/etc/munge/munge.key".to_owned(),
            owner: owner.map(str::to_owned),
            mode: mode.map(str::to_owned),
        };
        let console = Console::new(crate::console::tests::Memory::default());
        for (owner, mode, expected) in [
            (None, None, 0o600),
            (Some("munge:munge"), Some("0440"), 0o440),
            (Some("munge:munge"), Some("4755"), 0o4755),
        ] {
            write_secrets(&tree, &[secret(owner, mode)], &console).unwrap();
            let file = std::fs::metadata(tree.place("etc/munge/munge.key")).unwrap();
            assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (own.0, own.1, expected));
            assert_eq!(std::fs::read(tree.place("etc/munge/munge.key")).unwrap(), [0, 0xff, 10]);
        }
        let refused = write_secrets(&tree, &[secret(Some("nobody"), None)], &console).unwrap_err();
        assert!(
            format!("{refused:#}").contains("'munge': the image has no user 'nobody'"),
            "{refused:#}"
        );
        assert!(write_secrets(&tree, &[secret(None, Some("9"))], &console).is_err());
    }

    #[test]
    fn a_node_names_itself_by_the_address_that_others_know() {
        let fixed = hosts("127.0.0.1 localhost\n", &plan(false, &[]), None);
        let expected = format!(
            "127.0.0.1 localhost\n{MARK}\n10.141.0.1 node001.cluster node001\nfd00:141::1 node001.cluster node001\n"
        );
        assert_eq!(fixed, expected);
        let lent = Some("10.141.200.7".parse().unwrap());
        assert_eq!(hosts("127.0.0.1 localhost\n", &plan(false, &[]), lent), expected);
        let asks = hosts("127.0.0.1 localhost\n", &plan(true, &[]), lent);
        assert!(
            asks.ends_with(&format!("{MARK}\n10.141.200.7 node001.cluster node001\n")),
            "{asks}"
        );
        let nothing = hosts("", &plan(true, &[]), None);
        assert!(nothing.starts_with("127.0.0.1 localhost\n"), "{nothing}");
        assert!(nothing.ends_with("127.0.1.1 node001.cluster node001\n"), "{nothing}");
    }

    #[test]
    fn others_are_named_once_and_what_the_image_says_of_strangers_stays() {
        let image =
            "127.0.0.1 localhost\n10.9.9.9 old.cluster node002 # stale\n10.8.8.8 license-server\n";
        let others: &[(&str, &[&str])] = &[("10.141.0.2", &["node002.cluster", "node002"])];
        let text = hosts(image, &plan(false, others), None);
        assert!(text.contains("10.8.8.8 license-server\n") && !text.contains("10.9.9.9"), "{text}");
        assert!(text.ends_with("10.141.0.2 node002.cluster node002\n"), "{text}");
        assert_eq!(hosts(&text, &plan(false, others), None), text, "twice is once");
    }
}
