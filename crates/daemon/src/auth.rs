//! Tokens: who somebody is, signed with the site's key. Nothing is kept here: all controllers with the same key accept each other's.

use std::net::IpAddr;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// How long a node's token is good for.
const PROVISION_LIFE: Duration = Duration::from_hours(1);
/// How long a boot may take from its script to its end.
const TICKET_LIFE: Duration = Duration::from_hours(6);

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    exp: u64,
}

/// Whom a token is for that names nobody: programs of the site make such with its key. Not a name that a user can have.
pub const UNNAMED: &str = "(unnamed)";
const PROVISION: &str = "provision";
const TICKET: &str = "ticket";

/// Who a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A person or a program.
    User(String),
    /// A node while it installs; only what concerns itself is its business.
    Node {
        /// Its name.
        name: String,
        /// The archive of its image when the token was made.
        archive: Option<String>,
    },
}

/// A boot that the controller has begun to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The node.
    pub node: String,
    /// The address that asked for the boot script.
    pub address: IpAddr,
    /// When it did: seconds since 1970.
    pub begun: u64,
}

/// The key that tokens are signed with.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    expiry: Duration,
}

impl Keys {
    /// Keys of the configuration's `SECRET_KEY`, its text as it stands, and how long logins are good for.
    pub fn new(secret: &str, expiry: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        Self {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            validation,
            expiry,
        }
    }

    /// A token for a user who has logged in. `now` is in seconds since 1970, here and below.
    pub fn for_user(&self, user: &str, now: u64) -> Result<String, jsonwebtoken::errors::Error> {
        let exp = now + self.expiry.as_secs();
        self.sign(&Claims {
            id: Some(0),
            user: Some(user.to_owned()),
            node: None,
            scope: None,
            archive: None,
            address: None,
            iat: None,
            exp,
        })
    }

    /// A token for one node that installs, from this archive: it may go on with it when the image is packed meanwhile.
    pub fn for_node(
        &self,
        node: &str,
        archive: Option<&str>,
        now: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(&Claims {
            id: None,
            user: None,
            node: Some(node.to_owned()),
            scope: Some(PROVISION.to_owned()),
            archive: archive.map(str::to_owned),
            address: None,
            iat: None,
            exp: now + PROVISION_LIFE.as_secs(),
        })
    }

    /// A ticket for one boot: what the node's kernel is given, and the node's token is had for.
    pub fn ticket(&self, boot: &Boot) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(&Claims {
            id: None,
            user: None,
            node: Some(boot.node.clone()),
            scope: Some(TICKET.to_owned()),
            archive: None,
            address: Some(boot.address),
            iat: Some(boot.begun),
            exp: boot.begun + TICKET_LIFE.as_secs(),
        })
    }

    /// Who the token is for; `None` when it is forged, malformed or no longer good.
    pub fn identify(&self, token: &str) -> Option<Identity> {
        let claims = self.read(token)?;
        match (claims.scope.as_deref(), claims.node) {
            (None, None) => Some(Identity::User(claims.user.unwrap_or_else(|| UNNAMED.to_owned()))),
            (Some(PROVISION), Some(name)) => Some(Identity::Node { name, archive: claims.archive }),
            _ => None,
        }
    }

    /// The boot that the ticket is for; `None` when it is forged, malformed or no longer good.
    pub fn redeem(&self, ticket: &str) -> Option<Boot> {
        let claims = self.read(ticket)?;
        let is_ticket = claims.scope.as_deref() == Some(TICKET);
        let (node, address, begun) = (claims.node?, claims.address?, claims.iat?);
        is_ticket.then_some(Boot { node, address, begun })
    }

    fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
    }

    fn read(&self, token: &str) -> Option<Claims> {
        match jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation) {
            Ok(data) => Some(data.claims),
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::ExpiredSignature | ErrorKind::InvalidToken) {
                    tracing::debug!(%error, "a token was refused");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn keys() -> Keys {
        Keys::new("0123456789abcdef", Duration::from_mins(1))
    }

    #[test]
    fn each_kind_of_token_is_good_for_its_own_purpose_only() {
        let (keys, now) = (keys(), clock::seconds());
        let boot = Boot { node: "node001".into(), address: [10, 141, 0, 1].into(), begun: now };
        let (user, node) = (
            keys.for_user("ann", now).unwrap(),
            keys.for_node("node001", Some("a.tar.zst"), now).unwrap(),
        );
        let ticket = keys.ticket(&boot).unwrap();
        assert_eq!(keys.identify(&user), Some(Identity::User("ann".into())));
        let archive = Some("a.tar.zst".into());
        assert_eq!(keys.identify(&node), Some(Identity::Node { name: "node001".into(), archive }));
        assert_eq!(keys.identify(&ticket), None);
        assert_eq!(keys.redeem(&ticket), Some(boot));
        assert_eq!(keys.redeem(&user), None);
        assert_eq!(keys.redeem(&node), None);
    }

    #[test]
    fn old_and_foreign_tokens_are_good_for_nothing() {
        let (keys, now) = (keys(), clock::seconds());
        assert_eq!(keys.identify(&keys.for_user("ann", now - 61).unwrap()), None);
        let foreign = Keys::new("another", Duration::from_mins(1));
        assert_eq!(keys.identify(&foreign.for_user("ann", now).unwrap()), None);
        assert_eq!(keys.identify("nonsense"), None);
        // An unsigned token: {"alg":"none"} and the claims of an administrator.
        assert_eq!(keys.identify("eyJhbGciOiJub25lIn0.eyJpZCI6MCwiZXhwIjo5OTk5OTk5OTk5fQ."), None);
    }

    #[test]
    fn tokens_of_the_reference_are_accepted() {
        let (keys, now) = (keys(), clock::seconds());
        let claims = serde_json::json!({ "id": 0, "exp": now + 60 });
        let token = jsonwebtoken::encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(b"0123456789abcdef"),
        );
        assert!(matches!(keys.identify(&token.unwrap()), Some(Identity::User(_))));
    }
}
