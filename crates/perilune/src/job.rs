//! Follows a job of the daemon until it ends: a bar on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use perilune::client::{self, path};
use serde_json::{Value, json};

use crate::failure::{Failure, error_line};
use crate::output::text::printable;
use crate::output::{self, Output, note, write};
use crate::session::Session;

/// What shells answer for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// A bar that is shorter tells nothing.
const LEAST_BAR: usize = 10;

const POLL: Duration = Duration::from_millis(400);

/// The daemon may restart in the middle: the job goes on after it.
const PATIENCE: Duration = Duration::from_mins(1);

/// What an answer that may be the start of a job means: follow it, or just say what it says.
pub(crate) fn finish(session: &Session, answer: &Value, detach: bool) -> Result<(), Failure> {
    match answer.get("request_id").and_then(Value::as_str) {
        Some(request_id) if !detach => follow(session, request_id),
        Some(request_id) if session.output.is_table() => {
            session.say(answer)?;
            Ok(output::line(&format!("follow it with `perilune osimage follow {request_id}`"))?)
        }
        _ => session.say(answer),
    }
}

/// For programs the messages come at the end, as one object.
pub(crate) fn follow(session: &Session, request_id: &str) -> Result<(), Failure> {
    say_on_interrupt(request_id.to_owned());
    let mut view = View::new(&session.output);
    let mut silent_since: Option<Instant> = None;
    let (mut seen, mut interrupted) = (false, false);
    loop {
        match session.client.get_open(&path(["config", "status", request_id])) {
            Ok(answer) => {
                silent_since = None;
                seen = true;
                view.answer(&answer)?;
            }
            Err(client::Error::NotFound { message }) => {
                view.end();
                return match view.failed {
                    Some(message) => Err(Failure::failed(message)),
                    // Nothing was ever known of it.
                    None if !seen => Err(client::Error::NotFound { message }.into()),
                    None if interrupted => Err(lost()),
                    None if session.output.is_table() => Ok(()),
                    None => {
                        let result = json!({ "request_id": request_id, "messages": view.kept });
                        Ok(session.output.value(&result)?)
                    }
                };
            }
            Err(error @ client::Error::Unreachable { .. }) => {
                interrupted = true;
                let since = *silent_since.get_or_insert_with(|| {
                    error_line(&format!("{error}; trying again"));
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        pause(POLL);
    }
}

/// Has Ctrl-C say that the job goes on, and end the program at once, whatever it waits for.
#[expect(clippy::exit, reason = "an answer may be waited for, and there is nothing to tidy up")]
fn say_on_interrupt(request_id: String) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            note(&format!(
                "\nthe job goes on in the daemon; follow it with `perilune osimage follow {request_id}`,\n\
                 stop it with `perilune osimage cancel IMAGE`"
            ));
            std::process::exit(INTERRUPTED);
        }
    });
}

/// The end of a job is that it is not known any more; after a restart that says nothing.
fn lost() -> Failure {
    Failure::Failed {
        message: "the daemon was away and does not know the job any more".to_owned(),
        hint: Some(
            "`perilune osimage list` shows what is packed; start the job again if need be"
                .to_owned(),
        ),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the daemon has no way to call us: we ask again after a while"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The messages of one answer without their times: `<time> :: <text>;;<time> :: <text>`.
fn messages(text: &str) -> impl Iterator<Item = &str> {
    text.split(";;")
        .map(|message| message.split_once(" :: ").map_or(message, |(_, text)| text).trim())
        .filter(|message| !message.is_empty())
}

/// A message that says how far a step is.
#[derive(Debug, PartialEq, Eq)]
struct Step<'a> {
    label: &'a str,
    done: u64,
    total: u64,
    /// The rate and the time left, as the daemon measures them: it was there from the beginning.
    pace: &'a str,
}

/// `<step>: <done>/<total> bytes, <rate>, <time> left` or `<step>: <percent>%…`
fn step(message: &str) -> Option<Step<'_>> {
    let (label, rest) = message.rsplit_once(": ")?;
    if let Some((amount, pace)) = rest.split_once(" bytes") {
        let (done, total) = amount.split_once('/')?;
        let (done, total) = (done.parse().ok()?, total.parse().ok()?);
        let pace = pace.trim_start_matches([',', ' ']);
        return Some(Step { label, done, total, pace });
    }
    let amount = rest.split([' ', ',']).next()?;
    let percent: f64 = amount.strip_suffix('%')?.parse().ok()?;
    let done = (0..=100_u32).rev().find(|whole| f64::from(*whole) <= percent)?;
    Some(Step { label, done: done.into(), total: 100, pace: "" })
}

/// How a step looks in so many columns: what does not fit beside a bar is left out, the bar itself at last.
fn template(step: &Step<'_>, columns: usize) -> String {
    let amount = if step.total == 100 { "" } else { " {binary_bytes}/{binary_total_bytes}" };
    let pace = if step.pace.is_empty() { "" } else { ", {prefix}" };
    let label = step.label.chars().count();
    // ` [` and `] 100%`, and amounts such as ` 999.99 MiB/999.99 MiB`.
    let with_bar = label + LEAST_BAR + 8;
    let with_amount = with_bar + if amount.is_empty() { 0 } else { 22 };
    let with_pace = with_amount + if pace.is_empty() { 0 } else { step.pace.chars().count() + 2 };
    if with_pace <= columns {
        format!("{{msg}} [{{wide_bar}}] {{percent:>3}}%{amount}{pace}")
    } else if with_amount <= columns {
        format!("{{msg}} [{{wide_bar}}] {{percent:>3}}%{amount}")
    } else if with_bar <= columns {
        "{msg} [{wide_bar}] {percent:>3}%".to_owned()
    } else {
        "{percent:>3}% {wide_msg}".to_owned()
    }
}

