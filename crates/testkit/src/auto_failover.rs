//! Three servers of PostgreSQL that `pg_auto_failover` keeps, and its monitor, all on loopback: each server is a machine that is lost, stands still, or comes back.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot make its servers has failed, and it waits for them"
)]

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::port::free_port;
use crate::postgres::{USER, account, programs, signal_all_in};

const DEADLINE: Duration = Duration::from_mins(3);
const LOOK: Duration = Duration::from_millis(200);
const PROGRAM: &str = "/usr/bin/pg_autoctl";
const EXTENSION: &str = "extension/pgautofailover.control";
const MACHINES: usize = 3;
const DATABASE: &str = "perilune";

/// Three machines and the monitor; all that runs on them ends when this is dropped.
pub struct AutoFailover {
    programs: PathBuf,
    directory: tempfile::TempDir,
    account: (u32, u32),
    /// The monitor comes first.
    ports: Vec<u16>,
    processes: Vec<Option<Child>>,
}

impl AutoFailover {
    /// Starts them. `None`, said aloud, where `pg_auto_failover` is not installed, or who asks is not root.
    pub fn start() -> Option<Self> {
        let programs = programs().filter(|_| rustix::process::geteuid().is_root());
        let is_there = |programs: &PathBuf| {
            let version = programs.parent().and_then(Path::file_name);
            let shared = version.map(|version| Path::new("/usr/share/postgresql").join(version));
            Path::new(PROGRAM).exists() && shared.is_some_and(|at| at.join(EXTENSION).exists())
        };
        let Some(programs) = programs.filter(is_there) else {
            eprintln!(
                "SKIPPED: pg_auto_failover is run by root, with the packages pg-auto-failover-cli and postgresql-15-auto-failover"
            );
            return None;
        };
        let account = account("postgres");
        let directory = tempfile::tempdir().unwrap();
        chown(directory.path(), Some(account.0), Some(account.1)).unwrap();
        let ports = (0..=MACHINES).map(|_| free_port()).collect();
        let processes = (0..=MACHINES).map(|_| None).collect();
        let mut all = Self { programs, directory, account, ports, processes };
        for number in 0..=MACHINES {
            let home = all.home(number);
            fs::create_dir(&home).unwrap();
            chown(&home, Some(account.0), Some(account.1)).unwrap();
        }
        all.make_monitor();
        for number in 1..=MACHINES {
            all.make_machine(number);
            // The first one is the primary.
            all.until("a machine does not join", |all| {
                all.states().iter().any(|(machine, _)| *machine == number).then_some(())
            });
        }
        // A copy of the primary waits for a checkpoint.
        all.until("there are no standbys", |all| {
            all.sql(all.port(1), "postgres", DATABASE, "CHECKPOINT");
            (all.count("secondary") == MACHINES - 1).then_some(())
        });
        all.until_synchronous();
        Some(all)
    }

    /// How a daemon finds the database: at whichever takes changes.
    pub fn url(&self) -> String {
        let hosts = (1..=MACHINES).map(|number| format!("127.0.0.1:{}", self.port(number)));
        format!("postgresql://{USER}@{}/{DATABASE}", hosts.collect::<Vec<_>>().join(","))
    }

    /// The versions of what runs.
    pub fn versions(&self) -> String {
        let of = |program: &Path| {
            let said = Command::new(program).arg("--version").output().unwrap();
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            said.lines().next().unwrap_or_default().to_owned()
        };
        [Path::new(PROGRAM), &self.programs.join("postgres")].map(of).join(", ")
    }

    /// How many standbys commits wait for, by the monitor's word.
    pub fn number_sync_standbys(&self) -> String {
        let sql = "SELECT number_sync_standbys FROM pgautofailover.formation";
        self.ask_monitor(sql)
    }

    /// The machine whose server takes changes, by the monitor's word.
    pub fn leader(&self) -> Option<usize> {
        let leads = |state: &str| ["primary", "wait_primary", "single"].contains(&state);
        self.states().into_iter().find(|(_, state)| leads(state)).map(|(number, _)| number)
    }

    /// Waits until somebody leads, other than this one.
    pub fn until_another_leads(&self, former: usize) -> usize {
        self.until("nobody else leads", |all| all.leader().filter(|leader| *leader != former))
    }

    /// Waits until one leads, and the others follow.
    pub fn until_synchronous(&self) {
        self.until("not all standbys follow", |all| {
            let is_well = all.count("primary") == 1 && all.count("secondary") == MACHINES - 1;
            is_well.then_some(())
        });
    }

    /// What the leader waits for.
    pub fn waits_for(&self) -> String {
        let leader = self.until("nobody leads", Self::leader);
        self.sql(self.port(leader), "postgres", DATABASE, "SHOW synchronous_standby_names")
    }

