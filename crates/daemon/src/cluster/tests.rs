//! Commits over a real store, of one controller and of two.

use std::sync::atomic::{AtomicU32, Ordering};

use perilune_model::group::Group;
use perilune_model::{Error as Refusal, Kind, Name};
use perilune_testkit::Postgres;
use proptest::prelude::*;
use tokio::task::JoinSet;

use super::*;

fn name(number: usize) -> Name {
    Name::trusted(&format!("group{number}"))
}

fn group(number: usize) -> Group {
    Group { name: name(number), ..Group::default() }
}

/// A database of its own, and services over it: each as a controller would be, with its own cluster.
struct Site {
    _directory: tempfile::TempDir,
    _server: Option<Postgres>,
    store: Store,
    services: Vec<ClusterService>,
    _tasks: JoinSet<()>,
}

impl Site {
    fn new(controllers: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("luna.key");
        let (store, cluster) = Store::open(directory.path(), &key).unwrap();
        let mut tasks = JoinSet::new();
        let services = (0..controllers).map(|_| {
            let (service, task) = ClusterService::new(store.clone(), cluster.clone());
            tasks.spawn(task);
            service
        });
        let services = services.collect();
        Self { _directory: directory, _server: None, store, services, _tasks: tasks }
    }

    /// The same on PostgreSQL, where each controller has connections of its own; `None` where there is none.
    async fn shared(controllers: usize) -> Option<Self> {
        let mut server = Postgres::start()?;
        let address = Postgres::url(&server.fresh(), server.port()).parse().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("luna.key");
        Store::prepare(&address, &key).await.unwrap();
        let (mut tasks, mut services, mut stores) = (JoinSet::new(), Vec::new(), Vec::new());
        for number in 0..controllers {
            let name = format!("controller{number}");
            let (store, cluster) = Store::connect(&address, &name, &key).await.unwrap();
            let (service, task) = ClusterService::new(store.clone(), cluster);
            tasks.spawn(task);
            services.push(service);
            stores.push(store);
        }
        let store = stores.swap_remove(0);
        Some(Self { _directory: directory, _server: Some(server), store, services, _tasks: tasks })
    }

