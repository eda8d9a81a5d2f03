//! `perilune serve`: runs the daemon until it is told to stop.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use ipnet::{IpNet, Ipv4Net};
use perilune_api::Limits;
use perilune_daemon::config::{Address, Listen, Options, Program};
use perilune_daemon::{owner, standing};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::log::Log;

/// What the daemon is told on the command line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  perilune serve                                        everything below ./perilune-data, no privileges needed
  perilune serve --data-dir /var/lib/perilune --dhcp-interface eth1
                                                        boot machines on eth1, too (as root)
  perilune serve --config /trinity/local/luna/daemon/config/luna.ini --data-dir /var/lib/perilune
                                                        with the configuration of an existing site
  perilune serve --listen https://10.141.255.254:7050 --listen http://10.141.255.254:7051
                                                        on one address: the API by https, firmware alone by http")]
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
        help = "Where to listen, such as https://0.0.0.0:7050; may be repeated. Without the scheme, [API] PROTOCOL, or on its port [WEBSERVER] PROTOCOL, says what is spoken. Without this, port 7050 of all addresses, and that of [API] FIRMWARE_PORT",
        long,
        value_name = "[SCHEME://]ADDRESS:PORT"
    )]
    pub(crate) listen: Vec<Listen>,
    /// Answer DHCP and TFTP on this interface; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) dhcp_interface: Vec<String>,
    /// For a first start: this controller's address, with the prefix of its network; without it, that of --dhcp-interface or of the default route
    #[arg(long, value_name = "ADDRESS/PREFIX", value_parser = address, conflicts_with = "bootstrap")]
    pub(crate) address: Option<Ipv4Net>,
    #[arg(
        help = "The PostgreSQL database that several controllers share, such as postgresql://perilune@db1,db2/perilune?password_file=FILE ([DATABASE])",
        long,
        env = "PERILUNE_DATABASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) database: Option<String>,
    /// A proxy, or a network of them, that is believed about whom it speaks for; may be repeated ([API] PROXIES)
    #[arg(long, value_name = "ADDRESS", value_parser = network)]
    pub(crate) proxy: Vec<IpNet>,
    /// A bootstrap.ini for the first start
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap: Option<PathBuf>,
    /// The static program that becomes /init of packed images; found beside this program without it
    #[arg(long, env = "PERILUNE_AGENT", hide_env_values = true, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// The socket of the privileged worker that works on trees of operating systems; without it, the daemon does, as root
    #[arg(long, env = "PERILUNE_WORKER", hide_env_values = true, value_name = "SOCKET")]
    pub(crate) worker: Option<PathBuf>,
    /// What log lines look like
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    #[arg(
        help = "What is logged: error, warn, info, debug, or a filter such as `info,perilune_dhcp=debug`; without it, what [LOGGER] LEVEL says",
        long,
        env = "PERILUNE_LOG",
        value_name = "FILTER"
    )]
    pub(crate) log: Option<String>,
}

/// An address, or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
    network.map_err(|_not_one: std::net::AddrParseError| {
        "write an address or a network, such as 127.0.0.1 or 10.141.255.0/24".to_owned()
    })
}

/// An address at which machines can find somebody, with the prefix of its network.
pub(crate) fn address(text: &str) -> Result<Ipv4Net, String> {
    let address: Ipv4Net = text.parse().map_err(|_not_one| {
        "write an address with its network's prefix, such as 10.141.255.254/16".to_owned()
    })?;
    if standing::is_usable(address) {
        Ok(address)
    } else {
        Err("it is not the address of a host; write one in a network of /30 or larger, such as 10.141.255.254/16".to_owned())
    }
}

/// The database that controllers share, as `--database` says.
pub(crate) fn database(text: &str) -> anyhow::Result<Address> {
    text.parse().context("--database")
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
pub(crate) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    let options = options(arguments)?;
    if let Some((user, _)) = owner::other_owner(&options.data_dir) {
        let directory = options.data_dir.display();
        return Err(Failure::failed(format!(
            "{directory} was made for a daemon of the user {user}, which could not read what root writes there: systemctl start perilune"
        )));
    }
    let log = Log::start(arguments.log.as_deref(), arguments.log_format, &options)?;
    let Err(error) = serve(options, &log) else { return Ok(()) };
    if arguments.log_format == LogFormat::Text {
        return Err(error.into());
    }
    // Whoever reads JSON reads nothing else.
    tracing::error!(error = format!("{error:#}"), "the daemon ends");
    Err(Failure::Reported { code: 1 })
}

fn options(arguments: &ServeArgs) -> anyhow::Result<Options> {
    Ok(Options {
        config: arguments.config.clone(),
        data_dir: std::path::absolute(&arguments.data_dir)
            .with_context(|| format!("--data-dir {}", arguments.data_dir.display()))?,
        listen: arguments.listen.clone(),
        dhcp_interfaces: arguments.dhcp_interface.clone(),
        address: arguments.address,
        bootstrap: arguments.bootstrap.clone(),
        agent: arguments.agent.clone(),
        worker: arguments.worker.clone(),
        database: arguments.database.as_deref().map(database).transpose()?,
        proxies: arguments.proxy.clone(),
        program: Program::THIS,
    })
}

fn serve(options: Options, log: &Log) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime does not start")?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // From now on a hangup ends nothing.
        let mut hangup = signal(SignalKind::hangup())?;
        let (told, reloaded) = (stop.clone(), options.clone());
        let watch = async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => break,
                    _ = terminate.recv() => break,
                    _ = hangup.recv() => log.reload(&reloaded),
                }
            }
            tracing::info!("stopping");
            told.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = watch => Ok(()),
            served = perilune_api::serve(options, Limits::default(), stop, |_| {}) => served.map_err(anyhow::Error::from),
        }
    });
    // Threads that pack or read a file are not waited for: a second is all that a stop may take.
    runtime.shutdown_background();
    served
}
