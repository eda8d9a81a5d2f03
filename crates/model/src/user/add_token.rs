//! Adding a token of a program.

use super::ApiToken;
use crate::{Draft, Error, Kind};

/// As many tokens as there may be. Each request that shows one looks at all.
const MOST: usize = 1000;

/// Adds a token. One is never changed: whoever wants another makes another.
pub fn add_token(draft: &mut Draft, token: ApiToken) -> Result<(), Error> {
    if draft.api_tokens().contains_key(&token.name) {
        let (kind, name) = (Kind::ApiToken, token.name.to_string());
        return Err(Error::AlreadyExists { kind, name });
    }
    if draft.api_tokens().len() >= MOST {
        let reason = format!("there are {MOST} tokens already; remove some");
        return Err(Error::invalid("name", reason));
    }
    draft.put(token)
}
