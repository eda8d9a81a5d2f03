//! Answers of other servers, kept for as long as they say.

use std::collections::{BTreeMap, VecDeque};

use crate::forward::{Question, Sameness, is_helpful};
use crate::walk;
use crate::writer::flag;

/// As many answers are kept, of as many bytes each: 16 MiB at most.
const ANSWERS: usize = 4096;
const BYTES: usize = 4096;
/// How long one is kept at most, in seconds, and one that says that there is nothing.
const LONGEST: u32 = 3600;
const LONGEST_NOTHING: u32 = 300;
const SOA: u16 = 6;

/// Answers of other servers.
#[derive(Debug, Default)]
pub struct Cache {
    kept: BTreeMap<Sameness, Kept>,
    /// In the order in which they came: who came first goes first.
    order: VecDeque<Sameness>,
}

#[derive(Debug)]
struct Kept {
    answer: Vec<u8>,
    /// When it came, and until when it is good, in milliseconds.
    since: u64,
    until: u64,
}

impl Cache {
    /// The answer to a question at this time, in milliseconds; its times to live are what is left of them.
    pub fn get(&self, question: &Question, now: u64) -> Option<Vec<u8>> {
        let kept = self.kept.get(&question.sameness())?;
        if now >= kept.until || now < kept.since {
            return None;
        }
        let age = u32::try_from((now - kept.since) / 1000).unwrap_or(u32::MAX);
        let mut answer = kept.answer.clone();
        for part in walk::records(&kept.answer)?.iter().filter(|part| part.has_ttl()) {
            let place = answer.get_mut(part.ttl..part.ttl + 4)?;
            let ttl = u32::from_be_bytes(place.try_into().ok()?);
            place.copy_from_slice(&ttl.saturating_sub(age).to_be_bytes());
        }
        Some(answer)
    }

    /// Keeps an answer that came at this time.
    pub fn put(&mut self, question: &Question, answer: &[u8], now: u64) {
        let Some(seconds) = good_for(answer).filter(|seconds| *seconds > 0) else { return };
        let key = question.sameness();
        let until = now.saturating_add(u64::from(seconds) * 1000);
        let kept = Kept { answer: answer.to_vec(), since: now, until };
        if self.kept.insert(key.clone(), kept).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > ANSWERS {
            if let Some(first) = self.order.pop_front() {
                self.kept.remove(&first);
            }
        }
    }
}

/// For how many seconds an answer may be kept; `None` for one that must not be.
fn good_for(answer: &[u8]) -> Option<u32> {
    let is_cut = walk::u16_at(answer, 2)? & flag::TRUNCATED != 0;
    if is_cut || answer.len() > BYTES || !is_helpful(answer) {
        return None;
    }
    let parts = walk::records(answer)?;
    let ttl = |part: &walk::Part| {
        let bytes = answer.get(part.ttl..part.ttl + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let least = parts.iter().filter(|part| part.has_ttl()).filter_map(ttl).min();
    if walk::u16_at(answer, 6)? > 0 {
        return least.map(|least| least.min(LONGEST));
    }
    // RFC 2308, section 5: without the zone's beginning nobody said how long there is nothing.
    let has_soa = parts.iter().any(|part| part.kind == SOA);
    least.filter(|_| has_soa).map(|least| least.min(LONGEST_NOTHING))
}
