//! Whatever is asked of a cluster, in whatever order: what holds for every cluster holds afterwards, and it is what is on the disk.
#![cfg(test)]

mod choice;
mod operation;
mod routes;
mod sound;

use std::collections::BTreeMap;

use operation::{ACTIONS, Action, Operation, operation};
use perilune_model::controller::Controller;
use perilune_model::device::{cloud, other, switch};
use perilune_model::dns::{self, DnsHost, Entry};
use perilune_model::interface::of_group;
use perilune_model::rack::{DeviceType, PlacementRequest};
use perilune_model::secret::{self, Owner};
use perilune_model::{
    Addresses, Change, Cluster, Draft, Edit, Error, Kind, Name, Object, Patch, bmc_setup, group,
    image, network, node, rack, route,
};
use perilune_store::{Commit, Meta, Store};
use perilune_wire::document;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// A commit of the past: what it did, and the cluster as it left it.
type Past = Vec<(Change, Cluster)>;

/// A small cluster with something of every kind, so that most requests find what they are about.
fn beginning(draft: &mut Draft) -> Result<(), Error> {
    let name = Name::trusted;
    let mut range = |network: &str, range: &str| {
        let request = network::Request { range: range.parse().ok(), ..network::Request::default() };
        network::save(draft, &name(network), &request).map(drop)
    };
    range("cluster", "10.141.0.0/24")?;
    range("ib", "10.149.0.0/24")?;
    range("ib", "fd00:149::/125")?;
    let leads = route::Request {
        destination: "10.200.0.0/16".parse().ok(),
        gateway: Patch::Set("10.141.0.1".parse().unwrap()),
        ..route::Request::default()
    };
    route::save(draft, &name("first"), &leads)?;
    route::save(draft, &name("second"), &leads)?;
    draft.put(Controller {
        name: name("controller"),
        beacon: true,
        addresses: Addresses { ipv4: "10.141.0.254".parse().ok(), ipv6: None },
        network: Some(name("cluster")),
        ..Controller::default()
    })?;
    image::save(draft, &name("debian"), &image::Request::default())?;
    image::activate_tag(draft, "debian", &Patch::Set(name("one")))?;
    bmc_setup::save(draft, &name("first"), &bmc_setup::Request::default(), "fresh")?;
    cloud::save(draft, &name("first"), &cloud::Request::default())?;
    switch::save(draft, &name("first"), &switch::Request::default())?;
    other::save(draft, &name("first"), &other::Request::default())?;
    let mut request = group::Request::default();
    request.provisioning.osimage = Patch::Set(name("debian"));
    for group in ["compute", "login"] {
        group::save(draft, &name(group), &request)?;
    }
    let in_ib = of_group::Request {
        interface: name("eth0"),
        network: Some(name("ib")),
        ..of_group::Request::default()
    };
    of_group::save(draft, "login", &[in_ib])?;
    for (node, group) in [("node001", "compute"), ("node002", "compute"), ("node003", "login")] {
        let request = node::Request { group: Some(name(group)), ..node::Request::default() };
        node::save(draft, &name(node), &request)?;
    }
    let devices = [(DeviceType::Node, "node001", 7), (DeviceType::Switch, "first", 17)];
    let place = |(device_type, device, position): (_, &str, _)| PlacementRequest {
        device: name(device),
        device_type: Some(device_type),
        position: Patch::Set(position),
        ..PlacementRequest::default()
    };
    let devices = devices.map(place).into();
    rack::save(draft, &name("first"), &rack::Request { devices, ..rack::Request::default() })?;
    let content = Some("c2VjcmV0".to_owned());
    let secret = secret::Request { name: name("one"), content, ..secret::Request::default() };
    secret::save(draft, Owner::Node, "node001", std::slice::from_ref(&secret))?;
    secret::save(draft, Owner::Group, "compute", &[secret])?;
    let host = DnsHost { host: name("one"), ipaddress: "198.51.100.7".parse().unwrap() };
    dns::save(draft, "cluster", &[Entry::Address(host)])
}

/// Takes back a commit of which nothing was changed since, as the history does.
fn undo(draft: &mut Draft, operation: &Operation, past: &Past) -> Result<(), Error> {
    let back = usize::from(operation.choice().number()) % past.len().max(1);
    let Some((change, left)) = past.iter().rev().nth(back) else { return Ok(()) };
    let untouched = change.edits.iter().all(|edit| {
        let (kind, name) = key(edit);
        draft.object(kind, name.as_str()) == left.object(kind, name.as_str())
    });
    if untouched { draft.replay(&change.inverse) } else { Ok(()) }
}

fn key(edit: &Edit) -> (Kind, Name) {
    match edit {
        Edit::Put(object) => (object.kind(), object.name().clone()),
        Edit::Remove(kind, name) => (*kind, name.clone()),
    }
}

fn objects(cluster: &Cluster) -> BTreeMap<(Kind, Name), Object> {
    cluster.objects().map(|object| ((object.kind(), object.name().clone()), object)).collect()
}

