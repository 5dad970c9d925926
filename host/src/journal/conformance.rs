//! One suite for all stores: what the trait promises, and no more. What only one store can get
//! wrong (files, locks, formats) is tested beside it.

use super::{Append, Filter, Journal, JournalError, Memory, PhaseKind, Seq, Sqlite, Summary};
use crate::{
    digest::Digest,
    item::{Body, ChildEnd, Destination, End, Item, ItemId, Jam, Labels, Message, Payload, Record},
    name::Name,
};
use bytes::Bytes;
use futures::executor::block_on;
use std::collections::{BTreeMap, BTreeSet};

/// A test a function, run against each store.
macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod memory { $(#[test] fn $test() { super::$test(&super::Memory::new()); })* }
        mod unruly { $(#[test] fn $test() { super::$test(&super::Memory::unruly(7)); })* }
        mod sqlite { $(#[test] fn $test() {
            let dir = tempfile::tempdir().unwrap();
            super::$test(&super::Sqlite::open(dir.path()).unwrap());
        })* }
    };
}

pub(super) mod audit;
mod delivery;
mod effects;
mod lines;
mod source;
mod standing;
mod upkeep;

suite![
    nothing_is_there_at_first,
    what_is_appended_is_loaded,
    every_kind_of_record_comes_back,
    a_conflict_changes_nothing,
    a_conflict_concerns_one_item,
    appends_are_kept_in_the_order_of_the_calls,
    a_dropped_receipt_drops_no_record,
    messages_come_at_least_once,
    a_message_of_a_conflict_never_comes,
    each_line_has_its_own_inbox,
    lists_are_filtered_and_ordered,
    a_listing_shows_the_newest_state,
    items_are_counted_where_they_are,
    blobs_are_seen_at_once,
    revisions_are_numbered,
    results_are_delivered_once,
    hostile_texts_come_back,
];

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn id(key: &str) -> ItemId {
    ItemId::input(b"0123456789abcdef", "line", key)
}

pub(crate) fn payload(body: &str) -> Payload {
    Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(Bytes::copy_from_slice(body.as_bytes())),
        labels: Labels::default(),
    }
}

pub(crate) fn taken(at: u64, line: &str) -> Record {
    Record::Taken {
        at,
        line: name(line),
        revision: 1,
        source: "a.txt".into(),
        to: Destination::Station(name("a")),
        payload: payload("hello"),
        workspace: None,
        lineage: vec![],
        visits: BTreeMap::new(),
        budget: None,
        ticket: crate::item::Ticket::default(),
    }
}

fn moved(at: u64, to: Destination) -> Record {
    Record::Moved {
        at,
        port: name("pass"),
        to,
        payload: payload("done"),
        workspace: None,
        facts: Default::default(),
    }
}

/// An append as the conveyor makes it: the summary is that of the state afterwards.
pub(super) fn append(journal: &dyn Journal, item: &ItemId, records: Vec<Record>) -> Append {
    let mut all = journal.load(item).unwrap();
    let expected = all.len() as Seq;
    all.extend(records.clone());
    Append {
        item: item.clone(),
        expected,
        records,
        messages: vec![],
        blobs: vec![],
        summary: Item::fold(item.clone(), &all).unwrap().unwrap().summary(),
    }
}

pub(crate) fn keep(journal: &dyn Journal, item: &ItemId, records: Vec<Record>) -> Seq {
    block_on(journal.append(append(journal, item, records))).unwrap()
}

pub(crate) fn finished(
    journal: &dyn Journal,
    key: &str,
    at: u64,
    line: &str,
    to: Destination,
) -> ItemId {
    let item = id(key);
    keep(
        journal,
        &item,
        vec![
            taken(at, line),
            Record::Started {
                at: at + 1,
                revision: 0,
            },
            moved(at + 2, to),
        ],
    );
    item
}

fn ended(parent: &ItemId, child: u32) -> Message {
    Message::ChildEnded {
        parent: parent.clone(),
        child,
        end: ChildEnd {
            end: End::Done,
            arrivals: vec![],
            unused: 0,
        },
    }
}

fn nothing_is_there_at_first(journal: &dyn Journal) {
    assert!(journal.load(&id("a")).unwrap().is_empty());
    assert!(!journal.knows(&id("a")).unwrap());
    assert!(journal.list(&Filter::default()).unwrap().is_empty());
    assert_eq!(journal.blob(&Digest::of("x")).unwrap(), None);
    assert_eq!(journal.revision(&name("line"), 1).unwrap(), None);
    assert_eq!(journal.revision(&name("line"), 0).unwrap(), None);
    assert_eq!(journal.revision(&name("line"), u64::MAX).unwrap(), None);
    assert!(journal.undelivered(&name("line")).unwrap().is_empty());
    assert_ne!(journal.factory(), [0; 16]);
}

