//! Starts everything, and stops it.

mod opened;
mod warn;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use opened::{Past, Work};
use perilune_boards::Writer;
use perilune_boot::{Directories, Protocol, Templates};
use perilune_dhcp::{Lease, Observer};
use perilune_model::{Cluster, Name};
use perilune_store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Lines};
use crate::auth::Keys;
use crate::backup::Database;
use crate::boots::{self, Evidence};
use crate::claims::Claims;
use crate::cluster::{self, ClusterService};
use crate::config::{self, Listen, Options, Settings};
use crate::control::{self, Control, PinnedCertificate};
use crate::controllers::Controllers;
use crate::discovery::{self, Discovery};
use crate::error::Error;
use crate::followers::Followers;
use crate::history::History;
use crate::holdings::Holding;
use crate::hooks::Hooks;
use crate::install_logs::InstallLog;
use crate::installations::Installed;
use crate::inventories;
use crate::jobs::trees::Performer;
use crate::jobs::{self, Places, Site, Torrents, Trees};
use crate::joining::Invitations;
use crate::metrics::Metrics;
use crate::os_users::OsUsers;
use crate::plugins::Runner;
use crate::prometheus::Prometheus;
use crate::seeder::Seeder;
use crate::sightings::Sightings;
use crate::spool::Spool;
use crate::state::{Parts, State};
use crate::status::NodeState;
use crate::swarm::Swarm;
use crate::tls::{self, ShownCertificate, Tls};
use crate::token_uses::Use;
use crate::vault::Vault;
use crate::{first_cluster, identity, names, own_addresses, own_holdings, servers, starters};

/// What is started: all but the API.
pub struct Started {
    /// What the API answers from.
    pub state: State,
    /// Where clients are to be answered.
    pub ports: Vec<Port>,
    /// The parts of the daemon. Whoever answers clients is one of them, and ends when `stop` is cancelled.
    pub tasks: JoinSet<()>,
    /// Ends all of them.
    pub stop: CancellationToken,
}

/// An address that is listened on.
pub struct Port {
    /// The socket.
    pub socket: TcpListener,
    /// Where that is.
    pub listen: Listen,
    /// What is spoken there.
    pub protocol: Protocol,
    /// What TLS is spoken with, if it is.
    pub tls: Option<TlsAcceptor>,
}

/// Starts all but the API, until `asked` is cancelled.
pub async fn start(options: Options, asked: CancellationToken) -> Result<Started, Error> {
    let (sockets, listen) = listen_on(&wanted(&options)?).await?;
    // What is listened on is what a configuration that is made tells clients.
    let settings = configure(&options, &listen)?;
    let options = settings.completing(options);
    let addresses: Vec<SocketAddr> = listen.iter().map(|listen| listen.address).collect();
    let (store, cluster) = open_store(&options, &settings).await?;
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let (service, commits) = ClusterService::new(store.clone(), cluster);
    tasks.spawn(commits);
    if let Some(follower) = store.follow() {
        tasks.spawn(cluster::follow(service.clone(), follower, stop.clone()));
    }
    own_addresses::tell(&service).await;
    tasks.spawn(own_addresses::follow(service.clone(), stop.clone()));
    let port = addresses.first().map_or(settings.port, SocketAddr::port);
    first_cluster::make_if_empty(&service, &options, &settings, port).await?;

    let protocols: Vec<Protocol> = listen.iter().map(|listen| listen.protocol(&settings)).collect();
    let speaks_tls = protocols.contains(&Protocol::Https);
    let tls = speaks_tls.then(|| Tls::open(&settings, &service.published())).transpose()?;
    tasks.spawn(tls::follow(tls.clone(), hangups()?, stop.clone()));
    let spoken: Vec<(Protocol, SocketAddr)> =
        protocols.iter().copied().zip(addresses.iter().copied()).collect();
    warn::of_protocols(&settings, &listen, &spoken, &service.published());

    let observers = crate::machines::observers(&options, &service.published());
    let evidence = evidence(&settings, &options, !observers.is_empty());
    let lines = settings.audit.clone().map(|destination| {
        let (lines, writing) = Lines::start(destination);
        tasks.spawn(writing);
        lines
    });
    let certificate = ShownCertificate(tls.clone());
    let shown = (spoken, certificate, evidence);
    let assembled = assemble(settings, &options, shown, lines, store, service);
    let (state, workers) = Box::pin(assembled).await?;
    workers.start(&mut tasks, &stop);
    tasks.spawn(state.controllers.clone().run(stop.clone()));
    tasks.spawn(close(asked, state.controllers.clone(), stop.clone()));
    if state.controllers.is_shared() {
        tasks.spawn(state.spool.clone().run(state.clone(), stop.clone()));
        tasks.spawn(own_holdings::follow(state.clone(), stop.clone()));
        tasks.spawn(state.leases.clone().follow(stop.clone()));
        tasks.spawn(state.jobs.clone().take_over(state.controllers.clone(), stop.clone()));
    }
    let (hooks, status, lead) =
        (state.hooks.clone(), state.status.clone(), state.controllers.lead());
    tasks.spawn(hooks.run(state.cluster.subscribe(), status, lead, stop.clone()));
    tasks.spawn(starters::follow(state.clone(), stop.clone()));
    seed(&state, &mut tasks, &stop).await;
    let followed = (state.cluster.made(), state.cluster.subscribe());
    let (kept, history) = (state.audit.clone(), state.history.clone());
    tasks.spawn(audit::follow(kept, history, followed, stop.clone()));
    tasks.spawn(state.metrics.clone().follow(state.status.clone(), stop.clone()));
    tasks.spawn(state.jobs.clone().run(stop.clone()));
    tasks.spawn(state.identities.clone().run(state.cluster.subscribe(), stop.clone()));
    serve_machines(&options, observers, &state, &mut tasks, &stop).await?;
    let acceptor =
        |protocol| tls.as_ref().filter(|_| protocol == Protocol::Https).map(|tls| tls.acceptor());
    let ports =
        sockets.into_iter().zip(listen).zip(protocols).map(|((socket, listen), protocol)| Port {
            socket,
            listen,
            protocol,
            tls: acceptor(protocol),
        });
    Ok(Started { ports: ports.collect(), state, tasks, stop })
}

