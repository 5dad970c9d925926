//! What the trait promises of upkeep.

use super::{audit::entry, audit::note, *};
use crate::journal::{Delivery, Retired, Rewritten, audit::AuditFilter};

suite![
    all_items_are_gone_through_in_pages,
    whole_trees_that_ended_may_go,
    results_stay_until_they_are_fetched,
    the_newest_are_counted,
    what_is_forgotten_stays_known,
    a_tree_is_forgotten_in_steps,
    a_tree_that_goes_on_is_not_forgotten,
    blobs_of_later_appends_are_not_dropped,
    rewriting_keeps_the_number,
    listings_can_be_mended,
    epochs_are_counted,
];

const LATEST: u64 = 1 << 40;

fn before(ended: u64) -> Retired {
    Retired {
        ended,
        unfetched: Some(ended),
    }
}

fn retired(journal: &dyn Journal, which: &Retired) -> Vec<ItemId> {
    let found = journal.retired(&name("line"), which, None, 100).unwrap();
    found.into_iter().map(|(_, item)| item).collect()
}

fn forget(journal: &dyn Journal, roots: &[&ItemId], most: usize) -> u64 {
    let roots = roots.iter().map(|root| (*root).clone()).collect();
    block_on(journal.forget(roots, before(LATEST), 99, most)).unwrap()
}

/// An input that ended, with children of it that ended.
fn tree(journal: &dyn Journal, key: &str, at: u64, children: u32) -> ItemId {
    let root = finished(journal, key, at, "line", Destination::Done);
    for n in 1..=children {
        let child = root.child(n).unwrap();
        keep(
            journal,
            &child,
            vec![
                taken(at, "line"),
                Record::Started { at, revision: 0 },
                moved(at + 2, Destination::Done),
            ],
        );
    }
    root
}

fn all_items_are_gone_through_in_pages(journal: &dyn Journal) {
    assert!(journal.page(0, 10).unwrap().is_empty());
    assert!(journal.line_names().unwrap().is_empty());
    // by when they came to be, not by when they were taken
    let late = finished(journal, "late", 30, "two", Destination::Done);
    let early = tree(journal, "early", 10, 1);
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = journal.page(after, 2).unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2 && last.position > after);
        after = last.position;
        for listed in page {
            assert_eq!(listed.summary.unwrap().item, *listed.item.as_ref().unwrap());
            found.push(listed.item.unwrap());
        }
    }
    assert_eq!(found, [late, early.clone(), early.child(1).unwrap()]);
    journal.keep_revision(&name("only"), "text").unwrap();
    let lines = ["line", "only", "two"].map(name);
    assert_eq!(journal.line_names().unwrap(), lines);
}

fn whole_trees_that_ended_may_go(journal: &dyn Journal) {
    let b = tree(journal, "b", 20, 2);
    let a = tree(journal, "a", 10, 0);
    finished(journal, "other", 1, "other", Destination::Done);
    // the input ended long ago, a child of it did not
    let waiting = tree(journal, "waiting", 5, 1);
    keep(
        journal,
        &waiting.child(2).unwrap(),
        vec![taken(5, "line"), Record::Started { at: 6, revision: 0 }],
    );
    // a child ended later than its input
    let late = tree(journal, "late", 1, 0);
    keep(
        journal,
        &late.child(1).unwrap(),
        vec![
            taken(40, "line"),
            Record::Started {
                at: 41,
                revision: 0,
            },
            moved(42, Destination::Scrap),
        ],
    );
    assert_eq!(
        retired(journal, &before(LATEST)),
        [late, a.clone(), b.clone()]
    );
    assert_eq!(retired(journal, &before(22)), [a.clone(), b.clone()]);
    assert_eq!(retired(journal, &before(21)), std::slice::from_ref(&a));
    assert!(retired(journal, &before(11)).is_empty());
    let line = name("line");
    let page = journal.retired(&line, &before(22), None, 1).unwrap();
    assert_eq!(page, [(12, a)]);
    let page = journal.retired(&line, &before(22), page.last(), 9).unwrap();
    assert_eq!(page, [(22, b)]);
    let page = journal.retired(&line, &before(22), page.last(), 9).unwrap();
    assert!(page.is_empty());
}

