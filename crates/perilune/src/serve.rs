//! `perilune serve`: hands over to the daemon.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// What the daemon is told on the command line.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The luna.ini to read; without one the daemon makes its own in the data directory
    #[arg(long, env = "PERILUNE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything of the daemon lives
    #[arg(
        long,
        env = "PERILUNE_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "./perilune-data"
    )]
    pub(crate) data_dir: PathBuf,
    /// Addresses to listen on; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:7050")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Answer DHCP and TFTP on this interface; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) dhcp_interface: Vec<String>,
    /// A bootstrap.ini for the first start
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap: Option<PathBuf>,
}

/// Runs until it is told to stop.
pub(crate) fn run(arguments: &ServeArgs) -> anyhow::Result<()> {
    anyhow::bail!("this build has no daemon (asked for {})", arguments.data_dir.display())
}
