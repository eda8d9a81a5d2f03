//! What is stored, as it is opened: each with what stores it further.

use std::collections::BTreeSet;
use std::net::IpAddr;

use perilune_boards::{Unreadable, Writer};
use perilune_dhcp::Lease;
use perilune_model::Name;
use perilune_store::Store;

use crate::audit::{self, Audit, Lines};
use crate::boots::{self, Boots, Evidence};
use crate::clock;
use crate::cluster::ClusterService;
use crate::config::Settings;
use crate::error::Error;
use crate::holdings::{Holding, Holdings};
use crate::install_logs::{InstallLog, InstallLogs};
use crate::installations::{Installations, Installed};
use crate::inventories::{self, Inventories};
use crate::jobs::{self, Jobs, Places};
use crate::leases::Leases;
use crate::status::{NodeState, Status};
use crate::token_uses::{TokenUses, Use};

/// What nodes told of themselves when they were installed, and what stores it.
pub(super) struct Told {
    pub(super) logs: (InstallLogs, Writer<Name, InstallLog>),
    pub(super) installations: (Installations, Writer<Name, Installed>),
    pub(super) inventories: (Inventories, Writer<Name, inventories::Kept>),
}

impl Told {
    pub(super) async fn open(
        store: &Store,
    ) -> Result<(Self, Vec<Unreadable>), perilune_store::Error> {
        let (logs, logs_writer, mut unreadable) = InstallLogs::open(store).await?;
        let (installations, installed, others) = Installations::open(store).await?;
        unreadable.extend(others);
        let (inventories, kept, others) = Inventories::open(store).await?;
        unreadable.extend(others);
        let told = Self {
            logs: (logs, logs_writer),
            installations: (installations, installed),
            inventories: (inventories, kept),
        };
        Ok((told, unreadable))
    }
}

/// What happened before, each with what stores it further.
pub(super) struct Past {
    pub(super) status: (Status, Writer<Name, NodeState>),
    pub(super) told: Told,
    pub(super) boots: (Boots, boots::Writers),
    pub(super) audit: (Audit, audit::Writers),
    pub(super) unreadable: Vec<Unreadable>,
}

impl Past {
    pub(super) async fn open(
        store: &Store,
        evidence: BTreeSet<Evidence>,
        lines: Option<Lines>,
    ) -> Result<Self, Error> {
        // Records are read from the store while others are taken apart.
        let (states, told, boots, audit) = tokio::try_join!(
            Status::open(store),
            Told::open(store),
            Boots::open(store, evidence),
            Audit::open(store, lines),
        )?;
        let (status, states, mut unreadable) = states;
        let (told, others) = told;
        unreadable.extend(others);
        let (boots, boots_writers, others) = boots;
        unreadable.extend(others);
        let (audit, audit_writers, others) = audit;
        unreadable.extend(others);
        let (status, boots) = ((status, states), (boots, boots_writers));
        Ok(Self { status, told, boots, audit: (audit, audit_writers), unreadable })
    }
}

/// What is done, made and lent here, and by which tokens, each with what stores it.
pub(super) struct Work {
    pub(super) jobs: (Jobs, jobs::Records),
    pub(super) holdings: (Holdings, Writer<Name, Holding>),
    pub(super) leases: (Leases, Writer<IpAddr, Lease>),
    pub(super) token_uses: (TokenUses, Writer<Name, Use>),
    pub(super) unreadable: Vec<Unreadable>,
}

impl Work {
    pub(super) async fn open(
        store: &Store,
        settings: &Settings,
        cluster: &ClusterService,
        places: Places,
    ) -> Result<Self, Error> {
        let (holdings, writer, mut unreadable) =
            Holdings::open(store, &settings.controller).await?;
        let (now, made) = (clock::milliseconds(), holdings.clone());
        let (jobs, records, others) = Jobs::open(store, cluster.clone(), places, made, now).await?;
        unreadable.extend(others);
        let (leases, lent, others) = Leases::open(store).await?;
        unreadable.extend(others);
        let (uses, used, others) = TokenUses::open(store).await?;
        unreadable.extend(others);
        Ok(Self {
            jobs: (jobs, records),
            holdings: (holdings, writer),
            leases: (leases, lent),
            token_uses: (uses, used),
            unreadable,
        })
    }
}
