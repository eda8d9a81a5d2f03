//! What every command has at hand: the daemon, and where to write.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _};

use perilune::client::Error::{LoginRefused, Unreachable};
use perilune::client::access::{self, Options, Surroundings};
use perilune::client::{self, Client};
use perilune_select::hostlist;
use perilune_wire::hidden::HIDDEN;
use serde_json::{Map, Value, json};

use crate::failure::{self, Failure, error_line};
use crate::output::text::readable;
use crate::output::{self, Output, changes, note};

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    /// Whether one name that fails stops the others.
    keep_going: bool,
    /// Whether passwords and contents of secrets are shown.
    pub(crate) reveal: bool,
}

/// So many refusals the daemon tells.
const MOST_REFUSALS: usize = 20;
/// The status of what is there already.
const CONFLICT: u16 = 409;
/// The exit code of what is not there.
const NOT_THERE: u8 = 4;

/// What is asked for one of the names of a command.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) name: String,
    request: Value,
}

impl Edit {
    pub(crate) fn post(name: &str, path: &str, body: &Value) -> Self {
        Self { name: name.to_owned(), request: json!({ "path": path, "body": body }) }
    }

    /// What is done by asking for it, such as removals.
    pub(crate) fn get(name: &str, path: &str) -> Self {
        Self { name: name.to_owned(), request: json!({ "method": "GET", "path": path }) }
    }

    /// Refused unless the object is `new`, or `known`.
    pub(crate) fn expecting(mut self, expectation: &str) -> Self {
        if let Some(request) = self.request.as_object_mut() {
            request.insert("expect".to_owned(), expectation.into());
        }
        self
    }
}

/// Kinds of which several are changed by one request.
const IN_BULK: [&str; 9] =
    ["node", "group", "network", "switch", "otherdev", "cloud", "rack", "bmcsetup", "route"];

impl Session {
    pub(crate) fn open(options: &Options, output: Output) -> Result<Self, Failure> {
        let access = access::find(options, &Surroundings::here()).map_err(client::Error::from)?;
        let client = Client::new(access)?;
        let client = if options.dry_run { client.only_trying() } else { client };
        Ok(Self { client, output, keep_going: false, reveal: false })
    }

    /// Goes on with the other names when one fails.
    pub(crate) fn keeping_going(self, keep_going: bool) -> Self {
        Self { keep_going, ..self }
    }

    /// Shows passwords and contents of secrets.
    pub(crate) fn revealing(self, reveal: bool) -> Self {
        Self { reveal, ..self }
    }

    /// The object as it is shown: with texts, and without passwords, unless they are asked for.
    pub(crate) fn shown(&self, kind: &str, object: &mut Value) {
        if !self.output.is_table() {
            readable(object);
        }
        let fields: &[&str] = match kind {
            "bmcsetup" => &["password"],
            "switch" => &["read", "rw"],
            "node" => &["tpm_sha256"],
            "secret" => &["content"],
            _ => &[],
        };
        if self.reveal {
            return;
        }
        for field in fields {
            let value = object.get_mut(*field);
            if let Some(Value::String(value)) = value.filter(|value| **value != json!("")) {
                HIDDEN.clone_into(value);
            }
        }
    }

    /// Whether so many names of this kind are one change.
    pub(crate) fn is_one_change(&self, kind: &str, count: usize) -> bool {
        count > 0 && !self.keep_going && IN_BULK.contains(&kind)
    }

    /// Does all of it as one change, or nothing.
    pub(crate) fn all(&self, kind: &str, done: &str, edits: &[Edit]) -> Result<(), Failure> {
        self.in_bulk(kind, edits, false)?;
        if self.client.only_tries() {
            return self.show_tried();
        }
        let told = self.tell_done(done, edits);
        self.warn();
        told
    }

    /// Says what the daemon took, or would take, and finds odd.
    pub(crate) fn warn(&self) {
        for remark in self.client.take_remarks().iter().filter_map(Value::as_str) {
            note(&format!("warning: {remark}"));
        }
    }

    fn tell_done(&self, done: &str, edits: &[Edit]) -> Result<(), Failure> {
        let names: Vec<&String> = edits.iter().map(|edit| &edit.name).collect();
        if !self.output.is_table() {
            return Ok(self.output.value(&json!({ "done": names, "failed": {} }))?);
        }
        if let [name] = names.as_slice() {
            return Ok(self.output.done(&format!("{name} {done}"))?);
        }
        let text = format!("{} {done} ({})", brief(&names, LONGEST_DONE), names.len());
        Ok(self.output.done(&text)?)
    }

