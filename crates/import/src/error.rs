//! Why a file cannot be imported at all.

/// Why a file cannot be imported at all. What is wrong with single rows stands in the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is something else.
    #[error(
        "the file is not an SQLite database; give the luna.db of the old site, which its luna.ini names under [DATABASE]"
    )]
    NotADatabase,
    /// The file is a database, and not of such a site.
    #[error("the database is not one of Luna 2: none of the tables {0} is in it")]
    Foreign(String),
    /// The file is cut off or broken.
    #[error(
        "the database is damaged or cut off; copy it again while nothing writes to it, such as with: sqlite3 luna.db \"VACUUM INTO 'copy.db'\""
    )]
    Damaged(#[source] rusqlite::Error),
    /// What SQLite's own check found.
    #[error(
        "the database is damaged ({0}); take a copy from a backup, or repair it with: sqlite3 luna.db .recover"
    )]
    Inconsistent(String),
    /// More than is read.
    #[error("the database holds more than {limit} {what}; this is no database of a site")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// As much as may be.
        limit: usize,
    },
    /// Reading took too long.
    #[error("reading the database took more than {0} seconds; this is no database of a site")]
    TooSlow(u64),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    File(#[from] std::io::Error),
}
