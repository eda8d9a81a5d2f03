//! The cluster of a first start: as `bootstrap.ini` says, else a small one to begin with.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use perilune_model::bootstrap::{self, FirstController};
use perilune_model::{Draft, Error as Refusal, Name};

use crate::api::problem::chain;
use crate::clock;
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
        if let Some(file) = &options.bootstrap {
            tracing::warn!(file = %file.display(), "--bootstrap has no effect: there is a cluster already. A new one needs another --data-dir");
        }
        return Ok(());
    }
    let Some(file) = crate::bootstrap::find(options.bootstrap.as_deref(), &settings.file) else {
        tracing::info!(network = NETWORK, address = %ADDRESS, "first start: a cluster to begin with is made");
        let decided =
            cluster.commit(own_meta("first start"), move |draft| small(draft, port)).await;
        return decided.map_err(Error::FirstCluster);
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

fn small(draft: &mut Draft, port: u16) -> Result<(), Refusal> {
    let range = Ipv4Net::new_assert(ADDRESS, PREFIX).trunc();
    let controller = FirstController {
        name: Name::trusted(CONTROLLER),
        address: IpAddr::V4(ADDRESS),
        network: None,
        shadow: false,
    };
    bootstrap::small_cluster(draft, &Name::trusted(NETWORK), range, controller, port)
}
