//! What an existing site has that nobody does here: plugins that are named and not installed, hooks that will not run, and names that
//! nobody serves. It is told when the site is imported, and as warnings from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use perilune_model::network::Network;
use perilune_model::plugins::Installed;
use perilune_model::provisioning::Provisioning;
use perilune_model::{Cluster, Family, Holder, Kind, Name, Patch, Violation};

use crate::config::Settings;
use crate::hooks::Hook;
use crate::plugins::{is_called, is_executable, names};

/// As long as a name server may take to answer; those that are asked are on this network, or on this host.
const LONGEST: Duration = Duration::from_millis(500);
const NAME_SERVER_PORT: u16 = 53;

/// Kinds of plugins, by their directories, and which files of them are run: executable programs, or Python files that are called.
const RUN: [(&str, Run); 17] = [
    ("boot/network", Run::Read),
    ("boot/bmc", Run::Read),
    ("boot/scripts", Run::Read),
    ("boot/roles", Run::Read),
    ("boot/provision", Run::Read),
    ("boot/detection", Run::These(&["boot/detection/switchport", "boot/detection/cloud"])),
    ("control", Run::Any),
    ("hooks/control", Run::Any),
    ("hooks/config", Run::Hooks),
    ("hooks/luna", Run::Hooks),
    ("hooks/monitor", Run::Hooks),
    ("osimage/operations", Run::Any),
    ("osimage/filesystem", Run::Any),
    ("osimage/other", Run::These(&["osimage/other/cleanup"])),
    ("osuser", Run::These(&["osuser/default", "osuser/obol"])),
    ("export", Run::Any),
    ("import", Run::Any),
];
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    /// Its texts are read.
    Read,
    /// Those that are hooks by their paths.
    Hooks,
    /// These, by their paths without an ending.
    These(&'static [&'static str]),
    /// Whatever its name is.
    Any,
}

impl Run {
    /// Whether a plugin of this path, without an ending, is called.
    fn names(self, plugin: &str) -> bool {
        match self {
            Self::Read | Self::Any => true,
            Self::Hooks => Hook::from_path(plugin).is_some(),
            Self::These(names) => names.contains(&plugin),
        }
    }

    /// What is called of a kind, where only some names are.
    fn called(self, kind: &str) -> Vec<&'static str> {
        let all = match self {
            Self::Read | Self::Any => Vec::new(),
            Self::Hooks => Hook::ALL.map(Hook::path).to_vec(),
            Self::These(names) => names.to_vec(),
        };
        all.into_iter().filter(|name| name.starts_with(kind)).collect()
    }
}

/// A plugin that something names and that is not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What names it; the settings of the cluster without a name.
    pub kind: Kind,
    /// Its name.
    pub name: Option<Name>,
    /// The field, and what is missing.
    pub violation: Violation,
}

/// Plugins that the cluster, its groups and nodes name, and that are not installed.
pub fn missing(cluster: &Cluster, installed: &Installed) -> Vec<Missing> {
    fn said<T: Clone>(own: Option<&T>) -> Patch<T> {
        own.cloned().map_or(Patch::Keep, Patch::Set)
    }
    let of = |kind, name: Option<&Name>, own: &Provisioning| {
        let provision =
            [said(own.provision_method.as_ref()), said(own.provision_fallback.as_ref())];
        let [method, fallback] = &provision;
        let (roles, scripts) = (said(own.roles.as_ref()), said(own.scripts.as_ref()));
        let missing = installed.missing([method, fallback], &roles, &scripts);
        let name = name.cloned();
        missing.into_iter().map(move |violation| Missing { kind, name: name.clone(), violation })
    };
    let settings = cluster.settings();
    let own = Provisioning {
        provision_method: settings.provision_method.clone(),
        provision_fallback: settings.provision_fallback.clone(),
        ..Provisioning::default()
    };
    let groups = cluster.groups().values();
    let nodes = cluster.nodes().values();
    of(Kind::Settings, None, &own)
        .chain(groups.flat_map(|group| of(Kind::Group, Some(&group.name), &group.provisioning)))
        .chain(nodes.flat_map(|node| of(Kind::Node, Some(&node.name), &node.provisioning)))
        .collect()
}