/// Starts what machines find beside the API, here and by servers of the site.
async fn serve_machines(
    options: &Options,
    observers: Vec<Observer>,
    state: &State,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    // Before machines are told which name servers there are.
    names::start::start(options, state, tasks, stop).await;
    crate::machines::start(options, observers, state, tasks, stop)?;
    servers::worker::start(state, tasks, stop);
    Ok(())
}

/// The daemon's own database, or the one that it shares with other controllers.
pub(crate) async fn open_store(
    options: &Options,
    settings: &Settings,
) -> Result<(Store, Cluster), Error> {
    let Some(address) = settings.shared_database(options) else {
        return Ok(Store::open(&settings.data_dir, &settings.key_file)?);
    };
    let (name, key) = (&settings.controller, &settings.key_file);
    let opened = Store::connect_as(options.program, &address, name, key).await?;
    let own = settings.data_dir.join(perilune_store::DATABASE);
    if opened.1.revision() == 0 && own.exists() {
        return Err(Error::NotMoved { database: address.to_string(), file: own });
    }
    tracing::info!(database = %address, controller = name, "the database is shared with other controllers");
    Ok(opened)
}

pub(crate) fn configure(options: &Options, listen: &[Listen]) -> Result<Settings, Error> {
    if options.config.is_some() {
        make_directory(&options.data_dir)?;
    } else if let Some(made) = config::write_default(&options.data_dir, listen)? {
        tracing::info!(file = %made.file.display(), "first start: a configuration with a new password was made; clients on this machine find it there");
    }
    let file = options.configuration();
    let (settings, odd) = Settings::read(&file, &options.data_dir)?;
    for odd in odd {
        tracing::warn!(file = %file.display(), "{odd}");
    }
    if options.config.is_none() {
        warn::of_endpoint(&settings, listen);
    }
    Ok(settings)
}

fn make_directory(path: &Path) -> Result<(), Error> {
    let failed = |source| config::Error::File { path: path.to_owned(), action: "made", source };
    Ok(std::fs::create_dir_all(path).map_err(failed)?)
}

/// Where to listen: by the configuration, too, if it is there already.
fn wanted(options: &Options) -> Result<Vec<Listen>, Error> {
    let file = options.configuration();
    let known = file.exists().then(|| Settings::read(&file, &options.data_dir)).transpose()?;
    Ok(Listen::wanted(&options.listen, known.as_ref().map(|(settings, _)| settings)))
}

