//! Rows that are not what they should be: each is told by table and row, and read so that the rest can be taken.

use perilune_model::{Cluster, Holder, Name};

use perilune_testkit::luna::Database;

use crate::database::{cluster, lines, plan};

/// The site with a change, what must be told, and the cluster that becomes of it.
fn with(sql: &str, told: &[&str]) -> Cluster {
    let database = Database::site();
    database.sql(sql);
    let plan = plan(&database);
    let lines = lines(&plan);
    for told in told {
        assert!(lines.iter().any(|line| line.contains(told)), "{told:?} is not in {lines:#?}");
    }
    cluster(&plan)
}

#[test]
fn references_to_nothing_are_unset_or_refuse_the_row() {
    let cluster = with(
        "UPDATE node SET osimageid = 99, switchid = 98, cloudid = 'x' WHERE id = 1; UPDATE \"group\" SET bmcsetupid = 97;
         INSERT INTO node (id, name, groupid) VALUES (3, 'node003', 96), (4, 'node004', NULL);
         INSERT INTO nodeinterface (id, nodeid, interface) VALUES (30, 3, 'BOOTIF');
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) VALUES (30, 'nodeinterface', 30, '10.141.0.30', 1);",
        &[
            "odd node 1 (node001) osimageid: there is no row 99 in osimage; read as unset",
            "odd node 1 (node001) switchid: there is no row 98 in switch; read as unset",
            "odd node 1 (node001) cloudid: 'x' is not a whole number in its range; read as unset",
            "odd group 1 (compute) bmcsetupid: there is no row 97 in bmcsetup",
            "refused node 3 (node003) groupid: a node must have a group",
            "refused node 4 (node004) groupid: a node must have a group",
        ],
    );
    assert_eq!(cluster.nodes().len(), 2);
    let kept = Holder::Reservation(Name::trusted("node003"));
    assert_eq!(cluster.holder("10.141.0.30".parse().unwrap()), Some(&kept));
    assert_eq!(cluster.node("node001").unwrap().provisioning.osimage, None);
}

#[test]
fn what_belongs_to_a_refused_node_goes_with_it_unsaid() {
    let database = Database::site();
    database.sql(
        "INSERT INTO node (id, name, groupid) VALUES (3, 'Node_3', 1);
         INSERT INTO nodeinterface (id, nodeid, interface) VALUES (30, 3, 'BOOTIF');
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) VALUES (30, 'nodeinterface', 30, '10.141.0.30', 1);
         INSERT INTO nodesecrets (id, nodeid, name, content) VALUES (30, 3, 'key', 'x');",
    );
    let lines = lines(&plan(&database));
    let about: Vec<&String> = lines.iter().filter(|line| line.starts_with("refused")).collect();
    assert_eq!(about.len(), 1, "{about:?}");
    assert!(about[0].starts_with("refused node 3 (Node_3) name: 'Node_3' cannot be a name: a name may contain only lower-case"), "{about:?}");
}

#[test]
fn orphans_are_refused() {
    with(
        "INSERT INTO nodeinterface (id, nodeid, interface) VALUES (30, 77, 'BOOTIF');
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress, networkid) VALUES (30, 'nodeinterface', 30, '10.141.0.30', 1);
         INSERT INTO groupinterface (id, groupid, interface, networkid) VALUES (30, 77, 'BOOTIF', 1);
         INSERT INTO ipaddress (id, tableref, tablerefid, ipaddress) VALUES (31, 'switch', 55, '10.141.0.31'), (32, 'toaster', 1, '10.141.0.32'), (33, NULL, NULL, NULL);
         INSERT INTO nodesecrets (id, nodeid, name, content) VALUES (30, 77, 'key', 'x'), (31, NULL, 'key', 'x');
         INSERT INTO dns (id, host, ipaddress, networkid) VALUES (30, 'h', '10.0.0.1', 77);
         INSERT INTO osimagetag (id, name, osimageid) VALUES (30, 't', 77);
         INSERT INTO rackinventory (id, tableref, tablerefid) VALUES (30, 'node', 77), (31, 'fridge', 1);",
        &[
            "refused nodeinterface 30 nodeid: it belongs to row 77 of node, which is not there",
            "refused groupinterface 30 groupid: it belongs to row 77 of group, which is not there",
            "refused ipaddress 31: it belongs to row 55 of switch, which is not there",
            "refused ipaddress 32: it belongs to a row of 'toaster'",
            "refused ipaddress 33: it belongs to a row of ''",
            "refused nodesecrets 30 nodeid: it belongs to row 77 of node",
            "refused nodesecrets 31 nodeid: it belongs to no row of node",
            "refused dns 30 networkid: it belongs to row 77 of network",
            "refused osimagetag 30 osimageid: it belongs to row 77 of osimage",
            "refused rackinventory 30 tablerefid: it belongs to row 77 of node",
            "refused rackinventory 31 tableref: 'fridge' is not a table of devices",
        ],
    );
}

