//! What the trait promises of the audit.

use super::*;
use crate::{
    audit::{Deed, Entry},
    journal::audit::{AuditFilter, Chain, Flaw},
};

suite![
    entries_are_kept_in_the_order_of_the_calls,
    entries_are_filtered,
    hostile_entries_come_back_bounded,
    a_whole_chain_is_verified,
    a_noted_head_is_held_against_the_chain,
];

/// Something tried at the station `s` of the line `l`.
pub(in crate::journal) fn entry(at: u64, what: &str) -> Entry {
    Entry {
        at,
        deed: Deed::Http,
        allowed: false,
        line: name("l"),
        revision: 1,
        station: name("s"),
        component: Some(Digest::of("component")),
        item: Some(id("a")),
        what: what.into(),
        rule: None,
        why: Some("no grant is for it".into()),
    }
}

/// Something tried for this item.
pub(crate) fn about(item: &ItemId, what: &str) -> Entry {
    Entry {
        item: Some(item.clone()),
        ..entry(1, what)
    }
}

pub(in crate::journal) fn note(journal: &dyn Journal, entries: Vec<Entry>) {
    block_on(journal.audit(entries)).unwrap();
}

fn all(journal: &dyn Journal) -> Vec<Entry> {
    let kept = journal.audited(&AuditFilter::default()).unwrap();
    kept.into_iter().map(|kept| kept.entry.unwrap()).collect()
}

fn entries_are_kept_in_the_order_of_the_calls(journal: &dyn Journal) {
    assert!(all(journal).is_empty());
    let entries: Vec<_> = (0..100).map(|n| entry(n, &n.to_string())).collect();
    // nobody waits for a receipt; an append and a conflict between them change nothing
    for some in entries[..90].chunks(3) {
        drop(journal.audit(some.to_vec()));
    }
    keep(journal, &id("a"), vec![taken(1, "line")]);
    let mut early = append(journal, &id("b"), vec![taken(1, "line")]);
    early.expected = 5;
    drop(journal.append(early));
    drop(journal.audit(vec![]));
    note(journal, entries[90..].to_vec());
    assert_eq!(all(journal), entries);
    let kept = journal.audited(&AuditFilter::default()).unwrap();
    let mut chain = Chain::default();
    for (n, kept) in (1..).zip(kept) {
        chain = chain.with(&kept.heading, &kept.digest);
        assert_eq!((kept.seq, kept.chain), (n, chain.head));
        assert_eq!(kept.heading, kept.entry.unwrap().heading());
    }
}

fn entries_are_filtered(journal: &dyn Journal) {
    let child = id("a").child(1).unwrap();
    let far = id("a").child(12).unwrap();
    let entries = [
        Entry {
            deed: Deed::Grant,
            allowed: true,
            item: None,
            ..entry(1, "a grant")
        },
        entry(2, "denied"),
        Entry {
            allowed: true,
            item: Some(child.clone()),
            ..entry(3, "allowed")
        },
        Entry {
            deed: Deed::Limit,
            station: name("t"),
            item: Some(far),
            ..entry(4, "memory 64MiB")
        },
        Entry {
            line: name("k"),
            item: Some(id("b")),
            ..entry(5, "elsewhere")
        },
    ];
    note(journal, entries.to_vec());
    let check = |filter: AuditFilter, expected: &[u64]| {
        let found = journal.audited(&filter).unwrap();
        let found: Vec<_> = found.iter().map(|kept| kept.seq).collect();
        assert_eq!(found, expected, "{filter:?}");
    };
    let filter = AuditFilter::default;
    check(filter(), &[1, 2, 3, 4, 5]);
    let item = |item: &ItemId| AuditFilter {
        item: Some(item.clone()),
        ..filter()
    };
    check(item(&id("a")), &[2, 3, 4]);
    check(item(&child), &[3]);
    check(item(&id("c")), &[]);
    check(
        AuditFilter {
            station: Some(name("t")),
            ..filter()
        },
        &[4],
    );
    check(
        AuditFilter {
            line: Some(name("l")),
            denied: true,
            ..filter()
        },
        &[2, 4],
    );
    for (deed, expected) in [
        (Deed::Grant, &[1][..]),
        (Deed::Http, &[2, 3, 5]),
        (Deed::Limit, &[4]),
        (Deed::File, &[]),
    ] {
        check(
            AuditFilter {
                deed: Some(deed),
                ..filter()
            },
            expected,
        );
    }
    for (from, most, newest, expected) in [
        (0, Some(2), false, &[1, 2][..]),
        (3, None, false, &[3, 4, 5]),
        (2, Some(2), false, &[2, 3]),
        (0, Some(2), true, &[4, 5]),
        (5, Some(2), true, &[5]),
        (6, None, false, &[]),
        (0, Some(0), true, &[]),
        (0, Some(9), true, &[1, 2, 3, 4, 5]),
    ] {
        let some = AuditFilter {
            from,
            most,
            newest,
            ..filter()
        };
        check(some, expected);
    }
}

fn hostile_entries_come_back_bounded(journal: &dyn Journal) {
    let text = "'; DROP TABLE audit; --\0\u{1b}[2J\u{202e}";
    let hostile = Entry {
        at: u64::MAX >> 1,
        rule: Some(text.into()),
        why: Some(text.into()),
        ..entry(1, text)
    };
    note(
        journal,
        vec![hostile.clone(), entry(2, &"x".repeat(1 << 20))],
    );
    let kept = all(journal);
    assert_eq!(kept[0], hostile);
    assert_eq!(kept[1].what.len(), Entry::WHAT);
}

fn a_whole_chain_is_verified(journal: &dyn Journal) {
    let nothing = journal.verify(None).unwrap().unwrap();
    assert_eq!(nothing.chain, Chain::default());
    for n in 1..=20 {
        note(journal, vec![entry(n, "x"), entry(n, "y")]);
        let verified = journal.verify(None).unwrap().unwrap();
        let last = journal.audited(&AuditFilter::default()).unwrap();
        assert_eq!((verified.chain.entries, verified.erased), (2 * n, 0));
        assert_eq!(verified.chain.head, last.last().unwrap().chain);
    }
}

fn a_noted_head_is_held_against_the_chain(journal: &dyn Journal) {
    let mut noted = vec![];
    for n in 1..=4 {
        noted.push(journal.verify(None).unwrap().unwrap().chain);
        note(journal, vec![entry(n, "x")]);
    }
    noted.push(journal.verify(None).unwrap().unwrap().chain);
    for chain in &noted {
        assert!(journal.verify(Some(*chain)).unwrap().is_ok());
    }
    let another = Chain {
        entries: 3,
        head: noted[2].head,
    };
    assert_eq!(
        journal.verify(Some(another)).unwrap(),
        Err(Flaw::Another(3))
    );
    let later = Chain {
        entries: 9,
        head: noted[2].head,
    };
    let cut = Flaw::Cut { first: 5, head: 9 };
    assert_eq!(journal.verify(Some(later)).unwrap(), Err(cut));
}
