//! The audit in rows that somebody may have changed, and in a journal of the format before it.

use super::*;
use crate::journal::conformance::audit::{entry, note};

/// A journal with ten entries of two items, and something done to the file behind its back.
fn tampered(sql: &str) -> TempDir {
    let dir = dir();
    let journal = Sqlite::open(dir.path()).unwrap();
    for n in 1..=10 {
        let mut entry = entry(n, &format!("GET https://example.com/{n}"));
        entry.item = Some(id(if n % 2 == 0 { "a" } else { "b" }));
        entry.allowed = n % 3 == 0;
        note(&journal, vec![entry]);
    }
    drop(journal);
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    file.execute_batch(sql).unwrap();
    dir
}

#[test]
fn what_was_done_to_the_audit_shows() {
    let swap = "UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; \
                UPDATE audit SET seq = 5 WHERE seq = 99";
    let copy = "INSERT INTO audit SELECT 11, at, deed, allowed, line, revision, station, item, facts, \
                digest, chain FROM audit WHERE seq = 10";
    let cases = [
        ("DELETE FROM audit WHERE seq = 1", "entry 1 is missing"),
        ("DELETE FROM audit WHERE seq = 4", "entry 4 is missing"),
        (
            "DELETE FROM audit WHERE seq IN (4, 5)",
            "entry 4 is missing",
        ),
        (
            "DELETE FROM audit WHERE seq > 7",
            "entry 8 is missing: the head is that of 10 entries",
        ),
        (
            "DELETE FROM audit",
            "entry 1 is missing: the head is that of 10 entries",
        ),
        (
            "DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq > 4",
            "entry 4 was changed, moved or put in: the chain does not lead to it",
        ),
        (swap, "entry 4 was changed, moved or put in"),
        (copy, "entry 11 was changed, moved or put in"),
        (
            "UPDATE audit SET facts = x'c0' WHERE seq = 4",
            "entry 4 was changed: its bytes do not have its digest",
        ),
        (
            "UPDATE audit SET facts = 'text' WHERE seq = 4",
            "entry 4 was changed: its bytes do not have its digest",
        ),
        (
            "UPDATE audit SET facts = (SELECT facts FROM audit WHERE seq = 5), \
             digest = (SELECT digest FROM audit WHERE seq = 5) WHERE seq = 4",
            "entry 4 was changed: it is listed as what it is not",
        ),
        (
            "UPDATE audit SET digest = zeroblob(32) WHERE seq = 4",
            "entry 4 was changed: its bytes do not have its digest",
        ),
        (
            "UPDATE audit SET facts = NULL, digest = zeroblob(32) WHERE seq = 4",
            "entry 4 was changed, moved or put in",
        ),
        (
            "UPDATE audit SET digest = x'00' WHERE seq = 4",
            "entry 4 was changed: its bytes do not have its digest",
        ),
        (
            "UPDATE audit SET chain = zeroblob(32) WHERE seq = 4",
            "entry 4 was changed, moved or put in",
        ),
        (
            "UPDATE audit SET allowed = 1 WHERE seq = 4",
            "entry 4 was changed: it is listed as what it is not",
        ),
        (
            "UPDATE audit SET item = NULL WHERE seq = 4",
            "entry 4 was changed: it is listed as what it is not",
        ),
        (
            "UPDATE audit SET station = '../x' WHERE seq = 4",
            "entry 4 was changed: it is listed as what it is not",
        ),
        (
            "UPDATE audit SET seq = -3 WHERE seq = 4",
            "entry -3 was put in",
        ),
        (
            "UPDATE audit_head SET entries = 9",
            "entry 10 was put in, or the head was changed",
        ),
        (
            "UPDATE audit_head SET chain = zeroblob(32)",
            "entry 10 was put in, or the head was changed",
        ),
        ("DELETE FROM audit_head", "entry 10 was put in, or the head"),
        (
            "UPDATE audit_head SET chain = 'x'",
            "entry 10 was put in, or the head",
        ),
    ];
    for (sql, says) in cases {
        let dir = tampered(sql);
        let journal = Sqlite::open_read_only(dir.path()).unwrap();
        let flaw = journal.verify(None).unwrap().expect_err(sql).to_string();
        assert!(flaw.contains(says), "{sql}: {flaw}");
        drop(journal);
        if sql.contains("audit_head") {
            continue;
        }
        // What is added afterwards does not heal it.
        let journal = Sqlite::open(dir.path()).unwrap();
        note(&journal, vec![entry(11, "later")]);
        assert!(journal.verify(None).unwrap().is_err(), "{sql}");
    }
}

#[test]
fn nothing_is_added_where_the_head_is_gone() {
    for sql in [
        "DELETE FROM audit_head",
        "UPDATE audit_head SET chain = 'x'",
        "UPDATE audit_head SET entries = -1",
    ] {
        let error = refused(Sqlite::open(tampered(sql).path())).to_string();
        assert!(error.contains("the head of the audit is gone"), "{error}");
    }
}