/// The files that will not run of a daemon with these settings.
pub fn of_settings(settings: &Settings) -> BTreeMap<String, Vec<String>> {
    let plugins = settings.plugins.as_deref();
    plugins.map(|plugins| not_run(plugins, &settings.working_classes)).unwrap_or_default()
}

/// Files of the plugins' directory that will not run, by their directories. `classes`: kinds of which every Python file is called, by the
/// beginnings of their paths.
fn not_run(plugins: &Path, classes: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (kind, run) in RUN {
        if run == Run::Read {
            continue;
        }
        let mut files = Vec::new();
        collect(plugins, kind, 0, &mut files);
        files.retain(|file| {
            let class = file.strip_suffix(".py");
            let is_asked = run.names(class.unwrap_or(file));
            let is_run = match class {
                Some(_) => is_called(file, classes),
                None => is_executable(&plugins.join(file)),
            };
            !(is_asked && is_run || names::is_delivered(file))
        });
        if !files.is_empty() {
            files.sort();
            found.insert(kind.to_owned(), files);
        }
    }
    found
}

/// The files below a directory of plugins, as paths within the plugins' directory.
fn collect(plugins: &Path, directory: &str, depth: usize, files: &mut Vec<String>) {
    const DEEPEST: usize = 3;
    let entries = std::fs::read_dir(plugins.join(directory));
    for entry in entries.into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_compiled = Path::new(&name).extension().is_some_and(|extension| extension == "pyc");
        if is_compiled || name.starts_with(['.', '_']) || name.ends_with('~') {
            continue;
        }
        let path = format!("{directory}/{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < DEEPEST => {
                collect(plugins, &path, depth + 1, files);
            }
            Ok(kind) if !kind.is_dir() => files.push(path),
            Ok(_) | Err(_) => {}
        }
    }
}

/// What is said of files that will not run.
pub fn not_run_told(kind: &str, files: &[String]) -> String {
    let files = files.join(", ");
    let called = RUN.iter().find(|(known, _)| *known == kind).map(|(_, run)| run.called(kind));
    match called.unwrap_or_default().as_slice() {
        [] => format!(
            "{files} will not run: make it executable, or write a Python file with the class Plugin (docs/plugins.md)"
        ),
        called => format!(
            "{files} will not run: what is called of {kind} is {}, an executable program or a Python file (docs/plugins.md)",
            called.join(" and ")
        ),
    }
}

/// A network whose nodes ask this site's own controller for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNames {
    /// The network, whose name is the domain of its nodes.
    pub network: Name,
    /// The server that is asked.
    pub server: IpAddr,
    /// A node of the network, and its address.
    sample: Option<(Name, IpAddr)>,
}

/// Networks whose nodes are told to ask a controller, or this host, for names: the old daemon wrote what is served there.
pub fn own_names(cluster: &Cluster) -> Vec<OwnNames> {
    let networks = cluster.networks().values().filter(|network| !network.non_authoritative);
    let asked = networks.flat_map(|network| {
        servers(cluster, network).into_iter().filter(|server| is_own(cluster, *server)).map(
            |server| OwnNames {
                network: network.name.clone(),
                server,
                sample: sample(cluster, network),
            },
        )
    });
    asked.collect()
}

fn servers(cluster: &Cluster, network: &Network) -> BTreeSet<IpAddr> {
    let own: BTreeSet<IpAddr> = network.own_name_servers().collect();
    if own.is_empty() { cluster.settings().nameserver_ip.iter().copied().collect() } else { own }
}

fn is_own(cluster: &Cluster, address: IpAddr) -> bool {
    matches!(cluster.holder(address), Some(Holder::Controller(_)))
        || cluster.own_addresses().contains_key(&address)
}

fn sample(cluster: &Cluster, network: &Network) -> Option<(Name, IpAddr)> {
    let mut interfaces = cluster
        .nodes()
        .values()
        .flat_map(|node| node.interfaces.iter().map(move |own| (node, own)));
    interfaces.find_map(|(node, interface)| {
        let address = interface.addresses.get(Family::V4)?;
        (interface.network.as_ref() == Some(&network.name)).then(|| (node.name.clone(), address))
    })
}

