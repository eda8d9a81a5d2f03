//! The log of the daemon: on standard error, and in the file that the configuration names. A hangup opens that file anew, so that it
//! can be rotated, and takes over the level.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use perilune_daemon::config::{self, Options, Settings};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::serve::LogFormat;

/// The running log.
pub(crate) struct Log {
    /// What the command line says of the level; that counts before the configuration.
    given: Option<String>,
    filter: reload::Handle<EnvFilter, Registry>,
    file: LogFile,
}

impl Log {
    /// Starts it. What of the configuration cannot be used is told by those who need it.
    pub(crate) fn start(
        given: Option<&str>,
        format: LogFormat,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let configured = configured(options);
        let filter = filter(given, configured.as_ref())?;
        let (filter, handle) = reload::Layer::new(filter);
        let file = LogFile::default();
        let path = configured.and_then(|configured| configured.file);
        let opened = path.as_deref().map(|path| file.open(path));
        let is_kept = matches!(opened, Some(Ok(())));
        let terminal = io::IsTerminal::is_terminal(&io::stderr());
        let in_file = is_kept.then(|| layer(format, false, file.clone()));
        let log = Registry::default().with(filter);
        log.with(layer(format, terminal, Standard)).with(in_file).init();
        if let (Some(path), Some(Err(error))) = (&path, opened) {
            tell_unopened(path, &error);
        }
        Ok(Self { given: given.map(str::to_owned), filter: handle, file })
    }

    /// Opens the file anew, and takes over the level, as the configuration has them by now.
    pub(crate) fn reload(&self, options: &Options) {
        let configured = configured(options);
        if configured.is_none() {
            tracing::error!(file = %options.configuration().display(), "told to reload: the configuration cannot be read, and the log goes on as before");
        }
        if let Some(path) = self.file.path()
            && let Err(error) = self.file.open(&path)
        {
            tell_unopened(&path, &error);
        }
        let Some(configured) = configured else { return };
        let renewed = filter(self.given.as_deref(), Some(&configured));
        if let Ok(filter) = renewed {
            // It fails only when the log has ended.
            self.filter.reload(filter).ok();
        }
        tracing::info!(
            "told to reload: the log's level and file are as configured; other settings count from the next start"
        );
        if configured.file != self.file.path() {
            tracing::warn!(
                "[LOGGER] LOGFILE names another file by now; it counts from the next start"
            );
        }
    }
}

fn configured(options: &Options) -> Option<config::Log> {
    let settings = Settings::read(&options.configuration(), &options.data_dir);
    settings.ok().map(|(settings, _)| settings.log)
}

fn filter(given: Option<&str>, configured: Option<&config::Log>) -> anyhow::Result<EnvFilter> {
    if let Some(given) = given {
        return EnvFilter::try_new(given)
            .with_context(|| format!("--log '{given}' is not a filter; try info"));
    }
    let directive = match configured.map(|log| log.level.as_str()) {
        // What libraries have to say at this level is for their authors.
        Some("debug") => "info,perilune=debug",
        Some("warning") => "warn",
        Some("error" | "critical") => "error",
        Some(_) | None => "info",
    };
    Ok(EnvFilter::new(directive))
}

fn layer<S, W>(format: LogFormat, is_coloured: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LogFormat::Text => {
            fmt::layer().with_ansi(is_coloured).with_target(false).with_writer(writer).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
    }
}

fn tell_unopened(path: &Path, error: &io::Error) {
    tracing::warn!(file = %path.display(), %error, "[LOGGER] LOGFILE cannot be opened; the log goes to standard error alone. Make its directory, or name another file");
}

/// Standard error.
struct Standard;

impl fmt::MakeWriter<'_> for Standard {
    type Writer = io::Stderr;

    fn make_writer(&self) -> io::Stderr {
        io::stderr()
    }
}

/// The file, once it is open.
#[derive(Clone, Default)]
struct LogFile(Arc<Mutex<Option<(PathBuf, File)>>>);

impl LogFile {
    /// Opens it, anew where it was open; where that fails, the former one stays.
    fn open(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        *self.lock() = Some((path.to_owned(), file));
        Ok(())
    }

    fn path(&self) -> Option<PathBuf> {
        self.lock().as_ref().map(|(path, _)| path.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<(PathBuf, File)>> {
        // What a panicking writer left is still a file.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.lock().as_mut() {
            Some((_, file)) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::MakeWriter<'_> for LogFile {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
