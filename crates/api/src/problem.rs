//! The one place that turns a failure into a status and a body.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use perilune_daemon::causes::chain;
use perilune_daemon::cluster;
use perilune_daemon::jobs;
use perilune_model::{Change, Error as Refusal, Violation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::json::Json;
use perilune_wire::diff::{Net, ObjectChange};

/// Why a request is not answered as it was meant to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The body is larger than it may be here.
    #[error("{0}")]
    TooLarge(String),
    /// Fields of the request cannot be read.
    #[error("{}", Refusal::Invalid(.0.clone()))]
    Fields(Vec<Violation>),
    /// Nobody is logged in.
    #[error("{0}")]
    Unauthenticated(String),
    /// Too many wrong passwords were given; after so many seconds there is another try. Existing clients know no status for this but
    /// that of a wrong password.
    #[error("too many failed log-ins; wait {0} s, then try again")]
    TooManyAttempts(u64),
    /// It came again too soon.
    #[error("{0}")]
    TooOften(String),
    /// Who is logged in may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// There is nothing of the kind.
    #[error("{0}")]
    NotFound(String),
    /// It is not possible now.
    #[error("{0}")]
    Conflict(String),
    /// Something that is needed is not there.
    #[error("{0}")]
    Unavailable(String),
    /// Others take what is needed; in a moment there will be some again.
    #[error("{message}")]
    Busy {
        /// Why.
        message: String,
        /// When to ask again.
        seconds: u64,
    },
    /// A disk is full.
    #[error("{0}")]
    Full(String),
    /// What was asked for is known, and not served by this version.
    #[error("{0}")]
    Absent(String),
    /// The model refuses the change.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The change was not stored.
    #[error("the change could not be stored")]
    Store(#[from] perilune_store::Error),
    /// The daemon is stopping.
    #[error("the daemon is stopping; try again in a moment")]
    Stopping,
    /// Only a trial was asked for; this is no failure, and the answer says what would change, and what in it may be a slip.
    #[error("only a trial was asked for")]
    Trial(Change, Vec<String>),
    /// The same request was made before; this is no failure.
    #[error("this was done already, as revision {0}")]
    Repeated(u64),
    /// A defect.
    #[error("{0}")]
    Defect(String),
}

/// What would change, had it not been a trial.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trial {
    /// Always true.
    pub dry_run: bool,
    /// The objects that would change.
    pub changes: Vec<ObjectChange>,
    /// What would become of things outside of the cluster's description, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What may be a slip and would be taken, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// What is said of a request that was made before.
#[expect(clippy::struct_field_names, reason = "clients know the field by this name")]
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Repeated {
    /// For a person.
    pub message: String,
    /// Always true.
    pub repeated: bool,
    /// The revision that it led to then.
    pub revision: u64,
}

impl Trial {
    pub(super) fn new(change: &Change, notes: Vec<String>, remarks: Vec<String>) -> Self {
        let mut net = Net::default();
        net.add(&change.edits, &change.inverse);
        Self { dry_run: true, changes: net.changes(), notes, remarks }
    }
}

impl From<cluster::Error> for ApiError {
    fn from(error: cluster::Error) -> Self {
        match error {
            cluster::Error::Refused(refusal) => Self::Refused(refusal),
            cluster::Error::Store(error) => Self::Store(error),
            error @ cluster::Error::Contended => Self::Conflict(error.to_string()),
            cluster::Error::Defect(text) => Self::Defect(text),
            cluster::Error::Stopping => Self::Stopping,
            cluster::Error::Trial(change, remarks) => Self::Trial(change, remarks),
            cluster::Error::Repeated(revision) => Self::Repeated(revision),
        }
    }
}

impl From<perilune_daemon::identity::Error> for ApiError {
    fn from(error: perilune_daemon::identity::Error) -> Self {
        use perilune_daemon::identity::Error as Identity;
        match error {
            Identity::Cluster(error) => error.into(),
            Identity::Stopping => Self::Stopping,
            Identity::Key(_) | Identity::Form(_) | Identity::Encoding(_) | Identity::Random(_) => {
                Self::Defect(chain(&error))
            }
        }
    }
}

impl From<perilune_boards::Error> for ApiError {
    fn from(error: perilune_boards::Error) -> Self {
        match error {
            perilune_boards::Error::Store(error) => Self::Store(error),
            perilune_boards::Error::Contended => Self::Conflict(error.to_string()),
            perilune_boards::Error::Stopping => Self::Stopping,
        }
    }
}

impl From<jobs::NotTaken> for ApiError {
    fn from(error: jobs::NotTaken) -> Self {
        match error {
            jobs::NotTaken::TooMany => Self::Unavailable(error.to_string()),
            jobs::NotTaken::NotStored(error) => error.into(),
        }
    }
}

impl From<perilune_select::Error> for ApiError {
    fn from(error: perilune_select::Error) -> Self {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        let message = format!("{error}{hint}");
        if error.is_missing() { Self::NotFound(message) } else { Self::Malformed(message) }
    }
}

impl From<Vec<Violation>> for ApiError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Fields(violations)
    }
}

/// Why an answer refuses, for the audit.
#[derive(Debug, Clone)]
pub(super) struct Reason(pub(super) String);

/// The body of every failure.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What is wrong and what to do, for a person.
    pub message: String,
    /// The kind of failure, for a program.
    pub code: &'static str,
    /// Every field that is wrong.
    pub errors: Vec<FieldProblem>,
    /// What to look for in the daemon's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A field that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// As long is a database away that has a standby, at least.
