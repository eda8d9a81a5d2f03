//! The program as a shell sees it: what it prints where, and its exit codes.
#![cfg(test)]

mod apply;
mod auto_failover;
mod bulk;
mod changes;
mod chaos;
mod clones;
mod completion;
mod control;
mod controllers;
mod dry_run;
mod images;
mod import;
mod kill;
mod masters;
mod one_alone;
mod os_users;
mod patroni;
mod remarks;
mod select;
mod serve;
mod setup;
mod shared_images;
mod shared_jobs;
mod slips;
mod sync;
mod terminal;
mod tls;
mod tutorial;
mod upgrade;

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program in an empty home, where no daemon can be found.
struct Shell {
    home: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    #[expect(clippy::disallowed_methods, reason = "a test may block")]
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perilune"));
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// An address where nobody listens.
    fn deserted() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }
}

/// The program with the configuration of the daemon that has this data directory; nobody can be asked.
#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn perilune(data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perilune"))
        .arg("--config")
        .arg(data.join("luna.ini"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Everything that was said.
fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_daemon_the_exit_code_is_3_and_the_address_is_told() {
    let url = Shell::deserted();
    let output = Shell::new().run(&["--url", &url, "--token", "x", "node", "list"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        errors(&output).contains(&format!("cannot reach the daemon at {url}")),
        "{}",
        errors(&output)
    );
    assert!(errors(&output).contains("perilune serve"), "{}", errors(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn without_a_login_the_exit_code_is_3_and_the_ways_in_are_told() {
    let shell = Shell::new();
    // Where the machine that tests has a daemon of its own, that one is found.
    let system = ["/var/lib/perilune/luna.ini", "/trinity/local/luna/cli/config/luna.ini"];
    if system.iter().any(|path| Path::new(path).exists()) {
        return;
    }
    let output = shell.run(&["node", "list"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(errors(&output).contains("perilune login"), "{}", errors(&output));
}

#[test]
fn a_wrong_command_line_is_exit_code_2_before_anybody_is_asked() {
    let shell = Shell::new();
    let url = Shell::deserted();
    let wrong: [&[&str]; 7] = [
        &["node", "add"],
        &["node", "add", "node001", "--colour", "red"],
        &["node", "change", "node[1-9999999]", "--comment", "x"],
        &["node", "change", "node[1-", "--comment", "x"],
        &["node", "change", "node001", "--netboot", "perhaps"],
        &["node", "change", "node001", "--postscript", "@/no/such/file"],
        &["node", "watch", "--fresh"],
    ];
    for arguments in wrong {
        let arguments: Vec<&str> =
            arguments.iter().copied().chain(["--url", &url, "--token", "x"]).collect();
        let output = shell.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", errors(&output));
        assert!(!errors(&output).is_empty());
    }
}

#[test]
fn a_host_list_that_is_too_long_says_how_long_it_is() {
    let arguments =
        ["node", "remove", "node[1-9999999]", "--url", &Shell::deserted(), "--token", "x"];
    let output = Shell::new().run(&arguments);
    assert!(errors(&output).contains("names 9999999 hosts"), "{}", errors(&output));
}

#[test]
fn a_configuration_that_is_named_must_be_there() {
    let output = Shell::new().run(&["--config", "nowhere.ini", "status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(errors(&output).contains("nowhere.ini: there is no such file"), "{}", errors(&output));
}

#[test]
fn the_daemon_of_the_data_directory_is_found() {
    let shell = Shell::new();
    let url = Shell::deserted();
    let endpoint = url.trim_start_matches("http://");
    shell.file(
        "luna.ini",
        &format!("[API]\nUSERNAME = luna\nPASSWORD = x\nENDPOINT = {endpoint}\n"),
    );
    let output =
        shell.command(&["status"]).env("PERILUNE_DATA_DIR", shell.home.path()).output().unwrap();
    assert!(errors(&output).contains(&url), "{}", errors(&output));
}

#[test]
fn help_goes_to_standard_output_and_a_closed_pipe_is_no_failure() {
    let shell = Shell::new();
    let output = shell.run(&["node", "add", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Examples:"));

    let mut child = shell
        .command(&["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(errors(&output).is_empty(), "{}", errors(&output));
}

#[test]
fn the_completion_script_is_one_that_bash_reads() {
    let shell = Shell::new();
    let script = shell.run(&["completion", "bash"]);
    let path = shell.file("completion.bash", &String::from_utf8_lossy(&script.stdout));
    let mut bash = shell.command(&[]);
    #[expect(clippy::disallowed_methods, reason = "a test may block")]
    let checked = Command::new("bash").args(["-n", &path]).output().unwrap();
    assert!(checked.status.success(), "{}", errors(&checked));
    for name in ["zsh", "fish", "elvish"] {
        let output = shell.run(&["completion", name]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("perilune"), "{name}");
    }
    // The shell asks through the environment; options are offered even when no daemon answers.
    bash.args(["--", "perilune", "node", "add", "--gro"]);
    let output = bash.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "3").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("--group"), "{}", errors(&output));
}

#[test]
fn a_login_reads_the_password_from_standard_input() {
    let shell = Shell::new();
    let url = Shell::deserted();
    let mut child = shell
        .command(&["login", "--url", &url, "--username", "luna"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "secret").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(errors(&output).contains(&url), "{}", errors(&output));
    assert!(!errors(&output).contains("secret"), "{}", errors(&output));
}
