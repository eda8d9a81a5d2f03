//! What may stand in parameters of paths and queries, where a reader refuses other texts. All others are texts, or what their type says.

use perilune_daemon::audit;
use perilune_model::route::Target;
use perilune_model::{Kind, MacAddress, Name};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};

/// What may stand there.
enum Rule {
    /// A text of this form.
    Form(&'static str),
    /// An IP address.
    Address,
    /// A number that counts something.
    Count,
    /// One of these.
    Words(&'static [&'static str]),
    /// What the type of the reader knows.
    Known(fn() -> ObjectBuilder),
}

/// One revision, or the first and the last of several.
const REVISIONS: &str = r"^[0-9]{1,18}(\.\.[0-9]{1,18})?$";

/// The beginning of a path, a parameter, and what may stand there; the first that fits counts.
const RULES: &[(&str, &str, Rule)] = &[
    ("/", "macaddress", Rule::Known(machine)),
    ("/audit", "kind", Rule::Known(kinds_of_the_audit)),
    ("/boot/manual/", "hostname", Rule::Form(Name::HOST_FORM)),
    ("/boot/switch/", "name", Rule::Form(Name::HOST_FORM)),
    ("/config/network/", "ipaddress", Rule::Address),
    ("/config/osgroup/", "groupname", Rule::Form(Name::GENERAL_FORM)),
    ("/config/osimage/", "format", Rule::Words(&["tar.zst", "tar.gz", "tar.bz2"])),
    ("/config/osimage/", "mounts", Rule::Words(&["refuse", "leave-out", "include"])),
    ("/config/osuser/", "username", Rule::Form(Name::GENERAL_FORM)),
    ("/config/route/", "kind", Rule::Known(targets)),
    ("/control/", "hostname", Rule::Form(Name::HOST_FORM)),
    ("/history/{revision}/_undo", "revision", Rule::Form(REVISIONS)),
    ("/history", "from", Rule::Count),
    ("/history", "object", Rule::Known(objects)),
    ("/history", "revision", Rule::Count),
    ("/history", "to", Rule::Count),
];

/// What may stand in the parameter of the path, if that is not any text.
pub(super) fn schema_of(path: &str, parameter: &str) -> Option<RefOr<Schema>> {
    let fits = |(beginning, name, _): &&(&str, &str, Rule)| {
        *name == parameter && path.starts_with(beginning)
    };
    RULES.iter().find(fits).map(|(_, _, rule)| rule.schema())
}

/// Says of the operation's parameters what may stand there.
pub(super) fn describe(path: &str, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(Parameter { name, schema, .. }) = parameter else { continue };
        if let Some(known) = schema_of(path, name) {
            *schema = Some(known);
        }
    }
}

impl Rule {
    fn schema(&self) -> RefOr<Schema> {
        match self {
            Self::Form(form) => text().pattern(Some(*form)).into(),
            Self::Address => AnyOfBuilder::new()
                .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv4))))
                .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6))))
                .into(),
            Self::Count => ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::UInt64)))
                .minimum(Some(0_usize))
                .into(),
            Self::Words(words) => text().enum_values(Some(words.iter().copied())).into(),
            Self::Known(known) => known().into(),
        }
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn kinds_of_the_audit() -> ObjectBuilder {
    text().enum_values(Some(audit::Kind::ALL.map(audit::Kind::word)))
}

fn targets() -> ObjectBuilder {
    text().enum_values(Some(Target::ALL.map(Target::word)))
}

/// The address of one machine.
fn machine() -> ObjectBuilder {
    text().pattern(Some(MacAddress::form_of_one_machine()))
}

/// A kind and a name.
fn objects() -> ObjectBuilder {
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    text().pattern(Some(format!("^({})/", kinds.join("|"))))
}

#[cfg(test)]
mod tests {
    use perilune_daemon::jobs::{Format, Mounted};
    use serde_json::{Value, json};

    use super::*;

    fn shown(path: &str, parameter: &str) -> Value {
        json!(schema_of(path, parameter).unwrap())
    }

    #[test]
    fn the_words_of_a_parameter_are_those_that_its_reader_takes() {
        let words = |parameter| shown("/config/osimage/{name}/_pack", parameter)["enum"].clone();
        let formats: Vec<Format> = serde_json::from_value(words("format")).unwrap();
        let mounts: Vec<Mounted> = serde_json::from_value(words("mounts")).unwrap();
        assert_eq!((formats.len(), mounts.len()), (3, 3));
        assert_eq!(
            shown("/config/route/{name}/{kind}/{target}/_couple", "kind")["enum"],
            json!(["network", "group", "node"])
        );
    }

    #[test]
    fn a_parameter_is_described_where_its_path_begins_so() {
        assert_eq!(shown("/history/{from}/{to}", "to")["type"], "integer");
        assert_eq!(shown("/history/{revision}/_undo", "revision")["type"], "string");
        assert!(schema_of("/monitor/{kind}", "kind").is_none());
    }
}
