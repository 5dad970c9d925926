//! What is kept in memory of those who stand still, and what is left to the journal. Memory is bounded
//! however many wait: a queue has a window, of times only the first so many are remembered, and a split is
//! let go of when too many others came after it. The rest is read back when it is its turn.
//!
//! An item that waits is in one of three places: in the window before its station (`listed`), among those
//! that wait for the time of their next attempt (`delayed`), or in the journal only, where its window
//! knows that there are more, or from when on. Nothing is read back before all that was handed to the
//! journal is written: who was let go of since then is passed over, and its window knows.

use super::{ConveyorError, Running};
use crate::{
    item::{Event, Item, ItemId, Phase, Priority, Wants},
    journal::{JournalError, PhaseKind, Queue, Standpoint},
    name::Name,
    visit::Millis,
};
use futures::future::BoxFuture;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet, VecDeque},
};

/// How much a conveyor keeps in memory of what stands still. Each is at least 1, but `times`, which may be
/// 0.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Of each queue, so many that wait.
    pub window: usize,
    /// So many times that items wait for, of attempts and of others.
    pub times: usize,
    /// So many splits.
    pub splits: usize,
    /// So many are read at once, where they are more than looked up.
    pub page: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            window: 256,
            times: 4096,
            splits: 1024,
            // A page takes less than a millisecond, in which nothing can be started.
            page: 32,
        }
    }
}

/// So many may have left memory before it is waited until they are written.
const LEFT: usize = 1024;

/// The phases of items that may have children of which nobody knows whether they got their messages. What
/// waits is looked at when it is its turn, and what was under way at the start.
const PARENTS: [PhaseKind; 3] = [PhaseKind::Split, PhaseKind::Jammed, PhaseKind::Held];

/// Who left memory and may not be written as it was then.
#[derive(Default)]
struct Left {
    since: HashSet<ItemId>,
    /// Those that are written when what is waited for has come.
    before: HashSet<ItemId>,
}

/// Waiting until all is written, and what for.
struct Reading {
    written: BoxFuture<'static, Result<(), JournalError>>,
    windows: Vec<(Name, Priority)>,
    phases: Vec<PhaseKind>,
}

/// How far the search for children without a message is.
#[derive(Default)]
struct Search {
    phase: usize,
    after: Option<Standpoint>,
}

/// What stands still in memory, and what is being read.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) room: Room,
    /// Those with a place in a window. They are in memory themselves or can be read.
    pub(super) listed: HashSet<ItemId>,
    /// Splits in memory, those that came first in front; some may have gone on.
    splits: VecDeque<ItemId>,
    /// When the first is due of those in a phase whose times are not remembered.
    later: BTreeMap<PhaseKind, Millis>,
    /// Splits that wait for a time came or went since the first of their times was read.
    unsure: bool,
    left: Left,
    reading: Option<Reading>,
    search: Option<Search>,
}

impl Shelf {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    /// Whether an item left memory and may not be written.
    pub(super) fn has_left(&self, id: &ItemId) -> bool {
        self.left.since.contains(id) || self.left.before.contains(id)
    }

    /// All that was handed to the journal is written.
    pub(super) fn all_written(&mut self) {
        self.left = Left::default();
    }

    /// Whether something is being read or looked for.
    pub(super) fn is_busy(&self) -> bool {
        self.reading.is_some() || self.search.is_some()
    }

    /// Whether it is still looked for children without a message.
    pub(super) fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// Whether splits may wait for times that are not remembered. Where that is not sure, it is looked
    /// for at once.
    pub(super) fn may_wait_for_children(&mut self) -> bool {
        let Some(first) = self.later.get_mut(&PhaseKind::Split) else {
            return false;
        };
        if std::mem::take(&mut self.unsure) {
            *first = 0;
        }
        true
    }

    /// A split that waited for a time does not wait any more.
    pub(super) fn children_came(&mut self) {
        self.unsure = true;
    }

    /// An item in a phase waits for a time that is not remembered.
    pub(super) fn leave_time(&mut self, phase: PhaseKind, at: Millis) {
        let first = self.later.entry(phase).or_insert(at);
        *first = at.min(*first);
    }

    /// The first of the times that are not remembered.
    pub(super) fn later(&self) -> Option<Millis> {
        self.later.values().min().copied()
    }

