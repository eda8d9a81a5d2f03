//! DNS hosts that are not devices of the cluster, as clients read and ask for them.

use std::net::IpAddr;

use perilune_model::dns::DnsHost;
use perilune_model::{Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;

/// One host and its address, of either family.
#[derive(Debug, Serialize, ToSchema)]
pub struct DnsHostKeys<'a> {
    host: &'a str,
    #[schema(value_type = String)]
    ipaddress: IpAddr,
}

impl<'a> DnsHostKeys<'a> {
    /// The host.
    pub fn new(host: &'a DnsHost) -> Self {
        Self { host: host.host.as_str(), ipaddress: host.ipaddress }
    }
}

/// One host of a request; `None` when it is refused.
pub fn host(fields: &mut Fields<'_>) -> Option<DnsHost> {
    let host = fields.name("host", Name::host);
    if !fields.has("host") || host == Patch::Clear {
        fields.refuse("host", "say which host this is about, such as printer");
    }
    let address = fields.address("ipaddress");
    if !fields.has("ipaddress") || address == Patch::Clear {
        fields.refuse("ipaddress", "say which address the host has");
    }
    Some(DnsHost { host: host.value()?.clone(), ipaddress: *address.value()? })
}
