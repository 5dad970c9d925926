//! What the trait promises of how lines stand.

use super::*;
use crate::journal::{LineState, Paused, Ramping, RetoolRecord};

suite![
    a_line_stands_as_it_was_kept_last,
    a_history_grows_with_the_states,
    trying_again_where_nothing_failed_changes_nothing,
];

fn record(at: u64, current: u64) -> RetoolRecord {
    RetoolRecord {
        at,
        by: "anna \u{1b}[2J".into(),
        why: "stricter".into(),
        current,
        notes: BTreeMap::from([("accepted".into(), "POST https://a/".into())]),
        ..RetoolRecord::default()
    }
}

fn a_line_stands_as_it_was_kept_last(journal: &dyn Journal) {
    assert!(journal.lines().unwrap().is_empty());
    let first = LineState::new(name("b"), Some("/lines/b/line.toml".into()), 1);
    let other = LineState::new(name("a"), None, 7);
    block_on(journal.keep_line(first.clone(), None)).unwrap();
    block_on(journal.keep_line(other.clone(), None)).unwrap();
    assert_eq!(journal.lines().unwrap(), [other.clone(), first.clone()]);
    let paused = Paused {
        by: "anna".into(),
        why: "it smells".into(),
        at: 9,
    };
    let later = LineState {
        current: 2,
        ramp: Some(Ramping { to: 3, percent: 10 }),
        moves: BTreeMap::from([(name("old"), name("new"))]),
        paused: BTreeMap::from([(name("scan"), paused)]),
        older: BTreeSet::from([1]),
        ..first
    };
    block_on(journal.keep_line(later.clone(), None)).unwrap();
    assert_eq!(journal.lines().unwrap(), [other, later.clone()]);
    assert_eq!(later.revisions(), BTreeSet::from([1, 2, 3]));
}

fn a_history_grows_with_the_states(journal: &dyn Journal) {
    assert!(journal.retools(&name("a")).unwrap().is_empty());
    for n in 1..4 {
        let state = LineState::new(name("a"), None, n);
        block_on(journal.keep_line(state, Some(record(n * 10, n)))).unwrap();
    }
    let other = LineState::new(name("b"), None, 1);
    block_on(journal.keep_line(other, Some(record(1, 1)))).unwrap();
    let history = journal.retools(&name("a")).unwrap();
    assert_eq!(history, [record(10, 1), record(20, 2), record(30, 3)]);
}

fn trying_again_where_nothing_failed_changes_nothing(journal: &dyn Journal) {
    let item = id("a");
    keep(journal, &item, vec![taken(1, "line")]);
    block_on(journal.try_again()).unwrap();
    keep(journal, &item, vec![Record::Started { at: 2, revision: 1 }]);
    assert_eq!(journal.load(&item).unwrap().len(), 2);
}
