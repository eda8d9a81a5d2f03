//! Who asks for a boot script, and what the machine's console says where that cannot be seen.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use perilune_daemon::clock;
use perilune_daemon::rate::Wait;

use crate::proxied::{CONFIGURATION, LINE};
use crate::source::{self, Source};
use crate::state::State;
use crate::unproven::spend;
use crate::view::View;

/// Who asks for a boot script. That nobody is named is remembered, for whoever looks at warnings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker(pub(super) Source);

impl FromRequestParts<State> for Asker {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let source = source::of(parts);
        state.hidden_boots.asked(&source, clock::milliseconds());
        spend(parts, state, source).map_err(|wait| asked_too_often(parts, state, wait))?;
        Ok(Self(source))
    }
}

/// A script that waits, and asks the same again.
fn asked_too_often(parts: &Parts, state: &State, wait: Wait) -> Response {
    let asked = parts.uri.path_and_query().map_or("/boot", |asked| asked.as_str());
    // A few seconds more than it takes: others have asked as well.
    let seconds = wait.seconds().saturating_add(2);
    let view = View::now(state, source::of(parts));
    let mut response = super::text(view.site(state).busy_script(asked, seconds));
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

/// The script, which says first what a proxy's configuration lacks if nobody is named who asks for it.
pub(super) fn told_of_proxy(script: String, source: Source) -> String {
    if !source.is_anybody() {
        return script;
    }
    let lines = [
        "This script came through a proxy on the controller that does not say for whom.".to_owned(),
        "Its location /boot needs the first line, and luna.ini the second:".to_owned(),
        LINE.to_owned(),
        CONFIGURATION.to_owned(),
    ];
    after_first_line(&script, &lines)
}

/// Lines are put behind those that are there already, so that they are read in their order.
fn after_first_line(script: &str, lines: &[String]) -> String {
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
    text.extend(rest);
    text
}
