//! What the engine on PostgreSQL promises beside the contract.

use perilune_store::{Commit, Error, Expected, Follower, Meta, Store, Table, Write, Written};
use perilune_testkit::{Cut, Proxy};

use crate::contract::{commit, group, network};
use crate::site::{OTHER, Site};

#[tokio::test]
async fn a_database_that_is_not_prepared_is_refused_with_what_to_do() {
    let Some(site) = Site::postgres() else { return };
    let error = Store::connect(&site.address(), OTHER, &site.key()).await.unwrap_err();
    assert!(matches!(error, Error::Unprepared { .. }), "{error:?}");
    assert!(error.to_string().contains("perilune database init"), "{error}");
    assert!(!site.key().exists(), "nothing is made");
    assert_eq!(Store::prepare(&site.address(), &site.key()).await.unwrap(), None);
    assert_eq!(Store::prepare(&site.address(), &site.key()).await.unwrap(), Some(3), "again");
    Store::connect(&site.address(), OTHER, &site.key()).await.unwrap();
    site.server()
        .sql(site.database(), "UPDATE meta SET value = 99 WHERE key IN ('layout', 'suits')");
    let error = Store::connect(&site.address(), OTHER, &site.key()).await.unwrap_err();
    assert!(matches!(error, Error::Outdated { found: 99, .. }), "{error:?}");
}

