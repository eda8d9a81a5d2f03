//! Jobs from being asked for to being done, over a real store and real trees.

use std::fs;
use std::path::Path;
use std::time::Duration;

use perilune_image::Readers;
use perilune_model::image::{self, Image};
use perilune_model::{Draft, Kind, Name, Object, Patch};
use perilune_store::Meta;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ask::GRACE;
use super::trees::Performer;
use super::*;
use crate::clock::milliseconds as now;

mod kept;
mod plugins;

const VERSION: &str = "6.1.0-9-test";
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon's store, cluster and directories, with image `compute` and its tree.
struct Site {
    directory: tempfile::TempDir,
    store: Store,
    cluster: ClusterService,
    tasks: JoinSet<()>,
    plugins: places::Site,
}

async fn open(
    store: &Store,
    cluster: ClusterService,
    places: Places,
) -> Result<(Jobs, Records, Vec<Unreadable>), perilune_store::Error> {
    let (holdings, _, _) = Holdings::open(store, "controller").await?;
    Jobs::open(store, cluster, places, holdings, now()).await
}

impl Site {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["data", "files", "images"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        make_tree(&directory.path().join("images/compute"));
        fs::write(directory.path().join("agent"), smallest_program()).unwrap();
        let (store, cluster) =
            Store::open(&directory.path().join("data"), &directory.path().join("luna.key"))
                .unwrap();
        let (cluster, task) = ClusterService::new(store.clone(), cluster);
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        let site = Self { directory, store, cluster, tasks, plugins: places::Site::default() };
        site.add_image("compute").await;
        site
    }

    async fn add_image(&self, name: &str) {
        let name = Name::trusted(name);
        let save = self.cluster.commit(Meta::default(), move |draft| {
            image::save(draft, &name, &image::Request::default()).map(drop)
        });
        save.await.unwrap();
    }

    /// Jobs that nobody stores yet.
    async fn closed(&self) -> (Jobs, Records) {
        let at = |name: &str| self.directory.path().join(name);
        let places = Places {
            files: at("files"),
            images: at("images"),
            trees: Trees::Own(Box::new(Performer {
                files: at("files"),
                agent: Some(at("agent")),
                fence: None,
                plugins: None,
            })),
            readers: Readers::default(),
            reached: perilune_boot::Settings::default(),
            torrents: None,
            site: self.plugins.clone(),
        };
        let opened = open(&self.store, self.cluster.clone(), places).await;
        let (jobs, records, unreadable) = opened.unwrap();
        assert_eq!(unreadable, []);
        (jobs, records)
    }

    /// Jobs that are stored, and not done.
    async fn open(&mut self) -> Jobs {
        let (jobs, records) = self.closed().await;
        self.tasks.spawn(records.run());
        jobs
    }

    /// Jobs that are done as they come.
    async fn start(&mut self) -> Jobs {
        let jobs = self.open().await;
        self.tasks.spawn(jobs.clone().run(CancellationToken::new()));
        jobs
    }

    fn image(&self, name: &str) -> Image {
        Image::clone(self.cluster.published().image(name).unwrap())
    }

    fn names_in(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join(directory)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    async fn stored(&self) -> usize {
        self.store.records(Table::Jobs).await.unwrap().len()
    }
}

fn make_tree(tree: &Path) {
    let modules = tree.join("lib/modules").join(VERSION);
    fs::create_dir_all(modules.join("kernel")).unwrap();
    fs::create_dir_all(tree.join("boot")).unwrap();
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(tree.join("boot").join(format!("vmlinuz-{VERSION}")), "kernel").unwrap();
    fs::write(tree.join("etc/hostname"), "image").unwrap();
    for list in
        ["modules.dep", "modules.alias", "modules.softdep", "modules.order", "modules.builtin"]
    {
        fs::write(modules.join(list), "").unwrap();
    }
}

/// A header of a 64-bit ELF file that needs nothing.
pub(crate) fn smallest_program() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    header.extend([0; 28]);
    header.extend([64, 56, 0, 64, 0, 0].map(u16::to_le_bytes).concat());
    header
}

