//! What a plan does to a cluster: new ones give way, used ones are added to or replaced.

use perilune_import::{Outcome, Plan, commit, export, plan_tables};
use perilune_model::bootstrap::{FirstController, small_cluster};
use perilune_model::dns::{DnsHost, DnsHosts, DnsRecord, RecordData, RecordType};
use perilune_model::network::Network;
use perilune_model::user::User;
use perilune_model::{Cluster, Draft, Error, Kind, Name, group, node};

use perilune_testkit::luna::Database;

use crate::database::plan;

/// A cluster as the first start makes it, but in another network, and with a user.
fn new_cluster() -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let controller = FirstController {
        name: Name::trusted("here"),
        address: "10.200.255.254".parse().unwrap(),
        network: None,
        shadow: false,
    };
    small_cluster(
        &mut draft,
        &Name::trusted("first"),
        "10.200.0.0/16".parse().unwrap(),
        controller,
        7051,
    )
    .unwrap();
    draft.put(User { name: Name::trusted("root"), ..User::default() }).unwrap();
    draft.finish().0
}

/// One that is in use, with a group and a node.
fn used_cluster() -> Cluster {
    let mut draft = Draft::new(&new_cluster());
    group::save(&mut draft, &Name::trusted("others"), &group::Request::default()).unwrap();
    let request =
        node::Request { group: Some(Name::trusted("others")), ..node::Request::default() };
    node::save(&mut draft, &Name::trusted("other1"), &request).unwrap();
    draft.finish().0
}

fn import(cluster: &Cluster, plan: &Plan, replace: bool) -> Result<(Cluster, Outcome), Error> {
    let mut draft = Draft::new(cluster);
    let outcome = commit(plan, &mut draft, replace)?;
    let (changed, change) = draft.finish();
    // What the store does with the change: edits, and later perhaps what takes them back.
    let mut replayed = cluster.clone();
    change.edits.iter().for_each(|edit| replayed.apply(edit));
    assert_eq!(replayed, changed);
    change.inverse.iter().for_each(|edit| replayed.apply(edit));
    assert_eq!(replayed, *cluster);
    Ok((changed, outcome))
}

#[test]
fn what_the_first_start_made_gives_way() {
    let (cluster, outcome) = import(&new_cluster(), &plan(&Database::site()), false).unwrap();
    assert_eq!(
        outcome.removed,
        [(Kind::Controller, "here".to_owned()), (Kind::Network, "first".to_owned())]
    );
    assert_eq!(cluster.beacon().unwrap().name, "controller");
    assert_eq!((cluster.nodes().len(), cluster.networks().len(), cluster.users().len()), (2, 3, 1));
    assert_eq!(cluster.settings().title, "mycluster");
}

#[test]
fn a_used_cluster_is_added_to_and_keeps_its_settings_and_its_beacon() {
    let used = used_cluster();
    let (cluster, outcome) = import(&used, &plan(&Database::site()), false).unwrap();
    assert_eq!(outcome, Outcome { keeps_settings: true, ..Outcome::default() });
    assert_eq!((cluster.nodes().len(), cluster.networks().len()), (3, 4));
    assert_eq!(cluster.settings(), used.settings());
    let beacons: Vec<&str> = cluster
        .controllers()
        .values()
        .filter(|one| one.beacon)
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(beacons, ["here"]);
    let (again, _) =
        import(&cluster, &plan(&Database::site()), false).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, cluster);
}

#[test]
fn names_that_are_taken_refuse_the_import_unless_it_replaces_everything() {
    let mut draft = Draft::new(&used_cluster());
    draft
        .put(Network {
            name: Name::trusted("cluster"),
            ipv4: Some("10.3.0.0/16".parse().unwrap()),
            ..Network::default()
        })
        .unwrap();
    group::save(&mut draft, &Name::trusted("compute"), &group::Request::default()).unwrap();
    let used = draft.finish().0;
    let plan = plan(&Database::site());
    let Err(Error::Invalid(violations)) = import(&used, &plan, false) else {
        panic!("it is not refused")
    };
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["network cluster", "group compute", "replace"]);

    let (cluster, outcome) = import(&used, &plan, true).unwrap();
    assert!(outcome.replaced.contains(&(Kind::Network, "cluster".to_owned())));
    assert!(outcome.removed.contains(&(Kind::Node, "other1".to_owned())));
    assert_eq!(cluster.network("cluster").unwrap().ipv4.unwrap().to_string(), "10.141.0.0/16");
    assert_eq!((cluster.nodes().len(), cluster.groups().len(), cluster.users().len()), (2, 1, 1));
}

