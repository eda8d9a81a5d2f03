//! Three servers of PostgreSQL that Patroni keeps, with three of etcd, all on loopback: each pair is a machine that is lost, stands still, or comes back.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot make its servers has failed, and it waits for them"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::port::free_port;
use crate::postgres::{USER, account, programs, signal_all_in};

const DEADLINE: Duration = Duration::from_mins(3);
const LOOK: Duration = Duration::from_millis(100);
const NEEDED: [&str; 2] = ["/usr/bin/patroni", "/usr/bin/etcd"];
const MACHINES: usize = 3;
/// What every controller's database is called here.
const DATABASE: &str = "perilune";

/// Three machines; all that runs on them ends when this is dropped.
pub struct Patroni {
    programs: PathBuf,
    directory: tempfile::TempDir,
    account: (u32, u32),
    machines: Vec<Machine>,
}

/// A server of PostgreSQL with its Patroni, and an etcd.
struct Machine {
    port: u16,
    rest: u16,
    client: u16,
    peer: u16,
    etcd: Option<Child>,
    patroni: Option<Child>,
}

impl Patroni {
    /// Starts them, configured as `settings` says for all: lines of YAML. `None`, said aloud, where Patroni or etcd is not installed, or who asks is not root.
    pub fn start(settings: &str) -> Option<Self> {
        let missing = NEEDED.iter().find(|path| !Path::new(path).exists());
        let programs = programs().filter(|_| rustix::process::geteuid().is_root());
        let (None, Some(programs)) = (missing, programs) else {
            eprintln!(
                "SKIPPED: Patroni is run by root, with the packages patroni, etcd-server and postgresql-15"
            );
            return None;
        };
        let account = account("postgres");
        let directory = tempfile::tempdir().unwrap();
        chown(directory.path(), Some(account.0), Some(account.1)).unwrap();
        let machine = |_| Machine {
            port: free_port(),
            rest: free_port(),
            client: free_port(),
            peer: free_port(),
            etcd: None,
            patroni: None,
        };
        let machines = (0..MACHINES).map(machine).collect();
        let mut all = Self { programs, directory, account, machines };
        for number in 0..MACHINES {
            all.configure(number, settings);
            all.start_etcd(number);
        }
        // Who comes first makes the database.
        all.start_patroni(0);
        let first = all.until("nobody leads", Self::leader);
        for number in 1..MACHINES {
            all.start_patroni(number);
        }
        let superuser = format!("CREATE ROLE {USER} LOGIN");
        all.sql(first, &superuser);
        all.sql(first, &format!("CREATE DATABASE {DATABASE} OWNER {USER}"));
        all.until_synchronous();
        Some(all)
    }

    /// How a daemon finds the database: at whichever takes changes.
    pub fn url(&self) -> String {
        let hosts = self.machines.iter().map(|one| format!("127.0.0.1:{}", one.port));
        format!("postgresql://{USER}@{}/{DATABASE}", hosts.collect::<Vec<_>>().join(","))
    }

    /// The versions of what runs.
    pub fn versions(&self) -> String {
        let of = |program: &Path| {
            let said = Command::new(program).arg("--version").output().unwrap();
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            said.lines().next().unwrap_or_default().to_owned()
        };
        [&PathBuf::from(NEEDED[0]), &PathBuf::from(NEEDED[1]), &self.programs.join("postgres")]
            .map(|program| of(program))
            .join(", ")
    }

    /// The machine whose server takes changes, by Patroni's word.
    pub fn leader(&self) -> Option<usize> {
        (0..MACHINES).find(|number| self.is(*number, "leader"))
    }

    /// Waits until somebody leads, other than this one.
    pub fn until_another_leads(&self, former: usize) -> usize {
        self.until("nobody else leads", |all| all.leader().filter(|leader| *leader != former))
    }

    /// Waits until there is a leader, and a synchronous standby.
    pub fn until_synchronous(&self) {
        self.until("there is no synchronous standby", |all| {
            let leader = all.leader()?;
            (0..MACHINES).find(|number| *number != leader && all.is(*number, "synchronous"))
        });
    }

    /// Waits until each follows or leads.
    pub fn until_all_run(&self) {
        self.until("a member does not run", |all| {
            let leader = all.leader()?;
            let follows = |number: usize| number == leader || all.is(number, "replica");
            (0..MACHINES).all(follows).then_some(())
        });
    }

    /// The power of a machine is cut: its PostgreSQL, its Patroni and its etcd are gone at once.
    pub fn cut_power(&mut self, number: usize) {
        self.signal(number, Signal::KILL);
        let machine = self.machine_mut(number);
        for process in [machine.patroni.take(), machine.etcd.take()].into_iter().flatten() {
            reap(process);
        }
    }

    /// The machine is switched on again.
    pub fn switch_on(&mut self, number: usize) {
        self.start_etcd(number);
        self.start_patroni(number);
    }

    /// Everything on the machine stands still.
    pub fn stop(&self, number: usize) {
        self.signal(number, Signal::STOP);
    }

