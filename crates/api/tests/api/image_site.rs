//! A daemon with a directory of its own, trees of operating systems, and a program that could be the agent.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use perilune_api::Limits;
use perilune_daemon::config::{Options, Program};
use perilune_model::network::Network;
use perilune_model::{Draft, Name};
use perilune_plan::Purpose;
use perilune_seal::KeyPair;
use perilune_store::{Commit, Meta, Store};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) const VERSION: &str = "6.1.0-9-test";
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A daemon that serves until this is dropped.
pub(crate) struct ImageSite {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    /// Where it listens, in the order that was asked for.
    pub(crate) addresses: Vec<SocketAddr>,
    token: String,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl ImageSite {
    pub(crate) fn start() -> Self {
        Self::start_with(Limits::default())
    }

    /// One whose clients may take so much.
    pub(crate) fn start_with(connections: Limits) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &["127.0.0.1:0"], connections)
    }

    /// One that speaks http at its first address and https at its second.
    pub(crate) fn start_with_tls(connections: Limits) -> Self {
        let both = ["http://127.0.0.1:0", "https://127.0.0.1:0"];
        Self::start_in(tempfile::tempdir().unwrap(), &both, connections)
    }

    /// One over a directory that has `data` already.
    pub(crate) fn start_over(directory: tempfile::TempDir) -> Self {
        Self::start_in(directory, &["127.0.0.1:0"], Limits::default())
    }

    /// Writes a plugin of the site, which is a program unless its name has an ending, where whoever plugins run as can read it.
    pub(crate) fn plugin(&self, file: &str, text: &str) {
        let path = self.directory.path().join("data/plugins").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&path, if path.extension().is_some() { 0o644 } else { 0o755 });
        let parents = path.ancestors().skip(1);
        for parent in parents.take_while(|parent| parent.starts_with(self.directory.path())) {
            mode(parent, 0o755);
        }
    }

    /// What GET is answered, whatever it is.
    pub(crate) fn bytes(&self, path: &str, token: &str) -> (u16, Vec<u8>) {
        let request = agent().get(format!("http://{}{path}", self.address));
        let mut answer = request.header("x-access-tokens", token).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    }

    fn start_in(directory: tempfile::TempDir, listen: &[&str], connections: Limits) -> Self {
        let data_dir = directory.path().join("data");
        let agent = directory.path().join("agent");
        fs::write(&agent, smallest_program()).unwrap();
        let options = Options {
            config: None,
            data_dir,
            listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
            dhcp_interfaces: Vec::new(),
            address: Some("10.141.255.254/16".parse().unwrap()),
            bootstrap: None,
            worker: None,
            database: None,
            agent: Some(agent),
            // Tests speak for machines elsewhere.
            proxies: vec!["127.0.0.1/32".parse().unwrap()],
            program: Program::THIS,
        };
        let stop = CancellationToken::new();
        let (ready, told) = mpsc::channel();
        let until = stop.clone();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let tell = |addresses: &[SocketAddr]| ready.send(addresses.to_vec()).unwrap();
            runtime.block_on(perilune_api::serve(options, connections, until, tell)).unwrap();
        });
        let addresses = told.recv_timeout(DEADLINE).unwrap();
        let mut site = Self {
            directory,
            address: addresses[0],
            addresses,
            token: String::new(),
            stop,
            server: Some(server),
        };
        let password = site.password();
        let (_, answer) =
            site.post("/token", &json!({ "username": "admin", "password": password }));
        answer["token"].as_str().unwrap().clone_into(&mut site.token);
        site
    }

    /// Stops the daemon and starts another over the same directory.
    pub(crate) fn restart(mut self) -> Self {
        self.halt();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::start_in(directory, &["127.0.0.1:0"], Limits::default())
    }

    /// Stops the daemon; what it has is there as long as the directory.
    pub(crate) fn stopped(mut self) -> tempfile::TempDir {
        self.halt();
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }

    /// The same site with a network that no request may make: in loopback addresses, where tests have machines of their own.
    pub(crate) fn with_network(mut self, name: &str, range: &str) -> Self {
        self.halt();
        let data = self.directory.path().join("data");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (store, cluster) = Store::open(&data, &data.join("luna.key")).unwrap();
            let mut draft = Draft::new(&cluster);
            let name = Name::trusted(name);
            draft.put(Network { name, ipv4: range.parse().ok(), ..Network::default() }).unwrap();
            let commit = Commit { change: draft.finish().1, meta: Meta::default(), key: None };
            store.apply(cluster.revision(), vec![commit]).await.unwrap();
        });
        drop(runtime);
        self.restart()
    }

    fn halt(&mut self) {
        self.stop.cancel();
        self.server.take().map_or(Ok(()), JoinHandle::join).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token of `admin`.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// What `admin` logs in with.
    pub(crate) fn administrator(&self) -> Value {
        json!({ "username": "admin", "password": self.password() })
    }

    /// The password of `admin`.
    pub(crate) fn password(&self) -> String {
        let ini = fs::read_to_string(self.directory.path().join("data/luna.ini")).unwrap();
        let password = ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).unwrap();
        password.to_owned()
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.directory.path().join("data/images")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("data/files")
    }

    pub(crate) fn tftp(&self) -> PathBuf {
        self.directory.path().join("data/tftp")
    }

    /// What HEAD is answered: the status, and the length that is announced.
    pub(crate) fn head(&self, path: &str) -> (u16, Option<String>) {
        let answer = agent().head(format!("http://{}{path}", self.address)).call().unwrap();
        let length = answer.headers().get("content-length");
        (answer.status().as_u16(), length.map(|length| length.to_str().unwrap().to_owned()))
    }

    /// What is answered to an administrator, word for word.
    pub(crate) fn raw(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address);
        let mut response = match method {
            "GET" => agent().get(url).header("x-access-tokens", &self.token).call(),
            _ => agent().post(url).header("x-access-tokens", &self.token).send(body),
        }
        .unwrap();
        let text = response.body_mut().read_to_vec().unwrap();
        (response.status().as_u16(), String::from_utf8_lossy(&text).into_owned())
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.get_as(path, &self.token)
    }

    pub(crate) fn get_as(&self, path: &str, token: &str) -> (u16, Value) {
        let request = agent().get(format!("http://{}{path}", self.address));
        answer(request.header("x-access-tokens", token).call())
    }

    /// What a web server in front is told about a file that somebody with this token asks it for.
    pub(crate) fn may_fetch(&self, uri: &str, token: &str) -> u16 {
        let request = agent().get(format!("http://{}/filesauth", self.address));
        let request = request.header("x-access-tokens", token).header("x-original-uri", uri);
        answer(request.call()).0
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = agent().post(format!("http://{}{path}", self.address));
        answer(request.header("x-access-tokens", &self.token).send_json(body))
    }

    pub(crate) fn post_as(&self, path: &str, body: &Value, token: &str) -> (u16, Value) {
        let request = agent().post(format!("http://{}{path}", self.address));
        answer(request.header("x-access-tokens", token).send_json(body))
    }

    /// Posts a text that need not be JSON.
    pub(crate) fn post_text(&self, path: &str, text: &str) -> (u16, Value) {
        let request = agent().post(format!("http://{}{path}", self.address));
        answer(request.header("x-access-tokens", &self.token).send(text))
    }

    /// Posts bytes.
    pub(crate) fn post_bytes(&self, path: &str, bytes: &[u8], token: Option<&str>) -> (u16, Value) {
        let request = agent().post(format!("http://{}{path}", self.address));
        answer(request.header("x-access-tokens", token.unwrap_or(&self.token)).send(bytes))
    }

    /// What is answered to a post that only says how long its body is.
    pub(crate) fn announce(&self, path: &str, length: u64) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-access-tokens: {}\r\ncontent-length: {length}\r\n\r\n",
            self.token
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Posts as a machine at this address, of which a proxy on the daemon's machine tells.
    pub(crate) fn post_from(&self, path: &str, body: &Value, from: &str) -> (u16, Value) {
        let request = agent().post(format!("http://{}{path}", self.address));
        answer(request.header("x-forwarded-for", from).send_json(body))
    }

    /// What a machine at this address is given.
    pub(crate) fn text_from(&self, path: &str, from: &str) -> (u16, String) {
        let request = agent().get(format!("http://{}{path}", self.address));
        let mut response = request.header("x-forwarded-for", from).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// The same, as it stands.
    pub(crate) fn bytes_from(&self, path: &str, from: &str) -> (u16, Vec<u8>) {
        let request = agent().get(format!("http://{}{path}", self.address));
        let mut response = request.header("x-forwarded-for", from).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_vec().unwrap())
    }

    /// What a route answers the administrator, as it stands.
    pub(crate) fn get_text(&self, path: &str) -> (u16, String) {
        let request = agent().get(format!("http://{}{path}", self.address));
        let mut response = request.header("x-access-tokens", &self.token).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// A group `compute` with node001 and node002.
    pub(crate) fn describe(&self) {
        let save = |resource: &str, name: &str, fields: &Value| {
            let body = json!({ "config": { resource: { name: fields } } });
            assert_eq!(self.post(&format!("/config/{resource}/{name}"), &body).0, 201);
        };
        save("group", "compute", &json!({}));
        for node in ["node001", "node002"] {
            save("node", node, &json!({ "group": "compute" }));
        }
    }

    /// The token that a node has while it installs.
    pub(crate) fn node_token(&self, node: &str) -> String {
        self.some_node_token(node).unwrap()
    }

    /// The same, when there is such a node.
    pub(crate) fn some_node_token(&self, node: &str) -> Option<String> {
        let (status, _) = self.post("/boot/window", &json!({ "nodes": node }));
        let from = self.address_of(node);
        let (_, answer) = self.post_from(&format!("/tpm/{node}"), &self.administrator(), &from);
        Some(answer["token"].as_str().filter(|_| status == 200)?.to_owned())
    }

    /// The node with this MAC address.
    pub(crate) fn node_of(&self, mac: &str) -> String {
        let nodes = self.get("/config/node").1["config"]["node"].clone();
        let has = |node: &Value| node["interfaces"].to_string().contains(mac);
        let found = nodes.as_object().unwrap().iter().find(|(_, node)| has(node));
        found.map(|(name, _)| name.clone()).unwrap()
    }

    /// An address of a node, or of nobody.
    fn address_of(&self, node: &str) -> String {
        let shown = self.get(&format!("/config/node/{node}")).1;
        let interfaces = shown["config"]["node"][node]["interfaces"].clone();
        let address = interfaces[0]["ipaddress"].as_str().map(str::to_owned);
        address.unwrap_or_else(|| "10.9.9.9".to_owned())
    }

    /// What a machine with this key is answered that exchanges its ticket from this address and port.
    pub(crate) fn exchange(
        &self,
        node: &str,
        body: &Value,
        from: &str,
        key: &KeyPair,
    ) -> (u16, Value) {
        let mut body = body.clone();
        body["key"] = String::from(key.public().clone()).into();
        let (status, answer) = self.post_from(&format!("/boot/ticket/{node}"), &body, from);
        (status, opened(key, &Purpose::Token.of(node), answer))
    }

    /// Has the daemon go on with this added to its configuration.
    pub(crate) fn configure(self, text: &str) -> Self {
        let file = self.directory.path().join("data/luna.ini");
        let former = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{former}\n{text}")).unwrap();
        self.restart()
    }

    /// Posts to an image, or to what is below it.
    pub(crate) fn post_image(&self, name: &str, below: &str, fields: &Value) -> (u16, Value) {
        let body = json!({ "config": { "osimage": { name: fields } } });
        self.post(&format!("/config/osimage/{name}{below}"), &body)
    }

    /// An image and its tree.
    pub(crate) fn add_image(&self, name: &str) {
        make_tree(&self.images().join(name));
        assert_eq!(self.post_image(name, "", &json!({ "name": name })).0, 201);
    }

    pub(crate) fn image(&self, name: &str) -> Value {
        let (status, mut answer) = self.get(&format!("/config/osimage/{name}"));
        assert_eq!(status, 200, "{answer}");
        answer["config"]["osimage"][name].take()
    }

    /// What a request is told until it is over: every text but progress, and the worst status.
    pub(crate) fn follow(&self, request_id: &Value) -> (Vec<String>, u64) {
        let path = format!("/config/status/{}", request_id.as_str().unwrap());
        let (mut texts, mut worst) = (Vec::new(), 200);
        until(|| {
            let (status, answer) = self.get_as(&path, "");
            if status == 404 {
                assert_eq!(answer["message"], "No data for this request");
                return true;
            }
            worst = worst.max(answer["status"].as_u64().unwrap());
            let messages = answer["message"].as_str().unwrap().split(";;");
            let told = messages.filter_map(|message| message.split_once(" :: "));
            texts.extend(
                told.map(|(_, text)| text.to_owned()).filter(|text| !text.contains(" bytes")),
            );
            false
        });
        (texts, worst)
    }

    pub(crate) fn pack(&self, name: &str) -> (Vec<String>, u64) {
        let (status, answer) = self.get(&format!("/config/osimage/{name}/_pack"));
        assert_eq!(status, 200, "{answer}");
        self.follow(&answer["request_id"])
    }
}