#[test]
fn of_two_rows_with_one_name_the_first_is_taken() {
    let cluster = with(
        "INSERT INTO bmcsetup (id, name, password) VALUES (2, 'compute-bmc', 'other');
         INSERT INTO node (id, name, groupid, bmcsetupid) VALUES (3, 'node003', 1, 2);
         INSERT INTO node (id, name, groupid) VALUES (4, 'node..1', 1), (5, 'node.1', 1);
         INSERT INTO cluster (id, name) VALUES (2, 'other');
         INSERT INTO dns (id, host, ipaddress, networkid) VALUES (2, 'printer', '10.141.0.78', 1);
         INSERT INTO osimagetag (id, name, osimageid) VALUES (2, 'stable', 1);
         INSERT INTO groupinterface (id, groupid, interface, networkid) VALUES (9, 1, 'BMC', 1);",
        &[
            "refused bmcsetup 2 (compute-bmc): another row has this name already",
            "odd node 3 (node003) bmcsetupid: row 2 of bmcsetup is not taken; read as unset",
            "odd node 4 (node..1) name: 'node..1' is read as 'node.1'",
            "refused node 5 (node.1): another row has this name already",
            "refused cluster 2: there is one cluster",
            "refused dns 2 (printer) host: its network has another host of this name",
            "refused osimagetag 2 (stable) name: the image 'compute' has another tag of this name",
            "refused groupinterface 9 (compute:BMC) interface: the group has another interface of this name",
        ],
    );
    assert_eq!(cluster.bmc_setup("compute-bmc").unwrap().password, "A1B2#!");
}

#[test]
fn addresses_that_cannot_be_are_left_out_of_their_interface() {
    let cluster = with(
        "DROP TABLE ipaddress; CREATE TABLE ipaddress (id INTEGER, tableref, tablerefid, ipaddress, ipaddress_ipv6, networkid, dhcp);
         INSERT INTO nodeinterface (id, nodeid, interface) VALUES (10, 1, 'eth1'), (11, 1, 'eth2'), (12, 1, 'eth3'), (13, 1, 'eth4'), (14, 2, 'eth1'), (15, 2, 'eth2'), (16, 2, 'eth3');
         INSERT INTO ipaddress VALUES (1, 'controller', 1, '10.141.255.254', NULL, 1, 0), (2, 'switch', 1, '172.16.0.1', NULL, 1, 0),
           (10, 'nodeinterface', 10, '10.150.0.1', NULL, 1, 0), (11, 'nodeinterface', 11, '10.141.255.254', NULL, 1, 0),
           (12, 'nodeinterface', 12, '10.141.0.300', NULL, 1, 0), (13, 'nodeinterface', 13, '10.141.0.13', NULL, 44, 0),
           (14, 'nodeinterface', 14, '10.141.0.13', NULL, 1, 0), (15, 'nodeinterface', 15, 'fd00:148::5', NULL, 2, 0),
           (16, 'nodeinterface', 16, '10.141.160.1', NULL, 1, 0), (17, 'nodeinterface', 16, '10.141.0.99', NULL, 1, 0);",
        &[
            "odd ipaddress 2 (switch01) ipaddress: 172.16.0.1 lies outside of its network 'cluster'; taken as one outside of all networks",
            "odd ipaddress 10 (node001:eth1) ipaddress: 10.150.0.1 lies outside of its network 'cluster'; left out",
            "odd ipaddress 11 (node001:eth2) ipaddress: the address 10.141.255.254 is that of controller controller; left out",
            "odd ipaddress 12 (node001:eth3) ipaddress: '10.141.0.300' is not an IP address; read as unset",
            "odd ipaddress 13 (node001:eth4) networkid: there is no row 44 in network; read as unset",
            "odd ipaddress 13 (node001:eth4) networkid: 10.141.0.13 has no network; it lies in 'cluster', which is taken",
            "odd ipaddress 14 (node002:eth1) ipaddress: the address 10.141.0.13 is that of interface eth4 of node node001; left out",
            "odd ipaddress 15 (node002:eth2) ipaddress: fd00:148::5 is an address of the other family; left out",
            "odd ipaddress 16 (node002:eth3) ipaddress: 10.141.160.1 lies in the DHCP range of 'cluster'",
            "refused ipaddress 17: row 16 of nodeinterface has another row of addresses, which is taken",
        ],
    );
    let node = cluster.node("node001").unwrap();
    assert_eq!(node.interface("eth4").unwrap().network.as_ref().unwrap(), "cluster");
    assert!(node.interface("eth1").unwrap().addresses.is_empty());
    assert!(cluster.switch("switch01").unwrap().network.is_none());
}

