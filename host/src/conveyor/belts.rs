//! What crosses items: the queue before each station, its workers, and back-pressure.
//!
//! A full queue stops the stations before it from *starting* visits; what is under way may always be
//! committed. Belts inside a loop are exempt, or a loop could wait for itself; instead everything
//! that waits anywhere in the loop counts against the belt by which it is entered.

use crate::{item::ItemId, line::Line, name::Name};
use std::collections::{BTreeMap, VecDeque};

struct Belt {
    name: Name,
    waiting: VecDeque<ItemId>,
    busy: u32,
    workers: u32,
    queue: u32,
    /// The loop that the station is part of; a station in no loop is alone in its own.
    group: usize,
    /// Stations that its ports lead to, outside its own loop.
    outlets: Vec<usize>,
}

/// The belts of a line.
pub(super) struct Belts {
    /// Those nearest to the ends first: what is far along goes first, so that little is under way.
    belts: Vec<Belt>,
    index: BTreeMap<Name, usize>,
    /// How many wait in each group.
    grouped: Vec<u32>,
    working: u32,
}

impl Belts {
    pub(super) fn new(line: &Line) -> Self {
        let names: Vec<&Name> = line.stations.keys().collect();
        let at = |name: &Name| names.binary_search(&name).ok();
        let edges: Vec<Vec<usize>> = line
            .stations
            .values()
            .map(|s| s.downstream().filter_map(at).collect())
            .collect();
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
                let station = &line.stations[names[i]];
                Belt {
                    name: names[i].clone(),
                    waiting: VecDeque::new(),
                    busy: 0,
                    workers: station.workers,
                    queue: station.queue,
                    group: groups[i],
                    outlets: edges[i]
                        .iter()
                        .filter(|j| groups[**j] != groups[i])
                        .map(|j| place[*j])
                        .collect(),
                }
            })
            .collect();
        let index = belts
            .iter()
            .enumerate()
            .map(|(i, belt)| (belt.name.clone(), i))
            .collect();
        let number = groups.iter().max().map_or(0, |most| most + 1);
        Self {
            belts,
            index,
            grouped: vec![0; number],
            working: 0,
        }
    }

    fn belt(&mut self, station: &str) -> &mut Belt {
        let i = self.index[station];
        &mut self.belts[i]
    }

    pub(super) fn push(&mut self, station: &Name, item: ItemId) {
        let belt = self.belt(station);
        belt.waiting.push_back(item);
        let group = belt.group;
        self.grouped[group] += 1;
    }

    /// An item will come, and takes up room already: it waits for the time of its next attempt, or
    /// is a child that is on its way.
    pub(super) fn expect(&mut self, station: &Name) {
        let group = self.belt(station).group;
        self.grouped[group] += 1;
    }

    /// One that was expected has come.
    pub(super) fn came(&mut self, station: &Name) {
        let group = self.belt(station).group;
        self.grouped[group] -= 1;
    }

    /// How many a station's queue, or the loop that it is in, can take from outside.
    pub(super) fn room(&self, station: &Name) -> usize {
        self.index.get(station).map_or(0, |i| self.room_at(*i))
    }

    fn room_at(&self, i: usize) -> usize {
        let belt = &self.belts[i];
        belt.queue.saturating_sub(self.grouped[belt.group]) as usize
    }

    /// The next item whose station has a worker and whose outlets have room.
    pub(super) fn next(&mut self) -> Option<(Name, ItemId)> {
        let i = (0..self.belts.len()).find(|i| {
            let belt = &self.belts[*i];
            !belt.waiting.is_empty()
                && belt.busy < belt.workers
                && belt.outlets.iter().all(|outlet| self.room_at(*outlet) > 0)
        })?;
        let belt = &mut self.belts[i];
        let item = belt.waiting.pop_front()?;
        self.grouped[belt.group] -= 1;
        Some((belt.name.clone(), item))
    }

    pub(super) fn started(&mut self, station: &Name) {
        self.belt(station).busy += 1;
        self.working += 1;
    }

    pub(super) fn left(&mut self, station: &Name) {
        self.belt(station).busy -= 1;
        self.working -= 1;
    }

    pub(super) fn working(&self) -> u32 {
        self.working
    }

    pub(super) fn is_empty(&self) -> bool {
        self.working == 0 && self.grouped.iter().all(|waiting| *waiting == 0)
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
