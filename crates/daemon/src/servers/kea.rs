//! Kea takes a whole configuration over its control socket, and goes on serving meanwhile.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Ten thousand reservations take it half a second. A Kea that hangs holds up the files of the other servers for so long.
const LONGEST: Duration = Duration::from_secs(20);
/// Its answers are a sentence.
const ANSWER: u64 = 1 << 20;

/// What became of a configuration that Kea was to take.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It serves by it.
    Yes,
    /// It refuses, in these words, and goes on as before.
    Refused(String),
    /// Nobody is there to take it, or it is not said where.
    Nobody,
}

/// Has Kea take a configuration, whose text says where its socket is.
pub(super) async fn set(text: &str) -> Taken {
    let Ok(configuration) = serde_json::from_str::<Value>(&without_remarks(text)) else {
        return Taken::Nobody;
    };
    let server = ["Dhcp4", "Dhcp6"].into_iter().find_map(|name| configuration.get(name));
    let socket =
        server.and_then(|server| server.get("control-socket")?.get("socket-name")?.as_str());
    let Some(socket) = socket else { return Taken::Nobody };
    let Ok(Ok(stream)) = timeout(LONGEST, UnixStream::connect(socket)).await else {
        return Taken::Nobody;
    };
    let command = json!({ "command": "config-set", "arguments": configuration });
    match timeout(LONGEST, tell(stream, &command)).await {
        Err(_) => Taken::Refused(format!("Kea did not answer within {} s", LONGEST.as_secs())),
        Ok(Err(error)) => Taken::Refused(format!("Kea cannot be spoken to: {error}")),
        Ok(Ok(answer)) => judge(&answer),
    }
}

async fn tell(mut stream: UnixStream, command: &Value) -> io::Result<Vec<u8>> {
    stream.write_all(command.to_string().as_bytes()).await?;
    let mut answer = Vec::new();
    // Kea closes the connection when it has answered.
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn judge(answer: &[u8]) -> Taken {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return Taken::Refused("what answers at its socket is no Kea".to_owned());
    };
    // Some versions answer a list with one answer.
    let answer = answer.get(0).unwrap_or(&answer);
    match answer.get("result").and_then(Value::as_i64) {
        Some(0) => Taken::Yes,
        Some(_) | None => {
            let text = answer.get("text").and_then(Value::as_str).unwrap_or("it does not say why");
            Taken::Refused(text.to_owned())
        }
    }
}

/// Kea's JSON has remarks: `#` and `//` to the end of the line, and `/* */`.
fn without_remarks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut is_quoted = false;
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some(_)) if is_quoted => {
                plain.push(letter);
                plain.extend(letters.next());
            }
            ('"', _) => {
                is_quoted = !is_quoted;
                plain.push(letter);
            }
            ('#', _) | ('/', Some('/')) if !is_quoted => {
                while letters.next_if(|next| *next != '\n').is_some() {}
            }
            ('/', Some('*')) if !is_quoted => {
                let mut before = ' ';
                letters.next();
                for next in letters.by_ref() {
                    if (before, next) == ('*', '/') {
                        break;
                    }
                    before = next;
                }
            }
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_left_out_and_texts_are_not() {
        for (text, expected) in [
            ("{ // a\n \"a\": 1 # b\n}", json!({ "a": 1 })),
            ("/* { */ { \"a\": \"http://x/*y*/#z\" }", json!({ "a": "http://x/*y*/#z" })),
            ("{ \"a\\\"//\": \"\\\\\" }", json!({ "a\"//": "\\" })),
        ] {
            let plain = without_remarks(text);
            assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), expected, "{plain}");
        }
        assert_eq!(without_remarks("/* never ends"), "");
        assert_eq!(without_remarks("a /"), "a /");
    }

    #[test]
    fn an_answer_is_a_yes_or_a_reason() {
        assert_eq!(judge(b"{ \"result\": 0, \"text\": \"ok\" }"), Taken::Yes);
        assert_eq!(judge(b"[{ \"result\": 0 }]"), Taken::Yes);
        let refused = judge(b"{ \"result\": 1, \"text\": \"subnet\" }");
        assert_eq!(refused, Taken::Refused("subnet".to_owned()));
        assert!(matches!(judge(b"HTTP/1.1 400"), Taken::Refused(_)));
        assert!(matches!(judge(b"{}"), Taken::Refused(_)));
    }

    /// What becomes of a configuration for a Kea that answers so.
    async fn told_by(answer: Option<&'static [u8]>) -> Taken {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("kea");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let kea = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while serde_json::from_slice::<Value>(&asked).is_err() {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0, "it is cut off");
            }
            // One that floods is not heard to its end, and one that says nothing is hung up on.
            while let Some(answer) = answer {
                if stream.write_all(answer).await.is_err() || answer.starts_with(b"{") {
                    break;
                }
            }
        };
        let socket = socket.display();
        let text = format!(
            "{{ \"Dhcp4\": {{ \"control-socket\": {{ \"socket-name\": \"{socket}\" }} }} }}"
        );
        let (taken, ()) = tokio::join!(set(&text), kea);
        taken
    }

    #[tokio::test]
    async fn a_kea_that_lies_floods_or_says_nothing_is_told_of() {
        assert_eq!(told_by(Some(b"{ \"result\": 0 }")).await, Taken::Yes);
        for answer in [Some(&b"{ \"result\": [] }"[..]), Some(&[b'x'; 4096][..]), None] {
            assert!(matches!(told_by(answer).await, Taken::Refused(_)), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn where_nobody_is_nothing_is_told() {
        assert_eq!(set("no JSON").await, Taken::Nobody);
        assert_eq!(set("{ \"Dhcp4\": {} }").await, Taken::Nobody);
        let nowhere =
            "{ \"Dhcp4\": { \"control-socket\": { \"socket-name\": \"/nowhere/kea\" } } }";
        assert_eq!(set(nowhere).await, Taken::Nobody);
    }
}
