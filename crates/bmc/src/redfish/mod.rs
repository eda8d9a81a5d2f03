//! Redfish over HTTPS.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { port: 443 }
    }
}
