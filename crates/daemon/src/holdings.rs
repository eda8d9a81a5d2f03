//! What each of the controllers that share a database has: the files that nodes fetch, and the trees of images; and where machines reach it. Each says
//! so on a board, and fetches what it lacks from one that has it. Who lacks a file sends its nodes to one that has it.

pub(crate) mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use perilune_boards::{
    Board, Durability, Rules, Snapshot, Subscription, Unreadable, Update, Writer,
};
use perilune_boot::{Environment, Protocol};
use perilune_model::Name;
use perilune_plan::OtherController;
use perilune_store::{Controller, Store, Table};
use serde::{Deserialize, Serialize};

use crate::controllers::Controllers;
use crate::peer::Peer;

/// More controllers than anybody has.
const RULES: Rules = Rules { keys: 256, changes: 256 };

/// What a controller has, and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holding {
    /// The files of images that it has, whole.
    pub files: BTreeMap<String, Kept>,
    /// The images whose trees it has.
    pub trees: BTreeSet<Name>,
    /// Where machines reach it, by each of its addresses.
    pub(crate) places: Vec<Place>,
    /// Where machines boot from it that it gives addresses to.
    pub(crate) served: Vec<Served>,
    /// The SHA-256 of the certificate that it shows, in hexadecimal digits.
    pub(crate) certificate: Option<String>,
}

/// Where machines of one wire boot from a controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) address: IpAddr,
    /// Where scripts and files are fetched: `http://ADDRESS:PORT`.
    pub(crate) url: String,
}

/// What tells a file from every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its bytes.
    pub(crate) size: u64,
    /// BLAKE3, hexadecimal.
    pub(crate) checksum: String,
}

/// Where machines reach a controller: of an [`Environment`], what is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub(crate) address: IpAddr,
    pub(crate) api: Port,
    pub(crate) files: Port,
    pub(crate) scripts: Port,
    pub(crate) firmware_files: Port,
    pub(crate) verify_certificate: String,
    pub(crate) certificate: Option<String>,
    pub(crate) public_key: Option<String>,
}

/// A port, and what is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Port {
    is_https: bool,
    port: u16,
}

impl From<(Protocol, u16)> for Port {
    fn from((protocol, port): (Protocol, u16)) -> Self {
        Self { is_https: protocol == Protocol::Https, port }
    }
}

impl From<Port> for (Protocol, u16) {
    fn from(Port { is_https, port }: Port) -> Self {
        (if is_https { Protocol::Https } else { Protocol::Http }, port)
    }
}

impl From<&Environment> for Place {
    fn from(of: &Environment) -> Self {
        Self {
            address: of.controller,
            api: (of.api_protocol, of.api_port).into(),
            files: (of.web_protocol, of.web_port).into(),
            scripts: (of.boot_protocol, of.boot_port).into(),
            firmware_files: of.firmware_files.into(),
            verify_certificate: of.verify_certificate.clone(),
            certificate: of.certificate.clone(),
            public_key: of.public_key.clone(),
        }
    }
}

impl Place {
    /// What machines are told that are to go to this place; the rest is as they are told here.
    pub fn environment(&self, here: &Environment) -> Environment {
        let (api_protocol, api_port) = self.api.into();
        let (web_protocol, web_port) = self.files.into();
        let (boot_protocol, boot_port) = self.scripts.into();
        Environment {
            controller: self.address,
            beacon: here.beacon,
            controllers: here.controllers.clone(),
            api_protocol,
            api_port,
            web_protocol,
            web_port,
            boot_protocol,
            boot_port,
            firmware_files: self.firmware_files.into(),
            verify_certificate: self.verify_certificate.clone(),
            certificate: self.certificate.clone(),
            public_key: self.public_key.clone(),
            time: here.time,
            others: Vec::new(),
            other_boots: Vec::new(),
        }
    }
}

impl Holding {
    /// Where a machine at this address reaches it: by the same family where it can.
    pub fn place_for(&self, machine: IpAddr) -> Option<&Place> {
        let same = |place: &&Place| place.address.is_ipv4() == machine.is_ipv4();
        self.places.iter().find(same).or_else(|| self.places.first())
    }
}

/// Another controller that runs, with what it has.
#[derive(Debug, Clone)]
pub struct Other {
    pub controller: Controller,
    pub holding: Arc<Holding>,
}

impl Other {
    /// How it is asked.
    pub(crate) fn peer(&self) -> Peer {
        let (url, certificate) = (self.controller.url.clone(), self.holding.certificate.clone());
        Peer { url, certificate }
    }
}

/// What all controllers have; clones share it.
#[derive(Debug, Clone)]
pub struct Holdings {
    board: Board<Name, Holding>,
    own: Name,
    is_shared: bool,
    /// Files that were made here and that no image names yet.
    fresh: Arc<Mutex<BTreeSet<String>>>,
}

impl Holdings {
    /// What was last said, what stores it, and what could not be read.
    pub(crate) async fn open(
        store: &Store,
        own: &str,
    ) -> Result<(Self, Writer<Name, Holding>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        let durability = Durability::BeforeAnswer;
        let (board, writer, unreadable) =
            Board::open(store, Table::Holdings, key, durability, RULES).await?;
        let (own, is_shared) = (Name::trusted(own), store.is_shared());
        let holdings = Self { board, own, is_shared, fresh: Arc::default() };
        Ok((holdings, writer, unreadable))
    }

