//! Nodes that get their token by what their TPM measured, or by an administrator's password.

use perilune_seal::KeyPair;
use serde_json::{Value, json};

use crate::image_site::ImageSite;

const MEASURED: &str = "3D458CFE55CC03EA1F443F1562BEEC8DF51C75E14A9FCF9A7234A13F198E7969";

fn ask(site: &ImageSite, node: &str, body: &Value, from: &str) -> (u16, Value) {
    site.post_from(&format!("/tpm/{node}"), body, from)
}

fn with_password(site: &ImageSite, measured: &str) -> Value {
    json!({ "tpm_sha256": measured, "username": "admin", "password": site.password() })
}

fn demand(site: &ImageSite) {
    let body = json!({ "config": { "cluster": { "security": true } } });
    assert_eq!(site.post("/config/cluster", &body).0, 204);
}

/// A site that expects boots of its nodes.
fn site() -> ImageSite {
    let site = ImageSite::start();
    site.describe();
    expect(&site, 1800);
    site
}

/// For so many seconds, or not any longer.
fn expect(site: &ImageSite, seconds: u32) {
    let body = json!({ "nodes": "node[001-002]", "seconds": seconds });
    assert_eq!(site.post("/boot/window", &body).0, 200);
}

fn known(site: &ImageSite, node: &str) -> Value {
    site.get(&format!("/config/node/{node}")).1["config"]["node"][node]["tpm_sha256"].clone()
}

#[test]
fn a_password_buys_the_nodes_own_token_and_what_the_tpm_measured_is_noted() {
    let site = site();
    let (status, answer) = ask(&site, "node001", &with_password(&site, MEASURED), "10.141.0.1");
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap();
    assert_eq!(site.get_as("/config/node", token).0, 403, "it is no administrator's");
    assert_eq!(site.get_as("/boot/plan/node002", token).0, 403, "nor another node's");
    let report = json!({ "monitor": { "status": { "node001": { "state": "install.unpack" } } } });
    assert_eq!(site.post_as("/monitor/node/node001", &report, token).0, 204);
    assert_eq!(known(&site, "node001"), MEASURED);
    let last = site.get("/history").1["history"][0].clone();
    assert_eq!(
        (&last["author"], &last["origin"]),
        (&json!("admin"), &json!("10.141.0.1")),
        "{last}"
    );
    // The same again changes nothing, and nothing is no measurement.
    let revision = last["revision"].clone();
    for measured in [MEASURED, ""] {
        let body = with_password(&site, measured);
        assert_eq!(ask(&site, "node001", &body, "10.141.0.1").0, 200);
    }
    assert_eq!(site.get("/history").1["history"][0]["revision"], revision);
    assert_eq!(known(&site, "node001"), MEASURED);
}

#[test]
fn while_no_boot_is_expected_a_token_is_good_for_the_import_of_hardware_rules_alone() {
    let site = site();
    let token = |from: &str| {
        let (status, answer) = ask(&site, "node001", &with_password(&site, MEASURED), from);
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    };
    let may_install = |token: &str| site.get_as("/config/secrets/node/node001", token).0 != 403;
    let first = token("10.141.0.1");
    assert!(may_install(&first));
    assert_eq!(token("10.141.0.1"), first, "the answer may have got lost");
    expect(&site, 0);
    let later = token("10.141.0.1");
    assert!(!may_install(&later));
    for path in
        ["/boot/plan/node001", "/boot/install/node001", "/config/node/node001", "/config/node"]
    {
        assert_eq!(site.get_as(path, &later).0, 403, "{path}");
    }
    std::fs::write(site.files().join("a.tar.zst"), "x").unwrap();
    assert_eq!(site.get_as("/files/a.tar.zst", &later).0, 403);
    let report = json!({ "monitor": { "status": { "node001": { "state": "install.error" } } } });
    assert_eq!(site.post_as("/monitor/node/node001", &report, &later).0, 403);
    // What a TPM measured may be known to others: the node itself must ask.
    expect(&site, 600);
    demand(&site);
    let measured = json!({ "tpm_sha256": MEASURED });
    let of_stranger = ask(&site, "node001", &measured, "10.9.9.9").1["token"].clone();
    assert!(!may_install(of_stranger.as_str().unwrap()));
    let own = ask(&site, "node001", &measured, "10.141.0.1").1["token"].clone();
    assert!(may_install(own.as_str().unwrap()));
}

