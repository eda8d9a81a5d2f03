//! A daemon behind a narrow uplink, and machines that fetch its image.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{command, end, run, wait_for};
use perilune_testkit::{Lab, Limit};
use perilune_torrent::client::Fetch;
use perilune_torrent::metainfo::{self, Torrent};
use perilune_torrent::tracker::Announcement;
use serde_json::{Value, json};

use super::{ARIA2C, Kind, Outcome, Terms};
use crate::bench::load::{self, Client, Request};

const CONTROLLER: &str = "10.141.255.254";
const PORT: u16 = 7050;
const ARCHIVE: &str = "image-1.tar.zst";
/// As the daemon cuts what is small.
const PIECE: usize = 256 << 10;
/// Whoever has not everything by then has failed: copies one after the other would not take longer.
const LONGEST: Duration = Duration::from_mins(15);

/// The network of the controller, and one for each machine on its bridge.
pub(super) struct Swarm {
    // Before the bridge that they are on.
    machines: Vec<Lab>,
    network: Lab,
}

impl Swarm {
    pub(super) fn make(count: u16) -> Result<Self> {
        let name = format!("bench-{}-torrent", std::process::id());
        let network = Lab::create(&name, &["10.141.255.254/16"])?;
        let mut swarm = Self { machines: Vec::new(), network };
        let directory = tempfile::tempdir()?;
        for number in 1..=count {
            let machine = format!("{name}-{number}");
            let ip = |words: &[&str]| run(command("ip").args(words), &Limit::seconds(20));
            ip(&["netns", "add", &machine])?;
            swarm.machines.push(Lab::existing(&machine));
            let port = format!("p{number}");
            let mac = mac(number);
            let end = ["address", &mac, "netns", &machine];
            let cable = ["link", "add", &port, "type", "veth", "peer", "name", "nic0"];
            ip(&[&["-n", &name][..], &cable, &end].concat())?;
            ip(&["-n", &name, "link", "set", &port, "master", BRIDGE, "up"])?;
            ip(&["-n", &machine, "link", "set", "lo", "up"])?;
            ip(&[
                "-n",
                &machine,
                "address",
                "add",
                &format!("{}/16", address(number)),
                "dev",
                "nic0",
            ])?;
            ip(&["-n", &machine, "link", "set", "nic0", "up"])?;
            let others = (1..=count).filter(|other| *other != number);
            // The kernel has one table of neighbours for all networks of this machine, and it is too small for that many.
            let known = others.map(|other| {
                let (address, mac) = (address(other), self::mac(other));
                format!("neighbour add {address} lladdr {mac} dev nic0 nud permanent\n")
            });
            let file = directory.path().join("neighbours");
            fs::write(&file, known.collect::<String>())?;
            ip(&["-n", &machine, "-batch", &file.display().to_string()])?;
        }
        Ok(swarm)
    }

    fn sent(&self) -> Result<f64> {
        let counter = format!("/sys/class/net/{BRIDGE}/statistics/tx_bytes");
        let text = run(self.network.command("cat").arg(counter), &Limit::seconds(10))?;
        Ok(text.trim().parse()?)
    }
}

fn address(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("10.141.{high}.{low}")
}

fn mac(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("52:54:00:02:{high:02x}:{low:02x}")
}

/// The daemon, and aria2c where that seeds.
pub(super) struct Site {
    seeder: Kind,
    directory: tempfile::TempDir,
    daemon: Child,
    aria2c: Option<Child>,
    torrent: Vec<u8>,
}

