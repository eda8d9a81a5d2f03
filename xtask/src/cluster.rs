//! Describes the cluster with the command line, as its reader would.

use std::path::Path;

use anyhow::{Context, Result};
use perilune_testkit::process::run;
use perilune_testkit::{Limit, Stop, bmc};

use crate::daemon::Daemon;
use crate::image::Image;
use crate::output::{self, Output};
use crate::scenario::{Member, Root};
use crate::site::{BMC, Site};

/// What machines without a description are lent.
const RANGE: (&str, &str) = ("10.141.200.1", "10.141.200.100");
/// One disk: an EFI system partition and the root.
const DISK_LAYOUT: &str = include_str!("disklayout.json");

/// A named script and a role of the site's own.
const PLUGINS: [(&str, &str); 3] = [
    (
        "boot/scripts/greeting/postscript",
        "echo \"Hello from $LUNA_NODE\" > /sysroot/etc/greeting\n",
    ),
    ("boot/roles/greeting/script", "#!/bin/sh\ntest -s /etc/greeting\n"),
    (
        "boot/roles/greeting/unit",
        "[Unit]\nDescription=Role __LUNA_ROLE__\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/usr/local/roles/__LUNA_ROLE__\n[Install]\nWantedBy=multi-user.target\n",
    ),
];

pub(crate) struct CommandLine<'a> {
    pub(crate) site: &'a Site,
    pub(crate) daemon: &'a Daemon,
    pub(crate) output: &'a Output,
    pub(crate) stop: &'a Stop,
}

impl CommandLine<'_> {
    /// Runs `perilune`, shows the command and what it printed.
    pub(crate) fn perilune(&self, arguments: &[&str]) -> Result<String> {
        self.perilune_for(arguments, 60)
    }

    /// The same without showing what is printed, such as passwords.
    pub(crate) fn quietly(&self, arguments: &[&str]) -> Result<String> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        self.output.command("perilune", &arguments);
        self.run(&arguments, 60)
    }

    fn perilune_for(&self, arguments: &[&str], seconds: u64) -> Result<String> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        self.output.command("perilune", &arguments);
        let text = self.run(&arguments, seconds)?;
        if !text.trim().is_empty() {
            output::block(text.trim_end());
        }
        Ok(text)
    }

    fn run(&self, arguments: &[String], seconds: u64) -> Result<String> {
        let mut command = self.site.lab.command(&self.daemon.program());
        command.args(arguments).env("PERILUNE_CONFIG", self.daemon.configuration());
        // What the command line remembers between calls goes away with the run, too.
        let home = self.site.path("home");
        command.env("XDG_CONFIG_HOME", &home).env("XDG_CACHE_HOME", &home);
        let steady = self.daemon.steady();
        let text = run(&mut command, &Limit::seconds(seconds).unless(self.stop))?;
        drop(steady);
        Ok(text)
    }

    /// Networks, image and groups: everything but the nodes.
    pub(crate) fn describe(&self, image: &Image, public_key: &str) -> Result<()> {
        let (begin, end) = RANGE;
        let range = ["--dhcp-range-begin", begin, "--dhcp-range-end", end];
        self.perilune(
            &[&["network", "change", "cluster", "--dhcp", "yes"], range.as_slice()].concat(),
        )?;
        self.perilune(&["network", "add", "bmcs", "--network", "10.148.0.0/16"])?;
        let user = ["--username", bmc::USER, "--password", bmc::PASSWORD];
        self.perilune(&[&["bmcsetup", "add", "factory"], user.as_slice()].concat())?;
        let channels = ["--userid", "3", "--netchannel", "1", "--mgmtchannel", "1"];
        self.perilune(&[&["bmcsetup", "add", "own"], channels.as_slice()].concat())?;
        self.describe_image(image, public_key)
    }

    /// Image and groups.
    pub(crate) fn describe_image(&self, image: &Image, public_key: &str) -> Result<()> {
        let tree = image.tree.display().to_string();
        self.perilune(&[
            "osimage",
            "add",
            image.name,
            "--path",
            &tree,
            "--kerneloptions",
            "console=ttyS0,115200",
        ])?;
        self.perilune_for(&["osimage", "pack", image.name], 600)
            .context("the image was not packed")?;
        let postscript = self.write("postscript.sh", &authorize(public_key))?;
        let layout = self.write("disklayout.json", DISK_LAYOUT)?;
        for (file, text) in PLUGINS {
            self.write_to(&self.daemon.plugins().join(file), text)?;
        }
        let plugins = ["--scripts", "greeting", "--roles", "greeting"];
        let group = [["--osimage", image.name, "--postscript", &postscript], plugins].concat();
        self.perilune(&[&["group", "add", "ram"], group.as_slice()].concat())?;
        self.perilune(
            &[&["group", "add", "disk"], group.as_slice(), &["--disklayout", &layout]].concat(),
        )?;
        Ok(())
    }

    pub(crate) fn add(&self, member: &Member) -> Result<()> {
        let address = member.address();
        let interface = ["--mac", &member.mac_address, "--ip", &address];
        let node = ["node", "add", &member.name, "--group", member.group()];
        let bmc = format!("BMC,network=bmcs,ipaddress={BMC}");
        let bmc: &[&str] =
            if member.has_bmc { &["--bmcsetup", "factory", "--interface", &bmc] } else { &[] };
        self.perilune(&[node.as_slice(), interface.as_slice(), bmc].concat())?;
        Ok(())
    }

    pub(crate) fn adopt(&self, member: &Member) -> Result<()> {
        self.perilune(&["node", "unknown"])?;
        self.perilune(&[
            "node",
            "adopt",
            &member.mac_address,
            &member.name,
            "--group",
            member.group(),
        ])?;
        Ok(())
    }

    /// From now on the node boots from its disk, whatever its firmware asks first.
    pub(crate) fn boot_from_disk(&self, member: &Member) -> Result<()> {
        debug_assert_eq!(member.root, Root::Disk);
        self.perilune(&["node", "change", &member.name, "--netboot", "no"])?;
        Ok(())
    }

    /// A file as argument, in the form that text fields take: `@` and its path.
    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.site.path(name);
        self.write_to(&path, text)?;
        Ok(as_argument(&path))
    }

    fn write_to(&self, path: &Path, text: &str) -> Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        std::fs::write(path, text)?;
        self.output.line(&format!("{}:", path.display()));
        output::block(&indent(text));
        Ok(())
    }
}

fn as_argument(path: &Path) -> String {
    format!("@{}", path.display())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("             {line}")).collect::<Vec<_>>().join("\n")
}

/// A script that lets the holder of a key log in as root, once the node runs.
fn authorize(public_key: &str) -> String {
    format!(
        "mkdir -p -m 700 /sysroot/root/.ssh\n\
         echo '{public_key}' > /sysroot/root/.ssh/authorized_keys\n\
         chmod 600 /sysroot/root/.ssh/authorized_keys\n"
    )
}
