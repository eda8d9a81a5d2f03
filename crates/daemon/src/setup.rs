//! Sets a controller up before its daemon runs for the first time: what `perilune setup` has asked for.

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use perilune_model::network::{self, RangeRequest};
use perilune_model::{Draft, Error as Refusal, Name, Patch, settings};
use tokio::task::JoinSet;

use crate::cluster::ClusterService;
use crate::cluster::own_meta;
use crate::config::{self, Options};
use crate::error::Error;
use crate::first_cluster::{self, NETWORK};
use crate::own_addresses;
use crate::serve::{configure, open_store};

/// What a first cluster is to have, beside the address that the options say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct First {
    /// Its name.
    pub title: Option<Name>,
    /// Which machines DHCP serves; nobody where it is not served.
    pub dhcp: Option<Served>,
}

/// Which machines DHCP serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// Nodes alone.
    Nodes,
    /// Strangers, too, with the addresses from one to another.
    Strangers(Ipv4Addr, Ipv4Addr),
}

/// Whether a data directory has a cluster already.
pub fn has_cluster(data_dir: &Path) -> bool {
    data_dir.join(perilune_store::DATABASE).exists()
}

/// Makes the configuration and the first cluster in the data directory of the options; answers which file has the log-in.
pub async fn prepare(options: &Options, first: First) -> Result<PathBuf, Error> {
    let settings = configure(options, &options.listen)?;
    let file = options.configuration();
    keep_interfaces(&file, &options.dhcp_interfaces)?;
    let (store, cluster) = open_store(options, &settings).await?;
    let mut tasks = JoinSet::new();
    let (service, commits) = ClusterService::new(store, cluster);
    tasks.spawn(commits);
    own_addresses::tell(&service).await;
    let port = options.listen.first().map_or(settings.port, |listen| listen.address.port());
    first_cluster::make_if_empty(&service, options, &settings, port).await?;
    let decide = move |draft: &mut Draft| describe(draft, &first);
    service.commit(own_meta("setup"), decide).await.map_err(Error::FirstCluster)?;
    drop(service);
    while tasks.join_next().await.is_some() {}
    Ok(file)
}

fn describe(draft: &mut Draft, first: &First) -> Result<(), Refusal> {
    let wanted = settings::Request { title: first.title.clone(), ..settings::Request::default() };
    settings::save(draft, &wanted)?;
    let Some(served) = first.dhcp else { return Ok(()) };
    let dhcp = match served {
        Served::Nodes => {
            RangeRequest { dhcp: Some(true), nodes_only: Some(true), ..RangeRequest::default() }
        }
        Served::Strangers(begin, end) => RangeRequest {
            dhcp: Some(true),
            begin: Patch::Set(IpAddr::V4(begin)),
            end: Patch::Set(IpAddr::V4(end)),
            ..RangeRequest::default()
        },
    };
    let wanted = network::Request { dhcp, ..network::Request::default() };
    network::save(draft, &Name::trusted(NETWORK), &wanted).map(drop)
}

/// Writes into a configuration that was made here on which interfaces machines are served, so that the daemon need not be told.
fn keep_interfaces(file: &Path, interfaces: &[String]) -> Result<(), config::Error> {
    if interfaces.is_empty() {
        return Ok(());
    }
    let text = format!("\n[DHCP]\nINTERFACES = {}\n", interfaces.join(", "));
    let write = || {
        let mut file = File::options().append(true).open(file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| config::Error::File {
        path: file.to_owned(),
        action: "written",
        source,
    })
}
