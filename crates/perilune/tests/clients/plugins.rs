//! The hooks of docs/plugins.md against real programs: Slurm's controller is told of nodes and partitions, and the file of genders is written; and
//! programs of the site that misbehave beside a daemon that goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;

use perilune_testkit::process::{end, run, wait_for};

use crate::site::{CONTROLLER, Site, limit};
use crate::tools::{JQ, NODEATTR, SCONTROL, SLURMCTLD};

/// The programs of a page of docs, each with the name in its second line, as a site would copy them.
pub(crate) fn examples(page: &str) -> Vec<(String, String)> {
    let page = format!("{}/../../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```").skip(1).step_by(2).map(str::trim_start);
    let programs = blocks.filter(|block| block.starts_with("#!"));
    let named = programs.map(|text| {
        let name = text.lines().nth(1).unwrap().trim_start_matches("# ");
        (name.to_owned(), text.to_owned())
    });
    named.collect()
}

fn example(of: &str) -> String {
    let found = examples("plugins.md").into_iter().find(|(name, _)| name == of);
    found.unwrap_or_else(|| panic!("docs/plugins.md has no example of {of}")).1
}

pub(crate) fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Slurm's controller on the controller of the site, whose files are in a directory of their own. It is started again whenever it ends.
struct Slurm(Child);

impl Slurm {
    fn start(site: &Site) -> Self {
        let directory = site.data().join("slurm");
        fs::create_dir_all(directory.join("state")).unwrap();
        let at = directory.display();
        let settings = format!(
            "ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\nSlurmUser=root\nAuthType=auth/none\nCredType=cred/none\n\
             StateSaveLocation={at}/state\nSlurmctldPidFile={at}/pid\nProctrackType=proctrack/linuxproc\nMpiDefault=none\n\
             TaskPlugin=task/none\nSelectType=select/linear\ninclude {at}/nodes.conf\n"
        );
        fs::write(directory.join("slurm.conf"), settings).unwrap();
        // It asks for names where nodes do.
        fs::write(
            directory.join("resolv.conf"),
            format!("search cluster\nnameserver {CONTROLLER}\n"),
        )
        .unwrap();
        let script = format!(
            "mount --bind {at}/resolv.conf /etc/resolv.conf && while :; do slurmctld -D -f {at}/slurm.conf >>{at}/log 2>&1; done"
        );
        let mut command = site.network.command("unshare");
        Self(command.args(["--mount", "sh", "-c", &script]).spawn().unwrap())
    }

    /// What Slurm says that it has: a line for each node, with its partitions.
    fn nodes(site: &Site) -> String {
        let configuration = site.data().join("slurm/slurm.conf");
        let mut command = site.network.command("sinfo");
        command.args(["-h", "-N", "-o", "%N %R"]).env("SLURM_CONF", configuration);
        let said = run(&mut command, &limit()).unwrap_or_default();
        said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn until(what: &str, condition: impl Fn() -> Option<String>) {
    let mut last = String::new();
    let met = wait_for(&limit(), || match condition() {
        None => Some(()),
        Some(seen) => {
            last = seen;
            None
        }
    });
    assert!(met.unwrap().is_some(), "{what}: {last}");
}

#[test]
fn slurm_and_genders_follow_the_cluster_by_the_hooks_of_the_page() {
    let tools = [SLURMCTLD, SCONTROL, JQ, NODEATTR];
    if tools.iter().any(|tool| tool.find().is_none()) {
        return;
    }
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let (plugins, slurm) = (site.data().join("plugins/hooks"), site.data().join("slurm"));
    fs::create_dir_all(&slurm).unwrap();
    site.configure("[PLUGINS]\nRUN_AS = root\n");
    let group = example("hooks/config/group").replace("/etc/slurm", slurm.to_str().unwrap());
    // What a service manager does: the loop that has started it starts it again.
    let restart = format!("kill $(cat {}/pid)", slurm.display());
    let group = group.replace("systemctl restart slurmctld", &restart);
    let group =
        group.replacen('\n', &format!("\nexport SLURM_CONF={}/slurm.conf\n", slurm.display()), 1);
    let genders = example("hooks/config/node")
        .replace("/etc/genders", site.data().join("genders").to_str().unwrap());
    let mut site = site;
    site.restart();
    site.cli(&["group", "add", "login"]);
    fs::write(
        slurm.join("nodes.conf"),
        "NodeName=node001 State=UNKNOWN\nPartitionName=compute Nodes=node001\n",
    )
    .unwrap();
    let controller = Slurm::start(&site);
    let is = |expected: &str| {
        let nodes = Slurm::nodes(&site);
        (nodes != expected.trim_end()).then(|| {
            format!("{nodes}\n{}", fs::read_to_string(slurm.join("log")).unwrap_or_default())
        })
    };
    until("Slurm starts", || is("node001 compute\n"));
    write_program(&plugins.join("config/group"), &group);
    write_program(&plugins.join("config/node"), &genders);
    for node in ["node002", "node003"] {
        site.cli(&["node", "add", node, "--group", "compute"]);
    }
    site.cli(&["node", "change", "node003", "--group", "login"]);
    until("Slurm follows", || is("node001 compute\nnode002 compute\nnode003 login\n"));
    site.cli(&["node", "remove", "node001", "--yes"]);
    until("a node goes", || is("node002 compute\nnode003 login\n"));
    let genders = site.data().join("genders").display().to_string();
    let asked = || {
        let mut command = site.network.command("nodeattr");
        run(command.args(["-f", &genders, "-n", "compute"]), &limit()).unwrap_or_default()
    };
    until("genders are written", || Some(asked()).filter(|nodes| nodes != "node002\n"));

    // Slurm's controller is gone: the hook fails, which is told, and the next change is told to it when it is back.
    drop(controller);
    site.cli(&["node", "add", "node004", "--group", "login"]);
    until("a failure is told", || {
        Some(site.refused_or_said(&["status"]))
            .filter(|said| !said.contains("hooks/config/group failed"))
    });
    let _controller = Slurm::start(&site);
    until("Slurm has the new node", || is("node002 compute\nnode003 login\nnode004 login\n"));
    site.cli(&["plugin", "run", "hooks/config/group"]);
    until("nothing is told any more", || {
        Some(site.refused_or_said(&["status"]))
            .filter(|said| said.contains("hooks/config/group failed"))
    });
}
