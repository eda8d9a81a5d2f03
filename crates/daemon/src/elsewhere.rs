//! What another controller does: a request that one controller has taken is known to it alone, and its identifier tells which that is. What is asked
//! about it at another controller is passed on to that one, or, where it does not run, is answered with that.

use bytes::Bytes;
pub use http::{HeaderName, Method, StatusCode};
use perilune_store::Controller;

use crate::causes::chain;
use crate::controllers::{Health, Known};
use crate::jobs::{Job, RequestIds};
use crate::peer::Peer;
use crate::state::State;

/// What is passed on, word for word.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    /// With what is asked for behind it.
    pub path: String,
    /// Who asks.
    pub headers: Vec<(HeaderName, String)>,
}

/// What becomes of it.
#[derive(Debug)]
pub enum Answer {
    /// That controller's answer.
    Told {
        status: StatusCode,
        body: Vec<u8>,
    },
    /// It does not answer, and was heard a moment ago.
    Silent {
        controller: String,
    },
    Gone(Gone),
}

/// A controller that does not run.
#[derive(Debug)]
pub struct Gone {
    pub controller: String,
    /// When it was heard: milliseconds since 1970.
    pub heard: u64,
    /// Its jobs that are not done; `None` while the database does not tell.
    pub jobs: Option<Vec<Job>>,
}

/// The other controller that a request is at.
pub fn of_request(state: &State, request: &str) -> Option<Controller> {
    let controllers = &state.controllers;
    if !controllers.is_shared() || RequestIds::at(controllers.name()).made(request) {
        return None;
    }
    let known = controllers.known();
    let mut all = known.heard.controllers.iter();
    all.find(|one| RequestIds::at(&one.name).made(request)).cloned()
}

/// The other controller of this name.
pub fn named(state: &State, name: &str) -> Option<Controller> {
    let known = state.controllers.known();
    known.heard.controllers.iter().find(|one| one.name == name).cloned()
}

/// The other controllers that run.
pub fn live(state: &State) -> Vec<Controller> {
    state.controllers.live_others()
}

/// Asks another controller in place of whoever asks here.
pub async fn ask(state: &State, controller: Controller, asked: &Asked) -> Answer {
    let Controller { name, url, heard, .. } = &controller;
    let certificate = state.holdings.of(name).and_then(|holding| holding.certificate.clone());
    let peer = Peer { url: url.clone(), certificate };
    let Asked { method, path, headers } = asked;
    // One that the others do not hear may still answer: that it does not reach the database keeps nobody from polling.
    match peer.pass(method.clone(), path, headers, Bytes::new()).await {
        Ok((status, body)) => Answer::Told { status, body },
        Err(error) => {
            tracing::debug!(controller = name, error = chain(&error), "what it does is not known");
            if Known::health(&controller) != Health::Silent {
                return Answer::Silent { controller: name.clone() };
            }
            let all = state.jobs.of_others().await.ok();
            let own = |all: Vec<(String, Job)>| {
                all.into_iter().filter(|(at, _)| at == name).map(|(_, job)| job).collect()
            };
            Answer::Gone(Gone { controller: name.clone(), heard: *heard, jobs: all.map(own) })
        }
    }
}
