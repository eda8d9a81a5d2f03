//! Certificates that BMCs showed first: each is stored before what the BMC did is told, and believed alone from then on.

use perilune_bmc::redfish::{Fingerprint, InvalidFingerprint};
use perilune_boards::{Board, Durability, Rules, Snapshot, Unreadable, Update, Writer};
use perilune_store::{Store, Table};
use serde::{Deserialize, Serialize};

/// BMCs whose certificates are remembered: more than a site has.
const RULES: Rules = Rules { keys: 200_000, changes: 1024 };

/// The fingerprint of a certificate, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PinnedCertificate(pub(super) Fingerprint);

impl TryFrom<String> for PinnedCertificate {
    type Error = InvalidFingerprint;

    fn try_from(text: String) -> Result<Self, InvalidFingerprint> {
        text.parse().map(Self)
    }
}

impl From<PinnedCertificate> for String {
    fn from(PinnedCertificate(fingerprint): PinnedCertificate) -> Self {
        fingerprint.to_string()
    }
}

/// Pinned certificates by BMC ([`super::targets::pin_key`]); clones share them.
#[derive(Debug, Clone)]
pub(super) struct PinnedCertificates(Board<String, PinnedCertificate>);

impl PinnedCertificates {
    /// Those of before, what stores new ones, and what could not be read.
    pub(super) async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<String, PinnedCertificate>, Vec<Unreadable>), perilune_store::Error>
    {
        let key = |text: &str| Some(text.to_owned());
        let (board, writer, unreadable) =
            Board::open(store, Table::BmcCertificates, key, Durability::BeforeAnswer, RULES)
                .await?;
        Ok((Self(board), writer, unreadable))
    }

    pub(super) fn snapshot(&self) -> Snapshot<String, PinnedCertificate> {
        self.0.snapshot()
    }

    /// Pins the certificate that a BMC showed; stored when this returns. One that is pinned already stays: two requests may meet a BMC at
    /// once.
    pub(super) async fn pin(&self, bmc: &str, shown: Fingerprint) {
        let (key, mut other) = (bmc.to_owned(), None);
        let pinned = self.0.update_stored(&key, |known| {
            other = known.map(|pin| pin.0).filter(|pinned| *pinned != shown);
            if known.is_some() { Update::Keep } else { Update::Put(PinnedCertificate(shown)) }
        });
        if let Err(error) = pinned.await {
            tracing::error!(%error, bmc, "the certificate of a BMC is not stored; it is tried again");
        }
        if let Some(pinned) = other {
            tracing::warn!(bmc, %shown, %pinned, "a BMC showed another certificate than the pinned one, which stays");
        }
    }

    /// Forgets those of BMCs that have changed hands; answers whether there was one.
    pub(super) fn forget(&self, bmc: &str) -> bool {
        let mut was_pinned = false;
        self.0.update(&bmc.to_owned(), |known| {
            was_pinned = known.is_some();
            Update::Remove
        });
        was_pinned
    }

    /// The same for several, and as somebody asked for it: stored when this returns.
    pub(super) async fn forget_stored(
        &self,
        bmcs: &[String],
    ) -> Result<(), perilune_boards::Error> {
        self.0.update_each_stored(bmcs, |_, _| Update::Remove).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
