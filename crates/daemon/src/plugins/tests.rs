use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;

fn write(plugins: &Path, file: &str, text: &str, mode: u32) {
    let path = plugins.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn runner(plugins: &Path) -> Runner {
    Runner::new(Some(plugins.to_owned()), "/usr/bin/python3".into(), None)
}

#[test]
fn names_go_from_the_nearest_to_the_default_and_lead_nowhere_else() {
    assert_eq!(
        names::of_release(Some("redhat"), Some("9")),
        ["redhat9", "redhat/9", "redhat/default", "redhat", "default"]
    );
    assert_eq!(names::of_release(Some("suse"), None), ["suse/default", "suse", "default"]);
    assert_eq!(names::of_release(None, Some("9")), ["default"]);
    assert_eq!(
        names::of_release(Some("redhat"), Some("../9")),
        ["redhat/default", "redhat", "default"]
    );
    assert_eq!(
        names::each([Some("node001"), None, Some("../x"), Some(".h"), Some("")]),
        ["node001", "default"]
    );
}

#[test]
fn the_nearest_is_found_and_what_came_with_the_former_daemon_only_where_it_is_named() {
    let plugins = tempfile::tempdir().unwrap();
    let kind = "osimage/operations/osgrab";
    write(plugins.path(), &format!("{kind}/default"), "", 0o644);
    write(plugins.path(), &format!("{kind}/default.py"), "", 0o644);
    write(plugins.path(), &format!("{kind}/compute"), "", 0o644);
    let names = names::each([Some("node001"), Some("compute")]);
    let found = |runner: &Runner| runner.find_working(kind, &names).map(|found| found.plugin);
    let own = runner(plugins.path());
    assert_eq!(found(&own), None, "two are no programs, and one is the former daemon's");
    let named = own.clone().with(Vec::new(), vec![kind.to_owned()]);
    assert_eq!(found(&named), Some(format!("{kind}/default")));
    assert!(named.is_class(&format!("{kind}/default")));
    let other = runner(plugins.path()).with(Vec::new(), vec!["osimage/operations/os".to_owned()]);
    assert_eq!(found(&other), None, "whole words of a path count");
    write(plugins.path(), &format!("{kind}/compute.py"), "", 0o644);
    assert_eq!(found(&own), Some(format!("{kind}/compute")), "the site's own");
    write(plugins.path(), &format!("{kind}/node001"), "", 0o755);
    assert_eq!(found(&own), Some(format!("{kind}/node001")));
    assert!(!own.is_class(&format!("{kind}/node001")));
    assert_eq!(own.find_working("osuser", &names), None);
    write(plugins.path(), "hooks/monitor/node.py", "", 0o644);
    assert!(own.is_class("hooks/monitor/node"), "hooks that do nothing harm nobody");
}

#[tokio::test]
async fn an_answer_is_json_or_nothing() {
    let plugins = tempfile::tempdir().unwrap();
    write(plugins.path(), "osuser/nothing", "#!/bin/sh\n", 0o755);
    write(plugins.path(), "osuser/echo", "#!/bin/sh\ncat\n", 0o755);
    write(plugins.path(), "osuser/half", "#!/bin/sh\nprintf '{\"a\": '\n", 0o755);
    let own = runner(plugins.path());
    let ask = async |name: &str| {
        let found = own.find_working("osuser", &[name.to_owned()]).unwrap();
        own.work(&found, &json!({ "a": 1 }), LIMITS).await
    };
    assert_eq!(ask("nothing").await, Ok(Value::Null));
    assert_eq!(ask("echo").await, Ok(json!({ "a": 1 })));
    assert!(ask("half").await.unwrap_err().starts_with("its answer is no JSON"));
}

#[test]
fn what_runs_as_root_can_be_written_by_nobody_else() {
    let top = tempfile::tempdir().unwrap();
    let plugins = top.path().join("plugins");
    write(&plugins, "osimage/other/cleanup", "", 0o755);
    let file = plugins.join("osimage/other/cleanup");
    assert_eq!(names::check_owners(&file, &plugins), Ok(()));
    for place in ["osimage/other/cleanup", "osimage"] {
        let place = plugins.join(place);
        let mode = |mode| fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let refused = names::check_owners(&file, &plugins).unwrap_err();
        assert!(refused.contains(place.to_str().unwrap()), "{refused}");
        mode(0o755);
    }
}

#[tokio::test]
async fn a_program_answers_few_clients_at_once_and_keeps_others_waiting_not_for_long() {
    let plugins = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\necho $$ >> $(dirname $0)/begun\nexec sleep 1000\n";
    write(plugins.path(), "export/slow", script, 0o755);
    write(plugins.path(), "export/quick", "#!/bin/sh\necho 1\n", 0o755);
    let own = runner(plugins.path());
    let ask = async |runner: Runner, plugin: &str| {
        runner.exchange(plugin, &Value::Null, LIMITS).await.unwrap()
    };
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..OF_ONE * 5 {
        let own = own.clone();
        waiting.spawn(async move { ask(own, "export/slow").await });
    }
    // All but those that run are told so.
    for _ in 0..OF_ONE * 4 {
        let told = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(told, Err(Unanswered::Busy("export/slow".to_owned())));
    }
    let begun = fs::read_to_string(plugins.path().join("export/begun")).unwrap();
    assert_eq!(begun.lines().count(), OF_ONE);
    assert_eq!(ask(own.clone(), "export/quick").await, Ok(b"1\n".to_vec()), "another is free");
    // Who hangs up gives his turn back, and the program ends.
    waiting.shutdown().await;
    write(plugins.path(), "export/slow", "#!/bin/sh\necho 2\n", 0o755);
    assert_eq!(ask(own.clone(), "export/slow").await, Ok(b"2\n".to_vec()));
    assert!(own.exchange("export/none", &Value::Null, LIMITS).await.is_none());
}

mod classes;