fn results_stay_until_they_are_fetched(journal: &dyn Journal) {
    let a = tree(journal, "a", 10, 1);
    let scrapped = finished(journal, "s", 11, "line", Destination::Scrap);
    let which = |unfetched| Retired {
        ended: LATEST,
        unfetched,
    };
    let just = std::slice::from_ref(&scrapped);
    assert_eq!(retired(journal, &which(None)), just);
    assert_eq!(retired(journal, &which(Some(11))), just);
    assert_eq!(retired(journal, &which(Some(12))).len(), 2);
    block_on(journal.delivered(vec![a.clone()])).unwrap();
    assert_eq!(retired(journal, &which(None)), just, "the child's is owed");
    block_on(journal.delivered(vec![a.child(1).unwrap()])).unwrap();
    assert_eq!(retired(journal, &which(None)), [a, scrapped]);
}

fn the_newest_are_counted(journal: &dyn Journal) {
    for n in 0..5 {
        tree(journal, &n.to_string(), n * 10, 1);
    }
    let line = name("line");
    assert_eq!(journal.ended_before_newest(&line, 0).unwrap(), Some(42));
    assert_eq!(journal.ended_before_newest(&line, 4).unwrap(), Some(2));
    assert_eq!(journal.ended_before_newest(&line, 5).unwrap(), None);
    assert_eq!(journal.ended_before_newest(&line, u64::MAX).unwrap(), None);
}

fn what_is_forgotten_stays_known(journal: &dyn Journal) {
    let a = tree(journal, "a", 1, 1);
    let b = tree(journal, "b", 1, 0);
    let delivery = Delivery::first(a.clone(), name("hook"), 1);
    block_on(journal.keep_deliveries(vec![delivery])).unwrap();
    assert_eq!(forget(journal, &[&a, &id("unknown")], 100), 2);
    assert!(journal.load(&a).unwrap().is_empty());
    assert!(journal.load(&a.child(1).unwrap()).unwrap().is_empty());
    assert!(journal.deliveries(&a).unwrap().is_empty());
    assert_eq!(journal.undelivered(&name("line")).unwrap().len(), 1);
    assert_eq!(journal.list(&Filter::default()).unwrap().len(), 1);
    assert!(journal.knows(&a).unwrap() && journal.knows(&b).unwrap());
    assert!(!journal.knows(&a.child(1).unwrap()).unwrap());
    assert_eq!(journal.forgotten(&a).unwrap(), Some(99));
    assert_eq!(journal.forgotten(&b).unwrap(), None);
    assert!(!journal.knows(&id("unknown")).unwrap());
    // others go on under their own records
    let c = id("c");
    keep(journal, &c, vec![taken(1, "line")]);
    assert_eq!(journal.load(&c).unwrap().len(), 1);
    assert_eq!(journal.load(&b).unwrap().len(), 3);

    assert_eq!(block_on(journal.lapse(99, 10)).unwrap(), 0);
    assert_eq!(block_on(journal.lapse(100, 10)).unwrap(), 1);
    assert!(!journal.knows(&a).unwrap());
    assert_eq!(keep(journal, &a, vec![taken(9, "line")]), 1);
}

fn a_tree_is_forgotten_in_steps(journal: &dyn Journal) {
    let a = tree(journal, "a", 1, 5);
    assert_eq!(forget(journal, &[&a], 4), 4);
    // the input is the last to go, so what is left is found again
    assert_eq!(retired(journal, &before(LATEST)), std::slice::from_ref(&a));
    assert_eq!(journal.forgotten(&a).unwrap(), None);
    assert_eq!(journal.load(&a).unwrap().len(), 3);
    assert_eq!(forget(journal, &[&a], 4), 2);
    assert_eq!(journal.forgotten(&a).unwrap(), Some(99));
    assert_eq!(forget(journal, &[&a], 4), 0);
}

