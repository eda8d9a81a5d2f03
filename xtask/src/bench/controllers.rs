//! Three controllers on a PostgreSQL with a synchronous standby, beside one controller on SQLite: changes a second, how long a single one takes, and how
//! long a controller takes to start on all that was made. Everything shares this machine and its disk.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perilune_testkit::Postgres;
use perilune_testkit::process::{Limit, command, end, run as run_command};
use serde_json::{Value, json};

use super::load::{self, Client, Request, Times};
use crate::output::{self, Output};

const CONTROLLERS: usize = 3;
/// Changes that are made one after the other, at one controller.
const ALONE: usize = 1000;
const CLIENTS: usize = 192;
const DEADLINE: Duration = Duration::from_mins(1);
/// What is acknowledged is on the disk of the server and of its standby.
const DURABLE: [&str; 3] = ["fsync=on", "full_page_writes=on", "max_wal_size=1GB"];

/// A daemon with a data directory.
struct Controller<'a> {
    program: &'a Path,
    data: PathBuf,
    database: Option<String>,
    port: u16,
    token: String,
    process: Child,
}

impl<'a> Controller<'a> {
    fn start(program: &'a Path, data: &Path, database: Option<String>) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = serve(program, data, database.as_deref(), port)?;
        let mut controller =
            Self { program, data: data.to_owned(), database, port, token: String::new(), process };
        controller.wait("/ping")?;
        let ini = fs::read_to_string(data.join("luna.ini"))?;
        let password =
            ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).context("no password")?;
        let login =
            Request::post("/token", "", &json!({"username": "admin", "password": password}));
        let answer: Value = serde_json::from_slice(&Client::connect(port)?.exchange(&login, 201)?)?;
        let token = answer.get("token").and_then(Value::as_str).context("no token")?;
        token.clone_into(&mut controller.token);
        Ok(controller)
    }

    fn wait(&self, path: &str) -> Result<()> {
        let begun = Instant::now();
        while load::get(self.port, path, &self.token).is_err() {
            ensure!(begun.elapsed() < DEADLINE, "{path} is not answered");
        }
        Ok(())
    }

    /// Ends it and starts it; the time until it shows a node.
    fn start_again(&mut self, node: usize) -> Result<Duration> {
        end(&mut self.process);
        let begun = Instant::now();
        self.process = serve(self.program, &self.data, self.database.as_deref(), self.port)?;
        self.wait(&format!("/config/node/node{node:04}"))?;
        Ok(begun.elapsed())
    }

    fn requests(&self, numbers: impl Iterator<Item = usize>) -> Vec<Request> {
        numbers.map(|number| super::node(number, &self.token)).collect()
    }
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn serve(program: &Path, data: &Path, database: Option<&str>, port: u16) -> Result<Child> {
    let mut serve = command(program.display().to_string());
    let listen = format!("http://127.0.0.1:{port}");
    serve.args(["serve", "--listen", &listen, "--address", "10.141.255.254/16", "--log", "error"]);
    serve.arg("--data-dir").arg(data).env_remove("PERILUNE_CONFIG").stdout(Stdio::null());
    if let Some(database) = database {
        serve.env("PERILUNE_DATABASE", database);
    }
    serve.spawn().context("the daemon does not start")
}

/// What was measured at one controller, or at several together.
struct Measured {
    alone: Times,
    together: f64,
    start: Duration,
}

