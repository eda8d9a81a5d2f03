//! What the document says of parameters and numbers is what their readers take.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::document::site;

#[test]
fn what_the_document_rules_out_is_refused_and_what_it_has_is_read() {
    let site = site();
    let largest = u64::MAX;
    let cases = [
        (
            "/boot/search/mac/52:54:00:12:34:56".to_owned(),
            "/boot/search/mac/00:00:00:00:00:00".to_owned(),
        ),
        ("/config/network/cluster/10.141.7.7".to_owned(), "/config/network/cluster/0".to_owned()),
        (
            "/config/osimage/none/_pack?mounts=include".to_owned(),
            "/config/osimage/none/_pack?mounts=all".to_owned(),
        ),
        (
            "/config/osimage/none/_pack?format=tar.gz".to_owned(),
            "/config/osimage/none/_pack?format=zip".to_owned(),
        ),
        (
            "/config/route/none/node/node001/_couple".to_owned(),
            "/config/route/none/rack/x/_couple".to_owned(),
        ),
        ("/control/power/node404".to_owned(), "/control/power/Node404".to_owned()),
        ("/boot/switch/none".to_owned(), "/boot/switch/No_ne".to_owned()),
        ("/audit?kind=refused".to_owned(), "/audit?kind=other".to_owned()),
        ("/history?object=node/node001".to_owned(), "/history?object=node001".to_owned()),
        ("/history/1".to_owned(), "/history/one".to_owned()),
        (format!("/audit?before={largest}"), format!("/audit?before={largest}0")),
        (format!("/history?since={largest}"), format!("/history?since={largest}0")),
    ];
    for (taken, refused) in cases {
        assert_ne!(site.get(&taken).0, 400, "{taken}");
        assert_eq!(site.get(&refused).0, 400, "{refused}");
    }
}

#[test]
fn every_parameter_is_described_once_and_every_number_has_its_largest() {
    let document = site().get("/openapi.json").1;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut known = BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let key = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
                assert!(known.insert(key), "{method} {path}: {key:?} is there twice");
                let schema = &parameter["schema"];
                let is_bounded = schema["type"] != "integer" || schema["maximum"].is_u64();
                assert!(is_bounded, "{method} {path}: {key:?} has no largest number");
            }
        }
    }
    let schemas = &document["components"]["schemas"];
    let bytes = &schemas["ProgressReport"]["properties"]["bytes_done"];
    assert_eq!((&bytes["format"], &bytes["maximum"]), (&json!("uint64"), &json!(u64::MAX)));
}

#[test]
fn nodes_report_whole_numbers_with_and_without_a_point() {
    let site = site();
    for (bytes, status) in [(json!(7), 204), (json!(8660.0), 204), (json!(0.5), 400)] {
        let body = json!({ "phase": "unpack", "bytes_done": bytes });
        let (code, answer): (u16, Value) = site.post("/boot/progress/node001", &body);
        assert_eq!(code, status, "{body}: {answer}");
    }
}

#[test]
fn secrets_take_false_for_what_is_not_given_and_nothing_else_that_is_no_text() {
    let site = site();
    for (path, status) in [(json!(false), 201), (json!(true), 400), (json!(["/x"]), 400)] {
        let secret = json!({ "name": "not-there-yet", "content": "c2VjcmV0", "path": path });
        let body = json!({ "config": { "secrets": { "group": { "compute": [secret] } } } });
        let (code, answer) = site.post("/config/secrets/group/compute", &body);
        assert_eq!(code, status, "{body}: {answer}");
    }
}
