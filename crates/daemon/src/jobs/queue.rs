//! Which job is done when. One image is worked on by one job at a time, in the order in which they were asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use perilune_boards::Snapshot;
use perilune_image::CancelFlag;
use perilune_model::image::Image;

use super::message::Time;
use super::work::{Job, Work};

/// Counts jobs. Its text sorts as the number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(pub(super) u64);

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:020}", self.0)
    }
}

impl Number {
    pub(super) fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A job that is being done here.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    /// Stops it.
    pub(super) cancel: CancelFlag,
    /// The image that it packs, as that was when it began.
    pub(super) packs: Option<Arc<Image>>,
}

/// All jobs that are not done, and those of them that run.
#[derive(Clone, Copy)]
pub(super) struct Queue<'a> {
    pub(super) jobs: &'a Snapshot<Number, Job>,
    pub(super) running: &'a BTreeMap<Number, Running>,
}

impl<'a> Queue<'a> {
    /// The job that does the same and was asked for before; one that runs counts unless it is outdated, one that is cancelled does not.
    pub(super) fn same(
        self,
        work: &Work,
        is_outdated: impl Fn(&Running) -> bool,
    ) -> Option<&'a Arc<Job>> {
        let counts = |number: &Number, job: &Job| {
            !job.cancelled && !self.running.get(number).is_some_and(&is_outdated)
        };
        let mut jobs = self.jobs.iter().filter(|(_, job)| job.work.is_same(work));
        jobs.find(|(number, job)| counts(number, job)).map(|(_, job)| job)
    }

    /// The job that must be done before one with this work, because both are about the same image.
    pub(super) fn goes_first(self, before: Number, work: &Work) -> Option<&'a Arc<Job>> {
        let images = work.images();
        let mut earlier = self.jobs.range(..before).map(|(_, job)| job).rev();
        earlier.find(|job| job.work.images().iter().any(|image| images.contains(image)))
    }

    /// The next job that is due, when at most `limit` images are worked on at a time; none of those that `waits` says must still wait.
    pub(super) fn next(
        self,
        now: Time,
        limit: usize,
        waits: impl Fn(&Number) -> bool,
    ) -> Option<&'a Arc<Job>> {
        let busy = |(number, job): &(&Number, &Arc<Job>)| {
            self.running.contains_key(number) && job.work.target().is_some()
        };
        let has_room = self.jobs.iter().filter(busy).count() < limit;
        let is_free = |number: &Number, job: &Job| {
            let has_room = has_room || job.work.target().is_none();
            let is_next = || self.goes_first(*number, &job.work).is_none();
            has_room && job.due <= now && !waits(number) && is_next()
        };
        self.waiting().find(|(number, job)| is_free(number, job)).map(|(_, job)| job)
    }

    /// When the next job that only waits for its time is due.
    pub(super) fn next_due(self, now: Time) -> Option<Time> {
        self.waiting().map(|(_, job)| job.due).filter(|due| *due > now).min()
    }

    fn waiting(self) -> impl Iterator<Item = (&'a Number, &'a Arc<Job>)> {
        self.jobs.iter().filter(move |(number, _)| !self.running.contains_key(number))
    }
}

#[cfg(test)]
mod tests {
    use perilune_boards::{Board, Rules, Update};
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

    struct Jobs {
        board: Board<Number, Job>,
        running: BTreeMap<Number, Running>,
    }

    fn jobs(works: &[Work]) -> Jobs {
        let board = Board::volatile(1, Rules { keys: 100, changes: 1 });
        let jobs = Jobs { board, running: BTreeMap::new() };
        for (number, work) in (1..).zip(works) {
            jobs.add(number, NOW, work.clone());
        }
        jobs
    }

    impl Jobs {
        fn add(&self, number: u64, due: Time, work: Work) {
            let (request, user) = (format!("{number}.1"), "luna".to_owned());
            let (created, cancelled) = (NOW, false);
            let (epoch, begun) = (number, false);
            let job = Job { number, request, user, created, due, epoch, work, cancelled, begun };
            self.board.update(&Number(number), |_| Update::Put(job));
        }

