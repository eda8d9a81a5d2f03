//! Torrents by unmodified aria2c: the tracker, the torrent that packing makes, the controller's file as a seed, and peers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;

use perilune_torrent::client::Fetch;
use perilune_torrent::metainfo::Torrent;
use perilune_torrent::tracker::Announcement;

use crate::site::{CONTROLLER, Machine, NODE_MAC, Site};
use crate::tools::{ARIA2, CURL, UDHCPC};

const OTHER_MAC: &str = "52:54:00:00:00:02";
const VERSION: &str = "6.1.0-9-test";

/// A site whose image `small` is packed with a torrent, so configured; node001 and node002 are of it, and what the torrent is called.
fn site(torrent: &str) -> (Site, String) {
    let mut site = Site::start("10.141.200.1", "10.141.200.100");
    let tree = site.data().join("images/small");
    let modules = tree.join("lib/modules").join(VERSION);
    for directory in [&modules.join("kernel"), &tree.join("boot"), &tree.join("etc")] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(tree.join("boot").join(format!("vmlinuz-{VERSION}")), "kernel").unwrap();
    for list in
        ["modules.dep", "modules.alias", "modules.softdep", "modules.order", "modules.builtin"]
    {
        fs::write(modules.join(list), "").unwrap();
    }
    // What cannot be compressed, so that there are many pieces.
    let mut noise: u64 = 88_172_645_463_325_252;
    let bytes = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_le_bytes()
    });
    fs::write(tree.join("etc/noise"), bytes.take(1 << 20).flatten().collect::<Vec<u8>>()).unwrap();
    site.write("agent", "");
    fs::write(site.data().join("agent"), smallest_program()).unwrap();
    site.configure(&format!("[TORRENT]\nENABLED = yes\n{torrent}"));
    let agent = format!("PERILUNE_AGENT={}", site.data().join("agent").display());
    site.restart_by(&["/usr/bin/env", &agent]);
    site.cli(&["osimage", "add", "small", "--path", &tree.display().to_string()]);
    site.cli(&["group", "change", "compute", "--osimage", "small"]);
    site.cli(&["node", "add", "node002", "--group", "compute", "--mac", OTHER_MAC]);
    let said = site.cli(&["osimage", "pack", "small"]);
    let files = fs::read_dir(site.data().join("files")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let torrent = names.into_iter().find(|name| name.ends_with(".torrent")).expect(&said);
    (site, torrent)
}

fn smallest_program() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    header.extend([0; 28]);
    header.extend([64, 56, 0, 64, 0, 0].map(u16::to_le_bytes).concat());
    header
}

/// The administrator's token.
fn token(site: &Site, curl: &str) -> String {
    let ini = fs::read_to_string(site.data().join("luna.ini")).unwrap();
    let password = ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).unwrap();
    let login = format!(r#"{{"username":"admin","password":"{password}"}}"#);
    let url = "http://127.0.0.1:7050/token";
    let mut command = site.network.command(curl);
    command.args(["-sS", "-H", "Content-Type: application/json", "--data", &login, url]);
    let answer = perilune_testkit::process::run(&mut command, &crate::site::limit()).unwrap();
    answer.split('"').find(|word| word.starts_with("ey")).unwrap().to_owned()
}

/// What aria2c says that fetches the torrent of this path.
fn fetch(machine: &Machine, torrent: &str, more: &[&str]) -> String {
    let directory = machine.file("got").display().to_string();
    let usual =
        ["--seed-time=0", "--enable-dht=false", "--bt-stop-timeout=20", "--dir", &directory];
    machine.run_both(
        "/usr/bin/timeout",
        &[&["50", "/usr/bin/aria2c"], &usual[..], more, &[torrent]].concat(),
    )
}

