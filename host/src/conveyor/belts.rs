//! What crosses items: the queue before each station, its workers, and back-pressure.
//!
//! A full queue stops the stations before it from *starting* visits; what is under way may always be
//! committed. Belts inside a loop are exempt, or a loop could wait for itself; instead everything
//! that waits anywhere in the loop counts against the belt by which it is entered.
//!
//! There is a belt for each station of every revision that is in use; one that is in neither the current
//! revision nor its ramp is closing, and lets everything go at once.

use super::{
    Change,
    board::{Board, Live},
};
use crate::{
    item::{ItemId, PhaseKind, Priority},
    line::{Line, Station},
    name::Name,
    visit::Millis,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// The head of a queue; the rest of it is only in the journal.
#[derive(Default)]
struct Window {
    /// Whoever is cancelled or sent elsewhere stays in it, and is passed over.
    order: VecDeque<ItemId>,
    /// Who came while it was being filled: they go behind those who are found.
    behind: Vec<ItemId>,
    /// Some may wait here that are not in it.
    more: bool,
    /// It is being filled.
    reading: bool,
    /// When the first of those may begin that are not in it, as far as they wait for a time.
    later: Option<Millis>,
    /// The clock was set back: until all are found that waited then, nobody waits for a time. By its time
    /// it cannot be told who was set to wait by the clock of before.
    hurries: bool,
}

impl Window {
    /// Not before it has this much room is it filled again.
    fn is_low(&self, size: usize) -> bool {
        self.order.len() < (size / 2).max(1)
    }

    /// Whether it is not known who is first in it, or that nobody is.
    fn is_unsure(&self) -> bool {
        self.order.is_empty() && (self.more || self.reading)
    }
}

struct Belt {
    name: Name,
    /// By priority, the most urgent first.
    windows: [Window; Priority::ALL.len()],
    /// How many wait: here, for their next attempt, or as children on their way.
    waiting: u32,
    busy: u32,
    workers: u32,
    queue: u32,
    /// The line asks here: that takes no worker, and puts nothing on the next belts.
    asks: bool,
    /// No revision has it that new attempts begin on.
    closing: bool,
    paused: bool,
    /// The loop that the station is part of; a station in no loop is alone in its own.
    group: usize,
    /// Stations that its ports lead to, outside its own loop.
    outlets: Vec<usize>,
    live: Arc<Live>,
}

impl Belt {
    /// Whether it starts visits, or lets go of those who wait.
    fn starts(&self) -> bool {
        self.closing || !self.paused
    }

    /// The window in which the most urgent item is. Nobody goes before those who are still looked for.
    fn first(&self) -> Option<usize> {
        let mut windows = self.windows.iter();
        let first = windows.position(|window| !window.order.is_empty() || window.is_unsure())?;
        (!self.windows[first].is_unsure()).then_some(first)
    }
}

fn sooner(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}

/// The belts of a line.
pub(super) struct Belts {
    /// Those nearest to the ends first: what is far along goes first, so that little is under way.
    belts: Vec<Belt>,
    index: BTreeMap<Name, usize>,
    /// How many wait in each group.
    grouped: Vec<u32>,
    board: Arc<Board>,
}

impl Belts {
    pub(super) fn new(change: &Change, paused: &BTreeSet<Name>, board: Arc<Board>) -> Self {
        let running: Vec<&Line> = [&change.current]
            .into_iter()
            .chain(change.ramp.as_ref().map(|ramp| &ramp.to))
            .map(|revised| &revised.line)
            .collect();
        let older = change.older.values().map(|revised| &revised.line);
        let mut stations: BTreeMap<&Name, &Station> = BTreeMap::new();
        for line in running.iter().copied().chain(older.clone()) {
            for (name, station) in &line.stations {
                let known = stations.entry(name).or_insert(station);
                // Where one revision asks and another works, there have to be workers for that.
                if known.ask.is_some() {
                    *known = station;
                }
            }
        }
        let names: Vec<&Name> = stations.keys().copied().collect();
        let at = |name: &Name| names.binary_search(&name).ok();
        let mut edges: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
        // Back-pressure is by all revisions together, so that none can wait for itself through another.
        for line in running.iter().copied().chain(older) {
            for (name, station) in &line.stations {
                let Some(from) = at(name) else { continue };
                for to in station.downstream().filter_map(at) {
                    if !edges[from].contains(&to) {
                        edges[from].push(to);
                    }
                }
            }
        }
        // Groups come out with the ends first.
        let groups = loops(&edges);
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|i| groups[*i]);
        let place: Vec<usize> = {
            let mut place = vec![0; order.len()];
            for (position, i) in order.iter().enumerate() {
                place[*i] = position;
            }
            place
        };
        let belts: Vec<Belt> = order
            .iter()
            .map(|&i| {
                let station = stations[names[i]];
                Belt {
                    name: names[i].clone(),
                    windows: Default::default(),
                    waiting: 0,
                    busy: 0,
                    workers: station.workers,
                    queue: station.queue,
                    asks: station.ask.is_some(),
                    closing: !running
                        .iter()
                        .any(|line| line.stations.contains_key(names[i])),
                    paused: paused.contains(names[i]),
                    group: groups[i],
                    outlets: edges[i]
                        .iter()
                        .filter(|j| groups[**j] != groups[i])
                        .map(|j| place[*j])
                        .collect(),
                    live: board.station(names[i]),
                }
            })
            .collect();
        let index = belts
            .iter()
            .enumerate()
            .map(|(i, belt)| (belt.name.clone(), i))
            .collect();
        let number = groups.iter().max().map_or(0, |most| most + 1);
        for belt in &belts {
            belt.live.pause(belt.paused);
        }
        Self {
            belts,
            index,
            grouped: vec![0; number],
            board,
        }
    }

    /// The belts of other revisions, with everything that is on these. What each station has waiting is
    /// handed over whole, however much it is.
    pub(super) fn rebuilt(&mut self, change: &Change, paused: &BTreeSet<Name>) -> Self {
        let mut next = Self::new(change, paused, self.board.clone());
        for old in std::mem::take(&mut self.belts) {
            if old.waiting == 0 && old.busy == 0 && !next.index.contains_key(&old.name) {
                continue;
            }
            let belt = next.belt(&old.name);
            belt.windows = old.windows;
            belt.waiting = old.waiting;
            belt.busy = old.busy;
            let group = belt.group;
            next.grouped[group] += old.waiting;
        }
        next
    }

    /// The belt of a station; a closing one where no revision has it.
    fn belt(&mut self, station: &Name) -> &mut Belt {
        let i = match self.index.get(station) {
            Some(i) => *i,
            None => {
                let i = self.belts.len();
                self.index.insert(station.clone(), i);
                self.grouped.push(0);
                self.belts.push(Belt {
                    name: station.clone(),
                    windows: Default::default(),
                    waiting: 0,
                    busy: 0,
                    workers: 0,
                    queue: 0,
                    asks: false,
                    closing: true,
                    paused: false,
                    group: self.grouped.len() - 1,
                    outlets: Vec::new(),
                    live: self.board.station(station),
                });
                i
            }
        };
        &mut self.belts[i]
    }

    /// Puts one that waits in its place, in a window of a size; it was counted when it came. False where
    /// others stand between: then it is found in the journal when it is its turn.
    pub(super) fn push(
        &mut self,
        station: &Name,
        priority: Priority,
        item: &ItemId,
        size: usize,
    ) -> bool {
        let window = &mut self.belt(station).windows[priority as usize];
        if window.reading && window.behind.len() < size {
            window.behind.push(item.clone());
            return true;
        }
        let has_room = !window.more && !window.reading && window.order.len() < size;
        if has_room {
            window.order.push_back(item.clone());
        }
        has_room
    }

    /// One that waits is only in the journal from now on, and may begin at a time, or at once.
    pub(super) fn leave(&mut self, station: &Name, priority: Priority, at: Option<Millis>) {
        let window = &mut self.belt(station).windows[priority as usize];
        match at {
            Some(at) => window.later = sooner(window.later, Some(at)),
            None => window.more = true,
        }
    }

    /// The windows that are to be filled now, at stations that start visits.
    pub(super) fn low(&mut self, now: Millis, size: usize) -> Vec<(Name, Priority)> {
        let mut all = Vec::new();
        for belt in self.belts.iter_mut().filter(|belt| belt.starts()) {
            for (window, priority) in belt.windows.iter_mut().zip(Priority::ALL) {
                if window.later.is_some_and(|at| at <= now) {
                    (window.more, window.later) = (true, None);
                }
                if window.more && !window.reading && window.is_low(size) {
                    (window.more, window.reading) = (false, true);
                    all.push((belt.name.clone(), priority));
                }
            }
        }
        all
    }

    /// Puts one that was found in the journal in its place; false where there is no room.
    pub(super) fn fill(
        &mut self,
        station: &Name,
        priority: Priority,
        item: &ItemId,
        size: usize,
    ) -> bool {
        let window = &mut self.belt(station).windows[priority as usize];
        let has_room = window.order.len() < size;
        if has_room {
            window.order.push_back(item.clone());
        }
        has_room
    }

    /// A window was filled: whether there are more, and when the next of them may begin. Returns those
    /// who came meanwhile and have no place in it, because others stand between.
    pub(super) fn filled(
        &mut self,
        station: &Name,
        priority: Priority,
        more: bool,
        next: Option<Millis>,
    ) -> Vec<ItemId> {
        let window = &mut self.belt(station).windows[priority as usize];
        window.reading = false;
        window.more |= more;
        window.hurries &= window.more;
        window.later = sooner(window.later, next);
        let behind = std::mem::take(&mut window.behind);
        if window.more {
            return behind;
        }
        window.order.extend(behind);
        Vec::new()
    }

    /// The clock was set back: whoever waits for a time in the journal only is looked for at once, and so
    /// is whose time had come and who was not found yet.
    pub(super) fn hurry(&mut self) {
        for window in self.belts.iter_mut().flat_map(|belt| &mut belt.windows) {
            if window.later.take().is_some() || window.reading || window.more {
                (window.more, window.hurries) = (true, true);
            }
        }
    }

    /// Whether those of a window are to begin whose time has not come.
    pub(super) fn hurries(&mut self, station: &Name, priority: Priority) -> bool {
        self.belt(station).windows[priority as usize].hurries
    }

    /// When the next may begin that is only in the journal, at stations that start visits.
    pub(super) fn later(&self) -> Option<Millis> {
        let starting = self.belts.iter().filter(|belt| belt.starts());
        let windows = starting.flat_map(|belt| &belt.windows);
        windows.filter_map(|window| window.later).min()
    }

    /// Whether somebody is to be looked for in the journal, now or later, who may begin then.
    pub(super) fn expects(&self, size: usize) -> bool {
        let starting = self.belts.iter().filter(|belt| belt.starts());
        starting
            .filter(|belt| belt.waiting > 0)
            .flat_map(|belt| &belt.windows)
            .any(|window| window.later.is_some() || window.more && window.is_low(size))
    }

    /// So many are in a phase at a station, as the journal counts them.
    pub(super) fn found(&mut self, station: &Name, phase: PhaseKind, number: u64) {
        let belt = self.belt(station);
        belt.live.found(phase, number);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        match phase {
            PhaseKind::Waiting => {
                belt.waiting = belt.waiting.saturating_add(number);
                for window in &mut belt.windows {
                    window.more = true;
                }
                let group = belt.group;
                self.grouped[group] = self.grouped[group].saturating_add(number);
            }
            PhaseKind::Working => belt.busy = belt.busy.saturating_add(number),
            _ => {}
        }
    }

    /// One waits here from now on.
    pub(super) fn waits(&mut self, station: &Name) {
        self.expect(station);
        self.belt(station).live.waits(1);
    }

    /// One does not wait here any more.
    pub(super) fn goes(&mut self, station: &Name) {
        self.came(station);
        self.belt(station).live.goes();
    }

    /// An item will come, and takes up room already: a child that is on its way.
    pub(super) fn expect(&mut self, station: &Name) {
        let belt = self.belt(station);
        belt.waiting += 1;
        let group = belt.group;
        self.grouped[group] += 1;
    }

    /// One that was expected has come.
    pub(super) fn came(&mut self, station: &Name) {
        let belt = self.belt(station);
        belt.waiting = belt.waiting.saturating_sub(1);
        let group = belt.group;
        self.grouped[group] = self.grouped[group].saturating_sub(1);
    }

    /// How many a station's queue, or the loop that it is in, can take from outside.
    pub(super) fn room(&self, station: &Name) -> usize {
        self.index.get(station).map_or(0, |i| self.room_at(*i))
    }

    fn room_at(&self, i: usize) -> usize {
        let belt = &self.belts[i];
        belt.queue.saturating_sub(self.grouped[belt.group]) as usize
    }

    /// How many wait before a station.
    pub(super) fn waiting(&self, station: &Name) -> u64 {
        self.index
            .get(station)
            .map_or(0, |i| u64::from(self.belts[*i].waiting))
    }

    /// The stations where some wait, and how many.
    pub(super) fn all_waiting(&self) -> impl Iterator<Item = (&Name, u64)> {
        self.belts
            .iter()
            .filter(|belt| belt.waiting > 0)
            .map(|belt| (&belt.name, u64::from(belt.waiting)))
    }

    /// The next item whose station has a worker and whose outlets have room: of its station's, the most
    /// urgent that came first.
    pub(super) fn next(&mut self) -> Option<(Name, ItemId)> {
        let i = (0..self.belts.len()).find(|i| {
            let belt = &self.belts[*i];
            belt.first().is_some()
                && belt.starts()
                && (belt.closing
                    || belt.asks
                    || belt.busy < belt.workers
                        && belt.outlets.iter().all(|outlet| self.room_at(*outlet) > 0))
        })?;
        let belt = &mut self.belts[i];
        let item = belt.windows[belt.first()?].order.pop_front()?;
        Some((belt.name.clone(), item))
    }

    pub(super) fn started(&mut self, station: &Name) {
        let belt = self.belt(station);
        belt.busy += 1;
        belt.live.started();
    }

    pub(super) fn left(&mut self, station: &Name) {
        let belt = self.belt(station);
        belt.busy = belt.busy.saturating_sub(1);
        belt.live.left();
    }

    /// What the board shows of a station.
    pub(super) fn live(&mut self, station: &Name) -> &Live {
        &self.belt(station).live
    }

    /// Lets a station start no visits, or start them again; false where there is none of that name.
    pub(super) fn pause(&mut self, station: &Name, paused: bool) -> bool {
        let Some(i) = self.index.get(station) else {
            return false;
        };
        let belt = &mut self.belts[*i];
        belt.paused = paused;
        belt.live.pause(paused);
        true
    }

    pub(super) fn is_paused(&self, station: &Name) -> bool {
        self.index
            .get(station)
            .is_some_and(|i| self.belts[*i].paused)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.grouped.iter().all(|waiting| *waiting == 0)
    }

    /// Whether somebody waits before a station that is paused: then the others may have to wait as well.
    pub(super) fn is_held_up(&self) -> bool {
        self.belts
            .iter()
            .any(|belt| belt.paused && belt.waiting > 0)
    }
}

