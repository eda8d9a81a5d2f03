//! BMC setups, as clients read and ask for them.

use perilune_model::Name;
use perilune_model::bmc_setup::{BmcSetup, Certificate, Driver, Request};
use perilune_model::provisioning::UnmanagedUsers;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::requests::unmanaged_users;

/// A BMC setup. Clients show the password.
#[derive(Serialize, ToSchema)]
pub struct BmcSetupKeys<'a> {
    name: &'a str,
    userid: u32,
    username: &'a str,
    password: &'a str,
    netchannel: u32,
    mgmtchannel: u32,
    comment: Option<&'a str>,
    unmanaged_bmc_users: Option<&'a str>,
    /// `ipmi` unless it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'static str>,
    /// The protocol's own unless it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// `pin` unless it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'static str>,
}

impl<'a> BmcSetupKeys<'a> {
    /// The BMC setup.
    pub fn new(setup: &'a BmcSetup) -> Self {
        Self {
            name: setup.name.as_str(),
            userid: setup.userid,
            username: &setup.username,
            password: &setup.password,
            netchannel: setup.netchannel,
            mgmtchannel: setup.mgmtchannel,
            comment: setup.comment.as_deref(),
            unmanaged_bmc_users: setup.unmanaged_bmc_users.map(UnmanagedUsers::word),
            driver: setup.driver.map(Driver::word),
            port: setup.port,
            certificate: setup.certificate.map(Certificate::word),
        }
    }
}

/// The request of a BMC setup.
pub fn request(fields: &mut Fields<'_>) -> Request {
    fields.ignore(&["name"]);
    Request {
        new_name: fields.new_name("newbmcname", Name::general),
        userid: fields.number("userid"),
        username: fields.text("username"),
        password: fields.text("password"),
        netchannel: fields.number("netchannel"),
        mgmtchannel: fields.number("mgmtchannel"),
        unmanaged_bmc_users: unmanaged_users(fields),
        driver: fields.converted("driver", |text| {
            Driver::from_word(text).ok_or_else(|| "it must be ipmi, redfish or auto".to_owned())
        }),
        port: fields.number("port"),
        certificate: fields.converted("certificate", |text| {
            Certificate::from_word(text).ok_or_else(|| "it must be pin, verify or any".to_owned())
        }),
        comment: fields.text("comment"),
    }
}