fn what_is_appended_is_loaded(journal: &dyn Journal) {
    let item = id("a");
    let records = vec![taken(1, "line"), Record::Started { at: 2, revision: 0 }];
    assert_eq!(keep(journal, &item, records.clone()), 2);
    assert_eq!(journal.load(&item).unwrap(), records);
    assert_eq!(
        keep(
            journal,
            &item,
            vec![Record::Interrupted {
                at: 3,
                stopped: false
            }]
        ),
        3
    );
    assert_eq!(journal.load(&item).unwrap().len(), 3);
    assert!(journal.load(&id("b")).unwrap().is_empty());
    assert!(journal.knows(&item).unwrap());
    assert!(!journal.knows(&id("b")).unwrap());
    assert!(journal.load(&item.child(1).unwrap()).unwrap().is_empty());
}

fn every_kind_of_record_comes_back(journal: &dyn Journal) {
    let item = id("a");
    let records = crate::item::one_of_each_kind();
    let kinds: BTreeSet<_> = records.iter().map(Record::kind).collect();
    assert_eq!(kinds, Record::KINDS.into_iter().collect());
    let mut whole = append(journal, &item, vec![taken(1, "line")]);
    whole.records = records.clone();
    block_on(journal.append(whole)).unwrap();
    assert_eq!(journal.load(&item).unwrap(), records);
}

fn a_conflict_changes_nothing(journal: &dyn Journal) {
    let item = id("a");
    let mut early = append(journal, &item, vec![taken(1, "line")]);
    early.expected = 1;
    let refused = block_on(journal.append(early.clone())).unwrap_err();
    assert!(
        matches!(
            refused,
            JournalError::Conflict {
                expected: 1,
                found: 0,
                ..
            }
        ),
        "{refused}"
    );
    assert!(journal.load(&item).unwrap().is_empty());
    assert!(journal.list(&Filter::default()).unwrap().is_empty());

    keep(
        journal,
        &item,
        vec![taken(1, "line"), Record::Started { at: 2, revision: 0 }],
    );
    for expected in [0, 1, 3, 9] {
        let mut again = early.clone();
        again.records = vec![taken(9, "line"), Record::Started { at: 9, revision: 0 }];
        again.summary.changed = 9;
        again.expected = expected;
        let refused = block_on(journal.append(again)).unwrap_err();
        assert!(
            matches!(refused, JournalError::Conflict { found: 2, .. }),
            "{refused}"
        );
    }
    assert_eq!(journal.load(&item).unwrap().len(), 2);
    assert_eq!(journal.list(&Filter::default()).unwrap()[0].changed, 2);
}

fn a_conflict_concerns_one_item(journal: &dyn Journal) {
    let (a, b) = (id("a"), id("b"));
    let mut bad = append(journal, &a, vec![taken(1, "line")]);
    bad.expected = 5;
    let good = append(journal, &b, vec![taken(1, "line")]);
    // both in one group, if the store has such
    let (bad, good) = (journal.append(bad), journal.append(good));
    assert!(block_on(bad).is_err());
    assert_eq!(block_on(good).unwrap(), 1);
    assert_eq!(keep(journal, &a, vec![taken(1, "line")]), 1);
}

fn appends_are_kept_in_the_order_of_the_calls(journal: &dyn Journal) {
    let item = id("a");
    let first = append(journal, &item, vec![taken(0, "line")]);
    let receipts: Vec<_> = (0..600)
        .map(|n| {
            let mut next = first.clone();
            next.expected = n;
            if n > 0 {
                next.records = vec![Record::Started { at: n, revision: 0 }];
            }
            journal.append(next)
        })
        .collect();
    for (n, receipt) in (1..).zip(receipts) {
        assert_eq!(block_on(receipt).unwrap(), n);
    }
    let ats: Vec<_> = journal
        .load(&item)
        .unwrap()
        .iter()
        .map(Record::at)
        .collect();
    assert_eq!(ats, (0..600).collect::<Vec<_>>());
}

fn a_dropped_receipt_drops_no_record(journal: &dyn Journal) {
    let item = id("a");
    drop(journal.append(append(journal, &item, vec![taken(1, "line")])));
    let other = id("b");
    keep(journal, &other, vec![taken(1, "line")]);
    assert_eq!(journal.load(&item).unwrap().len(), 1);
}

