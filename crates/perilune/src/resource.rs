//! What can be done with every kind of object: list, show, add, change, clone, remove, rename.

use std::collections::BTreeSet;

use clap::Args;
use perilune::client::path;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;
use crate::output::object;
use crate::output::table::Table;
use crate::remarks;
use crate::select::{Exclude, printed, sorted};
use crate::session::{Edit, Session, ask_to_remove, expand, unknown_among, unknown_of};
use perilune_select::{hostlist, natural};

/// A kind of object.
pub(crate) struct Resource {
    /// The API's word for it, in paths and bodies.
    pub(crate) kind: &'static str,
    /// The field that renames one.
    pub(crate) new_name: &'static str,
    /// The list for people.
    pub(crate) table: fn(&Map<String, Value>) -> Table,
    /// How to make the first one.
    pub(crate) first: &'static str,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only these: names or host lists; nodes by selectors, too
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) exclude: Exclude,
    /// Print the names alone, as one host list
    #[arg(long)]
    pub(crate) fold: bool,
    /// Print the names alone, one on each line
    #[arg(long, conflicts_with = "fold")]
    pub(crate) names_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names or host lists, such as node[001-128,200]; nodes by selectors, too
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) exclude: Exclude,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Names or host lists, such as node[001-128,200]; nodes by selectors, too
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) exclude: Exclude,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The name it has
    pub(crate) source: String,
    /// The name it gets
    pub(crate) target: String,
}

pub(crate) fn list(
    session: &Session,
    resource: &Resource,
    arguments: &List,
) -> Result<(), Failure> {
    if !session.output.is_table() && !arguments.fold && !arguments.names_only {
        return list_for_programs(session, resource, arguments);
    }
    let mut objects = session.client.objects(resource.kind)?;
    if let Some(names) = wanted(session, resource, arguments)? {
        if let Some(missing) = names.iter().find(|name| !objects.contains_key(*name)) {
            return Err(unknown_among(resource.kind, missing, &objects));
        }
        objects.retain(|name, _| names.contains(name));
    }
    objects.values_mut().for_each(|object| session.shown(resource.kind, object));
    let objects = sorted(objects);
    if (arguments.fold || arguments.names_only) && !objects.is_empty() {
        return Ok(output::line(&printed(objects.keys(), arguments.fold))?);
    }
    if objects.is_empty() && !session.output.is_table() {
        return Ok(session.output.value(&objects.into())?);
    }
    if objects.is_empty() {
        return Ok(output::line(&format!("none; {}", resource.first))?);
    }
    Ok(session.output.table(&(resource.table)(&objects))?)
}

/// The names that are listed; all of them when nothing is said.
fn wanted(
    session: &Session,
    resource: &Resource,
    arguments: &List,
) -> Result<Option<BTreeSet<String>>, Failure> {
    let List { names, exclude, .. } = arguments;
    if names.is_empty() && exclude.is_empty() {
        return Ok(None);
    }
    let all;
    let names = match (names.as_slice(), resource.kind) {
        ([], "node") => {
            all = vec!["*".to_owned()];
            &all
        }
        ([], kind) => {
            all = session.client.names(kind)?.into_iter().collect();
            &all
        }
        _ => names,
    };
    Ok(Some(session.named(resource.kind, names, exclude)?.into_iter().collect()))
}

/// The objects as the API has them; of a long list one at a time is more than text.
fn list_for_programs(
    session: &Session,
    resource: &Resource,
    arguments: &List,
) -> Result<(), Failure> {
    let mut missing = wanted(session, resource, arguments)?;
    let is_all = missing.is_none();
    let mut entries: Vec<(String, std::io::Result<String>)> = Vec::new();
    let mut known = BTreeSet::new();
    session.client.each_object(resource.kind, |name, mut object| {
        if is_all || missing.as_mut().is_some_and(|missing| missing.remove(&name)) {
            session.shown(resource.kind, &mut object);
            entries.push((name.clone(), session.output.entry(&name, object)));
        }
        known.insert(name);
    })?;
    if let Some(missing) = missing.iter().flatten().next() {
        return Err(unknown_of(resource.kind, missing, known.iter().map(String::as_str)));
    }
    entries.sort_by(|(one, _), (other, _)| natural::compare(one, other));
    let texts = entries.into_iter().map(|(_, text)| text).collect::<std::io::Result<Vec<_>>>()?;
    Ok(session.output.entries(&texts)?)
}