#[test]
fn interfaces_of_a_switch_have_names_of_interfaces_and_each_its_own() {
    let cluster = with(
        r#"ALTER TABLE switch ADD COLUMN interfaces;
           UPDATE switch SET interfaces = '[{"name": "swp1", "mgmt": true}, {"name": "swp1"}, {"name": "$(reboot)"}, {"name": ""},
             {"name": "eth0", "mgmt": true, "macaddress": "none"}]' WHERE id = 1;"#,
        &[
            "odd switch 1 (switch01) interfaces: 'swp1' is there twice; the second is left out",
            "odd switch 1 (switch01) interfaces: '$(reboot)' is not an interface name",
            "odd switch 1 (switch01) interfaces: '' is not an interface name",
            "odd switch 1 (switch01) interfaces: the macaddress of 'eth0' is none; read as unset",
        ],
    );
    let switch = cluster.switch("switch01").unwrap();
    let taken: Vec<_> = switch.interfaces.iter().map(|own| (own.name.as_str(), own.mgmt)).collect();
    assert_eq!(taken, [("swp1", true), ("eth0", false)]);
}

#[test]
fn one_address_or_mac_address_is_one_interfaces() {
    let cluster = with(
        "DROP TABLE ipaddress; CREATE TABLE ipaddress (id INTEGER, tableref, tablerefid, ipaddress, ipaddress_ipv6, networkid, dhcp);
         INSERT INTO ipaddress VALUES (1, 'nodeinterface', 1, '10.141.0.1', NULL, 1, 0), (2, 'nodeinterface', 2, '10.141.0.1', NULL, 1, 0);
         UPDATE nodeinterface SET macaddress = 'AA-BB-CC-00-00-01' WHERE id IN (2, 4); UPDATE nodeinterface SET macaddress = 'no:ne' WHERE id = 3;",
        &[
            "odd nodeinterface 2 (node001:BMC) ipaddress: another interface of the node has 10.141.0.1; left out",
            "odd nodeinterface 2 (node001:BMC) macaddress: aa:bb:cc:00:00:01 is that of node001:BOOTIF; read as unset",
            "odd nodeinterface 4 (node002:BOOTIF) macaddress: aa:bb:cc:00:00:01 is that of node001:BOOTIF; read as unset",
            "odd nodeinterface 3 (node001:eth0.100) macaddress: 'no:ne' is not a MAC address; read as unset",
        ],
    );
    assert_eq!(
        cluster.node_by_mac("aa:bb:cc:00:00:01".parse().unwrap()).unwrap().0.name,
        "node001"
    );
}