/// Makes so many nodes at these controllers.
fn measure(controllers: &mut [Controller], nodes: usize) -> Result<Measured> {
    let first = controllers.first().context("a controller")?;
    load::config(first.port, &first.token, "group", "compute", &json!({}))?;
    let alone = load::timed(first.port, &first.requests(0..ALONE), 1, 201)?;
    let (count, clients) = (controllers.len(), CLIENTS / controllers.len());
    let shares: Vec<Vec<Request>> = (0..)
        .zip(controllers.iter())
        .map(|(number, one)| one.requests((ALONE + number..nodes).step_by(count)))
        .collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let making = controllers.iter().zip(&shares).map(|(one, share)| {
            let port = one.port;
            scope.spawn(move || load::all(port, share, clients, 201))
        });
        let making: Vec<_> = making.collect();
        making.into_iter().try_for_each(|one| match one.join() {
            Ok(made) => made.map(drop),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let together = (nodes - ALONE) as f64 / begun.elapsed().as_secs_f64();
    let last = controllers.last_mut().context("a controller")?;
    let mut start = DEADLINE;
    for _ in 0..3 {
        start = start.min(last.start_again(nodes - 1)?);
    }
    Ok(Measured { alone, together, start })
}

/// The servers, with what is acknowledged on both disks.
fn servers() -> Result<(Postgres, Postgres)> {
    let mut primary = Postgres::start().context("PostgreSQL is not there")?;
    primary.crash();
    primary.run(&DURABLE);
    let mut standby = primary.standby();
    standby.crash();
    standby.run(&DURABLE);
    Ok((primary, standby))
}

fn prepare(program: &Path, data: &Path, key: &Path, name: &str, url: &str) -> Result<()> {
    fs::create_dir_all(data)?;
    if key.exists() {
        fs::copy(key, data.join("luna.key"))?;
    }
    let mut init = command(program.display().to_string());
    init.args(["database", "init", "--database", url, "--data-dir"]).arg(data);
    run_command(init.env_remove("PERILUNE_CONFIG"), &Limit::seconds(60))?;
    let ini = data.join("luna.ini");
    let text = fs::read_to_string(&ini)?;
    Ok(fs::write(&ini, format!("{text}\n[DATABASE]\nCONTROLLER = {name}\n"))?)
}

/// Measures both with this program; `nodes` is how many are made in each.
pub(crate) fn run(program: &Path, nodes: usize, as_json: bool) -> Result<()> {
    ensure!(nodes > ALONE, "more than {ALONE} nodes are needed");
    let output = Output::new();
    let step = |what: &str| {
        if !as_json {
            output.step(what);
        }
    };
    let directory = tempfile::tempdir()?;
    step("One controller on SQLite");
    let one = Controller::start(program, &directory.path().join("one"), None)?;
    let one = measure(&mut [one], nodes)?;
    step("Three controllers on PostgreSQL");
    let (mut primary, _standby) = servers()?;
    let url = Postgres::url(&primary.fresh(), primary.port());
    let mut three = Vec::new();
    for number in 0..CONTROLLERS {
        let name = format!("controller{number}");
        let data = directory.path().join(&name);
        prepare(program, &data, &directory.path().join("controller0/luna.key"), &name, &url)?;
        three.push(Controller::start(program, &data, Some(url.clone()))?);
    }
    let three = measure(&mut three, nodes)?;
    show(nodes, &one, &three, as_json);
    Ok(())
}

fn show(nodes: usize, one: &Measured, three: &Measured, as_json: bool) {
    let rows = [
        ("changes a second, 192 clients", one.together, three.together, "≥ 3000"),
        ("one change, median (ms)", one.alone.percentile(50), three.alone.percentile(50), ""),
        ("one change, 99 of 100 (ms)", one.alone.percentile(99), three.alone.percentile(99), ""),
        ("start (ms)", one.start.as_secs_f64() * 1e3, three.start.as_secs_f64() * 1e3, "≤ 1000"),
    ];
    if as_json {
        let rows = rows.map(|(what, one, three, _)| json!({ "what": what, "nodes": nodes, "one on SQLite": one, "three on PostgreSQL": three }));
        output::block(&json!(rows).to_string());
        return;
    }
    output::block(&format!(
        "\n{nodes} nodes                      one on SQLite   three on PostgreSQL  goal"
    ));
    for (what, one, three, goal) in rows {
        output::block(&format!("{what:<30} {one:>13.1} {three:>21.1}  {goal}"));
    }
}
