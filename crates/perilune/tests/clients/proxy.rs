//! nginx in front of the daemon on the controller's machine, as existing sites have it: port 7051 by http, no word about who asks,
//! HTTP/1.0, decoded paths, and a question about each file.

use std::fs;
use std::process::Child;

use perilune_testkit::Error;
use perilune_testkit::process::{end, run, wait_for};

use crate::site::{CONTROLLER, Machine, NODE_MAC, Site, limit};
use crate::tools::{CURL, NGINX, UDHCPC};

/// What the configuration of existing sites lacks.
const LINE: &str = "proxy_set_header X-Forwarded-For $remote_addr;";
const KERNEL: &str = "compute-1-vmlinuz-6.1.0";
const ARCHIVE: &str = "compute-1.tar.bz2";

/// nginx, until this is dropped.
struct Nginx(Child);

impl Nginx {
    fn start(site: &Site, program: &str, protocol: &str, more: &str) -> Self {
        let directory = site.data().join("nginx");
        fs::create_dir_all(&directory).unwrap();
        let (own, files) = (directory.display(), site.data().join("files"));
        let files = files.display();
        let configuration = format!(
            r#"daemon off; user root; worker_processes 1; pid {own}/pid; error_log {own}/error info;
events {{ worker_connections 64; }}
http {{
    access_log off; default_type application/octet-stream;
    client_body_temp_path {own}/1; proxy_temp_path {own}/2; fastcgi_temp_path {own}/3; uwsgi_temp_path {own}/4; scgi_temp_path {own}/5;
    server {{
        listen 7051; listen [::]:7051;
        root {files};
        location = /filesauth {{
            internal;
            proxy_pass {protocol}://127.0.0.1:7050/filesauth;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header X-Original-URI $request_uri;
            proxy_set_header CallType "MAJOR";
        }}
        location /files/ {{ auth_request /filesauth; alias {files}/; }}
        location /boot {{ proxy_pass {protocol}://127.0.0.1:7050/boot; {more} }}
    }}
}}
"#
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let error = directory.join("error");
        let error = error.display().to_string();
        let mut command = site.network.command(program);
        let child = command.args(["-e", &error, "-c"]).arg(&file).spawn().unwrap();
        Self(child)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Fetches as a machine does. The body, and behind it the status.
fn fetch(machine: &Machine, curl: &str, url: &str, more: &[&str]) -> String {
    let usual = ["--silent", "--globoff", "--write-out", "%{http_code}", url];
    let fetched = || -> Result<String, Error> { machine.run(curl, &[&usual[..], more].concat()) };
    wait_for(&limit(), || fetched().ok()).unwrap().expect("nobody answers")
}

/// A daemon whose node has an image, and says that files are fetched from port 7051.
fn site(curl: &str) -> Site {
    let mut site = Site::start("10.141.200.1", "10.141.200.100");
    for file in [KERNEL, ARCHIVE, "compute-1-initramfs"] {
        fs::write(site.data().join("files").join(file), "content of a file").unwrap();
    }
    let image = format!(
        r#"{{"config":{{"osimage":{{"compute":{{"kernelfile":"{KERNEL}","initrdfile":"compute-1-initramfs","imagefile":"{ARCHIVE}"}}}}}}}}"#
    );
    let header = format!("x-access-tokens: {}", token(&site, curl));
    ask(&site, curl, "/config/osimage/compute", &["--header", &header, "--data", &image]);
    site.cli(&["group", "change", "compute", "--osimage", "compute"]);
    site.cli(&["group", "add", "two words"]);
    let configuration = site.data().join("luna.ini");
    let ini = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, format!("{ini}\n[WEBSERVER]\nPORT = 7051\nPROTOCOL = http\n"))
        .unwrap();
    site.restart();
    // No firmware of a node asks for an address here.
    site.cli(&["node", "arm", "node001"]);
    site
}

/// Asks the daemon on its own machine.
fn ask(site: &Site, curl: &str, path: &str, more: &[&str]) -> String {
    let mut command = site.network.command(curl);
    let address = format!("http://127.0.0.1:7050{path}");
    run(command.args(["--silent", "--fail-with-body", &address]).args(more), &limit()).unwrap()
}

/// A token of the administrator.
pub(crate) fn token(site: &Site, curl: &str) -> String {
    let ini = fs::read_to_string(site.data().join("luna.ini")).unwrap();
    let password = ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).unwrap();
    let login = format!(r#"{{"username":"admin","password":"{password}"}}"#);
    let answer = ask(site, curl, "/token", &["--data", &login]);
    answer.split('"').find(|word| word.starts_with("ey")).unwrap().to_owned()
}

fn node(site: &Site) -> Machine {
    let machine = site.machine(NODE_MAC);
    machine.take("10.141.0.1/16");
    machine
}

/// The addresses that a script names, by what stands before them.
fn addresses<'a>(script: &'a str, behind: &'a str) -> impl Iterator<Item = &'a str> {
    script.split_whitespace().filter(move |word| word.starts_with("http") && word.contains(behind))
}

#[test]
fn a_node_boots_behind_a_proxy_that_names_nobody() {
    let (Some(nginx), Some(curl)) = (NGINX.find(), CURL.find()) else { return };
    let site = site(&curl);
    let _front = Nginx::start(&site, &nginx, "http", "");
    let machine = node(&site);
    let menu = fetch(&machine, &curl, &format!("http://{CONTROLLER}:7051/boot"), &[]);
    assert!(menu.contains(&format!("echo {LINE}\n")), "{menu}");
    let own = format!("http://{CONTROLLER}:7050/boot");
    assert!(addresses(&menu, "/boot").all(|address| address.starts_with(&own)), "{menu}");
    let search = addresses(&menu, "/boot/search").next().unwrap().replace("${hwdata}", NODE_MAC);
    let script = fetch(&machine, &curl, &search, &[]);
    assert!(script.contains(" perilune.ticket="), "{script}");
    assert!(!script.contains("echo This script came through a proxy"), "{script}");
    let kernel = format!("http://{CONTROLLER}:7051/files/{KERNEL}");
    assert_eq!(addresses(&script, "vmlinuz").next(), Some(&*kernel), "{script}");
    assert_eq!(fetch(&machine, &curl, &kernel, &[]), "content of a file200");
    let warnings = site.cli(&["status", "--output", "json"]);
    assert!(warnings.contains(LINE), "{warnings}");
}

#[test]
fn what_the_proxy_lacks_is_told_until_it_names_who_asks_and_its_ticket_is_the_nodes_all_the_same() {
    let (Some(nginx), Some(curl)) = (NGINX.find(), CURL.find()) else { return };
    let mut site = site(&curl);
    let front = Nginx::start(&site, &nginx, "http", "");
    let machine = node(&site);
    let search = format!("http://{CONTROLLER}:7051/boot/search/mac/{NODE_MAC}");
    let script = fetch(&machine, &curl, &search, &[]);
    assert!(script.contains("perilune.ticket="), "it is good at the node's own address: {script}");
    assert!(script.contains(&format!("echo {LINE}\n")), "{script}");
    assert!(site.cli(&["status"]).contains("X-Forwarded-For"));
    // What a machine brings along itself is not believed, whatever it says.
    let own = search.replace("7051", "7050");
    let forged = fetch(&machine, &curl, &own, &["-H", "X-Forwarded-For: 10.141.9.9"]);
    assert!(forged.contains("perilune.ticket="), "{forged}");
    // A name with a blank comes decoded to nginx's side, and whole to ours.
    let group = format!("http://{CONTROLLER}:7051/boot/manual/group/two%20words/52:54:00:00:00:99");
    let made = fetch(&machine, &curl, &group, &[]);
    assert!(made.contains("two words") || made.contains("No Node is available"), "{made}");
    drop(front);
    let _front = Nginx::start(&site, &nginx, "http", LINE);
    let told = || fetch(&machine, &curl, &search, &[]).contains(LINE);
    assert!(told(), "the daemon believes only proxies that its configuration names");
    let configuration = site.data().join("luna.ini");
    let ini = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, ini.replacen("[API]\n", "[API]\nPROXIES = 127.0.0.1\n", 1)).unwrap();
    site.restart();
    assert!(wait_for(&limit(), || (!told()).then_some(())).is_ok());
    assert!(!site.cli(&["status"]).contains("X-Forwarded-For"));
}

#[test]
fn nginx_is_told_which_files_it_may_hand_out() {
    let (Some(nginx), Some(curl)) = (NGINX.find(), CURL.find()) else { return };
    let site = site(&curl);
    let _front = Nginx::start(&site, &nginx, "http", "");
    let machine = node(&site);
    let with_token = format!("x-access-tokens: {}", token(&site, &curl));
    let files = format!("http://{CONTROLLER}:7051/files/");
    // The headers of the client reach the question, too; nginx takes any answer but 2xx, 401 and 403 for a failure.
    let conditions = [
        "-H",
        "Range: bytes=0-6",
        "-H",
        "If-None-Match: *",
        "-H",
        "If-Modified-Since: Thu, 01 Jan 2070 00:00:00 GMT",
    ];
    assert!(
        fetch(&machine, &curl, &format!("{files}{KERNEL}"), &conditions[..2])
            .starts_with("content206")
    );
    for more in [&[][..], &conditions[2..4], &conditions[4..], &conditions] {
        let of_kernel = fetch(&machine, &curl, &format!("{files}{KERNEL}"), more);
        assert!(!of_kernel.ends_with("500"), "{of_kernel}");
        let of_archive = fetch(&machine, &curl, &format!("{files}{ARCHIVE}?x=1"), more);
        assert!(of_archive.ends_with("401"), "{of_archive}");
        let more = [more, &["-H", &with_token]].concat();
        let of_archive = fetch(&machine, &curl, &format!("{files}{ARCHIVE}"), &more);
        assert!(!of_archive.ends_with("401") && !of_archive.ends_with("500"), "{of_archive}");
    }
}

#[test]
fn firmware_is_sent_to_the_port_that_speaks_http() {
    let (Some(nginx), Some(curl), Some(udhcpc)) = (NGINX.find(), CURL.find(), UDHCPC.find()) else {
        return;
    };
    let mut site = site(&curl);
    let configuration = site.data().join("luna.ini");
    let ini = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, ini.replacen("PROTOCOL = http\n", "PROTOCOL = https\n", 1)).unwrap();
    site.restart_at(&["https://0.0.0.0:7050", "http://0.0.0.0:8080"]);
    let _front = Nginx::start(&site, &nginx, "https", "");
    let machine = site.machine(NODE_MAC);
    let ipxe = ["-V", "PXEClient:Arch:00007:UNDI:003010", "-x", "0x5d:0007", "-x", "0x4d:69505845"];
    let told = machine.udhcpc(&udhcpc, &ipxe).unwrap();
    let boot = format!("http://{CONTROLLER}:8080/boot");
    assert_eq!(told.get("boot_file"), boot, "{told:?}");
    for first in [boot.clone(), format!("http://{CONTROLLER}:7051/boot")] {
        let menu = fetch(&machine, &curl, &first, &[]);
        let search =
            addresses(&menu, "/boot/search").next().unwrap().replace("${hwdata}", NODE_MAC);
        assert!(search.starts_with(&boot), "{menu}");
        let script = fetch(&machine, &curl, &search, &[]);
        assert!(script.contains(" perilune.ticket="), "{script}");
        assert!(script.contains(&format!(" luna.url=https://{CONTROLLER}:7050 ")), "{script}");
        assert!(script.contains(&format!(" http://{CONTROLLER}:7051/files/")), "{script}");
    }
}
