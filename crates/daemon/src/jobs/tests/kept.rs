//! What is kept of jobs: over kills and restarts, and for followers.

use super::*;

impl Site {
    /// The daemon after a restart: the database is opened anew.
    async fn restart(self) -> Self {
        let Self { directory, store, cluster, mut tasks, plugins } = self;
        tasks.shutdown().await;
        drop((store, cluster));
        let (data, key) = (directory.path().join("data"), directory.path().join("luna.key"));
        let opened = async {
            loop {
                match Store::open(&data, &key) {
                    Err(perilune_store::Error::Locked { .. }) => tokio::task::yield_now().await,
                    opened => return opened.unwrap(),
                }
            }
        };
        let (store, cluster) = tokio::time::timeout(DEADLINE, opened).await.unwrap();
        let (cluster, task) = ClusterService::new(store.clone(), cluster);
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        Self { directory, store, cluster, tasks, plugins }
    }
}

#[tokio::test]
async fn a_job_that_was_not_stored_was_not_answered_and_one_that_was_answered_outlives_a_kill() {
    let site = Site::new().await;
    let (jobs, records) = site.closed().await;
    // What stores jobs is killed while somebody waits for the answer.
    let submitted = jobs.submit(now(), "luna", pack("compute"));
    let (refused, ()) = tokio::join!(submitted, async { drop(records) });
    let refused = refused.unwrap_err();
    assert!(matches!(refused, NotTaken::NotStored(perilune_boards::Error::Stopping)), "{refused}");
    assert_eq!(jobs.list(), []);
    drop(jobs);
    let mut site = site.restart().await;
    let jobs = site.open().await;
    assert_eq!(jobs.list(), []);
    let answered = jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    drop(jobs);
    // Killed: nothing is written after the answer.
    let mut site = site.restart().await;
    let listed = site.open().await.list();
    assert_eq!(
        listed.iter().map(|listed| &listed.job.request).collect::<Vec<_>>(),
        [&answered.request]
    );
}

#[tokio::test]
async fn a_job_does_not_begin_before_it_is_stored_and_does_when_nobody_waits_for_the_answer() {
    let mut site = Site::new().await;
    let (jobs, records) = site.closed().await;
    let mut asks = JoinSet::new();
    let asked = jobs.clone();
    asks.spawn(async move { asked.submit(now(), "luna", pack("compute")).await });
    until(|| !jobs.list().is_empty()).await;
    assert!(jobs.claim(now(), 2).is_none(), "it is not stored");
    // The client hangs up.
    asks.shutdown().await;
    site.tasks.spawn(records.run());
    let (job, _) = jobs.claim(now(), 2).unwrap();
    let news = jobs.after(&job.request, 0).unwrap();
    let texts: Vec<_> = news.messages.iter().filter_map(|message| message.text()).collect();
    assert_eq!(texts, ["queued pack osimage compute with id 1"]);
}

#[tokio::test]
async fn what_is_cancelled_while_it_runs_is_not_done_after_a_restart() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    let (job, cancel) = jobs.claim(now(), 2).unwrap();
    assert_eq!(jobs.cancel(now(), "compute").await.unwrap(), 1);
    assert!(cancel.is_cancelled() && jobs.list()[0].runs, "it stays until it has ended");
    drop(jobs);
    let mut site = site.restart().await;
    let jobs = site.open().await;
    assert_eq!(jobs.list(), []);
    let (texts, statuses) = follow(&jobs, &job.request).await;
    assert_eq!((texts[0].as_str(), statuses[0]), ("pack osimage compute: cancelled", 500));
}

#[tokio::test]
async fn a_record_that_is_no_job_is_told_of_and_kept_and_the_others_are_done() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    drop(jobs);
    let foreign = r#"{"number": 2, "work": {"kind": "fly_to_the_moon"}}"#;
    let write = perilune_store::Write::put(format!("{:020}", 2), foreign.to_owned());
    site.store.put_if(Table::Jobs, vec![write]).await.unwrap();
    let mut site = site.restart().await;
    let places = Places {
        files: site.directory.path().join("files"),
        images: site.directory.path().join("images"),
        trees: Trees::Own(Box::new(Performer {
            files: site.directory.path().join("files"),
            agent: None,
            fence: None,
            plugins: None,
        })),
        readers: Readers::default(),
        reached: perilune_boot::Settings::default(),
        torrents: None,
        site: places::Site::default(),
    };
    let opened = open(&site.store, site.cluster.clone(), places).await;
    let (jobs, records, unreadable) = opened.unwrap();
    site.tasks.spawn(records.run());
    assert_eq!((unreadable.len(), unreadable[0].table), (1, "job"));
    assert_eq!(site.store.aside().await.unwrap()[0].body, foreign);
    assert_eq!(jobs.list().len(), 1);
}

#[tokio::test]
async fn who_follows_jobs_slowly_or_over_a_restart_is_told_everything_and_holds_nobody_back() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    let (_, mut slow) = jobs.shared.jobs.subscribe();
    let known = jobs.shared.jobs.snapshot().sequence();
    for _ in 0..RULES.changes {
        jobs.submit(now(), "luna", pack("compute")).await.unwrap();
        jobs.cancel(now(), "compute").await.unwrap();
    }
    jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    let is_whole = |news: &perilune_boards::Since<Number, Job>| matches!(news, perilune_boards::Since::Whole(snapshot) if snapshot.len() == 1);
    assert!(is_whole(&slow.next().await.unwrap()));
    assert!(is_whole(&jobs.shared.jobs.since(known)));
    let known = jobs.shared.jobs.snapshot().sequence();
    drop((jobs, slow));
    let mut site = site.restart().await;
    let jobs = site.open().await;
    assert!(is_whole(&jobs.shared.jobs.since(known)));
    assert!(jobs.shared.jobs.snapshot().sequence() > known);
}

#[tokio::test]
async fn a_client_that_polls_on_over_a_restart_misses_no_message_of_the_new_daemon() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    let submitted = jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    let known = jobs.after(&submitted.request, 0).unwrap().last;
    drop(jobs);
    let mut site = site.restart().await;
    let jobs = site.open().await;
    let news = jobs.after(&submitted.request, known).unwrap();
    let texts: Vec<_> = news.messages.iter().filter_map(|message| message.text()).collect();
    assert_eq!(texts, ["resumed pack osimage compute with id 1 after a restart of the daemon"]);
}
