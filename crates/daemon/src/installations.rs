//! Which nodes are installed on their disks, and where they start from by themselves.

use std::sync::Arc;

use perilune_boards::{Board, Durability, Rules, Snapshot, Unreadable, Update, Writer};
use perilune_model::Name;
use perilune_plan::Installation;
use perilune_store::{Store, Table};
use serde::{Deserialize, Serialize};

/// What a node told when it was installed on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Where it starts from.
    #[serde(flatten)]
    pub start: Installation,
    /// When that was: milliseconds since 1970.
    pub at: u64,
    /// Somebody wants it to be installed anew.
    #[serde(default)]
    pub reinstall: bool,
}

/// Nodes that are remembered. One that is forgotten and has the policy `once` would be installed anew: there is room for all.
const RULES: Rules = Rules { keys: 200_000, changes: 1024 };

/// What all nodes told; clones share it.
#[derive(Debug, Clone)]
pub struct Installations {
    board: Board<Name, Installed>,
}

impl Installations {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<Name, Installed>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        let (board, writer, unreadable) =
            Board::open(store, Table::Installations, key, Durability::BeforeAnswer, RULES).await?;
        Ok((Self { board }, writer, unreadable))
    }

    /// A node is installed on a disk. Stored when it returns. `now` is in milliseconds since 1970.
    pub async fn installed(
        &self,
        node: &Name,
        start: &Installation,
        now: u64,
    ) -> Result<(), perilune_boards::Error> {
        let decide = |_: Option<&Arc<Installed>>| {
            Update::Put(Installed { start: start.clone(), at: now, reinstall: false })
        };
        self.board.update_stored(node, decide).await.map(drop)
    }

    /// Returns when what is shown of a node is stored.
    pub(crate) async fn stored_now(&self, node: &Name) -> Result<(), perilune_boards::Error> {
        self.board.stored_now(node).await
    }

    /// Somebody wants a node to be installed anew, or does not any longer. Stored when it returns. Nodes that are on no disk are
    /// installed anyway.
    pub async fn reinstall(&self, node: &Name, wanted: bool) -> Result<(), perilune_boards::Error> {
        let decide = |known: Option<&Arc<Installed>>| match known {
            Some(known) if known.reinstall != wanted => {
                Update::Put(Installed { reinstall: wanted, ..Installed::clone(known) })
            }
            _ => Update::Keep,
        };
        self.board.update_stored(node, decide).await.map(drop)
    }

    /// What a node told.
    pub fn get(&self, node: &str) -> Option<Arc<Installed>> {
        self.board.get(node)
    }

    /// What every node told.
    pub fn all(&self) -> Snapshot<Name, Installed> {
        self.board.snapshot()
    }

    /// A node is new: what one of the same name told before is not about it.
    pub fn forget(&self, node: &Name) {
        self.board.update(node, |_| Update::Remove);
    }

    /// A node has another name now.
    pub fn rename(&self, old: &str, new: &Name) {
        let Some(known) = self.board.get(old) else { return };
        self.board.update(new, |_| Update::Put(Installed::clone(&known)));
        self.board.update(&Name::trusted(old), |_| Update::Remove);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Name {
        Name::trusted("node001")
    }

    #[tokio::test]
    async fn what_a_node_told_is_stored_before_it_is_answered_and_is_there_after_a_kill() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("key")).unwrap();
        let (installations, writer, _) = Installations::open(&store).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(writer.run());
        let start = Installation {
            filesystem: Some("ABCD-1234".to_owned()),
            file: Some("/EFI/BOOT/BOOTX64.EFI".to_owned()),
        };
        installations.installed(&node(), &start, 7).await.unwrap();
        // What writes is not asked to end: as after a kill.
        let (again, _writer, _) = Installations::open(&store).await.unwrap();
        let expected = Installed { start, at: 7, reinstall: false };
        assert_eq!(*again.get("node001").unwrap(), expected);
        installations.reinstall(&node(), true).await.unwrap();
        installations.reinstall(&Name::trusted("node002"), true).await.unwrap();
        let (again, _writer, _) = Installations::open(&store).await.unwrap();
        assert_eq!(*again.get("node001").unwrap(), Installed { reinstall: true, ..expected });
        assert_eq!(again.get("node002"), None);
    }

    #[tokio::test]
    async fn a_renamed_node_stays_installed_and_a_new_one_of_its_name_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("key")).unwrap();
        let (installations, writer, _) = Installations::open(&store).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(writer.run());
        installations.installed(&node(), &Installation::default(), 7).await.unwrap();
        installations.rename("node001", &Name::trusted("login1"));
        assert!(installations.get("login1").is_some() && installations.get("node001").is_none());
        installations.forget(&Name::trusted("login1"));
        assert_eq!(installations.get("login1"), None);
    }
}
