//! What jobs tell those who asked for them: messages on a board, each under its request and its number. Every follower keeps the number
//! of what it knows, so that any number of them get every message.

use std::collections::BTreeMap;
use std::sync::Arc;

use perilune_boards::{Board, Rules, Snapshot, Update};
use perilune_wire::job::Progress;

/// The message that ends a stream, between controllers.
pub(super) const END: &str = "EOF";
/// The status of a message that tells nothing out of the ordinary.
pub const OK: u16 = 200;
/// A message is forgotten after this many milliseconds.
const LIFETIME: u64 = 60 * 60 * 1000;
/// As long as a message can be.
const LONGEST: usize = 4096;
/// As many messages are kept; beyond, the oldest goes, whosesoever it is.
const RULES: Rules = Rules { keys: 20_000, changes: 1024 };

/// Milliseconds since 1970, UTC.
pub type Time = u64;

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nothing yet: the request is known.
    Begin,
    /// Words.
    Text(String),
    /// What was not done, and why.
    Failure(String),
    /// How far a step is: only the newest matters.
    Progress(Progress),
    /// There will be no more.
    End,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When it was said.
    pub at: Time,
    /// Who asked for what it is about.
    pub user: String,
    /// What is said.
    pub said: Said,
    /// Whether it was delivered to anybody.
    pub read: bool,
    /// 200, or that of a failure which it tells of.
    pub status: u16,
}

impl Message {
    fn new(at: Time, user: &str, said: Said) -> Self {
        Self { at, user: user.to_owned(), said, read: false, status: OK }
    }

    /// What is said, as a sentence. None of what only says that a request is known, or over.
    pub fn text(&self) -> Option<String> {
        match &self.said {
            Said::Begin | Said::End => None,
            Said::Text(text) | Said::Failure(text) => Some(text.clone()),
            Said::Progress(progress) => Some(progress.to_string()),
        }
    }

    /// The same for clients who are told nothing but sentences.
    pub fn line(&self) -> Option<String> {
        let text = self.text()?;
        Some(if matches!(self.said, Said::Failure(_)) { format!("error {text}") } else { text })
    }
}

/// What is new of a request for somebody who knows it up to a number.
#[derive(Debug, Clone)]
pub struct NewMessages {
    /// New messages.
    pub messages: Vec<Arc<Message>>,
    /// The number of the last of all: what the next question is asked with.
    pub last: u64,
    /// There will be no more.
    pub is_over: bool,
}

type Key = (String, u64);

/// The streams of all requests.
#[derive(Debug)]
pub(super) struct Streams {
    board: Board<Key, Message>,
}

impl Streams {
    /// Not stored: after a restart, whoever follows a request is told that it was resumed. `life` is the store's.
    pub(super) fn new(life: u64) -> Self {
        Self { board: Board::volatile(life, RULES) }
    }

    /// Begins a stream; until it ends, polls of it find it even when nothing was said yet.
    pub(super) fn begin(&mut self, now: Time, request: &str, user: &str) {
        if of(&self.board.snapshot(), request).next().is_none() {
            self.append(request, Message::new(now, user, Said::Begin));
        }
    }

    /// Says something to whoever follows the request.
    pub(super) fn say(&mut self, now: Time, request: &str, user: &str, status: u16, text: &str) {
        let said = Said::Text(plain(text));
        self.append(request, Message { status, ..Message::new(now, user, said) });
    }

    /// Says what was not done, and why.
    pub(super) fn fail(&mut self, now: Time, request: &str, user: &str, status: u16, text: &str) {
        let said = Said::Failure(plain(text));
        self.append(request, Message { status, ..Message::new(now, user, said) });
    }

    /// Says how far a step is, in place of what was said about that before.
    pub(super) fn progress(&mut self, now: Time, request: &str, user: &str, progress: Progress) {
        let snapshot = self.board.snapshot();
        if let Some((key, last)) = of(&snapshot, request).next_back()
            && matches!(last.said, Said::Progress(_))
        {
            self.board.update(key, |_| Update::Remove);
        }
        let mut progress = progress;
        progress.step = plain(&progress.step);
        let said = Said::Progress(progress);
        self.append(request, Message::new(now, user, said));
    }

