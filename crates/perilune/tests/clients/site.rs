//! A daemon that serves a network of its own, and machines with one card in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{command, end, run, wait_for};
use perilune_testkit::{Error, Lab, Limit};

pub(crate) const CONTROLLER: &str = "10.141.255.254";
pub(crate) const ROUTER: &str = "10.141.255.253";
pub(crate) const NAME_SERVER: &str = "10.141.255.252";
/// The card of node001.
pub(crate) const NODE_MAC: &str = "52:54:00:00:00:01";

pub(crate) fn limit() -> Limit {
    Limit::seconds(60)
}

/// The daemon and its network.
pub(crate) struct Site {
    daemon: Child,
    pub(crate) network: Lab,
    directory: tempfile::TempDir,
    listen: Vec<String>,
    interfaces: Vec<&'static str>,
}

impl Site {
    /// A daemon that knows node001 and lends the addresses from `first` to `last` to strangers.
    pub(crate) fn start(first: &str, last: &str) -> Self {
        let network = Lab::create(&unique("controller"), &["10.141.255.254/16"]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let listen = vec!["0.0.0.0:7050".to_owned()];
        let interfaces = vec![BRIDGE];
        let daemon = serve(&network, directory.path(), &[], (&listen, &interfaces));
        let site = Self { daemon, network, directory, listen, interfaces };
        site.wait();
        let range = ["--dhcp", "yes", "--dhcp-range-begin", first, "--dhcp-range-end", last];
        let others = ["--gateway", ROUTER, "--nameserver-ip", NAME_SERVER];
        site.cli(&[&["network", "change", "cluster"], &range[..], &others[..]].concat());
        site.cli(&["group", "add", "compute"]);
        site.cli(&["node", "add", "node001", "--group", "compute", "--mac", NODE_MAC]);
        site
    }

    fn wait(&self) {
        let answers = || run(&mut self.command(&["cluster", "show"]), &limit()).ok();
        assert!(wait_for(&limit(), answers).unwrap().is_some(), "the daemon does not answer");
    }

    /// Ends the daemon and starts it again.
    pub(crate) fn restart(&mut self) {
        self.restart_by(&[]);
    }

    /// The same, so that it listens there.
    pub(crate) fn restart_at(&mut self, listen: &[&str]) {
        self.listen = listen.iter().map(|address| (*address).to_owned()).collect();
        self.restart();
    }

    /// The same, by a program that starts it.
    pub(crate) fn restart_by(&mut self, starter: &[&str]) {
        end(&mut self.daemon);
        let places = (&self.listen[..], &self.interfaces[..]);
        self.daemon = serve(&self.network, self.directory.path(), starter, places);
        self.wait();
    }

    /// The same, so that it leaves DHCP to others.
    pub(crate) fn restart_without_dhcp(&mut self) {
        self.interfaces.clear();
        self.restart();
    }

    /// Ends the daemon.
    pub(crate) fn stop(&mut self) {
        end(&mut self.daemon);
    }

    /// Gives the controller a further address on the network.
    pub(crate) fn address(&self, address: &str) {
        let words = ["address", "add", address, "dev", BRIDGE, "nodad"];
        let words = if address.contains(':') { &words[..] } else { &words[..5] };
        run(self.network.command("ip").args(words), &limit()).unwrap();
    }

    /// Writes a file into the daemon's directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.data().join(name), text).unwrap();
    }

    /// Has these sections at the end of the configuration, in place of those that this had before. They count from the next start on.
    pub(crate) fn configure(&self, sections: &str) {
        const MARK: &str = "; sections of a test\n";
        let file = self.data().join("luna.ini");
        let text = fs::read_to_string(&file).unwrap();
        let made = text.split(MARK).next().unwrap_or_default();
        fs::write(&file, format!("{made}{MARK}{sections}")).unwrap();
    }

