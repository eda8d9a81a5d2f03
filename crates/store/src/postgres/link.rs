//! Connections to the database server.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Address, Encryption, Host, Standby};
use crate::Error;

/// Connections for everything but commits, which have one of their own and never wait for a long read.
const CONNECTIONS: usize = 8;
/// How long one of the servers may take before the next is asked as well.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a connection may be made, with every server of the database asked.
const CREATE: Duration = Duration::from_secs(10);
/// How long somebody waits for a connection that others use.
const WAIT: Duration = Duration::from_secs(10);
/// How long what was sent may be unconfirmed before the connection counts as lost.
const UNCONFIRMED: Duration = Duration::from_secs(5);
/// Whatever a site sets for its users, a COMMIT is never ended by a clock: it would be reported as made. A transaction whose controller
/// has stopped in the middle of it must not hold its locks.
const SESSION: &str =
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=10000";
/// Commits that are not on the disk, and on the standbys that the server waits for, are not stored.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";
/// Tells the locks of names from others.
const NAMES: i32 = 0x7065_7269;
pub(super) const CHANNEL: &str = "perilune";

/// The ways to the database; clones share them.
#[derive(Clone)]
pub(super) struct Link {
    commits: Pool,
    others: Pool,
    maker: Arc<Maker>,
    /// Warnings of the server.
    warnings: Arc<AtomicU64>,
    standby: Standby,
    /// The server waits for no standby, as far as is known.
    is_alone: Arc<AtomicBool>,
    /// What hears on the connections of `others`.
    open: Open,
}

type Open = Arc<Mutex<Vec<AbortHandle>>>;

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Link")
    }
}

impl Link {
    pub(super) fn new(address: &Address) -> Result<Self, Error> {
        let warnings = Arc::<AtomicU64>::default();
        let maker = Arc::new(Maker::new(address)?);
        let pool = |size: usize, open: Open| {
            let maker = Maker { warnings: Arc::clone(&warnings), open, ..Maker::clone(&maker) };
            let config = ManagerConfig { recycling_method: RecyclingMethod::Verified };
            let manager = Manager::from_connect(maker.config.clone(), maker, config);
            let built = Pool::builder(manager)
                .max_size(size)
                .wait_timeout(Some(WAIT))
                .create_timeout(Some(CREATE))
                .recycle_timeout(Some(CONNECT))
                .runtime(Runtime::Tokio1)
                .build();
            built.map_err(|error| Error::Address(error.to_string()))
        };
        let open = Open::default();
        let (commits, others) = (pool(1, Open::default())?, pool(CONNECTIONS, Arc::clone(&open))?);
        let (standby, is_alone) = (address.standby, Arc::default());
        Ok(Self { commits, others, maker, warnings, standby, is_alone, open })
    }

    /// The connection of commits.
    pub(super) async fn for_commits(&self) -> Result<Object, Error> {
        self.take(&self.commits).await
    }

    /// A connection for anything else.
    pub(super) async fn any(&self) -> Result<Object, Error> {
        self.take(&self.others).await
    }

    async fn take(&self, pool: &Pool) -> Result<Object, Error> {
        pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Error::connecting(error),
            PoolError::Timeout(_) | PoolError::PostCreateHook(_) => Error::NoAnswer,
            PoolError::Closed | PoolError::NoRuntimeSpecified => Error::Closed,
        })
    }

    pub(super) fn standby(&self) -> Standby {
        self.standby
    }

    /// Whether nothing is to be stored that waits for no standby.
    pub(super) fn requires_standby(&self) -> bool {
        self.standby == Standby::Required
    }

    /// Whether a standby is required, and the server waits for none, as it was last heard.
    pub(super) fn lacks_standby(&self) -> bool {
        self.requires_standby() && self.is_alone.load(Ordering::Acquire)
    }

    pub(super) fn note_standby(&self, waits: bool) {
        self.is_alone.store(!waits, Ordering::Release);
    }

    /// How many warnings there were. Whoever sees more than before cannot be sure of what was just stored.
    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Acquire)
    }

    /// Forgets all connections when a failure shows that they lead to a server that takes no changes (any more).
    pub(super) fn note(&self, error: &Error) {
        if matches!(error, Error::Unreachable(_)) {
            self.commits.retain(|_, _| false);
            self.others.retain(|_, _| false);
        }
    }

    /// Ends all connections but that of commits: the server takes what is sent, and answers nothing. Whoever waits there would do so for as long as it
    /// stands still, while another has its place. A commit has a limit of its own.
    pub(super) fn give_up(&self) {
        self.others.retain(|_, _| false);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.drain(..).for_each(|task| task.abort());
    }

    /// A connection of its own that is told of commits. It holds the name of this controller, unless another connection does.
    pub(super) async fn listen(&self, controller: &str) -> Result<Listening, Error> {
        let told = Arc::new(Notify::new());
        let maker = Maker { told: Some(Arc::clone(&told)), ..Maker::clone(&self.maker) };
        let connected = timeout(CREATE, maker.connect(&maker.config)).await;
        let (client, task) =
            connected.map_err(|_elapsed| Error::NoAnswer)?.map_err(Error::connecting)?;
        let mut listening = Listening { client, told, holds_name: false, task };
        listening.client.batch_execute("LISTEN perilune").await?;
        let sql = "SELECT pg_try_advisory_lock($1, hashtext($2))";
        let taken = listening.client.query_one(sql, &[&NAMES, &controller]).await?;
        listening.holds_name = taken.try_get(0)?;
        Ok(listening)
    }
}

