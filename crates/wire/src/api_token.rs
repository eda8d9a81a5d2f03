//! API tokens, as clients read and ask for them.

use std::net::IpAddr;

use perilune_model::user::{ApiToken, Role};
use perilune_model::{Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;

/// As long as a token is good for unless something else is said: 90 days.
const USUAL_TIME: u64 = 90 * 24 * 3600;
/// The longest that can be said; 0 says that it does not end.
const LONGEST_TIME: u64 = 10 * 366 * 24 * 3600;
const MOST_ROUTES: usize = 100;

/// When and from where a token was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// RFC 3339, to the minute.
    pub at: String,
    /// The address.
    pub from: IpAddr,
}

/// An API token. What it is was shown when it was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiTokenKeys<'a> {
    name: &'a str,
    /// Whose it is. It ends with this user, and may never do more.
    user: &'a str,
    /// What it may do at most: `viewer`, `operator` or `admin`.
    role: &'static str,
    /// The only operations that it is good for; none where it is good for all of its role.
    routes: &'a [String],
    /// A host list of the only nodes that it is good for.
    nodes: Option<&'a str>,
    /// RFC 3339.
    made: String,
    /// When it ends, RFC 3339; null when it does not.
    until: Option<String>,
    /// Whether it has ended.
    expired: bool,
    /// RFC 3339, to the minute; null when it was never used.
    last_used: Option<String>,
    #[schema(value_type = Option<String>)]
    last_used_from: Option<IpAddr>,
    comment: Option<&'a str>,
}

impl<'a> ApiTokenKeys<'a> {
    /// The token, with the times at which it was made and ends as texts, and whether it has ended.
    pub fn new(
        token: &'a ApiToken,
        user: &'a str,
        (made, until, expired): (String, Option<String>, bool),
        last: Option<LastUse>,
    ) -> Self {
        let (last_used, last_used_from) = last.map(|last| (last.at, last.from)).unzip();
        Self {
            name: token.name.as_str(),
            user,
            role: token.role.word(),
            routes: &token.routes,
            nodes: token.nodes.as_deref(),
            made,
            until,
            expired,
            last_used,
            last_used_from,
            comment: token.comment.as_deref(),
        }
    }
}

/// What a request asks of a new token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Whose it is to be; the caller's own when it is not said.
    pub user: Option<String>,
    /// What it may do at most.
    pub role: Option<Role>,
    /// The only operations.
    pub routes: Vec<String>,
    /// A host list of the only nodes.
    pub nodes: Option<String>,
    /// How long it is good for; `None` does not end.
    pub seconds: Option<u64>,
    /// Free text.
    pub comment: Option<String>,
}

/// The request of a new token.
pub fn request(fields: &mut Fields<'_>) -> Request {
    fields.ignore(&["name"]);
    let role = fields.converted("role", |text| {
        let role = Role::from_word(text).filter(|role| *role != Role::Installer);
        role.ok_or_else(|| "it must be viewer, operator or admin".to_owned())
    });
    let routes = fields.list("routes").value().cloned().unwrap_or_default();
    if routes.len() > MOST_ROUTES {
        fields.refuse("routes", format!("there are more than {MOST_ROUTES}; give a role"));
    }
    let seconds = match fields.number("seconds") {
        Patch::Keep | Patch::Clear => Some(USUAL_TIME),
        Patch::Set(0) => None,
        Patch::Set(seconds) if seconds <= LONGEST_TIME => Some(seconds),
        Patch::Set(_) => {
            fields.refuse("seconds", format!("it must be {LONGEST_TIME} at most, or 0 for no end"));
            None
        }
    };
    Request {
        user: fields.name("user", Name::general).value().map(ToString::to_string),
        role: role.value().copied(),
        routes,
        nodes: fields.text("nodes").value().cloned(),
        seconds,
        comment: fields.text("comment").value().cloned(),
    }
}
