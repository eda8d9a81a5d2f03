//! Where in a body the things stand that routes speak of: `{"config": {"node": {"node001": …}}}`. Routes say in the document what
//! stands there; here it is put into its place, for all of them by the same rule.

use axum::http::Method;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Schema};
use utoipa::openapi::{Content, ObjectBuilder, OpenApi, RefOr, Type};

use super::routes::operations_mut;

/// In the place of a name that a request or the cluster gives.
const ANY: &str = "*";
/// Several of what follows, in a list.
const LIST: &str = "[]";
/// Lists by kind and name of their owner; that of the cluster, which has no name, beside them.
const OWNERS: &str = "owners";

/// Paths whose answers do not stand below `config`, the resource and a name.
const ANSWERS: [(&str, &str); 44] = [
    ("/config/cluster", "config cluster"),
    ("/config/cluster/export", ""),
    ("/config/dns/{network}", "config dns * []"),
    ("/config/export", ""),
    ("/config/group/{name}/interfaces", "config group * interfaces []"),
    ("/config/group/{name}/interfaces/{interface}", "config group * interfaces []"),
    ("/config/import", "import"),
    ("/config/key", "config key"),
    ("/config/node/{name}/interfaces", "config node * interfaces []"),
    ("/config/node/{name}/interfaces/{interface}", "config node * interfaces []"),
    ("/config/node/{name}/inventory", "config node * inventory []"),
    ("/config/osimage/{name}/_pack", ""),
    ("/config/osimage/{name}/_cancel", ""),
    ("/config/osimage/{name}/_updatecerts", ""),
    ("/config/rack/inventory", "config rack inventory []"),
    ("/config/rack/inventory/{subset}", "config rack inventory []"),
    ("/config/secrets", "config secrets owners"),
    ("/config/secrets/cluster", "config secrets cluster []"),
    ("/config/secrets/cluster/{secret}", "config secrets cluster []"),
    ("/config/secrets/cluster/{secret}/{new_name}", "config secrets cluster []"),
    ("/config/secrets/group/{name}", "config secrets * * []"),
    ("/config/secrets/group/{name}/{secret}", "config secrets * * []"),
    ("/config/secrets/group/{name}/{secret}/{new_name}", "config secrets * * []"),
    ("/config/secrets/node/{name}", "config secrets owners"),
    ("/config/secrets/node/{name}/{secret}", "config secrets * * []"),
    ("/config/secrets/node/{name}/{secret}/{new_name}", "config secrets * * []"),
    ("/config/status/{request_id}", ""),
    ("/config/switch/{name}/interfaces", "config switch * interfaces []"),
    ("/config/switch/{name}/interfaces/{interface}", "config switch * interfaces []"),
    ("/control/request", "control request []"),
    ("/control/request/{request_id}", "control request"),
    ("/history", "history []"),
    ("/history/{from}/{to}", "history changes []"),
    ("/history/{revision}", "history changes []"),
    ("/monitor/log/{node}", "monitor log *"),
    ("/monitor/plugin", "monitor plugin *"),
    ("/monitor/progress", "monitor progress *"),
    ("/monitor/queue", "monitor queue []"),
    ("/monitor/service/{name}", "monitor Service *"),
    ("/monitor/status", "monitor status []"),
    ("/monitor/switchport", "monitor switchport *"),
    ("/monitor/unknown", "monitor unknown []"),
    ("/monitor/warnings", "monitor warnings []"),
    ("/service/status/{request_id}", ""),
];

/// Paths whose requests do not stand below `config`, the resource and a name.
const REQUESTS: [(&str, &str); 16] = [
    ("/config/apply", ""),
    ("/config/cluster", "config cluster"),
    ("/config/cluster/import", ""),
    ("/config/identity/_renew", ""),
    ("/config/import", ""),
    ("/config/rack/inventory", "config rack inventory []"),
    ("/config/secrets/cluster", "config secrets cluster []"),
    ("/config/secrets/cluster/{secret}", "config secrets cluster []"),
    ("/config/secrets/cluster/{secret}/_clone", "config secrets cluster []"),
    ("/config/secrets/group/{name}", "config secrets group * []"),
    ("/config/secrets/group/{name}/{secret}", "config secrets group * []"),
    ("/config/secrets/group/{name}/{secret}/_clone", "config secrets group * []"),
    ("/config/secrets/node/{name}", "config secrets node * []"),
    ("/config/secrets/node/{name}/{secret}", "config secrets node * []"),
    ("/config/secrets/node/{name}/{secret}/_clone", "config secrets node * []"),
    ("/config/dns/{network}", "config dns * []"),
];

/// Puts the answers and requests of all operations into their places.
pub(super) fn put_in_place(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            let answer = place(path, &ANSWERS);
            let is_question = method == Method::GET || path == "/config/import";
            if let (true, Some(RefOr::T(response))) =
                (is_question, operation.responses.responses.get_mut("200"))
            {
                response.content.values_mut().for_each(|content| wrap(content, &answer));
            }
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                let request = place(path, &REQUESTS);
                body.content.values_mut().for_each(|content| wrap(content, &request));
            }
        }
    }
}

/// The words of the place, from the outside inwards.
fn place(path: &str, exceptions: &[(&str, &'static str)]) -> Vec<String> {
    let exception = exceptions.iter().find(|(exception, _)| *exception == path);
    if let Some((_, words)) = exception {
        return words.split_whitespace().map(str::to_owned).collect();
    }
    match path.strip_prefix("/config/") {
        Some(rest) => {
            let resource = rest.split('/').next().unwrap_or_default();
            vec!["config".to_owned(), resource.to_owned(), ANY.to_owned()]
        }
        None => Vec::new(),
    }
}

fn wrap(content: &mut RefOr<Content>, place: &[String]) {
    let RefOr::T(content) = content else { return };
    let Some(inner) = content.schema.take() else { return };
    let outer = place.iter().rev().fold(inner, |inner: RefOr<Schema>, word| match word.as_str() {
        LIST => ArrayBuilder::new().items(inner).into(),
        ANY => {
            let object = ObjectBuilder::new().schema_type(Type::Object);
            object.additional_properties(Some(AdditionalProperties::RefOr(inner))).into()
        }
        OWNERS => {
            let list: RefOr<Schema> = ArrayBuilder::new().items(inner).into();
            let named = ObjectBuilder::new().schema_type(Type::Object);
            let named: RefOr<Schema> =
                named.additional_properties(Some(AdditionalProperties::RefOr(list.clone()))).into();
            let object = ObjectBuilder::new().schema_type(Type::Object).property("cluster", list);
            object.additional_properties(Some(AdditionalProperties::RefOr(named))).into()
        }
        word => {
            let object = ObjectBuilder::new().schema_type(Type::Object);
            object.property(word, inner).required(word).into()
        }
    });
    content.schema = Some(outer);
}
