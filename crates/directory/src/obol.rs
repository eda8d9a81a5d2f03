//! Through the program `obol`, which keeps users and groups in the LDAP server of a site.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use perilune_model::Saved;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::{Entries, Error, GroupRequest, Kind, UserRequest};

/// How long one run may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// As much as is read of what it prints.
const LARGEST_OUTPUT: u64 = 64 << 20;
/// As much as is shown of why it failed.
const LONGEST_REASON: usize = 300;

/// The program, and how long it may take.
#[derive(Debug)]
pub struct Obol {
    program: PathBuf,
    deadline: Duration,
}

/// What a run printed.
struct Output {
    success: bool,
    printed: Vec<u8>,
    complaint: Vec<u8>,
}

impl Obol {
    /// The program at this path, or of this name.
    pub fn new(program: PathBuf) -> Self {
        Self { program, deadline: DEADLINE }
    }

    /// The same with another limit.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    pub(crate) async fn list(&self, kind: Kind) -> Result<Entries, Error> {
        match self.json(&[kind.word(), "list"]).await? {
            Value::Object(entries) => Ok(entries),
            _ => Err(Error::Malformed { program: self.title(kind, "list") }),
        }
    }

    pub(crate) async fn show(&self, kind: Kind, name: &str) -> Result<Value, Error> {
        checked(kind, name)?;
        let shown = self.json(&[kind.word(), "show", name]).await?;
        if shown.as_object().is_some_and(serde_json::Map::is_empty) || shown.is_null() {
            return Err(Error::NotFound { kind, name: name.to_owned() });
        }
        Ok(shown)
    }

    pub(crate) async fn save_user(
        &self,
        name: &str,
        request: &UserRequest,
    ) -> Result<Saved, Error> {
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let flags = [
            ("--password", request.password.clone()),
            ("--sn", request.surname.clone()),
            ("--givenName", request.given_name.clone()),
            ("--uid", number(request.uid)),
            ("--gid", number(request.gid)),
            ("--mail", request.mail.clone()),
            ("--phone", request.telephone.clone()),
            ("--shell", request.shell.clone()),
            ("--groups", request.groups.as_ref().map(|groups| groups.join(","))),
            ("--expire", request.expire.map(|day| day.to_string())),
            ("--home", request.home.clone()),
        ];
        self.save(Kind::User, name, flags).await
    }

    pub(crate) async fn save_group(
        &self,
        name: &str,
        request: &GroupRequest,
    ) -> Result<Saved, Error> {
        let flags = [
            ("--gid", request.gid.map(|number| number.to_string())),
            ("--users", request.members.as_ref().map(|members| members.join(","))),
        ];
        self.save(Kind::Group, name, flags).await
    }

    pub(crate) async fn remove(&self, kind: Kind, name: &str) -> Result<(), Error> {
        checked(kind, name)?;
        self.done(kind, "delete", &[kind.word().to_owned(), "delete".to_owned(), name.to_owned()])
            .await
    }

    async fn save<const N: usize>(
        &self,
        kind: Kind,
        name: &str,
        flags: [(&str, Option<String>); N],
    ) -> Result<Saved, Error> {
        checked(kind, name)?;
        let show = ["-J", kind.word(), "show", name].map(str::to_owned);
        let is_there = self.run(&show).await?.success;
        let verb = if is_there { "modify" } else { "add" };
        let mut arguments = vec![kind.word().to_owned(), verb.to_owned(), name.to_owned()];
        for (flag, value) in flags {
            match value {
                None => {}
                // A value that looks like an option must not become one.
                Some(value) if value.starts_with('-') => arguments.push(format!("{flag}={value}")),
                Some(value) => arguments.extend([flag.to_owned(), value]),
            }
        }
        self.done(kind, verb, &arguments).await?;
        Ok(if is_there { Saved::Updated } else { Saved::Created })
    }

    async fn json(&self, arguments: &[&str]) -> Result<Value, Error> {
        let title = format!("{} {}", self.program.display(), arguments.join(" "));
        let all: Vec<String> =
            std::iter::once("-J").chain(arguments.iter().copied()).map(str::to_owned).collect();
        let output = self.run(&all).await?;
        if !output.success {
            return Err(Error::Failed { program: title, reason: reason(&output) });
        }
        if output.printed.trim_ascii().is_empty() {
            return Ok(Value::Object(Entries::new()));
        }
        serde_json::from_slice(&output.printed).ok().ok_or(Error::Malformed { program: title })
    }

    /// Runs what changes something. The arguments may hold a password, and appear in no message.
    async fn done(&self, kind: Kind, verb: &str, arguments: &[String]) -> Result<(), Error> {
        let output = self.run(arguments).await?;
        if output.success {
            return Ok(());
        }
        let mut reason = reason(&output);
        let secrets = arguments.iter().zip(arguments.iter().skip(1));
        for (_, secret) in secrets.filter(|(flag, _)| *flag == "--password") {
            if !secret.is_empty() {
                reason = reason.replace(secret.as_str(), "******");
            }
        }
        for secret in arguments.iter().filter_map(|argument| argument.strip_prefix("--password=")) {
            reason = reason.replace(secret, "******");
        }
        Err(Error::Failed { program: self.title(kind, verb), reason })
    }

    fn title(&self, kind: Kind, verb: &str) -> String {
        format!("{} {} {verb}", self.program.display(), kind.word())
    }

    async fn run(&self, arguments: &[String]) -> Result<Output, Error> {
        let child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let program = || self.program.display().to_string();
        let mut child = child.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NotInstalled(program()),
            _ => Error::Failed { program: program(), reason: error.to_string() },
        })?;
        let (printed, complaint) = (child.stdout.take(), child.stderr.take());
        let all = async {
            let (printed, complaint) = tokio::join!(read(printed), read(complaint));
            let status = child.wait().await?;
            Ok(Output { success: status.success(), printed: printed?, complaint: complaint? })
        };
        match tokio::time::timeout(self.deadline, all).await {
            Ok(output) => output.map_err(|error: std::io::Error| Error::Failed {
                program: program(),
                reason: error.to_string(),
            }),
            Err(_) => Err(Error::TimedOut { what: program(), seconds: self.deadline.as_secs() }),
        }
    }
}

/// Names reach the program as arguments: one that looks like an option must not.
fn checked(kind: Kind, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.starts_with('-') || name.contains(char::is_control) {
        return Err(Error::NotFound { kind, name: name.to_owned() });
    }
    Ok(())
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(LARGEST_OUTPUT).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The last line of what it said about its failure.
fn reason(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let said = text(&output.complaint);
    let said = if said.is_empty() { text(&output.printed) } else { said };
    let last = said.lines().last().unwrap_or("it says nothing").to_owned();
    last.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect()
}
