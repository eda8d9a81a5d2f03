//! DNS hosts that are not devices of the cluster and other records, as clients read and ask for them.

use std::net::IpAddr;

use perilune_model::dns::{self, DnsHost, DnsRecord, Entry, RecordData, RecordType};
use perilune_model::{Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;

/// One host and its address, of either family; or one record of another type.
#[derive(Debug, Serialize, ToSchema)]
pub struct DnsHostKeys<'a> {
    host: &'a str,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ipaddress: Option<IpAddr>,
    /// Of a record that is no address: `TXT`, `SRV`, `CNAME` or `MX`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    /// What that record says, as zone files have it; a text without quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl<'a> DnsHostKeys<'a> {
    /// The host, as existing clients know it.
    pub fn new(host: &'a DnsHost) -> Self {
        let ipaddress = Some(host.ipaddress);
        Self { host: host.host.as_str(), ipaddress, r#type: None, value: None }
    }

    /// A record.
    pub fn record(record: &'a DnsRecord) -> Self {
        let value = Some(record.data.to_string());
        let r#type = Some(record.data.of().word());
        Self { host: record.host.as_str(), ipaddress: None, r#type, value }
    }
}

/// The types of what is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    A,
    Aaaa,
    Other(RecordType),
}

impl Type {
    const ALL: [Self; 6] = {
        let [a, b, c, d] = RecordType::ALL;
        [Self::A, Self::Aaaa, Self::Other(a), Self::Other(b), Self::Other(c), Self::Other(d)]
    };

    fn word(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Other(of) => of.word(),
        }
    }
}

/// One host or record of a request; `None` when it is refused.
pub fn host(fields: &mut Fields<'_>) -> Option<Entry> {
    let of = fields
        .help("What is given: an address (A, AAAA), where it is left out, or another record")
        .one_of("type", &Type::ALL, Type::word);
    match of.value().copied() {
        Some(Type::Other(of)) => record(fields, of),
        address => self::address(fields, address),
    }
}

fn address(fields: &mut Fields<'_>, of: Option<Type>) -> Option<Entry> {
    let host = fields
        .help("The host, without the network's domain; of a record also @, for the domain, or a service")
        .name("host", Name::host);
    if !fields.has("host") || host == Patch::Clear {
        fields.refuse("host", "say which host this is about, such as printer");
    }
    let address = fields.help("The address of the host").address("ipaddress");
    // A record of another type has none.
    if !fields.is_telling() && (!fields.has("ipaddress") || address == Patch::Clear) {
        fields.refuse("ipaddress", "say which address the host has");
    }
    let value = fields
        .help("What the record says, as zone files have it: '10 mail', '0 5 389 ldap01', 'www', or a text; empty for none of the type")
        .text("value");
    if value.value().is_some() {
        fields
            .refuse("value", "an address is given as ipaddress; for other records say their type");
    }
    let ipaddress = *address.value()?;
    match of {
        Some(Type::A) if ipaddress.is_ipv6() => fields.refuse("type", "an IPv6 address is AAAA"),
        Some(Type::Aaaa) if ipaddress.is_ipv4() => fields.refuse("type", "an IPv4 address is A"),
        _ => {}
    }
    Some(Entry::Address(DnsHost { host: host.value()?.clone(), ipaddress }))
}

fn record(fields: &mut Fields<'_>, of: RecordType) -> Option<Entry> {
    let host = fields.name("host", dns::host);
    if !fields.has("host") || host == Patch::Clear {
        fields.refuse("host", "say whose record this is, such as www, _ldap._tcp or @");
    }
    if fields.address("ipaddress").value().is_some() {
        fields.refuse("ipaddress", format!("a record {} has a value and no address", of.word()));
    }
    let value = fields.text("value");
    let host = host.value()?.clone();
    match &value {
        Patch::Set(value) => match RecordData::read(of, value) {
            Ok(data) => return Some(Entry::Record(DnsRecord { host, data })),
            Err(error) => fields.refuse("value", error.to_string()),
        },
        Patch::Clear => return Some(Entry::None(host, of)),
        Patch::Keep if fields.has("value") => {}
        Patch::Keep => {
            fields.refuse("value", "say what the record says; empty for none of its type");
        }
    }
    None
}
