//! Every route that existing clients use, by the page that says so, and every path that our own command line has in its text: each is served,
//! or on the list of what is to come.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::image_site::ImageSite;

/// `method,path,page`.
const ROWS: &str = include_str!("clients.csv");

/// Profiles are said to be absent. What ends with a stroke is all below it.
const NOT_YET: [&str; 2] = ["/config/profiles", "/config/profiles/"];
/// Where the command line's paths begin: other texts that begin with a stroke are places of files and parts of answers.
const BEGINNINGS: [&str; 14] = [
    "audit", "backup", "boot", "bulk", "config", "control", "ha", "history", "monitor", "select",
    "service", "token", "tpm", "version",
];

fn is_not_yet(path: &str) -> bool {
    NOT_YET.iter().any(|known| path == *known || known.ends_with('/') && path.starts_with(known))
}

/// The path with something in its places.
fn concrete(path: &str) -> String {
    let part = |part: &str| match part {
        "{mac}" => "52:54:00:00:00:09".to_owned(),
        "{ip}" => "10.141.0.9".to_owned(),
        "{subsystem}" => "power".to_owned(),
        "_{action}" => "_status".to_owned(),
        part if part.starts_with('{') => "nothing".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_of_every_page_is_served_or_said_to_come() {
    let site = ImageSite::start();
    site.describe();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for row in ROWS.lines().skip(1) {
        let [method, path, page] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let (code, answer) = match method {
            "GET" => site.raw("GET", &concrete(path), ""),
            "POST" => site.raw("POST", &concrete(path), "{}"),
            other => panic!("{other}"),
        };
        let is_absent = answer.contains("is not served by this version");
        // An unknown path has an empty answer; what is asked for and is not there says so.
        let is_unknown = code == 405 || code == 404 && answer.is_empty();
        if is_unknown || is_absent != is_not_yet(path) {
            wrong.push(format!("{page}: {method} {path}: {code} {answer}"));
        }
        assert!(code < 500 || [501, 503].contains(&code), "{row}: {code} {answer}");
        asked += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked > 200, "{asked} routes were asked for");
}

#[test]
fn every_path_that_the_command_line_names_is_a_route() {
    let site = ImageSite::start();
    let document = site.get("/openapi.json").1;
    let routes: Vec<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut paths = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../perilune/src");
    for file in files(&sources) {
        let text = fs::read_to_string(&file).unwrap();
        // What is below says what the tests of the file want.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in text.lines().filter(|line| !line.contains("pointer(") && !line.contains("///"))
        {
            paths.extend(literals(line).filter(|path| is_of_api(path)).map(str::to_owned));
        }
    }
    let unknown: Vec<&String> =
        paths.iter().filter(|path| !routes.iter().any(|route| fits(path, route))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(paths.len() > 30, "{paths:?}");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// The texts in quotes of a line.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

fn is_of_api(text: &str) -> bool {
    let first = text.strip_prefix('/').and_then(|rest| rest.split(['/', '?']).next());
    first.is_some_and(|first| BEGINNINGS.contains(&first)) && !text.contains([' ', '\\'])
}

/// Whether a path as it is written in a source, with places that are filled in, may be this route.
fn fits(path: &str, route: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let (ours, theirs): (Vec<&str>, Vec<&str>) =
        (path.split('/').collect(), route.split('/').collect());
    let same =
        |(own, their): (&&str, &&str)| own == their || own.contains('{') || their.contains('{');
    // What follows the last part may be put behind it later.
    ours.len() <= theirs.len() && ours.iter().zip(&theirs).all(same)
}