#[test]
fn who_has_no_administrators_password_gets_nothing() {
    let site = site();
    let fields = json!({ "role": "operator", "password": "long enough" });
    let body = json!({ "config": { "user": { "ann": fields } } });
    assert_eq!(site.post("/config/user/ann", &body).0, 201);
    let operator = json!({ "tpm_sha256": MEASURED, "username": "ann", "password": "long enough" });
    assert_eq!(ask(&site, "node001", &operator, "10.141.0.1").0, 403);
    for (body, status) in [
        (json!({}), 401),
        (json!({ "tpm_sha256": MEASURED }), 401),
        (json!({ "username": "admin", "password": "wrong" }), 401),
        (json!([]), 400),
        (json!({ "tpm_sha256": 7, "username": "admin", "password": site.password() }), 400),
    ] {
        let (code, answer) = ask(&site, "node001", &body, "10.141.0.1");
        assert_eq!(code, status, "{body}: {answer}");
        assert!(answer["message"].is_string());
    }
    assert_eq!(ask(&site, "absent", &with_password(&site, MEASURED), "10.141.0.1").0, 401);
    assert_eq!(site.get("/config/node/absent").0, 404, "none is made");
    assert_eq!(known(&site, "node001"), json!(null));
}

#[test]
fn where_the_cluster_demands_it_only_what_is_known_of_the_node_counts() {
    let site = site();
    assert_eq!(ask(&site, "node001", &with_password(&site, MEASURED), "10.141.0.1").0, 200);
    demand(&site);
    let measured = json!({ "tpm_sha256": MEASURED });
    let (status, answer) = ask(&site, "node001", &measured, "10.141.0.1");
    assert_eq!(status, 200);
    let token = answer["token"].as_str().unwrap();
    assert_eq!(site.get_as("/boot/plan/node002", token).0, 403);
    let wrong = with_password(&site, &MEASURED.replace('3', "4"));
    let refused = ask(&site, "node001", &wrong, "10.141.0.1");
    assert_eq!(refused.0, 401, "a password is worth nothing there");
    // Neither is it told that there is such a node, nor that nothing is known of it.
    assert_eq!(ask(&site, "absent", &measured, "10.141.0.1"), refused);
    assert_eq!(ask(&site, "node002", &measured, "10.141.0.1"), refused);
    let password = json!({ "username": "admin", "password": site.password() });
    let (status, answer) = ask(&site, "node001", &password, "10.141.0.1");
    assert_eq!(status, 401);
    assert!(answer["message"].as_str().unwrap().contains("no result"), "{answer}");
    assert_eq!(known(&site, "node001"), MEASURED, "and nothing is stored");
}

#[test]
fn who_guesses_what_a_tpm_measured_has_to_wait_and_no_other_node_has() {
    let site = site();
    assert_eq!(ask(&site, "node001", &with_password(&site, MEASURED), "10.141.0.1").0, 200);
    demand(&site);
    for guess in 0..5 {
        let body = json!({ "tpm_sha256": format!("{guess}") });
        assert_eq!(ask(&site, "node001", &body, "192.0.2.1").1["code"], "unauthenticated");
    }
    let right = json!({ "tpm_sha256": MEASURED });
    let (status, answer) = ask(&site, "node001", &right, "192.0.2.1");
    assert_eq!((status, &answer["code"]), (401, &json!("too_many_attempts")));
    assert_eq!(ask(&site, "node001", &right, "10.141.0.1").0, 200, "from elsewhere");
}

/// A machine whose boot is served asks for its token.
fn boots(site: &ImageSite, measured: Option<&str>) -> (u16, Value) {
    let script = site.text_from("/boot/search/mac/52:54:00:00:00:01", "10.141.0.1").1;
    let (_, rest) = script.split_once("perilune.ticket=").expect("the boot is served");
    let ticket = rest.split_whitespace().next().unwrap();
    let body = json!({ "ticket": ticket, "tpm_sha256": measured });
    site.exchange("node001", &body, "10.141.0.1:700", &KeyPair::generate().unwrap())
}