fn a_tree_that_goes_on_is_not_forgotten(journal: &dyn Journal) {
    let a = tree(journal, "a", 1, 1);
    keep(journal, &a.child(2).unwrap(), vec![taken(5, "line")]);
    let unfinished = id("u");
    keep(journal, &unfinished, vec![taken(1, "line")]);
    assert_eq!(forget(journal, &[&a, &unfinished], 100), 0);
    let b = tree(journal, "b", 50, 0);
    let young = block_on(journal.forget(vec![b.clone()], before(51), 99, 9));
    assert_eq!(young.unwrap(), 0);
    assert_eq!(journal.list(&Filter::default()).unwrap().len(), 5);
}

fn blobs_of_later_appends_are_not_dropped(journal: &dyn Journal) {
    let blob = |text: &str| (Digest::of(text), Bytes::copy_from_slice(text.as_bytes()));
    let hand_over = |key: &str, texts: &[&str]| {
        let mut append = append(journal, &id(key), vec![taken(1, "line")]);
        append.blobs = texts.iter().map(|text| blob(text)).collect();
        block_on(journal.append(append)).unwrap();
    };
    hand_over("a", &["one", "two", "three", "last"]);
    let mut all: Vec<_> = ["one", "two", "three", "last"].map(Digest::of).into();
    all.sort();
    assert_eq!(journal.small_blobs(None, 9).unwrap(), all);
    assert_eq!(journal.small_blobs(Some(&all[1]), 1).unwrap(), [all[2]]);

    let mark = journal.blobs_so_far().unwrap();
    hand_over("b", &["two", "new"]);
    let dropped = ["one", "two", "three", "new", "none"].map(Digest::of);
    let number = block_on(journal.drop_blobs(dropped.into(), mark)).unwrap();
    assert_eq!(number, 2);
    for (text, there) in [
        ("one", false),
        ("two", true),
        ("three", false),
        ("new", true),
    ] {
        let found = journal.blob(&Digest::of(text)).unwrap();
        assert_eq!(found.is_some(), there, "{text}");
    }
}

fn rewriting_keeps_the_number(journal: &dyn Journal) {
    let a = tree(journal, "a", 1, 1);
    let mut mine = entry(1, "GET https://example.com/secret");
    mine.item = Some(a.clone());
    let mut other = entry(2, "GET https://example.com/other");
    other.item = a.child(1);
    note(journal, vec![mine, other]);
    let mut records = journal.load(&a).unwrap();
    if let Record::Taken { payload, .. } = &mut records[0] {
        *payload = self::payload("gone");
    }
    let summary = journal.list(&Filter::default()).unwrap().remove(0);
    let rewritten = Rewritten {
        item: a.clone(),
        expected: 3,
        records: records.clone(),
        summary,
    };
    for (item, expected, found) in [(&a, 2, 3), (&id("unknown"), 3, 0)] {
        let wrong = Rewritten {
            item: item.clone(),
            expected,
            ..rewritten.clone()
        };
        let refused = block_on(journal.rewrite(wrong)).unwrap_err();
        assert!(
            matches!(refused, JournalError::Conflict { found: is, .. } if is == found),
            "{refused}"
        );
    }
    block_on(journal.rewrite(rewritten)).unwrap();
    assert_eq!(journal.load(&a).unwrap(), records);
    let entries = journal.audited(&AuditFilter::default()).unwrap();
    let erased: Vec<_> = entries.iter().map(|kept| kept.entry.is_none()).collect();
    assert_eq!(erased, [true, false]);
    assert_eq!(journal.verify(None).unwrap().unwrap().erased, 1);
}

fn listings_can_be_mended(journal: &dyn Journal) {
    let a = tree(journal, "a", 1, 0);
    let right = journal.list(&Filter::default()).unwrap().remove(0);
    let wrong = Summary {
        phase: PhaseKind::Jammed,
        source: "another".into(),
        line: name("other"),
        ..right.clone()
    };
    for summary in [wrong, right] {
        block_on(journal.relist(summary.clone())).unwrap();
        assert_eq!(journal.list(&Filter::default()).unwrap(), [summary]);
    }
    assert_eq!(journal.load(&a).unwrap().len(), 3);
    assert!(journal.integrity().unwrap().is_empty());
}

fn epochs_are_counted(journal: &dyn Journal) {
    assert_eq!(journal.epoch().unwrap(), 0);
    assert_eq!(block_on(journal.next_epoch()).unwrap(), 1);
    assert_eq!(journal.epoch().unwrap(), 1);
}
