//! Databases of Luna 2, made by their documented schema.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot make its input has failed"
)]

use std::path::PathBuf;

use rusqlite::Connection;

/// Every table with its columns, but for `id`; the constraints are those that the daemon makes.
pub const TABLES: &[(&str, &str)] = &[
    (
        "cluster",
        "name VARCHAR UNIQUE, user VARCHAR, domain_search VARCHAR, nameserver_ip VARCHAR, forwardserver_ip VARCHAR, ntp_server VARCHAR, technical_contacts VARCHAR, provision_method VARCHAR, provision_fallback VARCHAR, debug INTEGER, security INTEGER, packing_bootpause INTEGER, createnode_ondemand INTEGER, createnode_macashost INTEGER, nextnode_discover INTEGER, bind_legacy INTEGER, dnssec_enable INTEGER, dnssec_validation INTEGER",
    ),
    (
        "network",
        "name VARCHAR UNIQUE, network VARCHAR, subnet VARCHAR, network_ipv6 VARCHAR, subnet_ipv6 VARCHAR, gateway VARCHAR, gateway_ipv6 VARCHAR, gateway_metric INTEGER, nameserver_ip VARCHAR, nameserver_ip_ipv6 VARCHAR, ntp_server VARCHAR, dhcp INTEGER, dhcp_nodes_in_pool INTEGER, dhcp_nodes_only INTEGER, dhcp_range_begin VARCHAR, dhcp_range_end VARCHAR, dhcp_range_begin_ipv6 VARCHAR, dhcp_range_end_ipv6 VARCHAR, zone VARCHAR, shared VARCHAR, type VARCHAR, non_authoritative INTEGER, comment VARCHAR",
    ),
    (
        "controller",
        "hostname VARCHAR UNIQUE, beacon INTEGER, shadow INTEGER, clusterid INTEGER, status VARCHAR, vendor VARCHAR, serverport INTEGER",
    ),
    (
        "osimage",
        "name VARCHAR UNIQUE, path VARCHAR, kernelfile VARCHAR, initrdfile VARCHAR, imagefile VARCHAR, kernelversion VARCHAR, kernelmodules VARCHAR, kerneloptions VARCHAR, grab_filesystems VARCHAR, grab_exclude VARCHAR, distribution VARCHAR, osrelease VARCHAR, comment VARCHAR, tagid INTEGER, changed INTEGER",
    ),
    (
        "osimagetag",
        "name VARCHAR, osimageid INTEGER, initrdfile VARCHAR, kernelfile VARCHAR, kerneloptions VARCHAR, imagefile VARCHAR",
    ),
    (
        "bmcsetup",
        "name VARCHAR, userid INTEGER, username VARCHAR, password VARCHAR, netchannel INTEGER, mgmtchannel INTEGER, comment VARCHAR, unmanaged_bmc_users VARCHAR",
    ),
    (
        "switch",
        "name VARCHAR UNIQUE, macaddress VARCHAR, oid VARCHAR, read VARCHAR, rw VARCHAR, uplinkports VARCHAR, vendor VARCHAR, comment VARCHAR",
    ),
    ("otherdevices", "name VARCHAR UNIQUE, macaddress VARCHAR, vendor VARCHAR, comment VARCHAR"),
    ("cloud", "name VARCHAR UNIQUE, type VARCHAR, comment VARCHAR"),
    (
        "group",
        "name VARCHAR UNIQUE, domain VARCHAR, comment VARCHAR, osimageid INTEGER, osimagetagid INTEGER, bmcsetupid INTEGER, setupbmc INTEGER, netboot INTEGER, bootmenu INTEGER, roles VARCHAR, scripts VARCHAR, provision_interface VARCHAR, provision_method VARCHAR, provision_fallback VARCHAR, kerneloptions VARCHAR, ipxe_kernel VARCHAR, unmanaged_bmc_users VARCHAR, prescript VARCHAR, partscript VARCHAR, postscript VARCHAR",
    ),
    (
        "groupinterface",
        "groupid INTEGER, interface VARCHAR, networkid INTEGER, mtu VARCHAR, vlanid VARCHAR, vlan_parent VARCHAR, bond_mode VARCHAR, bond_slaves VARCHAR, options VARCHAR, dhcp INTEGER",
    ),
    (
        "node",
        "name VARCHAR UNIQUE, groupid INTEGER, osimageid INTEGER, osimagetagid INTEGER, bmcsetupid INTEGER, switchid INTEGER, switchport INTEGER, cloudid INTEGER, service INTEGER, setupbmc INTEGER, netboot INTEGER, bootmenu INTEGER, status VARCHAR, comment VARCHAR, roles VARCHAR, scripts VARCHAR, vendor VARCHAR, assettag VARCHAR, provision_interface VARCHAR, provision_method VARCHAR, provision_fallback VARCHAR, kerneloptions VARCHAR, ipxe_kernel VARCHAR, unmanaged_bmc_users VARCHAR, prescript VARCHAR, partscript VARCHAR, postscript VARCHAR, tpm_uuid VARCHAR, tpm_pubkey VARCHAR, tpm_sha256 VARCHAR",
    ),
    (
        "nodeinterface",
        "nodeid INTEGER, interface VARCHAR, macaddress VARCHAR, mtu VARCHAR, vlanid VARCHAR, vlan_parent VARCHAR, bond_mode VARCHAR, bond_slaves VARCHAR, options VARCHAR, UNIQUE (nodeid, interface)",
    ),
    (
        "ipaddress",
        "tableref VARCHAR, tablerefid INTEGER, ipaddress VARCHAR UNIQUE, ipaddress_ipv6 VARCHAR UNIQUE, networkid INTEGER, dhcp INTEGER, UNIQUE (tableref, tablerefid)",
    ),
    ("dns", "host VARCHAR, ipaddress VARCHAR, networkid INTEGER"),
    ("nodesecrets", "nodeid INTEGER, name VARCHAR, content VARCHAR, path VARCHAR"),
    ("groupsecrets", "groupid INTEGER, name VARCHAR, content VARCHAR, path VARCHAR"),
    ("rack", "name VARCHAR UNIQUE, size INTEGER, \"order\" VARCHAR, room VARCHAR, site VARCHAR"),
    (
        "rackinventory",
        "tableref VARCHAR, tablerefid INTEGER, rackid INTEGER, height INTEGER, position INTEGER, orientation VARCHAR, UNIQUE (tableref, tablerefid)",
    ),
    (
        "user",
        "username VARCHAR, password VARCHAR, roleid INTEGER, createdby VARCHAR, lastlogin VARCHAR, created VARCHAR",
    ),
    (
        "status",
        "request_id VARCHAR, remote_request_id VARCHAR, remote_host VARCHAR, username_initiator VARCHAR, created VARCHAR, read INTEGER, status INTEGER, message VARCHAR",
    ),
    (
        "queue",
        "request_id VARCHAR, username_initiator VARCHAR, created VARCHAR, subsystem VARCHAR, task VARCHAR, param VARCHAR, noeof VARCHAR, status VARCHAR",
    ),
    (
        "monitor",
        "tableref VARCHAR, tablerefid INTEGER, status VARCHAR, state VARCHAR, updated VARCHAR, UNIQUE (tableref, tablerefid)",
    ),
    (
        "journal",
        "function VARCHAR, object VARCHAR, param VARCHAR, payload VARCHAR, masteronly INTEGER, remoteonly INTEGER, misc VARCHAR, sendfor VARCHAR, sendto VARCHAR, sendby VARCHAR, tries INTEGER, created VARCHAR",
    ),
    (
        "tracker",
        "infohash VARCHAR, peer VARCHAR, ipaddress VARCHAR, port INTEGER, download INTEGER, upload INTEGER, left INTEGER, updated VARCHAR, status VARCHAR",
    ),
    ("reference", "tableref VARCHAR, tablerefname VARCHAR, UNIQUE (tableref, tablerefname)"),
    ("roles", "name VARCHAR, modules VARCHAR"),
];
/// Tables without an id.
const WITHOUT_ID: &[(&str, &str)] = &[
    (
        "ha",
        "enabled INTEGER, syncimages INTEGER, insync INTEGER, sharedip INTEGER, overrule INTEGER, master INTEGER, updated VARCHAR",
    ),
    ("ping", "updated VARCHAR"),
    ("reservedipaddress", "ipaddress VARCHAR, version VARCHAR, UNIQUE (ipaddress, version)"),
];

/// A database file that is being made.
pub struct Database {
    directory: tempfile::TempDir,
    /// For statements with parameters.
    pub connection: Connection,
}

impl Database {
    /// All tables, without rows.
    pub fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("luna.db")).unwrap();
        let database = Self { directory, connection };
        for (table, columns) in TABLES {
            let id = "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT";
            database.sql(&format!("CREATE TABLE \"{table}\" ({id}, {columns})"));
        }
        for (table, columns) in WITHOUT_ID {
            database.sql(&format!("CREATE TABLE \"{table}\" ({columns})"));
        }
        database
    }

    /// A site as its first start makes it: two networks, a controller, an image, a group and two nodes.
    pub fn site() -> Self {
        let database = Self::empty();
        database.sql(include_str!("luna_site.sql"));
        database
    }

    /// Runs statements.
    pub fn sql(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("luna.db")
    }
}
