//! The plan for our own installer: `GET /boot/plan/{node}`.

mod hosts;
mod scripts;

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_model::effective::{Effective, Source};
use perilune_model::interface::{self, BMC_INTERFACE};
use perilune_model::network::Network;
use perilune_model::provisioning::{self, InstallPolicy, ProvisionMethod};
use perilune_model::route::Placed;
use perilune_model::secret;
use perilune_model::{Cluster, Family, Name};
use perilune_plan::{
    Bmc, BootOrder, DiskLayout, HostKey, Identity, Image, Interface, Plan, Root, Route, Script,
    Secret, Span, Wipe,
};
use scripts::{Scripts, Stage};

use crate::Error;
use crate::environment::Environment;
use crate::resolved::Resolved;
use crate::templates::{Templates, decode_if_encoded};

/// The plan of a node.
pub(crate) fn of(
    templates: &Templates,
    environment: &Environment,
    cluster: &Cluster,
    node: &str,
) -> Result<Plan, Error> {
    let resolved = Resolved::named(cluster, node)?;
    let scripts = Scripts { templates, resolved: &resolved };
    let root = root(&resolved, scripts.of(Stage::Part)?)?;
    let mut postscripts = scripts.of(Stage::Post)?;
    if matches!(root, Root::Disk(_)) {
        postscripts.retain(|script| !scripts::is_default_postscript(script));
    }
    Ok(Plan {
        node: resolved.name().to_owned(),
        hostname: resolved.node.hostname(cluster),
        image: image(&resolved)?,
        prescripts: scripts.of(Stage::Pre)?,
        root,
        memory_limit: resolved.effective.memory_limit().value.and_then(|text| text.parse().ok()),
        once: resolved.effective.install_policy().value == Some(InstallPolicy::Once),
        wipe: match resolved.effective.wipe().value {
            provisioning::Wipe::No => Wipe::No,
            provisioning::Wipe::Provisioned => Wipe::Provisioned,
            provisioning::Wipe::All => Wipe::All,
        },
        boot_order: resolved.effective.boot_order().value.map(|order| match order {
            provisioning::BootOrder::Network => BootOrder::Network,
            provisioning::BootOrder::Disk => BootOrder::Disk,
        }),
        postscripts,
        roles: scripts.roles()?,
        interfaces: interfaces(&resolved),
        boot_interface: resolved.effective.provision_interface().value.to_owned(),
        nameservers: name_servers(&resolved),
        search: resolved.domain_search(),
        kernel_arguments: resolved.kernel_arguments(),
        secrets: secrets(&resolved),
        bmc: bmc(&resolved)?,
        identity: identity(&resolved),
        script_timeout: script_timeout(&resolved),
        hosts: hosts::of(&resolved),
        ntp_servers: time_servers(&resolved),
        timezone: resolved.effective.timezone().value.map(str::to_owned),
        locale: resolved.effective.locale().value.map(str::to_owned),
        time: environment.time,
        controllers: environment.others.clone(),
    })
}

fn image(resolved: &Resolved<'_>) -> Result<Image, Error> {
    let image = resolved.image()?;
    if resolved.effective.is_kickstart() {
        let lack = format!("its image '{}' is installed by kickstart", image.name);
        return Err(Error::incomplete(resolved.name(), lack));
    }
    let files = resolved.effective.files();
    let distribution = image.distribution.as_deref().filter(|name| !name.is_empty());
    let file = resolved.file(|files| &files.imagefile)?;
    let by_torrent = resolved.effective.provision_method().value == Some(&ProvisionMethod::Torrent);
    Ok(Image {
        name: image.name.to_string(),
        file: file.to_owned(),
        torrent: by_torrent.then(|| format!("{file}.torrent")),
        checksum: files.and_then(|files| files.checksum.clone()),
        size: files.and_then(|files| files.size),
        unpacked_size: files.and_then(|files| files.unpacked_size),
        distribution: distribution.map(str::to_lowercase),
        kernel_file: resolved.file(|files| &files.kernelfile)?.to_owned(),
        initrd_file: resolved.file(|files| &files.initrdfile)?.to_owned(),
    })
}