struct View {
    bar: Option<ProgressBar>,
    is_terminal: bool,
    /// What was told last where there is no bar: the step, and its tenths.
    told: (String, u64),
    /// For programs: everything but progress.
    kept: Vec<String>,
    keeps: bool,
    /// The failure that was told last; it is said at the end, once.
    failed: Option<String>,
}

impl View {
    fn new(output: &Output) -> Self {
        let keeps = !output.is_table();
        let is_terminal = output.is_terminal && !keeps;
        Self {
            bar: None,
            is_terminal,
            told: (String::new(), 0),
            kept: Vec::new(),
            keeps,
            failed: None,
        }
    }

    /// The messages of one answer. Its status is that of the worst of them, which comes last.
    fn answer(&mut self, answer: &Value) -> Result<(), Failure> {
        let status = answer.get("status").and_then(Value::as_u64).unwrap_or(200);
        let text = answer.get("message").and_then(Value::as_str).unwrap_or_default();
        for message in messages(text) {
            if status < 400 {
                self.message(message)?;
            } else {
                let told = message.strip_prefix("error ").unwrap_or(message).to_owned();
                if let Some(former) = self.failed.replace(told) {
                    self.message(&former)?;
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &str) -> Result<(), Failure> {
        match step(message) {
            Some(_) if self.keeps => {}
            Some(step) if self.is_terminal => self.draw(&step),
            Some(step) => self.tell(message, &step)?,
            None if self.keeps => self.kept.push(message.to_owned()),
            None => {
                self.end();
                write(&format!("{}\n", printable(message)))?;
            }
        }
        Ok(())
    }

    fn draw(&mut self, step: &Step<'_>) {
        if self.bar.as_ref().is_some_and(|bar| bar.message() != step.label) {
            self.end();
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(step.total), ProgressDrawTarget::stdout());
            bar.with_message(step.label.to_owned())
        });
        let columns = output::terminal_size().map_or(usize::MAX, |(_, columns)| columns);
        let style = ProgressStyle::with_template(&template(step, columns));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix(step.pace.to_owned());
        bar.set_length(step.total);
        bar.set_position(step.done);
    }

    /// Without a terminal a line for every tenth is enough.
    fn tell(&mut self, message: &str, step: &Step<'_>) -> Result<(), Failure> {
        let tenth = step.done.saturating_mul(10) / step.total.max(1);
        if self.told.0 != step.label || self.told.1 != tenth {
            self.told = (step.label.to_owned(), tenth);
            write(&format!("{message}\n"))?;
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
            // The bar leaves the cursor behind it.
            write("\n").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Step, View, messages, step, template};

    #[test]
    fn an_answer_holds_several_messages_with_their_times() {
        let text = "2026-01-02 10:00:00 :: queued pack osimage compute;;2026-01-02 10:00:01 :: building osimage compute";
        let found: Vec<&str> = messages(text).collect();
        assert_eq!(found, ["queued pack osimage compute", "building osimage compute"]);
        assert_eq!(messages("").count(), 0);
    }

    #[test]
    fn progress_is_told_in_bytes_or_percent() {
        let bytes = step("packing osimage compute: 512/2048 bytes, 10 MiB/s, 3 s left");
        let label = "packing osimage compute";
        let pace = "10 MiB/s, 3 s left";
        assert_eq!(bytes, Some(Step { label, done: 512, total: 2048, pace }));
        let percent = step("copying osimage a->b: 42.7% done");
        assert_eq!(
            percent,
            Some(Step { label: "copying osimage a->b", done: 42, total: 100, pace: "" })
        );
    }

    #[test]
    fn other_messages_are_no_progress() {
        for message in [
            "finished packing",
            "error packing osimage a: no kernel",
            "a: 3/4 steps",
            "a: x%",
            ": 101%x",
        ] {
            assert_eq!(step(message), None, "{message}");
        }
    }

    #[test]
    fn a_bar_that_has_no_room_gives_way_to_the_percentage() {
        let step = step("building osimage compute: 512/2048 bytes, 10 MiB/s, 3 s left").unwrap();
        let has = |columns: usize, part: &str| template(&step, columns).contains(part);
        assert!(has(90, "{prefix}") && has(90, "{wide_bar}"));
        assert!(!has(70, "{prefix}") && has(70, "{binary_bytes}") && has(70, "{wide_bar}"));
        assert!(!has(50, "{binary_bytes}") && has(50, "{wide_bar}"));
        assert!(!has(30, "{wide_bar}") && has(30, "{wide_msg}"));
    }

    #[test]
    fn a_failure_is_kept_for_the_end_and_what_was_said_before_it_is_shown() {
        let mut view = View {
            bar: None,
            is_terminal: false,
            told: (String::new(), 0),
            kept: Vec::new(),
            keeps: true,
            failed: None,
        };
        let text = "1 :: building osimage a;;2 :: error building osimage a: no kernel";
        view.answer(&json!({ "status": 500, "message": text })).unwrap();
        assert_eq!(view.kept, ["building osimage a"]);
        assert_eq!(view.failed.as_deref(), Some("building osimage a: no kernel"));
    }
}