    /// Ends a stream: what was said before can still be fetched for an hour.
    pub(super) fn end(&mut self, now: Time, request: &str, user: &str) {
        self.append(request, Message::new(now, user, Said::End));
    }

    fn append(&mut self, request: &str, message: Message) {
        let number = self.board.snapshot().sequence() + 1;
        self.board.update(&(request.to_owned(), number), |_| Update::Put(message));
    }

    /// What was said of a request after a number; `None` when there is no such request.
    pub(super) fn after(&mut self, request: &str, known: u64) -> Option<NewMessages> {
        let snapshot = self.board.snapshot();
        let ((_, last), _) = of(&snapshot, request).next_back()?;
        let mut news = NewMessages { messages: Vec::new(), last: *last, is_over: false };
        for (key, message) in of(&snapshot, request) {
            news.is_over |= message.said == Said::End;
            if key.1 <= known || message.text().is_none() {
                continue;
            }
            news.messages.push(Arc::clone(message));
            if !message.read {
                self.board.update(key, |known| match known {
                    Some(message) => Update::Put(Message { read: true, ..Message::clone(message) }),
                    None => Update::Keep,
                });
            }
        }
        Some(news)
    }

    /// Forgets what was said an hour ago. Streams of jobs that still run stay.
    pub(super) fn purge(&mut self, now: Time, runs: impl Fn(&str) -> bool) {
        self.board.update_all(|(request, _), message| {
            let is_old = message.at.saturating_add(LIFETIME) <= now;
            if is_old && !runs(request) { Update::Remove } else { Update::Keep }
        });
    }

    /// Every message that somebody may still want, with its request, in the order in which they were said. Streams that are over and
    /// read to their end are kept for further followers, but are no news.
    pub(super) fn all(&self) -> Vec<(String, Arc<Message>)> {
        let snapshot = self.board.snapshot();
        // Of each request: whether it is over, and whether something was not read.
        let mut streams: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
        for ((request, _), message) in snapshot.iter() {
            let (is_over, is_unread) = streams.entry(request).or_default();
            *is_over |= message.said == Said::End;
            *is_unread |= !message.read && message.text().is_some();
        }
        let is_done = |request: &str| streams.get(request) == Some(&(true, false));
        let mut all: Vec<_> = snapshot
            .iter()
            .filter(|((request, _), _)| !is_done(request))
            .map(|((request, _), message)| (request.clone(), Arc::clone(message)))
            .collect();
        all.sort_by_key(|(_, message)| message.at);
        all
    }
}

/// The messages of a request, in the order in which they were said.
fn of<'a>(
    snapshot: &'a Snapshot<Key, Message>,
    request: &str,
) -> impl DoubleEndedIterator<Item = (&'a Key, &'a Arc<Message>)> {
    snapshot.range((request.to_owned(), 0)..=(request.to_owned(), u64::MAX))
}

