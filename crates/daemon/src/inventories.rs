//! What machines are made of, as the installers of their nodes last told.

use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_boards::{Board, Durability, Rules, Snapshot, Unreadable, Update, Writer};
use perilune_model::Name;
use perilune_plan::inventory::Inventory;
use perilune_store::{Store, Table};
use serde::{Deserialize, Serialize};

/// Nodes whose inventories are kept; beyond, the one that was not heard for longest goes. A usual one takes 1 KiB.
const RULES: Rules = Rules { keys: 50_000, changes: 16 };
/// A node may tell another one after so long: milliseconds.
const PAUSE: u64 = 1_000;
/// As long an inventory may be when it is packed: with all nodes hostile, all of them take 800 MiB and no more.
const LARGEST: usize = 16 << 10;
/// As long as one can be that was packed.
const LONGEST: u64 = 1 << 20;
const LEVEL: i32 = 3;

/// The inventory of a machine: what lists show, and all of it, compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When it came: milliseconds since 1970.
    pub at: u64,
    /// What lists show.
    #[serde(flatten)]
    pub summary: Summary,
    /// JSON by zstd, in base64.
    packed: String,
}

/// What lists show of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What its maker calls it.
    pub product: String,
    /// Its serial number.
    pub serial: String,
    /// Processors, each thread counted.
    pub cpu_count: u32,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// How many disks.
    pub disk_count: usize,
    /// Their sizes together in GB.
    pub disk_total_gb: u64,
    /// How many graphics processors and accelerators.
    pub gpu_count: usize,
    /// How many network cards.
    pub nic_count: usize,
}

impl From<&Inventory> for Summary {
    fn from(inventory: &Inventory) -> Self {
        Self {
            product: inventory.product.clone(),
            serial: inventory.serial.clone(),
            cpu_count: inventory.cpu_count,
            memory_mb: inventory.memory_mb,
            disk_count: inventory.disks.len(),
            disk_total_gb: inventory.disk_total_gb(),
            gpu_count: inventory.gpus.len(),
            nic_count: inventory.nics.len(),
        }
    }
}

/// Why an inventory is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too long.
    #[error("the inventory takes {0} bytes when it is compressed; {LARGEST} at most")]
    TooLong(usize),
    /// The last one came a moment ago.
    #[error("the inventory of this node came a moment ago; send it again in a second")]
    TooOften,
}

/// The inventories; clones share them.
#[derive(Debug, Clone)]
pub struct Inventories {
    board: Board<Name, Kept>,
}

impl Inventories {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<Name, Kept>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        let (board, writer, unreadable) =
            Board::open(store, Table::Inventories, key, Durability::Behind, RULES).await?;
        Ok((Self { board }, writer, unreadable))
    }

    /// Takes the inventory of a node in place of the one before. `now` is in milliseconds since 1970.
    pub fn put(&self, node: &Name, inventory: Inventory, now: u64) -> Result<(), Refusal> {
        // A clock that was set back must not keep a node silent.
        let is_soon = |known: &Arc<Kept>| (known.at..known.at.saturating_add(PAUSE)).contains(&now);
        if self.board.get(node).is_some_and(|known| is_soon(&known)) {
            return Err(Refusal::TooOften);
        }
        let inventory = inventory.within_bounds();
        let text = serde_json::to_vec(&inventory).unwrap_or_default();
        let packed = zstd::encode_all(text.as_slice(), LEVEL).unwrap_or_default();
        if packed.len() > LARGEST {
            return Err(Refusal::TooLong(packed.len()));
        }
        let summary = Summary::from(&inventory);
        let kept = Kept { at: now, summary, packed: STANDARD.encode(packed) };
        let mut taken = true;
        self.board.update(node, |known| {
            taken = !known.is_some_and(is_soon);
            if taken { Update::Put(kept) } else { Update::Keep }
        });
        if taken { Ok(()) } else { Err(Refusal::TooOften) }
    }

    /// What a node told.
    pub fn get(&self, node: &str) -> Option<Arc<Kept>> {
        self.board.get(node)
    }

    /// What every node told.
    pub fn all(&self) -> Snapshot<Name, Kept> {
        self.board.snapshot()
    }

    /// A node has another name now.
    pub fn rename(&self, old: &str, new: &Name) {
        let Some(known) = self.board.get(old) else { return };
        self.board.update(new, |_| Update::Put(Kept::clone(&known)));
        self.board.update(&Name::trusted(old), |_| Update::Remove);
    }

    /// A node is gone, or new.
    pub fn remove(&self, node: &str) {
        self.board.update(&Name::trusted(node), |_| Update::Remove);
    }
}

impl Kept {
    /// All of it; nothing when what was stored is none.
    pub fn inventory(&self) -> Inventory {
        let packed = STANDARD.decode(&self.packed).unwrap_or_default();
        let mut text = Vec::new();
        // What was stored is ours; yet nothing that is read may unpack without end.
        let unpacked = zstd::Decoder::new(packed.as_slice())
            .and_then(|decoder| decoder.take(LONGEST).read_to_end(&mut text));
        let read = unpacked.ok().and_then(|_| serde_json::from_slice(&text).ok());
        read.unwrap_or_default()
    }
}