fn pack(image: &str) -> Work {
    Work::pack(Name::trusted(image))
}

fn clone(target: &str, pack: bool) -> Work {
    Work::CloneImage {
        source: Name::trusted("compute"),
        target: Name::trusted(target),
        pack,
        mounts: Mounted::default(),
    }
}

/// Everything that a request is told until it is over: the texts, and the statuses of the answers.
async fn follow(jobs: &Jobs, request: &str) -> (Vec<String>, Vec<u16>) {
    let (mut texts, mut statuses) = (Vec::new(), Vec::new());
    let mut known = 0;
    let poll = async {
        loop {
            let news = jobs.after(request, known).expect("the request is known");
            known = news.last;
            for message in &news.messages {
                statuses.push(message.status);
                if !matches!(message.said, Said::Progress(_)) {
                    texts.extend(message.line());
                }
            }
            if news.is_over {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, poll).await.expect("the job ends");
    (texts, statuses)
}

async fn do_it(jobs: &Jobs, work: Work) -> (Vec<String>, Vec<u16>) {
    let submitted = jobs.submit(now(), "luna", work).await.unwrap();
    follow(jobs, &submitted.request).await
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("it happens");
}

#[tokio::test]
async fn packing_takes_files_into_service_and_tells_its_steps() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    let (texts, statuses) = do_it(&jobs, pack("compute")).await;
    let steps: Vec<&String> = texts.iter().filter(|text| !text.starts_with("note: ")).collect();
    assert_eq!(
        steps,
        [
            "queued pack osimage compute with id 1",
            "assembling kernel and ramdisk for osimage compute",
            "finished assembling kernel and ramdisk for osimage compute",
            "building osimage compute",
            "finished building osimage compute",
            "creating provisioning for osimage compute",
            "created http provisioning for osimage compute",
        ]
    );
    assert!(statuses.iter().all(|status| *status == 200));
    assert!(!jobs.is_packing("compute"));
    let files = site.image("compute").files;
    assert_eq!(files.kernelversion.as_deref(), Some(VERSION));
    let mut named: Vec<&str> = files.names().collect();
    named.sort_unstable();
    assert_eq!(site.names_in("files"), named);
    assert_eq!(files.checksum.map(|checksum| checksum.len()), Some(64));
    assert_eq!(site.stored().await, 0);
}

#[tokio::test]
async fn files_of_before_stay_for_an_hour_and_a_restart_remembers_that() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    do_it(&jobs, pack("compute")).await;
    let first = site.image("compute").files;
    do_it(&jobs, pack("compute")).await;
    assert_ne!(site.image("compute").files.imagefile, first.imagefile);
    assert_eq!(site.names_in("files").len(), 6);
    let again = site.open().await;
    let listed = again.list();
    let [Listed { job, runs: false }] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(job.work, Work::RemoveFiles { files: first.names().map(str::to_owned).collect() });
    assert_eq!(job.due, job.created + GRACE);
}

#[tokio::test]
async fn cleaning_removes_what_is_unused_and_spares_what_is_used_or_elsewhere() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    do_it(&jobs, pack("compute")).await;
    let used = site.names_in("files");
    fs::write(site.directory.path().join("files/old.tar.zst"), "").unwrap();
    fs::write(site.directory.path().join("precious"), "").unwrap();
    let mut files = used.clone();
    files.extend(["../precious", "old.tar.zst", "absent", ".hidden"].map(str::to_owned));
    jobs.shared.clean(now(), now(), Work::RemoveFiles { files }).await;
    until(|| jobs.list().is_empty()).await;
    assert_eq!(site.names_in("files"), used);
    assert!(site.directory.path().join("precious").exists());
}

