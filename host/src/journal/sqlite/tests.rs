//! What only this store can get wrong: files, locks, formats, rows that nobody wrote.

mod audit;

use super::*;
use crate::journal::conformance::{append, id, keep, name, payload, taken};
use futures::executor::block_on;
use tempfile::TempDir;

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn refused<T>(result: Result<T, JournalError>) -> JournalError {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}

/// A journal with one item of three records, and something done to the file behind its back.
fn tampered(sql: &str) -> (TempDir, ItemId) {
    let (dir, item) = (dir(), id("a"));
    let journal = Sqlite::open(dir.path()).unwrap();
    keep(
        &journal,
        &item,
        vec![
            taken(1, "line"),
            Record::Started { at: 2, revision: 0 },
            Record::Interrupted {
                at: 3,
                stopped: false,
            },
        ],
    );
    let mut with_blob = append(
        &journal,
        &item,
        vec![Record::Started { at: 4, revision: 0 }],
    );
    with_blob.blobs = vec![(Digest::of("blob"), Bytes::from_static(b"blob"))];
    block_on(journal.append(with_blob)).unwrap();
    drop(journal);
    let file = Connection::open(dir.path().join(FILE)).unwrap();
    file.execute_batch(sql).unwrap();
    (dir, item)
}

#[test]
fn what_was_kept_is_there_again() {
    let (dir, item) = (dir(), id("a"));
    let journal = Sqlite::open(dir.path()).unwrap();
    let factory = journal.factory();
    // nobody waits for the receipt: dropping the journal does
    drop(journal.append(append(&journal, &item, vec![taken(1, "line")])));
    journal.keep_revision(&name("line"), "text").unwrap();
    drop(journal);

    let journal = Sqlite::open(dir.path()).unwrap();
    assert_eq!(journal.factory(), factory);
    assert_eq!(journal.load(&item).unwrap(), [taken(1, "line")]);
    assert_eq!(
        keep(
            &journal,
            &item,
            vec![Record::Started { at: 2, revision: 0 }]
        ),
        2
    );
    assert_eq!(journal.keep_revision(&name("line"), "text").unwrap(), 1);
    assert_ne!(Sqlite::open(self::dir().path()).unwrap().factory(), factory);
}

#[test]
fn two_cannot_write() {
    let dir = dir();
    let journal = Sqlite::open(dir.path()).unwrap();
    let error = refused(Sqlite::open(dir.path()));
    assert!(matches!(error, JournalError::InUse(_)), "{error}");
    drop(journal);
    Sqlite::open(dir.path()).unwrap();
}

