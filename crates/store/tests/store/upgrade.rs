//! Controllers of two versions on one database, while one after the other is replaced.

use perilune_model::Kind;
use perilune_model::group::Group;
use perilune_store::{Beat, Error, Heard, Newer, Program, Store};

use crate::contract::{commit, group};
use crate::site::Site;

/// A version that has given groups a comment, which this one does not know.
const LATER: Program = Program {
    version: "later",
    format: Program::THIS.format + 1,
    newer: &[(
        Program::THIS.format + 1,
        Newer::Field { kind: Kind::Group, place: "comment", usual: "null" },
    )],
};

async fn connect(site: &Site, program: Program, name: &str) -> Result<Store, Error> {
    Store::connect_as(program, &site.address(), name, &site.key()).await.map(|(store, _)| store)
}

async fn beat(store: &Store, name: &str) -> Result<Heard, Error> {
    let (name, url) = (name.to_owned(), String::new());
    store.beat(&Beat { name, url, revision: 0, in_sync: true, is_first: true }).await
}

/// Makes a group, as a daemon does it: decided on what is stored, and refused where others cannot read it.
async fn make(store: &Store, group: Group) -> Result<u64, Error> {
    let cluster = store.load().await?;
    let (_, one) = commit(&cluster, |draft| draft.put(group));
    store.check_known_to_all(&one.change)?;
    store.apply(cluster.revision(), vec![one]).await
}

fn with_comment(name: &str) -> Group {
    Group { comment: Some("blue".to_owned()), ..group(name) }
}

fn forget(site: &Site, name: &str) {
    let sql = format!("DELETE FROM controller WHERE name = '{name}'");
    site.server().sql(site.database(), &sql);
}

#[tokio::test]
async fn what_is_new_is_stored_when_all_controllers_know_it() {
    let Some(site) = Site::postgres() else { return };
    let (one, _) = site.open().await;
    let two = connect(&site, Program::THIS, "two").await.unwrap();
    assert_eq!(beat(&one, "one").await.unwrap().format, Program::THIS.format);
    beat(&two, "two").await.unwrap();
    make(&one, group("first")).await.unwrap();
    drop(two);

    // The second is replaced: both change what both know.
    let two = connect(&site, LATER, "two").await.unwrap();
    let heard = beat(&two, "two").await.unwrap();
    let formats: Vec<u32> = heard.controllers.iter().map(|one| one.format).collect();
    assert_eq!((formats.as_slice(), heard.format), (&[1, 2][..], 1));
    assert_eq!(heard.controllers[1].version, "later");
    make(&two, group("second")).await.unwrap();
    make(&one, group("third")).await.unwrap();
    let refused = make(&two, with_comment("blue")).await.unwrap_err();
    assert!(matches!(refused, Error::NotYet { .. }), "{refused:?}");
    let told = refused.to_string();
    assert!(told.contains("'comment' of group 'blue'") && told.contains("one (0."), "{told}");
    assert_eq!(two.load().await.unwrap().groups().len(), 3);

    // One that does not run now may come back as it was: it counts until it is replaced or removed.
    drop(one);
    beat(&two, "two").await.unwrap();
    assert!(make(&two, with_comment("blue")).await.is_err());
    let one = connect(&site, LATER, "one").await.unwrap();
    assert_eq!(beat(&one, "one").await.unwrap().format, 2);
    // The other hears of it at its next beat, and what it decided before is decided again.
    make(&one, with_comment("red")).await.unwrap();
    make(&two, group("fourth")).await.unwrap();
    make(&two, with_comment("blue")).await.unwrap();
    assert_eq!(two.load().await.unwrap().groups()["red"].comment.as_deref(), Some("blue"));
    assert_eq!(two.load().await.unwrap().revision(), 6);
}

#[tokio::test]
async fn a_controller_that_is_too_old_neither_starts_nor_reads_nor_changes_anything() {
    let Some(site) = Site::postgres() else { return };
    let (old, empty) = site.open().await;
    let mut follower = old.follow().unwrap();
    beat(&old, "one").await.unwrap();
    let new = connect(&site, LATER, "two").await.unwrap();
    beat(&new, "two").await.unwrap();
    // As one that nobody heard for long, and that was removed.
    forget(&site, "one");
    assert_eq!(beat(&new, "two").await.unwrap().format, 2);
    make(&new, with_comment("blue")).await.unwrap();

    let is_told = |error: &Error| matches!(error, Error::Outdated { found: 2, known: 1, .. });
    let (_, late) = commit(&empty, |draft| draft.put(group("late")));
    for error in [
        old.apply(0, vec![late.clone()]).await.unwrap_err(),
        old.apply(1, vec![late]).await.unwrap_err(),
        old.later(0).await.unwrap_err(),
        old.load().await.unwrap_err(),
        follower.next().await.unwrap_err(),
        beat(&old, "one").await.unwrap_err(),
        connect(&site, Program::THIS, "three").await.unwrap_err(),
    ] {
        assert!(is_told(&error) && error.is_away(), "{error:?}");
        assert!(error.to_string().contains("install the version of the other"), "{error}");
    }
    assert_eq!(new.load().await.unwrap().groups().len(), 1);
}