fn messages_come_at_least_once(journal: &dyn Journal) {
    let item = id("a");
    let mut first = append(journal, &item, vec![taken(1, "line")]);
    first.messages = (1..=40).map(|n| ended(&item, n)).collect();
    drop(journal.append(first));
    let mut missing: BTreeSet<u32> = (1..=40).collect();
    while !missing.is_empty() {
        let some = block_on(journal.messages(&name("line")));
        assert!(!some.is_empty());
        // what they come from is durable
        assert_eq!(journal.load(&item).unwrap().len(), 1);
        for message in some {
            assert_eq!(message.to(), &item);
            let Message::ChildEnded { child, .. } = message else {
                panic!("{message:?}")
            };
            missing.remove(&child);
        }
    }
}

fn a_message_of_a_conflict_never_comes(journal: &dyn Journal) {
    let (a, b) = (id("a"), id("b"));
    let mut bad = append(journal, &a, vec![taken(1, "line")]);
    bad.expected = 3;
    bad.messages = vec![ended(&a, 1)];
    let mut good = append(journal, &b, vec![taken(1, "line")]);
    good.messages = vec![ended(&b, 1)];
    drop(journal.append(bad));
    drop(journal.append(good));
    for message in block_on(journal.messages(&name("line"))) {
        assert_eq!(message.to(), &b);
    }
}

fn each_line_has_its_own_inbox(journal: &dyn Journal) {
    for (key, line) in [("a", "one"), ("b", "two"), ("c", "one")] {
        let item = id(key);
        let mut append = append(journal, &item, vec![taken(1, line)]);
        append.messages = vec![ended(&item, 1)];
        block_on(journal.append(append)).unwrap();
    }
    for (line, keys) in [("two", &["b"][..]), ("one", &["a", "c"])] {
        let mut missing: BTreeSet<ItemId> = keys.iter().map(|key| id(key)).collect();
        while !missing.is_empty() {
            for message in block_on(journal.messages(&name(line))) {
                assert!(keys.iter().any(|key| id(key) == *message.to()), "{line}");
                missing.remove(message.to());
            }
        }
    }
}

fn lists_are_filtered_and_ordered(journal: &dyn Journal) {
    let late = finished(journal, "late", 30, "one", Destination::Done);
    let other = finished(journal, "other", 20, "two", Destination::Scrap);
    let jam = Destination::Nowhere(Jam::Exhausted(name("b")));
    let jammed = finished(journal, "jammed", 10, "one", jam);
    let child = jammed.child(1).unwrap();
    keep(
        journal,
        &child,
        vec![
            taken(40, "one"),
            Record::Started {
                at: 41,
                revision: 0,
            },
        ],
    );
    let grandchild = child.child(12).unwrap();
    keep(journal, &grandchild, vec![taken(50, "one")]);

    let check = |filter: Filter, items: &[&ItemId]| {
        let found: Vec<_> = journal
            .list(&filter)
            .unwrap()
            .into_iter()
            .map(|s| s.item)
            .collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), items, "{filter:?}");
    };
    let filter = Filter::default;
    check(filter(), &[&jammed, &other, &late, &child, &grandchild]);
    check(
        Filter {
            most: Some(2),
            ..filter()
        },
        &[&jammed, &other],
    );
    check(
        Filter {
            most: Some(3),
            newest: true,
            ..filter()
        },
        &[&grandchild, &child, &jammed],
    );
    check(
        Filter {
            most: Some(0),
            ..filter()
        },
        &[],
    );
    let after = |item: &ItemId| Filter {
        after: Some(item.clone()),
        ..filter()
    };
    check(after(&jammed), &[&other, &late, &child, &grandchild]);
    check(after(&late), &[&child, &grandchild]);
    check(after(&grandchild), &[]);
    check(after(&id("never taken")), &[]);
    check(
        Filter {
            inputs: true,
            most: Some(1),
            ..after(&jammed)
        },
        &[&other],
    );
    check(
        Filter {
            inputs: true,
            ..filter()
        },
        &[&jammed, &other, &late],
    );
    let begins = |text: &str| Filter {
        begins: Some(text.into()),
        ..filter()
    };
    check(begins(late.as_str()), &[&late]);
    check(begins(&late.as_str()[..8]), &[&late]);
    check(
        begins(&jammed.as_str()[..8]),
        &[&jammed, &child, &grandchild],
    );
    check(begins(&format!("{jammed}.")), &[&child, &grandchild]);
    check(begins(""), &[&jammed, &other, &late, &child, &grandchild]);
    for text in ["A", "{", "~", "%", "\0", "ü"] {
        check(begins(text), &[]);
    }
    check(
        Filter {
            phases: vec![PhaseKind::Working],
            most: Some(2),
            ..begins(&jammed.as_str()[..8])
        },
        &[&child],
    );
    check(
        Filter {
            line: Some(name("two")),
            ..filter()
        },
        &[&other],
    );
    check(
        Filter {
            line: Some(name("six")),
            ..filter()
        },
        &[],
    );
    check(
        Filter {
            phases: vec![PhaseKind::Jammed, PhaseKind::Working],
            ..filter()
        },
        &[&jammed, &child],
    );
    check(
        Filter {
            phases: vec![PhaseKind::Split],
            ..filter()
        },
        &[],
    );
    check(
        Filter {
            station: Some(name("b")),
            ..filter()
        },
        &[&jammed],
    );
    check(
        Filter {
            root: Some(jammed.clone()),
            ..filter()
        },
        &[&jammed, &child, &grandchild],
    );
    check(
        Filter {
            root: Some(child.clone()),
            ..filter()
        },
        &[&child, &grandchild],
    );
    // `….1` is no parent of `….12`
    check(
        Filter {
            root: Some(child.child(1).unwrap()),
            ..filter()
        },
        &[],
    );
    check(
        Filter {
            line: Some(name("one")),
            phases: vec![PhaseKind::Done],
            ..filter()
        },
        &[&late],
    );
}

