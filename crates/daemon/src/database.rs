//! What is done with the databases of a controller while its daemon does not run.

use perilune_store::{Address, Store};
pub use perilune_store::{Checked, Moved};

use crate::config::{Listen, Options, Settings};
use crate::error::Error;
use crate::serve::configure;

/// What became of a database that was to be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Where it is.
    pub database: String,
    /// The layout that was there before.
    pub before: Option<u32>,
    /// The file of the key, which every controller needs.
    pub key_file: std::path::PathBuf,
}

/// Makes the tables of the shared database, or brings them up to date.
pub async fn prepare(options: &Options) -> Result<Prepared, Error> {
    let settings = configure(options, &Listen::wanted(&options.listen, None))?;
    let address = address(options, &settings)?;
    let before = Store::prepare(&address, &settings.key_file).await?;
    Ok(Prepared { database: address.to_string(), before, key_file: settings.key_file })
}

/// Whether the shared database has everything, and the key of this controller opens it.
pub async fn check(options: &Options) -> Result<(String, Checked), Error> {
    let settings = read(options)?;
    let address = address(options, &settings)?;
    let checked = Store::check(&address, &settings.key_file).await?;
    Ok((address.to_string(), checked))
}

/// Copies the daemon's own database to the shared one; answers what that is.
pub async fn move_to_postgres(options: &Options) -> Result<(String, Moved), Error> {
    let settings = read(options)?;
    let address = address(options, &settings)?;
    let (data, key) = (&settings.data_dir, &settings.key_file);
    let moved = Store::move_to_postgres(data, (&address, &settings.controller), key).await?;
    Ok((address.to_string(), moved))
}

/// Copies the shared database to a new one of the daemon's own; answers where that is.
pub async fn move_to_embedded(options: &Options) -> Result<(String, Moved), Error> {
    let settings = read(options)?;
    let address = address(options, &settings)?;
    let (data, key) = (&settings.data_dir, &settings.key_file);
    let moved = Store::move_to_embedded((&address, &settings.controller), data, key).await?;
    Ok((data.display().to_string(), moved))
}

fn read(options: &Options) -> Result<Settings, Error> {
    let (settings, _) = Settings::read(&options.configuration(), &options.data_dir)?;
    Ok(settings)
}

fn address(options: &Options, settings: &Settings) -> Result<Address, Error> {
    let none = || Error::NoDatabase { file: settings.file.clone() };
    settings.shared_database(options).ok_or_else(none)
}
