//! The day of an administrator with 1,000 nodes in ten racks, typed at the real command line against a real daemon, with the slips that
//! people make at each step. What a slip must not do is shown by the history: nothing was added to it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perilune_testkit::process::{command, end, wait_for};
use perilune_testkit::{Limit, Stop};
use serde_json::Value;

use crate::output::Output;

/// Nodes, and racks that they stand in.
const NODES: usize = 1_000;
const RACKS: usize = 10;
const IN_RACK: usize = NODES / RACKS;
/// Seconds until the daemon answers.
const START: u64 = 60;

/// Walks the day with this program.
pub(crate) fn run(program: &Path, stop: &Stop) -> Result<()> {
    let day = Day::begin(program, stop)?;
    day.describes_the_site()?;
    day.imports_a_table()?;
    day.selects()?;
    day.labels_and_rolls_out()?;
    day.removes_and_takes_back()?;
    day.is_careful()?;
    day.output.step("The day is over");
    day.output.line(&format!(
        "{} commands; the slowest took {:.2} s: {}",
        day.walked.take().len(),
        day.slowest.borrow().0.as_secs_f64(),
        day.slowest.borrow().1
    ));
    Ok(())
}

struct Day {
    program: PathBuf,
    directory: tempfile::TempDir,
    daemon: Child,
    output: Output,
    stop: Stop,
    walked: std::cell::RefCell<Vec<String>>,
    slowest: std::cell::RefCell<(Duration, String)>,
}