/// The strongly connected components of a graph (Tarjan 1972), numbered so that an edge leads to a
/// lower number or stays: the ends of the line come first.
fn loops(edges: &[Vec<usize>]) -> Vec<usize> {
    struct Search<'a> {
        edges: &'a [Vec<usize>],
        order: Vec<Option<usize>>,
        low: Vec<usize>,
        open: Vec<usize>,
        group: Vec<Option<usize>>,
        seen: usize,
        groups: usize,
    }
    impl Search<'_> {
        fn visit(&mut self, at: usize) {
            self.order[at] = Some(self.seen);
            self.low[at] = self.seen;
            self.seen += 1;
            self.open.push(at);
            for &next in &self.edges[at] {
                match self.order[next] {
                    None => {
                        self.visit(next);
                        self.low[at] = self.low[at].min(self.low[next]);
                    }
                    Some(order) if self.group[next].is_none() => {
                        self.low[at] = self.low[at].min(order)
                    }
                    Some(_) => {}
                }
            }
            if Some(self.low[at]) == self.order[at] {
                while let Some(member) = self.open.pop() {
                    self.group[member] = Some(self.groups);
                    if member == at {
                        break;
                    }
                }
                self.groups += 1;
            }
        }
    }
    let n = edges.len();
    let mut search = Search {
        edges,
        order: vec![None; n],
        low: vec![0; n],
        open: Vec::new(),
        group: vec![None; n],
        seen: 0,
        groups: 0,
    };
    for at in 0..n {
        if search.order[at].is_none() {
            search.visit(at);
        }
    }
    search
        .group
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::loops;

    #[test]
    fn loops_are_groups_and_ends_come_first() {
        let cases: &[(&[&[usize]], &[usize])] = &[
            (&[&[1], &[2], &[]], &[2, 1, 0]),
            (&[&[1], &[2], &[1, 3], &[]], &[2, 1, 1, 0]),
            (&[&[0]], &[0]),
            (&[&[1, 2], &[3], &[3], &[]], &[3, 1, 2, 0]),
            (&[&[1], &[0], &[0]], &[0, 0, 1]),
        ];
        for (edges, groups) in cases {
            let edges: Vec<Vec<usize>> = edges.iter().map(|e| e.to_vec()).collect();
            assert_eq!(loops(&edges), *groups, "{edges:?}");
        }
    }
}
