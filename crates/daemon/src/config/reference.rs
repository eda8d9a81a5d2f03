//! Every key of `luna.ini` and `bootstrap.ini`: what it means, and its default. Unknown keys are told by this table, and
//! `docs/configuration.md` is made from it.

mod bootstrap;

use std::fmt::Write as _;

pub use bootstrap::BOOTSTRAP_INI;

/// A section of a file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The word between brackets.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its keys; none where names are the site's own.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// In capitals; files may have it in any case.
    pub name: &'static str,
    /// What holds without it; empty where nothing does.
    pub default: &'static str,
    /// What it says. Without a word, the key is known from existing sites and has no effect here.
    pub meaning: Option<&'static str>,
}

impl Section {
    /// The names of its keys.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key { name, default, meaning: Some(meaning) }
}

const fn ignored(name: &'static str) -> Key {
    Key { name, default: "", meaning: None }
}

/// `luna.ini`. Other sections are the site's own business.
pub const LUNA_INI: &[Section] = &[
    Section {
        name: "LOGGER",
        about: "What is logged. The log always goes to standard error, hence to the journal.",
        keys: &[
            key(
                "LEVEL",
                "info",
                "`debug`, `info`, `warning`, `error` or `critical`; `perilune serve --log` comes first",
            ),
            key("LOGFILE", "", "a file that has the log as well; SIGHUP opens it anew"),
        ],
    },
    Section {
        name: "API",
        about: "Who may log in, and how machines and people reach the API. The daemon listens where `perilune serve --listen` says, and without it at port 7050 of all addresses.",
        keys: &[
            key("USERNAME", "required", "the administrator of this file"),
            key("PASSWORD", "required", "the administrator's password, as it is"),
            key(
                "SECRET_KEY",
                "required",
                "the key that signs tokens of log-ins; anybody who has it can make such tokens",
            ),
            key(
                "EXPIRY",
                "24h",
                "how long a login is good for: `30m`, `1h`, `3600s`; a bare number is hours",
            ),
            key("ENDPOINT", "port 7050", "`host:port`, as clients on this machine reach the API"),
            key(
                "PROTOCOL",
                "http",
                "`http` or `https`, for addresses of `--listen` that do not name one",
            ),
            key(
                "FIRMWARE_PORT",
                "none",
                "a port where firmware and iPXE fetch boot scripts, programs, kernels and initramfs by http, and where nothing else is answered",
            ),
            key("VERIFY_CERTIFICATE", "no", "whether nodes verify the daemon's certificate"),
            key(
                "CERTIFICATE",
                "one is made",
                "the certificate of https, PEM; those of its authorities follow it",
            ),
            key("CERTIFICATE_KEY", "one is made", "the private key of `CERTIFICATE`, PEM"),
            key(
                "PROXIES",
                "none",
                "proxies whose `X-Forwarded-For` counts: addresses and networks, separated by commas",
            ),
        ],
    },
    Section {
        name: "BOOT",
        about: "When a machine gets the secrets of the node that it says it is (docs/trust.md).",
        keys: &[key(
            "EVIDENCE",
            "dhcp, power, arm",
            "what shows that a boot is expected: some of `dhcp`, `power`, `arm`, `search`. Where the daemon serves no DHCP, `search` is added unless this key is set",
        )],
    },
    Section {
        name: "AUDIT",
        about: "A log of who was refused what, was given which secret, and changed or did what. The daemon stores it in any case.",
        keys: &[key(
            "LOG",
            "",
            "`journal`, or the whole path of a file that collectors read: JSON, one entry a line",
        )],
    },
    Section {
        name: "FILES",
        about: "Places. Relative ones are relative to the data directory.",
        keys: &[
            key(
                "KEYFILE",
                "luna.key",
                "the key that passwords of BMCs and secrets are stored with",
            ),
            key("IMAGE_FILES", "files", "packed images, as nodes fetch them"),
            key("IMAGE_DIRECTORY", "images", "trees of images that do not say where theirs is"),
            key(
                "GROUP",
                "every user",
                "the one group that may read archives beside the daemon, by name or number",
            ),
            ignored("TMP_DIRECTORY"),
            ignored("MAXPACKAGINGTIME"),
        ],
    },
    Section {
        name: "TORRENT",
        about: "Images by BitTorrent (docs/torrents.md).",
        keys: &[
            key(
                "ENABLED",
                "no",
                "whether packing makes a `.torrent` file for each archive, for nodes with `provision_method: torrent`, and the daemon seeds it",
            ),
            key("SEED_PORT", "6881", "the TCP port of the seeder; `0`: the daemon seeds nothing"),
            key(
                "UPLOAD_LIMIT",
                "0",
                "MiB that the seeder sends in a second at most; `0`: as fast as it goes",
            ),
        ],
    },
    Section {
        name: "DHCP",
        about: "The daemon's own DHCP server.",
        keys: &[
            key(
                "INTERFACES",
                "none",
                "where DHCP and TFTP are served, with commas; `perilune serve --dhcp-interface` comes first",
            ),
            key(
                "TFTP_INTERFACES",
                "none",
                "where TFTP is served and machines that look for an IPv6 router are answered though DHCP is not served, with commas: beside another DHCP server",
            ),
            key(
                "ROUTER_ADVERTISEMENTS",
                "unless this machine may be a router",
                "whether the daemon tells machines that look for an IPv6 router that there is none, so that they do not wait",
            ),
            key(
                "OMAPIKEY",
                "",
                "of a DHCP server of the site: the key `omapi_key` of its file, base64",
            ),
            key(
                "TSIGKEY",
                "",
                "the key `tsig_key` with which that server changes zones of BIND, base64",
            ),
            key("TSIGALGO", "", "its algorithm, such as `hmac-sha256`"),
            key(
                "TEMPLATE",
                "that of the program",
                "the template of that server's file, in `[TEMPLATES] TEMPLATE_FILES`",
            ),
            key(
                "TEST",
                "`dhcpd -t -cf` or `kea-dhcp4 -t`",
                "the program that checks a file, whose name is added",
            ),
            key("CONFIG_PATH", "`/etc/dhcp/dhcpd.conf` or `/etc/kea/kea-dhcp4.conf`", "the file"),
            key("KEA_SOCKET", "/run/kea/kea4-ctrl-socket", "where Kea takes commands"),
            key("TEMPLATE6", "that of the program", "the same for IPv6"),
            key("TEST6", "`dhcpd -6 -t -cf` or `kea-dhcp6 -t`", "the same for IPv6"),
            key(
                "CONFIG6_PATH",
                "`/etc/dhcp/dhcpd6.conf` or `/etc/kea/kea-dhcp6.conf`",
                "the same for IPv6",
            ),
            key("KEA_SOCKET6", "/run/kea/kea6-ctrl-socket", "the same for IPv6"),
        ],
    },
    Section {
        name: "DNS",
        about: "The daemon's own DNS server. `docs/dns.md` has what it answers.",
        keys: &[
            key(
                "SERVE",
                "where DHCP is served, unless `[SERVICES] DNS` names another server",
                "`yes` or `no`",
            ),
            key(
                "LISTEN",
                "those of the interfaces that DHCP serves",
                "addresses of this host, with commas; `0.0.0.0` and `::` stand for all",
            ),
            key("PORT", "53", "the port; nodes and DHCP know only 53"),
            key(
                "CLIENTS",
                "the cluster's networks",
                "further addresses and networks, with commas, that are answered",
            ),
            key(
                "SECONDARIES",
                "none",
                "addresses and networks, with commas, that may transfer whole zones; single addresses are notified of changes. `key` stands for anybody who signs with a key of `TSIG_KEY_FILE`",
            ),
            key(
                "TSIG_KEY_FILE",
                "",
                "a file of keys as `tsig-keygen` writes them; with it, whole zones are given to those only who sign with one",
            ),
            key(
                "CONFIG_PATH",
                "`/etc/named.conf`, or `/etc/bind/named.conf` where that directory is",
                "the file of BIND, where `[SERVICES] DNS` names it",
            ),
            key("ZONES_PATH", "`named.luna.zones` beside it", "its list of zones"),
            key("ZONE_DIRECTORY", "`/var/named`, or `/var/cache/bind`", "its zones"),
            key(
                "TEST",
                "named-checkconf",
                "the program that checks `named.conf`, whose name is added",
            ),
            key(
                "TEST_ZONE",
                "named-checkzone",
                "the program that checks a zone, whose name and file are added",
            ),
        ],
    },
    Section {
        name: "SECRETS",
        about: "Secrets and passwords of BMCs are always stored encrypted.",
        keys: &[key(
            "ENCRYPT_SECRETS",
            "yes",
            "`no` has no effect; the daemon warns of it at its start",
        )],
    },
    Section {
        name: "OSUSER",
        about: "Where users and groups of the nodes' operating systems are kept.",
        keys: &[
            key(
                "DRIVER",
                "obol",
                "`obol`, the program of existing sites; `ldap`; or `plugin`, the site's own program `osuser/default` (docs/plugins.md)",
            ),
            key("OBOL", "obol", "the program, found by `PATH` unless this is a path"),
            key("LDAP_URI", "", "`ldap://`, `ldaps://` or `ldapi://`; `DRIVER = ldap` needs it"),
            key("LDAP_BASE", "", "such as `dc=cluster`; `DRIVER = ldap` needs it"),
            key("LDAP_USERS", "ou=People,BASE", "where users are"),
            key("LDAP_GROUPS", "ou=Group,BASE", "where groups are"),
            key("LDAP_BIND_DN", "anonymous", "the DN that the daemon binds as"),
            key("LDAP_PASSWORD_FILE", "", "the file with the password of `LDAP_BIND_DN`"),
            key("LDAP_STARTTLS", "no", "TLS for `ldap://`"),
            key(
                "LDAP_CA",
                "those of the system",
                "authorities that sign the server's certificate, PEM",
            ),
            key("FIRST_NUMBER", "1050", "the first number that new users and groups are given"),
        ],
    },
    Section {
        name: "WEBSERVER",
        about: "Where nodes fetch images, if not from the API's address: another port of the daemon, or another server.",
        keys: &[
            key("PORT", "that of the API", "the port"),
            key("PROTOCOL", "that of the API", "`http` or `https`"),
        ],
    },
    Section {
        name: "BMCCONTROL",
        about: "Limits for actions on many BMCs.",
        keys: &[
            key("BMC_BATCH_SIZE", "no batches", "BMCs in one batch"),
            key("BMC_BATCH_DELAY", "0s", "the pause between batches, in seconds"),
            key("BMC_CONCURRENT", "256", "BMCs that are contacted at the same time"),
            key(
                "BMC_RAMP",
                "no limit",
                "BMCs that are contacted for the first time in each second",
            ),
            key(
                "BMC_RACK_INRUSH",
                "no limit",
                "how many machines of one rack are switched on within which time: `5/2s`",
            ),
            key("BMC_DEADLINE", "120s", "how long one request may take, in seconds"),
            key(
                "BMC_AUTHORITIES",
                "",
                "certificates, PEM, of those who sign the certificates of BMCs",
            ),
        ],
    },
    Section {
        name: "TEMPLATES",
        about: "Boot scripts and menus that the site writes itself.",
        keys: &[
            key("TEMPLATE_FILES", "templates", "their directory"),
            ignored("TEMPLATE_LIST"),
            ignored("TMP_DIRECTORY"),
        ],
    },
    Section {
        name: "PLUGINS",
        about: "Programs and scripts that the site writes itself.",
        keys: &[
            key("PLUGINS_DIRECTORY", "plugins", "their directory"),
            key(
                "PYTHON",
                "/usr/bin/python3",
                "what runs plugins of existing sites that are Python files (docs/plugins.md)",
            ),
            key(
                "RUN_AS",
                "nobody",
                "the user that all plugins run as, where the daemon is root; `root` where they need that. A daemon that is not root runs them as itself",
            ),
            key(
                "PRIVILEGED",
                "",
                "plugins that run as root, whatever RUN_AS says: beginnings of paths with commas, such as `osimage`; others than root must not be able to write them. Where the daemon is not root its worker runs them, if that names them, too (docs/plugins.md)",
            ),
            key(
                "PYTHON_WORK",
                "",
                "kinds of which also the Python files are called that came with the former daemon, with commas, such as `control`; the site's own are called without it (docs/plugins.md)",
            ),
            key(
                "IMAGE_FILESYSTEM",
                "default",
                "the program in `osimage/filesystem` that copies trees of images, where it is there",
            ),
            key(
                "ALLOWED_EXPORTERS",
                "prometheus, prometheus_rules, prometheus_rules_settings, prometheus_hw_rules",
                "what `/export` tells, with commas: these, `boot_plugins`, and names of the site's own programs in `export`",
            ),
            key(
                "ALLOWED_IMPORTERS",
                "prometheus_rules, prometheus_rules_settings, prometheus_hw_rules",
                "what `/import` takes, with commas: these, `boot_plugins`, and names of the site's own programs in `import`",
            ),
            key(
                "EXPORT_CLIENTS",
                "this machine",
                "addresses and networks, with commas, that read `/export` and `/metrics` without a token, beside programs of this machine",
            ),
        ],
    },
    Section {
        name: "PROMETHEUS",
        about: "The site's own Prometheus, whose targets and rules `/export` and `/import` are about.",
        keys: &[
            key("URL", "https://localhost:9090", "where it answers"),
            key(
                "RULES",
                "/trinity/local/etc/prometheus_server/rules",
                "the directory of its files of rules, which the daemon must be allowed to write",
            ),
            key(
                "EXPORTERS",
                "node:14200, ipmi:14202, nvidia:14203, slurm_job:14207, lshw:14208",
                "what answers Prometheus on each node, and at which port",
            ),
        ],
    },
    Section {
        name: "DATABASE",
        about: "The daemon has a database of its own, in the data directory; that of an existing site is taken over by `perilune import`. Several controllers share a PostgreSQL database: `docs/controllers.md`.",
        keys: &[
            key(
                "ENGINE",
                "embedded",
                "`embedded`, or `postgresql` for several controllers; `perilune serve --database` comes first",
            ),
            key(
                "HOSTS",
                "",
                "where PostgreSQL is, with commas: names, addresses or directories of sockets, each with `:PORT` where that is not 5432. The one that takes changes is used",
            ),
            key("NAME", "perilune", "the name of the database"),
            key("USER", "perilune", "who the daemon is there"),
            key("PASSWORD_FILE", "", "a file with the password, and nothing else in it"),
            key(
                "TLS",
                "yes, but for this machine alone",
                "whether connections are encrypted, and the server's certificate is verified",
            ),
            key(
                "CA_FILE",
                "the system's",
                "certificates of those who sign the server's certificate",
            ),
            key(
                "SYNCHRONOUS",
                "warn with several HOSTS, else no",
                "whether the server of the database must wait for a standby before a change is acknowledged: `require` refuses changes (503) where it does not, `warn` says so in `perilune status`, `no` takes one server as enough",
            ),
            key("CONTROLLER", "the host's name", "the name of this controller, which no other has"),
            ignored("DRIVER"),
            ignored("DATABASE"),
            ignored("DBUSER"),
            ignored("DBPASSWORD"),
            ignored("HOST"),
            ignored("PORT"),
        ],
    },
    Section {
        name: "SERVICES",
        about: "Servers that the site runs itself, and whose files the daemon writes. `docs/servers.md` has how.",
        keys: &[
            key(
                "DHCP",
                "the daemon",
                "a DHCP server on this host, such as `dhcpd` or `kea-dhcp4`: its file is written where the daemon itself serves no DHCP",
            ),
            key("DHCP6", "none", "the same for IPv6, such as `dhcpd6` or `kea-dhcp6`"),
            key(
                "DNS",
                "the daemon",
                "a BIND on this host, such as `named`: its files are written, and the daemon's own DNS is off unless `[DNS] SERVE = yes`",
            ),
            key(
                "COMMAND",
                "/usr/bin/systemctl",
                "what starts, stops and reloads them: the action and the name above are added",
            ),
            key(
                "WRITE_FILES",
                "yes",
                "`no` leaves their files alone, as for a trial beside a running Luna 2",
            ),
            key(
                "CONTROLLERS",
                "master",
                "where several controllers share a database: `master`, and the master alone writes the files and has the servers act, or `all`, where each has servers of its own",
            ),
            ignored("CONTROL"),
            ignored("COOLDOWN"),
        ],
    },
];

