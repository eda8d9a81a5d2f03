//! Control of machines, as clients ask for it and follow it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use perilune_model::Patch;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;

/// A request for many machines.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunKeys {
    /// Its identifier.
    pub request_id: String,
    /// Such as `power`.
    pub subsystem: String,
    /// Such as `on`.
    pub action: String,
    /// Who asked.
    pub user: String,
    /// When: seconds since 1970.
    pub begun: u64,
    /// How many machines it is for.
    pub total: usize,
    /// How many have their result.
    pub done: usize,
    /// Whether all have.
    pub is_over: bool,
}

/// What became of one machine.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResultKeys {
    /// The node.
    pub node: String,
    /// Whether it was done.
    pub ok: bool,
    /// What the BMC answered, or why it was not done.
    pub text: String,
    /// Why it was not done, in words that are the same for all nodes to which it happened.
    pub brief: Option<String>,
    /// `on` or `off`, where it was looked at.
    pub power: Option<&'static str>,
    /// The events, sensors or parts that were asked for.
    pub reply: Option<serde_json::Value>,
    /// How often it was tried.
    pub tries: u32,
    /// How long it took.
    pub seconds: f64,
}

/// What a request says about how it is carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// BMCs at one moment.
    pub concurrent: Option<NonZeroUsize>,
    /// BMCs in a second.
    pub ramp: Option<NonZeroU32>,
    /// How long the whole may take.
    pub deadline: Option<Duration>,
    /// Whether it is made sure that the power changed.
    pub verify: Option<bool>,
    /// Tries also BMCs that failed lately.
    pub insist: bool,
}

/// What a request says beside its host list.
pub fn wishes(fields: &mut Fields<'_>) -> Wishes {
    let deadline: Patch<u32> = fields.number("deadline");
    Wishes {
        concurrent: fields.number("concurrent").value().copied(),
        ramp: fields.number("ramp").value().copied(),
        deadline: deadline.value().map(|seconds| Duration::from_secs((*seconds).into())),
        verify: fields.boolean("verify").value().copied(),
        insist: fields.flag("insist"),
    }
}