fn identity(resolved: &Resolved<'_>) -> Option<Identity> {
    let known = resolved.cluster.node_identities().get(&resolved.node.name)?;
    let keys = known.ssh_host_keys.iter().map(|key| HostKey {
        algorithm: key.name.clone(),
        public: key.public.clone(),
        private: key.content.clone(),
    });
    Some(Identity {
        machine_id: known.machine_id.clone(),
        host_uuid: known.host_uuid.clone(),
        initiator: known.initiator.clone(),
        ssh_host_keys: keys.collect(),
    })
}

/// The layout that the node's disks are to have. It comes before a partscript, unless the node itself has the script and only its group
/// the layout.
fn layout(resolved: &Resolved<'_>) -> Option<String> {
    let effective = &resolved.effective;
    if effective.install_policy().value == Some(InstallPolicy::Memory) {
        return None;
    }
    let (layout, partscript) = (effective.disklayout(), effective.partscript());
    // One that does nothing asks for a root in memory.
    let own_script = partscript.source == Source::Node;
    let layout_counts = layout.source == Source::Node || !own_script;
    let layout = layout.value.map(decode_if_encoded).filter(|text| !text.trim().is_empty());
    layout.filter(|_| layout_counts)
}

/// Refuses a node whose installer follows no layout: its disks would be used otherwise than somebody wrote.
pub(crate) fn refuse_layout(resolved: &Resolved<'_>, instead: &str) -> Result<(), Error> {
    match layout(resolved) {
        None => Ok(()),
        Some(_) => Err(Error::incomplete(
            resolved.name(),
            format!("it has a disklayout, which its installer does not follow; {instead}"),
        )),
    }
}

/// What is named under `scripts` cannot be meant beside a layout: both would write to the disks.
fn root(resolved: &Resolved<'_>, partscripts: Vec<Script>) -> Result<Root, Error> {
    if resolved.effective.install_policy().value == Some(InstallPolicy::Memory) {
        return Ok(Root::Memory);
    }
    let Some(text) = layout(resolved) else {
        return Ok(if partscripts.is_empty() { Root::Memory } else { Root::Scripts(partscripts) });
    };
    match partscripts.iter().find(|script| script.name != Stage::Part.word()) {
        None => disk_layout(resolved, &text).map(Root::Disk),
        Some(script) => {
            let lack = format!(
                "its disks would be laid out twice, by its disklayout and by the {}; take one away",
                script.name
            );
            Err(Error::incomplete(resolved.name(), lack))
        }
    }
}

fn disk_layout(resolved: &Resolved<'_>, text: &str) -> Result<DiskLayout, Error> {
    let wrong =
        |fault| Error::incomplete(resolved.name(), format!("its disklayout is wrong: {fault}"));
    DiskLayout::read(text).map_err(wrong)
}

/// A text as plain text; one without any counts as none.
fn script(text: Option<&str>) -> Option<String> {
    text.map(decode_if_encoded).filter(|text| !text.trim().is_empty())
}

