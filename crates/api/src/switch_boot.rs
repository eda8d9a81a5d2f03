//! `/boot/switch/{name}`: what a switch fetches when it sets itself up. Nobody has a token there: the recipe has nothing secret in it, and the
//! configuration, which may have passwords in it, is given to the switch's own address alone.

use crate::operations::routes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use perilune_boot::Environment;
use perilune_model::device::Switch;
use perilune_model::device::ztp::Format;
use perilune_model::{Cluster, MacAddress, Name};
use perilune_plan::decode_if_encoded;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::shown;
use crate::extract::Path;
use crate::json::Json;
use crate::permissions::{Routes, everybody};
use crate::problem::{ApiError, Problem};
use crate::source::Source;
use crate::state::State;
use crate::unproven::Unproven;
use crate::view::View;

pub(super) fn routes() -> Routes {
    Routes::new().add(everybody(), routes!(recipe)).add(everybody(), routes!(commands))
}

/// What a switch does to set itself up, as NVIDIA's switches read it.
#[derive(Serialize, ToSchema)]
struct Recipe {
    ztp: Steps,
}

/// Its steps, which are done in the order of their names.
#[derive(Serialize, ToSchema)]
struct Steps {
    #[serde(rename = "01-image", skip_serializing_if = "Option::is_none")]
    image: Option<ImageStep>,
    #[serde(rename = "02-startup-file", skip_serializing_if = "Option::is_none")]
    file: Option<FileStep>,
    #[serde(rename = "02-commands-list", skip_serializing_if = "Option::is_none")]
    commands: Option<CommandsStep>,
    #[serde(rename = "03-connectivity-check")]
    check: CheckStep,
}

/// An image of its system is installed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct ImageStep {
    image: Image,
    halt_on_failure: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SwitchImage)]
#[serde(rename_all = "kebab-case")]
struct Image {
    install: Install,
    skip_reboot: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SwitchInstall)]
struct Install {
    url: String,
}

/// A file is its configuration from now on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct FileStep {
    startup_file: StartupFile,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct StartupFile {
    url: String,
    clear_config: bool,
    save_config: bool,
}

/// Commands are run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct CommandsStep {
    commands_list: CommandsList,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct CommandsList {
    url: String,
    /// As existing switches are told: words here, and booleans elsewhere.
    clear_config: &'static str,
    save_config: &'static str,
}

/// The controller is reached.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct CheckStep {
    connectivity_check: ConnectivityCheck,
    ignore_result: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct ConnectivityCheck {
    ping_hosts: Vec<String>,
    ping_count: u32,
}

/// What a switch does to set itself up, step by step.
#[utoipa::path(get, path = "/boot/switch/{name}", tag = "boot", responses(
    (status = 200, description = "An object `ztp` of steps", body = Recipe),
    (status = 400, description = "No switch can have this name", body = Problem),
    (status = 404, description = "There is no such switch", body = Problem),
))]
async fn recipe(
    state: axum::extract::State<State>,
    view: View,
    Unproven(_): Unproven,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let switch = named(&view.cluster, &name)?;
    Ok(Json(recipe_of(switch, &state.environment(&view.cluster))).into_response())
}

/// The configuration of a switch, for the switch itself.
#[utoipa::path(get, path = "/boot/switch/{name}/commands", tag = "boot", responses(
    (status = 200, description = "Its configuration; without one, commands that give it its name", body = String),
    (status = 400, description = "No switch can have this name", body = Problem),
    (status = 403, description = "It has a configuration, and the request does not come from an address of the switch", body = Problem),
    (status = 404, description = "There is no such switch", body = Problem),
))]
async fn commands(
    state: axum::extract::State<State>,
    view: View,
    Unproven(source): Unproven,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let switch = named(&view.cluster, &name)?;
    let text = match &switch.ztp.ztpconfig {
        Some(_) if !is_itself(&state, switch, source) => {
            return Err(ApiError::Forbidden(format!(
                "the configuration of switch {name} is given to its own addresses alone, and {} is none of them",
                source.address
            )));
        }
        Some(config) => decode_if_encoded(config),
        None => usual_commands(&switch.name),
    };
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

fn named<'a>(cluster: &'a Cluster, name: &str) -> Result<&'a Switch, ApiError> {
    Name::host(name).map_err(|error| {
        ApiError::Malformed(format!("invalid switch name '{}': {error}", shown(name)))
    })?;
    Ok(cluster.switch(name)?)
}

/// Whether a request comes from the switch: an address that is described as its own, or that is lent to one of its hardware addresses. A proxy
/// that does not say for whom it asks may speak for anybody.
fn is_itself(state: &State, switch: &Switch, source: Source) -> bool {
    if source.is_anybody() {
        return false;
    }
    let macs = switch.hardware().filter_map(|(mac, ..)| mac.parse::<MacAddress>().ok());
    let mut lent = macs.flat_map(|mac| state.leases.of(mac.port()));
    switch.has_address(source.address) || lent.any(|own| own == source.address)
}

/// What NVIDIA's switches call a recipe.
fn recipe_of(switch: &Switch, environment: &Environment) -> Recipe {
    let (plain, secure) = (environment.boot_url(), environment.api_url());
    let url = |path: &str| switch.ztp.url(path, &plain, &secure);
    let image = switch.ztp.default_url.as_deref().map(|image| ImageStep {
        image: Image { install: Install { url: url(image) }, skip_reboot: false },
        halt_on_failure: true,
    });
    let commands = url(&format!("boot/switch/{}/commands", switch.name));
    let is_file = switch.ztp.ztpformat == Some(Format::Yaml) && switch.ztp.ztpconfig.is_some();
    let (file, commands) = if is_file {
        let file = StartupFile { url: commands, clear_config: true, save_config: true };
        (Some(FileStep { startup_file: file }), None)
    } else {
        let list = CommandsList { url: commands, clear_config: "true", save_config: "true" };
        (None, Some(CommandsStep { commands_list: list }))
    };
    let hosts = vec![environment.controller.to_string()];
    let check = CheckStep {
        connectivity_check: ConnectivityCheck { ping_hosts: hosts, ping_count: 5 },
        ignore_result: true,
    };
    Recipe { ztp: Steps { image, file, commands, check } }
}

fn usual_commands(name: &Name) -> String {
    format!(
        "nv set system hostname {name}\nnv set system ssh-server state enabled\nnv config apply -y\n"
    )
}
