//! The daemon of a run, on its embedded default: its own data directory, no configuration.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{end, wait_for};
use perilune_testkit::{Limit, Stop};

use crate::api::Api;
use crate::boot_programs;
use crate::build::Programs;
use crate::output::Output;
use crate::site::{CONTROLLER, Site};

/// Where clients and nodes find the API, by https.
pub(crate) const PORT: u16 = 7050;
/// Where firmware finds boot files by http, and nobody finds anything else.
pub(crate) const PLAIN_PORT: u16 = 7051;

/// Where the programs of a run are.
const PROGRAMS: &str = "bin";

pub(crate) struct Daemon {
    /// Whoever holds the lock for reading relies on it; it is killed and started anew under the lock for writing.
    process: RwLock<Child>,
    arguments: Vec<String>,
    /// What the process finds in its environment from its next start on.
    environment: Vec<(String, PathBuf)>,
    has_crashed: AtomicBool,
    log: PathBuf,
    data: PathBuf,
    /// The programs, side by side as a package installs them.
    programs: PathBuf,
    keep: bool,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub(crate) fn start(
        site: &Site,
        built: &Programs,
        output: &Output,
        stop: &Stop,
    ) -> Result<Self> {
        Self::start_at(&[CONTROLLER], site, built, output, stop)
    }

    /// The same at these addresses of the controller.
    pub(crate) fn start_at(
        controller: &[&str],
        site: &Site,
        built: &Programs,
        output: &Output,
        stop: &Stop,
    ) -> Result<Self> {
        let data = site.path("data");
        install_programs(site, built)?;
        boot_programs::provide(&data.join("tftp"))?;
        let listen = controller.iter().copied().chain(["127.0.0.1"]).flat_map(|address| {
            // As it stands in a URL.
            let address =
                if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            [format!("https://{address}:{PORT}"), format!("http://{address}:{PLAIN_PORT}")]
        });
        let mut arguments =
            vec!["serve".to_owned(), "--data-dir".to_owned(), data.display().to_string()];
        arguments.extend(listen.flat_map(|address| ["--listen".to_owned(), address]));
        arguments.extend(["--dhcp-interface".to_owned(), BRIDGE.to_owned()]);
        Self::begin(site, data, arguments, output, stop)
    }

    /// Starts what was set up, or restored, in a data directory, as its configuration says.
    pub(crate) fn serve(site: &Site, data: PathBuf, output: &Output, stop: &Stop) -> Result<Self> {
        let arguments =
            vec!["serve".to_owned(), "--data-dir".to_owned(), data.display().to_string()];
        Self::begin(site, data, arguments, output, stop)
    }

    fn begin(
        site: &Site,
        data: PathBuf,
        arguments: Vec<String>,
        output: &Output,
        stop: &Stop,
    ) -> Result<Self> {
        let programs = site.path(PROGRAMS);
        output.command("perilune", &arguments);
        let log = site.path("daemon.log");
        File::create(&log)?;
        let process = spawn(site, &programs, &arguments, &[], &log)?;
        let daemon = Self {
            process: RwLock::new(process),
            arguments,
            environment: Vec::new(),
            has_crashed: AtomicBool::new(false),
            log,
            data,
            programs,
            keep: false,
        };
        daemon.wait_until_it_answers(site, stop, &mut daemon.write())?;
        Ok(daemon)
    }

