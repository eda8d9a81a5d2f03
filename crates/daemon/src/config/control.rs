//! Limits of control.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// What the site allows when many BMCs are spoken to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Control {
    /// BMCs in one batch.
    pub batch_size: Option<NonZeroUsize>,
    /// The pause between batches.
    pub batch_delay: Duration,
    /// BMCs that are spoken to at one moment.
    pub concurrent: Option<NonZeroUsize>,
    /// BMCs that are begun with in a second.
    pub ramp: Option<NonZeroU32>,
    /// Machines of one rack that are switched on, and within which time.
    pub rack_inrush: Option<(NonZeroUsize, Duration)>,
    /// How long one request may take.
    pub deadline: Option<Duration>,
    /// Certificates, in PEM, of those who sign the certificates of BMCs.
    pub authorities: Option<PathBuf>,
}
