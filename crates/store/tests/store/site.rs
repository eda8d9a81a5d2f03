//! Where a test's store is.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use perilune_model::Cluster;
use perilune_store::{Address, Error, Store};
use perilune_testkit::Postgres;

/// The controller of a store beside that of [`Site::open`].
pub(crate) const OTHER: &str = "two";

/// A place for a store, empty at first.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    /// The server and the database, where it is not a file.
    server: Option<(RefCell<Postgres>, String)>,
}

impl Site {
    /// One for each engine that this machine has.
    pub(crate) fn each() -> Vec<Self> {
        let file = Self { directory: tempfile::tempdir().unwrap(), server: None };
        [Some(file), Self::postgres()].into_iter().flatten().collect()
    }

    pub(crate) fn postgres() -> Option<Self> {
        let mut server = Postgres::start()?;
        let database = server.fresh();
        let directory = tempfile::tempdir().unwrap();
        Some(Self { directory, server: Some((RefCell::new(server), database)) })
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("luna.key")
    }

    /// The server; only of a site that has one.
    pub(crate) fn server(&self) -> std::cell::RefMut<'_, Postgres> {
        self.server.as_ref().expect("the site has a server").0.borrow_mut()
    }

    pub(crate) fn database(&self) -> &str {
        &self.server.as_ref().expect("the site has a server").1
    }

    /// The database, by this port.
    pub(crate) fn address_at(&self, port: u16) -> Address {
        Postgres::url(self.database(), port).parse().unwrap()
    }

    pub(crate) fn address(&self) -> Address {
        self.address_at(self.server().port())
    }

    /// Opens the store, as soon as who had it before has let go of it.
    pub(crate) async fn open(&self) -> (Store, Cluster) {
        if self.server.is_some() {
            let address = self.address();
            Store::prepare(&address, &self.key()).await.unwrap();
            return Store::connect(&address, "one", &self.key()).await.unwrap();
        }
        for _ in 0..500 {
            match Store::open(self.directory.path(), &self.key()) {
                Err(Error::Locked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                opened => return opened.unwrap(),
            }
        }
        panic!("the store was not let go of");
    }
}