#[test]
fn values_of_the_wrong_type_are_unset_or_usual() {
    let cluster = with(
        "UPDATE bmcsetup SET mgmtchannel = 'x', userid = 2.0, password = '';
         UPDATE network SET gateway_metric = 'cheap', dhcp = 'perhaps', nameserver_ip = '10.141.0.5, dns;x',
           ntp_server = 'Time.example.org 10.141.0.7 10.141.0.256' WHERE id = 1;
         UPDATE cluster SET security = 7, provision_method = 'two ways', domain_search = 'one.example.org two.example.org,..;x', ntp_server = '10.141.255.254, time.example.org', technical_contacts = x'ff00';
         UPDATE nodeinterface SET mtu = '9', vlanid = '5000' WHERE id = 3;
         UPDATE \"group\" SET ipxe_kernel = 'third', provision_fallback = '../http', unmanaged_bmc_users = 'skip', partscript = 'mount -t tmpfs', prescript = 'bW91\nbnQ=', comment = 'None';
         UPDATE node SET kerneloptions = '!!Invalid!!', comment = 'a' || char(7) || 'b' WHERE id = 1; UPDATE osimage SET imagefile = '!!kickstart!!', kernelfile = '../../etc/shadow';
         UPDATE rack SET size = 'large', \"order\" = 'sideways'; UPDATE nodesecrets SET path = '/etc/../../key';",
        &[
            "odd bmcsetup 1 (compute-bmc) mgmtchannel: 'x' is not a whole number in its range; read as unset",
            "odd bmcsetup 1 (compute-bmc) password: it is empty",
            "odd network 1 (cluster) gateway_metric: 'cheap' is not",
            "odd network 1 (cluster) dhcp: 'perhaps' is neither yes nor no; read as unset",
            "odd network 1 (cluster) nameserver_ip: 'dns;x' is not an IP address; left out",
            "odd network 1 (cluster) ntp_server: '10.141.0.256' is neither an IP address nor a host name; left out",
            "odd cluster 1 provision_method: 'two ways': it must be http, torrent, kickstart or the name of a plugin",
            "odd cluster 1 domain_search: '..;x': ",
            "odd group 1 (compute) provision_fallback: '../http': it must be http, torrent,",
            "odd cluster 1 security: '7' is neither yes nor no",
            "odd cluster 1 ntp_server: 'time.example.org' is not an IP address; left out",
            "odd cluster 1 technical_contacts: it holds bytes that are no text",
            "odd nodeinterface 3 (node001:eth0.100) mtu: 9 is too small",
            "odd nodeinterface 3 (node001:eth0.100) vlanid: 5000 is too large",
            "odd nodeinterface 3 (node001:eth0.100) vlan_parent: a VLAN needs its number",
            "odd group 1 (compute) ipxe_kernel: 'third': it must be 'default' or 'alternative'",
            "odd group 1 (compute) partscript: it is not base64; taken as the script itself",
            "odd group 1 (compute) prescript: its base64 contains white space; read without",
            "odd node 1 (node001) kerneloptions: '!!Invalid!!' marks something that is missing; read as unset",
            "odd node 1 (node001) comment: it contains control characters; they are left out",
            "odd osimage 1 (compute) imagefile: '!!kickstart!!' marks a file that was missing; read as 'kickstart'",
            "odd osimage 1 (compute) kernelfile: it is no plain file name; read as unset",
            "odd rack 1 (rack1) size: 'large' is not",
            "odd rack 1 (rack1) order: 'sideways' is not",
            "path: '/etc/../../key' cannot be this; read as unset",
            "path: it has no path; nodes do not write it to a file",
        ],
    );
    assert_eq!(cluster.settings().domain_search, ["one.example.org", "two.example.org"]);
    let setup = cluster.bmc_setup("compute-bmc").unwrap();
    assert_eq!((setup.userid, setup.mgmtchannel), (2, 2));
    assert_eq!(cluster.group("compute").unwrap().comment, None);
    assert_eq!(cluster.node("node001").unwrap().comment.as_deref(), Some("ab"));
    assert!(!cluster.settings().security);
    let network = cluster.network("cluster").unwrap();
    let told = [&network.nameserver_ip, &network.ntp_server]
        .map(|list| list.as_ref().unwrap().to_string());
    assert_eq!(told, ["10.141.0.5", "time.example.org,10.141.0.7"]);
}