/// Names that are not served as the cluster has them. `is_ours` tells where this daemon serves them; `ask` answers the address that a server gives for a name.
pub(crate) fn unserved_names(
    cluster: &Cluster,
    is_ours: &dyn Fn(IpAddr) -> bool,
    ask: &dyn Fn(IpAddr, &str) -> Option<Ipv4Addr>,
) -> Vec<String> {
    let own = own_names(cluster).into_iter().filter(|own| !is_ours(own.server)).filter_map(|OwnNames { network, server, sample }| {
        let (node, address) = sample?;
        let name = format!("{node}.{network}");
        let answer = ask(server, &name).map(IpAddr::V4);
        (answer != Some(address)).then(|| {
            let said = answer.map_or_else(
                || "no address".to_owned(),
                |other| format!("the address {other}"),
            );
            format!(
                "nodes of network {network} ask {server} for names, which answers {said} for {name} ({address}): Perilune's own DNS does not \
                 serve there (perilune status and docs/dns.md say why). Let it: [DNS] SERVE = yes in luna.ini; or fill the name server there from \
                 perilune export, or name another with perilune network change {network} --nameserver-ip"
            )
        })
    });
    own.collect()
}

/// Asks a name server for the IPv4 address of a name (RFC 1035, section 4.1).
pub(crate) fn ask(server: IpAddr, name: &str) -> Option<Ipv4Addr> {
    let local: SocketAddr = match server {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).ok()?;
    socket.set_read_timeout(Some(LONGEST)).ok()?;
    socket.connect((server, NAME_SERVER_PORT)).ok()?;
    let query = query(name)?;
    socket.send(&query).ok()?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).ok()?;
    address_in(answer.get(..length)?, query.len())
}

fn query(name: &str) -> Option<Vec<u8>> {
    const HEADER: [u8; 12] = [0x70, 0x65, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    const TYPE_A_IN: [u8; 5] = [0, 0, 1, 0, 1];
    let mut query = HEADER.to_vec();
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).ok().filter(|length| *length < 64)?);
        query.extend(label.as_bytes());
    }
    query.extend(TYPE_A_IN);
    Some(query)
}

