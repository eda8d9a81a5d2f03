//! Files of earlier versions, as these wrote them, and as a site had before: they say today what they said then.

use std::num::NonZeroUsize;
use std::path::Path;

use super::*;

/// What each says that differs: protocol, other port, and where its files are.
type Expected = (&'static str, Protocol, Option<(Protocol, u16)>, &'static str);

const WRITTEN: [Expected; 4] = [
    ("luna-2026-11-24.ini", Protocol::Http, None, "/var/lib/perilune"),
    ("luna-2026-11-25.ini", Protocol::Https, Some((Protocol::Http, 7051)), "/var/lib/perilune"),
    ("luna-2026-11-29.ini", Protocol::Http, None, "/srv/moved"),
    ("luna-2026-11-30.ini", Protocol::Http, None, "/srv/moved"),
];

fn read(name: &str) -> (Settings, Vec<String>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    Settings::read(&file, Path::new("/srv/moved")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn a_file_that_an_earlier_version_wrote_says_what_it_said() {
    for (name, protocol, web_server, data) in WRITTEN {
        let (settings, odd) = read(name);
        assert_eq!(odd, Vec::<String>::new(), "{name}");
        assert_eq!(settings.username, "admin", "{name}");
        assert_eq!(settings.password, "3ZxW0rB7yQmT-u8kLq2A", "{name}");
        assert_eq!(settings.secret_key.len(), 43, "{name}");
        assert_eq!((settings.expiry, settings.port), (Duration::from_hours(1), 7050), "{name}");
        assert_eq!((settings.protocol, settings.web_server), (protocol, web_server), "{name}");
        let data = Path::new(data);
        assert_eq!(settings.key_file, data.join("luna.key"), "{name}");
        assert_eq!(settings.image_files, data.join("files"), "{name}");
        assert_eq!(settings.image_directory, data.join("images"), "{name}");
        // What came later has its default.
        assert_eq!((settings.evidence, settings.audit), (None, None), "{name}");
    }
}

#[test]
fn a_first_start_still_writes_what_the_newest_sample_has() {
    let directory = tempfile::tempdir().unwrap();
    let listen = ["http://10.141.255.254:7050".parse().unwrap()];
    let made = write_default(directory.path(), &listen).unwrap().unwrap();
    let keys = |text: &str| {
        let ini = Ini::parse(text).unwrap();
        let keys = ini
            .sections()
            .flat_map(|(section, keys)| keys.keys().map(move |key| (section.clone(), key.clone())));
        keys.collect::<BTreeSet<_>>()
    };
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/luna-2026-11-30.ini");
    let [made, sample] =
        [made.file, sample].map(|file| keys(&std::fs::read_to_string(file).unwrap()));
    assert_eq!(made, sample, "keep a sample of what is written now, under today's date");
}

#[test]
fn a_file_of_a_site_that_was_taken_over_is_read_without_a_word() {
    let (settings, odd) = read("luna-site.ini");
    assert_eq!(odd, Vec::<String>::new());
    assert_eq!(settings.password, "lu%na;x=y");
    assert_eq!(
        (settings.expiry, settings.host.as_deref()),
        (Duration::from_hours(24), Some("controller.cluster"))
    );
    assert_eq!(settings.web_server, Some((Protocol::Http, 7051)));
    assert_eq!(settings.image_directory, Path::new("/trinity/images"));
    assert_eq!(settings.control.batch_size, NonZeroUsize::new(10));
    assert_eq!(settings.control.batch_delay, Duration::from_secs(1));
    assert_eq!(settings.directory, DirectoryChoice::Obol("/usr/local/bin/obol".into()));
    assert_eq!(settings.verify_certificate, "False");
}

#[test]
fn a_first_cluster_of_an_earlier_version_is_described_as_it_was() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/bootstrap-2026-11-25.ini");
    let request = crate::bootstrap::read(&file, Path::new("/no/images")).unwrap();
    assert_eq!(crate::bootstrap::odd(&request), Vec::<String>::new());
    let networks: Vec<&str> =
        request.networks.iter().map(|network| network.name.as_str()).collect();
    assert_eq!(networks, ["cluster", "ib", "ipmi"]);
    assert_eq!((request.nodes.len(), request.serverport), (4, 7050));
    assert_eq!(request.controllers[0].name.as_str(), "controller");
    assert_eq!(request.bmc_setup.unwrap().username, "admin");
}
