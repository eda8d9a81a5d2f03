//! Who asks for a boot script, and what the machine's console says where that cannot be seen.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::api::extract::{is_forwarded, peer};
use crate::api::problem::ApiError;
use crate::clock;
use crate::proxied::{self, LINE};
use crate::state::State;

/// How long a message stays on the console before the machine goes on.
const SECONDS: u64 = 5;

/// The address that asks for a boot script. That none is named is remembered, for whoever looks at warnings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker(pub(super) IpAddr);

impl FromRequestParts<State> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let address = peer(parts).0;
        state.hidden_boots.asked(address, is_forwarded(parts), clock::milliseconds());
        Ok(Self(address))
    }
}

/// The script, which says first what a proxy's configuration lacks if nobody is named who asks for it.
pub(super) fn told_of_proxy(script: String, asker: IpAddr) -> String {
    if !proxied::is_hidden(asker) {
        return script;
    }
    let lines = [
        "This script came through a proxy on the controller that does not say for whom.".to_owned(),
        "Nodes that boot in this way cannot install. Its location /boot needs the line:".to_owned(),
        LINE.to_owned(),
    ];
    after_first_line(&script, &lines, None)
}

/// A node's script without a ticket, which says why there is none, long enough to be read.
pub(super) fn told_of_ticket(script: &str, node: &str, asker: IpAddr) -> String {
    let why = if proxied::is_hidden(asker) {
        format!("{node} gets no ticket, and cannot install: see above.")
    } else {
        format!(
            "{node} gets no ticket, and cannot install: {asker} is neither its address nor lent to it."
        )
    };
    after_first_line(script, &[why], Some(SECONDS))
}

/// Lines are put behind those that are there already, so that they are read in their order.
fn after_first_line(script: &str, lines: &[String], seconds: Option<u64>) -> String {
    let is_echo = |line: &str| line.starts_with("echo ");
    let mut text = String::with_capacity(script.len() + 512);
    let mut rest = script.split_inclusive('\n').peekable();
    text.extend(rest.next());
    while let Some(line) = rest.next_if(|line| is_echo(line)) {
        text.push_str(line);
    }
    for line in lines {
        text.push_str("echo ");
        text.push_str(line);
        text.push('\n');
    }
    if let Some(seconds) = seconds {
        text.extend(["sleep ", &seconds.to_string(), "\n"]);
    }
    text.extend(rest);
    text
}
