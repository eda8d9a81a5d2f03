//! What tells that other controllers have committed something.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Postgres;
use super::link::Listening;
use crate::Error;

/// How often the store is asked for a new revision, with or without a notification.
const LOOK: Duration = Duration::from_secs(1);
/// How long the database may take to say which revision it has.
const ANSWER: Duration = Duration::from_secs(3);

/// Tells which revision is stored: when a controller commits, and each second. A lost notification costs a second and nothing else.
#[derive(Debug)]
pub struct Follower {
    engine: Postgres,
    listening: Option<Listening>,
}

impl Follower {
    pub(super) fn new(engine: Postgres, listening: Option<Listening>) -> Self {
        Self { engine, listening }
    }

    /// The revision that is stored, when there may be a new one. An error tells that the database is away; whoever asks again waits for
    /// a moment first.
    pub async fn next(&mut self) -> Result<u64, Error> {
        match &self.listening {
            Some(listening) => {
                let told = Arc::clone(&listening.told);
                // Nobody told anything: it is looked at all the same.
                timeout(LOOK, told.notified()).await.ok();
            }
            None => {
                // What was told before this is gone: whoever is connected anew begins with a look.
                let listening = self.connect().await?;
                // What is seen from now on is on the standby as well.
                match self.engine.noting(self.engine.barrier_in_time()).await {
                    // Reads go on; who writes is told.
                    Ok(()) | Err(Error::NoStandby) => {}
                    Err(error) => return Err(error),
                }
                self.listening = Some(listening);
            }
        }
        let looked = self.look().await;
        if looked.is_err() {
            self.listening = None;
        }
        looked
    }

    async fn connect(&self) -> Result<Listening, Error> {
        let engine = &self.engine;
        let listening = engine.noting(engine.link.listen(&engine.controller)).await?;
        if !listening.holds_name {
            // Most likely its own former connection, which the server still believes in.
            tracing::warn!(controller = %engine.controller, "another connection to the database holds the name of this controller");
        }
        Ok(listening)
    }

    async fn look(&self) -> Result<u64, Error> {
        let Some(Listening { client, .. }) = &self.listening else { return Err(Error::NoAnswer) };
        let looked = timeout(ANSWER, self.engine.head(client)).await;
        if looked.is_err() {
            self.engine.link.give_up();
        }
        let looked = looked.map_err(|_elapsed| Error::NoAnswer).flatten();
        self.engine.noting(async { looked }).await.map(|head| head.revision)
    }
}
