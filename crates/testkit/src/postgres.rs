//! A PostgreSQL of the distribution, on loopback, with a directory of its own.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot make its server has failed, and it waits for it"
)]

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::port::free_port;

const DEADLINE: Duration = Duration::from_mins(1);
/// Who the tests are in the database.
pub const USER: &str = "perilune";

/// A server that runs until this is dropped.
pub struct Postgres {
    programs: PathBuf,
    directory: tempfile::TempDir,
    account: Option<(u32, u32)>,
    port: u16,
    process: Option<Child>,
    databases: u32,
    /// A disk of its own, of so many MiB, which can be filled.
    disk: Option<u32>,
}

impl Postgres {
    /// Starts a server. `None`, said aloud, where the distribution has none installed.
    pub fn start() -> Option<Self> {
        Self::start_on(None)
    }

    /// The same on a disk of its own, of so many MiB; as are its standbys. Who is not root has none, and nothing fills.
    pub fn start_on_disk(size: u32) -> Option<Self> {
        Self::start_on(Some(size))
    }

    fn start_on(disk: Option<u32>) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is not there; install postgresql-15"
            );
            eprintln!(
                "SKIPPED: PostgreSQL is not there; install the package postgresql-15 (postgresql-server on EL) to test several controllers"
            );
            return None;
        };
        let disk = disk.filter(|_| rustix::process::geteuid().is_root());
        let mut server = Self::empty(programs, disk);
        // What it holds does not outlive the test; a crash of the server alone loses nothing without it.
        let made = server
            .program("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--username",
                USER,
            ])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.run(&[]);
        Some(server)
    }

    /// A server that does not run and has nothing yet.
    fn empty(programs: PathBuf, disk: Option<u32>) -> Self {
        let account = rustix::process::geteuid().is_root().then(|| account("postgres"));
        let directory = tempfile::tempdir().unwrap();
        if let Some((user, group)) = account {
            std::os::unix::fs::chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let (port, process, databases) = (free_port(), None, 0);
        let server = Self { programs, directory, account, port, process, databases, disk };
        server.mount();
        server
    }

    fn mount(&self) {
        let (Some(size), Some((user, group))) = (self.disk, self.account) else { return };
        fs::create_dir(self.data()).unwrap();
        let options = format!("size={size}m,mode=0700,uid={user},gid={group}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(self.data());
        assert!(mount.status().unwrap().success(), "the disk of the server is not mounted");
    }

    /// Fills the server's disk to the last byte.
    pub fn fill_disk(&self) {
        if self.disk.is_none() {
            return;
        }
        let mut file = fs::File::create(self.filler()).unwrap();
        for size in [1 << 20, 1 << 12] {
            let zeros = vec![0; size];
            while file.write_all(&zeros).is_ok() {}
        }
    }

    /// Makes room again; starts the server where it has ended for want of it.
    pub fn free_disk(&mut self) {
        if self.disk.is_none() {
            return;
        }
        fs::remove_file(self.filler()).unwrap();
        let started = Instant::now();
        while !self.answers() {
            if self.process.as_mut().is_none_or(|own| own.try_wait().unwrap().is_some()) {
                self.process = None;
                return self.run(&[]);
            }
            assert!(started.elapsed() < DEADLINE, "postgres does not answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn filler(&self) -> PathBuf {
        self.data().join("filler")
    }

    /// Starts the server again, with these settings beside its own, such as `max_connections=20`.
    pub fn run(&mut self, settings: &[&str]) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        command.arg("-p").arg(self.port.to_string());
        let own = [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=16MB",
            "max_wal_size=128MB",
        ];
        for setting in own.iter().chain(settings) {
            command.arg("-c").arg(setting);
        }
        let log = fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().unwrap();
        let started = Instant::now();
        while !self.answers() {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("postgres ended: {status}\n{}", self.log());
            }
            assert!(started.elapsed() < DEADLINE, "postgres does not answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
    }

    fn answers(&self) -> bool {
        let asked = self.psql().args(["-Atc", "SELECT 1", "postgres"]).output();
        asked.is_ok_and(|asked| asked.status.success())
            && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// The server's own client, by its socket: whoever is on this machine is let in there.
    fn psql(&self) -> Command {
        let mut command = self.program("psql");
        command.arg("-h").arg(self.directory.path()).arg("-p").arg(self.port.to_string());
        command.args(["-U", USER, "-v", "ON_ERROR_STOP=1"]);
        command
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a new database; answers its name.
    pub fn fresh(&mut self) -> String {
        self.databases += 1;
        let name = format!("test{}", self.databases);
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// How a daemon finds a database, at a port that may be that of a proxy.
    pub fn url(database: &str, port: u16) -> String {
        format!("postgresql://{USER}@127.0.0.1:{port}/{database}")
    }

    /// Runs statements in a database; answers what they say, a line for each row.
    pub fn sql(&self, database: &str, text: &str) -> String {
        let ran = self.psql().args(["-Atqc", text, database]).output().unwrap();
        assert!(ran.status.success(), "{text}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()
    }

    /// Writes a file that the server reads, below its directory; `data` has its settings.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = self.account {
            std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
        }
        path
    }

    /// Starts a standby of this server, without which no commit is acknowledged from now on.
    #[must_use]
    pub fn standby(&self) -> Self {
        let mut standby = Self::empty(self.programs.clone(), self.disk);
        let copied = standby
            .program("pg_basebackup")
            .args(["--no-sync", "--write-recovery-conf", "--checkpoint=fast", "-U", USER, "-h"])
            .arg(self.directory.path())
            .arg("-p")
            .arg(self.port.to_string())
            .arg("-D")
            .arg(standby.data())
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        standby.run(&[]);
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.sql("postgres", "SELECT pg_reload_conf()");
        standby
    }

    /// Makes a standby the server that takes changes.
    pub fn promote(&self) {
        self.sql("postgres", "SELECT pg_promote()");
    }

    /// The server stands still, with all that belongs to it: it takes connections and what is sent, and answers nothing.
    pub fn stop(&self) {
        signal_all_in(&self.data(), Signal::STOP);
    }

    /// It goes on where it stopped.
    pub fn go_on(&self) {
        signal_all_in(&self.data(), Signal::CONT);
    }

    /// Ends the server as a crash would, with all that belongs to it.
    pub fn crash(&mut self) {
        self.end(Signal::QUIT);
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut process) = self.process.take() else { return };
        if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal).ok();
        }
        process.wait().ok();
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.directory.path()).process_group(0);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end(Signal::QUIT);
        if self.disk.is_some() {
            Command::new("umount").arg("--lazy").arg(self.data()).status().ok();
        }
    }
}

/// Sends a signal to whatever works in a directory.
pub(crate) fn signal_all_in(directory: &Path, signal: Signal) {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let works_there = |process: &i32| {
        fs::read_link(format!("/proc/{process}/cwd")).is_ok_and(|place| place == directory)
    };
    for process in processes.filter(works_there).filter_map(Pid::from_raw) {
        kill_process(process, signal).ok();
    }
}

/// The newest of those that are installed.
pub(crate) fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    found.sort();
    found.insert(0, PathBuf::from("/usr/bin"));
    found.into_iter().rev().find(|directory| directory.join("initdb").exists())
}

/// The numbers of an account: a server refuses to run as root.
pub(crate) fn account(name: &str) -> (u32, u32) {
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:")));
    let mut fields = line.expect("the server's package makes the account").split(':').skip(2);
    let mut number = || fields.next().and_then(|field| field.parse().ok()).unwrap();
    (number(), number())
}
