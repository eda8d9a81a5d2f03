//! What will not work, as far as it can be known before somebody needs it. Never a failure of anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;

use perilune_boards::Unreadable;
use perilune_boot::Site;
use perilune_model::effective::Effective;
use perilune_model::image::Image;
use perilune_model::{Cluster, Family, Kind, Name, Server, Servers, Violation};

use crate::boots::Evidence;
use crate::causes::chain;
use crate::clock;
use crate::state::State;
use crate::{starters, time_servers, unserved};

/// Of a dynamic range, so many percent may be lent before somebody should look.
const NEARLY_FULL: u64 = 90;

/// With less than this a disk is nearly full.
const LITTLE: u64 = 256 << 20;

/// So many names are said of a long list.
const NAMED: usize = 5;
/// As many addresses of a range as are named.
const TAKEN_NAMED: usize = 3;

/// Something that will not work, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The nodes it is about; none when it is about something else.
    pub nodes: Vec<Name>,
    /// What it is. The word `NODE` stands for each node.
    pub text: String,
}

/// All warnings as of now, those about nodes last. It looks at every node and at files: for a thread that may block.
pub fn all(state: &State) -> Vec<Warning> {
    let cluster = state.cluster.published();
    let now = state.leases.now();
    let ranges = ranges(&cluster, |range| state.leases.lent_within(range, now));
    let interfaces = state.dhcp_interfaces.iter();
    let idle = interfaces.clone().filter_map(|one| crate::machines::idle(one, &cluster));
    let unheard =
        interfaces.filter_map(|one| crate::machines::unheard(one, &cluster, &state.listen));
    let idle = idle.chain(unheard);
    let hooks = state.hooks.warnings(clock::milliseconds());
    let names = state.names.warnings();
    let servers = state.servers.warnings();
    let time = time_servers::silent(&cluster, &time_servers::tells);
    let of_site = idle.chain(hooks).chain(names).chain(servers).chain(time);
    let of_site = of_site.chain(templates(state)).chain(ranges);
    let of_site = of_site.chain(unreadable(state)).chain(weak_evidence(state));
    let of_site = of_site.chain(accepts_everybody(&cluster)).chain(full_disks(state));
    let of_site = of_site
        .chain(addresses(&cluster))
        .chain(servers_nobody_is_told(&cluster))
        .chain(placement(&cluster))
        .chain(unserved(state, &cluster));
    let of_site = of_site
        .chain(lost_trees(state, &cluster))
        .chain(lost_files(state, &cluster))
        .chain(reservations(&cluster));
    let (files, images) = (&state.settings.image_files, &state.settings.image_directory);
    let of_site = of_site.chain(starters::missing(&cluster, files, images));
    let of_site = of_site.chain(state.jobs.trees().warning());
    let of_site = of_site.chain(lost_database(state)).chain(state.controllers.warnings());
    let of_site = of_site.map(|text| Warning { nodes: Vec::new(), text });
    of_site.chain(nodes(state, &cluster)).collect()
}

/// The database that controllers share does not answer.
fn lost_database(state: &State) -> Option<String> {
    let since = state.cluster.away_since()?;
    if state.cluster.is_outdated() {
        return Some(format!(
            "this controller runs version {}, which cannot read what newer ones have stored: since {} it shows what was before, and changes are refused (503). \
             Install the version of the other controllers, as perilune controller list shows it",
            state.controllers.version(),
            clock::rfc3339(since)
        ));
    }
    Some(format!(
        "the database does not answer since {}: changes are refused (503) until it does; reads, boots and DHCP for nodes go on from memory. Look at \
         the log of this controller and of PostgreSQL",
        clock::rfc3339(since)
    ))
}

/// Boots that are believed too easily.
fn weak_evidence(state: &State) -> Option<String> {
    let reason = if state.settings.evidence.is_some() {
        "[BOOT] EVIDENCE of the configuration lists search"
    } else {
        "the DHCP requests of machines' firmware may not be seen here: none are served, or this program lacks CAP_NET_RAW"
    };
    state.boots.accepts(Evidence::Search).then(|| {
        format!(
            "{reason}: a request for a node's boot script from the node's own address is enough to expect a boot of it, and users of \
             running nodes can make such requests. What they get is worthless without the node's root (docs/trust.md). Write \
             [BOOT] EVIDENCE = dhcp, power, arm where the controller sees the DHCP requests of the machines, or boots are begun with \
             perilune power or perilune node arm"
        )
    })
}

