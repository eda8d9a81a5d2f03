//! `/files`: what machines and other controllers download.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::operations::routes;
use axum::body::Body as HttpBody;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use perilune_boot::tftp::{Fallback, distribution_loaders};
use perilune_daemon::archives::{PROTECTED, is_protected, percent_decoded};
use perilune_daemon::clock;
use perilune_model::image;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use crate::answer::Message;
use crate::answer::shown;
use crate::extract::{Bearer, NodeToken, Path, Peer};
use crate::json::Json;
use crate::permissions::{Routes, everybody, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;
use crate::ticket;

const LISTED: [&str; 3] = [".tar.gz", ".tar.bz2", ".tar.zst"];
/// Large pieces: an image is read by many nodes at once.
const PIECE: usize = 256 << 10;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody(), routes!(list))
        .add(everybody(), routes!(file))
        .add(everybody(), routes!(may_read))
}

/// The archives that are served.
#[utoipa::path(get, path = "/files", tag = "files", responses(
    (status = 200, description = "Their names", body = Vec<String>),
    (status = 404, description = "There is none", body = Problem),
))]
async fn list(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    let directory = &state.settings.image_files;
    let mut names = Vec::new();
    if let Ok(mut entries) = tokio::fs::read_dir(directory).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && LISTED.iter().any(|end| name.ends_with(end)) {
                names.push(name);
            }
        }
    }
    names.sort();
    if names.is_empty() {
        return Err(ApiError::NotFound(format!(
            "No tar file is present in {}.",
            directory.display()
        )));
    }
    Ok(Json(names).into_response())
}

/// A file; parts of it with the header Range. Archives need a token; a node's own is good for those of its image.
#[utoipa::path(get, path = "/files/{filename}", tag = "files", responses(
    (status = 200, description = "The file"),
    (status = 206, description = "A part of it"),
    (status = 304, description = "The bearer has it already"),
    (status = 307, description = "Another controller has it, and answers requests that are redirected from here"),
    (status = 401, description = "The file needs a token", body = Problem),
    (status = 403, description = "The token is of a node, and the file is not of its image", body = Problem),
    (status = 416, description = "The file has no such part"),
    (status = 503, description = "There is no such file", body = Problem),
))]
async fn file(
    state: axum::extract::State<State>,
    Peer(client): Peer,
    Path(filename): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    check(&mut parts, &state, &filename).await?;
    let path = path_of(&state, &filename).filter(|path| path.is_file());
    let Some(path) = path else {
        if let Some(elsewhere) = elsewhere(&state, client, &filename).await {
            return Ok(elsewhere);
        }
        return Err(missing(&state, client, &filename));
    };
    if boot_loader(&filename).is_some() {
        tracing::info!(%client, file = filename, method = %parts.method, "HTTP boot program");
    }
    // What is not one range of bytes is not understood, and then the whole file is meant.
    if !asks_for_one_range(&parts.headers) {
        parts.headers.remove(header::RANGE);
    }
    let condition = parts.headers.remove(header::IF_RANGE);
    let tag = state.holdings.tag(&filename);
    let mut response = serve(&path, parts.clone(), tag.as_ref()).await;
    let is_part = [StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE]
        .contains(&response.status());
    // Whoever has a part of another file must not be given the rest of this one.
    if is_part && condition.is_some_and(|condition| !is_of(&condition, response.headers())) {
        parts.headers.remove(header::RANGE);
        response = serve(&path, parts, tag.as_ref()).await;
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(&filename)));
    if let Ok(disposition) = HeaderValue::from_str(&disposition(&filename)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// The tag is the same at every controller that has the file: what breaks off at one goes on at another.
async fn serve(
    path: &std::path::Path,
    parts: request::Parts,
    tag: Option<&HeaderValue>,
) -> Response {
    let served = ServeFile::new(path)
        .with_buf_chunk_size(PIECE)
        .oneshot(Request::from_parts(parts, HttpBody::empty()))
        .await;
    let mut response = served.into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag.clone());
    }
    response
}