/// Does the operation; what it changed, if anything, unless it was refused.
fn step(
    state: &Cluster,
    operation: &Operation,
    past: &Past,
) -> Result<Option<(Cluster, Change)>, Error> {
    let before = objects(state);
    let mut draft = Draft::new(state);
    let outcome = match operation.action {
        Action::Undo => undo(&mut draft, operation, past),
        _ => operation.apply(&mut draft),
    };
    let (after, change) = draft.finish();
    assert_eq!(objects(state), before, "a draft changes nothing but itself");
    outcome?;
    sound::check(&after);
    let mut replayed = state.clone();
    change.edits.iter().for_each(|edit| replayed.apply(edit));
    assert_eq!(replayed, after, "the edits make the change");
    change.inverse.iter().for_each(|edit| replayed.apply(edit));
    assert_eq!(replayed, *state, "the inverse takes it back");
    let mut back = Draft::new(&after);
    back.replay(&change.inverse).expect("what was just done can be taken back");
    assert_eq!(back.finish().0, *state, "taking it back as a commit restores");
    Ok((!change.is_empty()).then_some((after, change)))
}

/// The cluster's document, applied, changes nothing.
fn check_document(state: &Cluster) {
    let Value::Object(said) = document::write(state, true) else { panic!("it is an object") };
    let read = document::read(&said, state, &choice::installed()).unwrap();
    let mut draft = Draft::new(state);
    draft.bring_to(read.desired, &read.kinds).unwrap();
    assert_eq!(draft.finish().1.edits, [], "a document is the cluster");
}

/// The cluster's export, imported, changes nothing. Tables know no difference between no text, an empty one and the word `None`, so
/// that clusters with such texts are left out.
fn check_tables(state: &Cluster) {
    let mut stored = objects(state).into_values().map(|object| object.to_json().unwrap());
    let is_odd = |json: String| {
        let odd = ["\"\"", "\" ", "None", "!!", "\\t", "\\n", "\\u"];
        odd.iter().any(|text| json.contains(text))
    };
    if stored.any(is_odd) {
        return;
    }
    check_document(state);
    let plan = perilune_import::plan_tables(&perilune_import::export(state), state).unwrap();
    let mut draft = Draft::new(state);
    perilune_import::commit(&plan, &mut draft, true).unwrap();
    let (after, _) = draft.finish();
    for (key, object) in objects(&after) {
        let was = state.object(key.0, key.1.as_str());
        assert_eq!(Some(object), was, "an export is the cluster");
    }
    assert_eq!(objects(&after).len(), objects(state).len(), "an export is the whole cluster");
}

async fn run(operations: &[Operation]) {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut state) =
        Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
    let mut past = Past::new();
    let mut draft = Draft::new(&state);
    beginning(&mut draft).unwrap();
    let mut next = Some(draft.finish());
    let mut rest = operations.iter();
    loop {
        if let Some((after, change)) = next.take() {
            let commit = Commit { change: change.clone(), meta: Meta::default(), key: None };
            let revision = store.apply(past.len() as u64, vec![commit]).await.unwrap();
            past.push((change, after.clone()));
            assert_eq!(revision, past.len() as u64);
            state = after;
            check_tables(&state);
        }
        let Some(operation) = rest.next() else { break };
        next = step(&state, operation, &past).unwrap_or_default();
    }
    assert_eq!(store.load().await.unwrap(), state, "the store has the cluster");
    let history = store.history_between(1, u64::MAX).await.unwrap();
    assert_eq!(history.len(), past.len());
    for (entry, (change, _)) in history.iter().zip(&past) {
        assert_eq!((&entry.edits, &entry.inverse), (&change.edits, &change.inverse));
    }
    drop(store);
    let reloaded = loop {
        match Store::open(directory.path(), &directory.path().join("luna.key")) {
            Err(perilune_store::Error::Locked { .. }) => tokio::task::yield_now().await,
            opened => break opened.unwrap().1,
        }
    };
    assert_eq!(reloaded, state, "a restart finds the cluster as it was");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_leaves_a_cluster_that_is_sound_and_equals_the_disk(
        operations in prop::collection::vec(operation(), 1..80)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(&operations));
    }
}

/// Requests that are all refused, or all fine, would prove little.
#[test]
fn every_action_is_sometimes_done_and_sometimes_refused() {
    let mut runner = TestRunner::deterministic();
    let sequences = prop::collection::vec(operation(), 40..80);
    let mut outcomes = BTreeMap::new();
    for _ in 0..150 {
        let sequence = sequences.new_tree(&mut runner).unwrap().current();
        let mut draft = Draft::new(&Cluster::default());
        beginning(&mut draft).unwrap();
        let (mut state, change) = draft.finish();
        let mut past = vec![(change, state.clone())];
        for operation in &sequence {
            let (done, refused) =
                outcomes.entry(format!("{:?}", operation.action)).or_insert((0, 0));
            match step(&state, operation, &past) {
                Ok(Some((after, change))) => {
                    *done += 1;
                    past.push((change, after.clone()));
                    state = after;
                }
                Ok(None) => {}
                Err(_) => *refused += 1,
            }
        }
    }
    assert_eq!(outcomes.len(), ACTIONS.len());
    for (action, (done, refused)) in &outcomes {
        assert!(*done >= 5 && *refused >= 3, "{action}: {done} done, {refused} refused");
    }
}