const HEAD: &str = "# Every key of the configuration

This page is made from the program's own table. Names of keys may be written in any case; a comment is a whole line that begins with `;` or `#`;
a value ends with its line, and a line that begins with a blank goes on with the value before. At its start the daemon warns of
a key that it does not know, with the nearest known one.

## `luna.ini`

`perilune setup` makes it in the data directory, and so does a first start without it; `perilune serve --config FILE` names another.
`perilune backup` has it. A change counts from the next start on, that of `[LOGGER]` from SIGHUP on.

";

const BOOTSTRAP: &str = "## `bootstrap.ini`

It describes the first cluster of a site, and is read once: at the first start, from the place of `luna.ini` or as `perilune serve --bootstrap FILE`
says. A key that is not known is refused, and nothing is made. The file is renamed when the cluster is there.

";

/// `docs/configuration.md`.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    for section in LUNA_INI {
        describe(&mut page, section);
    }
    page.push_str(BOOTSTRAP);
    for section in BOOTSTRAP_INI {
        describe(&mut page, section);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn describe(page: &mut String, section: &Section) {
    let mut line = |text: String| writeln!(page, "{text}").expect("a string takes every text");
    line(format!("### `[{}]`\n\n{}\n", section.name, section.about));
    let (used, ignored): (Vec<&Key>, Vec<&Key>) =
        section.keys.iter().partition(|key| key.meaning.is_some());
    if !used.is_empty() {
        line("| key | default | means |\n| --- | --- | --- |".to_owned());
        for key in &used {
            line(format!(
                "| `{}` | {} | {} |",
                key.name,
                key.default,
                key.meaning.unwrap_or_default()
            ));
        }
        line(String::new());
    }
    if !ignored.is_empty() {
        let names: Vec<String> = ignored.iter().map(|key| format!("`{}`", key.name)).collect();
        line(format!("Known from existing sites, without effect: {}.\n", names.join(", ")));
    }
}

#[cfg(test)]
mod tests;
