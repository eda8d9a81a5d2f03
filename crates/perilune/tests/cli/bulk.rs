//! One command is one change; removals ask; what was done is taken back.
#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::path::Path;

use crate::kill::Daemon;
use crate::{errors, perilune, said};

fn site(data: &Path) -> Daemon {
    let daemon = Daemon::start(data);
    done(data, &["group", "add", "compute"]);
    done(data, &["node", "add", "n[1-20]", "--group", "compute"]);
    daemon
}

fn done(data: &Path, arguments: &[&str]) -> String {
    let output = perilune(data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = perilune(data, arguments);
    (output.status.code(), errors(&output))
}

fn newest(data: &Path) -> u64 {
    let history = done(data, &["history", "-n", "1", "-o", "json"]);
    serde_json::from_str::<serde_json::Value>(&history).unwrap()[0]["revision"].as_u64().unwrap()
}

#[test]
fn what_a_command_names_is_one_change_or_none() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    let before = newest(data);
    let text = done(data, &["node", "change", "n[1-20]", "--vendor", "Acme"]);
    assert_eq!(text, "n[1-20] changed (20)\n");
    assert_eq!(newest(data), before + 1);
    let fold = done(data, &["diff", &format!("{before}.."), "--fold"]);
    assert_eq!(fold, "~ node n[1-20]\n    vendor: unset -> Acme\n");

    // A name that is not there stops all, and is told with what is like it.
    let (code, text) = refused(data, &["node", "change", "n[19-21]", "--vendor", "Other"]);
    assert_eq!(code, Some(4), "{text}");
    assert!(
        text.contains("there is no node n21") && text.contains("nothing was changed, of 3"),
        "{text}"
    );
    // A trial that keeps going shows what the others would come to.
    let words = ["--keep-going", "--dry-run", "node", "change", "n[19-21]", "--vendor", "Other"];
    let output = perilune(data, &words);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("~ node n19") && said(&output).contains("no node n21"));
    let (code, text) = refused(data, &["node", "add", "n[20-22]", "--group", "compute"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("n20 is there already"), "{text}");
    assert_eq!(newest(data), before + 1);
    let (code, text) =
        refused(data, &["--keep-going", "node", "add", "n[20-22]", "--group", "compute"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("failed: n20 (1 of 3)"), "{text}");
    assert_eq!(newest(data), before + 3);

    let text = done(data, &["node", "interface", "set", "n[1-3]", "ib0", "--network", "cluster"]);
    assert_eq!(text, "n[1-3] has ib0 set (3)\n");
    done(data, &["node", "clone", "n1", "n[31-33]"]);
    assert_eq!(newest(data), before + 5);

    // All of it comes back.
    // That removes nodes and interfaces, which is told and asked like every removal.
    let (code, text) = refused(data, &["undo", "--to", &before.to_string()]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("5 nodes removed, 3 interfaces removed"), "{text}");
    assert!(text.contains("5 node (n[21-22,31-33])") && text.contains("--yes"), "{text}");
    done(data, &["undo", "--to", &before.to_string(), "--yes"]);
    assert_eq!(done(data, &["node", "list", "--fold"]), "n[1-20]\n");
    let (code, text) = refused(data, &["undo", "--to", &newest(data).to_string()]);
    assert_eq!(code, Some(2), "{text}");
    let last = newest(data);
    done(data, &["undo", &format!("{last}..{last}")]);
    assert_eq!(done(data, &["node", "list", "--fold"]), "n[1-22,31-33]\n");
    let was = done(data, &["export", "--at", &before.to_string()]);
    assert!(was.contains("  n20:") && !was.contains("  n21:"), "{was}");
}

#[test]
fn a_removal_says_what_goes_and_is_refused_where_nobody_can_be_asked() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    done(data, &["rack", "add", "r1"]);
    done(data, &["rack", "place", "r1", "n[1-2]", "--position", "1"]);
    done(data, &["secret", "set", "node", "n1", "key", "--content", "x", "--path", "/etc/key"]);
    done(data, &["node", "interface", "set", "n1", "BMC", "--network", "cluster"]);
    done(data, &["dns", "set", "cluster", "printer", "10.141.9.9"]);
    let before = newest(data);
    for (command, told) in [
        (&["node", "remove", "n[1-2]"][..], "Gone: 2 node (n[1-2])"),
        (&["node", "remove", "n1"], "node n1"),
        (&["node", "interface", "remove", "n1", "BMC"], "the interface BMC of node n1"),
        (&["secret", "remove", "node", "n1", "key"], "the secret key of node n1"),
        (&["rack", "remove", "r1"], "rack r1"),
        (&["rack", "take-out", "n[1-2]"], "n[1-2]: will stand in no rack (2)"),
        (&["dns", "remove", "cluster", "printer"], "the host printer"),
    ] {
        let (code, text) = refused(data, command);
        assert_eq!(code, Some(2), "{command:?}: {text}");
        assert!(
            text.contains(told) && text.contains("give --yes if it is meant"),
            "{command:?}: {text}"
        );
        let tried = [&["--dry-run"], command].concat();
        assert_eq!(perilune(data, &tried).status.code(), Some(0), "{command:?}");
        assert_eq!(newest(data), before, "{command:?}");
    }
    // What hangs on it is told as well.
    let (_, text) = refused(data, &["node", "remove", "n[1-2]"]);
    assert!(text.contains("1 nodesecrets (n1)") && text.contains("2 rackinventory"), "{text}");
    // What cannot be removed is told before anybody is asked.
    let (code, text) = refused(data, &["group", "remove", "compute"]);
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = refused(data, &["node", "remove", "n[20-21]"]);
    assert_eq!(code, Some(4), "{text}");
    assert_eq!(newest(data), before);
    done(data, &["node", "remove", "n[1-2]", "--yes"]);
    assert_eq!(newest(data), before + 1);
    assert_eq!(done(data, &["node", "list", "--fold"]), "n[3-20]\n");
}

