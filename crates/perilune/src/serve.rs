//! `perilune serve`: runs the daemon until it is told to stop.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use perilune_daemon::config::{Listen, Options};
use perilune_daemon::connections::Limits;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// What the daemon is told on the command line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perilune serve                                        everything below ./perilune-data, no privileges needed
  perilune serve --data-dir /var/lib/perilune --dhcp-interface eth1
                                                        boot machines on eth1, too (as root)
  perilune serve --config /trinity/local/luna/daemon/config/luna.ini --data-dir /var/lib/perilune
                                                        with the configuration of an existing site
  perilune serve --listen https://0.0.0.0:7050 --listen http://0.0.0.0:7051
                                                        the API by https, boot files for firmware by http")]
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
    #[arg(
        help = "Where to listen, such as https://0.0.0.0:7050; may be repeated. Without the scheme, [API] PROTOCOL, or on its port [WEBSERVER] PROTOCOL, says what is spoken",
        long,
        value_name = "[SCHEME://]ADDRESS:PORT",
        default_value = "0.0.0.0:7050"
    )]
    pub(crate) listen: Vec<Listen>,
    /// Answer DHCP and TFTP on this interface; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) dhcp_interface: Vec<String>,
    /// A bootstrap.ini for the first start
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap: Option<PathBuf>,
    /// The static program that becomes /init of packed images; found beside this program without it
    #[arg(long, env = "PERILUNE_AGENT", hide_env_values = true, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// What log lines look like
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as `info,perilune_dhcp=debug`
    #[arg(long, env = "PERILUNE_LOG", value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs until it is told to stop.
pub(crate) fn run(arguments: &ServeArgs) -> anyhow::Result<()> {
    start_log(arguments)?;
    let options = Options {
        config: arguments.config.clone(),
        data_dir: std::path::absolute(&arguments.data_dir)
            .with_context(|| format!("--data-dir {}", arguments.data_dir.display()))?,
        listen: arguments.listen.clone(),
        dhcp_interfaces: arguments.dhcp_interface.clone(),
        bootstrap: arguments.bootstrap.clone(),
        agent: arguments.agent.clone(),
        connections: Limits::default(),
    };
    let runtime = tokio::runtime::Runtime::new().context("the runtime does not start")?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let told = stop.clone();
        let watch = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("stopping");
            told.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = watch => Ok(()),
            served = perilune_daemon::serve(options, stop, |_| {}) => served.map_err(anyhow::Error::from),
        }
    });
    // Threads that pack or read a file are not waited for: a second is all that a stop may take.
    runtime.shutdown_background();
    served
}

fn start_log(arguments: &ServeArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&arguments.log)
        .with_context(|| format!("--log '{}' is no filter; try info", arguments.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            log.with_ansi(terminal).with_target(false).init();
        }
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