/// The sockets, and where they really are: the system may have chosen the port.
async fn listen_on(wanted: &[Listen]) -> Result<(Vec<TcpListener>, Vec<Listen>), Error> {
    let (mut sockets, mut listen) = (Vec::new(), Vec::<Listen>::new());
    for Listen { protocol, address } in wanted {
        let failed = |source: std::io::Error| {
            let taken = source.kind() == std::io::ErrorKind::AddrInUse;
            match listen.iter().find(|own| taken && own.covers(*address)) {
                Some(own) => Error::ListenTwice { address: *address, own: own.address },
                None => Error::Listen { address: *address, source },
            }
        };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        listen.push(Listen { protocol: *protocol, address });
        sockets.push(socket);
    }
    Ok((sockets, listen))
}

/// Seeds archives. A port that somebody else has keeps nobody from booting: nodes fetch by http then.
async fn seed(state: &State, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
    let settings = &state.settings;
    let Some(port) = settings.seed_port else { return };
    let seeder =
        Seeder::new(state.swarm.clone(), settings.image_files.clone(), settings.upload_limit);
    match seeder.listen(port).await {
        Ok(listener) => {
            tracing::info!(port, "seeding images");
            tasks.spawn(seeder.run(listener, stop.clone()));
        }
        Err(error) => {
            tracing::warn!(port, %error, "images are not seeded; name another port with [TORRENT] SEED_PORT, or end what has this one");
        }
    }
}

/// The signal that asks daemons to read their files anew; without this it would end the process.
fn hangups() -> Result<Signal, Error> {
    signal(SignalKind::hangup()).map_err(Error::Signal)
}

/// What must run for the state to do its work.
struct Workers {
    control: control::Worker,
    pins: Writer<String, PinnedCertificate>,
    discovery: discovery::Worker,
    states: Writer<Name, NodeState>,
    logs: Writer<Name, InstallLog>,
    boots: boots::Writers,
    leases: Writer<IpAddr, Lease>,
    jobs: jobs::Records,
    installations: Writer<Name, Installed>,
    inventories: Writer<Name, inventories::Kept>,
    audit: audit::Writers,
    token_uses: Writer<Name, Use>,
    holdings: Writer<Name, Holding>,
}

impl Workers {
    fn start(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        tasks.spawn(self.states.run());
        tasks.spawn(self.logs.run());
        tasks.spawn(self.boots.run());
        tasks.spawn(self.leases.run());
        tasks.spawn(self.pins.run());
        tasks.spawn(self.jobs.run());
        tasks.spawn(self.installations.run());
        tasks.spawn(self.inventories.run());
        tasks.spawn(self.audit.run());
        tasks.spawn(self.token_uses.run());
        tasks.spawn(self.holdings.run());
        tasks.spawn(self.control.run(stop.clone()));
        tasks.spawn(self.discovery.run(stop.clone()));
    }
}

/// What is spoken where.
type Spoken = Vec<(Protocol, SocketAddr)>;

async fn assemble(
    settings: Settings,
    options: &Options,
    (listen, certificate, evidence): (Spoken, ShownCertificate, BTreeSet<Evidence>),
    lines: Option<Lines>,
    store: Store,
    cluster: ClusterService,
) -> Result<(State, Workers), Error> {
    let trees = trees(&settings, options);
    let runner = plugin_runner(&settings, &trees);
    let places = made(places(&settings, trees, &listen, runner.clone()), &cluster)?;
    let Work { jobs, holdings, leases, token_uses, mut unreadable } =
        Work::open(&store, &settings, &cluster, places).await?;
    let past = Box::pin(Past::open(&store, evidence, lines)).await?;
    let (told, others) = (past.told, past.unreadable);
    unreadable.extend(others);
    let ((status, states), (boots, boots_writers)) = (past.status, past.boots);
    let (audit, audit_writers) = past.audit;
    let controllers = Controllers::open(&store, &cluster, &settings, &listen).await?;
    let shared = (status.clone(), boots.clone(), cluster.clone());
    let control::Opened { control, worker, pins, unreadable: others } =
        Control::open((&settings, runner.clone()), &store, shared).await?;
    unreadable.extend(others);
    let sightings = Sightings::new(store.life());
    let (discovery, switches) =
        Discovery::new(cluster.clone(), sightings.clone(), runner.clone(), controllers.lead());
    let state = State::new(Parts {
        boots,
        spool: Spool::new(&settings.data_dir),
        installations: told.installations.0,
        inventories: told.inventories.0,
        swarm: Swarm::default(),
        hooks: Hooks::new(runner.clone()),
        runner: runner.clone(),
        certificate,
        claims: Claims::new(store.life()),
        proxies: settings.proxies.iter().chain(&options.proxies).copied().collect(),
        prometheus: Prometheus::new(settings.prometheus.clone()),
        vault: Vault::new(store.clone()),
        database: Database::of(store.clone()),
        followers: Followers::new(store.life()),
        cluster,
        controllers,
        invitations: Invitations::to(settings.shared_database(options)),
        holdings: holdings.0,
        history: History::of(store),
        status,
        install_logs: told.logs.0,
        jobs: jobs.0,
        directory: OsUsers::open(&settings.directory, &runner),
        control,
        sightings,
        discovery,
        dhcp_interfaces: options.dhcp_interfaces.clone(),
        listen,
        metrics: Metrics::default(),
        names: names::prepare(&settings, options),
        servers: servers::prepare(&settings, options),
        leases: leases.0,
        unreadable,
        templates: templates(&settings),
        keys: Keys::new(&settings.secret_key, settings.expiry),
        audit,
        token_uses: token_uses.0,
        identities: identity::Maker::default(),
        settings,
    });
    let workers = Workers {
        control: worker,
        pins,
        discovery: switches,
        states,
        logs: told.logs.1,
        boots: boots_writers,
        leases: leases.1,
        jobs: jobs.1,
        installations: told.installations.1,
        inventories: told.inventories.1,
        audit: audit_writers,
        token_uses: token_uses.1,
        holdings: holdings.1,
    };
    Ok((state, workers))
}

