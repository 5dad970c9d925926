//! Which visit runs in which runner process. Does nothing by itself: it is told what happened, and says
//! what is to be begun.
//!
//! A process that ends takes its visits with it. Was there one, then it is to blame. Were there several,
//! then each of them runs once more, alone, before anybody is blamed; and an item whose visit was to
//! blame comes back alone, so that its next attempt harms no other. A visit that may never have come to
//! its process is not to blame; as often as there are processes, which may all end at once.

use super::wire::Number;
use crate::item::ItemId;
use std::collections::{HashMap, HashSet, VecDeque};

/// Processes, and the visits that they run or that wait for them. `F` is what else is known of a visit.
pub(super) struct Pool<F> {
    slots: Vec<Slot>,
    flights: HashMap<Number, Flight<F>>,
    waiting: VecDeque<Number>,
    /// Items that ended a process, and may do so again.
    convicted: HashSet<ItemId>,
    next: Number,
}

/// A place for a process.
#[derive(Default)]
struct Slot {
    /// How many visits its process takes; none while there is none.
    room: Option<usize>,
    /// How many it has.
    running: usize,
    /// What has to run here with nothing beside it.
    alone: VecDeque<Number>,
    /// One of those is running.
    isolated: bool,
}

struct Flight<F> {
    item: ItemId,
    slot: Option<usize>,
    /// How often it was given to a process that may have been gone.
    spared: usize,
    what: F,
}