    /// Of each kind of database that is here.
    async fn each(controllers: usize) -> Vec<Self> {
        [Some(Self::new(controllers)), Self::shared(controllers).await]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The history counts every revision once and leads to what is stored, which is what the last controller that commits publishes.
    async fn check(&self) {
        for (number, service) in self.services.iter().enumerate() {
            let put = move |draft: &mut Draft| draft.put(group(1000 + number));
            service.commit(Meta::default(), put).await.unwrap();
        }
        let stored = self.store.load().await.unwrap();
        let entries = self.store.history_between(0, u64::MAX).await.unwrap();
        let revisions: Vec<u64> = entries.iter().map(|entry| entry.revision).collect();
        assert_eq!(revisions, (1..=stored.revision()).collect::<Vec<_>>());
        let mut followed = Cluster::default();
        for edit in entries.iter().flat_map(|entry| &entry.edits) {
            followed.apply(edit);
        }
        assert_eq!(followed, stored);
        let last = self.services.last().unwrap().published();
        assert_eq!((last.revision(), &*last), (stored.revision(), &stored));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_many_writers_all_count_and_equal_what_is_stored() {
    for site in Site::each(1).await {
        let mut writers = JoinSet::new();
        for number in 0..300 {
            let service = site.services[0].clone();
            writers.spawn(async move {
                service.commit(Meta::default(), move |draft| draft.put(group(number))).await
            });
        }
        for result in writers.join_all().await {
            result.unwrap();
        }
        assert_eq!(site.services[0].published().groups().len(), 300);
        assert_eq!(site.services[0].published().revision(), 300);
        site.check().await;
    }
}

#[tokio::test]
async fn a_refused_change_a_trial_and_a_defect_change_nothing() {
    let site = Site::new(1);
    let service = &site.services[0];
    let refused = service
        .commit(Meta::default(), |draft| {
            draft.put(group(1))?;
            Err::<(), _>(Refusal::invalid("name", "no"))
        })
        .await;
    assert!(matches!(refused, Err(Error::Refused(_))));
    let trial = Author { meta: Meta::default(), dry_run: true, key: None };
    let tried = service.commit(trial, |draft| draft.put(group(1))).await;
    assert!(matches!(tried, Err(Error::Trial(change, _)) if change.edits.len() == 1));
    let defect =
        service.commit(Meta::default(), |_| -> Result<(), Refusal> { panic!("a defect") }).await;
    assert!(matches!(defect, Err(Error::Defect(text)) if text == "a defect"));
    assert_eq!(service.published().groups().len(), 0);
    assert_eq!(service.published().revision(), 0);
}

#[tokio::test]
async fn the_second_of_two_controllers_finds_what_the_first_did_and_decides_again() {
    for site in Site::each(2).await {
        let [one, other] = site.services.as_slice() else { panic!() };
        one.commit(Meta::default(), |draft| draft.put(group(1))).await.unwrap();
        assert_eq!(other.published().revision(), 0, "it has not looked yet");
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let decide = move |draft: &mut Draft| {
            counted.fetch_add(1, Ordering::Relaxed);
            draft.put(group(2))?;
            Ok(draft.groups().len())
        };
        assert_eq!(other.commit(Meta::default(), decide).await.unwrap(), 2);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert_eq!(other.published().revision(), 2);
        site.check().await;
    }
}

#[tokio::test]
async fn what_is_refused_or_tried_on_what_is_no_longer_so_is_decided_again() {
    for site in Site::each(2).await {
        let [one, other] = site.services.as_slice() else { panic!() };
        one.commit(Meta::default(), |draft| draft.put(group(1))).await.unwrap();
        // Decided together with a change that finds out that another controller was first.
        let put = other.commit(Meta::default(), |draft| draft.put(group(2)));
        let remove = |draft: &mut Draft| draft.remove(Kind::Group, "group1");
        let check = other.check(remove);
        let (put, check) = tokio::join!(put, check);
        put.unwrap();
        check.expect("the group is there, though this controller did not know it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_never_first_is_told_so_and_nothing_is_changed() {
    let site = Site::new(2);
    let [one, rival] = site.services.as_slice() else { panic!() };
    let (runtime, rival) = (tokio::runtime::Handle::current(), rival.clone());
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let decide = move |draft: &mut Draft| {
        let number = counted.fetch_add(1, Ordering::Relaxed) as usize;
        // The other controller commits something while this one still decides.
        std::thread::scope(|scope| {
            let commit = rival.commit(Meta::default(), move |draft| draft.put(group(number)));
            let commit = scope.spawn(|| runtime.block_on(commit));
            commit.join().unwrap().unwrap();
        });
        draft.put(group(500))
    };
    let refused = one.commit(Meta::default(), decide).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::Contended), "{error}");
    assert!(error.to_string().contains("try again"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), TRIES);
    let stored = site.store.load().await.unwrap();
    assert_eq!((stored.revision(), stored.group("group500").is_ok()), (u64::from(TRIES), false));
    site.check().await;
}

/// Counts in a group's comment, which loses a step when it is decided on what is no longer so.
fn count(draft: &mut Draft, number: usize) -> Result<(), Refusal> {
    let known = draft.groups().get(&name(number));
    let comment = known.and_then(|group| group.comment.clone());
    let counted = comment.map_or(0, |comment| comment.parse::<u32>().unwrap());
    let mut group = group(number);
    group.comment = Some((counted + 1).to_string());
    draft.put(group)
}

fn counted(cluster: &Cluster, number: usize) -> u32 {
    let group = cluster.groups().get(&name(number));
    let comment = group.and_then(|group| group.comment.clone());
    comment.map_or(0, |comment| comment.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_controller_does_not_keep_another_from_ever_being_first() {
    for site in Site::each(2).await {
        let mut busy = JoinSet::new();
        for _ in 0..16 {
            let service = site.services[0].clone();
            busy.spawn(async move {
                for _ in 0..50 {
                    let step = |draft: &mut Draft| count(draft, 1);
                    service.commit(Meta::default(), step).await.unwrap();
                }
            });
        }
        for _ in 0..20 {
            let step = |draft: &mut Draft| count(draft, 1);
            site.services[1].commit(Meta::default(), step).await.expect("it has its turn");
        }
        busy.join_all().await;
        assert_eq!(counted(&site.store.load().await.unwrap(), 1), 16 * 50 + 20);
        site.check().await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Count(usize),
    Remove(usize),
    Rename(usize, usize),
    Try(usize),
}

impl Step {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            4 => (0..4_usize).prop_map(Self::Count),
            1 => (0..4_usize).prop_map(Self::Remove),
            1 => (0..4_usize, 0..4_usize).prop_map(|(from, to)| Self::Rename(from, to)),
            1 => (0..4_usize).prop_map(Self::Try),
        ]
    }

    /// What the step added to the sum of all counters.
    fn decide(self, draft: &mut Draft) -> Result<i64, Refusal> {
        match self {
            Self::Count(number) | Self::Try(number) => count(draft, number).map(|()| 1),
            Self::Remove(number) => {
                let gone = i64::from(counted(draft, number));
                draft.remove(Kind::Group, name(number).as_str()).map(|()| -gone)
            }
            Self::Rename(from, to) => {
                let group = Group::clone(draft.group(name(from).as_str())?);
                let renamed = Group { name: name(to), ..group };
                draft.rename(renamed, name(from).as_str()).map(|()| 0)
            }
        }
    }
}

/// Does the steps of two controllers at once; answers the sum that the answers promise.
async fn race(site: &Site, steps: [Vec<Step>; 2]) -> i64 {
    let mut all = JoinSet::new();
    for (service, steps) in site.services.iter().zip(steps) {
        // Some of them together, some after each other.
        for part in steps.chunks(3) {
            let (service, part) = (service.clone(), part.to_vec());
            all.spawn(async move {
                let mut sum = 0;
                for step in part {
                    let dry_run = matches!(step, Step::Try(_));
                    let author = Author { meta: Meta::default(), dry_run, key: None };
                    match service.commit(author, move |draft| step.decide(draft)).await {
                        Ok(added) => sum += added,
                        Err(Error::Refused(_) | Error::Contended | Error::Trial(..)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                sum
            });
        }
    }
    all.join_all().await.into_iter().sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn of_two_controllers_no_change_is_lost_and_no_revision_is_left_out(
        one in prop::collection::vec(Step::any(), 0..24),
        other in prop::collection::vec(Step::any(), 0..24),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let site = Site::new(2);
            let promised = race(&site, [one, other]).await;
            let stored = site.store.load().await.unwrap();
            let sum: i64 = (0..4).map(|number| i64::from(counted(&stored, number))).sum();
            assert_eq!(sum, promised);
            site.check().await;
        });
    }
}