    /// When what is to be read can be; never where nothing is.
    pub(super) async fn written(&mut self) -> Result<(), JournalError> {
        match &mut self.reading {
            Some(reading) => (&mut reading.written).await,
            None => std::future::pending().await,
        }
    }

    /// What is there at a start: everything may be due, and children may be missing.
    pub(super) fn begin(&mut self, at_rest: bool) {
        self.search = Some(Search::default());
        if !at_rest {
            self.later = [PhaseKind::Held, PhaseKind::Split].map(|it| (it, 0)).into();
        }
    }
}

impl Running {
    /// Lets an item go from memory; it can be read back.
    pub(super) fn part(&mut self, id: &ItemId) {
        if let Some((id, _)) = self.live.remove_entry(id) {
            self.shelf.left.since.insert(id);
        }
    }

    /// Gives a place to one that waits and may begin: in its window, or in the journal.
    pub(super) fn place(&mut self, id: &ItemId) {
        let Some(item) = self.live.get(id) else {
            return;
        };
        let Wants::Visit { station, .. } = item.wants() else {
            return;
        };
        let (priority, size) = (item.ticket.priority, self.shelf.room.window);
        if !self.at_rest && self.belts.push(&station, priority, id, size) {
            self.shelf.listed.insert(id.clone());
        } else {
            self.leave(id);
        }
    }

    /// Leaves one that waits to the journal.
    pub(super) fn leave(&mut self, id: &ItemId) {
        let Some(item) = self.live.get(id) else {
            return;
        };
        if let Wants::Visit {
            station,
            not_before,
            ..
        } = item.wants()
        {
            let at = not_before.filter(|at| *at > (self.conveyor.clock)());
            self.belts.leave(&station, item.ticket.priority, at);
            self.conveyor.runner.parted(id);
            self.part(id);
        }
    }

    /// Puts an item back that was fetched and has not changed how it stands.
    pub(super) fn put_back(&mut self, id: &ItemId) {
        let Some(item) = self.live.get(id) else {
            return;
        };
        match &item.phase {
            Phase::Working { .. } => {}
            _ if self.at_rest => self.part(id),
            Phase::Ready { .. } => {
                if !self.shelf.listed.contains(id) && !self.delayed.contains_key(id) {
                    self.leave(id);
                }
            }
            Phase::Split(_) => self.keep_split(id),
            Phase::Held { .. } | Phase::Jammed { .. } | Phase::Ended { .. } => self.part(id),
        }
    }

    /// Keeps a split in memory, and lets go of those that were kept longest.
    pub(super) fn keep_split(&mut self, id: &ItemId) {
        self.shelf.splits.push_back(id.clone());
        while self.shelf.splits.len() > self.shelf.room.splits {
            let Some(first) = self.shelf.splits.pop_front() else {
                return;
            };
            let waits = |item: &Item| matches!(item.phase, Phase::Split(_));
            if self.live.get(&first).is_some_and(waits) {
                self.part(&first);
            }
        }
    }

    /// Remembers the time that an item in a phase waits for, if there is room.
    pub(super) fn remember(&mut self, id: &ItemId, phase: PhaseKind, at: Millis) {
        if self.until.len() < self.shelf.room.times {
            self.until.insert(id.clone(), (at, phase));
            self.arm(at, id);
        } else {
            self.shelf.leave_time(phase, at);
        }
    }

    /// Arms a timer, and lets go of those that nobody waits for any more when they are many.
    pub(super) fn arm(&mut self, at: Millis, id: &ItemId) {
        self.timers.push(Reverse((at, id.clone())));
        let waited_for = self.delayed.len() + self.until.len();
        if self.timers.len() > 2 * waited_for + LEFT {
            let (delayed, until) = (&self.delayed, &self.until);
            self.timers.retain(|Reverse((at, id))| {
                delayed.get(id) == Some(at) || until.get(id).is_some_and(|(known, _)| known == at)
            });
        }
    }