impl<F> Pool<F> {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot::default()).collect(),
            flights: HashMap::new(),
            waiting: VecDeque::new(),
            convicted: HashSet::new(),
            next: 0,
        }
    }

    /// A visit is to be run.
    pub(super) fn begin(&mut self, item: ItemId, what: F) -> Number {
        let number = self.next;
        self.next += 1;
        if self.convicted.contains(&item) {
            let slot = (self.slots.iter_mut())
                .min_by_key(|slot| (slot.room.is_none(), slot.alone.len(), slot.running));
            if let Some(slot) = slot {
                slot.alone.push_back(number);
            }
        } else {
            self.waiting.push_back(number);
        }
        let flight = Flight {
            item,
            slot: None,
            spared: 0,
            what,
        };
        self.flights.insert(number, flight);
        number
    }

    /// The next visit that can begin, and where; whether the process has nothing else to do.
    pub(super) fn next(&mut self) -> Option<(Number, usize, bool)> {
        for (n, slot) in self.slots.iter_mut().enumerate() {
            if slot.room.is_none() || slot.running > 0 {
                continue;
            }
            while let Some(number) = slot.alone.pop_front() {
                if let Some(flight) = self.flights.get_mut(&number) {
                    flight.slot = Some(n);
                    slot.running = 1;
                    slot.isolated = true;
                    return Some((number, n, true));
                }
            }
        }
        while let Some(number) = self.waiting.front().copied() {
            let Some(flight) = self.flights.get_mut(&number) else {
                self.waiting.pop_front();
                continue;
            };
            let open = self.slots.iter_mut().enumerate().filter(|(_, slot)| {
                !slot.isolated
                    && slot.alone.is_empty()
                    && slot.room.is_some_and(|room| slot.running < room)
            });
            let (n, slot) = open.min_by_key(|(_, slot)| slot.running)?;
            self.waiting.pop_front();
            flight.slot = Some(n);
            slot.running += 1;
            return Some((number, n, slot.running == 1));
        }
        None
    }

    /// Whether a visit runs or waits, wherever that is.
    pub(super) fn has(&self, number: Number) -> bool {
        self.flights.contains_key(&number)
    }

    /// A visit that runs in this slot.
    pub(super) fn running(&mut self, number: Number, slot: usize) -> Option<&mut F> {
        let flight = self.flights.get_mut(&number)?;
        (flight.slot == Some(slot)).then_some(&mut flight.what)
    }

    /// The visits that run in this slot.
    pub(super) fn all(&self, slot: usize) -> impl Iterator<Item = &F> {
        let flights = self.flights.values();
        let here = flights.filter(move |flight| flight.slot == Some(slot));
        here.map(|flight| &flight.what)
    }

    /// A visit that runs in this slot has ended.
    pub(super) fn ended(&mut self, number: Number, slot: usize) -> Option<F> {
        self.running(number, slot)?;
        let flight = self.flights.remove(&number)?;
        let slot = &mut self.slots[slot];
        slot.running -= 1;
        slot.isolated = false;
        Some(flight.what)
    }

    /// Nobody waits for a visit any more: where it runs. One that did not begin never will.
    pub(super) fn cancel(&mut self, number: Number) -> Option<usize> {
        let slot = self.flights.get(&number)?.slot;
        if slot.is_none() {
            self.flights.remove(&number);
        }
        slot
    }

    /// A process is there, with so much room.
    pub(super) fn up(&mut self, slot: usize, room: usize) {
        self.slots[slot].room = Some(room.max(1));
    }

    /// The process of a slot ended, and its visits with it: the one that is to blame, if that is known.
    /// `unread` is that it had not read all that it was told. `forget` is called with each that runs
    /// again.
    pub(super) fn lost(
        &mut self,
        slot: usize,
        unread: bool,
        mut forget: impl FnMut(&mut F),
    ) -> Option<F> {
        let mut held: Vec<Number> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.slot == Some(slot))
            .map(|(number, _)| *number)
            .collect();
        held.sort_unstable();
        let place = &mut self.slots[slot];
        (place.room, place.running, place.isolated) = (None, 0, false);
        if let [only] = held[..]
            && !self.spare(only, unread)
        {
            let flight = self.flights.remove(&only)?;
            self.convicted.insert(flight.item);
            return Some(flight.what);
        }
        for number in &held {
            if let Some(flight) = self.flights.get_mut(number) {
                flight.slot = None;
                forget(&mut flight.what);
            }
        }
        self.slots[slot].alone.extend(held);
        None
    }

    /// Whether the only visit of a process that ended is not to blame.
    fn spare(&mut self, number: Number, unread: bool) -> bool {
        let most = self.slots.len();
        let flight = self.flights.get_mut(&number);
        let Some(flight) = flight.filter(|flight| unread && flight.spared < most) else {
            return false;
        };
        flight.spared += 1;
        true
    }

    /// There are no processes and will be none: what waits for one.
    pub(super) fn give_up(&mut self) -> Vec<F> {
        self.waiting.clear();
        for slot in &mut self.slots {
            slot.alone.clear();
        }
        let waiting = self.flights.extract_if(|_, flight| flight.slot.is_none());
        waiting.map(|(_, flight)| flight.what).collect()
    }

    /// An item has no visit soon.
    pub(super) fn parted(&mut self, item: &ItemId) {
        if !self.convicted.is_empty() {
            self.convicted.remove(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: usize) -> ItemId {
        ItemId::input(&[0; 16], "line", &n.to_string())
    }

    /// Begins what can begin: number and slot.
    fn begun(pool: &mut Pool<usize>) -> Vec<(Number, usize)> {
        std::iter::from_fn(|| pool.next().map(|(number, slot, _)| (number, slot))).collect()
    }

    #[test]
    fn visits_go_where_the_fewest_are_and_wait_where_there_is_no_room() {
        let mut pool = Pool::new(2);
        for n in 0..5 {
            pool.begin(item(n), n);
        }
        assert_eq!(begun(&mut pool), []);
        pool.up(0, 2);
        pool.up(1, 2);
        assert_eq!(begun(&mut pool), [(0, 0), (1, 1), (2, 0), (3, 1)]);
        assert_eq!(pool.ended(3, 0), None, "it runs elsewhere");
        assert_eq!(pool.ended(3, 1), Some(3));
        assert_eq!(begun(&mut pool), [(4, 1)]);
        assert_eq!(pool.ended(3, 1), None, "it ended");
    }

    #[test]
    fn the_only_visit_of_a_process_that_ended_is_to_blame_and_comes_back_alone() {
        let mut pool = Pool::new(1);
        pool.up(0, 8);
        pool.begin(item(0), 0);
        begun(&mut pool);
        assert_eq!(pool.lost(0, false, |_| {}), Some(0));
        pool.begin(item(1), 1);
        pool.begin(item(0), 2);
        pool.up(0, 8);
        assert_eq!(begun(&mut pool), [(2, 0)], "the convicted one, alone");
        assert_eq!(pool.ended(2, 0), Some(2));
        assert_eq!(begun(&mut pool), [(1, 0)]);
        pool.parted(&item(0));
        pool.begin(item(0), 3);
        assert_eq!(begun(&mut pool), [(3, 0)], "beside another");
    }

    #[test]
    fn several_visits_of_a_process_that_ended_run_one_by_one() {
        let mut pool = Pool::new(2);
        pool.up(0, 8);
        for n in 0..3 {
            pool.begin(item(n), n);
        }
        begun(&mut pool);
        let mut again = 0;
        assert_eq!(pool.lost(0, false, |_| again += 1), None);
        assert_eq!(again, 3);
        pool.up(0, 8);
        pool.up(1, 8);
        pool.begin(item(3), 3);
        assert_eq!(begun(&mut pool), [(0, 0), (3, 1)]);
        assert_eq!(pool.ended(0, 0), Some(0));
        assert_eq!(begun(&mut pool), [(1, 0)]);
        assert_eq!(pool.lost(0, false, |_| {}), Some(1), "this one did it");
        pool.up(0, 8);
        assert_eq!(begun(&mut pool), [(2, 0)]);
        assert_eq!(pool.ended(2, 0), Some(2));
    }

    #[test]
    fn a_visit_that_may_not_have_begun_is_spared_once_a_process() {
        let mut pool = Pool::new(2);
        pool.up(0, 8);
        pool.begin(item(0), 0);
        for _ in 0..2 {
            assert_eq!(begun(&mut pool), [(0, 0)]);
            assert_eq!(pool.lost(0, true, |_| {}), None);
            pool.up(0, 8);
        }
        assert_eq!(begun(&mut pool), [(0, 0)]);
        assert_eq!(pool.lost(0, true, |_| {}), Some(0), "it does it each time");
    }

    #[test]
    fn what_nobody_waits_for_does_not_begin() {
        let mut pool = Pool::new(1);
        pool.begin(item(0), 0);
        pool.begin(item(1), 1);
        assert_eq!(pool.cancel(0), None);
        pool.up(0, 1);
        assert_eq!(begun(&mut pool), [(1, 0)]);
        assert_eq!(pool.cancel(1), Some(0));
        pool.begin(item(2), 2);
        assert_eq!(pool.give_up(), [2]);
    }
}
