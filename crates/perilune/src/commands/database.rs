//! `perilune database`: the PostgreSQL database that several controllers share, while their daemons do not run.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use perilune_daemon::config::{Options, Program};
use perilune_daemon::database::{self, Moved};

use crate::commands::backup::become_owner;
use crate::failure::Failure;
use crate::output;
use crate::serve;

pub(crate) const EXAMPLES: &str = "\
Examples:
  perilune database init --database 'postgresql://perilune@db1,db2/perilune?password_file=/etc/perilune/database.password'
  perilune database check                                where the configuration says ([DATABASE])
  perilune database move --from sqlite --to postgres     everything, with history, leases, users and keys
  perilune database move --from postgres --to sqlite     and back

These need the database, and no daemon of this machine may run on it. docs/controllers.md has the whole way.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make the tables in an empty database, and note the key of this controller as the one of all
    Init(Place),
    /// Bring the tables of an older version up to date; all controllers must be stopped
    Migrate(Place),
    /// Tell whether everything is there and the key opens it; nothing is changed
    Check(Place),
    /// Copy everything from one kind of database to the other; what it is copied from stays
    Move(Move),
}

#[derive(Args)]
pub(crate) struct Place {
    #[arg(
        help = "The database, such as postgresql://perilune@db1,db2/perilune?password_file=FILE; without it, as [DATABASE] says",
        long,
        env = "PERILUNE_DATABASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    database: Option<String>,
    /// The data directory of this controller
    #[arg(
        long,
        env = "PERILUNE_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "./perilune-data"
    )]
    data_dir: PathBuf,
}

#[derive(Args)]
pub(crate) struct Move {
    /// The database to copy from
    #[arg(long)]
    from: Kind,
    /// The database to copy to; it must be empty
    #[arg(long)]
    to: Kind,
    #[command(flatten)]
    place: Place,
}

/// Kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The file in the data directory.
    Sqlite,
    /// The database that controllers share.
    Postgres,
}

pub(crate) fn run(config: Option<PathBuf>, command: &Command) -> Result<(), Failure> {
    let place = match command {
        Command::Init(place) | Command::Migrate(place) | Command::Check(place) => place,
        Command::Move(arguments) => &arguments.place,
    };
    become_owner(&place.data_dir)?;
    let options = place.options(config)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::failed(format!("the runtime does not start: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Init(_) => prepare(&options, false).await,
            Command::Migrate(_) => prepare(&options, true).await,
            Command::Check(_) => check(&options).await,
            Command::Move(arguments) => bring(&options, arguments).await,
        }
    })
}

impl Place {
    fn options(&self, config: Option<PathBuf>) -> Result<Options, Failure> {
        let data_dir = std::path::absolute(&self.data_dir).map_err(|error| {
            Failure::usage(format!("--data-dir {}: {error}", self.data_dir.display()))
        })?;
        let database = self.database.as_deref().map(serve::database).transpose();
        let database = database.map_err(|error| Failure::usage(format!("{error:#}")))?;
        Ok(Options {
            config,
            data_dir,
            listen: Vec::new(),
            dhcp_interfaces: Vec::new(),
            address: None,
            bootstrap: None,
            agent: None,
            worker: None,
            database,
            proxies: Vec::new(),
            program: Program::THIS,
        })
    }
}

fn failed(error: perilune_daemon::error::Error) -> Failure {
    Failure::failed(format!("{:#}", anyhow::Error::new(error)))
}

async fn prepare(options: &Options, is_migration: bool) -> Result<(), Failure> {
    if is_migration && let Err(error) = database::check(options).await {
        // Only what is older can be brought up to date.
        if !error.is_older_layout() {
            return Err(failed(error));
        }
    }
    let prepared = database::prepare(options).await.map_err(failed)?;
    let (database, key) = (&prepared.database, prepared.key_file.display());
    Ok(output::line(&match prepared.before {
        None => format!(
            "the database {database} is prepared; every controller needs the key of {key}: copy it to each"
        ),
        Some(_) => format!(
            "the database {database} is prepared, as it was before; the key of {key} is the right one"
        ),
    })?)
}

async fn check(options: &Options) -> Result<(), Failure> {
    let (database, checked) = database::check(options).await.map_err(failed)?;
    Ok(output::line(&format!(
        "the database {database} is whole, as of revision {} (PostgreSQL {}, layout {})",
        checked.revision, checked.server, checked.layout
    ))?)
}

async fn bring(options: &Options, arguments: &Move) -> Result<(), Failure> {
    let (place, Moved { revision, objects, entries, records }) =
        match (arguments.from, arguments.to) {
            (Kind::Sqlite, Kind::Postgres) => {
                database::move_to_postgres(options).await.map_err(failed)?
            }
            (Kind::Postgres, Kind::Sqlite) => {
                database::move_to_embedded(options).await.map_err(failed)?
            }
            _ => return Err(Failure::usage("--from and --to must differ".to_owned())),
        };
    Ok(output::line(&format!(
        "{place} has everything as of revision {revision}: {objects} objects, {entries} entries of the history, {records} records; what it was copied from is as it was"
    ))?)
}
