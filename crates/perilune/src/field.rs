//! Fields as options: every field of the API is an option of the same name, built from one table for each resource.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use perilune_wire::definition::{self, Field, Kind};
use perilune_wire::requests;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::output::text;
use crate::{password, source};

/// Before the identifier of a field's option: options of the connection are global and have their own, which no field may share.
const PREFIX: &str = "field.";

/// The field whose option is identified by this.
pub(crate) fn of_option(id: &str) -> Option<&str> {
    id.strip_prefix(PREFIX)
}

/// The option of the connection that has the name of this field, under another name: the field's own is this.
fn displaced(field: &Field) -> Option<Arg> {
    (field.name == "certificate").then(|| {
        Arg::new("certificate")
            .long("connection-certificate")
            .value_name("FILE")
            .help("What --certificate is before the command: a certificate (PEM) to trust")
            .help_heading("Connection")
            .value_parser(value_parser!(PathBuf))
    })
}

fn id(field: &Field) -> String {
    format!("{PREFIX}{}", field.name)
}

fn argument(field: &Field) -> Arg {
    let long = match field.kind {
        Kind::Objects(_) => "interface".to_owned(),
        Kind::Labels => "label".to_owned(),
        _ => field.name.replace('_', "-"),
    };
    let (value, note) = match &field.kind {
        _ if field.of.is_some() => ("NAME", ""),
        Kind::Encoded => ("TEXT|@FILE|-", ""),
        Kind::Password => (password::FORMS, "; asked for without a value"),
        Kind::Flag => ("yes|no", ""),
        Kind::Objects(_) => ("NAME,FIELD=VALUE,…", " (may be repeated)"),
        Kind::Labels => ("KEY=VALUE", " (may be repeated)"),
        Kind::Number => ("NUMBER", ""),
        Kind::Address => ("ADDRESS", ""),
        Kind::Text | Kind::List | Kind::Words(_) => ("TEXT", ""),
    };
    let repeated = matches!(field.kind, Kind::Objects(_) | Kind::Labels);
    let help = field.help.unwrap_or_default();
    let argument = Arg::new(id(field))
        .long(long)
        .value_name(value)
        .help(format!("{help}{note}"))
        .help_heading("Fields")
        .value_parser(value_parser!(String))
        .action(if repeated { ArgAction::Append } else { ArgAction::Set });
    let argument = if field.kind == Kind::Password {
        argument.num_args(0..=1).default_missing_value(password::ASK)
    } else {
        argument
    };
    match field.alias {
        Some(alias) => argument.visible_alias(alias),
        None => argument,
    }
}

/// The field by which the address of a cluster's only controller is changed.
pub(crate) const OWN_CONTROLLER: &str = "controller";

/// The fields of one resource.
pub(crate) trait Fields {
    fn fields() -> &'static [Field];
}

/// The options of a request: what its reader in `perilune_wire` reads and says what it is for.
macro_rules! options {
    ($resource:ty, $read:expr) => {
        impl $crate::field::Fields for $resource {
            fn fields() -> &'static [perilune_wire::definition::Field] {
                static FIELDS: std::sync::LazyLock<Vec<perilune_wire::definition::Field>> =
                    std::sync::LazyLock::new(|| $crate::field::explained($read));
                &FIELDS
            }
        }
    };
}
pub(crate) use options;