#[test]
fn rows_that_are_none_are_not_listed() {
    for (sql, says) in [
        (
            "UPDATE audit SET deed = 'x'",
            "is listed as what it cannot be",
        ),
        ("UPDATE audit SET facts = x'c0'", "cannot be read"),
        ("UPDATE audit SET facts = 7", "has no bytes"),
        ("UPDATE audit SET digest = x'00'", "has no digest"),
        ("UPDATE audit SET chain = 'x'", "has no chain"),
        ("UPDATE audit SET at = -1", "is listed as what it cannot be"),
    ] {
        let dir = tampered(sql);
        let journal = Sqlite::open(dir.path()).unwrap();
        let error = refused(journal.audited(&AuditFilter::default())).to_string();
        assert!(error.contains("entry 1 of the audit"), "{error}");
        assert!(error.contains(says), "{sql}: {error}");
    }
}

#[test]
fn bytes_can_be_erased_and_the_chain_be_followed() {
    let item = id("a");
    let dir = tampered(&format!(
        "UPDATE audit SET facts = NULL WHERE item = '{item}'"
    ));
    let journal = Sqlite::open(dir.path()).unwrap();
    let verified = journal.verify(None).unwrap().unwrap();
    assert_eq!((verified.chain.entries, verified.erased), (10, 5));
    let kept = journal
        .audited(&AuditFilter {
            item: Some(item),
            ..AuditFilter::default()
        })
        .unwrap();
    assert_eq!(kept.len(), 5);
    assert!(kept.iter().all(|kept| kept.entry.is_none()));
    note(&journal, vec![entry(11, "later")]);
    let later = journal.verify(Some(verified.chain)).unwrap().unwrap();
    assert_eq!(later.chain.entries, 11);
}

/// Only a head that was noted elsewhere shows this.
#[test]
fn a_chain_that_was_written_anew_is_whole() {
    let noted = Sqlite::open_read_only(tampered("SELECT 1").path())
        .unwrap()
        .verify(None)
        .unwrap()
        .unwrap()
        .chain;
    let forged = dir();
    let journal = Sqlite::open(forged.path()).unwrap();
    note(&journal, (1..=12).map(|n| entry(n, "forged")).collect());
    assert!(journal.verify(None).unwrap().is_ok());
    let flaw = journal.verify(Some(noted)).unwrap().unwrap_err();
    assert_eq!(flaw, Flaw::Another(10));
}

/// A journal of the first format, with one item, as the andon of that time left it.
fn first_format() -> (TempDir, ItemId) {
    let (newest, item) = super::tampered("SELECT 1");
    let dir = dir();
    let then = Connection::open(dir.path().join(FILE)).unwrap();
    let items = "id, item, line, revision, source, phase, station, result, delivered, reason, \
                 taken, changed";
    then.execute_batch(&format!(
        "{}; PRAGMA application_id = 0x616e646e; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
         ATTACH '{}' AS now;
         DELETE FROM meta; INSERT INTO meta SELECT * FROM now.meta;
         INSERT INTO records SELECT * FROM now.records;
         INSERT INTO items ({items}) SELECT {items} FROM now.items;
         INSERT INTO blobs SELECT * FROM now.blobs;
         INSERT INTO revisions SELECT line, number, definition FROM now.revisions;",
        schema::MIGRATIONS[0],
        newest.path().join(FILE).display()
    ))
    .unwrap();
    (dir, item)
}

#[test]
fn a_journal_of_the_first_format_is_read_and_migrated() {
    let (dir, item) = first_format();
    let older = Sqlite::open_read_only(dir.path()).unwrap();
    assert_eq!(older.load(&item).unwrap().len(), 4);
    assert_eq!(older.list(&Filter::default()).unwrap().len(), 1);
    assert!(older.audited(&AuditFilter::default()).unwrap().is_empty());
    assert!(older.deliveries(&item).unwrap().is_empty());
    let owed = older.owed(&name("line"), &name("sink"), u64::MAX, 9);
    assert!(owed.unwrap().is_empty());
    assert_eq!(older.verify(None).unwrap().unwrap(), Verified::default());
    let factory = older.factory();

    let journal = Sqlite::open(dir.path()).unwrap();
    assert_eq!(journal.factory(), factory);
    assert_eq!(
        keep(
            &journal,
            &item,
            vec![Record::Interrupted {
                stopped: false,
                at: 5
            }]
        ),
        5
    );
    note(&journal, vec![entry(1, "x")]);
    assert_eq!(journal.verify(None).unwrap().unwrap().chain.entries, 1);
    // whoever looked on before the migration sees what came with it
    assert_eq!(older.audited(&AuditFilter::default()).unwrap().len(), 1);
    drop((journal, older));
    let journal = Sqlite::open(dir.path()).unwrap();
    assert_eq!(journal.load(&item).unwrap().len(), 5);
    assert_eq!(journal.verify(None).unwrap().unwrap().chain.entries, 1);
}

/// What was written by a released andon is read for ever: a line here is never changed.
#[test]
fn entries_of_the_second_format_are_read() {
    let facts = rmp_serde::to_vec_named(&entry(1, "GET https://example.com/")).unwrap();
    let hex: String = facts.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        include_str!("../audit-2.txt").trim_end(),
        "the format has changed"
    );
}
