//! Which controllers run, and which is the master.

use perilune_model::Change;
use perilune_store::{
    Beat, Commit, Error, Expected, Heard, Meta, Store, Table, TakeOver, Write, Written,
};

use crate::site::{OTHER, Site};

fn beat(name: &str, revision: u64) -> Beat {
    Beat {
        name: name.to_owned(),
        url: format!("https://{name}:7050"),
        revision,
        in_sync: true,
        is_first: true,
    }
}

fn names(heard: &Heard) -> Vec<&str> {
    heard.controllers.iter().map(|controller| controller.name.as_str()).collect()
}

/// As if nobody had said so for longer than it counts.
fn lapse(site: &Site) {
    site.server().sql(
        site.database(),
        "UPDATE master SET until = clock_timestamp() - interval '1 s' WHERE until IS NOT NULL",
    );
}

fn silence(site: &Site, name: &str) {
    let sql = format!(
        "UPDATE controller SET beat = clock_timestamp() - interval '1 min' WHERE name = '{name}'"
    );
    site.server().sql(site.database(), &sql);
}

#[tokio::test]
async fn one_controller_alone_is_heard_and_is_the_master() {
    for site in Site::each() {
        let (store, _) = site.open().await;
        let epoch = store.claim_master(0, false).await.unwrap().unwrap();
        let heard = store.beat(&beat("one", 0)).await.unwrap();
        assert_eq!(names(&heard), ["one"]);
        assert_eq!(heard.controllers[0].url, "https://one:7050");
        assert_eq!(
            (heard.master.holder.as_deref(), heard.master.epoch, heard.revision, heard.overrule),
            (Some("one"), epoch, 0, false)
        );
        assert_eq!(store.claim_master(epoch, false).await.unwrap(), Some(epoch), "it stays it");
        assert!(store.is_master(epoch).await.unwrap());
        assert!(!store.is_master(epoch + 1).await.unwrap());
        store.overrule(true).await.unwrap();
        store.resign_master(epoch).await.unwrap();
    }
}

async fn two(site: &Site) -> (Store, Store) {
    let (one, _) = site.open().await;
    let (other, _) = Store::connect(&site.address(), OTHER, &site.key()).await.unwrap();
    one.beat(&beat("one", 3)).await.unwrap();
    other.beat(&beat(OTHER, 4)).await.unwrap();
    (one, other)
}

#[tokio::test]
async fn the_master_is_one_and_who_comes_back_late_is_it_no_longer() {
    let Some(site) = Site::postgres() else { return };
    let (one, other) = two(&site).await;
    assert_eq!(one.claim_master(0, false).await.unwrap(), Some(1));
    assert_eq!(other.claim_master(0, false).await.unwrap(), None);
    let heard = other.beat(&beat(OTHER, 4)).await.unwrap();
    assert_eq!(names(&heard), ["one", OTHER]);
    assert_eq!(heard.controllers[0].revision, 3);
    assert!(heard.controllers.iter().all(|controller| controller.silent < 15_000));
    let since = heard.master.since.unwrap();
    lapse(&site);
    assert!(!one.is_master(1).await.unwrap());
    assert_eq!(one.beat(&beat("one", 3)).await.unwrap().master.holder, None);
    assert_eq!(other.claim_master(0, false).await.unwrap(), Some(2));
    assert_eq!(one.claim_master(1, false).await.unwrap(), None);
    assert!(!one.is_master(1).await.unwrap());
    // Who was away and was not followed by anybody begins a new epoch all the same.
    lapse(&site);
    assert_eq!(other.claim_master(2, false).await.unwrap(), Some(3));
    let heard = other.beat(&beat(OTHER, 4)).await.unwrap();
    assert!(heard.master.since.unwrap() >= since);
    // As a controller that was started anew and knows of no epoch.
    assert_eq!(other.claim_master(0, false).await.unwrap(), Some(4));
    assert_eq!(other.claim_master(4, false).await.unwrap(), Some(4));
    other.resign_master(3).await.unwrap();
    assert!(other.is_master(4).await.unwrap(), "of an older epoch");
    other.resign_master(4).await.unwrap();
    assert_eq!(one.claim_master(1, false).await.unwrap(), Some(5), "at once");
}

#[tokio::test]
async fn of_many_who_want_to_be_the_master_one_is() {
    let Some(site) = Site::postgres() else { return };
    let (one, other) = two(&site).await;
    for _ in 0..20 {
        lapse(&site);
        let claims = (0..8).map(|number| {
            let store = if number % 2 == 0 { one.clone() } else { other.clone() };
            async move { (number % 2, store.claim_master(0, false).await.unwrap()) }
        });
        let mut tasks = tokio::task::JoinSet::new();
        for claim in claims {
            tasks.spawn(claim);
        }
        let holders: std::collections::BTreeSet<_> = tasks
            .join_all()
            .await
            .into_iter()
            .filter_map(|(who, epoch)| epoch.map(|_| who))
            .collect();
        assert_eq!(holders.len(), 1);
    }
}

#[tokio::test]
async fn who_is_preferred_goes_first_and_who_is_drained_is_never_it() {
    let Some(site) = Site::postgres() else { return };
    let (one, other) = two(&site).await;
    assert_eq!(one.claim_master(0, false).await.unwrap(), Some(1));
    assert_eq!(other.claim_master(0, true).await.unwrap(), Some(2), "by force");
    assert!(!one.is_master(1).await.unwrap());
    lapse(&site);
    assert_eq!(one.claim_master(1, false).await.unwrap(), None, "the other is preferred");
    silence(&site, OTHER);
    assert_eq!(one.claim_master(1, false).await.unwrap(), Some(3), "it does not run");
    one.drain("one", true).await.unwrap();
    assert_eq!(one.claim_master(3, false).await.unwrap(), None);
    other.beat(&beat(OTHER, 4)).await.unwrap();
    assert!(other.beat(&beat(OTHER, 4)).await.unwrap().controllers[0].is_drained);
    lapse(&site);
    assert_eq!(other.claim_master(2, false).await.unwrap(), Some(4));
    one.drain("one", false).await.unwrap();
    let unknown = one.drain("nobody", true).await;
    assert!(matches!(unknown, Err(Error::NoController { .. })), "{unknown:?}");
}