pub(crate) fn show(
    session: &Session,
    resource: &Resource,
    arguments: &Names,
) -> Result<(), Failure> {
    let names = session.named(resource.kind, &arguments.names, &arguments.exclude)?;
    let mut objects = Map::new();
    for name in &names {
        let object = session.client.object(resource.kind, name);
        let object = object.map_err(|error| or_unknown(session, resource.kind, name, error))?;
        let mut object = Value::Object(object);
        session.shown(resource.kind, &mut object);
        objects.insert(name.clone(), object);
    }
    if !session.output.is_table() {
        return Ok(session.output.value(&objects.into())?);
    }
    let texts: Vec<String> = objects
        .values()
        .filter_map(Value::as_object)
        .map(|object| object::render(resource.kind, object, session.output.canvas))
        .collect();
    Ok(output::write(&texts.join("\n\n"))?)
}

/// The API creates or changes with the same request; a slip of the finger must not make a new object.
pub(crate) fn add(
    session: &Session,
    resource: &Resource,
    names: &[String],
    fields: &Map<String, Value>,
) -> Result<(), Failure> {
    let kind = resource.kind;
    let edits = edits(kind, names, fields, "new");
    if session.is_one_change(kind, names.len()) {
        return session.all(kind, "added", &edits);
    }
    let known = existing(session, kind, names)?;
    session.each_of("added", &edits, |edit| {
        let name = &edit.name;
        if known.contains_key(name) {
            return Err(Failure::Failed {
                message: format!("{kind} {name} is there already"),
                hint: Some(format!("change it with `perilune {kind} change {name} …`")),
            });
        }
        session.one(edit)
    })?;
    say_of_images(session, kind, names, fields);
    Ok(())
}

fn say_of_images(session: &Session, kind: &str, names: &[String], fields: &Map<String, Value>) {
    if kind == "osimage" {
        remarks::of_images(session, names, fields);
    }
}

pub(crate) fn change(
    session: &Session,
    resource: &Resource,
    names: &[String],
    fields: &Map<String, Value>,
) -> Result<(), Failure> {
    let kind = resource.kind;
    if fields.is_empty() {
        let message =
            format!("nothing to change is given; `perilune {kind} change --help` lists the fields");
        return Err(Failure::usage(message));
    }
    carry_out(session, kind, "changed", &edits(kind, names, fields, "known"))?;
    say_of_images(session, kind, names, fields);
    Ok(())
}

/// What saves these fields of each.
fn edits(
    kind: &str,
    names: &[String],
    fields: &Map<String, Value>,
    expectation: &str,
) -> Vec<Edit> {
    let edit = |name: &String| {
        let body = json!({ "config": { kind: { name: fields } } });
        Edit::post(name, &path(["config", kind, name]), &body).expecting(expectation)
    };
    names.iter().map(edit).collect()
}

/// Does what is asked for objects that are there: as one change, or one by one.
pub(crate) fn carry_out(
    session: &Session,
    kind: &str,
    done: &str,
    edits: &[Edit],
) -> Result<(), Failure> {
    if session.is_one_change(kind, edits.len()) {
        return session.all(kind, done, edits);
    }
    let names: Vec<String> = edits.iter().map(|edit| edit.name.clone()).collect();
    let known = existing(session, kind, &names)?;
    session.each_of(done, edits, |edit| {
        if known.contains_key(&edit.name) {
            return session.one(edit);
        }
        // For one name only that one was asked for; the others are fetched for the hint.
        Err(if names.len() == 1 {
            session.unknown(kind, &edit.name)
        } else {
            unknown_among(kind, &edit.name, &known)
        })
    })
}

/// The answer: a clone of an image is a job.
pub(crate) fn clone(
    session: &Session,
    resource: &Resource,
    source: &str,
    target: &str,
    fields: Map<String, Value>,
) -> Result<Value, Failure> {
    clone_as(session, resource, (source, target), "", fields)
}

/// As `clone`, with what stands behind the `?` of the request.
pub(crate) fn clone_as(
    session: &Session,
    resource: &Resource,
    (source, target): (&str, &str),
    query: &str,
    mut fields: Map<String, Value>,
) -> Result<Value, Failure> {
    let known = session.client.objects(resource.kind)?;
    if !known.contains_key(source) {
        return Err(unknown_among(resource.kind, source, &known));
    }
    if known.contains_key(target) {
        return Err(Failure::failed(format!("{} {target} is there already", resource.kind)));
    }
    fields.insert(resource.new_name.to_owned(), target.into());
    let body = json!({ "config": { resource.kind: { source: fields } } });
    let path = path(["config", resource.kind, source, "_clone"]) + query;
    Ok(session.client.post(&path, &body)?)
}

