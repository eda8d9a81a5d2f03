//! Tokens: who somebody is, signed with the site's key. All controllers with the same key accept each other's. A user's token carries a mark
//! of what the user was when it was given; it ends when that is another.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use perilune_model::{MacAddress, Name};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::boots::Exchange;

/// How long a boot may take from the exchange of its ticket to its end.
const PROVISION_LIFE: Duration = Duration::from_hours(6);
/// How long a controller or node that was sent on for a file may take until it asks there.
const FILE_LIFE: Duration = Duration::from_mins(5);
/// How long a running node may ask for its own hardware rules to be read.
const IMPORT_LIFE: Duration = Duration::from_hours(2);

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archive: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<MacAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<u64>,
    exp: u64,
}

impl Claims {
    fn until(exp: u64) -> Self {
        Self {
            id: None,
            user: None,
            generation: None,
            node: None,
            scope: None,
            archive: None,
            address: None,
            mac: None,
            boot: None,
            begun: None,
            exp,
        }
    }
}

/// Whom a token is for that names nobody: programs of the site make such with its key. Not a name that a user can have.
pub const UNNAMED: &str = "(unnamed)";
/// As many tokens are known without a look at their signatures; beyond, all are looked at anew.
const VERIFIED: usize = 4096;
/// Characters of base64 in a mark: 96 bits.
const MARK_LENGTH: usize = 16;
const PROVISION: &str = "provision";
const IMPORT: &str = "import";
const TICKET: &str = "ticket";
const FILE: &str = "file";

/// Who a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A person or a program.
    User {
        /// The login name.
        name: String,
        /// What the user was when the token was given, as [`Keys::mark`] has it; none in tokens that other programs make.
        generation: Option<String>,
    },
    /// A node while it installs; only what concerns itself is its business.
    Node {
        /// Its name.
        name: String,
        /// The archive of its image when the token was made.
        archive: Option<String>,
        /// The boot that the token is for.
        boot: String,
        /// Where the token is good from.
        address: IpAddr,
    },
    /// A program, by the API token of this name. Not signed: the cluster has its hash.
    ApiToken(Name),
    /// A running node, that has the rules of its own hardware read and does nothing else.
    Importer(String),
}

/// What a ticket says: a boot that the controller has begun to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The node.
    pub node: String,
    /// The hardware address that asked.
    pub mac: MacAddress,
    /// The one address that may use the ticket: reserved for the node, or lent to it.
    pub address: IpAddr,
    /// Names this boot.
    pub boot: String,
    /// When the script was asked for: steady milliseconds.
    pub begun: u64,
}

/// The key that tokens are signed with.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// The library would compare with the time of day alone.
    untimed: Validation,
    expiry: Duration,
    /// What tokens say whose signatures were found good: whoever has one shows it with each request. By their digests, so that the time of a
    /// look tells nobody how a token begins.
    verified: Mutex<BTreeMap<[u8; 32], Claims>>,
}

