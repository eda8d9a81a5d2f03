//! A site's own way to a BMC: an executable that is asked in JSON on its standard input, and answers in JSON on its
//! standard output. What both look like is told at [`Driver::Plugin`](crate::Driver).

use std::path::{Path, PathBuf};
use std::time::Duration;

use perilune_program::Limits;
use serde::Deserialize;
use serde_json::json;

use crate::{Action, Error, Event, Item, PowerState, Program, Reply, Sensor, Target};

const LIMITS: Limits = Limits::of(Duration::from_secs(30), 4 << 20);
/// Shorter passwords are parts of usual words, and hiding those would make a text unreadable.
const SHORTEST_HIDDEN: usize = 4;

#[derive(Deserialize)]
struct Answer {
    power: Option<PowerState>,
    text: Option<String>,
    events: Option<Vec<Event>>,
    sensors: Option<Vec<Sensor>>,
    inventory: Option<Vec<Item>>,
    error: Option<String>,
}

pub(crate) struct Plugin {
    program: Program,
    question: serde_json::Value,
}

impl Plugin {
    pub(crate) fn new(program: &Program, target: &Target) -> Self {
        let question = json!({
            "version": 1,
            "name": target.name,
            "address": target.address,
            "group": target.group,
            "username": target.credentials.user,
            "password": target.credentials.password,
        });
        Self { program: program.clone(), question }
    }

    pub(crate) async fn perform(&mut self, action: Action) -> Result<Reply, Error> {
        if let Some(question) = self.question.as_object_mut() {
            question.insert("action".to_owned(), json!(action));
        }
        let question = self.question.to_string();
        let Program { path, words, user } = &self.program;
        let words: Vec<&Path> = words.iter().map(PathBuf::as_path).collect();
        let output = perilune_program::ask(&words, &question, LIMITS, *user).await;
        let answer = output.and_then(|output| {
            let answer: Answer = serde_json::from_slice(&output)
                .map_err(|error| format!("its answer is not the JSON that is expected: {error}"))?;
            answer.into_reply(action)
        });
        answer.map_err(|reason| {
            let reason = self.without_password(reason);
            Error::Plugin { path: path.clone(), reason }
        })
    }

    /// Programs that fail may say what they were given, and whoever may control machines reads it.
    fn without_password(&self, text: String) -> String {
        match self.question.get("password").and_then(serde_json::Value::as_str) {
            Some(password) if password.chars().count() >= SHORTEST_HIDDEN => {
                text.replace(password, "(hidden)")
            }
            _ => text,
        }
    }
}

impl Answer {
    fn into_reply(self, action: Action) -> Result<Reply, String> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let lacks = |field: &str| format!("its answer to \"{action}\" lacks \"{field}\"");
        let text = self.text;
        match action {
            Action::PowerStatus => self.power.map(Reply::Power).ok_or_else(|| lacks("power")),
            Action::SelList => self
                .events
                .or_else(|| text.as_deref().map(events))
                .map(Reply::Events)
                .ok_or_else(|| lacks("events")),
            Action::Sensors => self.sensors.map(Reply::Sensors).ok_or_else(|| lacks("sensors")),
            Action::Inventory => {
                self.inventory.map(Reply::Inventory).ok_or_else(|| lacks("inventory"))
            }
            _ => Ok(Reply::Done),
        }
    }
}

/// A log as plain text, a line for each event.
fn events(text: &str) -> Vec<Event> {
    let event = |(number, line): (usize, &str)| Event {
        id: (number + 1).to_string(),
        time: String::new(),
        sensor: String::new(),
        text: line.to_owned(),
        asserted: true,
    };
    text.lines().enumerate().map(event).collect()
}