fn bootable() -> ImageSite {
    let site = site();
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(site.post_image("compute", "", &files).0, 201);
    let mac =
        json!({ "interfaces": [{ "interface": "BOOTIF", "macaddress": "52:54:00:00:00:01" }] });
    for (kind, name, fields) in
        [("group", "compute", json!({ "osimage": "compute" })), ("node", "node001", mac)]
    {
        let body = json!({ "config": { kind: { name: fields } } });
        assert_eq!(site.post(&format!("/config/{kind}/{name}"), &body).0, 204);
    }
    site
}

#[test]
fn what_a_served_machine_measured_first_is_known_and_counts_when_the_cluster_demands_it() {
    let site = bootable();
    assert_eq!(boots(&site, None).0, 201, "no TPM is needed while nobody asks for one");
    assert_eq!(known(&site, "node001"), json!(null));
    assert_eq!(boots(&site, Some(MEASURED)).0, 201);
    assert_eq!(known(&site, "node001"), MEASURED);
    assert_eq!(boots(&site, Some("00FF")).0, 201, "it does not count yet");
    assert_eq!(known(&site, "node001"), MEASURED, "and does not replace the first");
    demand(&site);
    let spelled = format!("0x{}", MEASURED.to_lowercase());
    assert_eq!(boots(&site, Some(&spelled)).0, 201);
    for (measured, reason) in [(None, "shows no TPM"), (Some("00FF"), "measured something else")] {
        let (status, answer) = boots(&site, measured);
        assert_eq!(status, 401);
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("node001 cannot prove who it is"), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_ticket_alone_opens_no_kickstart_file_where_the_cluster_demands_proof() {
    let site = bootable();
    let script = site.text_from("/boot/search/mac/52:54:00:00:00:01", "10.141.0.1").1;
    let (_, rest) = script.split_once("perilune.ticket=").unwrap();
    let ticket = rest.split_whitespace().next().unwrap();
    let path = format!("/kickstart/install/node001?ticket={ticket}");
    assert_eq!(site.text_from(&path, "10.141.0.1").0, 200);
    demand(&site);
    let (status, text) = site.text_from(&path, "10.141.0.1");
    assert_eq!(status, 401);
    assert!(text.contains("security on"), "{text}");
}

#[test]
fn an_installers_password_buys_the_token_of_a_node_that_is_expected_at_its_own_address_and_nothing_else()
 {
    let site = site();
    let user = json!({ "password": "password of images", "role": "installer" });
    let body = json!({ "config": { "user": { "images": user } } });
    assert_eq!(site.post("/config/user/images", &body).0, 201);
    let credentials =
        json!({ "tpm_sha256": MEASURED, "username": "images", "password": "password of images" });
    assert_eq!(site.post_as("/token", &credentials, "").0, 403, "it logs in nowhere");
    let ask = |node: &str, from: &str| site.post_from(&format!("/tpm/{node}"), &credentials, from);
    let own = json!({ "config": { "user": { "images": { "password": "another one" } } } });
    for (node, from) in
        [("node001", "10.141.0.2"), ("node001", "192.0.2.1"), ("node009", "10.141.0.1")]
    {
        assert_eq!(ask(node, from).0, 403, "{node} from {from}");
    }
    let (status, answer) = ask("node001", "10.141.0.1");
    assert_eq!(status, 200, "{answer}");
    let token = answer["token"].as_str().unwrap();
    assert_eq!(site.get_as("/config/node", token).0, 403);
    assert_eq!(known(&site, "node001"), MEASURED, "the first measurement is kept");
    let other =
        json!({ "tpm_sha256": "00", "username": "images", "password": "password of images" });
    assert_eq!(site.post_from("/tpm/node001", &other, "10.141.0.1").0, 200);
    assert_eq!(
        known(&site, "node001"),
        MEASURED,
        "and not replaced by whoever knows that password"
    );
    expect(&site, 0);
    assert_eq!(ask("node001", "10.141.0.1").0, 403, "no boot is expected");
    assert_eq!(site.post_as("/config/user/images/_password", &own, token).0, 403);
    assert_eq!(site.get_as("/openapi.json", "").0, 200);
}
