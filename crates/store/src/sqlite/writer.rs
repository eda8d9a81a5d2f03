//! The one thread that writes.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::space::Space;
use crate::Error;

/// As much work as goes into one transaction.
const BATCH: usize = 4096;

type Work = Box<dyn FnOnce(&Connection) -> Delivery + Send>;
/// Tells the one who waits how it ended, once it is known whether the transaction is durable.
type Delivery = Box<dyn FnOnce(Result<(), Error>) + Send>;

enum Request {
    InTransaction(Work),
    Outside(Work),
}

#[derive(Clone)]
pub(crate) struct Writer {
    requests: mpsc::Sender<Request>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread. It holds the lock of the data directory for as long as it lives.
    pub(crate) fn start(
        connection: Connection,
        lock: File,
        mut space: Space,
    ) -> Result<Self, Error> {
        let (requests, waiting) = mpsc::channel();
        let body = move || {
            serve(&connection, &waiting, &mut space);
            drop(lock);
        };
        let spawned = std::thread::Builder::new().name("store".to_owned()).spawn(body);
        spawned.map_err(|source| Error::Directory {
            path: "threads".into(),
            source: Arc::new(source),
        })?;
        Ok(Self { requests })
    }

    /// Runs work in a transaction that it may share with other work. Work that fails leaves nothing behind.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (request, answer) = package(move |connection| in_savepoint(connection, work));
        self.submit(Request::InTransaction(request), answer).await
    }

    /// Runs work that cannot be in a transaction.
    pub(crate) async fn outside_transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (request, answer) = package(work);
        self.submit(Request::Outside(request), answer).await
    }

    async fn submit<T>(
        &self,
        request: Request,
        answer: oneshot::Receiver<Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.requests.send(request).is_err() {
            return Err(Error::Closed);
        }
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

fn package<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
) -> (Work, oneshot::Receiver<Result<T, Error>>) {
    let (sender, answer) = oneshot::channel();
    let request = Box::new(move |connection: &Connection| -> Delivery {
        let result = work(connection);
        Box::new(move |durable: Result<(), Error>| {
            // Nobody waits any more when the asking task was dropped; the work counts all the same.
            drop(sender.send(durable.and(result)));
        })
    });
    (request, answer)
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    connection.prepare_cached("SAVEPOINT work")?.execute([])?;
    let result = work(connection);
    if result.is_err() && connection.is_autocommit() {
        // The whole transaction went with it.
        return result;
    }
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    connection.prepare_cached("RELEASE work")?.execute([])?;
    result
}

fn serve(connection: &Connection, waiting: &mpsc::Receiver<Request>, space: &mut Space) {
    let mut left_over = None;
    while let Some(first) = left_over.take().or_else(|| waiting.recv().ok()) {
        space.look();
        match first {
            Request::Outside(work) => work(connection)(Ok(())),
            Request::InTransaction(work) => left_over = serve_batch(connection, work, waiting),
        }
    }
}

/// Serves this and all other work that waits in one transaction; gives back what could not be part of it.
fn serve_batch(
    connection: &Connection,
    first: Work,
    waiting: &mpsc::Receiver<Request>,
) -> Option<Request> {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        let (answer, error) = (first, Error::from(error));
        // The work runs outside of any transaction on nothing but an error: its savepoint is rolled back with it.
        refuse(connection, answer, &error);
        return None;
    }
    let mut deliveries = vec![first(connection)];
    let mut left_over = None;
    // A full disk can end the transaction under the work (sqlite.org/lang_transaction.html); what followed would be stored by itself.
    while deliveries.len() < BATCH && !connection.is_autocommit() {
        match waiting.try_recv() {
            Ok(Request::InTransaction(work)) => deliveries.push(work(connection)),
            Ok(other) => {
                left_over = Some(other);
                break;
            }
            Err(_) => break,
        }
    }
    let durable = if connection.is_autocommit() {
        Err(Error::Full)
    } else {
        connection.execute_batch("COMMIT").map_err(Error::from)
    };
    if durable.is_err() {
        // A failed COMMIT leaves the transaction open when the disk is full (sqlite.org/lang_transaction.html).
        drop(connection.execute_batch("ROLLBACK"));
    }
    for deliver in deliveries {
        deliver(durable.clone());
    }
    left_over
}

fn refuse(connection: &Connection, work: Work, error: &Error) {
    drop(connection.execute_batch("BEGIN"));
    let deliver = work(connection);
    drop(connection.execute_batch("ROLLBACK"));
    deliver(Err(error.clone()));
}
