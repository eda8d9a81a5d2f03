//! Where in a body the things stand that routes speak of: `{"config": {"node": {"node001": …}}}`. Routes say in the document what
//! stands there, and where they are added also in which place, unless it is the usual one; here it is put there.

use axum::http::Method;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Schema};
use utoipa::openapi::{Content, ObjectBuilder, OpenApi, RefOr, Type};

use super::permissions::Declared;
use super::routes::operations_mut;

/// In the place of a name that a request or the cluster gives.
const ANY: &str = "*";
/// Several of what follows, in a list.
const LIST: &str = "[]";
/// A list likewise, which is not empty.
const SOME: &str = "[+]";
/// Lists by kind and name of their owner; that of the cluster, which has no name, beside them.
const OWNERS: &str = "owners";

/// Puts the answers and requests of all operations into their places.
pub(super) fn put_in_place(document: &mut OpenApi, declared: &Declared) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            let access = declared.of(path, &method);
            let is_question = method == Method::GET || access.answer_place().is_some();
            if let (true, Some(RefOr::T(response))) =
                (is_question, operation.responses.responses.get_mut("200"))
            {
                let answer = place(access.answer_place(), path);
                response.content.values_mut().for_each(|content| wrap(content, &answer));
            }
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                let request = place(access.request_place(), path);
                body.content.values_mut().for_each(|content| wrap(content, &request));
            }
        }
    }
}

/// The words of the place that a route declares, from the outside inwards, or those of the usual one.
fn place<'a>(declared: Option<&'static str>, path: &'a str) -> Vec<&'a str> {
    declared.map_or_else(|| usual(path), |words| words.split_whitespace().collect())
}

/// The place where a route declares none: below `config`, the resource and a name.
fn usual(path: &str) -> Vec<&str> {
    let rest = path.strip_prefix("/config/");
    let resource = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    resource.map_or_else(Vec::new, |resource| vec!["config", resource, ANY])
}

fn wrap(content: &mut RefOr<Content>, place: &[&str]) {
    let RefOr::T(content) = content else { return };
    let Some(inner) = content.schema.take() else { return };
    let outer = place.iter().rev().fold(inner, |inner: RefOr<Schema>, word| match *word {
        LIST => ArrayBuilder::new().items(inner).into(),
        SOME => ArrayBuilder::new().items(inner).min_items(Some(1)).into(),
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
