//! Any bytes at the DHCP port: they are read or not, and what is read is answered or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perilune_dhcp::{Leases, Policy, Request, reply};
use perilune_model::Cluster;

fuzz_target!(|packet: &[u8]| {
    let Some(request) = Request::read(packet) else { return };
    let policy = Policy { server: [10, 141, 255, 254].into(), url: String::new(), lease_seconds: 60 };
    let _decided = reply(&Cluster::default(), &mut Leases::default(), &policy, &request, 0);
});