/// A connection that is told of commits. It ends with this.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) client: Client,
    pub(super) told: Arc<Notify>,
    pub(super) holds_name: bool,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes connections, and hears what servers say on them unasked.
#[derive(Clone)]
struct Maker {
    /// Without a server.
    config: Config,
    hosts: Vec<Host>,
    tls: MakeRustlsConnect,
    password_file: Option<std::path::PathBuf>,
    warnings: Arc<AtomicU64>,
    told: Option<Arc<Notify>>,
    open: Open,
}

impl Maker {
    fn new(address: &Address) -> Result<Self, Error> {
        if address.hosts.is_empty() {
            return Err(Error::Address("the database has no host".to_owned()));
        }
        let mut config = Config::new();
        let mode = match address.encryption {
            Encryption::None => SslMode::Disable,
            Encryption::System | Encryption::Authority(_) => SslMode::Require,
        };
        config
            .dbname(&address.database)
            .user(&address.user)
            .application_name("perilune")
            .options(SESSION)
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT)
            .tcp_user_timeout(UNCONFIRMED)
            .keepalives_idle(UNCONFIRMED)
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(2)
            .ssl_mode(mode);
        let tls = MakeRustlsConnect::new(believing(&address.encryption)?);
        let maker = Self {
            config,
            hosts: address.hosts.clone(),
            tls,
            password_file: address.password_file.clone(),
            warnings: Arc::default(),
            told: None,
            open: Arc::default(),
        };
        // What is wrong with the file is told at once, and not as a failed login.
        maker.password()?;
        Ok(maker)
    }

    /// Read for each connection: a password may be changed while the daemon runs.
    fn password(&self) -> Result<Option<String>, Error> {
        let Some(file) = &self.password_file else { return Ok(None) };
        let text = std::fs::read_to_string(file).map_err(|source| {
            Error::Address(format!("the password file {} cannot be read: {source}", file.display()))
        })?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            let empty = format!("the password file {} is empty", file.display());
            return Err(Error::Address(empty));
        }
        Ok(Some(password.to_owned()))
    }
}

type Connected = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connect for Maker {
    /// Asks one server after the other. One that takes connections and says nothing (its disk hangs, it was stopped) has the next asked beside it.
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let mut config = config.clone();
        // A file that is gone for a moment is a failed login, and tried again.
        if let Ok(Some(password)) = self.password() {
            config.password(password);
        }
        let attempt = move |host: &Host| {
            let mut config = config.clone();
            config.host(&host.name).port(host.port);
            self.connect_to(config)
        };
        Box::pin(async move {
            let mut left = self.hosts.iter();
            let mut asked = FuturesUnordered::new();
            asked.extend(left.next().map(&attempt));
            loop {
                let answer = match timeout(CONNECT, asked.next()).await {
                    Ok(Some(answer)) => Some(answer),
                    Ok(None) | Err(_) => None,
                };
                match (answer, left.next()) {
                    (Some(Ok(connected)), _) => return Ok(connected),
                    (_, Some(next)) => asked.push(attempt(next)),
                    (Some(Err(error)), None) if asked.is_empty() => return Err(error),
                    (Some(Err(_)) | None, None) => {}
                }
            }
        })
    }
}

impl Maker {
    async fn connect_to(&self, config: Config) -> Connected {
        let (client, mut connection) = config.connect(self.tls.clone()).await?;
        let (warnings, told) = (Arc::clone(&self.warnings), self.told.clone());
        let hear = async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                hear(&message, &warnings, told.as_deref());
            }
            // Whoever waits for news finds that there will be none.
            if let Some(told) = told {
                told.notify_one();
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the connection, whose owner aborts it"
        )]
        let task = tokio::spawn(hear);
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|other| !other.is_finished());
            open.push(task.abort_handle());
        }
        client.batch_execute(DURABLE).await?;
        Ok((client, task))
    }
}

fn hear(message: &AsyncMessage, warnings: &AtomicU64, told: Option<&Notify>) {
    match message {
        AsyncMessage::Notice(notice) if notice.parsed_severity() == Some(Severity::Warning) => {
            warnings.fetch_add(1, Ordering::AcqRel);
            tracing::warn!(code = notice.code().code(), "the database warns: {}", notice.message());
        }
        AsyncMessage::Notification(notification) if notification.channel() == CHANNEL => {
            if let Some(told) = told {
                told.notify_one();
            }
        }
        _ => {}
    }
}

/// A client that believes whom it is to believe.
fn believing(encryption: &Encryption) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match encryption {
        Encryption::None => {}
        Encryption::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Encryption::Authority(file) => {
            let unusable = |reason: String| {
                Error::Address(format!(
                    "the certificates in {} cannot be used: {reason}",
                    file.display()
                ))
            };
            let certificates = CertificateDer::pem_file_iter(file);
            for certificate in certificates.map_err(|error| unusable(error.to_string()))? {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("there is none".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Address(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