    /// Makes all of it as one change, or nothing, and says nothing of it.
    pub(crate) fn make(&self, edits: &[Edit]) -> Result<(), Failure> {
        self.in_bulk("node", edits, false)
    }

    /// Does what is asked for one name by itself.
    pub(crate) fn one(&self, edit: &Edit) -> Result<(), Failure> {
        let text = |key: &str| edit.request.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = text("path").split('/').nth(2).unwrap_or_default();
        if IN_BULK.contains(&kind) {
            // It is looked at whether it is there in the same step, and remarks are answered.
            let done = self.client.bulk(std::slice::from_ref(&edit.request), false);
            self.warn();
            return done.map_err(|(_, error)| error.into());
        }
        match edit.request.get("body") {
            Some(body) => self.client.post(text("path"), body).map(drop)?,
            None => self.client.get(text("path")).map(drop)?,
        }
        Ok(())
    }

    /// What would change; nothing where that cannot be tried.
    pub(crate) fn trial(&self, kind: &str, edits: &[Edit]) -> Result<Vec<Value>, Failure> {
        if IN_BULK.contains(&kind) && !self.keep_going {
            self.in_bulk(kind, edits, true)?;
            return Ok(self.client.take_tried());
        }
        for edit in edits {
            let path = edit.request.get("path").and_then(Value::as_str).unwrap_or_default();
            match self.client.get(&format!("{path}?dry_run=true")) {
                Ok(_) | Err(client::Error::Refused { status: 400, .. }) => {}
                Err(_) if self.keep_going => {}
                Err(client::Error::NotFound { .. }) => return Err(self.unknown(kind, &edit.name)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.client.take_tried())
    }

    /// Whether one request would be taken.
    pub(crate) fn tried(&self, edit: &Edit) -> Result<(), Failure> {
        let path = edit.request.get("path").and_then(Value::as_str).unwrap_or_default();
        self.client.get(&format!("{path}?dry_run=true"))?;
        self.client.take_tried();
        Ok(())
    }

    fn in_bulk(&self, kind: &str, edits: &[Edit], is_trial: bool) -> Result<(), Failure> {
        let requests: Vec<Value> = edits.iter().map(|edit| edit.request.clone()).collect();
        let Err((refusals, error)) = self.client.bulk(&requests, is_trial) else { return Ok(()) };
        let of = |number: usize| edits.get(number.checked_sub(1)?);
        let first = refusals.first().and_then(|(number, _)| of(*number));
        let Some(Edit { name, .. }) = first else { return Err(error.into()) };
        let mut places: Vec<(String, Vec<&str>)> = Vec::new();
        for (number, reason) in &refusals {
            let Some(place) = of(*number).map(|edit| edit.name.as_str()) else { continue };
            // What names itself is told for each; what is wrong with all alike is told once.
            let is_named = reason.contains(place);
            match places.iter_mut().find(|(known, _)| !is_named && known == reason) {
                Some((_, names)) => names.push(place),
                None => places.push((reason.clone(), if is_named { vec![] } else { vec![place] })),
            }
        }
        let lines = places.iter().map(|(reason, places)| match places.as_slice() {
            [] => reason.clone(),
            [place] => format!("{place}: {reason}"),
            places => format!("{}: {reason}", together(places)),
        });
        let mut lines: Vec<String> = lines.collect();
        if refusals.len() == MOST_REFUSALS && edits.len() > MOST_REFUSALS {
            lines.push("there may be more; the first twenty are told".to_owned());
        }
        let message = lines.join("\n");
        let rest = match edits.len() {
            1 => String::new(),
            count => {
                format!("nothing was changed, of {count}; --keep-going goes on with the others")
            }
        };
        if failure::client_code(&error) != NOT_THERE {
            let hint = match (rest.as_str(), &error) {
                ("", client::Error::Refused { status: CONFLICT, .. })
                    if message.contains("already") =>
                {
                    Some(format!("change it with `perilune {kind} change {name} …`"))
                }
                ("", _) => None,
                _ => Some(rest),
            };
            return Err(Failure::Failed { message, hint });
        }
        let known = self.client.names(kind).unwrap_or_default();
        let list = format!("perilune {kind} list");
        let hint = if known.contains(name) {
            String::new()
        } else {
            failure::nearest(name, known.iter().map(String::as_str), &list)
        };
        let hint: Vec<String> = [hint, rest].into_iter().filter(|part| !part.is_empty()).collect();
        Err(Failure::NotFound { message, hint: hint.join("\n") })
    }

    /// [`Self::each`] with what is asked for each name.
    pub(crate) fn each_of(
        &self,
        done: &str,
        edits: &[Edit],
        mut operation: impl FnMut(&Edit) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let names: Vec<String> = edits.iter().map(|edit| edit.name.clone()).collect();
        let mut rest = edits.iter();
        self.each(done, &names, |_| rest.next().map_or(Ok(()), &mut operation))
    }

    /// Does `operation` for each name. A failure is told at once and does not stop the others; only a daemon that
    /// cannot be reached does, because it would be the same for all.
    pub(crate) fn each(
        &self,
        done: &str,
        names: &[String],
        mut operation: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.client.only_tries() {
            return self.try_each(names, operation);
        }
        if let ([name], true) = (names, self.output.is_table()) {
            operation(name)?;
            return Ok(self.output.done(&format!("{name} {done}"))?);
        }
        let mut succeeded = Vec::new();
        let mut failed: Map<String, Value> = Map::new();
        let mut codes = Vec::new();
        let mut broken = None;
        for name in names {
            match operation(name) {
                Ok(()) => succeeded.push(name.as_str()),
                Err(failure @ Failure::Client(Unreachable { .. } | LoginRefused { .. })) => {
                    broken = Some(failure);
                    break;
                }
                Err(failure) => {
                    let message = failure.to_string();
                    let names_itself = message.contains(name.as_str());
                    error_line(&if names_itself { message } else { format!("{name}: {message}") });
                    codes.push(failure.code());
                    failed.insert(name.clone(), failure.to_string().into());
                }
            }
        }
        if !self.output.is_table() {
            self.output.value(&json!({ "done": succeeded, "failed": failed }))?;
        } else if !succeeded.is_empty() {
            let count = succeeded.len();
            self.output.done(&format!("{} {done} ({count})", brief(&succeeded, LONGEST_DONE)))?;
        }
        if let Some(failure) = broken {
            let rest = names.get(succeeded.len() + failed.len()..).unwrap_or_default();
            note(&format!("not done: {}", hostlist::fold(rest)));
            return Err(failure);
        }
        let Some(code) = codes.first().copied() else {
            return Ok(());
        };
        if self.output.is_table() {
            let names: Vec<&String> = failed.keys().collect();
            note(&format!(
                "failed: {} ({} of {})",
                hostlist::fold(&names),
                names.len(),
                names.len() + succeeded.len()
            ));
        }
        let same = succeeded.is_empty() && codes.iter().all(|other| *other == code);
        Err(Failure::Reported { code: if same { code } else { 1 } })
    }

    /// What each name would come to; with `--keep-going`, also where one would fail.
    fn try_each(
        &self,
        names: &[String],
        mut operation: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut has_failed = false;
        for name in names {
            match operation(name) {
                Err(failure) if self.keep_going => {
                    error_line(&failure.to_string());
                    has_failed = true;
                }
                tried => tried?,
            }
        }
        self.show_tried()?;
        if has_failed { Err(Failure::Reported { code: 1 }) } else { Ok(()) }
    }

    /// Says that it is done.
    pub(crate) fn done(&self, message: &str) -> Result<(), Failure> {
        self.say(&json!({ "message": message }))
    }

    /// A failure that says which names there are instead.
    pub(crate) fn unknown(&self, kind: &str, name: &str) -> Failure {
        let known = self.client.names(kind).unwrap_or_default();
        unknown_of(kind, name, known.iter().map(String::as_str))
    }

    /// Says what would have changed.
    fn show_tried(&self) -> Result<(), Failure> {
        let (changes, notes) = (self.client.take_tried(), self.client.take_notes());
        self.warn();
        if !self.output.is_table() {
            let mut tried = if notes.is_empty() {
                json!({ "dry_run": true, "changes": changes })
            } else {
                json!({ "dry_run": true, "changes": changes, "notes": notes })
            };
            readable(&mut tried);
            return Ok(self.output.value(&tried)?);
        }
        if changes.is_empty() {
            return Ok(output::line("nothing would change")?);
        }
        output::write(&changes::render(&changes, self.output.canvas.colour))?;
        for told in notes.iter().filter_map(Value::as_str) {
            output::line(told)?;
        }
        note("nothing was changed: this was a trial (--dry-run)");
        Ok(())
    }

    /// `message` of an answer, for people.
    pub(crate) fn say(&self, answer: &Value) -> Result<(), Failure> {
        if self.client.only_tries() {
            return self.show_tried();
        }
        if !self.output.is_table() {
            return Ok(self.output.value(answer)?);
        }
        match answer.get("message").and_then(Value::as_str) {
            Some(message) => Ok(self.output.done(message)?),
            None => Ok(()),
        }
    }
}

/// What a removal comes to, and whether it is meant.
pub(crate) fn ask_to_remove(what: &str, changes: &[Value]) -> Result<(), Failure> {
    insist(&with_changes(format!("This removes {what}."), changes))
}

/// Asks before changes by which something goes, after it has said what they come to.
pub(crate) fn ask_before_loss(what: &str, changes: &[Value]) -> Result<(), Failure> {
    let is_gone = |change: &Value| change.get("action").and_then(Value::as_str) == Some("remove");
    if !changes.iter().any(is_gone) && changes::parts_that_go(changes).is_empty() {
        return Ok(());
    }
    insist(&with_changes(format!("{what}: {}.", changes::summary(changes)), changes))
}

/// A sentence, and behind it the names of what goes and what is changed.
fn with_changes(mut question: String, changes: &[Value]) -> String {
    let mut gone: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
    for change in changes {
        let text = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
        gone.entry((text("action") == "remove", text("kind"))).or_default().push(text("name"));
    }
    for (words, is_removal) in [("Gone:", true), ("Changed:", false)] {
        let parts: Vec<String> = gone
            .iter()
            .filter(|((removed, _), _)| *removed == is_removal)
            .map(|((_, kind), names)| {
                format!("{} {kind} ({})", names.len(), brief(names, LONGEST_ASKED))
            })
            .collect();
        if !parts.is_empty() {
            question.extend([" ", words, " ", &parts.join(", "), "."]);
        }
    }
    question
}

/// As long is the host list of what a question is about.
const LONGEST_ASKED: usize = 60;
/// As long is the host list of what was done.
const LONGEST_DONE: usize = 400;

/// Names as a host list; rows of a table as they are.
fn together(places: &[&str]) -> String {
    if places.iter().any(|place| place.contains(' ')) {
        return places.join(", ");
    }
    hostlist::fold(places)
}

/// Names as a host list that is not endless.
fn brief(names: &[impl AsRef<str>], longest: usize) -> String {
    let folded = hostlist::fold(names);
    if folded.chars().count() <= longest {
        return folded;
    }
    folded.chars().take(longest).chain(['…']).collect()
}

pub(crate) fn unknown_among(kind: &str, name: &str, known: &Map<String, Value>) -> Failure {
    unknown_of(kind, name, known.keys().map(String::as_str))
}

pub(crate) fn unknown_of<'a>(
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Failure {
    let list = format!("perilune {kind} list");
    Failure::NotFound {
        message: format!("there is no {kind} {name}"),
        hint: failure::nearest(name, known, &list),
    }
}

/// Every name of the host lists, each once.
pub(crate) fn expand(lists: &[String]) -> Result<Vec<String>, Failure> {
    let names = hostlist::expand(&lists.join(","));
    let names = names.map_err(|error| Failure::usage(error.to_string()))?;
    if names.is_empty() { Err(Failure::usage("no name is given")) } else { Ok(names) }
}

/// Asks before something that is not easily taken back. Where nobody can be asked, it is refused: a pipe is no answer.
pub(crate) fn insist(question: &str) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() || !io::stderr().is_terminal() {
        let message = format!("{question} There is no terminal to ask; give --yes if it is meant");
        return Err(Failure::usage(message));
    }
    note(&format!("{question} Type yes to go on:"));
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    if matches!(answer.trim(), "yes" | "y") {
        Ok(())
    } else {
        Err(Failure::failed("nothing was changed"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::with_changes;

    #[test]
    fn a_removal_says_what_goes_and_what_hangs_on_it() {
        let change = |action: &str, kind: &str, name: &str| json!({ "action": action, "kind": kind, "name": name });
        let changes = [
            change("remove", "node", "n1"),
            change("remove", "node", "n2"),
            change("remove", "nodesecrets", "n1"),
            change("change", "claimrule", "compute"),
        ];
        assert_eq!(
            with_changes("This removes node n[1-2].".to_owned(), &changes),
            "This removes node n[1-2]. Gone: 2 node (n[1-2]), 1 nodesecrets (n1). Changed: 1 claimrule (compute)."
        );
        assert_eq!(
            with_changes("This removes user ann.".to_owned(), &[]),
            "This removes user ann."
        );
    }
}