#[tokio::test]
async fn a_controller_that_runs_no_more_is_forgotten_with_what_was_its_own() {
    let Some(site) = Site::postgres() else { return };
    let (one, other) = two(&site).await;
    let job = || vec![Write::put("1".to_owned(), "{}".to_owned())];
    one.put_if(Table::Jobs, job()).await.unwrap();
    other.put_if(Table::Jobs, job()).await.unwrap();
    let others = one.records_of_others(Table::Jobs).await.unwrap();
    let others: Vec<_> = others.iter().map(|(at, job)| (at.as_str(), job.key.as_str())).collect();
    assert_eq!(others, [(OTHER, "1")]);
    let runs = one.forget_controller(OTHER).await;
    assert!(matches!(runs, Err(Error::ControllerRuns { .. })), "{runs:?}");
    silence(&site, OTHER);
    one.forget_controller(OTHER).await.unwrap();
    let again = one.forget_controller(OTHER).await;
    assert!(matches!(again, Err(Error::NoController { .. })), "{again:?}");
    assert_eq!(names(&one.beat(&beat("one", 3)).await.unwrap()), ["one"]);
    assert_eq!(one.records(Table::Jobs).await.unwrap().len(), 1, "its own are there");
    assert_eq!(other.records(Table::Jobs).await.unwrap().len(), 0);
    assert_eq!(one.records_of_others(Table::Jobs).await.unwrap(), []);
    one.overrule(true).await.unwrap();
    assert!(other.beat(&beat("one", 3)).await.unwrap().overrule);
}

fn taking(record: &perilune_store::Record) -> TakeOver {
    TakeOver {
        controller: OTHER.to_owned(),
        seconds: 15,
        record: record.clone(),
        from: Table::Jobs,
        to: Table::TakenOver,
        key: "1.2".to_owned(),
        body: "taken".to_owned(),
        commits: vec!["job 1.2".to_owned()],
    }
}

fn commit(key: Option<&str>) -> Commit {
    Commit { change: Change::default(), meta: Meta::default(), key: key.map(str::to_owned) }
}

#[tokio::test]
async fn what_a_silent_controller_did_is_taken_over_once_and_that_one_cannot_end_it() {
    let Some(site) = Site::postgres() else { return };
    let (one, other) = two(&site).await;
    let record = Write::put("1".to_owned(), "packs".to_owned());
    other.put_if(Table::Jobs, vec![record]).await.unwrap();
    let (controller, record) = one.records_of_others(Table::Jobs).await.unwrap().remove(0);
    assert_eq!(controller, OTHER);

    // Not while it runs, nor where it has changed what it does.
    assert!(!one.take_over(&taking(&record)).await.unwrap());
    silence(&site, OTHER);
    let newer = perilune_store::Record { sequence: record.sequence + 1, ..record.clone() };
    assert!(!one.take_over(&taking(&newer)).await.unwrap());
    assert_eq!(other.records(Table::Jobs).await.unwrap(), std::slice::from_ref(&record));

    let both = tokio::join!(
        {
            let (one, taking) = (one.clone(), taking(&record));
            async move { one.take_over(&taking).await.unwrap() }
        },
        {
            let (one, taking) = (one.clone(), taking(&record));
            async move { one.take_over(&taking).await.unwrap() }
        },
    );
    assert!(both.0 != both.1, "{both:?}");
    let taken = other.records(Table::TakenOver).await.unwrap();
    assert_eq!((&*taken[0].key, taken[0].body.as_deref()), ("1.2", Some("taken")));
    assert_eq!(one.records_of_others(Table::Jobs).await.unwrap(), []);

    // It goes on, and knows nothing of that: neither the end of its work nor what it leads to is stored.
    let expected = Expected::Sequence(record.sequence);
    let ended = Write { key: "1".to_owned(), body: None, expected };
    assert_eq!(other.put_if(Table::Jobs, vec![ended]).await.unwrap(), [Written::Stale]);
    let refused = other.apply(0, vec![commit(None), commit(Some("job 1.2"))]).await;
    assert!(matches!(refused, Err(Error::Stale { stored: 0, expected: 0 })), "{refused:?}");
    let keys = vec!["job 1.2".to_owned()];
    assert_eq!(other.committed(keys.clone()).await.unwrap().into_keys().collect::<Vec<_>>(), keys);
    other.apply(0, vec![commit(None)]).await.unwrap();
}

#[tokio::test]
async fn what_a_controller_has_ended_is_not_taken_over() {
    let Some(site) = Site::postgres() else { return };
    let (one, other) = two(&site).await;
    other.put_if(Table::Jobs, vec![Write::put("1".to_owned(), "packs".to_owned())]).await.unwrap();
    let (_, record) = one.records_of_others(Table::Jobs).await.unwrap().remove(0);
    other.apply(0, vec![commit(Some("job 1.2"))]).await.unwrap();
    silence(&site, OTHER);
    assert!(one.take_over(&taking(&record)).await.is_err());
    assert_eq!(other.records(Table::Jobs).await.unwrap(), [record]);
}
