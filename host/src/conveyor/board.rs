//! What whoever watches a running line sees: counts and paces of each station, what each revision came
//! to, and notices of single items.

use super::latest::Latest;
use crate::{
    item::{Item, ItemId, PhaseKind},
    journal::Summary,
    line::Line,
    name::Name,
    sandbox::Progress,
    visit::{Millis, Outcome, Report},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Something that happened, told once it is durable.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An input was taken.
    Taken {
        /// Its item.
        item: ItemId,
        /// Its name.
        source: String,
    },
    /// An input had been taken before.
    Known {
        /// Its item.
        item: ItemId,
        /// Its name.
        source: String,
    },
    /// An item waits for a person's answer.
    Held {
        /// Where, and what is asked.
        summary: Summary,
    },
    /// An item jammed.
    Jammed {
        /// Where and why.
        summary: Summary,
    },
    /// An item ended.
    Ended {
        /// The item as it is now.
        item: Box<Item>,
    },
}

/// Counts of every station and revision, readable from any thread at any time.
#[derive(Debug, Default)]
pub struct Board {
    stations: RwLock<BTreeMap<Name, Arc<Live>>>,
    revisions: RwLock<BTreeMap<u64, Arc<Tally>>>,
    latest: Latest,
}

/// Counts of a station at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Items that wait for a worker or for their next attempt.
    pub waiting: u64,
    /// Visits under way.
    pub working: u64,
    /// Items that wait for an answer.
    pub held: u64,
    /// Items that are jammed here.
    pub jammed: u64,
    /// Attempts that gave their outputs, since the start.
    pub passed: u64,
    /// Attempts that did not, since the start; those that were recalled are neither.
    pub failed: u64,
    /// Whether no visits are started.
    pub paused: bool,
    /// Attempts that ended a second, over the last minutes.
    pub rate: f64,
    /// The time that half of the attempts of the last minutes stayed below; to an eighth.
    pub p50: Duration,
    /// The same of 99 of a hundred.
    pub p99: Duration,
}

/// What attempts came to that began on one revision, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Came {
    /// Attempts that gave their outputs.
    pub passed: u64,
    /// Attempts that did not.
    pub failed: u64,
    /// Visits that were over with one of them: none is made again.
    pub ended: u64,
    /// Of those the ones that jammed their item.
    pub jammed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: AtomicU64,
    failed: AtomicU64,
    ended: AtomicU64,
    jammed: AtomicU64,
}

impl Tally {
    pub(super) fn ended(&self, report: &Report) {
        if let Some(passed) = passed(report) {
            add(if passed { &self.passed } else { &self.failed });
        }
    }

    /// A visit is over.
    pub(super) fn over(&self, jammed: bool) {
        if jammed {
            add(&self.jammed);
        }
        add(&self.ended);
    }
}

/// A station, as it is counted. One conveyor writes, anybody reads.
#[derive(Debug, Default)]
pub(super) struct Live {
    waiting: AtomicU64,
    working: AtomicU64,
    held: AtomicU64,
    jammed: AtomicU64,
    passed: AtomicU64,
    failed: AtomicU64,
    paused: AtomicBool,
    slots: [Slot; SLOTS],
}

/// The length of a slot.
const SLOT: Millis = 60_000;
/// The one that is written, and those before it.
const SLOTS: usize = 3;
/// Four to each doubling of a microsecond, up to 71 minutes.
const BUCKETS: usize = 4 * 32;

/// The visit times of one minute.
struct Slot {
    /// Which minute since 1970.
    minute: AtomicU64,
    buckets: [AtomicU32; BUCKETS],
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            minute: AtomicU64::new(0),
            buckets: [const { AtomicU32::new(0) }; BUCKETS],
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("minute", &self.minute)
            .finish_non_exhaustive()
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.max(1);
    let doubling = micros.ilog2() as usize;
    // The two bits after the first.
    let quarter = if doubling >= 2 {
        (micros >> (doubling - 2)) & 3
    } else {
        (micros << (2 - doubling)) & 3
    };
    (4 * doubling + quarter as usize).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let (doubling, quarter) = (bucket / 4, (bucket % 4) as u64);
    let eighths = (1u64 << doubling) * (8 + 2 * quarter + 1);
    Duration::from_nanos(eighths * 125)
}

/// Whether an attempt gave its outputs; none of one that was taken back: it is made anew, and says
/// nothing of its station.
fn passed(report: &Report) -> Option<bool> {
    match report.outcome {
        Outcome::Passed(_) => Some(true),
        Outcome::Recalled(_) => None,
        _ => Some(false),
    }
}

fn add(number: &AtomicU64) {
    number.fetch_add(1, Relaxed);
}

/// Down to nothing: what was counted before a start is not known of every item.
fn take(number: &AtomicU64) {
    let _ = number.fetch_update(Relaxed, Relaxed, |n| Some(n.saturating_sub(1)));
}

impl Live {
    pub(super) fn waits(&self, number: u64) {
        self.waiting.fetch_add(number, Relaxed);
    }

    /// So many are in a phase here.
    pub(super) fn found(&self, phase: PhaseKind, number: u64) {
        let count = match phase {
            PhaseKind::Waiting => &self.waiting,
            PhaseKind::Working => &self.working,
            PhaseKind::Held => &self.held,
            PhaseKind::Jammed => &self.jammed,
            _ => return,
        };
        count.fetch_add(number, Relaxed);
    }

