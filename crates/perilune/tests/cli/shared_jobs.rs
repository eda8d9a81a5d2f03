//! Jobs and requests of several controllers: each tells of all, whichever does them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::controllers::{Site, make_node, wait};
use crate::kill::Daemon;
use crate::shared_images::{make_tree, packed, smallest_program};

/// A program that makes the files of images, and waits until it is let go on.
fn hold_packing(data: &Path) {
    let directory = data.join("plugins/osimage/operations/image");
    fs::create_dir_all(&directory).unwrap();
    let (program, here) = (directory.join("default"), data.display());
    let waits = format!(
        "#!/bin/sh\ntouch {here}/begun\nwhile [ -d {here} ] && [ ! -e {here}/go ]; do sleep 0.1; done\n"
    );
    fs::write(&program, waits).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Two controllers, of which the first has an image whose packing takes until it is let go on.
fn site() -> Option<Site> {
    let site = Site::new(2)?;
    site.configure("PLUGINS", "RUN_AS = root");
    let data = site.data[0].path();
    fs::write(data.join("agent"), smallest_program()).unwrap();
    make_tree(&data.join("images/compute"));
    hold_packing(data);
    Some(site)
}

fn text(daemon: &Daemon, path: &str) -> (u16, String) {
    let (code, answer) = daemon.get(path).unwrap();
    (code, answer["message"].as_str().unwrap_or_default().to_owned())
}

/// The jobs with a request that is shown, as this controller lists them.
fn listed(daemon: &Daemon, request: &str) -> Option<Value> {
    let (code, answer) = daemon.get("/monitor/queue").unwrap();
    assert_eq!(code, 200, "{answer}");
    let all = answer["monitor"]["queue"].as_array().unwrap().clone();
    all.into_iter().find(|job| job["request_id"] == request)
}

#[test]
fn the_messages_of_all_controllers_are_listed_at_each() {
    let Some(site) = Site::new(2) else { return };
    let all = [site.start(0), site.start(1)];
    for (number, daemon) in all.iter().enumerate() {
        let messages = json!([{ "message": format!("from {number}") }]);
        let status = json!({ "request_id": format!("r{number}"), "messages": messages });
        let (code, answer) =
            daemon.post("/monitor/status", &json!({ "monitor": { "status": status } })).unwrap();
        assert_eq!(code, 201, "{answer}");
    }
    for daemon in &all {
        wait("the messages of all are not listed", || {
            let (code, answer) = daemon.get("/monitor/status").unwrap();
            let kept = answer["monitor"]["status"].as_array().unwrap();
            let mut kept: Vec<&str> =
                kept.iter().filter_map(|one| one["message"].as_str()).collect();
            kept.sort_unstable();
            code == 200 && kept == ["from 0", "from 1"]
        });
    }
}

#[test]
fn a_job_is_seen_at_every_controller_and_goes_on_when_its_own_runs_again_soon() {
    let Some(site) = site() else { return };
    let [first, second] = [site.start(0), site.start(1)];
    assert_eq!(first.config("osimage", "compute", &json!({})), Some(201));
    let (code, answer) = first.get("/config/osimage/compute/_pack").unwrap();
    assert_eq!(code, 200, "{answer}");
    let request = answer["request_id"].as_str().unwrap().to_owned();
    let status = format!("/config/status/{request}");
    let begun = || site.data[0].path().join("begun").exists();
    wait("it does not begin", begun);

    // Whoever is asked tells what runs and what was said of it, each follower once.
    wait("it is not listed as running", || {
        listed(&second, &request).is_some_and(|job| job["status"] == "in progress")
    });
    let job = listed(&second, &request).unwrap();
    assert_eq!(job["controller"], "controller0", "{job}");
    assert_eq!(Some(&job), listed(&first, &request).as_ref());
    let (code, told) = text(&second, &status);
    assert!(code == 200 && told.contains("queued pack osimage compute"), "{told}");
    assert_eq!(text(&second, &status), (200, String::new()));
    assert_eq!(text(&first, &status), (200, String::new()), "it was told there already");
    let (_, news) = second.get(&format!("{status}?after=0")).unwrap();
    assert_eq!(news["is_over"], false, "{news}");
    assert!(news["messages"].to_string().contains("queued pack"), "{news}");
    let known = news["last"].as_u64().unwrap();
    wait("the image is not known", || second.get("/config/osimage/compute").unwrap().0 == 200);
    let (code, refused) = second.get("/config/osimage/compute/_delete").unwrap();
    assert!(code == 400 && refused.to_string().contains(&request), "{code}: {refused}");

    // Its controller is killed: nothing is said for a while, and then that it may go on.
    drop(first);
    let (code, news) = second.get(&format!("{status}?after={known}")).unwrap();
    assert_eq!((code, &news["is_over"], &news["last"]), (200, &json!(false), &json!(known)));
    unheard(&site, 30);
    let said = await_told(&second, &status);
    let reason = "pack osimage compute: controller controller0 has not been heard since";
    assert!(said.contains(reason) && said.contains("done when that one runs again"), "{said}");
    assert_eq!(text(&second, &status), (200, String::new()), "told once");
    let (_, news) = second.get(&format!("{status}?after={known}")).unwrap();
    assert_eq!((&news["is_over"], &news["last"]), (&json!(false), &json!(known)), "{news}");
    let job = listed(&second, &request).unwrap();
    assert_eq!((&job["status"], &job["controller"]), (&json!("queued"), &json!("controller0")));
    let (code, refused) = second.get("/config/osimage/compute/_cancel").unwrap();
    assert!(code == 409 && refused.to_string().contains("controller0"), "{code}: {refused}");

    // It runs again, and so does the job; it can be stopped from anywhere.
    fs::remove_file(site.data[0].path().join("begun")).unwrap();
    let first = site.start(0);
    wait("it does not go on", begun);
    wait("it is not told that it goes on", || {
        let (_, news) = second.get(&format!("{status}?after=0")).unwrap();
        news["messages"].to_string().contains("resumed pack osimage compute")
    });
    let (code, told) = text(&second, "/config/osimage/compute/_cancel");
    assert!(code == 200 && told.contains("osimage compute is cancelled"), "{code}: {told}");
    wait("it does not end", || {
        let (_, news) = second.get(&format!("{status}?after=0")).unwrap();
        news["is_over"] == true && news["messages"].to_string().contains("cancelled")
    });
    wait("it is listed still", || listed(&second, &request).is_none());
    drop(first);
}

/// Asks until something is said.
fn await_told(daemon: &Daemon, status: &str) -> String {
    let mut said = String::new();
    wait("nothing is told", || {
        let (code, told) = text(daemon, status);
        assert_eq!(code, 200, "{told}");
        said = told;
        !said.is_empty()
    });
    said
}

/// As if the first controller had been silent for longer than it was.
fn unheard(site: &Site, seconds: u32) {
    let sql = format!(
        "UPDATE controller SET beat = clock_timestamp() - interval '{seconds} s' WHERE name = 'controller0'"
    );
    site.server.sql(site.database(), &sql);
}

/// Has the first controller pack the image, and waits until it does; answers the request.
fn begin_packing(site: &Site, first: &Daemon) -> String {
    assert_eq!(first.config("osimage", "compute", &json!({})), Some(201));
    let (code, answer) = first.get("/config/osimage/compute/_pack").unwrap();
    assert_eq!(code, 200, "{answer}");
    wait("it does not begin", || site.data[0].path().join("begun").exists());
    answer["request_id"].as_str().unwrap().to_owned()
}

const ENDED: &str = "error pack osimage compute: controller controller0 stopped while it did this";

#[test]
fn a_job_of_a_controller_that_is_killed_and_stays_away_is_ended_by_another_and_all_tell_why() {
    let Some(site) = site() else { return };
    let [first, second] = [site.start(0), site.start(1)];
    let request = begin_packing(&site, &first);
    let status = format!("/config/status/{request}");
    let (_, news) = second.get(&format!("{status}?after=0")).unwrap();
    let known = &news["last"];
    drop(first);
    unheard(&site, 180);
    wait("it is not ended", || listed(&second, &request).is_none());
    let said = await_told(&second, &status);
    assert!(said.contains(ENDED) && said.contains("controller1 has ended it"), "{said}");
    assert_eq!(text(&second, &status), (404, "No data for this request".to_owned()), "told once");
    let (_, news) = second.get(&format!("{status}?after={known}")).unwrap();
    assert_eq!((&news["is_over"], &news["messages"][0]["status"]), (&json!(true), &json!(503)));
    let (code, stopped) = text(&second, "/config/osimage/compute/_cancel");
    assert!(code == 200 && stopped.contains("nothing is done"), "{code}: {stopped}");

    // It comes back later, and does not begin again by itself; it can be asked to.
    let first = site.start(0);
    let said = await_told(&first, &status);
    assert!(said.contains(ENDED), "{said}");
    assert_eq!(listed(&first, &request), None);
    fs::write(site.data[0].path().join("go"), "").unwrap();
    let (code, answer) = first.get("/config/osimage/compute/_pack").unwrap();
    assert_eq!(code, 200, "{answer}");
    wait("it is not packed", || !packed(&second).is_empty());
}

#[test]
fn what_a_controller_has_copied_of_a_tree_goes_when_its_copy_was_ended_by_another() {
    let Some(site) = site() else { return };
    site.configure("PLUGINS", "IMAGE_FILESYSTEM = slow");
    let data = site.data[0].path();
    let program = data.join("plugins/osimage/filesystem/slow");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let copies = format!(
        "#!/bin/sh\nmkdir \"$(sed 's/.*\"destination\": *\"\\([^\"]*\\)\".*/\\1/')\"\ntouch {here}/begun\n\
         while [ -d {here} ] && [ ! -e {here}/go ]; do sleep 0.1; done\n",
        here = data.display()
    );
    fs::write(&program, copies).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let [first, second] = [site.start(0), site.start(1)];
    assert_eq!(first.config("osimage", "compute", &json!({})), Some(201));
    let body = json!({ "config": { "osimage": { "compute": { "newosimage": "copy" } } } });
    let (code, answer) = first.post("/config/osimage/compute/_clone", &body).unwrap();
    assert_eq!(code, 200, "{answer}");
    wait("it does not begin", || data.join("begun").exists());
    wait("it is not known", || second.get("/config/osimage/copy").unwrap().0 == 200);
    let trees = || {
        let names = fs::read_dir(data.join("images")).unwrap().map(Result::unwrap);
        names.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(trees().len(), 2, "{:?}", trees());
    drop(first);
    unheard(&site, 180);
    wait("its description stays", || second.get("/config/osimage/copy").unwrap().0 == 404);
    let first = site.start(0);
    wait("a part of a tree stays", || trees() == ["compute"]);
    drop(first);
}

#[test]
fn a_controller_that_stood_still_while_another_ended_its_job_puts_nothing_into_service() {
    let Some(site) = site() else { return };
    let [first, second] = [site.start(0), site.start(1)];
    let request = begin_packing(&site, &first);
    first.signal("STOP");
    unheard(&site, 180);
    wait("it is not ended", || listed(&second, &request).is_none());
    // What it waits for is there when it goes on: it packs at once.
    fs::write(site.data[0].path().join("go"), "").unwrap();
    first.signal("CONT");
    let mut said = String::new();
    wait("its own follower is not told", || {
        said += &text(&first, &format!("/config/status/{request}")).1;
        said.contains("controller controller1 has ended")
    });
    let runs = |daemon: &Daemon| listed(daemon, &request).is_some();
    wait("it does not leave off", || !runs(&first));
    let files = site.data[0].path().join("files");
    wait("what it made stays", || {
        let names = fs::read_dir(&files).unwrap();
        names
            .filter_map(Result::ok)
            .all(|file| !file.file_name().to_string_lossy().contains("compute"))
    });
    assert_eq!(packed(&second), [""; 0]);
    assert_eq!(packed(&first), [""; 0]);
    // The next time is like the first.
    let (code, answer) = first.get("/config/osimage/compute/_pack").unwrap();
    assert_eq!(code, 200, "{answer}");
    wait("it is not packed", || packed(&second).len() == 3);
}

#[test]
fn what_machines_answered_to_one_controller_is_told_at_another_and_its_loss_is_said() {
    let Some(site) = Site::new(2) else { return };
    let [first, second] = [site.start(0), site.start(1)];
    assert_eq!(first.config("group", "compute", &json!({})), Some(201));
    make_node(&first, "node001", "52:54:00:00:00:01");
    let body = json!({ "control": { "power": { "_status": { "hostlist": "node001" } } } });
    let (code, answer) = first.post("/control/action/power/_status", &body).unwrap();
    assert_eq!(code, 200, "{answer}");
    let request = format!("/control/request/{}", answer["request_id"].as_str().unwrap());
    let (code, here) = first.get(&request).unwrap();
    assert_eq!((code, here["control"]["results"].as_array().unwrap().len()), (200, 1), "{here}");
    assert_eq!(second.get(&request).unwrap(), (200, here));
    let stopped = second.post(&format!("{request}/_cancel"), &json!({})).unwrap();
    assert_eq!(stopped.0, 204, "{}", stopped.1);
    // Who asks with no right to it there has none here.
    let unknown = ureq::get(format!("{}{request}", second.url())).call();
    assert!(matches!(unknown, Err(ureq::Error::StatusCode(401))), "{unknown:?}");

    drop(first);
    let (code, answer) = second.get(&request).unwrap();
    assert_eq!((code, answer["code"].as_str()), (503, Some("busy")), "{answer}");
    wait("the loss is not told", || second.get(&request).unwrap().0 == 404);
    let (_, told) = text(&second, &request);
    assert!(told.contains("controller controller0 has not been heard since"), "{told}");
}
