//! What jobs tell those who asked for them: a stream of messages for each request, each delivered once.

use std::collections::{BTreeMap, VecDeque};

/// The message that ends a stream, between controllers.
pub(super) const END: &str = "EOF";
/// The status of a message that tells nothing out of the ordinary.
pub const OK: u16 = 200;
/// A message that nobody fetched is forgotten after this many milliseconds.
const LIFETIME: u64 = 60 * 60 * 1000;
/// As long as a message can be.
const LONGEST: usize = 4096;

/// Milliseconds since 1970, UTC.
pub type Time = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// How far a step is: only the newest matters.
    Progress,
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
    pub text: String,
    /// Whether it was delivered.
    pub read: bool,
    status: u16,
    kind: Kind,
}

impl Message {
    fn new(at: Time, user: &str, kind: Kind, text: String) -> Self {
        Self { at, user: user.to_owned(), text, read: false, status: OK, kind }
    }
}

/// What one poll gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Every new message with its time, joined by `;;`; empty when nothing is new.
    pub message: String,
    /// That of the last new message that is out of the ordinary, else 200.
    pub status: u16,
}

/// The streams of all requests.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: BTreeMap<String, VecDeque<Message>>,
}

impl Streams {
    /// Begins a stream; until it ends, polls of it find it even when nothing was said yet.
    pub(super) fn begin(&mut self, request: &str) {
        self.streams.entry(request.to_owned()).or_default();
    }

    /// Says something to whoever follows the request.
    pub(super) fn say(&mut self, now: Time, request: &str, user: &str, status: u16, text: &str) {
        self.append(
            request,
            Message { status, ..Message::new(now, user, Kind::Text, plain(text)) },
        );
    }

    /// Says how far a step is, in place of what was said about that before.
    pub(super) fn progress(&mut self, now: Time, request: &str, user: &str, text: &str) {
        let stream = self.streams.entry(request.to_owned()).or_default();
        if stream.back().is_some_and(|last| last.kind == Kind::Progress) {
            stream.pop_back();
        }
        self.append(request, Message::new(now, user, Kind::Progress, plain(text)));
    }

    /// Ends a stream: what was said before can still be fetched, once.
    pub(super) fn end(&mut self, now: Time, request: &str, user: &str) {
        self.append(request, Message::new(now, user, Kind::End, END.to_owned()));
    }

    fn append(&mut self, request: &str, message: Message) {
        self.streams.entry(request.to_owned()).or_default().push_back(message);
    }

    /// What is new for whoever follows the request; `None` when there is no such request, or it came to its end before.
    pub(super) fn take(&mut self, request: &str) -> Option<Delivery> {
        let stream = self.streams.get_mut(request)?;
        let mut delivery = Delivery { message: String::new(), status: OK };
        let mut ended = false;
        for message in stream.iter_mut().filter(|message| !message.read) {
            message.read = true;
            if message.kind == Kind::End {
                ended = true;
                continue;
            }
            if !delivery.message.is_empty() {
                delivery.message.push_str(";;");
            }
            delivery.message.push_str(&timestamp(message.at));
            delivery.message.push_str(" :: ");
            delivery.message.push_str(&message.text);
            if message.status != OK {
                delivery.status = message.status;
            }
        }
        if ended {
            self.streams.remove(request);
        }
        Some(delivery)
    }

    /// Forgets what nobody fetched for an hour. Streams of jobs that still run stay.
    pub(super) fn purge(&mut self, now: Time, runs: impl Fn(&str) -> bool) {
        self.streams.retain(|request, stream| {
            stream.retain(|message| message.at.saturating_add(LIFETIME) > now);
            !stream.is_empty() || runs(request)
        });
    }

    /// Every message that is still kept, with its request, in the order in which they were said.
    pub(super) fn all(&self) -> Vec<(&str, &Message)> {
        let of_request = |(request, stream)| -> Vec<(&str, &Message)> {
            let (request, stream): (&String, &VecDeque<Message>) = (request, stream);
            stream.iter().map(|message| (request.as_str(), message)).collect()
        };
        let mut all: Vec<_> = self.streams.iter().flat_map(of_request).collect();
        all.sort_by_key(|(_, message)| message.at);
        all
    }
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

    fn delivery(message: &str, status: u16) -> Delivery {
        Delivery { message: message.to_owned(), status }
    }

    #[test]
    fn messages_are_delivered_once_and_their_end_is_that_nothing_is_known() {
        let mut streams = Streams::default();
        streams.say(NOW, "1.2", "luna", OK, "queued pack osimage compute with id 12");
        streams.say(NOW + 1000, "1.2", "luna", OK, "building osimage compute");
        let first = "2026-01-02 10:00:00 :: queued pack osimage compute with id 12;;2026-01-02 10:00:01 :: building osimage compute";
        assert_eq!(streams.take("1.2"), Some(delivery(first, 200)));
        assert_eq!(streams.take("1.2"), Some(delivery("", 200)));
        streams.say(NOW + 2000, "1.2", "luna", OK, "finished");
        streams.end(NOW + 2000, "1.2", "luna");
        assert_eq!(streams.take("1.2"), Some(delivery("2026-01-02 10:00:02 :: finished", 200)));
        assert_eq!(streams.take("1.2"), None);
        assert_eq!(streams.take("3.4"), None);
    }

    #[test]
    fn the_status_is_that_of_the_last_message_that_is_out_of_the_ordinary() {
        let mut streams = Streams::default();
        streams.say(NOW, "1.2", "luna", 404, "gone");
        streams.say(NOW, "1.2", "luna", 500, "broken");
        streams.say(NOW, "1.2", "luna", OK, "the former files stay in service");
        assert_eq!(streams.take("1.2").unwrap().status, 500);
        streams.say(NOW, "1.2", "luna", OK, "more");
        assert_eq!(streams.take("1.2").unwrap().status, 200);
    }

    #[test]
    fn only_the_newest_progress_is_told() {
        let mut streams = Streams::default();
        streams.say(NOW, "1.2", "luna", OK, "a");
        for done in 0..1000 {
            streams.progress(NOW, "1.2", "luna", &format!("building: {done}/1000 bytes"));
        }
        let text = "2026-01-02 10:00:00 :: a;;2026-01-02 10:00:00 :: building: 999/1000 bytes";
        assert_eq!(streams.take("1.2"), Some(delivery(text, 200)));
        streams.progress(NOW, "1.2", "luna", "building: 1000/1000 bytes");
        assert_eq!(streams.all().len(), 2);
    }

    #[test]
    fn a_text_cannot_pretend_to_be_two_or_be_endless() {
        let mut streams = Streams::default();
        streams.say(NOW, "1.2", "luna", OK, "it's \"here\";;\n2026");
        assert_eq!(streams.take("1.2").unwrap().message, "2026-01-02 10:00:00 :: its here; 2026");
        streams.say(NOW, "1.2", "luna", OK, &"ü".repeat(5000));
        assert_eq!(streams.take("1.2").unwrap().message.chars().count(), 2048 + 23);
    }

    #[test]
    fn what_nobody_fetches_is_forgotten_after_an_hour() {
        let mut streams = Streams::default();
        streams.begin("runs");
        streams.say(NOW, "runs", "luna", OK, "a");
        streams.say(NOW, "over", "luna", OK, "a");
        streams.end(NOW, "over", "luna");
        streams.purge(NOW + HOUR - 1, |_| false);
        assert_eq!(streams.all().len(), 3);
        streams.purge(NOW + HOUR, |request| request == "runs");
        assert_eq!(streams.take("over"), None);
        assert_eq!(streams.take("runs"), Some(delivery("", 200)));
    }
}