fn a_listing_shows_the_newest_state(journal: &dyn Journal) {
    let jam = Destination::Nowhere(Jam::Exhausted(name("b")));
    let item = finished(journal, "a", 1, "line", jam);
    let [summary] = &journal.list(&Filter::default()).unwrap()[..] else {
        panic!("one item")
    };
    let whole = Item::fold(item.clone(), &journal.load(&item).unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(*summary, whole.summary());
    assert_eq!(
        *summary,
        Summary {
            item,
            line: name("line"),
            revision: 1,
            source: "a.txt".into(),
            phase: PhaseKind::Jammed,
            station: Some(name("b")),
            result: false,
            reason: Some(
                "it may not come to `b` again, and the port `exhausted` does not lead on".into()
            ),
            priority: crate::item::Priority::Normal,
            due: None,
            began: None,
            taken: 1,
            changed: 3,
        }
    );
}

fn items_are_counted_where_they_are(journal: &dyn Journal) {
    assert!(journal.counts(&name("line")).unwrap().is_empty());
    for key in ["a", "b", "c"] {
        keep(journal, &id(key), vec![taken(1, "line")]);
    }
    keep(journal, &id("d"), vec![taken(1, "other")]);
    assert!(journal.begun(&name("line")).unwrap().is_empty());
    let started = Record::Started { at: 2, revision: 1 };
    keep(journal, &id("c"), vec![started]);
    assert_eq!(journal.begun(&name("line")).unwrap(), [1].into());
    assert!(journal.begun(&name("other")).unwrap().is_empty());
    let working = |line: &str| {
        let filter = Filter {
            line: Some(name(line)),
            phases: vec![PhaseKind::Held, PhaseKind::Working],
            ..Filter::default()
        };
        journal.any(&filter).unwrap()
    };
    assert!(working("line") && !working("other"));
    let mut counts = journal.counts(&name("line")).unwrap();
    counts.sort();
    let at = Some(name("a"));
    let expected = [
        (PhaseKind::Waiting, at.clone(), 2),
        (PhaseKind::Working, at, 1),
    ];
    assert_eq!(counts, expected);
}

fn blobs_are_seen_at_once(journal: &dyn Journal) {
    let bytes = Bytes::from_static(b"a small blob");
    let digest = Digest::of(&bytes);
    let receipts: Vec<_> = ["a", "b"]
        .iter()
        .map(|key| {
            let mut append = append(journal, &id(key), vec![taken(1, "line")]);
            append.blobs = vec![(digest, bytes.clone()), (Digest::of(""), Bytes::new())];
            let receipt = journal.append(append);
            assert_eq!(journal.blob(&digest).unwrap(), Some(bytes.clone()));
            receipt
        })
        .collect();
    for receipt in receipts {
        block_on(receipt).unwrap();
        assert_eq!(journal.blob(&digest).unwrap(), Some(bytes.clone()));
    }
    assert_eq!(journal.blob(&Digest::of("")).unwrap(), Some(Bytes::new()));
}

fn revisions_are_numbered(journal: &dyn Journal) {
    let (one, two) = (name("one"), name("two"));
    assert_eq!(journal.keep_revision(&one, "first").unwrap(), 1);
    assert_eq!(journal.keep_revision(&one, "first").unwrap(), 1);
    assert_eq!(journal.keep_revision(&one, "second").unwrap(), 2);
    assert_eq!(journal.keep_revision(&two, "second").unwrap(), 1);
    assert_eq!(journal.keep_revision(&one, "first").unwrap(), 3);
    assert_eq!(
        journal.revision(&one, 2).unwrap().as_deref(),
        Some("second")
    );
    assert_eq!(journal.revision(&one, 4).unwrap(), None);
}

fn results_are_delivered_once(journal: &dyn Journal) {
    let second = finished(journal, "b", 5, "line", Destination::Done);
    let first = finished(journal, "a", 1, "line", Destination::Done);
    let scrapped = finished(journal, "c", 2, "line", Destination::Scrap);
    finished(journal, "d", 2, "other", Destination::Done);
    let without = id("e");
    let facts = Default::default();
    keep(
        journal,
        &without,
        vec![taken(1, "line"), Record::Finished { at: 2, facts }],
    );

    let line = name("line");
    assert_eq!(
        journal.undelivered(&line).unwrap(),
        [first.clone(), second.clone()]
    );
    // nobody was told of the first append yet: the order of the calls is enough
    let last = id("f");
    let append = append(
        journal,
        &last,
        vec![
            taken(8, "line"),
            Record::Started { at: 8, revision: 0 },
            moved(9, Destination::Done),
        ],
    );
    drop(journal.append(append));
    block_on(journal.delivered(vec![first, last, scrapped, id("unknown")])).unwrap();
    assert_eq!(
        journal.undelivered(&line).unwrap(),
        std::slice::from_ref(&second)
    );
    block_on(journal.delivered(vec![second])).unwrap();
    assert!(journal.undelivered(&line).unwrap().is_empty());
}

fn hostile_texts_come_back(journal: &dyn Journal) {
    let item = id("a");
    let text = "'; DROP TABLE records; --\0\u{1b}[2J\u{202e}";
    let records = vec![
        taken(1, "line"),
        Record::Started {
            at: u64::MAX,
            revision: 0,
        },
        Record::Failed {
            at: 2,
            reason: text.into(),
            again: 3,
            facts: Default::default(),
        },
    ];
    keep(journal, &item, records.clone());
    assert_eq!(journal.load(&item).unwrap(), records);
    let mut odd = append(journal, &item, vec![Record::Started { at: 4, revision: 0 }]);
    odd.summary.source = text.into();
    odd.summary.reason = Some(text.into());
    block_on(journal.append(odd)).unwrap();
    let listed = journal.list(&Filter::default()).unwrap();
    assert_eq!(listed[0].reason.as_deref(), Some(text));
}

/// Else nothing is shown by the tests that run against it.
#[test]
fn the_unruly_one_is_unruly() {
    let journal = Memory::unruly(1);
    let item = id("a");
    let mut first = append(&journal, &item, vec![taken(1, "line")]);
    first.messages = (1..=40).map(|n| ended(&item, n)).collect();
    let sent = first.messages.clone();
    drop(journal.append(first));
    journal.close();
    let mut batches = vec![];
    loop {
        let batch = block_on(journal.messages(&name("line")));
        if batch.is_empty() {
            break;
        }
        batches.push(batch);
    }
    let came = batches.concat();
    assert!(batches.len() > 1, "nothing is delayed");
    assert!(came.len() > sent.len(), "nothing is repeated");
    assert_ne!(came[..sent.len()], sent, "nothing is reordered");
    assert!(sent.iter().all(|message| came.contains(message)));
}

/// Whatever goes wrong with one append goes wrong with all that follow.
#[test]
fn a_failure_lasts() {
    let journal = Memory::new();
    keep(&journal, &id("a"), vec![taken(1, "line")]);
    journal.fail(JournalError::InUse("memory".into()));
    for _ in 0..2 {
        let append = append(&journal, &id("b"), vec![taken(1, "line")]);
        assert!(block_on(journal.append(append)).is_err());
    }
    assert!(journal.keep_revision(&name("line"), "x").is_err());
    assert!(block_on(journal.delivered(vec![])).is_err());
    assert!(block_on(journal.audit(vec![])).is_err());
    assert_eq!(journal.load(&id("a")).unwrap().len(), 1);
}