    /// An etcd is gone, and with two of three the votes that Patroni needs.
    pub fn end_etcd(&mut self, number: usize) {
        if let Some(mut process) = self.machine_mut(number).etcd.take() {
            process.kill().unwrap();
            reap(process);
        }
    }

    /// Starts it again.
    pub fn start_etcd(&mut self, number: usize) {
        let Machine { client, peer, .. } = *self.machine(number);
        let name = |number: usize| format!("etcd{number}");
        let place = |port: u16| format!("http://127.0.0.1:{port}");
        let all = self.machines.iter().enumerate();
        let all: Vec<String> =
            all.map(|(number, one)| format!("{}={}", name(number), place(one.peer))).collect();
        let mut etcd = self.command(Path::new(NEEDED[1]), &name(number));
        etcd.args(["--name", &name(number), "--initial-cluster", &all.join(",")]);
        etcd.arg("--data-dir").arg(self.path(&name(number)));
        for (option, port) in [
            ("--listen-client-urls", client),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer),
            ("--initial-advertise-peer-urls", peer),
        ] {
            etcd.args([option, &place(port)]);
        }
        self.machine_mut(number).etcd = Some(etcd.spawn().unwrap());
    }

    fn start_patroni(&mut self, number: usize) {
        let name = format!("patroni{number}");
        let mut patroni = self.command(Path::new(NEEDED[0]), &name);
        patroni.arg(self.path(&format!("{name}.yml")));
        self.machine_mut(number).patroni = Some(patroni.spawn().unwrap());
    }

    fn configure(&self, number: usize, settings: &str) {
        let Machine { port, rest, .. } = *self.machine(number);
        let etcds = self.machines.iter().map(|one| format!("127.0.0.1:{}", one.client));
        let etcds = etcds.collect::<Vec<_>>().join(", ");
        let settings: Vec<String> = settings.lines().map(|line| format!("    {line}")).collect();
        let settings = settings.join("\n");
        let (home, programs) = (self.directory.path().display(), self.programs.display());
        let text = format!(
            "scope: test
name: machine{number}
restapi: {{ listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}' }}
etcd3: {{ hosts: [{etcds}] }}
bootstrap:
  dcs:
{settings}
    postgresql: {{ use_pg_rewind: true }}
  initdb: [{{ encoding: UTF8 }}, {{ locale: C }}, no-sync]
  pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {home}/data{number}
  bin_dir: {programs}
  pgpass: {home}/pgpass{number}
  authentication:
    superuser: {{ username: postgres }}
    replication: {{ username: replicator }}
  parameters: {{ unix_socket_directories: '{home}', shared_buffers: 16MB, max_wal_size: 128MB, fsync: 'off' }}
"
        );
        let file = self.path(&format!("patroni{number}.yml"));
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn command(&self, program: &Path, log: &str) -> Command {
        let log = self.path(&format!("{log}.log"));
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).process_group(0);
        command.uid(self.account.0).gid(self.account.1).env("HOME", self.directory.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Whether Patroni says that a machine is this; `false` where it does not answer.
    fn is(&self, number: usize, what: &str) -> bool {
        let ask = || -> std::io::Result<String> {
            let place = SocketAddr::from(([127, 0, 0, 1], self.machine(number).rest));
            // One that stands still takes a few connections, and no more.
            let mut stream = TcpStream::connect_timeout(&place, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            write!(stream, "GET /{what} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_default();
        answer.lines().next().is_some_and(|line| line.contains(" 200 "))
    }

    fn sql(&self, number: usize, text: &str) {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &self.machine(number).port.to_string()]);
        psql.args(["-U", "postgres", "-v", "ON_ERROR_STOP=1", "-Atqc", text, "postgres"]);
        let ran = psql.output().unwrap();
        assert!(ran.status.success(), "{text}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// All that runs on a machine: its Patroni, its etcd, and whatever works in the directory of its server.
    fn signal(&self, number: usize, signal: Signal) {
        let machine = self.machine(number);
        for process in [&machine.patroni, &machine.etcd].into_iter().flatten() {
            if let Some(process) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
                kill_process(process, signal).ok();
            }
        }
        signal_all_in(&self.path(&format!("data{number}")), signal);
    }

    fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begun.elapsed() < DEADLINE, "{what}\n{}", self.logs());
            std::thread::sleep(LOOK);
        }
    }

    /// The end of what each Patroni has said.
    fn logs(&self) -> String {
        let log = |number| {
            let text = fs::read_to_string(self.path(&format!("patroni{number}.log")));
            let text = text.unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(30));
            last.copied().collect::<Vec<_>>().join("\n")
        };
        (0..MACHINES).map(log).collect::<Vec<_>>().join("\n\n")
    }

    fn machine(&self, number: usize) -> &Machine {
        self.machines.get(number).unwrap()
    }

    fn machine_mut(&mut self, number: usize) -> &mut Machine {
        self.machines.get_mut(number).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for number in 0..MACHINES {
            self.cut_power(number);
        }
    }
}

fn reap(mut process: Child) {
    process.wait().ok();
}