#[test]
fn networks_that_cannot_be_so_are_put_right_or_refused() {
    let cluster = with(
        "UPDATE network SET gateway = '10.0.0.1', dhcp_range_begin = '10.141.9.9', dhcp_range_end = '10.141.1.1' WHERE id = 1;
         UPDATE network SET shared = 'nowhere' WHERE id = 2;
         INSERT INTO network (id, name, network, subnet) VALUES (5, 'double', '10.141.3.0', '24'), (6, 'none', NULL, NULL), (7, 'odd', '10.9.8.7', '33'), (8, 'Upper', '10.8.0.0', '16'), (9, 'host', '10.7.3.1', '16');
         INSERT INTO network (id, name, network, subnet, dhcp, dhcp_nodes_only, dhcp_nodes_in_pool, dhcp_range_begin) VALUES (10, 'pool', '10.6.0.0', '16', 1, 1, 1, '10.6.0.1');",
        &[
            "odd network 1 (cluster) gateway: 10.0.0.1 lies outside of the network; read as unset",
            "odd network 1 (cluster) dhcp_range_begin: 10.141.9.9 to 10.141.1.1 is not a range",
            "odd network 1 (cluster) dhcp: it is on and has no range; only nodes are served",
            "odd network 2 (ipmi) shared: there is no network 'nowhere'; read as unset",
            "odd network: the ranges of 'cluster' and 'double' overlap",
            "refused network 6 (none) network: it has no range of addresses",
            "odd network 7 (odd) network: '10.9.8.7/33' is not a range of addresses",
            "refused network 8 (Upper) name: 'Upper' cannot be a name",
            "odd network 9 (host) network: 10.7.3.1/16 names an address within the range; read as 10.7.0.0/16",
            "odd network 10 (pool) dhcp_range_begin: the range has one end only; left out",
            "odd network 10 (pool) dhcp_nodes_only: nodes cannot be the only ones",
        ],
    );
    let network = cluster.network("cluster").unwrap();
    assert!(network.dhcp && network.dhcp_nodes_only && network.gateway.is_none());
}

#[test]
fn every_node_that_would_boot_other_files_is_named() {
    let database = Database::site();
    database.sql(
        "UPDATE \"group\" SET osimagetagid = 2; INSERT INTO osimagetag (id, name, osimageid, kernelfile) VALUES (2, 'bad/name', 1, 'k-2');
         INSERT INTO osimage (id, name, kernelfile) VALUES (2, 'other', '../k-3'), (3, 'im/age', 'k-4');
         INSERT INTO node (id, name, groupid, osimageid, osimagetagid) VALUES (3, 'node003', 1, NULL, NULL), (4, 'node004', 1, 2, 'default'),
           (5, 'node005', 1, 3, NULL), (6, 'node006', 1, 1, NULL), (7, 'node007', 1, NULL, 99);",
    );
    let lines = lines(&plan(&database));
    let about: Vec<&String> =
        lines.iter().filter(|line| line.contains("in the old site, and")).collect();
    let named: Vec<&str> = about.iter().filter_map(|line| line.split(['(', ')']).nth(1)).collect();
    assert_eq!(named, ["node003", "node004", "node005"], "{about:#?}");
    assert!(about[0].ends_with(
        "the node boots k-2 in the old site, and compute-1-vmlinuz-5.14, compute-1-initramfs-5.14, compute-1.tar.bz2 here"
    ), "{about:#?}");
}

#[test]
fn a_node_that_does_not_say_whether_it_has_its_groups_tag_is_named() {
    let told = "odd node 3 (node003) osimagetagid: the node has the image 'compute' of its own and no tag; it boots the image's files of now";
    let cluster = with(
        "UPDATE \"group\" SET osimagetagid = 1; INSERT INTO node (id, name, groupid, osimageid) VALUES (3, 'node003', 1, 1);",
        &[told],
    );
    assert_eq!(cluster.node("node003").unwrap().provisioning.osimagetag, None);
}

