//! What a script says: read as it comes, however much that is and however slow the console. A serial line takes ten thousand bytes in a
//! second; a script must neither wait for it nor fill the memory that the installation needs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that wait to be shown; of more, the oldest are left out.
const WAITING: usize = 500;
/// What is remembered for the reason of a failure.
const REMEMBERED: usize = 40;
/// A longer line is shown in pieces: some output has no line ends at all.
const LONGEST: usize = 4096;

/// The output of one script, from the thread that reads it.
pub(super) struct Output(Arc<Shared>);

/// What there is to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Line(String),
    /// Nothing for now.
    Silence,
    /// All of it was shown, and no more will come.
    End,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    /// Lines that were left out before the first that waits.
    left_out: usize,
    last: VecDeque<String>,
    has_ended: bool,
    /// Nobody looks any more.
    is_abandoned: bool,
}

impl Output {
    /// Reads on a thread, which ends with the output or when the receiver of its lines is gone.
    pub(super) fn read(source: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            while let Some(line) = line(&mut source) {
                if !writer.add(line) {
                    return;
                }
            }
            writer.lock().has_ended = true;
            writer.changed.notify_all();
        });
        Self(shared)
    }

    /// Waits for the next line, for at most `limit`.
    pub(super) fn next(&self, limit: Duration) -> Next {
        let is_quiet =
            |state: &mut State| state.waiting.is_empty() && state.left_out == 0 && !state.has_ended;
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), limit, is_quiet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match mem::take(&mut state.left_out) {
            0 => {}
            count => return Next::Line(format!("... {count} lines are left out ...")),
        }
        match state.waiting.pop_front() {
            Some(line) => Next::Line(line),
            None if state.has_ended => Next::End,
            None => Next::Silence,
        }
    }

    /// Everything that waits to be shown, without waiting for more.
    pub(super) fn rest(&self) -> Vec<String> {
        let mut state = self.0.lock();
        let left_out = Some(mem::take(&mut state.left_out)).filter(|count| *count > 0);
        let left_out = left_out.map(|count| format!("... {count} lines are left out ..."));
        left_out.into_iter().chain(mem::take(&mut state.waiting)).collect()
    }

    /// The last lines up to now, shown or not.
    pub(super) fn last(&self) -> String {
        self.0.lock().last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.lock().is_abandoned = true;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether anybody looks at it.
    fn add(&self, line: String) -> bool {
        let mut state = self.lock();
        state.last.push_back(line.clone());
        if state.last.len() > REMEMBERED {
            state.last.pop_front();
        }
        state.waiting.push_back(line);
        if state.waiting.len() > WAITING {
            state.waiting.pop_front();
            state.left_out += 1;
        }
        self.changed.notify_all();
        !state.is_abandoned
    }
}

/// The next line, or as much of it as is shown at once; `None` at the end.
fn line(source: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    source.by_ref().take(limit).read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn ended(output: &Output) {
        let state = output.0.lock();
        let waited = output.0.changed.wait_timeout_while(state, LIMIT, |state| !state.has_ended);
        assert!(!waited.unwrap().1.timed_out());
    }

    #[test]
    fn lines_come_one_by_one_until_the_end() {
        let output = Output::read(&b"one\ntwo \r\n\nend"[..]);
        for line in ["one", "two", "", "end"] {
            assert_eq!(output.next(LIMIT), Next::Line(line.to_owned()));
        }
        assert_eq!(output.next(LIMIT), Next::End);
        assert_eq!(output.last(), "one\ntwo\n\nend");
    }

    #[test]
    fn more_than_a_console_takes_is_left_out_from_the_middle() {
        let lines: Vec<String> = (0..100_000).map(|number| format!("line {number}")).collect();
        let output = Output::read(io::Cursor::new(lines.join("\n")));
        ended(&output);
        let first = format!("... {} lines are left out ...", 100_000 - WAITING);
        assert_eq!(output.next(LIMIT), Next::Line(first));
        assert_eq!(output.next(LIMIT), Next::Line(format!("line {}", 100_000 - WAITING)));
        let rest = output.rest();
        assert_eq!(rest.len(), WAITING - 1);
        assert_eq!(rest.last().map(String::as_str), Some("line 99999"));
        assert!(output.last().ends_with("line 99998\nline 99999"), "{}", output.last());
        assert_eq!(output.next(LIMIT), Next::End);
    }

    #[test]
    fn output_without_line_ends_takes_no_memory() {
        let output = Output::read(io::repeat(0).take(64 << 20));
        ended(&output);
        let rest = output.rest();
        assert!(rest.len() <= WAITING + 1 && rest.iter().all(|line| line.len() <= LONGEST));
    }

    #[test]
    fn whoever_says_nothing_is_not_waited_for() {
        let (reader, mut writer) = io::pipe().unwrap();
        let output = Output::read(reader);
        assert_eq!(output.next(Duration::from_millis(1)), Next::Silence);
        writer.write_all(b"half").unwrap();
        drop(writer);
        assert_eq!(output.next(LIMIT), Next::Line("half".to_owned()));
    }

    #[test]
    fn nobody_reads_for_a_script_that_was_given_up() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(Output::read(reader));
        let mut writes = (0..1_000_000).map(|_| writer.write_all(b"still here\n"));
        assert!(writes.any(|written| written.is_err()), "its output is read for ever");
    }
}
