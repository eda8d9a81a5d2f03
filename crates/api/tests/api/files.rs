//! `/files`, as firmware, iPXE, curl and a web server in front ask for it.

use std::process::Command;

use crate::image_site::ImageSite;

const KERNEL: &str = "/files/vmlinuz-6.1";

fn site() -> ImageSite {
    let site = ImageSite::start();
    for name in ["vmlinuz-6.1", "vmlinuz", "a b.img", "i.tar.bz2"] {
        std::fs::write(site.files().join(name), "0123456789").unwrap();
    }
    site
}

/// Status, headers in small letters, and body of what curl is answered.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn curl(site: &ImageSite, path: &str, options: &[&str]) -> Answer {
    let url = format!("http://{}{path}", site.address);
    let always = ["--silent", "--include", "--path-as-is", "--max-time", "30", "--noproxy", "*"];
    let output = Command::new("curl").args(always).args(options).arg(url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.replace('\r', ""), body: body.to_owned() }
}

fn with(site: &ImageSite, headers: &[&str]) -> Answer {
    let options: Vec<&str> = headers.iter().flat_map(|header| ["--header", *header]).collect();
    curl(site, KERNEL, &options)
}

#[test]
fn the_whole_file_comes_with_what_clients_need_to_go_on() {
    let site = site();
    let answer = curl(&site, KERNEL, &[]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "0123456789"));
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=vmlinuz-6.1");
    assert!(!answer.header("etag").is_empty() && !answer.header("last-modified").is_empty());
    let head = curl(&site, KERNEL, &["--head"]);
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "10", ""));
    assert_eq!(curl(&site, "/files/vmlinuz", &[]).status, 200, "without an extension");
}

#[test]
fn a_range_is_a_part_and_what_is_none_is_the_whole() {
    let site = site();
    for (range, part, place) in
        [("2-4", "234", "bytes 2-4/10"), ("7-", "789", "bytes 7-9/10"), ("-1", "9", "bytes 9-9/10")]
    {
        let answer = curl(&site, KERNEL, &["--range", range]);
        assert_eq!((answer.status, answer.body.as_str()), (206, part), "{range}");
        assert_eq!(answer.header("content-range"), place);
    }
    let beyond = curl(&site, KERNEL, &["--range", "10-"]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */10"));
    for range in ["bytes=0-1,4-5", "lines=1-2", "bytes=b-a"] {
        let answer = with(&site, &[&format!("Range: {range}")]);
        assert_eq!((answer.status, answer.body.as_str()), (200, "0123456789"), "{range}");
    }
}

#[test]
fn conditions_are_kept() {
    let site = site();
    let whole = curl(&site, KERNEL, &[]);
    let (tag, date) = (whole.header("etag"), whole.header("last-modified"));
    for condition in [
        format!("If-None-Match: {tag}"),
        format!("If-None-Match: \"other\", {tag}"),
        format!("If-Modified-Since: {date}"),
    ] {
        let answer = with(&site, &[&condition]);
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{condition}");
    }
    assert_eq!(with(&site, &["If-None-Match: \"other\""]).status, 200);
    for same in [tag, date] {
        let answer = with(&site, &["Range: bytes=2-4", &format!("If-Range: {same}")]);
        assert_eq!((answer.status, answer.body.as_str()), (206, "234"), "{same}");
    }
    for range in ["2-4", "100-"] {
        let range = format!("Range: bytes={range}");
        let answer = with(&site, &[&range, "If-Range: \"other\""]);
        assert_eq!((answer.status, answer.body.as_str()), (200, "0123456789"), "another file");
    }
}

#[test]
fn names_are_what_they_come_to() {
    let site = site();
    for path in
        ["//files//vmlinuz-6.1", "/files/vmlinuz%2d6.1", "/files/vmlinuz-6.1?x", "/files/a%20b.img"]
    {
        assert_eq!(curl(&site, path, &[]).status, 200, "{path}");
    }
    for path in
        ["/files/i.tar.bz2", "/files/i.tar.bz2?x", "/files/i.tar%2ebz2", "//files//i.tar.bz2"]
    {
        assert_eq!(curl(&site, path, &[]).status, 401, "{path}");
        assert_eq!(curl(&site, path, &["--head"]).status, 401, "{path}");
    }
    for path in [
        "/files/../luna.ini",
        "/files/..%2fluna.ini",
        "/files/%2e%2e/luna.ini",
        "/files/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/files/..%5cluna.ini",
        "/files/vmlinuz-6.1%00",
        "/files/..",
        "/files/.",
        "/files/absent-1",
    ] {
        let answer = curl(&site, path, &[]);
        assert!([404, 503].contains(&answer.status), "{path}: {}", answer.status);
    }
}

#[test]
fn a_web_server_in_front_is_told_what_may_be_handed_out() {
    let site = site();
    let ask = |uri: &str, token: &str| {
        let (uri, token) = (format!("X-Original-URI: {uri}"), format!("x-access-tokens: {token}"));
        curl(&site, "/filesauth", &["--header", &uri, "--header", &token]).status
    };
    assert_eq!(ask("/files/vmlinuz-6.1?x", ""), 200);
    for uri in
        ["/files/i.tar.bz2", "/files/i.tar.bz2?a", "/files/i.tar.bz2/x/..", "/files/i.tar%2ebz2"]
    {
        assert_eq!(ask(uri, ""), 401, "{uri}");
        assert_eq!(ask(uri, site.token()), 200, "{uri}");
    }
}
