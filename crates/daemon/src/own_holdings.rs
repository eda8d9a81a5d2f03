//! Keeps what is said of this controller true, and brings it what it lacks.

mod fetch;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::holdings::look::{self, Looked, Wanted};
use crate::holdings::{Holding, Place};
use crate::machines;
use crate::state::State;
use fetch::Fetched;

/// Trees come and go without anybody telling; and what could not be fetched is tried again.
const EVERY: Duration = Duration::from_secs(10);
/// Changes that come together are looked at together.
const GATHERED: Duration = Duration::from_millis(100);

/// Until `stop`. Of a controller that is alone nobody needs to know.
pub(crate) async fn follow(state: State, stop: CancellationToken) {
    let (mut changes, (_, mut said)) = (state.cluster.subscribe(), state.holdings.subscribe());
    let mut looked = Looked::default();
    let mut fetched = Fetched::open(&state.settings.data_dir);
    let work = async {
        loop {
            let lacks = look(&state, &mut looked).await;
            fetch::missing(&state, lacks, &mut fetched).await;
            tokio::select! {
                () = sleep(EVERY) => {}
                _ = changes.changed() => {}
                _ = said.next() => {}
            }
            sleep(GATHERED).await;
        }
    };
    // What is half fetched goes on after the next start.
    stop.run_until_cancelled(Box::pin(work)).await;
}

/// Says what is here; answers what is not.
async fn look(state: &State, looked: &mut Looked) -> BTreeMap<String, Wanted> {
    let cluster = state.cluster.published();
    let wanted = look::wanted(&cluster);
    let fresh = {
        let mut fresh = state.holdings.fresh();
        fresh.retain(|name| !wanted.contains_key(name));
        fresh.clone()
    };
    let (files, images) =
        (state.settings.image_files.clone(), state.settings.image_directory.clone());
    let mut known = std::mem::take(looked);
    let places = state.own_environments(&cluster);
    let served = machines::served(state, &cluster);
    let look = move || {
        let mut all = wanted.clone();
        all.extend(fresh.into_iter().map(|name| (name, Wanted::default())));
        let found = look::files(&files, &all, &mut known);
        (found, look::trees(&cluster, &images), known, wanted)
    };
    let Ok((found, trees, known, mut wanted)) = spawn_blocking(look).await else {
        return BTreeMap::new();
    };
    *looked = known;
    wanted.retain(|name, _| !found.contains_key(name));
    let places = places.iter().map(Place::from).collect();
    let certificate = state.certificate.fingerprint();
    state.holdings.say(Holding { files: found, trees, places, served, certificate });
    wanted
}