#[test]
fn others_may_look() {
    let (dir, item) = (dir(), id("a"));
    let error = refused(Sqlite::open_read_only(dir.path()));
    assert!(
        error.to_string().contains("there is no journal here"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    let journal = Sqlite::open(dir.path()).unwrap();
    let other = Sqlite::open_read_only(dir.path()).unwrap();
    keep(&journal, &item, vec![taken(1, "line")]);
    assert_eq!(other.load(&item).unwrap().len(), 1);
    assert_eq!(other.list(&Filter::default()).unwrap().len(), 1);
    assert_eq!(other.factory(), journal.factory());
    let error = refused(block_on(other.append(append(
        &other,
        &id("b"),
        vec![taken(1, "line")],
    ))));
    assert!(matches!(error, JournalError::Unwritable { .. }), "{error}");
    assert!(other.keep_revision(&name("line"), "x").is_err());
    assert!(block_on(other.delivered(vec![item.clone()])).is_err());
    assert!(block_on(other.audit(vec![])).is_err());
    assert!(block_on(other.messages(&name("line"))).is_empty());
    drop(journal);
    assert_eq!(other.load(&item).unwrap().len(), 1);
}

#[test]
fn a_newer_format_is_left_alone() {
    let (dir, _) = tampered("PRAGMA user_version = 1000");
    for error in [
        refused(Sqlite::open(dir.path())),
        refused(Sqlite::open_read_only(dir.path())),
    ] {
        assert!(
            matches!(
                error,
                JournalError::Newer {
                    found: 1000,
                    known: schema::NEWEST,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_journal_is_left_alone() {
    for (content, says) in [
        (
            &b"this is no database, but text that is long enough to have a header of one"[..],
            "not a database",
        ),
        (&b"\0\0\0"[..], "not a database"),
    ] {
        let dir = dir();
        std::fs::write(dir.path().join(FILE), content).unwrap();
        let error = refused(Sqlite::open(dir.path()));
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), content);
    }
    let dir = dir();
    Connection::open(dir.path().join(FILE))
        .and_then(|other| other.execute_batch("CREATE TABLE songs (title)"))
        .unwrap();
    for error in [
        refused(Sqlite::open(dir.path())),
        refused(Sqlite::open_read_only(dir.path())),
    ] {
        assert!(error.to_string().contains("another program"), "{error}");
    }
}

#[test]
fn an_empty_file_becomes_a_journal() {
    let dir = dir();
    std::fs::write(dir.path().join(FILE), "").unwrap();
    assert!(Sqlite::open_read_only(dir.path()).is_err());
    let journal = Sqlite::open(dir.path()).unwrap();
    keep(&journal, &id("a"), vec![taken(1, "line")]);
    assert_eq!(journal.load(&id("a")).unwrap().len(), 1);
    drop(journal);
    // a journal that was closed is one file, which can be copied
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "lock")
        .collect();
    assert_eq!(names, [FILE]);
}

#[test]
fn rows_are_not_believed() {
    for (sql, says) in [
        (
            "UPDATE records SET kind = 'melted' WHERE seq = 2",
            "record 2 of item `ITEM` is of the kind `melted`",
        ),
        (
            "UPDATE records SET kind = 'moved' WHERE seq = 2",
            "says `moved` and is `started`",
        ),
        (
            "UPDATE records SET version = 2 WHERE seq = 2",
            "record 2 of item ITEM` was written by a newer andon (format 2",
        ),
        (
            "UPDATE records SET version = -1 WHERE seq = 2",
            "has the version -1",
        ),
        (
            "UPDATE records SET facts = x'c1' WHERE seq = 2",
            "record 2 of item `ITEM` cannot be read",
        ),
        (
            "UPDATE records SET facts = x'' WHERE seq = 2",
            "record 2 of item `ITEM` cannot be read",
        ),
        (
            "UPDATE records SET facts = 7 WHERE seq = 2",
            "record 2 of item `ITEM` has no facts",
        ),
        (
            "UPDATE records SET facts = x'dfffffffff' WHERE seq = 2",
            "cannot be read",
        ),
        (
            "UPDATE records SET kind = x'ff' WHERE seq = 2",
            "Invalid column type",
        ),
        (
            "DELETE FROM records WHERE seq = 2",
            "record 2 of item `ITEM` is missing",
        ),
        (
            "DELETE FROM records WHERE seq = 1",
            "record 1 of item `ITEM` is missing",
        ),
    ] {
        let (dir, item) = tampered(sql);
        let journal = Sqlite::open(dir.path()).unwrap();
        let error = refused(journal.load(&item))
            .to_string()
            .replace(item.as_str(), "ITEM");
        assert!(error.contains(says), "{sql}: {error}");
    }
    for (sql, says) in [
        ("UPDATE items SET phase = 'lost'", "`lost` is no phase"),
        ("UPDATE items SET line = '../x'", "is no name"),
        ("UPDATE items SET item = 'x'", "`x` is no item id"),
        ("UPDATE items SET taken = -1", "-1"),
        ("UPDATE items SET source = x'ff'", "Invalid column type"),
    ] {
        let (dir, _) = tampered(sql);
        let journal = Sqlite::open(dir.path()).unwrap();
        let error = refused(journal.list(&Filter::default())).to_string();
        assert!(error.contains(says), "{sql}: {error}");
    }
    let (dir, _) = tampered("UPDATE blobs SET bytes = x'00'");
    let journal = Sqlite::open(dir.path()).unwrap();
    assert!(
        refused(journal.blob(&Digest::of("blob")))
            .to_string()
            .contains("that digest")
    );
    let (dir, _) = tampered("UPDATE meta SET value = 'short'");
    assert!(
        refused(Sqlite::open(dir.path()))
            .to_string()
            .contains("damaged")
    );
}

#[test]
fn a_damaged_file_is_said_to_be() {
    let (dir, item) = tampered("PRAGMA journal_mode = DELETE");
    let path = dir.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    // all but the first page, which says what the file is
    for byte in &mut bytes[4096..] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).unwrap();
    let error = match Sqlite::open(dir.path()) {
        Ok(journal) => refused(journal.load(&item)),
        Err(error) => error,
    };
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written() {
    let dir = dir();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    // also for root, whom no permission stops
    let error = refused(Sqlite::open(&file.join("state")));
    assert!(matches!(error, JournalError::Unwritable { .. }), "{error}");
    assert!(error.to_string().contains("--state DIR"), "{error}");

    let (dir, _) = tampered("SELECT 1");
    let limited =
        Sqlite::open_with(dir.path(), |c| c.execute_batch("PRAGMA query_only = ON")).unwrap();
    let error = refused(block_on(limited.append(append(
        &limited,
        &id("b"),
        vec![taken(1, "line")],
    ))));
    assert!(matches!(error, JournalError::Unwritable { .. }), "{error}");
}

#[test]
fn a_full_disk_stops_everything_that_follows() {
    let dir = dir();
    let journal = Sqlite::open_with(dir.path(), |c| {
        c.execute_batch("PRAGMA max_page_count = 40")
    })
    .unwrap();
    let mut kept = vec![];
    let mut failed = None;
    for n in 0..200 {
        let item = id(&n.to_string());
        let mut append = append(&journal, &item, vec![taken(1, "line")]);
        let bytes = Bytes::from(vec![n as u8; 4096]);
        append.blobs = vec![(Digest::of(&bytes), bytes)];
        match block_on(journal.append(append)) {
            Ok(_) if failed.is_none() => kept.push(item),
            Ok(_) => panic!("kept what follows something lost"),
            Err(error) => {
                let first = failed.get_or_insert_with(|| error.to_string());
                assert_eq!(*first, error.to_string());
            }
        }
    }
    let failed = failed.unwrap();
    assert!(
        failed.contains("the disk is full") && failed.contains("hint:"),
        "{failed}"
    );
    assert!(!kept.is_empty());
    assert!(journal.keep_revision(&name("line"), "x").is_err());
    assert!(block_on(journal.delivered(vec![])).is_err());
    assert!(block_on(journal.messages(&name("line"))).is_empty());
    // there still is no room, so trying again changes nothing
    let again = block_on(journal.try_again()).unwrap_err().to_string();
    assert!(again.contains("the disk is full"), "{again}");
    assert_eq!(
        block_on(journal.delivered(vec![])).unwrap_err().to_string(),
        failed
    );
    // what was kept can be read, now and later
    for journal in [journal, Sqlite::open_read_only(dir.path()).unwrap()] {
        assert_eq!(journal.list(&Filter::default()).unwrap().len(), kept.len());
    }
    let journal = Sqlite::open(dir.path()).unwrap();
    keep(
        &journal,
        &id("0"),
        vec![Record::Started { at: 2, revision: 0 }],
    );
}

#[test]
fn the_log_stays_small() {
    let dir = dir();
    let journal = Sqlite::open(dir.path()).unwrap();
    let mut most = 0;
    for round in 0..40 {
        let receipts: Vec<_> = (0..32)
            .map(|n| {
                let item = id(&format!("{round}-{n}"));
                let mut append = append(&journal, &item, vec![taken(1, "line")]);
                append.records = vec![Record::Taken {
                    at: 1,
                    line: name("line"),
                    revision: 1,
                    source: String::new(),
                    to: crate::item::Destination::Done,
                    payload: payload(&"x".repeat(40 << 10)),
                    workspace: None,
                    lineage: vec![],
                    visits: Default::default(),
                    budget: None,
                    ticket: crate::item::Ticket::default(),
                }];
                journal.append(append)
            })
            .collect();
        for receipt in receipts {
            block_on(receipt).unwrap();
        }
        most = most.max(
            std::fs::metadata(dir.path().join(format!("{FILE}-wal")))
                .unwrap()
                .len(),
        );
    }
    assert!(most < 32 << 20, "{most}");
}

/// A journal as a crash leaves it: the files as they are while it is open, the log cut off anywhere.
#[test]
fn a_crash_leaves_whole_appends() {
    let dir = dir();
    let journal = Sqlite::open(dir.path()).unwrap();
    let items: Vec<_> = (0..40).map(|n| id(&n.to_string())).collect();
    for item in &items {
        keep(
            &journal,
            item,
            vec![taken(1, "line"), Record::Started { at: 2, revision: 0 }],
        );
        keep(
            &journal,
            item,
            vec![
                Record::Interrupted {
                    at: 3,
                    stopped: false,
                },
                Record::Started { at: 4, revision: 0 },
            ],
        );
    }
    let log = std::fs::read(dir.path().join(format!("{FILE}-wal"))).unwrap();
    let mut fewest = usize::MAX;
    for cut in (0..=16).map(|n| log.len() * n / 16) {
        let crashed = self::dir();
        std::fs::copy(dir.path().join(FILE), crashed.path().join(FILE)).unwrap();
        std::fs::write(crashed.path().join(format!("{FILE}-wal")), &log[..cut]).unwrap();
        let found = Sqlite::open(crashed.path()).unwrap();
        let counts: Vec<_> = items
            .iter()
            .map(|item| found.load(item).unwrap().len())
            .collect();
        assert!(counts.iter().all(|n| n % 2 == 0), "{counts:?}");
        assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
        let listed = found.list(&Filter::default()).unwrap();
        assert_eq!(listed.len(), counts.iter().filter(|n| **n > 0).count());
        for (summary, count) in listed.iter().zip(&counts) {
            assert_eq!(summary.changed, *count as u64);
        }
        fewest = fewest.min(listed.len());
        if cut == log.len() {
            assert_eq!(counts, [4; 40]);
        }
    }
    assert!(fewest < 40);
}

/// What was written by a released andon is read for ever: a line here is never changed, only added
/// for a new kind or version, or for facts that older records do not have.
#[test]
fn records_of_the_first_format_are_read() {
    let lines: Vec<_> = include_str!("records-1.txt").lines().collect();
    let mut records = crate::item::one_of_each_kind();
    records.extend(crate::item::with_later_facts());
    let written: Vec<_> = records
        .iter()
        .map(|record| {
            let facts = rmp_serde::to_vec_named(record).unwrap();
            let hex: String = facts.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} {hex}", record.kind())
        })
        .collect();
    for (written, line) in written.iter().zip(&lines) {
        assert_eq!(written, line, "the format has changed");
    }
    assert_eq!(
        written.len(),
        lines.len(),
        "{:#?}",
        written.get(lines.len())
    );
    for (line, record) in lines.iter().zip(records) {
        let (_, hex) = line.split_once(' ').unwrap();
        let facts: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect();
        assert_eq!(rmp_serde::from_slice::<Record>(&facts).unwrap(), record);
        // cut off anywhere it is an error, not something else
        for end in 0..facts.len() {
            assert!(rmp_serde::from_slice::<Record>(&facts[..end]).is_err());
        }
    }
}