impl Drop for ImageSite {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.halt();
        }
    }
}

/// What the machine with this key reads in an answer.
pub(crate) fn opened(key: &KeyPair, purpose: &str, answer: Value) -> Value {
    let Ok(sealed) = serde_json::from_value(answer.clone()) else { return answer };
    serde_json::from_slice(&key.open(&sealed, purpose).unwrap()).unwrap()
}

fn agent() -> ureq::Agent {
    let configuration = ureq::Agent::config_builder().http_status_as_error(false);
    configuration.timeout_global(Some(DEADLINE)).build().into()
}

fn answer(response: Result<http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = response.unwrap();
    let bytes = response.body_mut().read_to_vec().unwrap();
    // Archives are no text; whoever asks for one looks at the status.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Waits for something that happens soon.
#[expect(clippy::disallowed_methods, reason = "a condition is waited for, with a deadline")]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "it does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The least that can be packed: a kernel, lists of modules, a file.
pub(crate) fn make_tree(tree: &Path) {
    let modules = tree.join("lib/modules").join(VERSION);
    fs::create_dir_all(modules.join("kernel")).unwrap();
    fs::create_dir_all(tree.join("boot")).unwrap();
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(tree.join("boot").join(format!("vmlinuz-{VERSION}")), "kernel").unwrap();
    fs::write(tree.join("etc/hostname"), "image").unwrap();
    for list in
        ["modules.dep", "modules.alias", "modules.softdep", "modules.order", "modules.builtin"]
    {
        fs::write(modules.join(list), "").unwrap();
    }
}

/// A header of a 64-bit ELF file that needs nothing.
fn smallest_program() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    header.extend([0; 28]);
    header.extend([64, 56, 0, 64, 0, 0].map(u16::to_le_bytes).concat());
    header
}