#[tokio::test]
async fn a_tree_without_a_kernel_is_told_and_nothing_changes() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    do_it(&jobs, pack("compute")).await;
    let (files, names) = (site.image("compute").files, site.names_in("files"));
    fs::remove_dir_all(site.directory.path().join("images/compute/lib/modules")).unwrap();
    let (texts, statuses) = do_it(&jobs, pack("compute")).await;
    let last = texts.last().unwrap();
    assert!(
        last.starts_with("error assembling osimage compute: the image ")
            && last.contains("no kernel"),
        "{last}"
    );
    assert!(statuses.contains(&500));
    assert_eq!(site.image("compute").files, files);
    assert_eq!(site.names_in("files"), names);
}

#[tokio::test]
async fn an_unknown_image_is_told_as_missing() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    let (texts, statuses) = do_it(&jobs, pack("nothing")).await;
    assert_eq!(
        texts.last().unwrap(),
        "error assembling osimage nothing: there is no OS image nothing"
    );
    assert!(statuses.contains(&404));
}

#[tokio::test]
async fn the_same_wish_gets_the_same_request_and_later_ones_wait() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    let first = jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    let second = jobs.submit(now(), "other", pack("compute")).await.unwrap();
    assert_eq!((first.already, second.already), (false, true));
    assert_eq!(first.request, second.request);
    assert!(jobs.is_packing("compute") && !jobs.is_packing("copy"));
    let third = jobs.submit(now(), "luna", clone("copy", true)).await.unwrap();
    assert!(jobs.is_packing("copy"));
    assert_eq!(jobs.at_work_on("copy").await.unwrap(), Some(third.request.clone()));
    let last = |request: &str| {
        let news = jobs.after(request, 0).unwrap();
        news.messages.last().unwrap().text().unwrap()
    };
    let told = last(&third.request);
    assert!(told.ends_with("task 1 goes first: pack osimage compute"), "{told}");
    let told = last(&first.request);
    assert!(told.ends_with("a similar task with id 1 is queued, progress shown here"), "{told}");
}

#[tokio::test]
async fn an_image_that_was_changed_while_it_is_packed_is_packed_again() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    let (job, _) = jobs.claim(now(), 1).unwrap();
    jobs.shared.image_to_pack(&job, "compute").unwrap();
    assert!(jobs.submit(now(), "luna", pack("compute")).await.unwrap().already);
    let kernel =
        image::Request { kernelversion: Patch::Set("7.0".to_owned()), ..image::Request::default() };
    let change = move |draft: &mut Draft| image::save(draft, &Name::trusted("compute"), &kernel);
    site.cluster.commit(Meta::default(), change).await.unwrap();
    assert!(!jobs.submit(now(), "luna", pack("compute")).await.unwrap().already);
    assert!(jobs.submit(now(), "luna", pack("compute")).await.unwrap().already);
}

#[tokio::test]
async fn work_that_was_not_done_is_done_after_a_restart() {
    let mut site = Site::new().await;
    let submitted = site.open().await.submit(now(), "luna", pack("compute")).await.unwrap();
    assert_eq!(site.stored().await, 1);
    fs::write(site.directory.path().join("files/.perilune-compute-1.tar.zst.part"), "half")
        .unwrap();
    let jobs = site.start().await;
    let (texts, _) = follow(&jobs, &submitted.request).await;
    assert_eq!(texts[0], "resumed pack osimage compute with id 1 after a restart of the daemon");
    assert_eq!(site.names_in("files").len(), 3);
    assert_eq!(site.stored().await, 0);
}