/// The new primary may not have heard yet that all know it: the first writer finds out.
#[tokio::test]
async fn a_failover_that_takes_the_format_back_has_changes_decided_again() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let new = connect(&site, LATER, "two").await.unwrap();
    assert_eq!(beat(&new, "two").await.unwrap().format, 2);
    site.server().sql(site.database(), "UPDATE head SET format = 1");
    let (_, one) = commit(&new.load().await.unwrap(), |draft| draft.put(with_comment("blue")));
    // `load` has looked; whoever decided before finds out when it is sent.
    site.server().sql(site.database(), "UPDATE head SET format = 2");
    new.load().await.unwrap();
    new.check_known_to_all(&one.change).unwrap();
    site.server().sql(site.database(), "UPDATE head SET format = 1");
    let error = new.apply(0, vec![one.clone()]).await.unwrap_err();
    assert!(matches!(error, Error::Stale { stored: 0, expected: 0 }), "{error:?}");
    assert!(matches!(new.check_known_to_all(&one.change), Err(Error::NotYet { .. })));
    beat(&new, "two").await.unwrap();
    new.check_known_to_all(&one.change).unwrap();
    assert_eq!(new.apply(0, vec![one]).await.unwrap(), 1);
}

#[tokio::test]
async fn of_controllers_that_begin_while_the_format_is_raised_none_is_overlooked() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let new = connect(&site, LATER, "two").await.unwrap();
    beat(&new, "two").await.unwrap();
    for round in 0..10 {
        site.server().sql(site.database(), "UPDATE head SET format = 1");
        let name = format!("old{round}");
        let old = connect(&site, Program::THIS, &name).await.unwrap();
        let (first, raised) = tokio::join!(beat(&old, &name), beat(&new, "two"));
        let format = new.load().await.map(|_| raised.unwrap().format).unwrap();
        // Either it counted, or it was told.
        assert!(first.is_err() || beat(&new, "two").await.unwrap().format == 1, "{format}");
        forget(&site, &name);
    }
}

/// Whoever holds the table of controllers delays the new format, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_cannot_be_raised_now_is_raised_later() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let new = connect(&site, LATER, "two").await.unwrap();
    let hold = "BEGIN; UPDATE controller SET url = url WHERE false; SELECT pg_sleep(3); COMMIT";
    {
        let held = site.server();
        let (server, database) = (&*held, site.database());
        std::thread::scope(|scope| {
            scope.spawn(|| server.sql(database, hold));
            let runtime = tokio::runtime::Handle::current();
            let beats = async {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                assert_eq!(beat(&new, "two").await.unwrap().format, 1);
                make(&new, group("compute")).await.unwrap();
            };
            tokio::task::block_in_place(|| runtime.block_on(beats));
        });
    }
    assert_eq!(beat(&new, "two").await.unwrap().format, 2);
    make(&new, with_comment("blue")).await.unwrap();
}

#[tokio::test]
async fn tables_of_a_later_version_are_used_where_it_says_that_they_can_be() {
    let Some(site) = Site::postgres() else { return };
    drop(site.open().await);
    let set = |suits: u32| {
        let sql = format!(
            "UPDATE meta SET value = 99 WHERE key = 'layout'; UPDATE meta SET value = {suits} WHERE key = 'suits'"
        );
        site.server().sql(site.database(), &sql);
    };
    set(3);
    let old = connect(&site, Program::THIS, "one").await.unwrap();
    make(&old, group("compute")).await.unwrap();
    // Whoever prepares it again leaves the newer tables as they are.
    assert_eq!(Store::prepare(&site.address(), &site.key()).await.unwrap(), Some(99));
    assert!(Store::check(&site.address(), &site.key()).await.is_ok());
    drop(old);
    set(99);
    for error in [
        connect(&site, Program::THIS, "one").await.unwrap_err(),
        Store::prepare(&site.address(), &site.key()).await.unwrap_err(),
        Store::check(&site.address(), &site.key()).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Outdated { found: 99, .. }), "{error:?}");
        assert!(error.to_string().contains("has layout 99 of a newer version"), "{error}");
    }
}

/// The last layout whose controllers had to be stopped all at once.
#[tokio::test]
async fn tables_are_not_changed_under_controllers_that_could_not_go_on() {
    let Some(site) = Site::postgres() else { return };
    let (running, _) = site.open().await;
    make(&running, group("compute")).await.unwrap();
    let former = "ALTER TABLE head DROP COLUMN format; ALTER TABLE controller DROP COLUMN format;
        UPDATE meta SET value = 2 WHERE key = 'layout'; DELETE FROM meta WHERE key = 'suits'";
    site.server().sql(site.database(), former);
    let error = Store::prepare(&site.address(), &site.key()).await.unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    let error = connect(&site, Program::THIS, "two").await.unwrap_err();
    assert!(error.to_string().contains("stop all controllers, and run"), "{error}");
    drop(running);
    // The server notices a moment later that its connections are gone.
    let mut prepared = Store::prepare(&site.address(), &site.key()).await;
    for _ in 0..100 {
        if !matches!(prepared, Err(Error::InUse { .. })) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        prepared = Store::prepare(&site.address(), &site.key()).await;
    }
    assert_eq!(prepared.unwrap(), Some(2));
    let one = connect(&site, Program::THIS, "one").await.unwrap();
    assert_eq!(beat(&one, "one").await.unwrap().format, 1);
    assert_eq!(one.load().await.unwrap().groups().len(), 1);
}