/// The places, there and closed to others: what is served lies there, and nobody but who may has archives from it.
fn made(places: Places, cluster: &ClusterService) -> Result<Places, Error> {
    make_directory(&places.files)?;
    crate::archives::hide(&places, cluster.published());
    Ok(places)
}

/// Who works on trees.
fn trees(settings: &Settings, options: &Options) -> Trees {
    match &options.worker {
        Some(socket) => Trees::Worker(socket.clone()),
        None => Trees::Own(Box::new(Performer {
            files: settings.image_files.clone(),
            agent: options.agent.clone(),
            fence: None,
            plugins: None,
        })),
    }
}

fn places(settings: &Settings, trees: Trees, listen: &Spoken, runner: Runner) -> Places {
    Places {
        files: settings.image_files.clone(),
        images: settings.image_directory.clone(),
        trees,
        readers: settings.archive_readers,
        reached: settings.of_boot(listen),
        torrents: settings
            .torrents
            .then(|| Torrents { names_web_server: settings.seed_port.is_none() }),
        site: Site { runner, file_system: settings.image_file_system.clone() },
    }
}

/// What runs the site's programs.
fn plugin_runner(settings: &Settings, trees: &Trees) -> Runner {
    Runner::new(settings.plugins.clone(), settings.python.clone(), settings.plugins_user)
        .with(settings.privileged_plugins.clone(), settings.working_classes.clone())
        .by_worker(trees.plugins())
}

/// The templates, the site's own among them.
fn templates(settings: &Settings) -> Templates {
    let directories = Directories {
        templates: settings.template_files.clone(),
        plugins: settings.plugins.clone(),
    };
    let templates = Templates::new(directories);
    for broken in templates.broken() {
        tracing::warn!(error = %broken, "a template of the site is left out");
    }
    templates
}

/// What shows that a boot is expected. Where another DHCP server answers the machines, their requests may never come here, and without
/// their own word for it no node would boot.
fn evidence(settings: &Settings, options: &Options, is_observed: bool) -> BTreeSet<Evidence> {
    let usual = || {
        let seen = [Evidence::Dhcp, Evidence::Power, Evidence::Arm];
        let is_seen = is_observed && !options.dhcp_interfaces.is_empty();
        let told = (!is_seen).then_some(Evidence::Search);
        seen.into_iter().chain(told).collect()
    };
    settings.evidence.clone().unwrap_or_else(usual)
}

/// Stops everything when somebody asks for it, once those know who choose between controllers.
async fn close(asked: CancellationToken, controllers: Controllers, stop: CancellationToken) {
    tokio::select! {
        () = asked.cancelled() => controllers.close().await,
        () = stop.cancelled() => asked.cancel(),
    }
    stop.cancel();
}

/// Clients are answered from now on. Waits until it is time to stop, then until every part has. A part that fails stops all.
pub async fn run(mut tasks: JoinSet<()>, stop: CancellationToken) -> Result<(), Error> {
    notify(&[sd_notify::NotifyState::Ready]);
    let mut failure = None;
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the daemon failed; it stops");
            failure = Some(error);
            stop.cancel();
        }
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    failure.map_or(Ok(()), |error| Err(Error::Task(error)))
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
