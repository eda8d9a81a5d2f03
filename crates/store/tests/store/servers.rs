//! Several servers of one database, and how connections to them are protected.

use std::time::Duration;

use perilune_store::{Address, Commit, Encryption, Error, Host, Meta, Store};

use crate::contract::{commit, group};
use crate::site::{OTHER, Site};

fn host(port: u16) -> Host {
    Host { name: "127.0.0.1".to_owned(), port }
}

#[tokio::test]
async fn the_server_that_takes_changes_is_used() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let standby = site.server().standby();
    let own = site.server().port();
    let deserted = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hosts = vec![host(deserted), host(standby.port()), host(own)];
    let (store, empty) =
        Store::connect(&Address { hosts, ..site.address() }, OTHER, &site.key()).await.unwrap();
    let (_, one) = commit(&empty, |draft| draft.put(group("compute")));
    assert_eq!(store.apply(0, vec![one]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_passed_over_and_nobody_waits_for_it() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    // What stands still takes connections all the same, and what is sent.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = host(silent.local_addr().unwrap().port());
    let standby = site.server().standby();
    let hosts = vec![silent, host(site.server().port()), host(standby.port())];
    let address = Address { hosts, ..site.address() };
    let (store, _) = Store::connect(&address, OTHER, &site.key()).await.unwrap();
    let mut follower = store.follow().unwrap();
    assert_eq!(commits(&store, "before", 3).await.len(), 3);
    follower.next().await.unwrap();
    let asking = async { while store.load().await.is_ok() {} };
    let following = async { while follower.next().await.is_ok() {} };
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        site.server().stop();
    };
    let told = async { tokio::join!(asking, following, stopping) };
    let told = tokio::time::timeout(Duration::from_secs(30), told).await;
    assert!(told.is_ok(), "whoever waits is told that there is no answer");
    standby.promote();
    assert_eq!(commits(&store, "after", 3).await.len(), 3);
    site.server().go_on();
}

/// Commits one group after the other until so many are acknowledged; answers their names.
async fn commits(store: &Store, prefix: &str, count: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while acknowledged.len() < count {
        assert!(number < 1000, "{acknowledged:?}");
        number += 1;
        let Ok(cluster) = store.load().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let author = format!("{prefix}{number}");
        let (_, one) = commit(&cluster, |draft| draft.put(group(&author)));
        let meta = Meta { author: author.clone(), ..one.meta.clone() };
        match store.apply(cluster.revision(), vec![Commit { meta, ..one }]).await {
            Ok(_) => acknowledged.push(author),
            Err(Error::Stale { .. }) => {}
            Err(error) => assert!(error.is_away(), "{error:?}"),
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_nothing_that_was_acknowledged_and_doubles_nothing() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let standby = site.server().standby();
    let hosts = vec![host(site.server().port()), host(standby.port())];
    let address = Address { hosts, ..site.address() };
    let (store, _) = Store::connect(&address, "one", &site.key()).await.unwrap();
    let (other, _) = Store::connect(&address, OTHER, &site.key()).await.unwrap();
    let mut before = commits(&store, "before", 10).await;
    let failover = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        site.server().crash();
        tokio::time::sleep(Duration::from_millis(100)).await;
        standby.promote();
    };
    let (one, two, ()) =
        tokio::join!(commits(&store, "one", 60), commits(&other, "other", 60), failover);
    before.extend(one.into_iter().chain(two));
    let history = store.history_between(1, u64::MAX).await.unwrap();
    let revisions: Vec<u64> = history.iter().map(|entry| entry.revision).collect();
    assert_eq!(revisions, (1..=history.len() as u64).collect::<Vec<_>>(), "no gap");
    for author in &before {
        let count = history.iter().filter(|entry| entry.meta.author == *author).count();
        assert_eq!(count, 1, "{author}");
    }
    let all: std::collections::BTreeSet<_> =
        history.iter().map(|entry| &entry.meta.author).collect();
    assert_eq!(all.len(), history.len(), "nothing twice");
}

#[tokio::test]
async fn a_servers_certificate_is_verified_and_the_password_is_read_from_its_file() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let own = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = own.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let settings = {
        let mut server = site.server();
        server.sql("postgres", "ALTER USER perilune PASSWORD 'a password'");
        let certificate = server.file("server.crt", &certified.cert.pem());
        let key = server.file("server.key", &certified.signing_key.serialize_pem());
        server.file(
            "data/pg_hba.conf",
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        );
        server.crash();
        let settings = [
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificate.display()),
            format!("ssl_key_file={}", key.display()),
        ];
        server.run(&settings.each_ref().map(String::as_str));
        server.port()
    };
    let address = Address {
        hosts: vec![Host { name: "localhost".to_owned(), port: settings }],
        password_file: Some(write("password", "a password\n")),
        encryption: Encryption::Authority(write("ca.pem", &certified.cert.pem())),
        ..site.address()
    };
    Store::connect(&address, OTHER, &site.key()).await.unwrap();
    let refused = async |address: Address| {
        let error = Store::connect(&address, OTHER, &site.key()).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
        let source = std::error::Error::source(&error).unwrap();
        format!("{source}: {:?}", source.source().map(ToString::to_string))
    };
    let foreign = Encryption::Authority(write("other.pem", &other.cert.pem()));
    let told = refused(Address { encryption: foreign, ..address.clone() }).await;
    assert!(told.contains("certificate"), "{told}");
    let told = refused(Address { encryption: Encryption::None, ..address.clone() }).await;
    assert!(told.contains("no encryption") || told.contains("pg_hba.conf"), "{told}");
    let wrong = Some(write("wrong", "another\n"));
    let told = refused(Address { password_file: wrong, ..address.clone() }).await;
    assert!(told.contains("password authentication failed"), "{told}");
    let gone = Address { password_file: Some(own.path().join("gone")), ..address };
    let error = Store::connect(&gone, OTHER, &site.key()).await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}
