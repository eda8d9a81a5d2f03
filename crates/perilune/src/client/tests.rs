use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::access::{self, Access, Credentials, Options, Surroundings, find, normalise};
use super::token::{Session, TokenFile, is_expired, now};
use super::trust::Trust;
use super::{Client, Error, path};

/// A token that says when it ends, and whose it is.
fn token(mark: &str, expiry: u64) -> String {
    let claims = json!({ "exp": expiry, "mark": mark }).to_string();
    format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims))
}

/// Gives the answers in turn and returns the requests.
fn serve(answers: Vec<(u16, String)>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            requests.push(read_request(&mut stream));
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    (url, server)
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        request.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) || count == 0 {
            return request;
        }
    }
}

fn answer_token(token: &str) -> (u16, String) {
    (201, json!({ "token": token }).to_string())
}

#[test]
fn the_client_logs_in_once_and_shows_its_token() {
    let good = token("good", now() + 600);
    let (url, server) =
        serve(vec![answer_token(&good), (200, "{\"a\": 1}".to_owned()), (204, String::new())]);
    let client = Client::with_password(&url, "luna", "secret").unwrap();
    assert_eq!(client.get("/x").unwrap(), json!({ "a": 1 }));
    assert_eq!(client.get("/y").unwrap(), json!(null));
    let requests = server.join().unwrap();
    assert!(requests[0].contains(r#"{"username":"luna","password":"secret"}"#), "{}", requests[0]);
    assert!(requests[1].contains(&format!("x-access-tokens: {good}")), "{}", requests[1]);
    assert!(requests[2].starts_with("GET /y "), "{}", requests[2]);
}

#[test]
fn a_token_that_the_daemon_does_not_accept_is_replaced_once() {
    let (old, new) = (token("old", now() + 600), token("new", now() + 600));
    let refusal = (401, json!({ "message": "Token is invalid" }).to_string());
    let (url, server) = serve(vec![
        answer_token(&old),
        refusal.clone(),
        answer_token(&new),
        (200, "{}".to_owned()),
    ]);
    let client = Client::with_password(&url, "luna", "secret").unwrap();
    client.login().unwrap();
    client.post("/x", &json!({ "b": 2 })).unwrap();
    let requests = server.join().unwrap();
    assert!(requests[3].contains(&new) && requests[3].ends_with(r#"{"b":2}"#), "{}", requests[3]);

    let (url, server) = serve(vec![answer_token(&old), refusal]);
    let client = Client::with_password(&url, "luna", "secret").unwrap();
    let error = client.get("/x").unwrap_err();
    assert!(matches!(error, Error::LoginRefused { .. }), "{error}");
    server.join().unwrap();
}

#[test]
fn an_expired_token_is_not_even_tried() {
    let (old, new) = (token("old", now() - 1), token("new", now() + 600));
    let (url, server) = serve(vec![answer_token(&old), answer_token(&new), (200, "{}".to_owned())]);
    let client = Client::with_password(&url, "luna", "secret").unwrap();
    client.login().unwrap();
    client.get("/x").unwrap();
    assert!(server.join().unwrap()[2].contains(&new));
    assert!(!is_expired("no token at all", now()));
}

#[test]
fn the_daemons_words_reach_the_user_whatever_the_status() {
    let answers = [
        (404, r#"{"message": "no group gpu"}"#, "no group gpu"),
        (404, "", "this daemon has no route /x"),
        (400, r#"{"message": "network is full"}"#, "network is full"),
        (500, "<html>", "the daemon answers with status 500 and no reason"),
        (200, "<html>", "is not that of a Perilune daemon: no JSON in it"),
    ];
    for (status, body, expected) in answers {
        let good = token("good", now() + 600);
        let (url, server) = serve(vec![answer_token(&good), (status, body.to_owned())]);
        let error = Client::with_password(&url, "luna", "x").unwrap().get("/x").unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        server.join().unwrap();
    }
}

#[test]
fn an_empty_list_is_empty_and_a_wrong_password_is_a_refused_login() {
    let good = token("good", now() + 600);
    let none = (404, r#"{"message": "no nodes"}"#.to_owned());
    let (url, server) = serve(vec![answer_token(&good), none]);
    assert!(Client::with_password(&url, "luna", "x").unwrap().objects("node").unwrap().is_empty());
    server.join().unwrap();

    let (url, server) = serve(vec![(401, r#"{"message": "Incorrect password"}"#.to_owned())]);
    let error = Client::with_password(&url, "luna", "y").unwrap().get("/x").unwrap_err();
    assert!(error.to_string().ends_with("refuses the login: Incorrect password"), "{error}");
    server.join().unwrap();
}

#[test]
fn nobody_at_the_address_is_told_with_the_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let error = Client::with_password(&url, "luna", "x").unwrap().get("/x").unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[test]
fn names_with_blanks_are_encoded_in_paths() {
    assert_eq!(path(["config", "osimage", "my image/1"]), "/config/osimage/my%20image%2F1");
}

#[test]
fn an_address_may_be_written_short() {
    assert_eq!(normalise("controller"), "http://controller:7050");
    assert_eq!(normalise("https://controller:443/"), "https://controller:443");
    assert_eq!(normalise("http://[fd00::1]"), "http://[fd00::1]:7050");
    assert_eq!(normalise("[fd00::1]:80"), "http://[fd00::1]:80");
}

#[test]
fn a_kept_token_is_readable_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = TokenFile(directory.path().join("perilune/token.json"));
    assert_eq!(file.load(), None);
    file.store(&session("http://a:7050", "luna", "first")).unwrap();
    file.store(&session("http://a:7050", "luna", "second")).unwrap();
    assert_eq!(file.load().unwrap().token, "second");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file.0), 0o600);
    assert_eq!(mode(file.0.parent().unwrap()), 0o700);
    assert_eq!(std::fs::read_dir(file.0.parent().unwrap()).unwrap().count(), 1);
    assert!(file.remove().unwrap());
    assert!(!file.remove().unwrap());
}

fn session(url: &str, username: &str, token: &str) -> Session {
    let (url, username, token) = (url.to_owned(), username.to_owned(), token.to_owned());
    Session { url, username, token, login: None, certificate: None }
}

#[test]
fn a_kept_token_is_used_only_for_the_login_that_it_was_got_with() {
    let home = Home::new();
    let known = |path: &Path| {
        let options = Options { config: Some(path.to_owned()), ..Options::default() };
        find(&options, &home.surroundings()).unwrap().credentials.known_token()
    };
    let here = home.configure("luna.ini", "controller1:7050");
    let access =
        find(&Options { config: Some(here.clone()), ..Options::default() }, &home.surroundings());
    let Credentials::Password { username, password, cache } = access.unwrap().credentials else {
        panic!("no password")
    };
    cache.unwrap().store(&username, &password, "kept").unwrap();
    assert_eq!(known(&here).as_deref(), Some("kept"));

    // Another site that took the same address: only its key or its password tells.
    let text = std::fs::read_to_string(&here).unwrap();
    let other = home.0.path().join("other.ini");
    for changed in [format!("{text}SECRET_KEY = another\n"), text.replace("=1", "=2")] {
        std::fs::write(&other, changed).unwrap();
        assert_eq!(known(&other), None);
    }
    assert!(!std::fs::read_to_string(cached(&home)).unwrap().contains(&password));
}

fn cached(home: &Home) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(home.0.path().join("cache")).unwrap();
    files.next().unwrap().unwrap().path()
}

/// A user with a home, and a daemon on this machine.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            config_directory: Some(self.0.path().join("config")),
            cache_directory: Some(self.0.path().join("cache")),
            data_directory: None,
            configurations: vec![self.0.path().join("none.ini"), self.0.path().join("luna.ini")],
        }
    }

    fn configure(&self, name: &str, endpoint: &str) -> std::path::PathBuf {
        let path = self.0.path().join(name);
        let text = format!(
            "; made at first start\n[LOGGER]\nLEVEL = info\n[API]\nusername = luna\nPASSWORD = \"p;#%\\n=1\n\
             ENDPOINT = {endpoint}\nPROTOCOL = http\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn login(&self, url: &str, token: &str) {
        let file = self.surroundings().login_file().unwrap();
        file.store(&session(url, "root", token)).unwrap();
    }
}

fn password_of(access: &Access) -> Option<&str> {
    match &access.credentials {
        Credentials::Password { password, .. } => Some(password),
        Credentials::Token(_) => None,
    }
}

#[test]
fn a_daemon_on_this_machine_is_found_and_its_password_taken_as_it_is_written() {
    let home = Home::new();
    home.configure("luna.ini", "controller1:7050");
    let access = find(&Options::default(), &home.surroundings()).unwrap();
    assert_eq!(access.url, "http://controller1:7050");
    assert_eq!(password_of(&access), Some("\"p;#%\\n=1"));
}

#[test]
fn a_site_that_does_not_verify_is_believed_at_its_own_address_only() {
    let home = Home::new();
    let path = home.configure("luna.ini", "controller1:7050");
    let trust = |options: &Options| find(options, &home.surroundings()).unwrap().trust;
    assert_eq!(trust(&Options::default()), Trust::Anybody);
    let named = Options { config: Some(path.clone()), ..Options::default() };
    assert_eq!(trust(&named), Trust::Anybody);
    let elsewhere = Options { url: Some("https://evil".to_owned()), ..named };
    assert_eq!(trust(&elsewhere), Trust::default());
    home.login("http://controller1:7050", &token("good", now() + 600));
    assert_eq!(trust(&Options::default()), Trust::Anybody, "after a login, too");
    let text = std::fs::read_to_string(&path).unwrap() + "VERIFY_CERTIFICATE = yes\n";
    std::fs::write(&path, text).unwrap();
    let Trust::Certificates(files) = trust(&Options::default()) else { panic!("anybody") };
    assert_eq!(files[0].path, path.with_file_name("tls.crt"), "the daemon's own is known");
}

#[test]
fn a_login_comes_before_what_is_found_and_an_expired_one_does_not_count() {
    let home = Home::new();
    home.configure("luna.ini", "controller1:7050");
    let good = token("good", now() + 600);
    home.login("http://other:7050", &good);
    let access = find(&Options::default(), &home.surroundings()).unwrap();
    assert_eq!(
        access,
        Access {
            url: "http://other:7050".to_owned(),
            credentials: Credentials::Token(good),
            trust: Trust::default(),
        }
    );

    home.login("http://controller1:7050", &token("old", now() - 1));
    let access = find(&Options::default(), &home.surroundings()).unwrap();
    assert!(password_of(&access).is_some());

    home.login("http://other:7050", &token("old", now() - 1));
    let error = find(&Options::default(), &home.surroundings()).unwrap_err();
    assert!(error.to_string().contains("http://other:7050"), "{error}");
}

#[test]
fn a_password_that_was_merely_found_is_not_sent_to_another_address() {
    let home = Home::new();
    home.configure("luna.ini", "controller1:7050");
    let elsewhere = Options { url: Some("evil".to_owned()), ..Options::default() };
    assert!(matches!(
        find(&elsewhere, &home.surroundings()),
        Err(access::Error::Missing { unreadable: None, .. })
    ));
    let named =
        Options { config: Some(home.configure("named.ini", "controller1:7050")), ..elsewhere };
    let access = find(&named, &home.surroundings()).unwrap();
    assert_eq!(access.url, "http://evil:7050");
}

#[test]
fn what_the_user_names_comes_first_and_must_be_usable() {
    let home = Home::new();
    home.login("http://other:7050", &token("good", now() + 600));
    let data = Surroundings {
        data_directory: Some(home.configure("luna.ini", "data:7050").parent().unwrap().to_owned()),
        ..home.surroundings()
    };
    assert_eq!(find(&Options::default(), &data).unwrap().url, "http://data:7050");

    let token = Options { token: Some("given".to_owned()), ..Options::default() };
    let access = find(&token, &home.surroundings()).unwrap();
    assert_eq!(access.credentials, Credentials::Token("given".to_owned()));

    let missing = Options { config: Some(home.0.path().join("no.ini")), ..Options::default() };
    let error = find(&missing, &home.surroundings()).unwrap_err().to_string();
    assert!(error.contains("no.ini: there is no such file"), "{error}");
    std::fs::write(home.0.path().join("no.ini"), "[API]\nUSERNAME = luna\n").unwrap();
    let error = find(&missing, &home.surroundings()).unwrap_err().to_string();
    assert!(error.contains("[API] needs USERNAME and PASSWORD"), "{error}");
}

#[test]
fn the_certificate_of_a_login_is_believed_by_later_calls() {
    let home = Home::new();
    let url = "https://controller1:7050";
    let kept = Session {
        certificate: Some("/etc/site.crt".into()),
        ..session(url, "ann", &token("a", now() + 1000))
    };
    home.surroundings().login_file().unwrap().store(&kept).unwrap();
    let believed = |options: &Options| match find(options, &home.surroundings()).unwrap().trust {
        Trust::Certificates(files) => {
            files.into_iter().filter(|file| file.is_named).map(|file| file.path).collect()
        }
        Trust::Anybody => Vec::new(),
    };
    assert_eq!(believed(&Options::default()), [Path::new("/etc/site.crt")]);
    let other = Options { certificate: Some("/etc/other.crt".into()), ..Options::default() };
    assert_eq!(believed(&other), [Path::new("/etc/other.crt")]);
}
