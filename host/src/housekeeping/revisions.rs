//! Which revisions of a line stay whole, with their components and assets. Pure.

use crate::journal::{LineState, RetoolRecord};
use std::collections::BTreeSet;

/// How many revisions of each line stay beside those that are needed: so many can be gone back to.
const BACK: usize = 10;

/// The revisions that stay: by which the line runs or is about to, on which attempts began that have not
/// ended (`begun`), and of the others the [`BACK`] that ran last. `line` and `history` are how the line
/// stands and the changes that led there, the oldest first; a line that ran before that was kept runs by its
/// `newest` revision.
pub(super) fn staying(
    line: Option<&LineState>,
    history: &[RetoolRecord],
    begun: &BTreeSet<u64>,
    newest: u64,
) -> BTreeSet<u64> {
    let mut staying = line.map_or([newest].into(), LineState::revisions);
    staying.extend(begun);
    let drains = history.last().and_then(|last| last.drains.as_ref());
    staying.extend(drains.map(|drains| drains.to));
    let ran = history.iter().rev().flat_map(|record| {
        let ramp = record.ramp.map(|ramp| ramp.to);
        let drained = record.drains.as_ref().map(|drains| drains.to);
        [Some(record.current), ramp, drained, Some(record.from)]
    });
    let mut left = BACK;
    for number in ran.flatten().chain((1..=newest).rev()) {
        if left > 0 && (1..=newest).contains(&number) && staying.insert(number) {
            left -= 1;
        }
    }
    staying
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Drains, Ramping};

    fn line(current: u64, ramp: Option<u64>, older: &[u64]) -> LineState {
        LineState {
            ramp: ramp.map(|to| Ramping { to, percent: 10 }),
            older: older.iter().copied().collect(),
            ..LineState::new("l".parse().expect("a name"), None, current)
        }
    }

    fn ran(current: u64) -> RetoolRecord {
        RetoolRecord {
            current,
            ..RetoolRecord::default()
        }
    }

    #[test]
    fn what_runs_what_began_and_the_last_ones_stay() {
        let all = |line: Option<&LineState>, history: &[RetoolRecord], begun: &[u64], newest| {
            let staying = staying(line, history, &begun.iter().copied().collect(), newest);
            staying.into_iter().collect::<Vec<u64>>()
        };
        let last = |from: u64, to: u64| (from..=to).collect::<Vec<u64>>();
        assert_eq!(all(None, &[], &[], 1), [1]);
        assert_eq!(all(None, &[], &[], 11), last(1, 11));
        assert_eq!(all(None, &[], &[], 30), last(20, 30));
        // What is needed takes nobody's place.
        let needed = all(Some(&line(5, Some(7), &[2])), &[], &[3], 30);
        assert_eq!(needed, [vec![2, 3, 5, 7], last(21, 30)].concat());
        // By when they ran, and not by their numbers.
        let history: Vec<_> = [1, 2, 3]
            .into_iter()
            .chain(10..=30)
            .chain([2, 30])
            .map(ran)
            .collect();
        let ran_last = all(Some(&line(30, None, &[])), &history, &[], 30);
        assert_eq!(ran_last, [vec![2], last(21, 30)].concat());
        let drains = RetoolRecord {
            drains: Some(Drains {
                to: 4,
                stations: BTreeSet::new(),
            }),
            ..ran(30)
        };
        let drained = all(Some(&line(30, None, &[])), &[drains], &[], 30);
        assert_eq!(drained, [vec![4], last(20, 30)].concat());
    }
}
