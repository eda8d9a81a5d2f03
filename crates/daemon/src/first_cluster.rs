//! The cluster of a first start: as `bootstrap.ini` says, else a small one to begin with.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use perilune_model::controller::Controller;
use perilune_model::network::Network;
use perilune_model::settings::Settings as ClusterSettings;
use perilune_model::{Addresses, Draft, Error as Refusal, Name};

use crate::cluster::ClusterService;
use crate::config::{Options, Settings};
use crate::serve::{Error, own_meta};

/// The network and the controller's address in it that a cluster starts with when nobody says otherwise.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 141, 255, 254);
const PREFIX: u8 = 16;
const NETWORK: &str = "cluster";
const CONTROLLER: &str = "controller";

/// Makes the first cluster where there is none.
pub(crate) async fn make_if_empty(
    cluster: &ClusterService,
    options: &Options,
    settings: &Settings,
    port: u16,
) -> Result<(), Error> {
    if cluster.published().revision() > 0 {
        return Ok(());
    }
    if let Some(file) = crate::bootstrap::find(options.bootstrap.as_deref(), &settings.file) {
        tracing::info!(file = %file.display(), "first start: the cluster is made as this file says");
        let _ini = crate::bootstrap::read(&file)?;
    }
    tracing::info!(network = NETWORK, address = %ADDRESS, "first start: a cluster to begin with is made");
    let decided = cluster.commit(own_meta("first start"), move |draft| small(draft, port)).await;
    decided.map_err(Error::FirstCluster)
}

fn small(draft: &mut Draft, port: u16) -> Result<(), Refusal> {
    let name_server = vec![IpAddr::V4(ADDRESS)];
    draft.put(ClusterSettings {
        nameserver_ip: name_server.clone(),
        ntp_server: name_server,
        provision_method: Some("http".to_owned()),
        domain_search: vec![NETWORK.to_owned()],
        ..ClusterSettings::default()
    })?;
    let range = Ipv4Net::new(ADDRESS, PREFIX).ok().map(|range| range.trunc());
    draft.put(Network { name: Name::trusted(NETWORK), ipv4: range, ..Network::default() })?;
    draft.put(Controller {
        name: Name::trusted(CONTROLLER),
        beacon: true,
        addresses: Addresses { ipv4: Some(ADDRESS), ipv6: None },
        network: Some(Name::trusted(NETWORK)),
        serverport: port,
        ..Controller::default()
    })
}