    /// The power of a machine is cut.
    pub fn cut_power(&mut self, number: usize) {
        // Whatever its programs start while they are ended is found by another look.
        for _ in 0..3 {
            self.signal(number, Signal::KILL);
        }
        if let Some(mut process) = self.processes.get_mut(number).and_then(Option::take) {
            process.wait().ok();
        }
    }

    /// The machine is switched on again.
    pub fn switch_on(&mut self, number: usize) {
        let mut program = self.command(number);
        program.args(["run", "--pgdata"]).arg(self.data(number));
        self.spawn(number, program);
    }

    /// Everything on the machine stands still.
    pub fn stop(&self, number: usize) {
        self.signal(number, Signal::STOP);
    }

    /// It goes on.
    pub fn go_on(&self, number: usize) {
        self.signal(number, Signal::CONT);
    }

    /// The number of the monitor, which is a machine as well.
    pub const MONITOR: usize = 0;

    fn make_monitor(&mut self) {
        let mut program = self.command(Self::MONITOR);
        program.args(["create", "monitor"]);
        self.make(Self::MONITOR, program);
        self.until("the monitor does not answer", |all| {
            (!all.number_sync_standbys().is_empty()).then_some(())
        });
    }

    fn make_machine(&mut self, number: usize) {
        let mut program = self.command(number);
        let monitor = self.port(Self::MONITOR);
        let monitor = format!("postgres://autoctl_node@127.0.0.1:{monitor}/pg_auto_failover");
        program.args(["create", "postgres", "--monitor", &monitor]);
        program.args(["--name", &number.to_string(), "--username", USER, "--dbname", DATABASE]);
        self.make(number, program);
    }

    fn make(&mut self, number: usize, mut program: Command) {
        program.args(["--auth", "trust", "--no-ssl", "--hostname", "127.0.0.1", "--run"]);
        program.args(["--pgport", &self.port(number).to_string(), "--pgdata"]);
        program.arg(self.data(number));
        self.spawn(number, program);
    }

    fn spawn(&mut self, number: usize, mut program: Command) {
        if let Some(place) = self.processes.get_mut(number) {
            *place = Some(program.spawn().unwrap());
        }
    }

    fn command(&self, number: usize) -> Command {
        let home = self.home(number);
        let log = fs::File::options().create(true).append(true).open(home.join("log")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.current_dir(&home).process_group(0).uid(self.account.0).gid(self.account.1);
        command
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", &home);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.programs.display()));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// How each machine is, by the monitor's word.
    fn states(&self) -> Vec<(usize, String)> {
        let sql = "SELECT nodename, reportedstate FROM pgautofailover.node WHERE goalstate = reportedstate";
        let text = self.ask_monitor(sql);
        let read = |line: &str| {
            let (name, state) = line.split_once('|')?;
            Some((name.parse().ok()?, state.to_owned()))
        };
        text.lines().filter_map(read).collect()
    }

    fn count(&self, state: &str) -> usize {
        self.states().iter().filter(|(_, is)| is == state).count()
    }

    fn ask_monitor(&self, sql: &str) -> String {
        self.sql(self.port(Self::MONITOR), "autoctl_node", "pg_auto_failover", sql)
    }

    /// What a server answers; nothing where it does not.
    fn sql(&self, port: u16, user: &str, database: &str, text: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", user, "-w"]);
        psql.args(["-Atqc", text, database]).env("PGCONNECT_TIMEOUT", "2");
        let ran = psql.output().unwrap();
        String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()
    }

    fn signal(&self, number: usize, signal: Signal) {
        // Its programs work in one directory, and PostgreSQL in another.
        for directory in [self.home(number), self.data(number)] {
            signal_all_in(&directory, signal);
        }
    }

    fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begun.elapsed() < DEADLINE, "{what}: {:?}\n{}", self.states(), self.logs());
            std::thread::sleep(LOOK);
        }
    }

    /// The end of what each has said.
    fn logs(&self) -> String {
        let log = |number| {
            let text = fs::read_to_string(self.home(number).join("log")).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(15));
            last.copied().collect::<Vec<_>>().join("\n")
        };
        (0..=MACHINES).map(log).collect::<Vec<_>>().join("\n\n")
    }

    fn port(&self, number: usize) -> u16 {
        self.ports.get(number).copied().unwrap()
    }

    fn home(&self, number: usize) -> PathBuf {
        self.directory.path().join(number.to_string())
    }

    fn data(&self, number: usize) -> PathBuf {
        self.home(number).join("data")
    }
}

impl Drop for AutoFailover {
    fn drop(&mut self) {
        for number in 0..=MACHINES {
            self.cut_power(number);
        }
    }
}