fn asks_for_one_range(headers: &HeaderMap) -> bool {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let bounds = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    bounds.is_some_and(|(first, last)| {
        let is_number = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
        let (first, last) = (first.trim(), last.trim());
        is_number(first) && is_number(last) && !(first.is_empty() && last.is_empty())
    })
}

/// Whether the condition of `If-Range` is that of the file with these headers.
fn is_of(condition: &HeaderValue, file: &HeaderMap) -> bool {
    [header::ETAG, header::LAST_MODIFIED].iter().any(|name| file.get(name) == Some(condition))
}

/// What a client that saves the file may call it.
fn disposition(filename: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$&+-.^_`|~".contains(c);
    if filename.chars().all(is_plain) {
        return format!("attachment; filename={filename}");
    }
    let encoded = filename.bytes().map(|byte| match char::from(byte) {
        c if c.is_ascii_alphanumeric() || "-._~".contains(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("attachment; filename*=UTF-8''{}", encoded.collect::<String>())
}

/// Whether a web server in front may hand out what the header X-Original-URI names.
#[utoipa::path(get, path = "/filesauth", tag = "files", responses(
    (status = 200, description = "It may", body = Message),
    (status = 401, description = "It may not", body = Problem),
    (status = 403, description = "The token is of a node, and the file is not of its image", body = Problem),
))]
async fn may_read(
    state: axum::extract::State<State>,
    mut parts: request::Parts,
) -> Result<Response, ApiError> {
    let uri = parts.headers.get("x-original-uri").and_then(|value| value.to_str().ok());
    let uri = uri.ok_or_else(|| ApiError::Unauthenticated("Missing request uri".to_owned()))?;
    let filename = resolved(uri);
    check(&mut parts, &state, &filename).await?;
    Ok(Json(Message { message: "Go".to_owned() }).into_response())
}

/// Refuses a protected file to those who have no token, and to nodes unless it is of their own image.
async fn check(parts: &mut request::Parts, state: &State, filename: &str) -> Result<(), ApiError> {
    let lower = filename.to_ascii_lowercase();
    if !PROTECTED.iter().any(|end| lower.ends_with(end)) || was_sent_here(parts, state, filename) {
        return Ok(());
    }
    let bearer =
        operators().or_any_node().admit(parts, state).await.map_err(|error| match error {
            ApiError::Unauthenticated(text) => {
                ApiError::Unauthenticated(format!("Authentication error: {text}"))
            }
            other => other,
        })?;
    let Bearer::Node(NodeToken { name, archive, .. }) = bearer else { return Ok(()) };
    let file = filename.strip_suffix(".torrent").unwrap_or(filename);
    // What it began with, or what it would begin with now.
    if archive.is_some_and(|archive| archive == file)
        || ticket::archive_of(&state.cluster.published(), &name)
            .is_some_and(|archive| archive == file)
    {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "{} is not of the image of node {name}; its token is good for the files of its own image and tag",
        shown(filename)
    )))
}

/// Whether another controller has sent whoever asks here, for this file.
fn was_sent_here(parts: &request::Parts, state: &State, filename: &str) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let mut words = query.split('&').filter_map(|word| word.strip_prefix("ticket="));
    words.any(|ticket| state.keys.admits_to(ticket, filename, clock::steady_milliseconds() / 1000))
}

/// Sends whoever asks to a controller that has the file. Who may have it there was asked here.
async fn elsewhere(state: &State, client: IpAddr, filename: &str) -> Option<Response> {
    if !image::uses_file(&state.cluster.published(), filename) {
        return None;
    }
    let other = state.holdings.who_has_now(&state.controllers, filename).await?;
    let location = if is_protected(filename) {
        let ticket = state.keys.for_file(filename, clock::steady_milliseconds() / 1000).ok()?;
        format!("{}/files/{filename}?ticket={ticket}", other.controller.url)
    } else {
        // The daemon itself, by what firmware speaks.
        let here = state.environment(&state.cluster.published());
        let there = other.holding.place_for(client)?.environment(&here);
        format!("{}/files/{filename}", there.boot_url())
    };
    let location = HeaderValue::from_str(&location).ok()?;
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response())
}

/// The file's path; `None` for names that could lead out of the directory, or to what is unfinished.
fn path_of(state: &State, filename: &str) -> Option<PathBuf> {
    let plain =
        !filename.is_empty() && !filename.starts_with('.') && !filename.contains(['/', '\\', '\0']);
    if !plain {
        return None;
    }
    let path = state.settings.image_files.join(filename);
    Some(if path.exists() { path } else { boot_program(state, filename).unwrap_or(path) })
}

/// A program that firmware starts: what TFTP serves is there by HTTP, too.
fn boot_program(state: &State, filename: &str) -> Option<PathBuf> {
    let own = tftp_root(state).join(filename);
    let packaged = boot_loader(filename)?.paths;
    std::iter::once(own).chain(packaged).find(|path| path.is_file())
}

fn boot_loader(filename: &str) -> Option<Fallback> {
    distribution_loaders().into_iter().find(|loader| loader.name == filename)
}

fn tftp_root(state: &State) -> PathBuf {
    state.settings.data_dir.join("tftp")
}

/// Firmware shows nobody what it was answered: for its programs, the log says what to do.
fn missing(state: &State, client: IpAddr, filename: &str) -> ApiError {
    let directory = state.settings.image_files.display();
    let mut message =
        format!("Service unavailable: {} is not present in {directory}", shown(filename));
    if let Some(loader) = boot_loader(filename) {
        let advice = loader.advice(&tftp_root(state));
        tracing::warn!(%client, advice, "a machine cannot boot");
        message = format!("{message}. {advice}");
    }
    ApiError::Unavailable(message)
}

fn content_type(filename: &str) -> &'static str {
    match filename {
        name if name.ends_with(".torrent") => "application/x-bittorrent",
        name if LISTED.iter().any(|end| name.ends_with(end)) => "application/x-tar",
        _ => "application/octet-stream",
    }
}

/// The last name of the path that a web server makes of this: decoded, without what leads nowhere and back.
fn resolved(uri: &str) -> String {
    let path = percent_decoded(uri.split(['?', '#']).next().unwrap_or_default());
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.pop().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_before_they_are_judged() {
        for uri in [
            "/files/a.tar.bz2?x",
            "/files//a.tar.bz2#x",
            "/files/x/../a%2Etar.bz2",
            "/files/a.tar.bz2/",
            "/files/a.tar.bz2/.",
            "/files/a.tar.bz2/x/%2e%2e",
            "/files/x%2f..%2fa.tar.bz2",
        ] {
            assert_eq!(resolved(uri), "a.tar.bz2", "{uri}");
        }
        assert_eq!((resolved("/.."), resolved("")), (String::new(), String::new()));
    }

    #[test]
    fn one_range_of_bytes_is_understood() {
        let asks = |range: &'static str| {
            asks_for_one_range(&HeaderMap::from_iter([(
                header::RANGE,
                HeaderValue::from_static(range),
            )]))
        };
        assert!(["bytes=0-", "bytes=1-2", "bytes=-3"].iter().all(|range| asks(range)));
        let others = ["bytes=0-1,4-5", "lines=1-2", "bytes=a-b", "bytes=-", "bytes=1", "nonsense"];
        assert!(!others.iter().any(|range| asks(range)));
    }

    #[test]
    fn a_name_that_is_no_word_is_encoded() {
        assert_eq!(disposition("vmlinuz-6.1"), "attachment; filename=vmlinuz-6.1");
        assert_eq!(disposition("a \"ü"), "attachment; filename*=UTF-8''a%20%22%C3%BC");
    }
}