impl Site {
    pub(super) fn start(terms: &Terms, swarm: &Swarm, seeder: Kind) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("data");
        // The first start makes the configuration.
        let mut daemon = serve(terms, swarm, &data)?;
        end(&mut daemon);
        let port = if seeder == Kind::Own { 6881 } else { 0 };
        let mut ini = File::options().append(true).open(data.join("luna.ini"))?;
        writeln!(ini, "[TORRENT]\nENABLED = yes\nSEED_PORT = {port}")?;
        let files = data.join("files");
        fs::create_dir_all(&files)?;
        let torrent = image(&files, terms)?;
        let daemon = serve(terms, swarm, &data)?;
        let mut site = Self { seeder, directory, daemon, aria2c: None, torrent };
        swarm.network.inside(|| site.describe(terms.peers))??;
        shape(swarm, terms)?;
        if seeder == Kind::Aria2c {
            site.seed_by_aria2c(swarm)?;
        }
        Ok(site)
    }

    fn describe(&self, peers: u16) -> Result<()> {
        let ini = fs::read_to_string(self.directory.path().join("data/luna.ini"))?;
        let password =
            ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).context("no password")?;
        let body = json!({ "username": "admin", "password": password });
        let answer = Client::connect(PORT)?.exchange(&Request::post("/token", "", &body), 201)?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let token = answer.get("token").and_then(Value::as_str).context("no token")?;
        let image = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": ARCHIVE });
        load::config(PORT, token, "osimage", "image", &image)?;
        load::config(PORT, token, "group", "compute", &json!({ "osimage": "image" }))?;
        for number in 1..=peers {
            let interface = json!({ "interface": "BOOTIF", "ipaddress": address(number) });
            let node = json!({ "group": "compute", "interfaces": [interface] });
            load::config(PORT, token, "node", &format!("node{number:04}"), &node)?;
        }
        Ok(())
    }

    fn seed_by_aria2c(&mut self, swarm: &Swarm) -> Result<()> {
        let files = self.directory.path().join("data/files");
        let mut aria2c = swarm.network.command(ARIA2C);
        aria2c.args(["--enable-dht=false", "--seed-ratio=0", "--check-integrity=true", "--quiet"]);
        aria2c.arg("--dir").arg(&files).arg(files.join(format!("{ARCHIVE}.torrent")));
        self.aria2c = Some(aria2c.stdout(Stdio::null()).spawn().context("aria2c does not start")?);
        let is_there = || {
            let scraped = swarm.network.inside(|| get(CONTROLLER, "/scrape"));
            let scraped = scraped.ok().and_then(Result::ok).unwrap_or_default();
            scraped.windows(12).any(|part| part == b"8:completei1").then_some(())
        };
        let found = wait_for(&Limit::seconds(60), is_there)?;
        found.context("aria2c does not announce itself")
    }

    /// Has all machines fetch at once.
    pub(super) fn measure(&mut self, terms: &Terms, swarm: &Swarm, peers: Kind) -> Result<Outcome> {
        let torrent = self.directory.path().join("data/files").join(format!("{ARCHIVE}.torrent"));
        let (sent, daemon, processors) =
            (swarm.sent()?, self.processor_seconds()?, Processors::now()?);
        let started = Instant::now();
        let results: Vec<Result<f64>> = thread::scope(|scope| {
            let fetching: Vec<_> = (1..)
                .zip(&swarm.machines)
                .map(|(number, machine)| {
                    let place = self.directory.path().join(format!("{peers:?}-{number}"));
                    let (text, torrent) = (&self.torrent, &torrent);
                    scope.spawn(move || {
                        fs::create_dir(&place)?;
                        match peers {
                            Kind::Own => {
                                machine.inside(|| fetch_by_ours(text, &place, number, started))?
                            }
                            Kind::Aria2c => fetch_by_aria2c(machine, torrent, &place, started),
                        }
                    })
                })
                .collect();
            let results = fetching.into_iter().map(thread::ScopedJoinHandle::join);
            results
                .map(|result| result.unwrap_or_else(|_panic| bail!("a peer has a fault")))
                .collect()
        });
        let bytes = f64::from(terms.size) * f64::from(1 << 20);
        let copies = (swarm.sent()? - sent) / bytes;
        let daemon = self.processor_seconds()? - daemon;
        let busy = Processors::now()?.busy_since(&processors);
        let mut times = results.into_iter().collect::<Result<Vec<f64>>>()?;
        times.sort_by(f64::total_cmp);
        let original = fs::read(self.directory.path().join("data/files").join(ARCHIVE))?;
        for number in 1..=terms.peers {
            let place = self.directory.path().join(format!("{peers:?}-{number}"));
            ensure!(
                fs::read(place.join(ARCHIVE))? == original,
                "machine {number} got another image"
            );
        }
        Ok(Outcome { seeder: self.seeder, peers, times, copies, daemon, busy })
    }

    fn processor_seconds(&self) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.daemon.id()))?;
        let (_, fields) = text.rsplit_once(')').context("no name in /proc/pid/stat")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
    }

    pub(super) fn stop(&mut self) {
        end(&mut self.daemon);
        if let Some(aria2c) = &mut self.aria2c {
            end(aria2c);
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(terms: &Terms, swarm: &Swarm, data: &Path) -> Result<Child> {
    let mut serve = swarm.network.command(&terms.program.display().to_string());
    serve.args(["serve", "--log", "error", "--listen", &format!("0.0.0.0:{PORT}"), "--data-dir"]);
    let daemon =
        serve.arg(data).stdout(Stdio::null()).spawn().context("the daemon does not start")?;
    let answers = || swarm.network.inside(|| get("127.0.0.1", "/ping")).ok()?.ok();
    wait_for(&Limit::seconds(30), answers)?.context("the daemon does not answer")?;
    Ok(daemon)
}

/// An image that cannot be compressed, and its torrent.
fn image(files: &Path, terms: &Terms) -> Result<Vec<u8>> {
    let mut random = File::open("/dev/urandom")?;
    let mut bytes = vec![0; usize::try_from(terms.size)? << 20];
    random.read_exact(&mut bytes)?;
    fs::write(files.join(ARCHIVE), &bytes)?;
    let hashes: Vec<u8> = bytes.chunks(PIECE).flat_map(metainfo::sum).collect();
    let announce = format!("http://{CONTROLLER}:{PORT}/announce");
    let layout = (u64::try_from(bytes.len())?, u64::try_from(PIECE)?);
    let torrent = metainfo::write(&announce, None, ARCHIVE, layout, &hashes);
    fs::write(files.join(format!("{ARCHIVE}.torrent")), &torrent)?;
    Ok(torrent)
}

/// From now on no more than that leaves the controller; machines reach each other as they like.
fn shape(swarm: &Swarm, terms: &Terms) -> Result<()> {
    let rate = format!("{}mbit", terms.rate);
    let mut tc = swarm.network.command("tc");
    tc.args(["qdisc", "replace", "dev", BRIDGE, "root", "tbf", "rate", &rate]);
    run(tc.args(["burst", "64kb", "latency", "200ms"]), &Limit::seconds(10))?;
    Ok(())
}

fn fetch_by_ours(torrent: &[u8], place: &Path, number: u16, started: Instant) -> Result<f64> {
    let torrent = Torrent::read(torrent).context("the torrent cannot be read")?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    let file = options.open(place.join(ARCHIVE))?;
    let mut id = *b"-PE0001-bench-000000";
    if let Some(end) = id.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
    let fetch = Fetch { torrent: &torrent, file: &file, id, port: 6881 };
    let ask = |said: &Announcement| {
        get(CONTROLLER, &format!("/announce?{}", said.query())).map_err(|error| error.to_string())
    };
    fetch.while_fetching(&ask, |progress| {
        let mut pieces = 0..torrent.layout.pieces;
        pieces.try_for_each(|piece| progress.wait(piece, LONGEST))?;
        Ok(started.elapsed().as_secs_f64())
    })?
}

fn fetch_by_aria2c(machine: &Lab, torrent: &Path, place: &Path, started: Instant) -> Result<f64> {
    let mut aria2c = machine.command(ARIA2C);
    aria2c.args(["--enable-dht=false", "--seed-time=0", "--file-allocation=none", "--quiet"]);
    // As the install script has it.
    aria2c.args(["--max-connection-per-server=2", "--bt-stop-timeout=120"]);
    aria2c.arg("--dir").arg(place).arg(torrent);
    run(&mut aria2c, &Limit::seconds(LONGEST.as_secs()))?;
    Ok(started.elapsed().as_secs_f64())
}

/// The body of an answer.
fn get(host: &str, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect((host, PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|part| part == b"\r\n\r\n").context("no answer")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(answer.split_off(head + 4))
}

/// What all processors did (proc(5), `/proc/stat`).
struct Processors {
    all: f64,
    idle: f64,
}

impl Processors {
    fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<f64> =
            line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { all: ticks.iter().sum(), idle: ticks.iter().skip(3).take(2).sum() })
    }

    fn busy_since(&self, before: &Self) -> f64 {
        1.0 - (self.idle - before.idle) / (self.all - before.all).max(1.0)
    }
}