/// Copies one object to each of the names, in a request for each.
pub(crate) fn clone_to_many(
    session: &Session,
    resource: &Resource,
    source: &str,
    targets: &[String],
    fields: &Map<String, Value>,
) -> Result<(), Failure> {
    let known = session.client.objects(resource.kind)?;
    if !known.contains_key(source) {
        return Err(unknown_among(resource.kind, source, &known));
    }
    let edit = |target: &String| {
        let mut fields = fields.clone();
        fields.insert(resource.new_name.to_owned(), target.as_str().into());
        let body = json!({ "config": { resource.kind: { source: fields } } });
        Edit::post(target, &path(["config", resource.kind, source, "_clone"]), &body)
    };
    let edits: Vec<Edit> = targets.iter().map(edit).collect();
    let done = format!("cloned from {source}");
    if let Some(taken) = targets.iter().find(|target| known.contains_key(*target)) {
        return Err(Failure::failed(format!("{} {taken} is there already", resource.kind)));
    }
    if session.is_one_change(resource.kind, targets.len()) {
        return session.all(resource.kind, &done, &edits);
    }
    session.each_of(&done, &edits, |edit| session.one(edit))
}

pub(crate) fn remove(
    session: &Session,
    resource: &Resource,
    arguments: &Remove,
) -> Result<(), Failure> {
    let kind = resource.kind;
    let names = session.named(kind, &arguments.names, &arguments.exclude)?;
    let edit = |name: &String| Edit::get(name, &path(["config", kind, name, "_delete"]));
    let edits: Vec<Edit> = names.iter().map(edit).collect();
    let what = format!("{kind} {}", hostlist::fold(&names));
    remove_all(session, kind, (&what, "removed"), &edits, arguments.yes)
}

/// Says what would go and what hangs on it, asks, and removes it.
pub(crate) fn remove_all(
    session: &Session,
    kind: &str,
    (what, done): (&str, &str),
    edits: &[Edit],
    is_sure: bool,
) -> Result<(), Failure> {
    if !is_sure && !session.client.only_tries() {
        ask_to_remove(what, &session.trial(kind, edits)?)?;
    }
    carry_out(session, kind, done, edits)
}

pub(crate) fn rename(
    session: &Session,
    resource: &Resource,
    arguments: &Rename,
) -> Result<(), Failure> {
    let Rename { source, target } = arguments;
    if [source, target]
        .into_iter()
        .any(|list| expand(std::slice::from_ref(list)).is_ok_and(|names| names.len() > 1))
    {
        let message = format!(
            "rename gives one {} another name, and a host list names many; rename them one by one",
            resource.kind
        );
        return Err(Failure::usage(message));
    }
    let fields = Map::from_iter([(resource.new_name.to_owned(), target.as_str().into())]);
    let names = [source.clone()];
    each_known(session, resource.kind, &format!("renamed to {target}"), &names, |name| {
        Ok(session.client.save(resource.kind, name, &fields).map(drop)?)
    })
}

/// [`Session::each`] for objects that must be there.
pub(crate) fn each_known(
    session: &Session,
    kind: &str,
    done: &str,
    names: &[String],
    mut operation: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let known = existing(session, kind, names)?;
    session.each(done, names, |name| {
        if known.contains_key(name) {
            return operation(name);
        }
        // For one name only that one was asked for; the others are fetched for the hint.
        Err(if names.len() == 1 {
            session.unknown(kind, name)
        } else {
            unknown_among(kind, name, &known)
        })
    })
}

/// Those of `names` that are there; one question however many they are.
fn existing(
    session: &Session,
    kind: &str,
    names: &[String],
) -> Result<Map<String, Value>, Failure> {
    let [name] = names else {
        return Ok(session.client.objects(kind)?);
    };
    match session.client.object(kind, name) {
        Ok(object) => Ok(Map::from_iter([(name.clone(), object.into())])),
        Err(perilune::client::Error::NotFound { .. }) => Ok(Map::new()),
        Err(error) => Err(error.into()),
    }
}

/// A 404 says which names are like the one that was asked for.
pub(crate) fn or_unknown(
    session: &Session,
    kind: &str,
    name: &str,
    error: perilune::client::Error,
) -> Failure {
    match error {
        perilune::client::Error::NotFound { .. } => session.unknown(kind, name),
        error => error.into(),
    }
}