/// The fields that a reader says something of. Others are what existing clients send.
pub(crate) fn explained<T>(
    read: impl FnOnce(&mut perilune_wire::fields::Fields<'_>) -> T,
) -> Vec<Field> {
    let mut fields = definition::of(read);
    fields.retain(|field| field.help.is_some());
    fields
}

/// The fields that were given, as they were typed.
pub(crate) struct FieldArguments<F> {
    given: Vec<(&'static Field, Vec<String>)>,
    resource: PhantomData<F>,
}

impl<F> FieldArguments<F> {
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The fields as the API takes them. An empty text clears a field.
    pub(crate) fn into_object(self) -> Result<Map<String, Value>, Failure> {
        let mut standard_input_is_read = false;
        let mut object = Map::new();
        for (field, values) in self.given {
            let last = values.last().map(String::as_str).unwrap_or_default();
            let value = match &field.kind {
                Kind::Encoded | Kind::Password if last == "-" && standard_input_is_read => {
                    return Err(Failure::usage("only one field can be read from standard input"));
                }
                Kind::Encoded => {
                    standard_input_is_read |= last == "-";
                    let content = content(&field.name, last)?;
                    if content.is_empty() { "".into() } else { text::encode(&content).into() }
                }
                Kind::Password => {
                    standard_input_is_read |= last == "-";
                    password::given(&field.name, last)?.into()
                }
                Kind::Objects(_) => interfaces(&values)?,
                Kind::Labels => values.join(",").into(),
                Kind::Flag => flag(&field.name, last)?,
                Kind::Text | Kind::Number | Kind::Address | Kind::List | Kind::Words(_) => {
                    last.into()
                }
            };
            object.insert(field.name.clone(), value);
        }
        Ok(object)
    }
}

impl<F: Fields> clap::FromArgMatches for FieldArguments<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = F::fields()
            .iter()
            .filter_map(|field| {
                let values = matches.get_many::<String>(&id(field))?;
                Some((field, values.cloned().collect()))
            })
            .collect();
        Ok(Self { given, resource: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<F: Fields> clap::Args for FieldArguments<F> {
    fn augment_args(command: Command) -> Command {
        let displaced = F::fields().iter().filter_map(displaced);
        command.args(F::fields().iter().map(argument)).args(displaced)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The text itself, what a file holds, or standard input.
pub(crate) fn content(field: &str, value: &str) -> Result<Vec<u8>, Failure> {
    let field = field.replace('_', "-");
    if value == "-" {
        let bytes = source::bytes(Path::new("-"), source::CONTENT);
        return bytes.map_err(|error| Failure::usage(format!("--{field} -: {error}")));
    }
    match value.strip_prefix('@') {
        Some(path) => source::bytes(Path::new(path), source::CONTENT)
            .map_err(|error| Failure::usage(format!("--{field}: cannot read {path}: {error}"))),
        None => Ok(value.as_bytes().to_vec()),
    }
}

/// Empty means: as inherited.
fn flag(field: &str, value: &str) -> Result<Value, Failure> {
    if value.is_empty() {
        return Ok("".into());
    }
    perilune_wire::fields::boolean(&value.into()).map(Value::from).ok_or_else(|| {
        let field = field.replace('_', "-");
        Failure::usage(format!("--{field} {value}: write yes or no, or \"\" to unset it"))
    })
}

/// The value of a field in a cell of a table, which is no place for files.
pub(crate) fn table_value(field: &Field, cell: &str) -> Result<Value, String> {
    match field.kind {
        Kind::Encoded => Ok(text::encode(cell).into()),
        Kind::Flag => perilune_wire::fields::boolean(&cell.into())
            .map(Value::from)
            .ok_or_else(|| format!("{cell}: write yes or no")),
        _ => Ok(cell.into()),
    }
}

/// All interfaces that are given; of two with one name the first would be lost.
fn interfaces(texts: &[String]) -> Result<Value, Failure> {
    let mut interfaces: Vec<Value> = Vec::new();
    for text in texts {
        let one = interface(text)?;
        let name = one.get("interface");
        if interfaces.iter().any(|other| other.get("interface") == name) {
            let message =
                format!("--interface {text}: another one has its name; say all of it in one");
            return Err(Failure::usage(message));
        }
        interfaces.push(one);
    }
    Ok(interfaces.into())
}

/// `BMC,network=ipmi,ipaddress=10.148.0.1`. A part without `=` goes on with the value before it, so that
/// `bond-slaves=eth2,eth3` needs no quotes.
fn interface(text: &str) -> Result<Value, Failure> {
    let mut parts = text.split(',');
    let name = parts.next().unwrap_or_default();
    if name.is_empty() || name.contains('=') {
        let message = format!("--interface {text}: begin with its name, as in BMC,network=ipmi");
        return Err(Failure::usage(message));
    }
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for part in parts {
        match (part.split_once('='), pairs.last_mut()) {
            (Some((key, value)), _) => pairs.push((key, value.to_owned())),
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            (None, None) => {
                let message = format!("--interface {text}: write FIELD=VALUE instead of {part}");
                return Err(Failure::usage(message));
            }
        }
    }
    let mut object = Map::from_iter([("interface".to_owned(), name.into())]);
    for (key, value) in pairs {
        let wire = key.replace('-', "_");
        let known = InterfaceFields::fields()
            .iter()
            .find(|field| field.name == wire || field.alias == Some(key));
        let Some(field) = known else {
            let names = InterfaceFields::fields().iter().map(|field| field.name.as_str());
            let hint = crate::failure::nearest(&wire, names, "perilune node interface set --help");
            return Err(Failure::usage(format!("--interface {text}: no field {key}; {hint}")));
        };
        let value = match field.kind {
            Kind::Flag => flag(key, &value)?,
            Kind::Encoded => text::encode(&content(key, &value)?).into(),
            _ => value.into(),
        };
        if object.insert(field.name.clone(), value).is_some() {
            let message = format!("--interface {text}: {} is there twice; keep one", field.name);
            return Err(Failure::usage(message));
        }
    }
    Ok(object.into())
}

/// The fields of an interface, of a node or a group.
pub(crate) struct InterfaceFields;

options!(InterfaceFields, |fields| {
    requests::node_interface(fields);
    requests::group_interface(fields);
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{content, flag, interface, interfaces};

    #[test]
    fn an_interface_is_written_in_one_word() {
        let parsed = interface("bond0,network=ib,bond-slaves=eth2,eth3,bond-mode=802.3ad,mtu=9000");
        assert_eq!(
            parsed.unwrap(),
            json!({"interface": "bond0", "network": "ib", "bond_slaves": "eth2,eth3",
                   "bond_mode": "802.3ad", "mtu": "9000"})
        );
        let parsed = interface("BOOTIF,mac=52:54:00:00:00:01,ip=10.141.0.1,dhcp=no");
        assert_eq!(
            parsed.unwrap(),
            json!({"interface": "BOOTIF", "macaddress": "52:54:00:00:00:01",
                   "ipaddress": "10.141.0.1", "dhcp": false})
        );
    }

    #[test]
    fn an_interface_that_is_written_wrongly_is_refused_with_the_nearest_field() {
        let reason = |text: &str| interface(text).unwrap_err().to_string();
        assert!(reason("BMC,netwrok=ipmi").contains("did you mean network?"));
        assert!(reason("network=ipmi").contains("begin with its name"));
        assert!(reason("BMC,ipmi").contains("FIELD=VALUE"));
        assert!(reason("BMC,network=a,mtu=9000,network=b").contains("network is there twice"));
        assert!(reason("BMC,ip=10.0.0.1,ipaddress=10.0.0.2").contains("ipaddress is there twice"));
        assert!(reason("BMC,interface=eth0").contains("no field interface"));
    }

    #[test]
    fn an_interface_is_given_once() {
        let of = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            interfaces(&texts)
        };
        assert_eq!(
            of(&["BOOTIF,network=a", "BMC,network=b"]).unwrap().as_array().unwrap().len(),
            2
        );
        let refused = of(&["BOOTIF,network=a", "BMC", "BOOTIF,network=b"]).unwrap_err().to_string();
        assert!(refused.contains("BOOTIF,network=b: another one has its name"), "{refused}");
    }

    #[test]
    fn a_flag_is_yes_no_or_unset() {
        assert_eq!(flag("dhcp", "Yes").unwrap(), json!(true));
        assert_eq!(flag("dhcp", "off").unwrap(), json!(false));
        assert_eq!(flag("dhcp", "").unwrap(), json!(""));
        assert!(
            flag("createnode_ondemand", "maybe")
                .unwrap_err()
                .to_string()
                .contains("--createnode-ondemand")
        );
    }

    #[test]
    fn long_texts_come_from_files_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "mkdir /data\n").unwrap();
        let reference = format!("@{}", file.path().display());
        assert_eq!(content("postscript", &reference).unwrap(), b"mkdir /data\n");
        assert_eq!(content("postscript", "true").unwrap(), b"true");
        std::fs::write(file.path(), [0, 0xff, 10]).unwrap();
        assert_eq!(content("content", &reference).unwrap(), [0, 0xff, 10]);
        let missing = content("postscript", "@/no/such/file").unwrap_err().to_string();
        assert!(missing.contains("--postscript") && missing.contains("/no/such/file"), "{missing}");
    }
}
