//! Making, changing and removing users.

use crate::settings::Settings;
use crate::user::{ApiToken, Role, User};
use crate::{Draft, Error, Kind, Name, Patch, Saved};

/// What a client asks of a user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// Argon2id hash of the password; a new user needs one.
    pub password_hash: Option<String>,
    /// What the user may do; a new user is a viewer unless it is said.
    pub role: Option<Role>,
    /// Free text.
    pub comment: Patch<String>,
}

/// Changes a user; makes one where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let known = draft.users().get(name).map(|user| User::clone(user));
    let saved = Saved::foreseen(known.is_some(), request.new_name.is_some())
        .ok_or_else(|| Error::NotFound { kind: Kind::User, name: name.to_string() })?;
    let mut user = known.unwrap_or_default();
    if let Some(hash) = &request.password_hash {
        user.password_hash.clone_from(hash);
    }
    if user.password_hash.is_empty() {
        return Err(Error::invalid("password", "the user is new and needs a password"));
    }
    user.role = request.role.unwrap_or(user.role);
    request.comment.apply(&mut user.comment);
    user.name = request.new_name.as_ref().unwrap_or(name).clone();
    draft.rename(user, name.as_str())?;
    Ok(saved)
}

/// Ends all tokens that a user has so far, API tokens too; without a name, those of the user of the configuration.
pub fn revoke(draft: &mut Draft, name: Option<&str>) -> Result<(), Error> {
    let generation = draft.revision().saturating_add(1);
    let is_own = |token: &ApiToken| token.user.as_ref().map(Name::as_str) == name;
    let own = draft.api_tokens().values().filter(|token| is_own(token));
    let own: Vec<Name> = own.map(|token| token.name.clone()).collect();
    for token in own {
        draft.remove(Kind::ApiToken, token.as_str())?;
    }
    match name {
        Some(name) => draft.put(User { generation, ..User::clone(draft.user(name)?) }),
        None => {
            draft.put(Settings { user_generation: generation, ..Settings::clone(draft.settings()) })
        }
    }
}
