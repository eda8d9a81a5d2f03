//! What every handler can reach: the services of the daemon, and what is so of requests alone.

use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perilune_daemon::auth::UNNAMED;
use perilune_daemon::clock;
use perilune_daemon::state::State as Services;
use perilune_model::Name;
use perilune_model::user::{ApiToken, Role};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::attempts::Attempts;
use crate::bodies::Bodies;
use crate::budgets::Budgets;
use crate::problem::ApiError;
use crate::proxied::HiddenBoots;

/// What every handler can reach. Each layer of each request has a clone, so that one is no more than a number that is counted up.
#[derive(Clone)]
pub(crate) struct State(Arc<Inner>);

/// What it is made of.
pub(crate) struct Inner {
    services: Services,
    /// Failed log-ins.
    pub(crate) attempts: Arc<Attempts>,
    /// Boot requests of nobody who is named.
    pub(crate) hidden_boots: Arc<HiddenBoots>,
    /// Who may do what takes much memory or many computations.
    pub(crate) turns: Arc<Turns>,
}

/// What takes so much that only so many may do it at once; others wait for their turn.
pub(crate) struct Turns {
    /// Reading a whole database of another site.
    pub(crate) import: Semaphore,
    /// Computing with a password, which is made to be slow and large.
    pub(crate) password: Semaphore,
    /// Answers to machines that have shown nothing. Nobody waits here either.
    pub(crate) unproven: Budgets,
    /// Memory for what clients send. Nobody waits for that: who sends too much is told to come again.
    pub(crate) bodies: Bodies,
}

impl Default for Turns {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            import: Semaphore::new(1),
            password: Semaphore::new(processors),
            unproven: Budgets::default(),
            bodies: Bodies::default(),
        }
    }
}

impl Deref for State {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Deref for Inner {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}

impl State {
    /// Nobody has asked for anything yet.
    pub(crate) fn new(services: Services) -> Self {
        Self(Arc::new(Inner {
            services,
            attempts: Arc::default(),
            hidden_boots: Arc::default(),
            turns: Arc::default(),
        }))
    }

    /// The same, with changes of the cluster only gathered.
    #[must_use]
    pub(crate) fn gathering(&self) -> Self {
        let Inner { services, attempts, hidden_boots, turns } = &*self.0;
        Self(Arc::new(Inner {
            services: services.gathering(),
            attempts: Arc::clone(attempts),
            hidden_boots: Arc::clone(hidden_boots),
            turns: Arc::clone(turns),
        }))
    }

    /// What a user may do; `None` when there is no such user. Who is in the configuration may do everything.
    pub(crate) fn role_of(&self, user: &str) -> Option<Role> {
        if user == self.settings.username || user == UNNAMED {
            return Some(Role::Admin);
        }
        self.cluster.published().users().get(user).map(|user| user.role)
    }

    /// What tells the tokens of a user, as the user is now, from those of before; `None` when there is no such user.
    pub(crate) fn mark_of(&self, user: &str) -> Result<Option<String>, ApiError> {
        let cluster = self.cluster.published();
        let (generation, password) = if user == self.settings.username {
            (cluster.settings().user_generation, self.settings.password.as_str())
        } else {
            let Some(user) = cluster.users().get(user) else { return Ok(None) };
            (user.generation, user.password_hash.as_str())
        };
        let mark = self.keys.mark(generation, password);
        mark.map(Some).map_err(|error| ApiError::Defect(error.to_string()))
    }

    /// Whether a token of this user that carries this mark is still good. Programs of the site make tokens of the configuration's user, or of
    /// nobody who is named, with its key; those have none.
    pub(crate) fn check_login(&self, user: &str, mark: Option<&str>) -> Result<(), ApiError> {
        let is_made_with_the_key = user == UNNAMED || user == self.settings.username;
        if mark.is_none() && is_made_with_the_key {
            return Ok(());
        }
        match self.mark_of(user)? {
            Some(current) if mark == Some(current.as_str()) => Ok(()),
            Some(_) => Err(ApiError::Unauthenticated(format!(
                "this login of '{user}' has ended: the password or the role is another, or logins were revoked; log in again"
            ))),
            None => Err(ApiError::Unauthenticated(format!(
                "there is no user '{user}' any more; log in again"
            ))),
        }
    }

    /// The API token that this is, whether or not it is still good.
    pub(crate) fn api_token_of(&self, text: &str) -> Option<Arc<ApiToken>> {
        if !text.starts_with(TOKEN_BEGINNING) {
            return None;
        }
        let hash = token_hash(text);
        let cluster = self.cluster.published();
        cluster.api_tokens().values().find(|token| token.hash == hash).cloned()
    }

    /// The API token of this name.
    pub(crate) fn api_token(&self, name: &Name) -> Result<Arc<ApiToken>, ApiError> {
        let cluster = self.cluster.published();
        let token = cluster.api_tokens().get(name).cloned();
        token.ok_or_else(|| ApiError::Unauthenticated("Token is invalid".to_owned()))
    }

    /// What an API token may do: no more than the user whose it is.
    pub(crate) fn role_of_token(&self, token: &ApiToken) -> Option<Role> {
        let of_user = match &token.user {
            None => Some(Role::Admin),
            Some(user) => self.cluster.published().users().get(user).map(|user| user.role),
        };
        of_user.map(|role| role.min(token.role))
    }
}

/// How every API token begins, so that programs which look for secrets in files find it.
pub(crate) const TOKEN_BEGINNING: &str = "perilune_";

/// What of an API token is stored.
pub(crate) fn token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

/// Refuses an API token that has ended.
pub(crate) fn check_token(token: &ApiToken) -> Result<(), ApiError> {
    if token.until.is_some_and(|until| until <= clock::milliseconds()) {
        let message = format!("the API token '{}' has expired; make another", token.name);
        return Err(ApiError::Unauthenticated(message));
    }
    Ok(())
}
