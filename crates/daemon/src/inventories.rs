//! What machines are made of, as the installers of their nodes last told.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// The number that its maker has given the machine (RFC 4122).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uuid: Option<Uuid>,
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
    by_uuid: Arc<Mutex<ByUuid>>,
}

/// The number of a machine, as bytes in the order of its text.
type Uuid = [u8; 16];

/// Which nodes have which numbers, as of a state of the board.
#[derive(Debug, Default)]
struct ByUuid {
    sequence: Option<u64>,
    /// None where several say that it is theirs.
    nodes: BTreeMap<Uuid, Option<Name>>,
}

impl Inventories {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<Name, Kept>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        let (board, writer, unreadable) =
            Board::open(store, Table::Inventories, key, Durability::Behind, RULES).await?;
        Ok((Self { board, by_uuid: Arc::default() }, writer, unreadable))
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
        let uuid = uuid(&inventory.uuid);
        let kept = Kept { at: now, uuid, summary, packed: STANDARD.encode(packed) };
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

    /// The node whose machine has this number, if one alone has it. Some firmware sends the first three parts of it backwards, as it has them
    /// in its memory (SMBIOS 3.6, section 7.2.1).
    pub fn node_of(&self, number: Uuid) -> Option<Name> {
        let snapshot = self.board.snapshot();
        // What a panicking holder left is an index of some state, or of none.
        let mut index = self.by_uuid.lock().unwrap_or_else(PoisonError::into_inner);
        if index.sequence != Some(snapshot.sequence()) {
            index.fill(&snapshot);
        }
        [number, backwards(number)].iter().find_map(|number| index.nodes.get(number)?.clone())
    }

    /// The numbers of machines that are one node's alone, in either order of their bytes.
    pub(crate) fn numbers(&self) -> BTreeMap<Name, Vec<[u8; 16]>> {
        let snapshot = self.board.snapshot();
        let mut index = ByUuid::default();
        index.fill(&snapshot);
        let own = index.nodes.into_iter().filter_map(|(number, node)| Some((node?, number)));
        own.map(|(node, number)| {
            let mut both = vec![number, backwards(number)];
            both.dedup();
            (node, both)
        })
        .collect()
    }

    /// Another one when any inventory has changed.
    pub(crate) fn sequence(&self) -> u64 {
        self.board.snapshot().sequence()
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

impl ByUuid {
    fn fill(&mut self, snapshot: &Snapshot<Name, Kept>) {
        self.nodes.clear();
        for (name, kept) in snapshot.iter() {
            if let Some(uuid) = kept.uuid {
                let known = self.nodes.entry(uuid);
                known.and_modify(|node| *node = None).or_insert_with(|| Some(name.clone()));
            }
        }
        self.sequence = Some(snapshot.sequence());
    }
}

/// The bytes of a number; none for what is no number, or is what boards have whose maker gave them none.
fn uuid(text: &str) -> Option<Uuid> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = digits.iter().map(digit).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    let uuid: Uuid = bytes.try_into().ok().filter(|_| digits.len() == 32)?;
    let is_none = uuid.iter().all(|byte| *byte == 0) || uuid.iter().all(|byte| *byte == 0xff);
    (!is_none).then_some(uuid)
}

fn backwards(mut number: Uuid) -> Uuid {
    for part in [0..4, 4..6, 6..8] {
        if let Some(part) = number.get_mut(part) {
            part.reverse();
        }
    }
    number
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "4c4c4544-0042-3510-8052-b4c04f4d4e32";

    #[tokio::test]
    async fn a_number_is_one_nodes_in_either_order_and_nobodys_when_two_have_it() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("key")).unwrap();
        let (inventories, _writer, _) = Inventories::open(&store).await.unwrap();
        let put = |node: &str, uuid: &str, now| {
            let inventory = Inventory { uuid: uuid.to_owned(), ..Inventory::default() };
            inventories.put(&Name::trusted(node), inventory, now).unwrap();
        };
        let number = uuid(TEXT).unwrap();
        assert_eq!(inventories.node_of(number), None);
        put("node001", TEXT, 10_000);
        assert_eq!(inventories.node_of(number), Some(Name::trusted("node001")));
        assert_eq!(inventories.node_of(backwards(number)), Some(Name::trusted("node001")));
        let both = vec![number, backwards(number)];
        assert_eq!(inventories.numbers(), [(Name::trusted("node001"), both)].into());
        put("node002", &TEXT.to_uppercase(), 10_000);
        assert_eq!(inventories.node_of(number), None, "two say so");
        assert_eq!(inventories.numbers(), BTreeMap::new());
        inventories.remove("node001");
        assert_eq!(inventories.node_of(number), Some(Name::trusted("node002")));
    }

    #[test]
    fn what_is_no_number_of_a_machine_is_none() {
        for text in ["", "To be filled by O.E.M.", "00000000-0000-0000-0000-000000000000", "4c4c"] {
            assert_eq!(uuid(text), None, "{text}");
        }
        assert_eq!(uuid(&"ff".repeat(16)), None);
        assert_eq!(uuid(&"1".repeat(33)), None);
    }
}
