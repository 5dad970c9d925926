//! What whoever watches a running line sees: counts of each station, and notices of single items.

use super::latest::Latest;
use crate::{
    item::{Item, ItemId},
    journal::Summary,
    line::Line,
    name::Name,
    sandbox::Progress,
    visit::{Outcome, Report},
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
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
    /// An item jammed.
    Jammed {
        /// Where and why.
        summary: Summary,
    },
    /// An item waits for a person's answer.
    Held {
        /// Where, and what is asked.
        summary: Summary,
    },
    /// An item ended.
    Ended {
        /// The item as it is now.
        item: Box<Item>,
    },
}

/// Counts of every station, readable from any thread at any time.
#[derive(Debug)]
pub struct Board(BTreeMap<Name, Live>, Latest);

#[derive(Debug, Default)]
struct Live {
    waiting: AtomicU64,
    working: AtomicU64,
    passed: AtomicU64,
    failed: AtomicU64,
}

/// Counts of a station at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items that wait for a worker or for their next attempt.
    pub waiting: u64,
    /// Visits under way.
    pub working: u64,
    /// Attempts that gave their outputs, since the start.
    pub passed: u64,
    /// Attempts that did not, since the start.
    pub failed: u64,
}

impl Board {
    /// A board of a line's stations.
    pub fn new(line: &Line) -> Self {
        Self(
            line.stations
                .keys()
                .map(|name| (name.clone(), Live::default()))
                .collect(),
            Latest::default(),
        )
    }

    /// A visit of the item that is under way reported how far it is: for a runner's listener.
    pub fn came(&self, item: &ItemId, progress: Progress) {
        self.1.came(item, progress);
    }

    /// What the item's visit reported last, while it is under way; none where it has not yet.
    pub fn progress(&self, item: &ItemId) -> Option<Progress> {
        self.1.of(item)
    }

    pub(super) fn over(&self, item: &ItemId) {
        self.1.over(item);
    }

    /// The counts of every station, by name.
    pub fn counts(&self) -> impl Iterator<Item = (&Name, Counts)> {
        self.0.iter().map(|(name, live)| {
            let counts = Counts {
                waiting: live.waiting.load(Relaxed),
                working: live.working.load(Relaxed),
                passed: live.passed.load(Relaxed),
                failed: live.failed.load(Relaxed),
            };
            (name, counts)
        })
    }

    pub(super) fn waits(&self, station: &Name) {
        if let Some(live) = self.0.get(station) {
            live.waiting.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn started(&self, station: &Name) {
        if let Some(live) = self.0.get(station) {
            live.waiting.fetch_sub(1, Relaxed);
            live.working.fetch_add(1, Relaxed);
        }
    }

    /// One that waited has jammed instead.
    pub(super) fn gone(&self, station: &Name) {
        if let Some(live) = self.0.get(station) {
            live.waiting.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn left(&self, station: &Name, report: &Report) {
        if let Some(live) = self.0.get(station) {
            live.working.fetch_sub(1, Relaxed);
            let passed = matches!(report.outcome, Outcome::Passed(_));
            if passed { &live.passed } else { &live.failed }.fetch_add(1, Relaxed);
        }
    }
}
