//! Which controllers use this store, and which of them is the master: the one that does what one alone may do. All by the clock of the
//! database, so that clocks which differ decide nothing.

use crate::{Engine, Error, Store};

/// As long a controller is the master without saying so again.
pub const MASTER_SECONDS: u32 = 10;
/// A controller that was silent for so long does not run.
pub(crate) const SILENT_SECONDS: u32 = 15;

/// What a controller says of itself, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Its name.
    pub name: String,
    /// Where its API is.
    pub url: String,
    /// The revision that it serves.
    pub revision: u64,
    /// Whether that is what is stored, as far as it knows.
    pub in_sync: bool,
    /// Whether it has just started.
    pub is_first: bool,
}

/// A controller, as all of them know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Where its API is.
    pub url: String,
    /// The version of its program.
    pub version: String,
    /// The newest format that its program knows.
    pub format: u32,
    /// The revision that it served when it was last heard.
    pub revision: u64,
    /// Whether that was what was stored.
    pub in_sync: bool,
    /// When it started: milliseconds since 1970.
    pub began: u64,
    /// When it was last heard: milliseconds since 1970.
    pub heard: u64,
    /// For how long it had been silent when this was read, in milliseconds.
    pub silent: u64,
    /// Whether somebody is about to stop it: it is not to begin anything that others can do.
    pub is_drained: bool,
}

/// Who the master is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Master {
    /// The controller; none where there was never one, or the last one has not said so again.
    pub holder: Option<String>,
    /// Who is to be it, as long as it runs.
    pub preferred: Option<String>,
    /// Counts those who were. What was begun under an older number is not to be gone on with.
    pub epoch: u64,
    /// Since when it is this one: milliseconds since 1970.
    pub since: Option<u64>,
}

/// What all controllers know of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Every controller that ever ran here and was not removed, by name.
    pub controllers: Vec<Controller>,
    /// Who the master is.
    pub master: Master,
    /// Whether work is not to wait for controllers that are away.
    pub overrule: bool,
    /// The revision that is stored.
    pub revision: u64,
    /// The format that all controllers know: nothing newer is stored.
    pub format: u32,
    /// Whether changes wait for a standby before they are acknowledged.
    pub waits_for_standby: bool,
}

impl Store {
    /// Says that this controller runs, and answers what is known of all. It need not outlive the database: it is said again.
    pub async fn beat(&self, beat: &Beat) -> Result<Heard, Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.beat(beat).await,
            Engine::Sqlite(_) => Ok(self.alone(beat)),
        }
    }

    /// What one controller knows of itself.
    fn alone(&self, beat: &Beat) -> Heard {
        let Beat { name, url, revision, in_sync, .. } = beat.clone();
        let format = self.program.format;
        let (holder, epoch) = (Some(name.clone()), self.life);
        let own = Controller {
            name,
            url,
            version: self.program.version.to_owned(),
            format,
            revision,
            in_sync,
            began: 0,
            heard: 0,
            silent: 0,
            is_drained: false,
        };
        let master = Master { holder, preferred: None, epoch, since: None };
        Heard {
            controllers: vec![own],
            master,
            overrule: false,
            revision,
            format,
            waits_for_standby: false,
        }
    }

    /// Becomes the master or stays it for [`MASTER_SECONDS`] from now on; answers the epoch. `epoch` is that under which this controller
    /// believes to be it: when that has ended, a new one begins. `None` when another is. With `by_force` it is this one from now on,
    /// whoever was.
    pub async fn claim_master(&self, epoch: u64, by_force: bool) -> Result<Option<u64>, Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.claim_master(epoch, by_force).await,
            // Whoever has opened the file is alone with it.
            Engine::Sqlite(_) => Ok(Some(self.life)),
        }
    }

    /// Whether this controller still is the master of this epoch.
    pub async fn is_master(&self, epoch: u64) -> Result<bool, Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.is_master(epoch).await,
            Engine::Sqlite(_) => Ok(epoch == self.life),
        }
    }

    /// Is the master no longer, so that another need not wait.
    pub async fn resign_master(&self, epoch: u64) -> Result<(), Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.resign_master(epoch).await,
            Engine::Sqlite(_) => Ok(()),
        }
    }

    /// Says that a controller is about to be stopped, or is not.
    pub async fn drain(&self, controller: &str, is_drained: bool) -> Result<(), Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.drain(controller, is_drained).await,
            Engine::Sqlite(_) => Err(Error::OnlyShared { what: "draining a controller" }),
        }
    }

    /// Forgets a controller that runs no more, with what it alone was doing and has seen.
    pub async fn forget_controller(&self, controller: &str) -> Result<(), Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.forget_controller(controller).await,
            Engine::Sqlite(_) => Err(Error::OnlyShared { what: "removing a controller" }),
        }
    }

    /// The time of day by the clock of the database, in milliseconds since 1970; `None` where the store has no clock of its own.
    pub async fn now(&self) -> Result<Option<u64>, Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.now().await.map(Some),
            Engine::Sqlite(_) => Ok(None),
        }
    }

    /// Says whether work is not to wait for controllers that are away.
    pub async fn overrule(&self, is_set: bool) -> Result<(), Error> {
        match &self.engine {
            Engine::Postgres(engine) => engine.overrule(is_set).await,
            // There is nobody to wait for.
            Engine::Sqlite(_) => Ok(()),
        }
    }
}