#[tokio::test]
async fn a_controller_with_another_key_is_refused_also_where_nothing_is_sealed_yet() {
    let Some(site) = Site::postgres() else { return };
    let (store, _) = site.open().await;
    let other = tempfile::tempdir().unwrap();
    let error =
        Store::connect(&site.address(), OTHER, &other.path().join("luna.key")).await.unwrap_err();
    assert!(matches!(error, Error::WrongKey { found: None, .. }), "{error:?}");
    let (another, _) = Store::open(other.path(), &other.path().join("luna.key")).unwrap();
    assert_ne!(another.keys().id(), store.keys().id());
    for work in ["connect", "prepare"] {
        let (address, key) = (site.address(), other.path().join("luna.key"));
        let error = match work {
            "connect" => Store::connect(&address, OTHER, &key).await.unwrap_err(),
            _ => Store::prepare(&address, &key).await.unwrap_err(),
        };
        assert!(matches!(error, Error::WrongKey { found: Some(_), .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_missing_of_cluster_or_history_is_told_and_nothing_is_served() {
    let Some(site) = Site::postgres() else { return };
    let (store, empty) = site.open().await;
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    let (_, two) = commit(&first, |draft| draft.put(network("cluster")));
    store.apply(0, vec![one, two]).await.unwrap();
    for (damage, repair, told) in [
        (
            "CREATE TABLE kept AS SELECT * FROM object WHERE kind = 'group'; DELETE FROM object WHERE kind = 'group'",
            "INSERT INTO object SELECT * FROM kept",
            "some of its objects are missing",
        ),
        (
            "INSERT INTO object SELECT kind, 'ghost', body FROM object WHERE kind = 'group'",
            "DELETE FROM object WHERE name = 'ghost'",
            "or were never made",
        ),
        (
            "UPDATE history SET revision = 9 WHERE revision = 1",
            "UPDATE history SET revision = 1 WHERE revision = 9",
            "its history ends with 9",
        ),
        (
            "UPDATE object SET body = '{' WHERE kind = 'group'",
            "UPDATE object SET body = (SELECT body FROM kept) WHERE kind = 'group'",
            "the group 'compute' cannot be read",
        ),
    ] {
        site.server().sql(site.database(), damage);
        let error =
            Store::connect(&site.address(), OTHER, &site.key()).await.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("backup"), "{damage}: {error}");
        site.server().sql(site.database(), repair);
        Store::connect(&site.address(), OTHER, &site.key()).await.unwrap();
    }
}

/// A text with a zero byte is one that the database cannot store; whoever sends it must not make the commits of others fail.
#[tokio::test]
async fn a_zero_byte_in_a_text_stops_nobody() {
    let Some(site) = Site::postgres() else { return };
    let (store, empty) = site.open().await;
    let (_, one) = commit(&empty, |draft| draft.put(group("compute")));
    let meta = Meta { author: "an\0n".into(), ..one.meta.clone() };
    store.apply(0, vec![Commit { meta, ..one }]).await.unwrap();
    assert_eq!(store.history(None, 1).await.unwrap()[0].meta.author, "an\u{fffd}n");
    let write = Write::put("a\0".into(), "\0".into());
    store.put_if(Table::Leases, vec![write]).await.unwrap();
}

/// As often as a commit is cut in the usual suite; `PERILUNE_CUTS` asks for more.
fn cuts() -> u32 {
    std::env::var("PERILUNE_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(12)
}

#[tokio::test]
async fn what_became_of_a_commit_whose_connection_was_lost_is_answered_truly() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let proxy = Proxy::start(site.server().port());
    let (store, mut cluster) =
        Store::connect(&site.address_at(proxy.port()), OTHER, &site.key()).await.unwrap();
    for number in 0..cuts() {
        let cut = [Cut::Before, Cut::After, Cut::Answered][number as usize % 3];
        let (next, one) = commit(&cluster, |draft| draft.put(group(&format!("group{number}"))));
        let author = format!("cut-{number}-here");
        proxy.cut_at(&author, cut);
        let meta = Meta { author: author.clone(), ..one.meta.clone() };
        let revision = store.apply(cluster.revision(), vec![Commit { meta, ..one }]).await;
        assert!(!proxy.is_waiting(), "{number}: the connection was not cut");
        assert_eq!(revision.unwrap(), u64::from(number) + 1, "{number} {cut:?}");
        cluster = next;
        cluster.set_revision(u64::from(number) + 1);
        let found = store.history(None, 2).await.unwrap();
        let authors = found.iter().filter(|entry| entry.meta.author == author);
        assert_eq!(authors.count(), 1, "{number} {cut:?}");
    }
    assert_eq!(store.load().await.unwrap(), cluster);
    assert_eq!(store.history_between(1, u64::MAX).await.unwrap().len(), cuts() as usize);
}

#[tokio::test]
async fn who_was_not_first_and_lost_the_connection_is_told_that() {
    let Some(site) = Site::postgres() else { return };
    let (rival, empty) = site.open().await;
    let proxy = Proxy::start(site.server().port());
    let (store, _) =
        Store::connect(&site.address_at(proxy.port()), OTHER, &site.key()).await.unwrap();
    let (_, first) = commit(&empty, |draft| draft.put(group("first")));
    rival.apply(0, vec![first]).await.unwrap();
    let (_, late) = commit(&empty, |draft| draft.put(group("late")));
    let meta = Meta { author: "cut-here".into(), ..late.meta.clone() };
    proxy.cut_at("cut-here", Cut::Answered);
    let refused = store.apply(0, vec![Commit { meta, ..late }]).await;
    assert!(matches!(refused, Err(Error::Stale { stored: 1, expected: 0 })), "{refused:?}");
    assert_eq!(store.load().await.unwrap().groups().len(), 1);
}

#[tokio::test]
async fn what_became_of_records_whose_connection_was_lost_is_answered_truly() {
    let Some(site) = Site::postgres() else { return };
    let (rival, _) = site.open().await;
    let proxy = Proxy::start(site.server().port());
    let (store, _) =
        Store::connect(&site.address_at(proxy.port()), OTHER, &site.key()).await.unwrap();
    let mut expected = Expected::Nothing;
    for number in 0..cuts() {
        let cut = [Cut::Before, Cut::After, Cut::Answered][number as usize % 3];
        let body = format!("\"cut-{number}-here\"");
        proxy.cut_at(&body, cut);
        let write = Write { key: "10.141.0.1".into(), body: Some(body.clone()), expected };
        let late = Write {
            key: "10.141.0.2".into(),
            body: Some(body.clone()),
            expected: Expected::Sequence(99),
        };
        let written = store.put_if(Table::Leases, vec![write, late]).await.unwrap();
        assert!(!proxy.is_waiting(), "{number}: the connection was not cut");
        let [Written::At(sequence), Written::Stale] = written[..] else {
            panic!("{cut:?} {written:?}")
        };
        let there = rival.records(Table::Leases).await.unwrap();
        assert_eq!(
            (there.len(), there[0].sequence, &there[0].body),
            (1, sequence, &Some(body)),
            "{cut:?}"
        );
        expected = Expected::Sequence(sequence);
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_told_as_that_and_used_again_when_it_is_back() {
    let Some(site) = Site::postgres() else { return };
    let (store, empty) = site.open().await;
    site.server().crash();
    let (first, one) = commit(&empty, |draft| draft.put(group("compute")));
    let away = store.apply(0, vec![one.clone()]).await.unwrap_err();
    assert!(away.is_away(), "{away:?}");
    let write = Write::put("10.141.0.1".into(), "1".into());
    let away = store.put_if(Table::Leases, vec![write.clone()]).await.unwrap_err();
    assert!(away.is_away(), "{away:?}");
    site.server().run(&[]);
    store.apply(0, vec![one]).await.unwrap();
    assert_eq!(store.load().await.unwrap(), first);
    store.put_if(Table::Leases, vec![write]).await.unwrap();
}

/// The next revision that is told of.
async fn told(follower: &mut Follower, wanted: u64) {
    for _ in 0..200 {
        if follower.next().await.ok() == Some(wanted) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nobody told of revision {wanted}");
}

#[tokio::test]
async fn commits_of_other_controllers_are_told_also_after_the_connection_was_lost() {
    let Some(site) = Site::postgres() else { return };
    let (rival, empty) = site.open().await;
    let proxy = Proxy::start(site.server().port());
    let (store, _) =
        Store::connect(&site.address_at(proxy.port()), OTHER, &site.key()).await.unwrap();
    let mut follower = store.follow().unwrap();
    told(&mut follower, 0).await;
    let (first, one) = commit(&empty, |draft| draft.put(group("one")));
    rival.apply(0, vec![one]).await.unwrap();
    told(&mut follower, 1).await;
    proxy.close();
    let (_, two) = commit(&first, |draft| draft.put(group("two")));
    rival.apply(1, vec![two]).await.unwrap();
    assert!(follower.next().await.is_err());
    assert!(follower.next().await.is_err());
    proxy.open();
    told(&mut follower, 2).await;
    assert_eq!(store.later(1).await.unwrap().unwrap().revision, 2);
}

/// Commits wait for a standby that is not there.
fn lose_standby(site: &Site) {
    let sql = "ALTER SYSTEM SET synchronous_standby_names = 'gone'";
    site.server().sql(site.database(), sql);
    site.server().sql(site.database(), "SELECT pg_reload_conf()");
}

/// Waits until so many statements like this wait for the standby.
pub(crate) async fn until_waiting(site: &Site, statement: &str, count: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%{statement}%'"
    );
    for _ in 0..1000 {
        if site.server().sql(site.database(), &sql) == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("'{statement}' does not wait for the standby {count} times");
}

/// The server reports a commit as made whose wait for the standby was cancelled, and only warns.
#[tokio::test]
async fn a_commit_that_the_standby_may_not_have_is_not_acknowledged() {
    let Some(site) = Site::postgres() else { return };
    let (store, empty) = site.open().await;
    lose_standby(&site);
    let (first, one) = commit(&empty, |draft| draft.put(group("one")));
    let mut applying = Box::pin(store.apply(0, vec![one]));
    tokio::select! {
        _ = &mut applying => panic!("acknowledged without the standby"),
        () = until_waiting(&site, "WITH moved", "1") => {}
    }
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    site.server().sql(site.database(), cancel);
    tokio::select! {
        applied = &mut applying => panic!("acknowledged without the standby: {applied:?}"),
        // What it is looked up by waits for the standby in turn.
        () = until_waiting(&site, "UPDATE head SET fence", "1") => {}
    }
    let sql = "ALTER SYSTEM SET synchronous_standby_names = ''";
    site.server().sql(site.database(), sql);
    site.server().sql(site.database(), "SELECT pg_reload_conf()");
    assert_eq!(applying.await.unwrap(), 1);
    assert_eq!(store.load().await.unwrap(), first);
}

#[tokio::test]
async fn a_commit_that_stays_in_doubt_is_told_as_that_and_holds_few_connections() {
    let Some(site) = Site::postgres() else { return };
    let (store, empty) = site.open().await;
    lose_standby(&site);
    let (_, one) = commit(&empty, |draft| draft.put(group("one")));
    let mut applying = Box::pin(store.apply(0, vec![one.clone()]));
    tokio::select! {
        _ = &mut applying => panic!("acknowledged without the standby"),
        () = until_waiting(&site, "WITH moved", "1") => {}
    }
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    site.server().sql(site.database(), cancel);
    let error = applying.await.unwrap_err();
    assert!(matches!(error, Error::InDoubt), "{error:?}");
    let error = store.apply(0, vec![one.clone()]).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer), "{error:?}");
    until_waiting(&site, "", "1").await;
    let sql = "ALTER SYSTEM SET synchronous_standby_names = ''";
    site.server().sql(site.database(), sql);
    site.server().sql(site.database(), "SELECT pg_reload_conf()");
    let known = store.apply(0, vec![one]).await.unwrap_err();
    assert!(matches!(known, Error::Stale { stored: 1, .. }), "it was stored: {known:?}");
}

#[tokio::test]
async fn no_two_controllers_have_one_name_and_each_has_its_own_jobs() {
    let Some(site) = Site::postgres() else { return };
    let (store, _) = site.open().await;
    let taken = Store::connect(&site.address(), "one", &site.key()).await.unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }), "{taken:?}");
    let (other, _) = Store::connect(&site.address(), OTHER, &site.key()).await.unwrap();
    for table in [Table::Jobs, Table::Leases] {
        store.put_if(table, vec![Write::put("1".into(), "1".into())]).await.unwrap();
    }
    assert_eq!(other.records(Table::Leases).await.unwrap().len(), 1);
    assert_eq!(other.records(Table::Jobs).await.unwrap(), []);
    // What a controller did is its own when it comes back.
    drop(store);
    let (store, _) = site.open().await;
    assert_eq!(store.records(Table::Jobs).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_record_that_the_standby_may_not_have_is_not_acknowledged() {
    let Some(site) = Site::postgres() else { return };
    let (store, _) = site.open().await;
    lose_standby(&site);
    let write = Write::put("10.141.0.1".into(), "1".into());
    let mut writing = Box::pin(store.put_if(Table::Leases, vec![write]));
    tokio::select! {
        _ = &mut writing => panic!("acknowledged without the standby"),
        () = until_waiting(&site, "COMMIT", "1") => {}
    }
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    site.server().sql(site.database(), cancel);
    tokio::select! {
        written = &mut writing => panic!("acknowledged without the standby: {written:?}"),
        () = until_waiting(&site, "UPDATE head SET fence", "1") => {}
    }
    let sql = "ALTER SYSTEM SET synchronous_standby_names = ''";
    site.server().sql(site.database(), sql);
    site.server().sql(site.database(), "SELECT pg_reload_conf()");
    assert_eq!(writing.await.unwrap(), [Written::At(1)]);
}
