//! Items that stand still are found in their order, each once, however few are asked for.

use super::*;
use crate::{
    item::Priority,
    journal::{Awaited, Queue, Standpoint},
    visit::Millis,
};

suite![
    queues_are_read_in_their_order,
    what_is_due_is_found_by_its_time,
    a_phase_is_gone_through_page_by_page,
];

/// An item that waits, maybe for a time.
fn waits(journal: &dyn Journal, key: &str, line: &str, priority: Priority, due: Option<Millis>) {
    stands(journal, key, line, "a", PhaseKind::Waiting, priority, due);
}

fn stands(
    journal: &dyn Journal,
    key: &str,
    line: &str,
    station: &str,
    phase: PhaseKind,
    priority: Priority,
    due: Option<Millis>,
) {
    let mut append = append(journal, &id(key), vec![taken(1, line)]);
    // A store knows of an item what its summary says.
    append.summary.phase = phase;
    append.summary.station = Some(name(station));
    append.summary.priority = priority;
    append.summary.due = due;
    block_on(journal.append(append)).unwrap();
}

fn keys(keys: &[&str]) -> Vec<ItemId> {
    keys.iter().map(|key| id(key)).collect()
}

fn queues_are_read_in_their_order(journal: &dyn Journal) {
    let queue = |station: &str, priority| Queue {
        line: name("line"),
        station: name(station),
        priority,
    };
    let check = |until, most, found: &[&str], next| {
        let queue = queue("a", Priority::Normal);
        let awaited = journal.waiting(&queue, until, most).unwrap();
        let items = keys(found);
        assert_eq!(awaited, Awaited { items, next }, "{until} {most}");
    };
    check(100, 10, &[], None);
    for (key, due) in [
        ("z", None),
        ("t3", Some(30)),
        ("b", None),
        ("t1", Some(10)),
        ("c", None),
        ("t2", Some(20)),
        ("t4", Some(40)),
    ] {
        waits(journal, key, "line", Priority::Normal, due);
    }
    waits(journal, "high", "line", Priority::High, None);
    waits(journal, "other", "other", Priority::Normal, None);
    let held = PhaseKind::Held;
    stands(journal, "held", "line", "a", held, Priority::Normal, None);
    let there = PhaseKind::Waiting;
    stands(journal, "there", "line", "b", there, Priority::Normal, None);

    check(9, 10, &["z", "b", "c"], Some(10));
    check(20, 10, &["t1", "t2", "z", "b", "c"], Some(30));
    check(20, 3, &["t1", "t2", "z"], Some(30));
    check(20, 2, &["t1", "z"], Some(30));
    check(40, 6, &["t1", "t2", "t3", "z", "b", "c"], None);
    check(40, 1, &["t1"], None);
    let all = ["t1", "t2", "t3", "t4", "z", "b", "c"];
    check(Millis::MAX, 9, &all, None);

    let high = journal.waiting(&queue("a", Priority::High), 50, 9);
    assert_eq!(high.unwrap().items, keys(&["high"]));
    let there = journal.waiting(&queue("b", Priority::Normal), 50, 9);
    assert_eq!(there.unwrap().items, keys(&["there"]));
    // Whoever goes is not found any more.
    let started = Record::Started { at: 2, revision: 1 };
    keep(journal, &id("z"), vec![started]);
    check(9, 10, &["b", "c"], Some(10));
}

fn what_is_due_is_found_by_its_time(journal: &dyn Journal) {
    let line = name("line");
    for (key, phase, due) in [
        ("late", PhaseKind::Held, Some(30)),
        ("soon", PhaseKind::Held, Some(10)),
        ("never", PhaseKind::Held, None),
        ("next", PhaseKind::Held, Some(20)),
        ("split", PhaseKind::Split, Some(15)),
        ("waits", PhaseKind::Waiting, Some(5)),
    ] {
        stands(journal, key, "line", "a", phase, Priority::Normal, due);
    }
    let check = |phase, until, most, found: &[&str], next| {
        let awaited = journal.due(&line, phase, until, most).unwrap();
        let items = keys(found);
        assert_eq!(awaited, Awaited { items, next }, "{phase} {until} {most}");
    };
    check(PhaseKind::Held, 9, 9, &[], Some(10));
    check(PhaseKind::Held, 20, 9, &["soon", "next"], Some(30));
    check(PhaseKind::Held, 20, 1, &["soon"], Some(30));
    check(PhaseKind::Held, 30, 9, &["soon", "next", "late"], None);
    check(PhaseKind::Split, 0, 9, &[], Some(15));
    check(PhaseKind::Split, 15, 9, &["split"], None);
    let none = journal.due(&name("other"), PhaseKind::Held, 99, 9);
    assert_eq!(none.unwrap(), Awaited::default());
}

fn a_phase_is_gone_through_page_by_page(journal: &dyn Journal) {
    for (key, station) in [("1", "b"), ("2", "a"), ("3", "b"), ("4", "a"), ("5", "c")] {
        let phase = PhaseKind::Jammed;
        stands(journal, key, "line", station, phase, Priority::Normal, None);
    }
    waits(journal, "6", "line", Priority::Normal, None);
    for page in 1..7 {
        let (mut after, mut all): (Option<Standpoint>, Vec<ItemId>) = (None, Vec::new());
        loop {
            let (line, phase) = (name("line"), PhaseKind::Jammed);
            let found = journal.standing(&line, phase, after.as_ref(), page);
            let found = found.unwrap();
            assert!(found.len() <= page);
            let Some((last, _)) = found.last() else { break };
            after = Some(last.clone());
            all.extend(found.into_iter().map(|(_, item)| item));
        }
        assert_eq!(all, keys(&["2", "4", "1", "3", "5"]), "pages of {page}");
    }
}
