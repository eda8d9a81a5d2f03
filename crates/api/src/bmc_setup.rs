//! `/config/bmcsetup`: BMC setups.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::{Kind, Name, bmc_setup};
use perilune_wire::bmc_setup::{BmcSetupKeys, request};
use perilune_wire::described;
use perilune_wire::envelope::Config;

use crate::answer::shown;
use crate::answer::{self, Message};
use crate::extract::{Body, Caller, Path};
use crate::group::Members;
use crate::json::Json;
use crate::permissions::{Routes, admins, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// For the audit: administrators see it.
const READ: &str = "read passwords of BMCs";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(operators().reveals(READ), routes!(list))
        .add(operators().reveals(READ), routes!(show))
        .add(admins().changes().in_bulk(), routes!(save))
        .add(operators(), routes!(members))
        .add(admins().changes().in_bulk(), routes!(clone))
        .add(admins().changes().in_bulk(), routes!(remove))
}

/// All BMC setups.
#[utoipa::path(get, path = "/config/bmcsetup", tag = "bmcsetup", responses(
    (status = 200, description = "BMC setups by name, below config and bmcsetup", body = BmcSetupKeys),
    (status = 404, description = "There is no BMC setup", body = Problem),
))]
async fn list(state: axum::extract::State<State>, caller: Caller) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let entries = cluster
        .bmc_setups()
        .values()
        .map(|setup| (setup.name.as_str(), BmcSetupKeys::new(setup, caller.view())));
    answer::listed(
        cluster.bmc_setups().is_empty(),
        "BMC setup",
        Config { resource: "bmcsetup", entries: entries.collect() },
    )
}

/// One BMC setup.
#[utoipa::path(get, path = "/config/bmcsetup/{name}", tag = "bmcsetup", responses(
    (status = 200, description = "The BMC setup by name, below config and bmcsetup", body = BmcSetupKeys),
    (status = 404, description = "There is no such BMC setup", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let cluster = state.cluster.published();
    let setup = cluster.bmc_setup(&name)?;
    Ok(Json(Config::one("bmcsetup", &name, BmcSetupKeys::new(setup, caller.view())))
        .into_response())
}

/// The nodes that use a BMC setup, by their groups or by themselves.
#[utoipa::path(get, path = "/config/bmcsetup/{name}/_member", tag = "bmcsetup", responses(
    (status = 200, description = "Names of nodes, below config, bmcsetup, the name and members", body = Members),
    (status = 404, description = "There is no such BMC setup, or nothing uses it", body = Problem),
))]
async fn members(
    state: axum::extract::State<State>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let names = bmc_setup::members(&state.cluster.published(), &name)?;
    if names.is_empty() {
        return Err(ApiError::NotFound(format!("no node uses the BMC setup '{name}'")));
    }
    let members = names.iter().map(Name::as_str).collect();
    Ok(Json(Config::one("bmcsetup", &name, Members { members })).into_response())
}

/// Makes or changes a BMC setup.
#[utoipa::path(post, path = "/config/bmcsetup/{name}", tag = "bmcsetup", request_body = described::BmcSetupRequest, responses(
    (status = 201, description = "It is new", body = Message),
    (status = 204, description = "It was there and is as was asked"),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such BMC setup to rename", body = Problem),
))]
async fn save(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let key = setup_name(&name)?;
    let request = body.read(&["config", "bmcsetup", &name], request)?;
    let password = new_password()?;
    let saved = state
        .cluster
        .commit(caller.meta(), move |draft| bmc_setup::save(draft, &key, &request, &password))
        .await?;
    Ok(answer::saved(saved, "BMC setup", &name))
}

/// Makes a BMC setup like this one, its password included.
#[utoipa::path(post, path = "/config/bmcsetup/{name}/_clone", tag = "bmcsetup", request_body = described::BmcSetupCopy, responses(
    (status = 201, description = "It is made", body = Message),
    (status = 400, description = "The request is refused", body = Problem),
    (status = 404, description = "There is no such BMC setup", body = Problem),
))]
async fn clone(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body.read(&["config", "bmcsetup", &name], |fields| {
        fields.require("newbmcname", "say what the new BMC setup is called");
        request(fields)
    })?;
    let new_name = request.new_name.clone().unwrap_or_default();
    let message = format!("BMC setup {name} cloned to {new_name} successfully");
    state
        .cluster
        .commit(caller.meta(), move |draft| bmc_setup::clone(draft, &name, &new_name, &request))
        .await?;
    Ok(answer::created(message))
}

/// Removes a BMC setup that nothing uses.
#[utoipa::path(get, path = "/config/bmcsetup/{name}/_delete", tag = "bmcsetup", responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "Nodes or groups use it; the message names them", body = Problem),
    (status = 404, description = "There is no such BMC setup", body = Problem),
))]
async fn remove(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    state.cluster.commit(caller.meta(), move |draft| draft.remove(Kind::BmcSetup, &name)).await?;
    Ok(answer::done())
}

fn setup_name(name: &str) -> Result<Name, ApiError> {
    Name::general(name).map_err(|error| {
        ApiError::Malformed(format!("invalid BMC setup name '{}': {error}", shown(name)))
    })
}

/// A password for a BMC: six upper-case and six lower-case digits in base 16, and two marks, as BMCs' rules for passwords want.
fn new_password() -> Result<String, ApiError> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::Unavailable(format!("no password could be made: {error}")))?;
    let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Ok(format!("{:06X}{:06x}#!", number >> 24, number & 0x00ff_ffff))
}
