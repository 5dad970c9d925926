//! What a conveyor asks for that keeps little in memory of the items that stand still: who may go on next,
//! whose time has come, and all of one phase page by page.

use super::{JournalError, PhaseKind};
use crate::{
    item::{ItemId, Priority},
    name::Name,
    visit::Millis,
};

/// Finding items that stand still, each answer read by an index: as fast with many items as with few. All
/// see what is durable.
pub trait Standing {
    /// The items of a queue that may begin an attempt by `until`, at most `most`. Those that never waited for a time
    /// come in the order in which they came to be, those that did in the order of their times; of each
    /// kind at least half of `most`, if there are so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn waiting(&self, queue: &Queue, until: Millis, most: usize) -> Result<Awaited, JournalError>;

    /// The items of a line in a phase that wait for a time up to `until`, the earliest first, at most
    /// `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn due(
        &self,
        line: &Name,
        phase: PhaseKind,
        until: Millis,
        most: usize,
    ) -> Result<Awaited, JournalError>;

    /// The items of a line in a phase after a place, by station, at most `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn standing(
        &self,
        line: &Name,
        phase: PhaseKind,
        after: Option<&Standpoint>,
        most: usize,
    ) -> Result<Vec<(Standpoint, ItemId)>, JournalError>;
}

/// Those that wait before one station with one priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The line.
    pub line: Name,
    /// The station.
    pub station: Name,
    /// How urgent they are.
    pub priority: Priority,
}

/// Items whose time has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Awaited {
    /// The items.
    pub items: Vec<ItemId>,
    /// The earliest time after the one that was asked for.
    pub next: Option<Millis>,
}

impl Awaited {
    /// Of those that waited for a time and those that did not: `most` of both.
    pub(super) fn of_both(
        mut timed: Vec<ItemId>,
        fresh: Vec<ItemId>,
        next: Option<Millis>,
        most: usize,
    ) -> Self {
        timed.truncate(most.div_ceil(2).max(most.saturating_sub(fresh.len())));
        timed.extend(fresh);
        timed.truncate(most);
        Self { items: timed, next }
    }
}

/// Where an item stands among those of its phase.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standpoint {
    /// Its station.
    pub station: Name,
    /// Its position among all items, by when they came to be.
    pub position: u64,
}
