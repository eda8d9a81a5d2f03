//! Work that blocks its thread.

use super::error::Error;

/// Does what blocks, apart from what must answer at once.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a job panicked");
        Error::Defect
    })
}