const AWAY_SECONDS: u64 = 5;

impl ApiError {
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Fields(_) => (StatusCode::BAD_REQUEST, "invalid"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::TooManyAttempts(_) => (StatusCode::UNAUTHORIZED, "too_many_attempts"),
            Self::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "too_often"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Absent(_) => (StatusCode::NOT_IMPLEMENTED, "not_implemented"),
            Self::Refused(refusal) => match refusal {
                Refusal::NotFound { .. } | Refusal::NoPart { .. } => {
                    (StatusCode::NOT_FOUND, "not_found")
                }
                // Existing clients take 400 for all of these.
                Refusal::AlreadyExists { .. } => (StatusCode::BAD_REQUEST, "already_exists"),
                Refusal::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
                Refusal::InUse { .. } => (StatusCode::BAD_REQUEST, "in_use"),
                Refusal::Exhausted { .. } => (StatusCode::BAD_REQUEST, "exhausted"),
            },
            Self::Store(perilune_store::Error::Full) | Self::Full(_) => {
                (StatusCode::INSUFFICIENT_STORAGE, "disk_full")
            }
            Self::Store(perilune_store::Error::NotYet { .. }) => {
                (StatusCode::CONFLICT, "not_known_to_all")
            }
            Self::Store(perilune_store::Error::NoStandby) => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_standby")
            }
            Self::Store(perilune_store::Error::Outdated { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "outdated")
            }
            Self::Store(error) if error.is_away() => {
                (StatusCode::SERVICE_UNAVAILABLE, "database_away")
            }
            Self::Store(perilune_store::Error::OnlyEmbedded { .. }) => {
                (StatusCode::NOT_IMPLEMENTED, "not_implemented")
            }
            Self::Store(perilune_store::Error::OnlyShared { .. }) => {
                (StatusCode::NOT_IMPLEMENTED, "one_controller")
            }
            Self::Store(perilune_store::Error::NoController { .. }) => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            Self::Store(perilune_store::Error::ControllerRuns { .. }) => {
                (StatusCode::CONFLICT, "conflict")
            }
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::Trial(..) => (StatusCode::OK, "trial"),
            Self::Repeated(_) => (StatusCode::OK, "repeated"),
            Self::Defect(_) => (StatusCode::INTERNAL_SERVER_ERROR, "defect"),
        }
    }

    fn violations(&self) -> &[Violation] {
        match self {
            Self::Fields(violations) | Self::Refused(Refusal::Invalid(violations)) => violations,
            Self::Malformed(_)
            | Self::TooLarge(_)
            | Self::Unauthenticated(_)
            | Self::TooManyAttempts(_)
            | Self::TooOften(_)
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::Conflict(_)
            | Self::Unavailable(_)
            | Self::Busy { .. }
            | Self::Full(_)
            | Self::Absent(_)
            | Self::Refused(_)
            | Self::Store(_)
            | Self::Stopping
            | Self::Trial(..)
            | Self::Repeated(_)
            | Self::Defect(_) => &[],
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Trial(change, remarks) = &self {
            return Json(Trial::new(change, Vec::new(), remarks.clone())).into_response();
        }
        if let Self::Repeated(revision) = self {
            let answer = Repeated { message: self.to_string(), repeated: true, revision };
            return Json(answer).into_response();
        }
        let (status, code) = self.status();
        let is_ours = status == StatusCode::INTERNAL_SERVER_ERROR;
        let request_id = is_ours.then(crate::request_id::new);
        if let Some(request_id) = &request_id {
            tracing::error!(
                request_id,
                error = &self as &dyn std::error::Error,
                "a request failed"
            );
        }
        if status.is_client_error() {
            tracing::debug!(status = status.as_u16(), code, reason = %self, "a request was refused");
        }
        let message = match &self {
            // A full disk is the administrator's to know; other causes are in the log.
            Self::Store(
                error @ (perilune_store::Error::OnlyEmbedded { .. }
                | perilune_store::Error::OnlyShared { .. }
                | perilune_store::Error::NoController { .. }
                | perilune_store::Error::ControllerRuns { .. }
                | perilune_store::Error::NotYet { .. }
                | perilune_store::Error::NoStandby
                | perilune_store::Error::Outdated { .. }),
            ) => error.to_string(),
            // Where the database is, and why it is away, is in the log and the status.
            Self::Store(error) if error.is_away() => format!("{error}; try again in a moment"),
            Self::Store(error) => format!("the change could not be stored: {}", chain(error)),
            Self::Defect(_) => {
                "the request failed through a defect of the program; its log says more".to_owned()
            }
            other => other.to_string(),
        };
        let errors = self.violations().iter();
        let errors = errors.map(|violation| FieldProblem {
            field: violation.field.clone(),
            reason: violation.reason.clone(),
        });
        let reason = Reason(message.clone());
        let problem = Problem { message, code, errors: errors.collect(), request_id };
        let mut response = (status, Json(problem)).into_response();
        response.extensions_mut().insert(reason);
        let seconds = match self {
            Self::TooManyAttempts(seconds) | Self::Busy { seconds, .. } => Some(seconds),
            Self::TooOften(_) => Some(1),
            Self::Store(error) if error.is_away() => Some(AWAY_SECONDS),
            _ => None,
        };
        if let Some(seconds) = seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