    pub(super) fn goes(&self) {
        take(&self.waiting);
    }

    pub(super) fn started(&self) {
        add(&self.working);
    }

    pub(super) fn left(&self) {
        take(&self.working);
    }

    pub(super) fn held(&self, more: bool) {
        let count = if more { add } else { take };
        count(&self.held);
    }

    pub(super) fn jammed(&self, more: bool) {
        let count = if more { add } else { take };
        count(&self.jammed);
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    /// An attempt ended.
    pub(super) fn ended(&self, report: &Report, now: Millis) {
        let Some(passed) = passed(report) else { return };
        add(if passed { &self.passed } else { &self.failed });
        let minute = now / SLOT;
        let slot = &self.slots[(minute % SLOTS as u64) as usize];
        if slot.minute.load(Relaxed) != minute {
            for bucket in &slot.buckets {
                bucket.store(0, Relaxed);
            }
            slot.minute.store(minute, Relaxed);
        }
        slot.buckets[bucket(report.usage.wall_us)].fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        let mut buckets = [0u64; BUCKETS];
        let newest = self.slots.iter().map(|slot| slot.minute.load(Relaxed));
        let newest = newest.max().unwrap_or(0);
        let mut minutes = 0;
        for slot in &self.slots {
            let minute = slot.minute.load(Relaxed);
            if minute > 0 && minute + SLOTS as u64 > newest {
                minutes += 1;
                for (sum, bucket) in buckets.iter_mut().zip(&slot.buckets) {
                    *sum += u64::from(bucket.load(Relaxed));
                }
            }
        }
        let all: u64 = buckets.iter().sum();
        let below = |share: u64| {
            let mut left = (all * share).div_ceil(100);
            let at = buckets.iter().position(|number| {
                left = left.saturating_sub(*number);
                left == 0
            });
            at.filter(|_| all > 0).map_or(Duration::ZERO, middle)
        };
        Counts {
            waiting: self.waiting.load(Relaxed),
            working: self.working.load(Relaxed),
            held: self.held.load(Relaxed),
            jammed: self.jammed.load(Relaxed),
            passed: self.passed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            paused: self.paused.load(Relaxed),
            rate: all as f64 / (f64::from(minutes.max(1)) * SLOT as f64 / 1000.0),
            p50: below(50),
            p99: below(99),
        }
    }
}

impl Board {
    /// A board of a line's stations.
    pub fn new(line: &Line) -> Self {
        let board = Self::default();
        for name in line.stations.keys() {
            board.station(name);
        }
        board
    }

    /// A visit of the item that is under way reported how far it is: for a runner's listener.
    pub fn came(&self, item: &ItemId, progress: Progress) {
        self.latest.came(item, progress);
    }

    /// What the item's visit reported last, while it is under way; none where it has not yet.
    pub fn progress(&self, item: &ItemId) -> Option<Progress> {
        self.latest.of(item)
    }

    /// What visits under way reported last, with their items and stations, at most so many.
    pub fn reported(&self, most: usize) -> Vec<(ItemId, Name, Progress)> {
        self.latest.reported(most)
    }

    pub(super) fn begins(&self, item: &ItemId, station: &Name) {
        self.latest.begins(item, station);
    }

    pub(super) fn over(&self, item: &ItemId) {
        self.latest.over(item);
    }

    /// The counts of every station that the line has, or had since the start, by name.
    pub fn counts(&self) -> impl Iterator<Item = (Name, Counts)> + use<> {
        let stations = self.stations.read().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = stations
            .iter()
            .map(|(name, live)| (name.clone(), live.counts()))
            .collect();
        all.into_iter()
    }

    /// What attempts came to, by the revision on which they began.
    pub fn revisions(&self) -> BTreeMap<u64, Came> {
        let revisions = self
            .revisions
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        revisions
            .iter()
            .map(|(number, tally)| {
                let came = Came {
                    passed: tally.passed.load(Relaxed),
                    failed: tally.failed.load(Relaxed),
                    jammed: tally.jammed.load(Relaxed),
                    ended: tally.ended.load(Relaxed),
                };
                (*number, came)
            })
            .collect()
    }

    pub(super) fn station(&self, name: &Name) -> Arc<Live> {
        let mut stations = self
            .stations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        stations.entry(name.clone()).or_default().clone()
    }

    pub(super) fn revision(&self, number: u64) -> Arc<Tally> {
        let mut revisions = self
            .revisions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        revisions.entry(number).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recalled_attempts_count_for_nothing() {
        let (live, tally) = (Live::default(), Tally::default());
        for outcome in [
            Outcome::Passed(Vec::new()),
            Outcome::Trapped("a".into()),
            Outcome::Recalled("b".into()),
        ] {
            let report = Report::of(outcome);
            live.ended(&report, 0);
            tally.ended(&report);
        }
        let counts = live.counts();
        assert_eq!((counts.passed, counts.failed), (1, 1));
        assert_eq!(tally.passed.into_inner(), 1);
        assert_eq!(tally.failed.into_inner(), 1);
    }
}
