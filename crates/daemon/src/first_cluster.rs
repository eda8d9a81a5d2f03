//! The cluster of a first start: as `bootstrap.ini` says, else a small one to begin with.

use std::net::IpAddr;

use ipnet::Ipv4Net;
use perilune_model::bootstrap::{self, FirstController};
use perilune_model::{Draft, Error as Refusal, Name};

use crate::causes::chain;
use crate::clock;
use crate::cluster::ClusterService;
use crate::cluster::own_meta;
use crate::config::{Options, Settings};
use crate::error::Error;
use crate::standing;

/// What a cluster starts with when nobody says otherwise.
pub(crate) const NETWORK: &str = "cluster";
const CONTROLLER: &str = "controller";

/// Makes the first cluster where there is none.
pub(crate) async fn make_if_empty(
    cluster: &ClusterService,
    options: &Options,
    settings: &Settings,
    port: u16,
) -> Result<(), Error> {
    if cluster.published().revision() > 0 {
        if let Some(file) = &options.bootstrap {
            tracing::warn!(file = %file.display(), "--bootstrap has no effect: there is a cluster already. A new one needs another --data-dir");
        }
        return Ok(());
    }
    let Some(file) = crate::bootstrap::find(options.bootstrap.as_deref(), &settings.file) else {
        let address = options.address.or_else(|| found(&options.dhcp_interfaces));
        let decide = move |draft: &mut Draft| {
            // Another controller may have been first.
            if draft.revision() > 0 { Ok(()) } else { small(draft, address, port) }
        };
        return cluster.commit(own_meta("first start"), decide).await.map_err(Error::FirstCluster);
    };
    let request = crate::bootstrap::read(&file, &settings.image_directory)?;
    for odd in crate::bootstrap::odd(&request) {
        tracing::warn!(file = %file.display(), "{odd}");
    }
    let decide = move |draft: &mut Draft| bootstrap::first_cluster(draft, &request);
    cluster.commit(own_meta("bootstrap"), decide).await.map_err(Error::FirstCluster)?;
    match crate::bootstrap::put_aside(&file, clock::seconds()) {
        Ok(aside) => {
            tracing::info!(file = %file.display(), aside = %aside.display(), "first start: the cluster was made as this file says");
        }
        // The cluster is there, and the file is never read again.
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "first start: the cluster was made as this file says, and the file stays where it is"
            );
        }
    }
    Ok(())
}

/// The address of this machine that a cluster begins with.
fn found(served: &[String]) -> Option<Ipv4Net> {
    let found = standing::find(served);
    match &found {
        Some(found) => {
            tracing::info!(network = NETWORK, address = %found.address, interface = found.interface, "first start: a cluster to begin with is made, in the network where this machine stands");
        }
        None => tracing::warn!(
            "first start: this machine has no address that others reach, so the cluster begins without a network. Give it one, then: perilune setup"
        ),
    }
    found.map(|found| found.address)
}

fn small(draft: &mut Draft, address: Option<Ipv4Net>, port: u16) -> Result<(), Refusal> {
    let name = Name::trusted(CONTROLLER);
    let Some(address) = address else { return bootstrap::bare_cluster(draft, name, port) };
    let controller =
        FirstController { name, address: IpAddr::V4(address.addr()), network: None, shadow: false };
    bootstrap::small_cluster(draft, &Name::trusted(NETWORK), address.trunc(), controller, port)
}