#[test]
fn a_tag_of_another_image_is_none_even_where_the_image_has_one_of_its_name() {
    let cluster = with(
        "INSERT INTO osimage (id, name) VALUES (2, 'other'); INSERT INTO osimagetag (id, name, osimageid) VALUES (2, 'stable', 2);
         UPDATE node SET osimagetagid = 2 WHERE id = 1;",
        &["odd node 1 (node001) osimagetagid: row 2 of osimagetag is no tag of its image"],
    );
    assert_eq!(cluster.node("node001").unwrap().provisioning.osimagetag, None);
}

#[test]
fn tags_must_be_of_the_image_that_is_used() {
    let cluster = with(
        "INSERT INTO osimage (id, name, tagid) VALUES (2, 'other', 1); UPDATE node SET osimageid = 2 WHERE id = 1;",
        &[
            "odd osimage 2 (other) tagid: the image has no tag in row 1; read as unset",
            "odd node 1 (node001) osimagetagid: row 1 of osimagetag is no tag of its image",
        ],
    );
    assert_eq!(cluster.node("node001").unwrap().provisioning.osimagetag, None);
}

#[test]
fn there_is_one_beacon() {
    let cluster = with(
        "INSERT INTO controller (id, hostname, beacon) VALUES (2, 'controller2', 1);",
        &["odd controller 2 (controller2) beacon: another controller is the beacon already"],
    );
    assert_eq!(cluster.beacon().unwrap().name, "controller");
    let cluster = with(
        "UPDATE controller SET beacon = NULL;",
        &["no controller is the beacon; 'controller' becomes it"],
    );
    assert!(cluster.controller("controller").unwrap().beacon);
    with("DELETE FROM controller;", &["odd controller: no controller is taken"]);
}

#[test]
fn what_has_no_place_here_is_told_once() {
    with(
        "ALTER TABLE node ADD COLUMN tpm_colour VARCHAR; ALTER TABLE node ADD COLUMN unused VARCHAR; UPDATE node SET tpm_colour = 'blue';
         CREATE TABLE tunnel (id INTEGER, name VARCHAR); INSERT INTO tunnel VALUES (1, 'backbone'); CREATE TABLE without_rows (id INTEGER);
         INSERT INTO ha (enabled) VALUES (1); INSERT INTO user (id, username, password, roleid) VALUES (1, 'alice', '0cc175b9', 1);
         DROP TABLE cloud; CREATE VIEW cloud AS SELECT 1 AS id, 'cloud' AS name;",
        &[
            "left node tpm_colour: the column is not known; values of 2 rows are left out",
            "left tunnel: 1 rows are left out: the table is not known",
            "left ha: 1 rows are left out: how controllers stand for each other is set up anew",
            "refused user 1 (alice) password: its password is kept as an MD5 hash",
            "left cloud: there is no such table; nothing of it is taken",
            "odd node 1 (node001) cloudid: there is no row 1 in cloud",
        ],
    );
}

#[test]
fn routes_and_relays_of_newer_databases_are_taken_with_whom_they_are_for() {
    let cluster = with(
        "CREATE TABLE route (id INTEGER, name VARCHAR, destination VARCHAR, gateway VARCHAR, metric INTEGER, device VARCHAR, comment VARCHAR);
         INSERT INTO route VALUES (1, 'backbone', '10.0.0.0/8', '10.141.255.253', 100, '', NULL), (2, 'wrong', 'default', '10.0.0.1', 1, '', ''),
           (3, 'other', '10.0.0.0/8', 'fd00::1', NULL, 'BOOTIF', '');
         CREATE TABLE routemap (id INTEGER, tableref VARCHAR, tablerefid INTEGER, routeid INTEGER);
         INSERT INTO routemap VALUES (1, 'node', 1, 1), (2, 'group', 1, 1), (3, 'network', 1, 1), (4, 'node', 1, 2), (5, 'node', 1, 9);
         ALTER TABLE network ADD COLUMN dhcp_relay VARCHAR; UPDATE network SET dhcp_relay = '10.141.255.1';",
        &[
            "refused route 2 (wrong) destination",
            "refused route 3 (other) gateway",
            "routeid: there is no route of the number 2; left out",
            "routeid: there is no route of the number 9; left out",
            "dhcp_relay: the network shares no other's wire; left out",
        ],
    );
    let backbone = [Name::trusted("backbone")];
    assert_eq!(cluster.node("node001").unwrap().provisioning.routes, backbone);
    assert_eq!(cluster.group("compute").unwrap().provisioning.routes, backbone);
    assert_eq!(cluster.network("cluster").unwrap().routes, backbone);
    assert_eq!(cluster.routes().len(), 1);
}