#[test]
fn nodes_are_imported_from_a_table_as_one_change() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    done(data, &["rack", "add", "r1"]);
    done(data, &["node", "change", "n1", "--vendor", "Acme"]);
    let before = newest(data);
    let file = data.join("nodes.csv");
    let path = file.to_str().unwrap();
    let write = |text: &str| std::fs::write(&file, text).unwrap();

    // Everything that the daemon refuses is told at once, with its row, and nothing is changed.
    write(
        "name,group,mac,rack\nn1,,02:00:00:00:00:01,r1\nm1,none,,\nm2,,,\nm3,compute,02:00:00:00:00:01,\nm4,compute,,r9\n",
    );
    let (code, text) = refused(data, &["node", "import", path, "--yes"]);
    assert!(code == Some(1) || code == Some(4), "{text}");
    for row in ["row 3 (m1): ", "row 4 (m2): ", "row 5 (m3): ", "row 6 (m4): "] {
        assert!(text.contains(row), "{row} is not in {text}");
    }
    assert!(!text.contains("row 2"), "{text}");
    write("name,grop\nn1,x\n");
    let (code, text) = refused(data, &["node", "import", path, "--yes"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("row 1, column grop: did you mean group?"), "{text}");
    assert_eq!(newest(data), before);

    write(
        "name,group,mac,interface.BMC.network,rack,position\nn1,,02:00:00:00:00:01,cluster,r1,1\nm1,compute,02:00:00:00:00:02,cluster,r1,2\n",
    );
    let (code, text) = refused(data, &["node", "import", path]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("1 node added") && text.contains("give --yes"), "{text}");
    done(data, &["--dry-run", "node", "import", path]);
    assert_eq!(newest(data), before);
    done(data, &["node", "import", path, "--yes"]);
    assert_eq!(newest(data), before + 1);
    let node = |name: &str| {
        let text = done(data, &["node", "show", name, "-o", "json"]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()[name].clone()
    };
    assert_eq!(node("n1")["vendor"], "Acme");
    assert_eq!(node("m1")["interfaces"].as_array().unwrap().len(), 2, "{}", node("m1"));
    assert_eq!(done(data, &["nodes", "rack:r1", "--fold"]), "m1,n1\n");
    assert!(done(data, &["node", "import", path, "--yes"]).contains("nothing to do"));
    assert_eq!(newest(data), before + 1);
}

#[test]
fn a_trial_does_nothing_whatever_the_command() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let daemon = site(data);
    done(data, &["osimage", "add", "debian"]);
    let before = newest(data);
    for command in [
        &["osimage", "pack", "debian"][..],
        &["osimage", "kernel", "debian", "--kernelversion", "6.1"],
        &["osimage", "clone", "debian", "copy"],
        &["osimage", "grab", "n1", "--osimage", "debian"],
        &["power", "off", "n1"],
        &["identify", "on", "n1"],
        &["node", "adopt", "02:00:00:00:00:77", "x1", "--group", "compute"],
        &["node", "arm", "n1"],
        &["node", "reinstall", "n1"],
        &["node", "rename", "n1", "m1"],
        &["bmc", "forget", "n1"],
        &["key", "rotate"],
    ] {
        let output = perilune(data, &[&["--dry-run"], command].concat());
        let text = said(&output);
        assert_eq!(newest(data), before, "{command:?}: {text}");
        let queue = daemon.get("/monitor/queue").unwrap().1["monitor"]["queue"].clone();
        assert_eq!(queue, serde_json::json!([]), "{command:?}: {text}");
        let windows = daemon.get("/boot/window").unwrap().1["windows"].clone();
        assert_eq!(windows, serde_json::json!([]), "{command:?}: {text}");
        let is_refused = text.contains("cannot be tried") || text.contains("error:");
        assert!(is_refused || text.contains("this was a trial"), "{command:?}: {text}");
    }
}

