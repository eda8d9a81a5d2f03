//! How things are called in the database.

use std::time::Duration;

use crate::record::Table;

/// How often it is tried to take the name of this controller.
pub(super) const NAME_TRIES: u32 = 25;
pub(super) const NAME_PAUSE: Duration = Duration::from_millis(200);

/// What a table of a controller is called in the database.
pub(super) fn board_of(table: Table, controller: &str) -> String {
    if table.is_private() {
        format!("{}@{controller}", table.word())
    } else {
        table.word().to_owned()
    }
}

/// PostgreSQL's texts cannot hold zero bytes, and a request with one must not make the commits of others fail.
pub(super) fn text(given: &str) -> String {
    given.replace('\0', "\u{fffd}")
}