impl Keys {
    /// Keys of the configuration's `SECRET_KEY`, its text as it stands, and how long logins are good for.
    pub fn new(secret: &str, expiry: Duration) -> Self {
        let mut untimed = Validation::new(Algorithm::HS256);
        untimed.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            untimed,
            expiry,
            verified: Mutex::default(),
        }
    }

    /// Tells users of one generation and password from those of another. Nobody without the key learns anything of either.
    pub fn mark(
        &self,
        generation: u64,
        password: &str,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let text = format!("generation {generation} {password}");
        let mut mark =
            jsonwebtoken::crypto::sign(text.as_bytes(), &self.encoding, Algorithm::HS256)?;
        mark.truncate(MARK_LENGTH);
        Ok(mark)
    }

    /// A token for a user who has logged in, and is what this mark says. `now` is in seconds since 1970, here and below.
    pub fn for_user(
        &self,
        user: &str,
        mark: String,
        now: u64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let exp = now + self.expiry.as_secs();
        self.sign(&Claims {
            id: Some(0),
            user: Some(user.to_owned()),
            generation: Some(mark),
            ..Claims::until(exp)
        })
    }

    /// A token for one node that installs: for this boot, and for the archive that it began with, should the image be packed meanwhile.
    /// The same exchange gives the same token.
    pub fn for_node(
        &self,
        node: &str,
        exchange: &Exchange,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(&Claims {
            node: Some(node.to_owned()),
            scope: Some(PROVISION.to_owned()),
            archive: exchange.archive.clone(),
            address: Some(exchange.address),
            boot: Some(exchange.boot.clone()),
            ..Claims::until(exchange.at + PROVISION_LIFE.as_secs())
        })
    }

    /// A token for a running node, good for the import of its own hardware rules alone. `now` is in steady seconds.
    pub fn for_import(&self, node: &str, now: u64) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(&Claims {
            node: Some(node.to_owned()),
            scope: Some(IMPORT.to_owned()),
            ..Claims::until(now + IMPORT_LIFE.as_secs())
        })
    }

    /// A ticket for one file, good at every controller: what one that lacks it gives to those that it sends on, and asks with itself.
    /// `now` is in steady seconds.
    pub fn for_file(&self, file: &str, now: u64) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(&Claims {
            scope: Some(FILE.to_owned()),
            archive: Some(file.to_owned()),
            ..Claims::until(now + FILE_LIFE.as_secs())
        })
    }

    /// Whether a ticket is good for this file. `now` is in steady seconds.
    pub fn admits_to(&self, ticket: &str, file: &str, now: u64) -> bool {
        let claims = self.read(ticket);
        claims.is_some_and(|claims| {
            let is_of_file = claims.scope.as_deref() == Some(FILE) && claims.node.is_none();
            is_of_file && claims.archive.as_deref() == Some(file) && claims.exp >= now
        })
    }

    /// A ticket for one boot: what the node's kernel is given, and the node's token is had for.
    pub fn ticket(
        &self,
        boot: &Boot,
        life: Duration,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        self.sign(&Claims {
            node: Some(boot.node.clone()),
            scope: Some(TICKET.to_owned()),
            address: Some(boot.address),
            mac: Some(boot.mac),
            boot: Some(boot.boot.clone()),
            begun: Some(boot.begun),
            ..Claims::until(boot.begun / 1000 + life.as_secs())
        })
    }

    /// Who the token is for; `None` when it is forged, malformed or no longer good. Tokens of people end at a time of day, those of machines
    /// by a clock that never jumps: a boot goes on when somebody sets the other. `steady` is in seconds by that one.
    pub fn identify(&self, token: &str, now: u64, steady: u64) -> Option<Identity> {
        let claims = self.read(token)?;
        let is_of_machine = claims.scope.is_some();
        if claims.exp < if is_of_machine { steady } else { now } {
            return None;
        }
        match (claims.scope.as_deref(), claims.node) {
            (None, None) => Some(Identity::User {
                name: claims.user.unwrap_or_else(|| UNNAMED.to_owned()),
                generation: claims.generation,
            }),
            (Some(PROVISION), Some(name)) => Some(Identity::Node {
                name,
                archive: claims.archive,
                boot: claims.boot?,
                address: claims.address?,
            }),
            (Some(IMPORT), Some(name)) => Some(Identity::Importer(name)),
            _ => None,
        }
    }

    /// The boot that the ticket is for; `None` when it is forged, malformed or no longer good. `now` is in steady milliseconds.
    pub fn redeem(&self, ticket: &str, now: u64) -> Option<Boot> {
        let claims = self.read(ticket)?;
        let is_ticket = claims.scope.as_deref() == Some(TICKET) && claims.exp > now / 1000;
        let boot = Boot {
            node: claims.node?,
            mac: claims.mac?,
            address: claims.address?,
            boot: claims.boot?,
            begun: claims.begun?,
        };
        is_ticket.then_some(boot)
    }

    fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
    }

    fn read(&self, token: &str) -> Option<Claims> {
        let digest = Sha256::digest(token).into();
        if let Some(claims) = self.verified().get(&digest) {
            return Some(claims.clone());
        }
        match jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.untimed) {
            Ok(data) => {
                let mut verified = self.verified();
                if verified.len() >= VERIFIED {
                    verified.clear();
                }
                verified.insert(digest, data.claims.clone());
                Some(data.claims)
            }
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::InvalidToken) {
                    tracing::debug!(%error, "a token was refused");
                }
                None
            }
        }
    }

    fn verified(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Claims>> {
        // The map is whole between any two statements.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn known(keys: &Keys, token: &str) -> Option<Identity> {
        let now = clock::seconds();
        keys.identify(token, now, now)
    }

    fn keys() -> Keys {
        Keys::new("0123456789abcdef", Duration::from_mins(1))
    }

    fn boot() -> Boot {
        Boot {
            node: "node001".into(),
            mac: MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]),
            address: [10, 141, 0, 1].into(),
            boot: "boot".into(),
            begun: 5_000_000,
        }
    }

    fn exchange() -> Exchange {
        Exchange {
            boot: "boot".into(),
            begun: 5_000_000,
            key: None,
            address: [10, 141, 0, 1].into(),
            archive: Some("a.tar.zst".into()),
            at: clock::seconds(),
            succeeded: None,
        }
    }

    #[test]
    fn each_kind_of_token_is_good_for_its_own_purpose_only() {
        let (keys, now) = (keys(), clock::seconds());
        let life = Duration::from_mins(1);
        let user = keys.for_user("ann", "mark".into(), now).unwrap();
        let node = keys.for_node("node001", &exchange()).unwrap();
        let import = keys.for_import("node001", now).unwrap();
        let ticket = keys.ticket(&boot(), life).unwrap();
        let ann = Identity::User { name: "ann".into(), generation: Some("mark".into()) };
        assert_eq!(known(&keys, &user), Some(ann));
        let Exchange { boot: name, address, archive, .. } = exchange();
        let expected = Identity::Node { name: "node001".into(), archive, boot: name, address };
        assert_eq!(known(&keys, &node), Some(expected));
        assert_eq!(known(&keys, &import), Some(Identity::Importer("node001".into())));
        assert_eq!(known(&keys, &ticket), None);
        assert_eq!(keys.redeem(&ticket, boot().begun), Some(boot()));
        let file = keys.for_file("a.tar.zst", now).unwrap();
        assert_eq!(known(&keys, &file), None, "it is nobody's token");
        assert!(keys.admits_to(&file, "a.tar.zst", now));
        assert!(!keys.admits_to(&file, "b.tar.zst", now));
        assert!(!keys.admits_to(&file, "a.tar.zst", now + 301));
        for token in [&user, &node, &import, &file] {
            assert_eq!(keys.redeem(token, boot().begun), None);
        }
        for token in [&user, &node, &import, &ticket] {
            assert!(!keys.admits_to(token, "a.tar.zst", now));
        }
    }

    #[test]
    fn the_same_exchange_gives_the_same_token() {
        let (keys, exchange) = (keys(), exchange());
        assert_eq!(
            keys.for_node("node001", &exchange).unwrap(),
            keys.for_node("node001", &exchange).unwrap()
        );
    }

    #[test]
    fn a_ticket_ends_by_the_steady_clock_whatever_the_other_says() {
        let keys = keys();
        let ticket = keys.ticket(&boot(), Duration::from_mins(1)).unwrap();
        assert_eq!(keys.redeem(&ticket, boot().begun + 59_999), Some(boot()));
        assert_eq!(keys.redeem(&ticket, boot().begun + 60_000), None);
    }

    #[test]
    fn a_mark_is_that_of_one_generation_one_password_and_one_key() {
        let (keys, foreign) = (keys(), Keys::new("another", Duration::from_mins(1)));
        let mark = keys.mark(1, "hash").unwrap();
        assert_eq!((mark.len(), &keys.mark(1, "hash").unwrap()), (MARK_LENGTH, &mark));
        for other in [keys.mark(2, "hash"), keys.mark(1, "other"), foreign.mark(1, "hash")] {
            assert_ne!(other.unwrap(), mark);
        }
    }

    #[test]
    fn old_and_foreign_tokens_are_good_for_nothing() {
        let (keys, now) = (keys(), clock::seconds());
        assert_eq!(known(&keys, &keys.for_user("ann", String::new(), now - 61).unwrap()), None);
        let foreign = Keys::new("another", Duration::from_mins(1));
        assert_eq!(known(&keys, &foreign.for_user("ann", String::new(), now).unwrap()), None);
        let ticket = foreign.ticket(&boot(), Duration::from_mins(1)).unwrap();
        assert_eq!(keys.redeem(&ticket, boot().begun), None);
        assert_eq!(known(&keys, "nonsense"), None);
        // An unsigned token: {"alg":"none"} and the claims of an administrator.
        assert_eq!(known(&keys, "eyJhbGciOiJub25lIn0.eyJpZCI6MCwiZXhwIjo5OTk5OTk5OTk5fQ."), None);
    }

    #[test]
    fn the_time_of_day_ends_the_tokens_of_people_and_a_steady_clock_those_of_machines() {
        let (keys, now) = (keys(), clock::seconds());
        let day = 24 * 60 * 60;
        let node = keys.for_node("node001", &exchange()).unwrap();
        let import = keys.for_import("node001", now).unwrap();
        let user = keys.for_user("ann", String::new(), now).unwrap();
        for token in [&node, &import] {
            assert!(keys.identify(token, now + day, now).is_some());
            assert!(keys.identify(token, now - day, now).is_some());
            assert!(keys.identify(token, now, now + day).is_none());
        }
        assert!(keys.identify(&user, now, now + day).is_some());
        assert!(keys.identify(&user, now + day, now).is_none());
    }

    #[test]
    fn a_token_that_was_good_is_so_until_it_ends_and_makes_no_other_good() {
        let (keys, now) = (keys(), clock::seconds());
        let token = keys.for_user("ann", "mark".into(), now).unwrap();
        let ann = Identity::User { name: "ann".into(), generation: Some("mark".into()) };
        for at in [now, now + 59] {
            assert_eq!(keys.identify(&token, at, at), Some(ann.clone()));
        }
        assert_eq!(keys.identify(&token, now + 61, now + 61), None);
        for (place, _) in token.char_indices() {
            let mut other = token.clone();
            let letter = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
            other.replace_range(place..=place, letter);
            assert_eq!(keys.identify(&other, now, now), None, "{place}");
        }
        for number in 0..VERIFIED + 2 {
            let user = format!("user{number}");
            let token = keys.for_user(&user, String::new(), now).unwrap();
            assert!(keys.identify(&token, now, now).is_some());
        }
        assert!(keys.verified().len() <= VERIFIED);
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
        let unnamed = Identity::User { name: UNNAMED.to_owned(), generation: None };
        assert_eq!(known(&keys, &token.unwrap()), Some(unnamed));
    }
}
