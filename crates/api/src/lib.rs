//! The API: every route, each with its entry in the document, over the services of the daemon.

mod absent;
mod answer;
mod api_token;
mod apply;
mod around;
mod attempts;
mod audience;
mod audit;
mod backup;
mod bmc_setup;
mod bodies;
mod boot;
mod budgets;
mod bulk;
mod claim;
mod cloud;
mod common;
mod connections;
mod control;
mod controller;
mod dns;
mod elsewhere;
mod envelope;
mod exchange;
mod export;
mod extract;
mod files;
mod group;
mod ha;
mod health;
mod history;
mod identity;
mod import;
mod install_log;
mod integers;
mod interface;
mod inventory;
mod job;
mod join;
mod journal;
mod json;
mod key;
mod metrics;
mod monitor;
mod neighbour;
mod network;
mod node;
mod operations;
mod os_user;
mod osimage;
mod osimage_sync;
mod osimage_work;
mod other_device;
mod pace;
mod parameters;
mod patience;
mod permissions;
mod pieces;
mod plugin;
mod problem;
mod proxied;
mod query;
mod rack;
mod receive;
mod reinstall;
mod request_id;
mod requests;
mod reservation;
mod route;
mod routes;
mod secret;
mod select;
mod serve;
mod service;
mod session;
mod settings;
mod slashes;
mod source;
mod state;
mod switch;
mod switch_boot;
mod switch_interface;
mod switchport;
mod tables;
mod ticket;
mod tpm;
mod tracker;
mod unproven;
mod user;
mod view;
mod warnings;
mod window;

use axum::ServiceExt;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};

use crate::around::Around;
pub use crate::connections::Limits;
use crate::connections::Service;
use crate::permissions::Routes;
pub use crate::serve::serve;
use crate::state::State;

/// All routes with who may call them, but for those of the document itself.
fn all() -> Routes {
    Routes::new()
        .merge(session::routes())
        .merge(warnings::routes())
        .merge(tpm::routes())
        .merge(exchange::routes())
        .merge(settings::routes())
        .merge(apply::routes())
        .merge(network::routes())
        .merge(node::routes())
        .merge(group::routes())
        .merge(ha::routes())
        .merge(import::routes())
        .merge(interface::routes())
        .merge(os_user::routes())
        .merge(osimage::routes())
        .merge(osimage_work::routes())
        .merge(osimage_sync::routes())
        .merge(bmc_setup::routes())
        .merge(switch::routes())
        .merge(tables::routes())
        .merge(other_device::routes())
        .merge(backup::routes())
        .merge(bulk::routes())
        .merge(cloud::routes())
        .merge(route::routes())
        .merge(plugin::routes())
        .merge(tracker::routes())
        .merge(inventory::routes())
        .merge(switch_interface::routes())
        .merge(switch_boot::routes())
        .merge(reservation::routes())
        .merge(dns::routes())
        .merge(secret::routes())
        .merge(key::routes())
        .merge(select::routes())
        .merge(identity::routes())
        .merge(install_log::routes())
        .merge(rack::routes())
        .merge(user::routes())
        .merge(api_token::routes())
        .merge(audit::routes())
        .merge(history::routes())
        .merge(control::routes())
        .merge(controller::routes())
        .merge(join::routes())
        .merge(service::routes())
        .merge(job::routes())
        .merge(journal::routes())
        .merge(monitor::routes())
        .merge(health::routes())
        .merge(switchport::routes())
        .merge(files::routes())
        .merge(export::routes())
        .merge(metrics::routes())
        .merge(boot::routes())
        .merge(window::routes())
        .merge(reinstall::routes())
        .merge(claim::routes())
}

/// The document of the routes.
fn document() -> OpenApi {
    let (mut document, declared) = all().into_document(empty_document());
    envelope::put_in_place(&mut document, &declared);
    common::complete(&mut document, &declared);
    integers::bound(&mut document);
    if let Some(components) = &mut document.components {
        let key = ApiKey::Header(ApiKeyValue::new("x-access-tokens"));
        components.security_schemes.insert("token".to_owned(), SecurityScheme::ApiKey(key).into());
    }
    document
}

/// The whole service: what one listener serves.
pub(crate) fn service(state: State) -> impl ServiceExt<axum::extract::Request> + Service {
    let (router, in_bulk, listed) = all().into_router(&state);
    let described = routes::Document::new(listed, document);
    let around = Around::new(&state, described, bulk::Parts::new(in_bulk));
    let router = router
        .route("/openapi.json", get(routes::openapi))
        .route("/docs", get(routes::page))
        .route("/all-routes", get(routes::all))
        .merge(absent::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(around, around::answer))
        .with_state(state);
    ServiceBuilder::new().layer(MapRequestLayer::new(slashes::one)).service(router)
}

fn empty_document() -> OpenApi {
    let description = "Bare-metal provisioning: nodes, groups, images, boot. Log in with POST /token and send the token as \
                       x-access-tokens. Every failure has a body with a message.";
    let info = InfoBuilder::new()
        .title("Perilune")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Existing clients are used to an empty body here.
async fn unknown_path() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// The router adds the header `Allow` to this.
async fn wrong_method(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    let message = format!(
        "{} cannot be asked by {method}; the header Allow says how",
        answer::shown(uri.path())
    );
    let mut response = json::Json(answer::Message { message }).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