/// What the agent's part that speaks with peers gets; who announces itself there by http.
fn fetch_as_the_agent(torrent: &[u8]) -> Vec<u8> {
    let torrent = Torrent::read(torrent).unwrap();
    let file = tempfile::tempfile().unwrap();
    let fetch = Fetch { torrent: &torrent, file: &file, id: *b"-PE0001-aaaaaaaaaaaa", port: 6881 };
    let ask = |said: &Announcement| {
        let mut stream =
            TcpStream::connect((CONTROLLER, 7050)).map_err(|error| error.to_string())?;
        let query = said.query();
        let asked =
            format!("GET /announce?{query} HTTP/1.1\r\nhost: c\r\nconnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
        Ok(answer.split_off(head + 4))
    };
    let fetched = fetch.while_fetching(&ask, |progress| {
        for piece in 0..torrent.layout.pieces {
            progress.wait(piece, std::time::Duration::from_secs(50)).unwrap();
        }
    });
    fetched.unwrap();
    let mut got = vec![0; usize::try_from(torrent.layout.length).unwrap()];
    file.read_exact_at(&mut got, 0).unwrap();
    got
}

#[test]
fn nodes_fetch_their_image_from_the_controller_and_from_each_other_and_strangers_do_not() {
    let (Some(_), Some(udhcpc), Some(curl)) = (ARIA2.find(), UDHCPC.find(), CURL.find()) else {
        return;
    };
    // As before there was a seeder in the daemon.
    let (site, torrent) = site("SEED_PORT = 0\n");
    let archive = torrent.strip_suffix(".torrent").unwrap();
    let original = fs::read(site.data().join("files").join(archive)).unwrap();
    let path = site.data().join("files").join(&torrent).display().to_string();
    let machines = [NODE_MAC, OTHER_MAC, "52:54:00:00:00:77"].map(|mac| site.machine(mac));
    let [first, second, stranger] = &machines;
    for machine in &machines {
        machine.udhcpc(&udhcpc, &[]).unwrap();
        fs::create_dir(machine.file("got")).unwrap();
    }
    // Nobody without a token is a peer's friend: the seed refuses it, and the tracker tells it of nobody.
    let refused = fetch(stranger, &path, &[]);
    assert!(
        !stranger.file("got").join(archive).exists()
            || fs::read(stranger.file("got").join(archive)).unwrap() != original,
        "{refused}"
    );
    let hash: String = {
        let shown = stranger.run("/usr/bin/aria2c", &["-S", &path]).unwrap();
        let line =
            shown.lines().find_map(|line| line.strip_prefix("Info Hash: ")).unwrap().to_owned();
        let pairs = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.fold(String::new(), |all, pair| format!("{all}%{pair}"))
    };
    let announce = format!(
        "http://{CONTROLLER}:7050/announce?info_hash={hash}&peer_id=aaaaaaaaaaaaaaaaaaaa&port=6881&compact=1&left=1"
    );
    let told = stranger.run(&curl, &["-sS", "--output", "-", &announce]).unwrap();
    assert!(told.contains("14:failure reason"), "{told}");
    // With a token, the controller's file is a seed.
    let token = token(&site, &curl);
    let header = format!("--header=x-access-tokens: {token}");
    let said = fetch(first, &path, &[&header]);
    assert_eq!(fs::read(first.file("got").join(archive)).unwrap(), original, "{said}");
    // It goes on giving it to others, who know no token: the tracker tells them of it.
    let directory = first.file("got").display().to_string();
    let mut seeder = first.lab.command("/usr/bin/aria2c");
    seeder.args([
        "--seed-ratio=0",
        "--enable-dht=false",
        "--check-integrity=true",
        "--quiet",
        "--dir",
        &directory,
        &path,
    ]);
    let mut seeder = seeder.spawn().unwrap();
    let is_there = || {
        first
            .run(&curl, &["-sS", "--output", "-", &announce])
            .ok()
            .filter(|told| told.contains("8:completei1e"))
    };
    let found = perilune_testkit::process::wait_for(&crate::site::limit(), is_there).unwrap();
    assert!(found.is_some(), "the seeder announces itself");
    let said = fetch(second, &path, &[]);
    perilune_testkit::process::end(&mut seeder);
    assert_eq!(fs::read(second.file("got").join(archive)).unwrap(), original, "{said}");
    // What is gone is forgotten.
    let over = announce.replace("left=1", "left=0&event=stopped");
    assert!(first.run(&curl, &["-sS", "--output", "-", &over]).unwrap().contains("5:peers0:"));
}

/// What an installer of another maker does: the part of the install script that fetches the image, as it is delivered.
#[test]
fn the_install_script_fetches_the_image_by_unmodified_aria2c() {
    let (Some(_), Some(udhcpc), Some(curl)) = (ARIA2.find(), UDHCPC.find(), CURL.find()) else {
        return;
    };
    let (site, torrent) = site("");
    let archive = torrent.strip_suffix(".torrent").unwrap();
    let original = fs::read(site.data().join("files").join(archive)).unwrap();
    site.cli(&["group", "change", "compute", "--provision-method", "torrent"]);
    let node = site.machine(NODE_MAC);
    node.udhcpc(&udhcpc, &[]).unwrap();
    let header = format!("x-access-tokens: {}", token(&site, &curl));
    // Its token is good where it was asked for, while a boot is expected.
    site.cli(&["node", "arm", "node001"]);
    let url = format!("http://{CONTROLLER}:7050/boot/install/node001");
    let script = node.run(&curl, &["-sSf", "-H", &header, &url]).unwrap();
    let (parts, order) = script.split_once("in this order\n").unwrap();
    assert!(order.contains("\ndownload\n"), "{order}");
    let got = node.file("lunatmp");
    fs::create_dir(&got).unwrap();
    let part = format!("export LUNA_TMP={}\n{parts}\ndownload_torrent\n", got.display());
    fs::write(node.file("part.sh"), part).unwrap();
    let path = node.file("part.sh").display().to_string();
    let said = node.run_both("/bin/bash", &[&path]);
    assert!(fs::read(got.join(archive)).ok().as_ref() == Some(&original), "{said}");
}

#[test]
fn the_daemon_seeds_to_nodes_of_the_image_by_their_unmodified_aria2c_and_to_nobody_else() {
    let (Some(_), Some(udhcpc), Some(curl)) = (ARIA2.find(), UDHCPC.find(), CURL.find()) else {
        return;
    };
    let (site, torrent) = site("UPLOAD_LIMIT = 100\n");
    let archive = torrent.strip_suffix(".torrent").unwrap();
    let original = fs::read(site.data().join("files").join(archive)).unwrap();
    let path = site.data().join("files").join(&torrent);
    let told = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    assert!(!told.contains("8:url-list"), "nodes that share fetch nothing whole from a web server");
    let path = path.display().to_string();
    let machines = [NODE_MAC, OTHER_MAC, "52:54:00:00:00:77"].map(|mac| site.machine(mac));
    let [first, second, stranger] = &machines;
    for machine in &machines {
        machine.udhcpc(&udhcpc, &[]).unwrap();
        fs::create_dir(machine.file("got")).unwrap();
    }
    // Without a token: whose image it is, is known by the address. One by aria2c, the other as our agent does it.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let said = fetch(first, &path, &[]);
            assert!(fs::read(first.file("got").join(archive)).unwrap() == original, "{said}");
        });
        scope.spawn(|| {
            let text = fs::read(&path).unwrap();
            let got = second.lab.inside(|| fetch_as_the_agent(&text)).unwrap();
            assert!(got == original);
        });
    });
    // A stranger is told of nobody, and is not answered where it knows the way.
    let said = fetch(stranger, &path, &["--bt-stop-timeout=5"]);
    assert!(
        fs::read(stranger.file("got").join(archive)).ok().as_ref() != Some(&original),
        "{said}"
    );
    let shown = stranger.run("/usr/bin/aria2c", &["-S", &path]).unwrap();
    let hash = shown.lines().find_map(|line| line.strip_prefix("Info Hash: ")).unwrap();
    let written = |before: &str| {
        let pairs = hash.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.fold(String::new(), |all, pair| format!("{all}{before}{pair}"))
    };
    // Both say that they are there; the stranger is not heard.
    let announce = format!(
        "http://{CONTROLLER}:7050/announce?info_hash={}&peer_id=aaaaaaaaaaaaaaaaaaaa&port=6881&compact=1&left=1",
        written("%")
    );
    for machine in [first, stranger] {
        machine.run(&curl, &["-sS", "--output", "/dev/null", &announce]).unwrap();
    }
    let ask = |hash: &str| {
        let script = format!(
            "exec 3<>/dev/tcp/{CONTROLLER}/6881; printf '\\x13BitTorrent protocol\\0\\0\\0\\0\\0\\0\\0\\0{hash}aaaaaaaaaaaaaaaaaaaa' >&3; timeout 5 head -c 20 <&3"
        );
        machines.each_ref().map(|machine| machine.run_both("/bin/bash", &["-c", &script]))
    };
    let [node, _, stranger] = ask(&written("\\x"));
    assert!(node.contains("BitTorrent protocol"), "{node:?}");
    assert_eq!(stranger, "");
    let unknown = "\\x09".repeat(20);
    assert_eq!(ask(&unknown), ["", "", ""].map(str::to_owned));
}
