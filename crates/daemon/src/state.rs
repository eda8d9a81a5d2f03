//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;

use perilune_boot::{Environment, Templates};

use crate::auth::Keys;
use crate::cluster::ClusterService;
use crate::config::Settings;
use crate::jobs::Jobs;
use crate::sightings::Sightings;
use crate::status::Status;

/// What every handler can reach; clones share it.
#[derive(Clone)]
pub struct State(Arc<Parts>);

/// The parts of the state.
pub struct Parts {
    /// The configuration.
    pub settings: Settings,
    /// The cluster, and the way to change it.
    pub cluster: ClusterService,
    /// What nodes report.
    pub status: Status,
    /// Long operations.
    pub jobs: Jobs,
    /// Machines that nobody described.
    pub sightings: Sightings,
    /// Boot and install scripts.
    pub templates: Templates,
    /// What tokens are signed with.
    pub keys: Keys,
}

impl Deref for State {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl State {
    /// Shares the parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Where machines find the controller, as of now.
    pub fn environment(&self) -> Environment {
        Environment::of(&self.cluster.published(), &self.settings.of_boot())
    }
}