#[test]
fn an_address_that_another_device_of_the_cluster_has_refuses_all() {
    let mut draft = Draft::new(&used_cluster());
    let request =
        node::Request { group: Some(Name::trusted("others")), ..node::Request::default() };
    node::save(&mut draft, &Name::trusted("other2"), &request).unwrap();
    let mut device =
        perilune_model::device::OtherDevice { name: Name::trusted("thief"), ..Default::default() };
    device.addresses.set("10.141.0.1".parse().unwrap());
    draft.put(device).unwrap();
    let used = draft.finish().0;
    let error = import(&used, &plan(&Database::site()), false).unwrap_err().to_string();
    assert_eq!(error, "ipaddress: the address 10.141.0.1 is in use by other device thief");
}

#[test]
fn ten_thousand_nodes_are_imported_and_replaced() {
    let database = Database::site();
    database.sql(
        "WITH RECURSIVE counter(x) AS (SELECT 100 UNION ALL SELECT x + 1 FROM counter WHERE x < 10099)
         INSERT INTO node (id, name, groupid) SELECT x, 'big' || x, 1 FROM counter;
         INSERT INTO nodeinterface (id, nodeid, interface, macaddress) SELECT id, id, 'BOOTIF', printf('02:00:00:00:%02x:%02x', id / 256, id % 256) FROM node WHERE id >= 100;
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) SELECT id, 'nodeinterface', id, printf('10.141.%d.%d', 10 + id / 256, id % 256), 1 FROM node WHERE id >= 100;",
    );
    let (cluster, _) = import(&new_cluster(), &plan(&database), false).unwrap();
    assert_eq!(cluster.nodes().len(), 10_002);
    let (cluster, _) = import(&cluster, &plan(&database), true).unwrap();
    assert_eq!(cluster.nodes().len(), 10_002);
}

#[test]
fn dns_records_that_tables_cannot_say_stay_unless_a_name_is_a_hosts_now() {
    let record = |host: &str, of, value: &str| DnsRecord {
        host: Name::trusted(host),
        data: RecordData::read(of, value).unwrap(),
    };
    let mail = record("www", RecordType::Mx, "10 other1");
    let other_name = record("wiki", RecordType::Cname, "other1");
    let list = |hosts: &[&str], records: &[DnsRecord]| DnsHosts {
        name: Name::trusted("first"),
        hosts: hosts
            .iter()
            .map(|host| DnsHost {
                host: Name::trusted(host),
                ipaddress: "198.51.100.7".parse().unwrap(),
            })
            .collect(),
        records: records.to_vec(),
    };
    let with = |list: DnsHosts| {
        let mut draft = Draft::new(&used_cluster());
        draft.put(list).unwrap();
        draft.finish().0
    };
    let both = [other_name, mail.clone()];
    let cases = [(&["www"][..], &both[..]), (&[], &both), (&["wiki"], &[mail])];
    for (hosts, left) in cases {
        let tables = export(&with(list(hosts, &[])));
        let before = with(list(&[], &both));
        let plan = plan_tables(&tables, &before).unwrap();
        let (after, outcome) = import(&before, &plan, true).unwrap();
        let known = after.dns_hosts().get("first").map(|list| &**list);
        assert_eq!(known, Some(&list(hosts, left)), "{hosts:?}");
        let is_removed = outcome.removed.iter().any(|(kind, _)| *kind == Kind::DnsHosts);
        assert!(!is_removed, "{outcome:?}");
    }
}
