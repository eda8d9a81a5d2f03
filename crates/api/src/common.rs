//! What the operations of the API's document have in common, said here once: parameters of paths, names, trials, and the failures that
//! any of them may answer with.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, OneOfBuilder, OpenApi, Ref, RefOr, Required, Response, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::parameters;
use super::permissions::{Access, Declared};
use super::problem::Trial;
use super::routes::{name_of, operations_mut};

const PROBLEM: &str = "Problem";
const TRIAL: &str = "Trial";
const DRY_RUN: &str = "dry_run";
/// The security scheme of the document.
const TOKEN: &str = "token";

/// Completes the document with it.
pub(super) fn complete(document: &mut OpenApi, declared: &Declared) {
    if let Some(components) = &mut document.components {
        let mut needed = Vec::new();
        Trial::schemas(&mut needed);
        components.schemas.extend(needed);
        components.schemas.insert(TRIAL.to_owned(), Trial::schema());
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            operation.operation_id = name_of(operation);
            add_path_parameters(path, operation);
            parameters::describe(path, operation);
            let access = declared.of(path, &method);
            if access.is_protected() {
                let token = SecurityRequirement::new::<_, [&str; 0], &str>(TOKEN, []);
                operation.security = Some(vec![token]);
            }
            if access.can_be_tried() {
                add_trial(operation);
            }
            add_failures(access, operation);
        }
    }
}

fn add_path_parameters(path: &str, operation: &mut Operation) {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters = operation.parameters.get_or_insert_default();
    for name in names {
        if parameters.iter().any(|parameter| named(parameter) == Some(name)) {
            continue;
        }
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        parameters.push(RefOr::T(parameter.build()));
    }
}

/// A change can be asked for without making it.
fn add_trial(operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    if parameters.iter().any(|parameter| named(parameter) == Some(DRY_RUN)) {
        return;
    }
    let parameter = ParameterBuilder::new()
        .name(DRY_RUN)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some("true: only say what would change"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Boolean)));
    parameters.push(RefOr::T(parameter.build()));
    add(operation, "200", "A trial was asked for: this would change", TRIAL);
    or_trial(operation);
}

/// What answers 200 without a trial answers one thing or the other.
fn or_trial(operation: &mut Operation) {
    let answer = operation.responses.responses.get_mut("200");
    let Some(RefOr::T(Response { content, .. })) = answer else { return };
    for content in content.values_mut() {
        let RefOr::T(content) = content else { continue };
        let trial = Ref::from_schema_name(TRIAL);
        if let Some(own) = content.schema.take_if(|own| *own != RefOr::Ref(trial.clone())) {
            content.schema = Some(OneOfBuilder::new().item(own).item(trial).into());
        }
    }
}

/// What a route says about itself stands; this is for what it leaves out.
fn add_failures(access: Access, operation: &mut Operation) {
    let takes_something = operation.request_body.is_some()
        || operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    if takes_something || access.is_protected() {
        add(operation, "400", "The request cannot be read, or is refused", PROBLEM);
    }
    if operation.request_body.is_some() {
        add(operation, "413", "The body is larger than any that is read here", PROBLEM);
    }
    if access.is_protected() {
        add(operation, "401", "Nobody is logged in", PROBLEM);
        add(operation, "403", "The role, or the token of a node, does not allow it", PROBLEM);
    }
    add(
        operation,
        "500",
        "A defect, or what changes could not be stored; the daemon's log says more under the request_id",
        PROBLEM,
    );
    if access.does_something() {
        add(
            operation,
            "503",
            "The daemon is stopping, or too much is sent to it; try again in a moment",
            PROBLEM,
        );
    }
}

fn add(operation: &mut Operation, status: &str, description: &str, schema: &str) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema)));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content.build());
    let responses = &mut operation.responses.responses;
    responses.entry(status.to_owned()).or_insert_with(|| RefOr::<Response>::from(response));
}

fn named(parameter: &RefOr<Parameter>) -> Option<&str> {
    match parameter {
        RefOr::T(parameter) => Some(&parameter.name),
        RefOr::Ref(_) => None,
    }
}