#[test]
fn no_report_shows_a_password_or_a_secret() {
    let database = Database::site();
    database.sql(
        "UPDATE bmcsetup SET password = '!!Geheim!!'; UPDATE nodesecrets SET content = '!!Geheim!!', path = NULL;
         UPDATE groupsecrets SET content = x'4765686569';",
    );
    let plan = plan(&database);
    assert!(lines(&plan).iter().all(|line| !line.contains("Geheim")), "{:#?}", lines(&plan));
    assert_eq!(cluster(&plan).bmc_setup("compute-bmc").unwrap().password, "!!Geheim!!");
}

#[test]
fn a_disk_layout_that_cannot_be_is_taken_and_told() {
    let cluster = with(
        "ALTER TABLE node ADD COLUMN disklayout TEXT; UPDATE node SET disklayout = '{\"disc\": []}' WHERE id = 1;",
        &["odd node 1 (node001) disklayout: it is no disk layout: unknown field `disc`"],
    );
    let node = cluster.node("node001").unwrap();
    assert_eq!(node.provisioning.disklayout.as_deref(), Some("{\"disc\": []}"));
}

#[test]
fn gateways_and_ranges_that_two_would_answer_at_are_taken_and_told() {
    let cluster = with(
        "UPDATE network SET gateway = '10.141.0.1', nameserver_ip = '10.141.100.5', dhcp = 1, dhcp_range_begin = '10.141.100.0', dhcp_range_end = '10.141.100.9' WHERE name = 'cluster'",
        &[
            "10.141.0.1 is in use by interface BOOTIF of node node001",
            "holds 10.141.100.5, a name server of network 'cluster'; it is never lent",
        ],
    );
    assert!(cluster.network("cluster").unwrap().gateway.is_some(), "it is taken as it was");
    let cluster = with(
        "UPDATE network SET gateway = '10.141.255.255' WHERE name = 'cluster'",
        &["10.141.255.255 is the network's own or its broadcast address; read as unset"],
    );
    assert_eq!(cluster.network("cluster").unwrap().gateway, None);
}

#[test]
fn ranges_that_are_none_for_machines_are_unset() {
    for (range, told) in [
        ("127.0.0.0", "loopback addresses"),
        ("010.149.000.000", "is not a range of addresses"),
        ("224.1.0.0", "multicast addresses"),
    ] {
        let sql = format!("UPDATE network SET network = '{range}' WHERE name = 'ipmi'");
        with(&sql, &[told]);
    }
}

#[test]
fn kernel_options_that_are_too_long_are_taken_and_told() {
    let sql = format!("UPDATE osimage SET kerneloptions = '{}'", "x".repeat(1300));
    let cluster = with(&sql, &["kerneloptions: it has 1300 bytes, and at most 1279 can be"]);
    assert!(cluster.images().values().all(|image| image.kerneloptions.is_some()));
}

#[test]
fn kernel_options_that_no_boot_script_can_have_are_taken_and_told() {
    for (table, options, told) in [
        ("osimage", "quiet ${net0/mac}", "iPXE would replace what follows"),
        ("group", "quiet ; shell", "end a command"),
        // In base64, as clients send it: quiet #ro
        ("node", "cXVpZXQgI3Jv", "end a command"),
        ("group", "a && b", "end a command"),
    ] {
        let sql = format!("UPDATE \"{table}\" SET kerneloptions = '{options}'");
        let cluster = with(&sql, &[told, "taken, and it keeps nodes from booting"]);
        let kept = match table {
            "osimage" => cluster.images().values().all(|own| own.kerneloptions.is_some()),
            "group" => {
                cluster.groups().values().all(|own| own.provisioning.kerneloptions.is_some())
            }
            _ => cluster.nodes().values().all(|own| own.provisioning.kerneloptions.is_some()),
        };
        assert!(kept, "{table}");
    }
}
