//! Files for firmware, as its kin among the programs fetch them.

use std::fs;

use perilune_testkit::Error;

use crate::site::{CONTROLLER, Machine, Site};
use crate::tools::{ATFTP, CURL, TFTP};

/// A site, a machine with an address, and a file `program` that ends within a block of any usual size.
fn place(length: usize) -> (Site, Machine, Vec<u8>) {
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let machine = site.machine("52:54:00:00:00:77");
    machine.take("10.141.0.99/16");
    let bytes: Vec<u8> =
        (0..length).map(|number| (number * number / 251).to_le_bytes()[0]).collect();
    fs::write(site.data().join("tftp/program"), &bytes).unwrap();
    (site, machine, bytes)
}

fn url(name: &str) -> String {
    format!("tftp://{CONTROLLER}/{name}")
}

#[test]
fn curl_gets_every_byte_with_blocks_of_any_size() {
    let Some(curl) = CURL.find() else { return };
    // With blocks of eight bytes, their numbers begin anew.
    let (site, machine, bytes) = place(600_000);
    for size in ["8", "512", "1468", "8192"] {
        let arguments = ["--silent", "--show-error", "--tftp-blksize", size, "--output", "got"];
        machine.run(&curl, &[&arguments[..], &[&url("program")]].concat()).unwrap();
        assert!(fs::read(machine.file("got")).unwrap() == bytes, "blocks of {size} bytes");
    }
    // Without options, as the oldest firmware asks.
    let plain = ["--silent", "--tftp-no-options", "--output", "got"];
    machine.run(&curl, &[&plain[..], &[&url("program")]].concat()).unwrap();
    assert!(fs::read(machine.file("got")).unwrap() == bytes, "without options");
    for length in [0, 1, 512, 1024] {
        fs::write(site.data().join("tftp/short"), &bytes[..length]).unwrap();
        machine.run(&curl, &[&plain[..], &[&url("short")]].concat()).unwrap();
        assert!(fs::read(machine.file("got")).unwrap() == bytes[..length], "{length} bytes");
    }
}

#[test]
fn atftp_gets_every_byte_with_windows_and_is_told_the_size() {
    let Some(atftp) = ATFTP.find() else { return };
    let (_site, machine, bytes) = place(3_000_000);
    for (block, window) in [("512", "1"), ("1468", "8"), ("1468", "64"), ("8192", "16")] {
        let options =
            [format!("blksize {block}"), format!("windowsize {window}"), "tsize 0".to_owned()];
        let options = options.iter().flat_map(|option| ["--option", option]);
        let usual =
            ["--trace", "--get", "--remote-file", "program", "--local-file", "got", CONTROLLER];
        let arguments: Vec<&str> = options.chain(usual).collect();
        let said = machine.run_both(&atftp, &arguments);
        assert!(fs::read(machine.file("got")).unwrap() == bytes, "{arguments:?}");
        let agreed = [
            "OACK",
            "tsize: 3000000",
            &format!("blksize: {block}"),
            &format!("windowsize: {window}"),
        ]
        .map(str::to_owned);
        for word in agreed {
            assert!(said.contains(&word), "{word} is not in:\n{said:.2000}");
        }
        fs::remove_file(machine.file("got")).unwrap();
    }
}

#[test]
fn tftp_gets_every_byte_and_text_with_the_ends_of_lines_that_it_asks_for() {
    let Some(tftp) = TFTP.find() else { return };
    let (site, machine, bytes) = place(600_000);
    machine.run(&tftp, &["-m", "binary", CONTROLLER, "-c", "get", "program", "got"]).unwrap();
    assert!(fs::read(machine.file("got")).unwrap() == bytes);
    fs::write(site.data().join("tftp/text"), "one\ntwo\n").unwrap();
    machine.run(&tftp, &["-m", "ascii", CONTROLLER, "-c", "get", "text", "text"]).unwrap();
    assert_eq!(fs::read_to_string(machine.file("text")).unwrap(), "one\ntwo\n");
}

#[test]
fn what_is_absent_or_outside_is_refused_to_everybody() {
    let (Some(curl), Some(atftp), Some(tftp)) = (CURL.find(), ATFTP.find(), TFTP.find()) else {
        return;
    };
    let (site, machine, _) = place(100);
    std::os::unix::fs::symlink("../luna.ini", site.data().join("tftp/link")).unwrap();
    // Exit codes of curl: 68 is "not found", 69 "access violation".
    for (name, code) in [
        ("absent", 68),
        ("../luna.ini", 69),
        ("boot/../../luna.ini", 69),
        ("link", 69),
        ("/etc/passwd", 68),
    ] {
        let arguments = ["--silent", "--show-error", "--path-as-is", "--output", "got", &url(name)];
        let error = machine.run(&curl, &arguments).expect_err(name);
        let status = matches!(&error, Error::Failed { status, .. } if status.code() == Some(code));
        assert!(status, "{name}: {error}");
    }
    for name in ["absent", "../luna.ini", "link"] {
        let arguments = ["--get", "--remote-file", name, "--local-file", "got", CONTROLLER];
        machine.run(&atftp, &arguments).expect_err(name);
        let said = machine.run_both(&tftp, &["-m", "binary", CONTROLLER, "-c", "get", name, "got"]);
        assert!(said.contains("Error code"), "{name}: {said}");
    }
    // Clients leave the file that they had opened; nothing came into it.
    assert_eq!(fs::read(machine.file("got")).unwrap_or_default(), b"");
    fs::write(machine.file("mine"), "x").unwrap();
    let said = machine.run_both(&tftp, &["-m", "binary", CONTROLLER, "-c", "put", "mine", "mine"]);
    assert!(said.contains("only be read"), "{said}");
    assert!(!site.data().join("tftp/mine").exists());
}