/// The text as clients can take it: without what separates messages, quotes and line breaks.
fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|character| !matches!(character, '\'' | '"'))
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let mut text = text.replace(";;", ";");
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// `YYYY-MM-DD HH:MM:SS`, UTC.
pub fn timestamp(at: Time) -> String {
    crate::clock::rfc3339(at).replace('T', " ").replace('Z', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = 1_767_348_000_000;
    const HOUR: Time = 60 * 60 * 1000;

    fn streams() -> Streams {
        Streams::new(1)
    }

    fn texts(news: &NewMessages) -> Vec<String> {
        news.messages.iter().filter_map(|message| message.text()).collect()
    }

    fn progress(done: u64) -> Progress {
        let step = "building".to_owned();
        Progress { step, done, total: Some(1000), unit: "bytes", rate: None, seconds_left: None }
    }

    #[test]
    fn each_of_two_followers_gets_every_message_once_and_then_the_end() {
        let mut streams = streams();
        streams.say(NOW, "1.2", "luna", OK, "queued");
        let (mut one, mut other) = (0, 0);
        let mut told = (Vec::new(), Vec::new());
        for text in ["begins", "goes on", "finished"] {
            let news = streams.after("1.2", one).unwrap();
            told.0.extend(texts(&news));
            one = news.last;
            assert!(!news.is_over);
            streams.say(NOW, "1.2", "luna", OK, text);
        }
        streams.end(NOW, "1.2", "luna");
        for (known, told) in [(&mut one, &mut told.0), (&mut other, &mut told.1)] {
            let news = streams.after("1.2", *known).unwrap();
            told.extend(texts(&news));
            *known = news.last;
            assert!(news.is_over);
            assert_eq!(texts(&streams.after("1.2", *known).unwrap()), [""; 0]);
        }
        assert_eq!(told.0, ["queued", "begins", "goes on", "finished"]);
        assert_eq!(told.0, told.1);
        assert!(streams.after("3.4", 0).is_none());
    }

    #[test]
    fn only_the_newest_progress_is_told() {
        let mut streams = streams();
        streams.say(NOW, "1.2", "luna", OK, "a");
        for done in 0..1000 {
            streams.progress(NOW, "1.2", "luna", progress(done));
        }
        let news = streams.after("1.2", 0).unwrap();
        assert_eq!(texts(&news), ["a", "building: 999/1000 bytes"]);
        streams.progress(NOW, "1.2", "luna", progress(1000));
        let news = streams.after("1.2", news.last).unwrap();
        assert_eq!(texts(&news), ["building: 1000/1000 bytes"]);
        assert_eq!(streams.all().len(), 2);
    }

    #[test]
    fn a_stream_that_is_over_and_read_is_listed_no_more_and_can_still_be_followed() {
        let mut streams = streams();
        for request in ["goes on", "over"] {
            streams.say(NOW, request, "luna", OK, "a");
        }
        streams.end(NOW, "over", "luna");
        let listed = |streams: &Streams| {
            streams.all().into_iter().map(|(request, _)| request).collect::<Vec<_>>()
        };
        assert_eq!(listed(&streams), ["goes on", "over", "over"]);
        for request in ["goes on", "over"] {
            streams.after(request, 0).unwrap();
        }
        assert_eq!(listed(&streams), ["goes on"]);
        assert_eq!(texts(&streams.after("over", 0).unwrap()), ["a"]);
    }

    #[test]
    fn progress_becomes_a_sentence() {
        let progress = Progress { rate: Some(10 << 20), seconds_left: Some(3), ..progress(7) };
        assert_eq!(progress.to_string(), "building: 7/1000 bytes, 10 MiB/s, 3 s left");
    }

    #[test]
    fn a_text_cannot_pretend_to_be_two_or_be_endless() {
        let mut streams = streams();
        streams.say(NOW, "1.2", "luna", OK, "it's \"here\";;\n2026");
        let news = streams.after("1.2", 0).unwrap();
        assert_eq!(texts(&news), ["its here; 2026"]);
        streams.say(NOW, "1.2", "luna", OK, &"ü".repeat(5000));
        let news = streams.after("1.2", news.last).unwrap();
        assert_eq!(texts(&news)[0].chars().count(), 2048);
    }

    #[test]
    fn what_was_said_is_forgotten_after_an_hour_unless_the_job_runs() {
        let mut streams = streams();
        streams.begin(NOW, "runs", "luna");
        streams.say(NOW, "over", "luna", OK, "a");
        streams.end(NOW, "over", "luna");
        streams.purge(NOW + HOUR - 1, |_| false);
        assert!(streams.after("over", 0).is_some_and(|news| news.is_over));
        streams.purge(NOW + HOUR, |request| request == "runs");
        assert!(streams.after("over", 0).is_none());
        assert!(streams.after("runs", 0).is_some_and(|news| !news.is_over));
    }

    #[test]
    fn a_flood_of_messages_takes_bounded_memory() {
        let mut streams = streams();
        for number in 0..30_000_u32 {
            streams.say(NOW, &format!("{number}"), "luna", OK, "a");
        }
        assert_eq!(streams.all().len(), RULES.keys);
    }
}