/// What a command said.
struct Said {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Drop for Day {
    fn drop(&mut self) {
        end(&mut self.daemon);
    }
}

impl Day {
    fn begin(program: &Path, stop: &Stop) -> Result<Self> {
        let output = Output::new();
        output.step("A controller");
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(directory.path().join("daemon.log"))?;
        let daemon = command(program)
            .args(["serve", "--log", "warn", "--address", "10.141.255.254/16"])
            .args(["--listen", &format!("http://127.0.0.1:{port}"), "--data-dir"])
            .arg(directory.path().join("data"))
            .env_remove("PERILUNE_CONFIG")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let (walked, slowest) = (std::cell::RefCell::default(), std::cell::RefCell::default());
        let (program, stop) = (program.to_owned(), stop.clone());
        let day = Self { program, directory, daemon, output, stop, walked, slowest };
        let answers = || {
            let is_there = day.directory.path().join("data/luna.ini").exists();
            (is_there && day.type_in(&["status"]).is_ok_and(|said| said.code == Some(0)))
                .then_some(())
        };
        let found = wait_for(&Limit::seconds(START).unless(&day.stop), answers)?;
        let log =
            || fs::read_to_string(day.directory.path().join("daemon.log")).unwrap_or_default();
        found.with_context(|| format!("the daemon does not answer:\n{}", log()))?;
        Ok(day)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn type_in(&self, words: &[&str]) -> Result<Said> {
        ensure!(!self.stop.is_requested(), "interrupted");
        let begun = Instant::now();
        let output = command(&self.program)
            .arg("--config")
            .arg(self.directory.path().join("data/luna.ini"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?
            .wait_with_output()?;
        let (took, line) = (begun.elapsed(), format!("perilune {}", words.join(" ")));
        if took > self.slowest.borrow().0 {
            self.slowest.replace((took, line.clone()));
        }
        self.walked.borrow_mut().push(line);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code();
        Ok(Said { code, output: text(output.stdout), errors: text(output.stderr) })
    }

    /// A command that is done.
    fn does(&self, words: &[&str]) -> Result<String> {
        let begun = Instant::now();
        let said = self.type_in(words)?;
        let line = words.join(" ");
        ensure!(
            said.code == Some(0),
            "perilune {line}: {:?}\n{}{}",
            said.code,
            said.output,
            said.errors
        );
        self.output
            .line(&format!("{:6.0} ms  perilune {line}", begun.elapsed().as_secs_f64() * 1e3));
        Ok(said.output)
    }

    /// A slip: refused with this exit code, with words that help, and nothing is changed.
    fn refuses(&self, words: &[&str], code: i32, helps: &[&str]) -> Result<()> {
        let before = self.revision()?;
        let said = self.type_in(words)?;
        let line = words.join(" ");
        ensure!(
            said.code == Some(code),
            "perilune {line}: {:?}, not {code}\n{}",
            said.code,
            said.errors
        );
        for word in helps {
            ensure!(
                said.errors.contains(word),
                "perilune {line} does not say '{word}':\n{}",
                said.errors
            );
        }
        let after = self.revision()?;
        ensure!(
            after == before,
            "perilune {line} was refused, and made revisions {before}..{after}"
        );
        let first = said.errors.lines().next().unwrap_or_default();
        self.output.line(&format!("  slip    perilune {line}\n{:>24}{first}", ""));
        Ok(())
    }

    /// A command that is one change.
    fn changes_once(&self, words: &[&str]) -> Result<String> {
        let before = self.revision()?;
        let said = self.does(words)?;
        let after = self.revision()?;
        ensure!(after == before + 1, "it made revisions {before}..{after}");
        Ok(said)
    }

    /// The newest revision.
    fn revision(&self) -> Result<u64> {
        let said = self.type_in(&["history", "-n", "1", "-o", "json"])?;
        let history: Value = serde_json::from_str(&said.output)?;
        let revision = history.pointer("/0/revision").and_then(Value::as_u64);
        revision.context("the history has no revision")
    }

    /// How many nodes a selector means.
    fn count(&self, selector: &str) -> Result<usize> {
        Ok(self.does(&["nodes", selector])?.lines().count())
    }

    fn describes_the_site(&self) -> Result<()> {
        self.output.step("Networks, an image, groups, racks");
        self.changes_once(&["network", "add", "ipmi", "--network", "10.148.0.0/16"])?;
        self.refuses(&["network", "add", "ib", "--network", "10.148.7.0/24"], 1, &["ipmi"])?;
        self.refuses(
            &["network", "add", "ib", "--network", "10.149.0.0/33"],
            1,
            &["10.149.0.0/33"],
        )?;
        self.refuses(&["network", "ad", "ib"], 2, &["ad"])?;
        let tree = self.path("debian12");
        fs::create_dir_all(&tree)?;
        self.does(&["osimage", "add", "debian12", "--path", &tree])?;
        self.does(&["osimage", "tag", "set", "debian12", "v6"])?;
        self.does(&["osimage", "tag", "set", "debian12", "v7"])?;
        self.refuses(&["group", "add", "compute", "--osimage", "debain12"], 1, &["debain12"])?;
        self.refuses(&["group", "add", "compute", "--osimag", "debian12"], 2, &["--osimage"])?;
        self.changes_once(&[
            "group",
            "add",
            "compute",
            "--osimage",
            "debian12",
            "--osimagetag",
            "v6",
        ])?;
        let bmc =
            ["group", "interface", "set", "compute", "BMC", "--network", "ipmi", "--addressing"];
        self.refuses(&[&bmc[..], &["like BOOTFI"]].concat(), 1, &["BOOTFI"])?;
        self.changes_once(&[&bmc[..], &["like BOOTIF"]].concat())?;
        self.changes_once(&["group", "add", "gpu", "--parent", "compute", "--label", "tier=gpu"])?;
        self.refuses(&["group", "change", "compute", "--parent", "gpu"], 1, &["ancestor"])?;
        let shown = self.does(&["group", "show", "gpu"])?;
        ensure!(shown.contains("(from group compute)"), "it does not say from where: {shown}");
        let size = IN_RACK.to_string();
        self.changes_once(&["rack", "add", &format!("r[1-{RACKS}]"), "--size", &size])?;
        Ok(())
    }

    /// The table of the nodes, with the last line of each change in it.
    fn table(&self, name: &str, change: impl Fn(usize, String) -> String) -> Result<String> {
        let mut text = "name,group,mac,ip,rack,position,label.row\n".to_owned();
        for number in 1..=NODES {
            let (rack, place) = ((number - 1) / IN_RACK + 1, (number - 1) % IN_RACK + 1);
            let group = if rack == RACKS { "gpu" } else { "compute" };
            let (high, low) = (number / 256, number % 256);
            let row = format!(
                "node{number:04},{group},02:00:00:00:{high:02x}:{low:02x},10.141.{rack}.{place},r{rack},{place},row{}",
                rack % 2
            );
            text.push_str(&change(number, row));
            text.push('\n');
        }
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn imports_a_table(&self) -> Result<()> {
        self.output.step("1,000 nodes from a table");
        let title = self.table("title.csv", |_, row| row)?;
        let text = fs::read_to_string(&title)?.replace("position", "positon");
        fs::write(&title, text)?;
        let import = |path: &str| ["node", "import", path, "--yes"].map(str::to_owned);
        let refused = |path: &str, code: i32, helps: &[&str]| {
            let words = import(path);
            self.refuses(&words.each_ref().map(String::as_str), code, helps)
        };
        refused(&title, 2, &["positon", "position"])?;
        let slips = self.table("slips.csv", |number, row| match number {
            17 => row.replace(",r1,", ",r77,"),
            18 => row.replace("compute", "comptue"),
            19 => row.replace("02:00:00:00:00:13", "02:00:00:00:00:01"),
            _ => row,
        })?;
        refused(&slips, 1, &["row 18", "r77", "row 19", "comptue", "row 20"])?;
        let path = self.table("nodes.csv", |_, row| row)?;
        let plan = self.does(&["--dry-run", "node", "import", &path])?;
        ensure!(plan.contains("node0001"), "the plan names no node: {plan}");
        self.changes_once(&["node", "import", &path, "--yes"])?;
        ensure!(
            self.does(&["node", "import", &path, "--yes"])?.contains("nothing"),
            "again is nothing"
        );
        self.refuses(&["node", "list", "--columns", "name,ip"], 2, &["there is no column 'ip'"])?;
        let rows =
            self.does(&["node", "list", "--columns", "name,address,bmc,rack", "-o", "csv"])?;
        ensure!(rows.lines().count() == NODES + 1, "{} lines", rows.lines().count());
        ensure!(
            rows.contains("node0207,10.141.3.7,10.148.3.7,r3"),
            "addresses are not alike:\n{rows}"
        );
        Ok(())
    }

    fn selects(&self) -> Result<()> {
        self.output.step("Which ones?");
        for (selector, expected) in [
            ("rack:r3", IN_RACK),
            ("rack:r[1-2]&node*1", IN_RACK / 5),
            ("rack:r3!node0201", IN_RACK - 1),
            ("@gpu", IN_RACK),
            ("image:debian12", NODES),
            ("label:tier=gpu", IN_RACK),
            ("label:row=row1&!rack:r1", NODES / 2 - IN_RACK),
            ("node[0001-0100/2]", IN_RACK / 2),
        ] {
            let found = self.count(selector)?;
            ensure!(found == expected, "{selector}: {found}, not {expected}");
        }
        self.refuses(&["nodes", "rack:r33"], 4, &["r33", "did you mean"])?;
        self.refuses(&["nodes", "label:rwo=row1"], 4, &["rwo"])?;
        self.refuses(&["nodes", "rack:r3&"], 2, &["rack:r3&"])?;
        self.refuses(&["node", "change", "node0001,node1001", "--comment", "x"], 4, &["node1001"])?;
        self.refuses(&["node", "list", "--group", "compute,gpu"], 2, &["one group"])?;
        let sorted = self.does(&[
            "node",
            "list",
            "rack:r1",
            "--sort=-position",
            "--columns",
            "name",
            "-o",
            "csv",
        ])?;
        ensure!(sorted.lines().nth(1) == Some("node0100"), "the highest comes first: {sorted}");
        Ok(())
    }

    fn labels_and_rolls_out(&self) -> Result<()> {
        self.output.step("A roll-out: first the canaries");
        self.refuses(
            &["node", "change", "rack:r1&node*1", "--label", "canary"],
            1,
            &["key=value"],
        )?;
        self.changes_once(&["node", "change", "rack:r1&node*1", "--label", "canary=yes"])?;
        let canaries = self.count("label:canary=yes")?;
        ensure!(canaries == IN_RACK / 10, "{canaries} canaries");
        self.refuses(&["node", "change", "label:canary=yes", "--osimagetag", "v8"], 1, &["v8"])?;
        self.refuses(&["node", "change", "label:canry=yes", "--osimagetag", "v7"], 4, &["canry"])?;
        self.changes_once(&["node", "change", "label:canary=yes", "--osimagetag", "v7"])?;
        ensure!(self.count("tag:v7")? == canaries, "others were rolled out to, too");
        let revision = self.revision()?;
        let fold = self.does(&["history", "show", &revision.to_string(), "--fold"])?;
        ensure!(fold.matches("~ node").count() == 1, "what changes alike is one line: {fold}");
        self.output.line("it went wrong: back");
        self.changes_once(&["undo", &revision.to_string()])?;
        ensure!(self.type_in(&["nodes", "tag:v7"])?.code == Some(4), "some are left behind");
        self.output.line("it went right: all of them");
        self.changes_once(&["group", "change", "compute", "--osimagetag", "v7"])?;
        ensure!(self.count("tag:v7")? == NODES, "the group below it does not follow");
        Ok(())
    }

    fn removes_and_takes_back(&self) -> Result<()> {
        self.output.step("Removing, and taking back");
        let before = self.does(&["export", "-o", "json"])?;
        self.refuses(&["node", "remove", "rack:r2"], 2, &["100 node", "--yes"])?;
        self.refuses(&["group", "remove", "compute", "--yes"], 1, &["group gpu"])?;
        self.refuses(&["network", "remove", "ipmi", "--yes"], 1, &["compute"])?;
        self.changes_once(&["node", "remove", "rack:r2", "--yes"])?;
        ensure!(self.count("*")? == NODES - IN_RACK, "not a hundred are gone");
        let revision = self.revision()?;
        self.changes_once(&["group", "interface", "remove", "compute", "BMC", "--yes"])?;
        let last = self.revision()?;
        self.changes_once(&["undo", &format!("{revision}..{last}")])?;
        ensure!(self.count("*")? == NODES, "they are not back");
        ensure!(self.does(&["export", "-o", "json"])? == before, "it is not as it was");
        self.changes_once(&["node", "add", "spare[1-3]", "--group", "compute"])?;
        let added = self.revision()?.to_string();
        self.refuses(&["undo", &added], 2, &["3 nodes removed", "spare[1-3]", "--yes"])?;
        self.changes_once(&["undo", &added, "--yes"])?;
        self.changes_once(&["node", "change", "@compute", "--comment", "touched"])?;
        let touched = self.revision()?;
        self.changes_once(&["node", "change", "node0001", "--comment", "again"])?;
        self.refuses(&["undo", &touched.to_string()], 1, &["node0001"])?;
        self.changes_once(&["undo", "--to", &(touched - 1).to_string()])?;
        ensure!(self.does(&["export", "-o", "json"])? == before, "it is not as it was");
        Ok(())
    }

    fn is_careful(&self) -> Result<()> {
        self.output.step("What could hurt");
        self.refuses(&["power", "off", "rack:r1"], 2, &["100 nodes", "--yes"])?;
        let key = self.path("munge.key");
        fs::write(&key, [0_u8, 255, 10, 13, 34])?;
        let content = format!("@{key}");
        let set = [
            "secret",
            "set",
            "cluster",
            "munge",
            "--content",
            &content,
            "--path",
            "/etc/munge/munge.key",
        ];
        self.refuses(&[&set[..], &["--mode", "4755"]].concat(), 1, &["set-user"])?;
        self.does(&[&set[..], &["--owner", "munge:munge", "--mode", "400"]].concat())?;
        let shown = self.does(&["secret", "show", "cluster", "munge"])?;
        ensure!(shown.contains("(hidden)"), "a secret is shown: {shown}");
        self.refuses(&["rack", "place", "r1", "node0200", "--position", "1"], 1, &["node0001"])?;
        self.refuses(&["history", "-n", "010"], 2, &["010"])?;
        let quiet = self.does(&["-q", "node", "change", "node0001", "--comment", "quiet"])?;
        ensure!(quiet.is_empty(), "it is not quiet: {quiet}");
        let one = self.does(&["node", "show", "node0001", "-o", "json"])?;
        let one: Value = serde_json::from_str(&one)?;
        ensure!(one.pointer("/node0001/group").is_some(), "one is shown as many are: {one}");
        Ok(())
    }
}