    /// As long as this is held, the daemon is not killed.
    pub(crate) fn steady(&self) -> RwLockReadGuard<'_, Child> {
        self.process.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Child> {
        self.process.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it at whatever it is doing, and starts it again; once in a run. Answers whether it did.
    pub(crate) fn crash_once(&self, site: &Site, stop: &Stop) -> Result<bool> {
        if self.has_crashed.swap(true, Ordering::Relaxed) {
            return Ok(false);
        }
        self.crash(site, stop)?;
        Ok(true)
    }

    /// Kills it at whatever it is doing, and starts it again.
    pub(crate) fn crash(&self, site: &Site, stop: &Stop) -> Result<()> {
        let mut process = self.write();
        kill(&mut process)?;
        self.begin_again(site, stop, &mut process)
    }

    /// Kills it at whatever it is doing. It is away until it is started again.
    pub(crate) fn kill(&self) -> Result<()> {
        kill(&mut self.write())
    }

    /// Starts it again after it was killed.
    pub(crate) fn start_again(&self, site: &Site, stop: &Stop) -> Result<()> {
        self.begin_again(site, stop, &mut self.write())
    }

    fn begin_again(&self, site: &Site, stop: &Stop, process: &mut Child) -> Result<()> {
        let Self { programs, arguments, environment, log, .. } = self;
        *process = spawn(site, programs, arguments, environment, log)?;
        self.wait_until_it_answers(site, stop, process)
    }

    fn wait_until_it_answers(&self, site: &Site, stop: &Stop, process: &mut Child) -> Result<()> {
        let limit = Limit::seconds(30).unless(stop);
        let answers = || {
            let ended = process.try_wait().ok().flatten().is_some();
            let version =
                site.lab.inside(|| Api::anonymous().get("/version").is_ok()).unwrap_or(false);
            (ended || version).then_some(version)
        };
        match wait_for(&limit, answers)? {
            Some(true) => Ok(()),
            Some(false) => bail!("the daemon ended; its log:\n{}", self.log_tail()),
            None => bail!("the daemon does not answer; its log:\n{}", self.log_tail()),
        }
    }

    /// From now on the API is answered in clear as well, as on sites that had it so; it is killed and started anew for that.
    pub(crate) fn answer_everything_in_clear(&self, site: &Site, stop: &Stop) -> Result<()> {
        let file = self.configuration();
        let text = fs::read_to_string(&file)?;
        let told = format!("FIRMWARE_PORT = {PLAIN_PORT}\n");
        ensure!(text.contains(&told), "{} has no {told}", file.display());
        let clear = format!("\n[WEBSERVER]\nPORT = {PLAIN_PORT}\nPROTOCOL = http\n");
        fs::write(&file, text.replace(&told, "") + &clear)?;
        self.crash(site, stop)
    }

    /// From now on another program serves DHCP, of which the configuration tells; the daemon is killed and started anew for that.
    pub(crate) fn leave_dhcp(
        &mut self,
        configuration: &str,
        site: &Site,
        stop: &Stop,
    ) -> Result<()> {
        let option = self.arguments.iter().position(|word| word == "--dhcp-interface");
        let at = option.context("it serves no DHCP")?;
        self.arguments.drain(at..=at + 1);
        self.configure(&format!("{configuration}TFTP_INTERFACES = {BRIDGE}\n"), site, stop)
    }

    /// From now on the configuration says this as well; the daemon is killed and started anew for that.
    pub(crate) fn configure(&self, more: &str, site: &Site, stop: &Stop) -> Result<()> {
        let mut file = File::options().append(true).open(self.configuration())?;
        write!(file, "\n{more}")?;
        self.crash(site, stop)
    }

    pub(crate) fn program(&self) -> String {
        self.programs.join("perilune").display().to_string()
    }

    /// The configuration that the daemon has written for itself: where clients find it, and how they log in.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.data.join("luna.ini")
    }

    /// Where the site's own scripts and roles are.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.data.join("plugins")
    }

    /// Where kernels and archives are.
    pub(crate) fn files(&self) -> PathBuf {
        self.data.join("files")
    }

    /// Where it serves boot programs from.
    pub(crate) fn tftp_root(&self) -> PathBuf {
        self.data.join("tftp")
    }

    /// What it has said since it was started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log(), 40)
    }

    pub(crate) fn log_file(&self) -> &Path {
        &self.log
    }

    /// What it finds in its environment when it is started the next time.
    pub(crate) fn set_environment(&mut self, environment: Vec<(String, PathBuf)>) {
        self.environment = environment;
    }

    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.keep {
            end(&mut self.write());
        }
    }
}

fn kill(process: &mut Child) -> Result<()> {
    process.kill().context("the daemon cannot be killed")?;
    process.wait()?;
    Ok(())
}

/// Puts the programs side by side, as a package does.
pub(crate) fn install_programs(site: &Site, built: &Programs) -> Result<()> {
    let programs = site.path(PROGRAMS);
    fs::create_dir_all(&programs)?;
    install(&built.perilune, &programs.join("perilune"))?;
    install(&built.agent, &programs.join("perilune-agent"))
}

/// The program that was put there.
pub(crate) fn program(site: &Site) -> String {
    site.path(PROGRAMS).join("perilune").display().to_string()
}

/// Starts the program; what it says is added to the log.
fn spawn(
    site: &Site,
    programs: &Path,
    arguments: &[String],
    environment: &[(String, PathBuf)],
    log: &Path,
) -> Result<Child> {
    let file = File::options().append(true).open(log)?;
    let mut serve = site.lab.command(&programs.join("perilune").display().to_string());
    serve.envs(environment.iter().map(|(name, value)| (name, value)));
    serve.args(arguments).stdout(file.try_clone()?).stderr(file);
    serve.spawn().context("the daemon does not start")
}

fn install(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(count));
    last.fold(String::new(), |text, line| text + "  | " + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_has_the_last_lines_that_say_something() {
        assert_eq!(tail("one\n\ntwo\n   \nthree\n", 2), "  | two\n  | three\n");
        assert_eq!(tail("", 2), "");
    }
}
