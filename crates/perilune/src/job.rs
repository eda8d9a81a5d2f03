//! Follows a job of the daemon until it ends: a bar on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use perilune::client::{self, path};
use serde::Deserialize;
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
    let (mut seen, mut known) = (false, 0);
    let path = path(["config", "status", request_id]);
    loop {
        match session.client.get_open(&format!("{path}?after={known}")) {
            Ok(answer) => {
                silent_since = None;
                seen = true;
                let answer: Answer = serde_json::from_value(answer).map_err(|error| {
                    Failure::failed(format!("the daemon's answer cannot be read: {error}"))
                })?;
                known = answer.last;
                view.answer(answer.messages)?;
                if answer.is_over {
                    view.end();
                    return match view.failed {
                        Some(message) => Err(Failure::failed(message)),
                        None if session.output.is_table() => Ok(()),
                        None => {
                            let result = json!({ "request_id": request_id, "messages": view.kept });
                            Ok(session.output.value(&result)?)
                        }
                    };
                }
            }
            Err(error @ client::Error::NotFound { .. }) => {
                view.end();
                // Where nothing was ever known of it, that is said.
                return Err(if seen { lost() } else { error.into() });
            }
            Err(error @ client::Error::Unreachable { .. }) => {
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

/// What is new of a job.
#[derive(Debug, Deserialize)]
struct Answer {
    messages: Vec<Message>,
    last: u64,
    is_over: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    text: String,
    status: u16,
    progress: Option<Step>,
}

/// How far a step is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Step {
    #[serde(rename = "step")]
    label: String,
    done: u64,
    total: Option<u64>,
    /// Bytes per second, as the daemon measures them: it was there from the beginning.
    rate: Option<u64>,
    seconds_left: Option<u64>,
}

impl Step {
    /// The rate and the time left, as they are shown.
    fn pace(&self) -> String {
        match self.rate.zip(self.seconds_left) {
            Some((rate, left)) => format!("{} MiB/s, {left} s left", rate >> 20),
            None => String::new(),
        }
    }
}

/// How a step looks in so many columns: what does not fit beside a bar is left out, the bar itself at last.
fn template(step: &Step, columns: usize) -> String {
    let amount = " {binary_bytes}/{binary_total_bytes}";
    let shown = step.pace();
    let pace = if shown.is_empty() { "" } else { ", {prefix}" };
    let label = step.label.chars().count();
    // ` [` and `] 100%`, and amounts such as ` 999.99 MiB/999.99 MiB`.
    let with_bar = label + LEAST_BAR + 8;
    let with_amount = with_bar + 22;
    let with_pace = with_amount + if pace.is_empty() { 0 } else { shown.chars().count() + 2 };
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

    /// The messages of one answer. The failure that was told last is said at the end.
    fn answer(&mut self, messages: Vec<Message>) -> Result<(), Failure> {
        for message in messages {
            if message.status < 400 {
                let step = message.progress.as_ref().filter(|step| step.total.is_some());
                self.message(&message.text, step)?;
                continue;
            }
            if let Some(former) = self.failed.replace(message.text) {
                self.message(&former, None)?;
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &str, progress: Option<&Step>) -> Result<(), Failure> {
        match progress {
            Some(_) if self.keeps => {}
            Some(step) if self.is_terminal => self.draw(step),
            Some(step) => self.tell(message, step)?,
            None if self.keeps => self.kept.push(message.to_owned()),
            None => {
                self.end();
                write(&format!("{}\n", printable(message)))?;
            }
        }
        Ok(())
    }

    fn draw(&mut self, step: &Step) {
        if self.bar.as_ref().is_some_and(|bar| bar.message() != step.label) {
            self.end();
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(step.total, ProgressDrawTarget::stdout());
            bar.with_message(step.label.clone())
        });
        let columns = output::terminal_size().map_or(usize::MAX, |(_, columns)| columns);
        let style = ProgressStyle::with_template(&template(step, columns));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix(step.pace());
        bar.set_length(step.total.unwrap_or_default());
        bar.set_position(step.done);
    }

    /// Without a terminal a line for every tenth is enough.
    fn tell(&mut self, message: &str, step: &Step) -> Result<(), Failure> {
        let tenth = step.done.saturating_mul(10) / step.total.unwrap_or_default().max(1);
        if self.told.0 != step.label || self.told.1 != tenth {
            self.told = (step.label.clone(), tenth);
            write(&format!("{}\n", printable(message)))?;
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
    use super::{Message, Step, View, template};

    #[test]
    fn a_bar_that_has_no_room_gives_way_to_the_percentage() {
        let step = Step {
            label: "building osimage compute".to_owned(),
            done: 512,
            total: Some(2048),
            rate: Some(10 << 20),
            seconds_left: Some(3),
        };
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
        let said = |text: &str, status| Message { text: text.to_owned(), status, progress: None };
        let told = vec![
            said("building osimage a", 200),
            said("building osimage a: no kernel", 500),
            said("the former files stay in service", 200),
        ];
        view.answer(told).unwrap();
        assert_eq!(view.kept, ["building osimage a", "the former files stay in service"]);
        assert_eq!(view.failed.as_deref(), Some("building osimage a: no kernel"));
    }
}
