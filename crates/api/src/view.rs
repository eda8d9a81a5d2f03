//! What one boot request is answered from.

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use perilune_boot::{Environment, Site};
use perilune_model::Cluster;
use perilune_model::effective::Effective;
use perilune_model::image::ImageFiles;
use perilune_model::node::Node;

use crate::source::{self, Source};
use crate::state::State;

/// One published cluster, and where machines find the controller by it. Every part of an answer is made from the same, from who may have it
/// to its last line; a request has one, however often it is asked for.
#[derive(Clone)]
pub(crate) struct View(Arc<Seen>);

pub(crate) struct Seen {
    pub(crate) cluster: Arc<Cluster>,
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

    /// The same, at another controller where this one lacks files of the node's image and that one has them.
    pub(super) async fn where_files_are(&self, state: &State, node: &Node) -> Self {
        let Seen { cluster, environment, at } = &*self.0;
        let effective = Effective::of_node(cluster, node);
        let files = effective.files().into_iter().flat_map(ImageFiles::names);
        let is_here = |name: &&str| state.settings.image_files.join(name).is_file();
        let lacking: Vec<&str> = files.filter(|name| !name.is_empty() && !is_here(name)).collect();
        let Some(first) = lacking.first() else { return self.clone() };
        let Some(other) = state.holdings.who_has_now(&state.controllers, first).await else {
            return self.clone();
        };
        let has_all = lacking.iter().all(|name| other.holding.files.contains_key(*name));
        let Some(place) = other.holding.place_for(*at).filter(|_| has_all) else {
            return self.clone();
        };
        let environment = place.environment(environment);
        let environment = state.holdings.with_others(&state.controllers, environment, Some(*at));
        Self(Arc::new(Seen { cluster: Arc::clone(cluster), environment, at: *at }))
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
