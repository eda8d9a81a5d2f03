//! Which job is done when. One image is worked on by one job at a time, in the order in which they were asked for.

use std::collections::BTreeMap;

use perilune_image::CancelFlag;

use super::message::Time;
use super::work::{Job, Work};

/// A job and whether it runs.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The job.
    pub(super) job: Job,
    /// Stops it; only while it runs.
    pub(super) running: Option<CancelFlag>,
}

/// All jobs that are not done, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<u64, Entry>,
    last_number: u64,
    last_epoch: u64,
}

impl Queue {
    /// Adds work that nobody asked for yet; it is given a number and an epoch of its own.
    pub(super) fn add(
        &mut self,
        now: Time,
        due: Time,
        request: String,
        user: &str,
        work: Work,
    ) -> Job {
        self.last_number += 1;
        self.last_epoch = (now / 1000).max(self.last_epoch + 1);
        let (number, epoch) = (self.last_number, self.last_epoch);
        let job = Job { number, request, user: user.to_owned(), created: now, due, epoch, work };
        self.entries.insert(number, Entry { job: job.clone(), running: None });
        job
    }

    /// Takes a job that was stored.
    pub(super) fn restore(&mut self, job: Job) {
        self.last_number = self.last_number.max(job.number);
        self.last_epoch = self.last_epoch.max(job.epoch);
        self.entries.insert(job.number, Entry { job, running: None });
    }

    /// The job that does the same and was asked for before; one that runs counts unless it is outdated.
    pub(super) fn same(&self, work: &Work, is_outdated: impl Fn(&Job) -> bool) -> Option<&Job> {
        let counts = |entry: &&Entry| entry.running.is_none() || !is_outdated(&entry.job);
        let entries = self.entries.values().filter(|entry| entry.job.work.is_same(work));
        entries.filter(counts).map(|entry| &entry.job).next()
    }

    /// The job that must be done before one with this work, because both are about the same image.
    pub(super) fn goes_first(&self, before: u64, work: &Work) -> Option<&Job> {
        let images = work.images();
        let earlier = self.entries.range(..before).map(|(_, entry)| &entry.job);
        earlier.rev().find(|job| job.work.images().iter().any(|image| images.contains(image)))
    }

    /// Gives out the next job that is due; at most `limit` images are worked on at a time.
    pub(super) fn claim(&mut self, now: Time, limit: usize) -> Option<(Job, CancelFlag)> {
        let busy = |entry: &&Entry| entry.running.is_some() && entry.job.work.target().is_some();
        let room = self.entries.values().filter(busy).count() < limit;
        let is_free = |job: &Job| {
            let has_room = room || job.work.target().is_none();
            has_room && job.due <= now && self.goes_first(job.number, &job.work).is_none()
        };
        let waiting = self.entries.values().filter(|entry| entry.running.is_none());
        let number = waiting.map(|entry| &entry.job).find(|job| is_free(job))?.number;
        let entry = self.entries.get_mut(&number)?;
        let flag = CancelFlag::default();
        entry.running = Some(flag.clone());
        Some((entry.job.clone(), flag))
    }

    /// Takes a job out, done or not.
    pub(super) fn take(&mut self, number: u64) -> Option<Job> {
        self.entries.remove(&number).map(|entry| entry.job)
    }

    /// When the next job that only waits for its time is due.
    pub(super) fn next_due(&self, now: Time) -> Option<Time> {
        let waiting = self.entries.values().filter(|entry| entry.running.is_none());
        waiting.map(|entry| entry.job.due).filter(|due| *due > now).min()
    }

    /// All jobs, in the order of their numbers.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }
}

#[cfg(test)]
mod tests {
    use perilune_model::Name;

    use super::super::work::Mounted;
    use super::*;

    const NOW: Time = 1_767_348_000_000;

    fn pack(image: &str) -> Work {
        Work::pack(Name::trusted(image))
    }

    fn clone(source: &str, target: &str) -> Work {
        Work::CloneImage {
            source: Name::trusted(source),
            target: Name::trusted(target),
            pack: true,
            mounts: Mounted::default(),
        }
    }

    fn cleanup() -> Work {
        Work::RemoveFiles { files: vec!["compute-1.tar.zst".to_owned()] }
    }

    fn queue(works: &[Work]) -> Queue {
        let mut queue = Queue::default();
        for work in works {
            queue.add(NOW, NOW, format!("{}.1", queue.last_number), "luna", work.clone());
        }
        queue
    }

    fn claimed(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.claim(NOW, 2)).map(|(job, _)| job.number).collect()
    }

    #[test]
    fn images_are_packed_side_by_side_up_to_the_limit_and_each_by_one_job() {
        let mut queue = queue(&[pack("a"), pack("a"), pack("b"), pack("c")]);
        assert_eq!(claimed(&mut queue), [1, 3]);
        queue.take(1);
        assert_eq!(claimed(&mut queue), [2]);
        queue.take(3);
        queue.take(2);
        assert_eq!(claimed(&mut queue), [4]);
    }

    #[test]
    fn a_copy_waits_for_both_its_images_and_what_comes_later_waits_for_it() {
        let mut queue = queue(&[pack("a"), clone("a", "b"), pack("b")]);
        assert_eq!(claimed(&mut queue), [1]);
        assert_eq!(queue.goes_first(2, &clone("a", "b")).map(|job| job.number), Some(1));
        assert_eq!(queue.goes_first(3, &pack("b")).map(|job| job.number), Some(2));
        queue.take(1);
        assert_eq!(claimed(&mut queue), [2]);
    }

    #[test]
    fn a_job_waits_for_its_time_and_cleaning_needs_no_room() {
        let mut queue = queue(&[pack("a"), pack("b")]);
        assert_eq!(claimed(&mut queue), [1, 2]);
        queue.add(NOW, NOW + 5, "3.1".to_owned(), "luna", cleanup());
        assert!(queue.claim(NOW + 4, 2).is_none());
        assert_eq!(queue.next_due(NOW), Some(NOW + 5));
        assert_eq!(queue.claim(NOW + 5, 2).map(|(job, _)| job.number), Some(3));
        assert_eq!(queue.next_due(NOW), None);
    }

    #[test]
    fn the_same_work_is_found_but_files_of_two_packs_are_cleaned_twice() {
        let queue = queue(&[pack("a"), cleanup()]);
        let same = |work| queue.same(&work, |_| false).map(|job| job.number);
        assert_eq!(same(pack("a")), Some(1));
        assert_eq!(same(pack("b")), None);
        assert_eq!(same(cleanup()), None);
    }

    #[test]
    fn an_outdated_job_counts_only_while_it_waits() {
        let mut queue = queue(&[pack("a")]);
        assert!(queue.same(&pack("a"), |_| true).is_some());
        assert_eq!(claimed(&mut queue), [1]);
        assert!(queue.same(&pack("a"), |_| true).is_none());
        assert!(queue.same(&pack("a"), |_| false).is_some());
    }

    #[test]
    fn no_two_jobs_make_files_of_the_same_name_even_after_a_restart() {
        let mut former = queue(&[pack("a"), pack("b")]);
        let last = former.take(2).unwrap();
        assert_eq!(last.epoch, NOW / 1000 + 1);
        let mut queue = Queue::default();
        queue.restore(last);
        let next = queue.add(NOW, NOW, "4.1".to_owned(), "luna", pack("c"));
        assert_eq!((next.number, next.epoch), (3, NOW / 1000 + 2));
    }
}