#[test]
fn secrets_of_any_bytes_are_kept_and_shown_to_who_asks_for_it_alone() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    let key: Vec<u8> = (0..=255).cycle().take(1024).collect();
    let file = data.join("munge.key");
    std::fs::write(&file, &key).unwrap();
    let content = format!("@{}", file.display());
    for owner in [&["cluster"][..], &["group", "compute"], &["node", "n1"]] {
        let set = [&["secret", "set"], owner, &["munge", "--content", &content]].concat();
        let place = ["--path", "/etc/munge/munge.key", "--owner", "munge:munge", "--mode", "400"];
        done(data, &[&set[..], &place].concat());
        let show = [&["secret", "show"], owner, &["munge"]].concat();
        let shown = done(data, &show);
        assert!(shown.contains("munge:munge") && shown.contains("(hidden)"), "{shown}");
        let json = done(data, &[&show[..], &["-o", "json"]].concat());
        assert!(json.contains("(hidden)"), "{json}");
        let output = perilune(data, &[&show[..], &["--reveal"]].concat());
        assert_eq!(output.stdout, key, "{}", errors(&output));
    }
    let list = done(data, &["secret", "list", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["cluster"][0]["content"], "(hidden)");
    assert_eq!(list["group"]["compute"][0]["content"], "(hidden)");
    assert_eq!(done(data, &["secret", "list"]).lines().count(), 4);
    for words in [
        &["secret", "show", "group", "compute"][..],
        &["secret", "show", "cluster", "a", "b"],
        &["secret", "list", "node"],
    ] {
        assert_eq!(refused(data, words).0, Some(2), "{words:?}");
    }
    let (_, text) = refused(data, &["secret", "remove", "cluster", "munge"]);
    assert!(text.contains("the secret munge of cluster"), "{text}");
    done(data, &["secret", "remove", "cluster", "munge", "--yes"]);

    // The same for passwords, which come from files, too.
    let file = data.join("password");
    std::fs::write(&file, "calvin\n").unwrap();
    done(data, &["bmcsetup", "add", "b1", "--password", &format!("@{}", file.display())]);
    for words in [&["bmcsetup", "show", "b1"][..], &["bmcsetup", "list", "-o", "json"]] {
        assert!(!done(data, words).contains("calvin"), "{words:?}");
        assert!(done(data, &[words, &["--reveal"]].concat()).contains("calvin"), "{words:?}");
    }
    let audit = done(data, &["audit"]);
    assert!(audit.contains("secrets"), "{audit}");
    let (code, text) = refused(data, &["bmcsetup", "change", "b1", "--password"]);
    assert!(code == Some(2) && text.contains("no terminal to ask"), "{text}");
}

#[test]
fn the_history_tells_who_is_behind_a_program_of_this_machine_and_is_asked_by_user_and_time() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_perilune"))
        .arg("--config")
        .arg(data.join("luna.ini"))
        .args(["node", "change", "n1", "--vendor", "Acme"])
        .env("SUDO_USER", "alice")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let of = |words: &[&str]| {
        let json = done(data, &[&["history", "-o", "json"], words].concat());
        serde_json::from_str::<Vec<serde_json::Value>>(&json).unwrap()
    };
    let all = of(&[]);
    assert!(all[0]["author"].as_str().unwrap().ends_with(" (alice)"), "{all:?}");
    assert_eq!(of(&["--user", "alice"]).len(), 1);
    let user = all[1]["author"].as_str().unwrap();
    let is_own = |commit: &&serde_json::Value| commit["author"].as_str().unwrap().starts_with(user);
    assert_eq!(of(&["--user", user]).len(), all.iter().filter(is_own).count());
    assert_eq!(of(&["--user", "alic"]).len(), 0);
    assert_eq!(of(&["--since", "1h", "--object", "node/n1"])[0]["revision"], all[0]["revision"]);
    assert_eq!(refused(data, &["history", "--since", "soon"]).0, Some(2));
    let audit = done(data, &["audit", "--who", &format!("{user} (alice)")]);
    assert!(audit.contains("node n1 (vendor)"), "{audit}");
}