        fn ask<T>(&self, ask: impl FnOnce(Queue<'_>) -> T) -> T {
            ask(Queue { jobs: &self.board.snapshot(), running: &self.running })
        }

        fn claim(&mut self, now: Time) -> Option<u64> {
            let next = |queue: Queue<'_>| queue.next(now, 2, |_| false).map(|job| job.number);
            let number = self.ask(next)?;
            self.running.insert(Number(number), Running::default());
            Some(number)
        }

        fn claimed(&mut self) -> Vec<u64> {
            std::iter::from_fn(|| self.claim(NOW)).collect()
        }

        fn end(&mut self, number: u64) {
            self.board.update(&Number(number), |_| Update::Remove);
            self.running.remove(&Number(number));
        }

        fn same(&self, work: &Work, is_outdated: bool) -> Option<u64> {
            self.ask(|queue| queue.same(work, |_| is_outdated).map(|job| job.number))
        }
    }

    #[test]
    fn images_are_packed_side_by_side_up_to_the_limit_and_each_by_one_job() {
        let mut jobs = jobs(&[pack("a"), pack("a"), pack("b"), pack("c")]);
        assert_eq!(jobs.claimed(), [1, 3]);
        jobs.end(1);
        assert_eq!(jobs.claimed(), [2]);
        jobs.end(3);
        jobs.end(2);
        assert_eq!(jobs.claimed(), [4]);
    }

    #[test]
    fn a_copy_waits_for_both_its_images_and_what_comes_later_waits_for_it() {
        let mut jobs = jobs(&[pack("a"), clone("a", "b"), pack("b")]);
        assert_eq!(jobs.claimed(), [1]);
        let first = |number, work: &Work| {
            jobs.ask(|queue| queue.goes_first(Number(number), work).map(|job| job.number))
        };
        assert_eq!(first(2, &clone("a", "b")), Some(1));
        assert_eq!(first(3, &pack("b")), Some(2));
        jobs.end(1);
        assert_eq!(jobs.claimed(), [2]);
    }

    #[test]
    fn a_job_waits_for_its_time_and_cleaning_needs_no_room() {
        let mut jobs = jobs(&[pack("a"), pack("b")]);
        assert_eq!(jobs.claimed(), [1, 2]);
        jobs.add(3, NOW + 5, cleanup());
        assert_eq!(jobs.claim(NOW + 4), None);
        assert_eq!(jobs.ask(|queue| queue.next_due(NOW)), Some(NOW + 5));
        assert_eq!(jobs.claim(NOW + 5), Some(3));
        assert_eq!(jobs.ask(|queue| queue.next_due(NOW)), None);
    }

    #[test]
    fn a_job_that_is_not_stored_yet_waits_and_so_does_what_comes_after_it() {
        let jobs = jobs(&[pack("a"), pack("a"), pack("b")]);
        let next =
            jobs.ask(|queue| queue.next(NOW, 2, |number| number.0 == 1).map(|job| job.number));
        assert_eq!(next, Some(3));
    }

    #[test]
    fn the_same_work_is_found_but_files_of_two_packs_are_cleaned_twice() {
        let jobs = jobs(&[pack("a"), cleanup()]);
        assert_eq!(jobs.same(&pack("a"), false), Some(1));
        assert_eq!(jobs.same(&pack("b"), false), None);
        assert_eq!(jobs.same(&cleanup(), false), None);
    }

    #[test]
    fn an_outdated_job_counts_only_while_it_waits_and_a_cancelled_one_never() {
        let mut jobs = jobs(&[pack("a")]);
        assert_eq!(jobs.same(&pack("a"), true), Some(1));
        assert_eq!(jobs.claimed(), [1]);
        assert_eq!(jobs.same(&pack("a"), true), None);
        assert_eq!(jobs.same(&pack("a"), false), Some(1));
        jobs.board.update(&Number(1), |job| {
            Update::Put(Job { cancelled: true, ..Job::clone(job.unwrap()) })
        });
        assert_eq!(jobs.same(&pack("a"), false), None);
    }

    #[test]
    fn keys_sort_as_numbers_do_and_can_be_read_again() {
        assert!(Number(9).to_string() < Number(10).to_string());
        assert_eq!(Number::read(&Number(7).to_string()), Some(Number(7)));
        assert_eq!(Number::read("seven"), None);
    }
}
