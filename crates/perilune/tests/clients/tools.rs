//! The clients, and what to install to have them.

use std::path::{Path, PathBuf};

/// A program of the distribution.
pub(crate) struct Tool {
    paths: &'static [&'static str],
    debian: &'static str,
    /// None where Enterprise Linux 9 has no such package.
    enterprise: Option<&'static str>,
}

pub(crate) const UDHCPC: Tool =
    Tool { paths: &["/usr/sbin/udhcpc", "/usr/bin/udhcpc"], debian: "udhcpc", enterprise: None };
pub(crate) const DHCLIENT: Tool = Tool {
    paths: &["/usr/sbin/dhclient", "/sbin/dhclient"],
    debian: "isc-dhcp-client",
    enterprise: Some("dhcp-client"),
};
pub(crate) const DIG: Tool =
    Tool { paths: &["/usr/bin/dig"], debian: "bind9-dnsutils", enterprise: Some("bind-utils") };
pub(crate) const NSUPDATE: Tool = Tool {
    paths: &["/usr/bin/nsupdate"],
    debian: "bind9-dnsutils",
    enterprise: Some("bind-utils"),
};
pub(crate) const NAMED: Tool =
    Tool { paths: &["/usr/sbin/named"], debian: "bind9", enterprise: Some("bind") };
pub(crate) const DHCPD: Tool = Tool {
    paths: &["/usr/sbin/dhcpd"],
    debian: "isc-dhcp-server",
    enterprise: Some("dhcp-server"),
};
pub(crate) const KEA4: Tool =
    Tool { paths: &["/usr/sbin/kea-dhcp4"], debian: "kea-dhcp4-server", enterprise: None };
pub(crate) const KEA6: Tool =
    Tool { paths: &["/usr/sbin/kea-dhcp6"], debian: "kea-dhcp6-server", enterprise: None };
pub(crate) const PERFDHCP: Tool =
    Tool { paths: &["/usr/sbin/perfdhcp"], debian: "kea-admin", enterprise: None };
pub(crate) const DHCRELAY: Tool = Tool {
    paths: &["/usr/sbin/dhcrelay"],
    debian: "isc-dhcp-relay",
    enterprise: Some("dhcp-relay"),
};
pub(crate) const CURL: Tool =
    Tool { paths: &["/usr/bin/curl"], debian: "curl", enterprise: Some("curl") };
pub(crate) const KEEPALIVED: Tool =
    Tool { paths: &["/usr/sbin/keepalived"], debian: "keepalived", enterprise: Some("keepalived") };
pub(crate) const NGINX: Tool =
    Tool { paths: &["/usr/sbin/nginx"], debian: "nginx-light", enterprise: Some("nginx") };
pub(crate) const ATFTP: Tool =
    Tool { paths: &["/usr/bin/atftp"], debian: "atftp", enterprise: None };
pub(crate) const TFTP: Tool =
    Tool { paths: &["/usr/bin/tftp"], debian: "tftp-hpa", enterprise: Some("tftp") };
pub(crate) const QEMU: Tool = Tool {
    paths: &["/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm"],
    debian: "qemu-system-x86",
    enterprise: Some("qemu-kvm-core"),
};

pub(crate) const RDISC6: Tool =
    Tool { paths: &["/usr/bin/rdisc6", "/bin/rdisc6"], debian: "ndisc6", enterprise: None };
pub(crate) const RADVD: Tool =
    Tool { paths: &["/usr/sbin/radvd"], debian: "radvd", enterprise: Some("radvd") };
pub(crate) const PROMETHEUS: Tool =
    Tool { paths: &["/usr/bin/prometheus"], debian: "prometheus", enterprise: None };
pub(crate) const PROMTOOL: Tool =
    Tool { paths: &["/usr/bin/promtool"], debian: "prometheus", enterprise: None };
pub(crate) const ARIA2: Tool =
    Tool { paths: &["/usr/bin/aria2c"], debian: "aria2", enterprise: None };
pub(crate) const SETPRIV: Tool =
    Tool { paths: &["/usr/bin/setpriv"], debian: "util-linux", enterprise: Some("util-linux") };

pub(crate) const RSYNC: Tool =
    Tool { paths: &["/usr/bin/rsync"], debian: "rsync", enterprise: Some("rsync") };
pub(crate) const JQ: Tool = Tool { paths: &["/usr/bin/jq"], debian: "jq", enterprise: Some("jq") };
pub(crate) const SLURMCTLD: Tool =
    Tool { paths: &["/usr/sbin/slurmctld"], debian: "slurmctld", enterprise: None };
pub(crate) const SCONTROL: Tool =
    Tool { paths: &["/usr/bin/scontrol"], debian: "slurm-client", enterprise: None };
pub(crate) const NODEATTR: Tool =
    Tool { paths: &["/usr/bin/nodeattr"], debian: "genders", enterprise: None };

impl Tool {
    /// Where it is. Only a distribution that has none lets a test go without.
    fn path(&self) -> Option<PathBuf> {
        let found = self.paths.iter().map(PathBuf::from).find(|path| path.exists());
        let package = if Path::new("/etc/redhat-release").exists() {
            self.enterprise
        } else {
            Some(self.debian)
        };
        if let (None, Some(package)) = (&found, package) {
            panic!("{} is not there: install the package {package}", self.paths[0]);
        }
        found
    }

    /// Where it is, for a test that needs root as well. `None`, said aloud, where this cannot be tested.
    pub(crate) fn find(&self) -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "network namespaces need root");
            eprintln!("SKIPPED: network namespaces need root");
            return None;
        }
        let path = self.path();
        if path.is_none() {
            eprintln!("SKIPPED: this distribution has no package with {}", self.paths[0]);
        }
        path.map(|path| path.display().to_string())
    }
}