#[tokio::test]
async fn work_whose_end_was_not_noted_is_not_done_again() {
    let mut site = Site::new().await;
    let submitted = site.open().await.submit(now(), "luna", pack("compute")).await.unwrap();
    let record = site.store.records(Table::Jobs).await.unwrap();
    let jobs = site.start().await;
    follow(&jobs, &submitted.request).await;
    let files = site.image("compute").files;
    let again = record
        .into_iter()
        .map(|job| perilune_store::Write::put(job.key, job.body.unwrap()))
        .collect();
    site.store.put_if(Table::Jobs, again).await.unwrap();
    let jobs = site.start().await;
    follow(&jobs, &submitted.request).await;
    assert_eq!(site.image("compute").files, files);
    assert_eq!(site.names_in("files").len(), 3);
}

#[tokio::test]
async fn a_daemon_that_stops_leaves_the_work_for_the_next_start_and_no_litter() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    let submitted = jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    tokio::time::timeout(DEADLINE, jobs.run(stop)).await.unwrap();
    assert_eq!(site.names_in("files"), [""; 0]);
    assert_eq!(site.stored().await, 1);
    let jobs = site.start().await;
    follow(&jobs, &submitted.request).await;
    assert_eq!(site.names_in("files").len(), 3);
}

#[tokio::test]
async fn what_was_cancelled_is_told_and_forgotten() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    let submitted = jobs.submit(now(), "luna", pack("compute")).await.unwrap();
    assert_eq!(jobs.cancel(now(), "compute").await.unwrap(), 1);
    let (texts, statuses) = follow(&jobs, &submitted.request).await;
    assert_eq!(texts.last().unwrap(), "pack osimage compute: cancelled");
    assert_eq!(statuses, [OK, error::FAILED]);
    assert_eq!(site.stored().await, 0);
    assert_eq!(jobs.cancel(now(), "compute").await.unwrap(), 0);
}

#[tokio::test]
async fn a_clone_gets_a_tree_and_files_of_its_own() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    site.add_image("copy").await;
    let (texts, _) = do_it(&jobs, clone("copy", true)).await;
    assert_eq!(texts[0], "queued clone osimage compute->copy with id 1");
    assert_eq!(texts[1..3], ["copying osimage compute->copy", "finished copying osimage"]);
    assert_eq!(fs::read(site.directory.path().join("images/copy/etc/hostname")).unwrap(), b"image");
    assert_eq!(site.names_in("images"), ["compute", "copy"]);
    assert!(site.image("copy").files.imagefile.unwrap().starts_with("copy-"));
    assert!(site.image("compute").files.imagefile.is_none());
}

#[tokio::test]
async fn an_image_whose_tree_could_not_be_copied_goes_again() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    site.add_image("copy").await;
    fs::remove_dir_all(site.directory.path().join("images/compute")).unwrap();
    let (texts, statuses) = do_it(&jobs, clone("copy", false)).await;
    assert!(texts.last().unwrap().starts_with("error copying osimage: "), "{texts:?}");
    assert!(statuses.contains(&500));
    assert_eq!(site.cluster.published().object(Kind::Image, "copy"), None::<Object>);
    assert_eq!(site.names_in("images"), [""; 0]);
}

#[tokio::test]
async fn a_tree_goes_when_its_image_is_gone_and_not_before() {
    let mut site = Site::new().await;
    let jobs = site.start().await;
    let tree = site.directory.path().join("images/compute");
    jobs.remove_tree(now(), tree.clone()).await;
    until(|| jobs.list().is_empty()).await;
    assert!(tree.exists());
    site.cluster
        .commit(Meta::default(), |draft| image::remove(draft, "compute").map(drop))
        .await
        .unwrap();
    jobs.remove_tree(now(), tree).await;
    until(|| jobs.list().is_empty()).await;
    assert_eq!(site.names_in("images"), [""; 0]);
}

#[tokio::test]
async fn messages_of_another_controller_are_delivered_and_end() {
    let mut site = Site::new().await;
    let jobs = site.open().await;
    jobs.relay(now(), "1.2", &["building osimage compute".to_owned(), END.to_owned()]);
    let (texts, _) = follow(&jobs, "1.2").await;
    assert_eq!(texts, ["building osimage compute"]);
}
