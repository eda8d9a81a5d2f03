//! Who may write the files of servers: where several controllers share a database, the master alone, unless each has servers of its own.

use tokio::sync::watch;

use crate::config::ServerSettings;
use crate::controllers::Controllers;

const NO_LONGER: &str = "this controller is the master no longer";

/// Whether this controller may write. A controller that was stopped for a while, and goes on in the middle of its work, may not any more.
#[derive(Clone)]
pub(super) struct Fence {
    /// None where nobody else could write.
    controllers: Option<Controllers>,
}

impl Fence {
    pub(super) fn new(controllers: &Controllers, settings: &ServerSettings) -> Self {
        let is_needed = controllers.is_shared() && !settings.at_each;
        Self { controllers: is_needed.then(|| controllers.clone()) }
    }

    /// By this controller's own clock: for the last moment before something is done.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.is_open() { Ok(()) } else { Err(NO_LONGER.to_owned()) }
    }

    pub(super) fn is_open(&self) -> bool {
        self.controllers.as_ref().is_none_or(Controllers::is_master)
    }

    /// By the database's word: before something is begun.
    pub(super) async fn confirm(&self) -> Result<(), String> {
        let Some(controllers) = &self.controllers else { return Ok(()) };
        if controllers.confirm_master().await { Ok(()) } else { Err(NO_LONGER.to_owned()) }
    }

    /// What tells that this controller may write from now on.
    pub(super) fn follow(&self) -> Option<watch::Receiver<Option<u64>>> {
        self.controllers.as_ref().map(Controllers::follow_master)
    }

    /// Why somebody who asks here is to ask elsewhere.
    pub(super) fn refusal(&self) -> String {
        let known = self.controllers.as_ref().map(Controllers::known);
        let master = known.as_ref().and_then(|known| known.heard.master.holder.as_deref());
        let who =
            master.map_or_else(|| "there is none now".to_owned(), |name| format!("now {name}"));
        format!(
            "the master alone writes files of servers ({who}); ask there, or make this controller the master (perilune controller master)"
        )
    }
}
