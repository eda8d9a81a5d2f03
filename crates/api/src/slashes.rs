//! Existing clients and some firmware double slashes; one is meant.

use axum::extract::Request;
use axum::http::Uri;

/// The request, with one slash wherever there are more.
pub(crate) fn one(mut request: Request) -> Request {
    let path = request.uri().path();
    if !path.contains("//") {
        return request;
    }
    let mut path = single(path);
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

/// A path with one slash wherever it has more.
pub(crate) fn single(path: &str) -> String {
    let mut single = String::with_capacity(path.len());
    for character in path.chars() {
        if !(character == '/' && single.ends_with('/')) {
            single.push(character);
        }
    }
    single
}