    /// The name of this controller.
    pub(crate) fn own(&self) -> &str {
        self.own.as_str()
    }

    /// Whether there are others.
    pub(crate) fn are_shared(&self) -> bool {
        self.is_shared
    }

    /// What a controller said.
    pub fn of(&self, controller: &str) -> Option<Arc<Holding>> {
        self.board.get(controller)
    }

    /// Says what this controller has.
    pub(crate) fn say(&self, holding: Holding) {
        self.board.update(&self.own, |known| match known {
            Some(known) if **known == holding => Update::Keep,
            _ => Update::Put(holding),
        });
    }

    /// This controller has made files. Others know it when this returns, so that no machine is told of a file that nobody is known to have.
    pub(crate) async fn made(&self, directory: &Path, names: &[String]) {
        if !self.is_shared {
            return;
        }
        self.fresh().extend(names.iter().cloned());
        let (directory, wanted) = (directory.to_owned(), names.to_vec());
        let looked = tokio::task::spawn_blocking(move || {
            wanted
                .into_iter()
                .filter_map(|name| {
                    let kept = look::hashed(&directory.join(&name)).ok()?;
                    Some((name, kept))
                })
                .collect::<Vec<_>>()
        });
        let Ok(new) = looked.await else { return };
        let more = |known: Option<&Arc<Holding>>| {
            let mut holding = known.map(|known| Holding::clone(known)).unwrap_or_default();
            holding.files.extend(new.iter().cloned());
            Update::Put(holding)
        };
        if let Err(error) = self.board.update_stored(&self.own, more).await {
            tracing::warn!(%error, "the other controllers will learn later which files are here");
        }
    }

    pub(crate) fn fresh(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tells a file from every other, for clients; `None` where nobody else has it.
    pub fn tag(&self, file: &str) -> Option<HeaderValue> {
        let own = self.of(self.own.as_str()).filter(|_| self.is_shared)?;
        let kept = own.files.get(file)?;
        HeaderValue::from_str(&format!("\"{}\"", kept.checksum)).ok()
    }

    /// A controller is gone for good.
    pub async fn forget(&self, controller: &str) -> Result<(), perilune_boards::Error> {
        self.board.update_stored(&Name::trusted(controller), |_| Update::Remove).await.map(drop)
    }

    /// The other controllers that run and have said what they have.
    pub(crate) fn others(&self, controllers: &Controllers) -> Vec<Other> {
        if !self.is_shared {
            return Vec::new();
        }
        let others = controllers.live_others().into_iter();
        let others = others.filter_map(|controller| {
            let holding = self.of(&controller.name)?;
            Some(Other { controller, holding })
        });
        others.collect()
    }

    /// What all controllers have said, in the order in which a machine asks them that is not answered: those that do not run come last, since one may run
    /// again by the time that it is needed.
    fn to_be_asked(&self, controllers: &Controllers) -> impl Iterator<Item = Arc<Holding>> {
        let (live, silent) = (controllers.live_others(), controllers.silent_others());
        let names = live.into_iter().map(|one| one.name).chain([self.own.to_string()]);
        let names = names.chain(silent.into_iter().map(|one| one.name));
        names.filter_map(|name| self.of(&name))
    }

    /// What machines are told, with the controllers where they go on when the one that it names is gone.
    pub fn with_others(
        &self,
        controllers: &Controllers,
        environment: Environment,
        machine: Option<IpAddr>,
    ) -> Environment {
        let others = self.to_be_asked(controllers);
        let machine = machine.unwrap_or(environment.controller);
        let told = environment.api_url();
        let there = others.filter_map(|holding| {
            holding.place_for(machine).map(|place| place.environment(&environment))
        });
        let (others, other_boots) = there
            .filter(|there| there.api_url() != told)
            .map(|there| {
                let (url, boot) = (there.api_url(), there.boot_url());
                (OtherController { url, certificate: there.certificate }, boot)
            })
            .unzip();
        Environment { others, other_boots, ..environment }
    }

    /// Where this controller says that machines find it.
    pub(crate) fn own_place(&self, machine: IpAddr) -> Option<Place> {
        self.of(self.own.as_str())?.place_for(machine).cloned()
    }

    /// Another controller that runs and has a file.
    pub(crate) fn who_has(&self, controllers: &Controllers, file: &str) -> Option<Other> {
        let mut others = self.others(controllers).into_iter();
        others.find(|other| other.holding.files.contains_key(file))
    }

    /// The same, when it may have been said a moment ago.
    pub async fn who_has_now(&self, controllers: &Controllers, file: &str) -> Option<Other> {
        if let Some(found) = self.who_has(controllers, file) {
            return Some(found);
        }
        self.board.look().await;
        self.who_has(controllers, file)
    }

    /// The other controllers that run and have the tree of an image.
    pub fn with_tree(&self, controllers: &Controllers, image: &str) -> Vec<Other> {
        let mut others = self.others(controllers);
        others.retain(|other| other.holding.trees.contains(image));
        others
    }

    pub(crate) fn subscribe(&self) -> (Snapshot<Name, Holding>, Subscription<Name, Holding>) {
        self.board.subscribe()
    }
}