    /// Begins to read what is to be in memory now.
    pub(super) fn begin_reading(&mut self, draining: bool) {
        if self.shelf.reading.is_some() {
            return;
        }
        let now = (self.conveyor.clock)();
        let (mut windows, mut phases) = (Vec::new(), Vec::new());
        if !draining {
            windows = self.belts.low(now, self.shelf.room.window);
            let later = &mut self.shelf.later;
            phases.extend((later.iter()).filter_map(|(phase, at)| (*at <= now).then_some(*phase)));
            later.retain(|_, at| *at > now);
        }
        if windows.is_empty() && phases.is_empty() && self.shelf.left.since.len() < LEFT {
            return;
        }
        self.shelf.left.before = std::mem::take(&mut self.shelf.left.since);
        self.shelf.reading = Some(Reading {
            // Applied after all that was handed over before.
            written: self.conveyor.journal.delivered(Vec::new()),
            windows,
            phases,
        });
    }

    /// Reads what was waited for, now that it is written.
    pub(super) async fn read_back(
        &mut self,
        written: Result<(), JournalError>,
    ) -> Result<(), ConveyorError> {
        written?;
        let Some(Reading {
            windows, phases, ..
        }) = self.shelf.reading.take()
        else {
            return Ok(());
        };
        self.shelf.left.before.clear();
        let now = (self.conveyor.clock)();
        for (station, priority) in windows {
            self.fill(station, priority, now)?;
        }
        for phase in phases {
            self.find_due(phase, now).await?;
        }
        Ok(())
    }

    fn fill(
        &mut self,
        station: Name,
        priority: Priority,
        now: Millis,
    ) -> Result<(), ConveyorError> {
        let size = self.shelf.room.window;
        let queue = Queue {
            line: self.revisions.line().clone(),
            station,
            priority,
        };
        let until = match self.belts.hurries(&queue.station, priority) {
            true => Millis::MAX,
            false => now,
        };
        let found = self.conveyor.journal.waiting(&queue, until, size)?;
        let mut more = found.items.len() >= size;
        for id in found.items {
            let waits_for_its_time = self.delayed.contains_key(&id);
            let is_known = self.live.contains_key(&id) || self.shelf.listed.contains(&id);
            if (is_known && !waits_for_its_time) || self.shelf.left.since.contains(&id) {
                continue;
            }
            if !self.belts.fill(&queue.station, priority, &id, size) {
                more = true;
                break;
            }
            self.delayed.remove(&id);
            self.shelf.listed.insert(id);
        }
        let passed_over = (self.belts).filled(&queue.station, priority, more, found.next);
        for id in passed_over {
            if self.shelf.listed.remove(&id) {
                self.leave(&id);
            }
        }
        Ok(())
    }

    async fn find_due(&mut self, phase: PhaseKind, now: Millis) -> Result<(), ConveyorError> {
        let (line, most) = (self.revisions.line().clone(), self.shelf.room.page);
        let found = self.conveyor.journal.due(&line, phase, now, most)?;
        let again = (found.items.len() >= most).then_some(now);
        if let Some(at) = again.or(found.next) {
            self.shelf.leave_time(phase, at);
        }
        for id in found.items {
            self.fall_due(&id).await?;
        }
        Ok(())
    }

    /// The time has come that an item waits for, of its children or of an answer.
    pub(super) async fn fall_due(&mut self, id: &ItemId) -> Result<(), ConveyorError> {
        if self.fetch(id).await? {
            self.complete(id).await?;
            self.happen(id, Event::Due, Vec::new())?;
            self.put_back(id);
        }
        Ok(())
    }

    /// Looks at some more items whose children may have lost their messages with an earlier run.
    pub(super) async fn search(&mut self) -> Result<(), ConveyorError> {
        let Some(search) = &mut self.shelf.search else {
            return Ok(());
        };
        let Some(phase) = PARENTS.get(search.phase) else {
            self.shelf.search = None;
            return Ok(());
        };
        let (line, most) = (self.revisions.line(), self.shelf.room.page);
        let journal = &self.conveyor.journal;
        let found = journal.standing(line, *phase, search.after.as_ref(), most)?;
        search.after = found.last().map(|(at, _)| at.clone());
        if found.len() < most {
            search.phase += 1;
            search.after = None;
        }
        for (_, id) in found {
            // One that changed since it was written has seen to its children itself.
            let spawns = match self.live.get(&id) {
                Some(item) => item.spawns(),
                None => (self.fold(&id)?).map_or_else(Vec::new, |item| item.spawns()),
            };
            for spawn in spawns {
                self.deliver(spawn).await?;
            }
        }
        Ok(())
    }
}