    /// What the command line says, whether it succeeds or not.
    pub(crate) fn refused_or_said(&self, arguments: &[&str]) -> String {
        match run(&mut self.command(arguments), &limit()) {
            Ok(output) | Err(Error::Failed { output, .. }) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// What monitors hear of a service.
    pub(crate) fn monitor(&self, service: &str) -> String {
        let url = format!("http://127.0.0.1:7050/monitor/service/{service}");
        run(self.network.command("curl").args(["-s", &url]), &limit()).unwrap()
    }

    /// What the daemon has said since the first start.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Runs `perilune` on the controller.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments), &limit()).unwrap()
    }

    /// Runs `perilune` on the controller for what fails: its exit code, and all that it said.
    pub(crate) fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        match run(&mut self.command(arguments), &limit()) {
            Err(Error::Failed { status, output, .. }) => (status.code(), output),
            other => panic!("{other:?}"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.network.command(env!("CARGO_BIN_EXE_perilune"));
        command
            .args(arguments)
            .env("HOME", self.directory.path())
            .env("PERILUNE_CONFIG", self.data().join("luna.ini"));
        command
    }

    /// Where the daemon keeps everything.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A machine with one card, which is connected to the controller's network.
    pub(crate) fn machine(&self, mac: &str) -> Machine {
        Machine::connect(&self.network, mac)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        end(&mut self.daemon);
        if std::thread::panicking() {
            eprintln!("The daemon's log:\n{}", self.log());
        }
    }
}

pub(crate) fn serve(
    network: &Lab,
    directory: &Path,
    starter: &[&str],
    (listen, interfaces): (&[String], &[&str]),
) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let program = [starter, &[env!("CARGO_BIN_EXE_perilune")]].concat();
    network
        .command(program[0])
        .args(&program[1..])
        .arg("serve")
        .args(interfaces.iter().flat_map(|interface| ["--dhcp-interface", interface]))
        .args(listen.iter().flat_map(|address| ["--listen", address]))
        .args(["--log", "info,perilune_dhcp=debug", "--data-dir"])
        .arg(directory.join("data"))
        .env("HOME", directory)
        .env_remove("PERILUNE_CONFIG")
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A name that no other test has, also when tests run in one process.
pub(crate) fn unique(role: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("clients-{}-{}-{role}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A machine with the card `nic0`.
pub(crate) struct Machine {
    pub(crate) lab: Lab,
    directory: tempfile::TempDir,
}

impl Machine {
    /// A machine on the bridge of this network.
    pub(crate) fn connect(network: &Lab, mac: &str) -> Self {
        let lab = Lab::create(&unique("machine"), &[]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let machine = Self { lab, directory };
        connect(network, &machine.lab, "nic0", mac);
        machine.write_script();
        machine
    }

    /// What DHCP clients call: takes the address, and writes down all that was told.
    fn write_script(&self) {
        let script = format!(
            "#!/bin/sh\ncase \"$1$reason\" in\n\
             bound|BOUND|REBOOT) ip address replace \"${{ip:-$new_ip_address}}/16\" dev nic0; env >{} ;;\n\
             deconfig|RELEASE) ip address flush dev nic0 ;;\nesac\n",
            self.file("told").display()
        );
        fs::write(self.file("script"), script).unwrap();
        fs::set_permissions(self.file("script"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A file of this machine's own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a program on this machine.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let mut command = self.lab.command(program);
        run(command.args(arguments).current_dir(self.directory.path()), &limit())
    }

    /// What a program says to both its outputs, whether it succeeds or not.
    pub(crate) fn run_both(&self, program: &str, arguments: &[&str]) -> String {
        let words = [&["-c", "\"$@\" 2>&1 || true", "sh", program], arguments].concat();
        self.run("/bin/sh", &words).unwrap()
    }

    /// Gives the card an address without asking anybody.
    pub(crate) fn take(&self, address: &str) {
        self.run("ip", &["address", "add", address, "dev", "nic0"]).unwrap();
    }

    /// Asks with udhcpc, which fails when nobody gives an address.
    pub(crate) fn udhcpc(&self, program: &str, more: &[&str]) -> Result<Told, Error> {
        fs::remove_file(self.file("told")).ok();
        let script = self.file("script").display().to_string();
        let usual = ["-i", "nic0", "-n", "-q", "-f", "-t", "9", "-T", "3", "-s", &script];
        self.run(program, &[&usual[..], more].concat())?;
        Ok(self.told())
    }

    /// Asks with dhclient, configured so.
    pub(crate) fn dhclient(&self, program: &str, configuration: &str, more: &[&str]) {
        fs::write(self.file("dhclient.conf"), configuration).unwrap();
        let file = |name: &str| self.file(name).display().to_string();
        let (own, script) = (file("dhclient.conf"), file("script"));
        let (leases, pid) = (file("leases"), file("pid"));
        let usual = ["-v", "-cf", &own, "-sf", &script, "-lf", &leases, "-pf", &pid, "nic0"];
        self.run(program, &[more, &usual[..]].concat()).unwrap();
    }

    /// What the client's script was told.
    pub(crate) fn told(&self) -> Told {
        let text = fs::read_to_string(self.file("told")).expect("the client has an address");
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Told(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// A cable from a card of this name in `machine` to the bridge of `network`.
pub(crate) fn connect(network: &Lab, machine: &Lab, card: &str, mac: &str) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let port = format!("port{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let ip = |lab: &Lab, words: &[&str]| {
        run(command("ip").args(["-n", lab.name()]).args(words), &limit()).unwrap();
    };
    let cable = ["link", "add", card, "address", mac, "netns", machine.name(), "type", "veth"];
    ip(network, &[&cable[..], &["peer", "name", &port]].concat());
    ip(network, &["link", "set", &port, "master", BRIDGE, "up"]);
    ip(machine, &["link", "set", card, "up"]);
}

/// What a client learnt.
#[derive(Debug)]
pub(crate) struct Told(BTreeMap<String, String>);

impl Told {
    /// Nothing is an empty text.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}
