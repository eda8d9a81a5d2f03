//! What one boot request is answered from.

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use perilune_boot::{Environment, Site};
use perilune_model::Cluster;

use crate::api::source::{self, Source};
use crate::state::State;

/// One published cluster, and where machines find the controller by it. Every part of an answer is made from the same, from who may have it
/// to its last line; a request has one, however often it is asked for.
#[derive(Clone)]
pub(in crate::api) struct View(Arc<Seen>);

pub(in crate::api) struct Seen {
    pub(in crate::api) cluster: Arc<Cluster>,
    environment: Environment,
    /// Where the machine is that asks.
    at: IpAddr,
}

impl View {
    /// As of now. For a request that has changed the cluster itself, such as one of a machine that became a node.
    pub(super) fn now(state: &State, source: Source) -> Self {
        Self::of(state, state.cluster.published(), source.address)
    }

    /// As of a change that the request has made.
    pub(super) fn after(&self, state: &State, cluster: Arc<Cluster>) -> Self {
        Self::of(state, cluster, self.at)
    }

    fn of(state: &State, cluster: Arc<Cluster>, at: IpAddr) -> Self {
        let environment = state.environment_at(&cluster, Some(at));
        Self(Arc::new(Seen { cluster, environment, at }))
    }

    /// What makes scripts and plans.
    pub(super) fn site<'a>(&'a self, state: &'a State) -> Site<'a> {
        let Seen { cluster, environment, .. } = &*self.0;
        Site { templates: &state.templates, environment, cluster }
    }
}

impl Deref for View {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.0
    }
}

impl FromRequestParts<State> for View {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        if let Some(view) = parts.extensions.get::<Self>() {
            return Ok(view.clone());
        }
        let view = Self::now(state, source::of(parts));
        parts.extensions.insert(view.clone());
        Ok(view)
    }
}