/// Disks on which there is hardly room for anything.
fn full_disks(state: &State) -> Vec<String> {
    let settings = &state.settings;
    let refuses = state.history.is_short_of_room().then(|| {
        format!(
            "the disk of {} is full: changes are refused (507) until there is room again; what machines report is still stored. Remove \
             what is not needed there, such as old backups and packed images",
            settings.data_dir.display()
        )
    });
    let places = [
        (&settings.data_dir, "changes will be refused"),
        (&settings.image_files, "no image can be packed"),
        (&settings.image_directory, "images cannot be changed"),
    ];
    let nearly = places.into_iter().filter_map(|(place, then)| {
        let free = room(place).filter(|free| *free < LITTLE)?;
        let place = place.display();
        Some(format!("the disk of {place} has {} MiB left; when it is full, {then}", free >> 20))
    });
    refuses.into_iter().chain(nearly).collect()
}

/// Bytes that are free where this is.
fn room(place: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(place).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Machines that nobody looked at become nodes.
fn accepts_everybody(cluster: &Cluster) -> Option<String> {
    cluster.settings().nextnode_discover.then(|| {
        "nextnode_discover of the cluster is on: every unknown machine that asks to boot becomes the next node, without a yes of anybody. When the room is filled: perilune cluster change --nextnode-discover no. A rule does the same for a number of machines and a time: perilune claim rule add --group GROUP --count 32 --for 2h"
            .to_owned()
    })
}

/// What a former version took for a server of a network, and is none.
fn servers_nobody_is_told(cluster: &Cluster) -> Vec<String> {
    let networks = cluster.networks().values();
    let lists = networks.flat_map(|network| {
        let lists = [
            ("nameserver_ip", &network.nameserver_ip),
            ("nameserver_ip_ipv6", &network.nameserver_ip_ipv6),
            ("ntp_server", &network.ntp_server),
        ];
        lists.map(|(field, servers)| (&network.name, field, servers))
    });
    let unread = lists.flat_map(|(network, field, servers)| {
        let servers = servers.iter().flat_map(Servers::iter);
        servers.filter_map(move |server| match server {
            Server::Unread(word) => Some((network, field, word)),
            Server::Address(_) | Server::Host(_) => None,
        })
    });
    unread
        .map(|(network, field, word)| {
            // Addresses of both families are named by one option.
            let option = if field == "ntp_server" { "ntp-server" } else { "nameserver-ip" };
            format!(
                "{field} of network {network} names '{word}', which is neither an IP address nor a host name: no machine is told it. Name the \
                 servers anew: perilune network change {network} --{option} ADDRESS"
            )
        })
        .collect()
}

/// The site's own templates that cannot be used.
fn templates(state: &State) -> Vec<String> {
    state.templates.broken().iter().map(|broken| chain(broken)).collect()
}

/// What was stored and could not be read.
fn unreadable(state: &State) -> Vec<String> {
    let text = |record: &Unreadable| {
        let Unreadable { table, key, reason } = record;
        format!(
            "the stored {table} '{key}' could not be read at the start of the daemon and was left out: {reason}. \
             It is kept in the table aside of perilune.db"
        )
    };
    state.unreadable.iter().map(text).collect()
}

/// Dynamic ranges with hardly an address left: unknown machines will get none.
fn ranges(cluster: &Cluster, lent_within: impl Fn(RangeInclusive<IpAddr>) -> u64) -> Vec<String> {
    let ranges = |network: &std::sync::Arc<perilune_model::network::Network>| {
        let lent = Family::BOTH.map(|family| network.lent_range(family));
        let name = network.name.clone();
        lent.into_iter().flatten().map(move |(first, last)| (name.clone(), first, last))
    };
    let lending = cluster.networks().values().flat_map(ranges);
    let full = lending.filter_map(|(name, first, last)| {
        let size = number_between(first, last);
        let lent = lent_within(first..=last);
        let is_full = u128::from(lent) * 100 >= size.saturating_mul(u128::from(NEARLY_FULL));
        let option = if first.is_ipv4() { "--dhcp-range-end" } else { "--dhcp-range-end-ipv6" };
        is_full.then(|| {
            format!(
                "{lent} of the {size} addresses {first} to {last} of network {name} are lent; unknown machines will get none: \
                 make the range larger with perilune network change {name} {option} ADDRESS"
            )
        })
    });
    full.collect()
}

/// How many addresses there are from one to another, both included.
fn number_between(first: IpAddr, last: IpAddr) -> u128 {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    number(last).saturating_sub(number(first)).saturating_add(1)
}

/// Machines about which nobody has decided: they do not boot.
fn reservations(cluster: &Cluster) -> Option<String> {
    let names: Vec<&str> = cluster.reservations().keys().map(Name::as_str).collect();
    let shown = names.get(..names.len().min(NAMED)).unwrap_or_default().join(", ");
    let more = if names.len() > NAMED { ", …" } else { "" };
    (!names.is_empty()).then(|| {
        format!(
            "{} machines are reserved until an administrator decides what they are, and boot as no node: {shown}{more}; see perilune reservation list",
            names.len()
        )
    })
}

/// What nobody does here: plugins that are named and missing (those of nodes keep them from booting, and are told so), hooks that will
/// not run, names that are not served.
fn unserved(state: &State, cluster: &Cluster) -> Vec<String> {
    let missing = unserved::missing(cluster, &state.installed_plugins());
    let missing = missing.into_iter().filter(|missing| missing.kind != Kind::Node).map(|missing| {
        let name = missing.name.map(|name| format!(" {name}")).unwrap_or_default();
        let Violation { field, reason } = missing.violation;
        format!("{}{name}, {field}: {reason}", missing.kind)
    });
    let not_run = unserved::of_settings(&state.settings);
    let not_run = not_run.into_iter().map(|(kind, files)| unserved::not_run_told(&kind, &files));
    // What is served here is as the cluster has it.
    let ask = |server, name: &str| unserved::ask(server, name);
    let names = unserved::unserved_names(cluster, &|server| state.names.answers_at(server), &ask);
    missing.chain(not_run).chain(names).collect()
}

/// Addresses at which two may answer: those in dynamic ranges that somebody has, gateways that are nodes, and nodes with an address of
/// this host.
fn addresses(cluster: &Cluster) -> Vec<String> {
    let networks = || cluster.networks().values();
    let ranges = networks().flat_map(|network| {
        let of_family = move |family| Some((network, network.lent_range(family)?));
        Family::BOTH.into_iter().filter_map(of_family)
    });
    let ranges = ranges.filter_map(|(network, (first, last))| {
        let taken = cluster.taken_between(first, last);
        let named: Vec<String> = taken
            .iter()
            .take(TAKEN_NAMED)
            .map(|(address, taken)| format!("{address} ({taken})"))
            .collect();
        let more = taken.len().saturating_sub(TAKEN_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let name = &network.name;
        (!named.is_empty()).then(|| {
            format!(
                "the dynamic range {first} to {last} of network {name} holds {}{more}; what is taken is not lent. Move the range: \
                 perilune network change {name} --dhcp-range-begin ADDRESS --dhcp-range-end ADDRESS",
                named.join(", ")
            )
        })
    });
    let gateways = networks().flat_map(|network| {
        let gateways = [network.gateway.map(IpAddr::V4), network.gateway_ipv6.map(IpAddr::V6)];
        gateways.into_iter().flatten().filter_map(move |gateway| {
            let reason = perilune_model::network::wrong_gateway(cluster, network, gateway)?;
            Some(format!("invalid gateway of network {}: {reason}", network.name))
        })
    });
    let own = cluster.own_addresses().iter().filter_map(|(address, interface)| {
        let node = cluster.node_by_address(*address)?;
        let name = &node.name;
        Some(format!(
            "node {name} has the address {address}, which is this host's own, at {interface}; give the node another with \
             perilune node interface set"
        ))
    });
    ranges.chain(gateways).chain(own).collect()
}

/// Where the description and this host do not fit together: machines would look for a controller where none is.
fn placement(cluster: &Cluster) -> Vec<String> {
    let own = cluster.own_addresses();
    let beacon = cluster.beacon();
    let address = beacon.and_then(|beacon| {
        beacon.addresses.ipv4.map(IpAddr::V4).or(beacon.addresses.ipv6.map(IpAddr::V6))
    });
    let here = || {
        let named: Vec<String> = own
            .iter()
            .take(TAKEN_NAMED)
            .map(|(address, interface)| format!("{address} at {interface}"))
            .collect();
        if named.is_empty() { "none".to_owned() } else { named.join(", ") }
    };
    let controller = match address {
        None => Some(
            "the controller has no address, so no machine finds it. Do: perilune setup".to_owned(),
        ),
        Some(address) if !own.contains_key(&address) => Some(format!(
            "machines are sent to the controller at {address}, which is not an address of this host (it has {}). Give the address to an \
             interface, or describe the one that it has, with all that follows: perilune setup --address ADDRESS/PREFIX",
            here()
        )),
        Some(_) => None,
    };
    let networks =
        cluster.networks().values().filter(|network| network.dhcp && network.ipv4.is_some());
    // Through a router or a relay machines find a controller elsewhere.
    let cut_off = networks.filter(|network| {
        let is_in = |address: &IpAddr| network.contains(*address);
        let controllers = cluster.controllers().values();
        let described =
            controllers.filter_map(|controller| controller.addresses.ipv4).map(IpAddr::V4);
        let shares = network.shared.is_some();
        network.gateway.is_none()
            && !shares
            && !own.keys().any(is_in)
            && !described.into_iter().any(|address| is_in(&address))
    });
    let cut_off = cut_off.map(|network| {
        format!(
            "network {} serves DHCP, and no controller has an address in it, nor does it have a gateway: its machines find no controller. \
             Give an interface of this host an address there, or the network its gateway",
            network.name
        )
    });
    controller.into_iter().chain(cut_off).collect()
}

/// Trees that images name and that are not there. A client may describe an image before there is a tree.
fn lost_trees(state: &State, cluster: &Cluster) -> Vec<String> {
    let named = cluster.images().values().filter(|image| image.path.is_some());
    let lost = named.filter_map(|image| {
        let tree = image.tree(&state.settings.image_directory);
        let is_missing = std::fs::metadata(&tree)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        let (name, tree) = (&image.name, tree.display());
        is_missing.then(|| {
            format!(
                "the tree of image {name} is to be {tree}, which is not there; put it there, or say where it is: \
                 perilune osimage change {name} --path DIRECTORY"
            )
        })
    });
    lost.collect()
}

/// Files of images that nodes boot from and that are not there.
/// A file of an image that was packed and is not there; none where it was never packed.
pub fn lost_file(state: &State, image: &Image) -> Option<String> {
    let files = [&image.files.kernelfile, &image.files.initrdfile, &image.files.imagefile];
    let mut named = files.into_iter().flatten().filter(|file| !file.is_empty());
    named.find(|file| is_lost(state, file)).map(ToString::to_string)
}

/// What another controller has comes here, and until then machines are sent there.
fn is_lost(state: &State, file: &str) -> bool {
    !state.settings.image_files.join(file).is_file()
        && state.holdings.who_has(&state.controllers, file).is_none()
}

fn lost_files(state: &State, cluster: &Cluster) -> Vec<String> {
    let mut looked_for = BTreeSet::new();
    let mut lost = Vec::new();
    for node in cluster.nodes().values() {
        let effective = Effective::of_node(cluster, node);
        let Some((image, files)) = effective.image().zip(effective.files()) else { continue };
        let of_network = [&files.kernelfile, &files.initrdfile];
        let archive = Some(&files.imagefile).filter(|_| !effective.is_kickstart());
        for file in of_network.into_iter().chain(archive).flatten().filter(|file| !file.is_empty())
        {
            if looked_for.insert(file) && is_lost(state, file) {
                let (name, directory) = (&image.name, state.settings.image_files.display());
                lost.push(format!(
                    "the file {file} of image {name} is not in {directory}; do: perilune osimage pack {name}"
                ));
            }
        }
    }
    lost
}

fn nodes(state: &State, cluster: &Cluster) -> Vec<Warning> {
    let environment = state.environment(cluster);
    let site = Site { templates: &state.templates, environment: &environment, cluster };
    let mut obstacles: BTreeMap<String, Vec<Name>> = BTreeMap::new();
    for node in cluster.nodes().values() {
        if let Some(text) = site.obstacle(node) {
            obstacles.entry(text).or_default().push(node.name.clone());
        }
    }
    obstacles.into_iter().map(|(text, nodes)| Warning { nodes, text }).collect()
}

#[cfg(test)]
mod tests {
    use perilune_model::Draft;
    use perilune_model::network::Network;

    use super::*;

    #[test]
    fn a_range_that_holds_what_answers_already_is_told_of_with_what_it_is() {
        let mut draft = Draft::new(&Cluster::default());
        let network = Network {
            name: Name::trusted("cluster"),
            ipv4: Some("10.9.0.0/24".parse().unwrap()),
            gateway: Some([10, 9, 0, 1].into()),
            nameserver_ip: Some("10.9.0.2,10.9.0.200".to_owned().into()),
            dhcp: true,
            dhcp_range: Some(([10, 9, 0, 1].into(), [10, 9, 0, 100].into())),
            ..Network::default()
        };
        draft.put(network.clone()).unwrap();
        let (mut cluster, _) = draft.finish();
        cluster.set_own_addresses([
            ([10, 9, 0, 3].into(), "eth0".to_owned()),
            ([10, 9, 0, 4].into(), "eth0".to_owned()),
        ]);
        let [warning] = addresses(&cluster).try_into().unwrap();
        assert!(
            warning.contains("10.9.0.1 (the gateway of network 'cluster'), 10.9.0.2 (a name server of network 'cluster'), 10.9.0.3 (this host's own, at eth0) and 1 more"),
            "{warning}"
        );
        let mut draft = Draft::new(&cluster);
        draft
            .put(Network { dhcp: false, gateway: Some([10, 9, 0, 255].into()), ..network })
            .unwrap();
        let [warning] = addresses(&draft).try_into().unwrap();
        assert!(warning.contains("broadcast address"), "{warning}");
    }

    #[test]
    fn a_server_that_a_former_version_took_and_is_none_is_told_of() {
        let mut draft = Draft::new(&Cluster::default());
        let network = Network {
            name: Name::trusted("cluster"),
            ipv4: Some("10.9.0.0/24".parse().unwrap()),
            ntp_server: Some("10.9.0.2, what;ever, time.example.org".to_owned().into()),
            ..Network::default()
        };
        draft.put(network).unwrap();
        let [warning] = servers_nobody_is_told(&draft).try_into().unwrap();
        assert!(warning.contains("ntp_server of network cluster names 'what;ever'"), "{warning}");
    }

    #[test]
    fn a_controller_that_is_not_here_and_a_network_without_one_are_told_of() {
        let mut draft = Draft::new(&Cluster::default());
        let name = Name::trusted("controller");
        perilune_model::bootstrap::bare_cluster(&mut draft, name, 7050).unwrap();
        let (bare, _) = draft.finish();
        let [warning] = placement(&bare).try_into().unwrap();
        assert!(warning.contains("the controller has no address"), "{warning}");

        let mut draft = Draft::new(&bare);
        let network = |name: &str, range: &str, gateway: Option<[u8; 4]>| Network {
            name: Name::trusted(name),
            ipv4: Some(range.parse().unwrap()),
            gateway: gateway.map(Into::into),
            dhcp: true,
            ..Network::default()
        };
        draft.put(network("boot", "10.9.0.0/24", None)).unwrap();
        draft.put(network("far", "10.10.0.0/24", Some([10, 10, 0, 1]))).unwrap();
        draft.put(network("alone", "10.11.0.0/24", None)).unwrap();
        perilune_model::controller::set_address(
            &mut draft,
            "controller",
            [10, 9, 0, 1].into(),
            None,
        )
        .unwrap();
        let (mut cluster, _) = draft.finish();
        cluster.set_own_addresses([([10, 9, 0, 1].into(), "eth1".to_owned())]);
        let [warning] = placement(&cluster).try_into().unwrap();
        assert!(warning.starts_with("network alone serves DHCP"), "{warning}");
        cluster.set_own_addresses([([10, 11, 0, 1].into(), "eth1".to_owned())]);
        let [warning] = placement(&cluster).try_into().unwrap();
        assert!(
            warning.contains(
                "10.9.0.1, which is not an address of this host (it has 10.11.0.1 at eth1)"
            ),
            "{warning}"
        );
    }

    #[test]
    fn a_range_is_told_of_when_it_is_nearly_full() {
        let mut draft = Draft::new(&Cluster::default());
        let network = Network {
            name: Name::trusted("cluster"),
            ipv4: Some("10.141.0.0/16".parse().unwrap()),
            dhcp: true,
            dhcp_range: Some(([10, 141, 200, 1].into(), [10, 141, 200, 10].into())),
            ..Network::default()
        };
        draft.put(network).unwrap();
        assert_eq!(ranges(&draft, |_| 8), Vec::<String>::new());
        let [warning] = ranges(&draft, |_| 9).try_into().unwrap();
        assert!(
            warning.starts_with(
                "9 of the 10 addresses 10.141.200.1 to 10.141.200.10 of network cluster"
            ),
            "{warning}"
        );
    }
}
