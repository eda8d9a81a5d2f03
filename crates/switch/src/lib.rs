//! Who is connected to which port of a switch, as the switch itself tells over SNMP (version 2c). Knows addresses, not
//! clusters.

mod error;
mod names;
mod station;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use async_snmp::Oid;
use perilune_model::MacAddress;
use perilune_model::device::Port;

pub use error::Error;
use walk::Session;

/// The port at which switches are asked.
pub const PORT: u16 = 161;
/// The community of switches that are given none.
pub const COMMUNITY: &str = "public";
/// The table of switches that are given none: dot1qTpFdbPort (RFC 4363), by VLAN and hardware address.
pub const BY_VLAN: &str = "1.3.6.1.2.1.17.7.1.2.2.1.2";
/// dot1dTpFdbPort (RFC 4188), by hardware address alone.
pub const BY_ADDRESS: &str = "1.3.6.1.2.1.17.4.3.1.2";
/// How long one switch may take, however many hardware addresses it knows.
const LONGEST: Duration = Duration::from_secs(20);
/// As many hardware addresses as are taken from one switch.
const ADDRESSES: usize = 65_536;

/// A switch, and how it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it answers.
    pub address: SocketAddr,
    /// The community for reading.
    pub community: String,
    /// The table that lists hardware addresses by port, in numbers joined by dots.
    pub table: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A port, and who is connected to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The port.
    pub port: Port,
    /// The hardware addresses that the switch has heard there.
    pub machines: BTreeSet<MacAddress>,
}

/// Reads who is connected to a switch, by port number.
pub async fn read(target: &Target) -> Result<Vec<Connected>, Error> {
    let reading = tokio::time::timeout(LONGEST, read_all(target)).await;
    reading.unwrap_or(Err(Error::TooSlow { address: target.address, seconds: LONGEST.as_secs() }))
}

async fn read_all(target: &Target) -> Result<Vec<Connected>, Error> {
    let address = target.address;
    let unreadable = || Error::Table { address, table: target.table.clone() };
    let table = Oid::parse(target.table.trim()).map_err(|_error| unreadable())?;
    if table.len() < 2 {
        return Err(unreadable());
    }
    let session = Session::open(target).await?;
    let mut ports = stations(&session, table.clone()).await?;
    if let (true, Some(other)) = (ports.is_empty(), other_standard(&table)) {
        ports = stations(&session, other).await?;
    }
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    let mut names = names::read(&session).await?;
    let connected = ports.into_iter().map(|(number, machines)| {
        let names = names.remove(&number).unwrap_or_default();
        Connected { port: Port { number: Some(number), names }, machines }
    });
    Ok(connected.collect())
}

/// Hardware addresses by port.
async fn stations(
    session: &Session,
    table: Oid,
) -> Result<BTreeMap<u32, BTreeSet<MacAddress>>, Error> {
    let mut ports: BTreeMap<u32, BTreeSet<MacAddress>> = BTreeMap::new();
    let rows = session.rows(table.clone(), ADDRESSES).await?;
    let is_something = !rows.is_empty();
    let mut is_this_table = false;
    for row in rows {
        let Some(station) = station::of(&row.index, &row.value) else { continue };
        is_this_table = true;
        // RFC 4188: a hardware address that is known, but not at which port.
        if station.port != 0 {
            ports.entry(station.port).or_default().insert(station.mac);
        }
    }
    if is_something && !is_this_table {
        return Err(Error::NoStations { address: session.address(), table: table.to_string() });
    }
    Ok(ports)
}

/// Many switches have only one of the two standard tables.
fn other_standard(table: &Oid) -> Option<Oid> {
    let other = match table.to_string().as_str() {
        BY_VLAN => BY_ADDRESS,
        BY_ADDRESS => BY_VLAN,
        _ => return None,
    };
    Oid::parse(other).ok()
}