fn interfaces(resolved: &Resolved<'_>) -> Vec<Interface> {
    let others = resolved.node.interfaces.iter().filter(|other| other.name != BMC_INTERFACE);
    let routes = resolved.node.placed_routes(resolved.cluster);
    others
        .map(|interface| {
            let network = resolved.network(interface).ok();
            let link = &interface.link;
            Interface {
                name: interface.name.to_string(),
                mac: interface.macaddress.map(|mac| mac.to_string()),
                addresses: network.map(|network| addresses(interface, network)).unwrap_or_default(),
                dhcp: resolved.uses_dhcp(interface),
                gateways: network.map(gateways).unwrap_or_default(),
                gateway_metric: network.and_then(|network| network.gateway_metric),
                domain: network.map(|network| network.name.to_string()),
                kind: network
                    .and_then(|network| network.r#type.clone())
                    .filter(|kind| !kind.is_empty())
                    .unwrap_or_else(|| "ethernet".to_owned()),
                mtu: link.mtu,
                vlanid: link.vlanid,
                vlan_parent: link.vlan_parent.clone(),
                bond_mode: link.bond_mode.clone(),
                bond_slaves: link.bond_slaves.clone(),
                options: script(link.options.as_deref()),
                routes: routes_of(&routes, &interface.name),
            }
        })
        .collect()
}

fn routes_of(all: &[(&Name, Placed)], interface: &Name) -> Vec<Route> {
    let own = all.iter().filter(|(name, _)| *name == interface);
    let route = |placed: &Placed| Route {
        destination: placed.destination.to_string(),
        gateway: placed.gateway,
        metric: placed.metric,
        on_link: placed.on_link,
    };
    own.map(|(_, placed)| route(placed)).collect()
}

/// The addresses of an interface with the lengths of their networks' prefixes.
fn addresses(interface: &interface::Interface, network: &Network) -> Vec<String> {
    let of_family = |family| {
        let address = interface.addresses.get(family)?;
        Some(format!("{address}/{}", network.range(family)?.prefix_len()))
    };
    Family::BOTH.into_iter().filter_map(of_family).collect()
}

fn gateways(network: &Network) -> Vec<IpAddr> {
    let ipv4 = network.gateway.map(IpAddr::V4);
    ipv4.into_iter().chain(network.gateway_ipv6.map(IpAddr::V6)).collect()
}

fn script_timeout(resolved: &Resolved<'_>) -> u64 {
    let said = resolved.effective.script_timeout().value;
    let span = said.and_then(|text| text.parse::<Span>().ok());
    span.map_or(perilune_plan::SCRIPT_TIMEOUT, |span| span.0.as_secs())
}

/// Those of the network that the node boots from, else the cluster's.
fn time_servers(resolved: &Resolved<'_>) -> Vec<IpAddr> {
    let boot = resolved.node.provision_interface(resolved.cluster);
    let network = boot.and_then(|boot| resolved.network(boot).ok());
    let named: Vec<IpAddr> = network.into_iter().flat_map(Network::own_time_servers).collect();
    if named.is_empty() { resolved.cluster.settings().ntp_server.clone() } else { named }
}

/// Those of the network that the node boots from, else the cluster's, else the controller itself.
fn name_servers(resolved: &Resolved<'_>) -> Vec<IpAddr> {
    let cluster = resolved.cluster;
    let boot = resolved.node.provision_interface(cluster);
    let network = boot.and_then(|boot| resolved.network(boot).ok());
    let named = cluster.name_servers(network, &Family::BOTH);
    if !named.is_empty() {
        return named;
    }
    let beacon = cluster.beacon().into_iter().flat_map(|beacon| beacon.addresses.iter());
    beacon.filter(|address| cluster.may_answer(*address)).collect()
}

/// The cluster's, the group's, then the node's: what has the same path is the node's in the end.
fn secrets(resolved: &Resolved<'_>) -> Vec<Secret> {
    let owners = secret::of_node(resolved.cluster, resolved.node);
    let mut files: Vec<Secret> = Vec::new();
    for secret in owners.into_iter().flat_map(|secrets| &secrets.secrets) {
        let Some(path) = secret.path.as_ref().filter(|path| !path.is_empty()) else { continue };
        // Clients send contents in base64; who did not gets them so.
        let is_encoded = STANDARD.decode(&secret.content).is_ok();
        let content =
            if is_encoded { secret.content.clone() } else { STANDARD.encode(&secret.content) };
        files.retain(|file| file.path != *path);
        files.push(Secret {
            name: secret.name.to_string(),
            content,
            path: path.clone(),
            owner: secret.owner.clone(),
            mode: secret.mode.clone(),
        });
    }
    files
}

fn bmc(resolved: &Resolved<'_>) -> Result<Option<Bmc>, Error> {
    let effective: &Effective<'_> = &resolved.effective;
    let Some(setup) = effective.bmcsetup().value.filter(|_| effective.setupbmc().value) else {
        return Ok(None);
    };
    let setup = resolved.cluster.bmc_setup(setup.as_str()).map_err(|error| {
        Error::incomplete(resolved.name(), format!("its BMC cannot be set up: {error}"))
    })?;
    let Some(interface) = resolved.node.interface(BMC_INTERFACE) else { return Ok(None) };
    let network = resolved.network(interface)?;
    let Some(address) = addresses(interface, network).into_iter().next() else { return Ok(None) };
    let unmanaged = effective.unmanaged_bmc_users().value;
    let is_ipv6 = address.contains(':');
    Ok(Some(Bmc {
        gateway: gateways(network).into_iter().find(|gateway| gateway.is_ipv6() == is_ipv6),
        address,
        vlanid: interface.link.vlanid,
        netchannel: setup.netchannel,
        mgmtchannel: setup.mgmtchannel,
        userid: setup.userid,
        username: setup.username.clone(),
        password: setup.password.clone(),
        unmanaged_users: unmanaged.map(|users| users.word().to_owned()),
    }))
}