/// The first IPv4 address among the answers behind the question, which has this length with the header.
fn address_in(answer: &[u8], question: usize) -> Option<Ipv4Addr> {
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut rest = answer.get(question..)?;
    for _ in 0..count {
        // The name of a record is a pointer to the question here, or written out.
        let name = match rest.first()? {
            0xc0.. => 2,
            _ => rest.iter().position(|byte| *byte == 0)? + 1,
        };
        let record = rest.get(name..)?;
        let length = usize::from(u16::from_be_bytes([*record.get(8)?, *record.get(9)?]));
        let data = record.get(10..10 + length)?;
        if record.starts_with(&[0, 1, 0, 1]) {
            let address: [u8; 4] = data.try_into().ok()?;
            return Some(address.into());
        }
        rest = record.get(10 + length..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use perilune_model::controller::Controller;
    use perilune_model::group::Group;
    use perilune_model::interface::Interface;
    use perilune_model::node::Node;
    use perilune_model::{Addresses, Draft};

    use super::*;

    fn site() -> Cluster {
        let mut draft = Draft::new(&Cluster::default());
        let own = |last| Addresses { ipv4: Some([10, 9, 0, last].into()), ipv6: None };
        let network = Network {
            name: Name::trusted("cluster"),
            ipv4: "10.9.0.0/24".parse().ok(),
            nameserver_ip: Some("10.9.0.254,192.168.1.1".to_owned().into()),
            ..Network::default()
        };
        draft.put(network).unwrap();
        let name = Name::trusted("controller");
        let network = Some(Name::trusted("cluster"));
        draft
            .put(Controller {
                name,
                addresses: own(254),
                network: network.clone(),
                ..Controller::default()
            })
            .unwrap();
        let mut group = Group { name: Name::trusted("compute"), ..Group::default() };
        group.provisioning.scripts = Some("default, raid5".to_owned().into());
        draft.put(group).unwrap();
        let interface = Interface {
            name: Name::trusted("BOOTIF"),
            network,
            addresses: own(1),
            ..Interface::default()
        };
        let mut node = Node {
            name: Name::trusted("node001"),
            group: Name::trusted("compute"),
            interfaces: vec![interface],
            ..Node::default()
        };
        node.provisioning.provision_method = Some("pigeon".to_owned().into());
        draft.put(node).unwrap();
        draft.finish().0
    }

    #[test]
    fn plugins_that_are_named_and_not_installed_are_told_with_who_names_them() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let installed = Installed {
            provision_methods: names(&["http", "torrent"]),
            roles: names(&[]),
            scripts: names(&["default"]),
        };
        let missing = missing(&site(), &installed);
        let told: Vec<_> = missing
            .iter()
            .map(|one| (one.name.as_ref().map(Name::as_str), one.violation.field.as_str()))
            .collect();
        assert_eq!(told, [(Some("compute"), "scripts"), (Some("node001"), "provision_method")]);
        assert!(missing[0].violation.reason.starts_with("there is no 'raid5'"));
    }

    #[test]
    fn hooks_and_plugins_that_will_not_run_are_found_and_those_that_do_nothing_are_not_told() {
        let plugins = tempfile::tempdir().unwrap();
        for (file, mode) in [
            ("hooks/config/group.py", 0o644),
            ("hooks/config/__init__.py", 0o644),
            ("hooks/config/__pycache__/group.pyc", 0o644),
            ("hooks/control/default.py", 0o644),
            ("hooks/control/node001", 0o755),
            ("hooks/control/node002", 0o644),
            ("hooks/monitor/node.py", 0o644),
            ("hooks/monitor/rack.py", 0o644),
            ("hooks/config/dns", 0o644),
            ("control/apc.py", 0o644),
            ("control/dell.py", 0o644),
            ("control/apc", 0o644),
            ("osimage/operations/image/suse.py", 0o644),
            ("osimage/operations/osgrab/compute.py", 0o644),
            ("osimage/other/cleanup", 0o755),
            ("osuser/default", 0o755),
            ("osuser/ldap.py", 0o644),
            ("boot/detection/switchport.py", 0o644),
            ("boot/detection/rack", 0o755),
            ("export/nagios.py", 0o755),
            ("export/zabbix", 0o755),
            ("boot/scripts/raid9.py", 0o644),
        ] {
            let path = plugins.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let found: Vec<(String, Vec<String>)> = {
            let classes = ["osimage/operations/osgrab".to_owned()];
            not_run(plugins.path(), &classes).into_iter().collect()
        };
        let expected = [
            ("boot/detection", "boot/detection/rack"),
            ("control", "control/apc"),
            ("hooks/config", "hooks/config/dns"),
            ("hooks/control", "hooks/control/node002"),
            ("hooks/monitor", "hooks/monitor/rack.py"),
            ("osuser", "osuser/ldap.py"),
        ];
        assert_eq!(found, expected.map(|(kind, file)| (kind.to_owned(), vec![file.to_owned()])));
        assert_eq!(not_run(Path::new("/no/such/directory"), &[]), BTreeMap::new());
    }

    #[test]
    fn names_that_the_controller_is_asked_for_and_does_not_serve_are_told() {
        let cluster = site();
        let right = |server: IpAddr, name: &str| {
            assert_eq!((server.to_string().as_str(), name), ("10.9.0.254", "node001.cluster"));
            Some(Ipv4Addr::new(10, 9, 0, 1))
        };
        assert_eq!(unserved_names(&cluster, &|_| false, &right), Vec::<String>::new());
        let [none] = unserved_names(&cluster, &|_| false, &|_, _| None).try_into().unwrap();
        assert_eq!(unserved_names(&cluster, &|_| true, &|_, _| None), Vec::<String>::new());
        assert!(none.contains("ask 10.9.0.254 for names, which answers no address"), "{none}");
        let old = |_: IpAddr, _: &str| Some(Ipv4Addr::new(10, 9, 0, 77));
        let [old] = unserved_names(&cluster, &|_| false, &old).try_into().unwrap();
        assert!(old.contains("the address 10.9.0.77 for node001.cluster (10.9.0.1)"), "{old}");
    }

    #[test]
    fn an_answer_of_a_name_server_is_read_and_a_broken_one_is_none() {
        let question = query("a.b").unwrap();
        let mut answer = question.clone();
        answer[7] = 2;
        answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        answer.extend([1, b'c', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 9, 0, 1]);
        assert_eq!(address_in(&answer, question.len()), Some([10, 9, 0, 1].into()));
        for length in 0..answer.len() {
            assert_eq!(address_in(&answer[..length], question.len()), None, "{length}");
        }
        assert_eq!(query(&"x".repeat(64)), None);
    }
}
