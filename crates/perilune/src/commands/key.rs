//! `perilune key`: the key that passwords of BMCs and secrets are stored with.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::session::Session;

pub(crate) const EXAMPLES: &str = "Examples:
  perilune key show      (which key it is, and where it is kept)
  perilune key rotate    (after somebody has seen it; keep a copy of the new file)";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Which key is in use, and where it is kept
    Show,
    /// Make a new key and store everything with it, the history included
    Rotate,
}

pub(crate) fn run(session: &Session, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show => {
            let answer = session.client.get("/config/key")?;
            let text = |field: &str| {
                let value = answer.pointer(&format!("/config/key/{field}"));
                value.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            session.say(&json!({ "message": format!("key {} in {}", text("id"), text("file")) }))
        }
        Command::Rotate => session.say(&session.client.post("/config/key/_rotate", &json!({}))?),
    }
}
