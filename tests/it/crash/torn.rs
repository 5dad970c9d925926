//! What a loss of power may leave of the journal's files: a log that is cut off, torn or has wrong bytes,
//! pages that were half written, a database that is too short.

use crate::ground::Ground;
use andon::{
    item::{Body, Destination, Item, ItemId, Labels, Payload, Record, Ticket},
    journal::{Append, Filter, Journal, Sqlite, Upkeep as _},
};
use futures::executor::block_on;
use std::{collections::BTreeMap, fs, path::Path};

/// Items that were durable before, and those that are only in the write-ahead log.
const BEFORE: usize = 300;
const LOGGED: usize = 40;

/// The head of the log, and of each of its frames; what SQLite writes.
const HEAD: usize = 32;
const FRAME: usize = 24;

/// The files of a journal as a loss of power left them.
struct Left {
    database: Vec<u8>,
    log: Vec<u8>,
    /// How long the log was when each item was durable.
    durable: Vec<usize>,
    page: usize,
}

fn append(journal: &dyn Journal, n: usize) {
    let id = ItemId::input(&journal.factory(), "l", &n.to_string());
    let records = vec![Record::Taken {
        at: 1_000 + n as u64,
        line: "l".parse().expect("a name"),
        revision: 1,
        source: format!("{n:05}"),
        to: Destination::Station("s".parse().expect("a name")),
        payload: Payload {
            content_type: "text/plain".into(),
            body: Body::Inline(
                format!("{n} ")
                    .repeat(100 + n % 7 * 300)
                    .into_bytes()
                    .into(),
            ),
            labels: Labels::default(),
        },
        workspace: None,
        lineage: Vec::new(),
        visits: BTreeMap::new(),
        budget: None,
        ticket: Ticket::default(),
    }];
    let item = Item::fold(id.clone(), &records).expect("it folds");
    let appended = block_on(journal.append(Append {
        item: id,
        expected: 0,
        records,
        messages: Vec::new(),
        blobs: Vec::new(),
        summary: item.expect("there is one").summary(),
    }));
    assert_eq!(appended.expect("it is appended"), 1);
}

fn left() -> Left {
    let ground = Ground::new();
    let folder = ground.path("state");
    let journal = Sqlite::open(&folder).expect("it opens");
    (0..BEFORE).for_each(|n| append(&journal, n));
    // What is closed is in the database alone.
    drop(journal);
    let (database, log) = (
        folder.join("journal.sqlite"),
        folder.join("journal.sqlite-wal"),
    );
    assert!(!log.exists());
    let journal = Sqlite::open(&folder).expect("it opens");
    let durable = (BEFORE..BEFORE + LOGGED).map(|n| {
        append(&journal, n);
        fs::metadata(&log).expect("a log").len() as usize
    });
    let durable: Vec<usize> = durable.collect();
    let log = fs::read(log).expect("the log");
    let page = u32::from_be_bytes(log[8..12].try_into().expect("four bytes")) as usize;
    assert_eq!(durable.last(), Some(&log.len()));
    Left {
        database: fs::read(database).expect("the database"),
        log,
        durable,
        page,
    }
}

impl Left {
    /// Where the frame begins in which a byte of the log is.
    fn frame(&self, at: usize) -> usize {
        let size = FRAME + self.page;
        HEAD + (at - HEAD) / size * size
    }

    /// How many items were durable when the log was so long.
    fn durable_at(&self, len: usize) -> usize {
        BEFORE
            + self
                .durable
                .iter()
                .filter(|durable| **durable <= len)
                .count()
    }

    fn lay_down(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("journal.sqlite"), &self.database).expect("written");
        fs::write(folder.join("journal.sqlite-wal"), &self.log).expect("written");
    }

    /// Opens it as it is: it has just so many items, all whole, and goes on from there.
    fn has(&self, items: usize, what: &str) {
        let ground = Ground::new();
        let folder = ground.path("state");
        self.lay_down(&folder);
        let journal = Sqlite::open(&folder).unwrap_or_else(|error| panic!("{what}: {error}"));
        has(&journal, items, what);
        append(&journal, BEFORE + LOGGED);
        drop(journal);
        let journal = Sqlite::open_read_only(&folder).expect("it opens");
        let all = journal.list(&Filter::default()).expect("it lists");
        assert_eq!(all.len(), items + 1, "{what}");
        assert_eq!(
            journal.integrity().expect("it is checked"),
            [""; 0],
            "{what}"
        );
        journal
            .verify(None)
            .expect("it reads")
            .expect("the audit is whole");
    }
}

/// The first so many items are there, with all that was recorded of them.
fn has(journal: &dyn Journal, items: usize, what: &str) {
    let all = journal.list(&Filter::default()).expect("it lists");
    let mut sources: Vec<&str> = all.iter().map(|one| one.source.as_str()).collect();
    sources.sort_unstable();
    let expected: Vec<String> = (0..items).map(|n| format!("{n:05}")).collect();
    assert_eq!(sources, expected, "{what}");
    for summary in &all {
        let records = journal.load(&summary.item).expect("it loads");
        let item = Item::fold(summary.item.clone(), &records).expect("it folds");
        assert_eq!(item.expect("there is one").summary(), *summary, "{what}");
    }
}

#[test]
fn a_log_that_is_cut_off_keeps_what_lies_before_the_cut() {
    let whole = left();
    let ends = whole.durable.iter().step_by(9).flat_map(|end| {
        let around = [
            -1_isize,
            0,
            1,
            FRAME as isize,
            (FRAME + whole.page / 2) as isize,
        ];
        around.map(|by| end.saturating_add_signed(by))
    });
    let ends = ends.chain([0, 1, HEAD - 1, HEAD, HEAD + FRAME]);
    for end in ends.filter(|end| *end <= whole.log.len()) {
        let cut = Left {
            log: whole.log[..end].to_vec(),
            database: whole.database.clone(),
            durable: whole.durable.clone(),
            ..whole
        };
        cut.has(
            whole.durable_at(end),
            &format!("cut at {end} of {}", whole.log.len()),
        );
    }
}

#[test]
fn a_log_with_wrong_bytes_keeps_what_lies_before_them() {
    let whole = left();
    let tail = whole.durable[LOGGED / 2];
    let spread = (whole.log.len() - tail) / 12;
    let mut places: Vec<usize> = (0..12).map(|n| tail + n * spread + n * 37 % 24).collect();
    places.push(whole.log.len() - 1);
    for at in places {
        let mut log = whole.log.clone();
        log[at] ^= 1 << (at % 8);
        let wrong = Left {
            log,
            database: whole.database.clone(),
            durable: whole.durable.clone(),
            ..whole
        };
        let items = whole.durable_at(whole.frame(at));
        wrong.has(
            items,
            &format!("another bit at {at} of {}", whole.log.len()),
        );
    }
    // The last page was written to its half only.
    let mut log = whole.log.clone();
    let torn = log.len() - whole.page / 2;
    log[torn..].fill(0);
    let items = whole.durable_at(whole.frame(torn));
    Left { log, ..whole }.has(items, "the last page is torn");
}

#[test]
fn pages_that_were_half_copied_out_of_the_log_are_copied_again() {
    let mut left = left();
    let (size, page) = (FRAME + left.page, left.page);
    for frame in left.log[HEAD..].chunks(size) {
        let number = u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize;
        let end = number * page;
        if end <= left.database.len() {
            left.database[end - page / 2..end].fill(0xa5);
        }
    }
    left.has(BEFORE + LOGGED, "a checkpoint was torn");
}

#[test]
fn a_database_that_is_too_short_is_called_damaged() {
    let left = left();
    for lost in [1, left.page / 2, left.page, left.page * 20 + 7] {
        let ground = Ground::new();
        let short = Left {
            database: left.database[..left.database.len() - lost].to_vec(),
            log: Vec::new(),
            durable: Vec::new(),
            ..left
        };
        short.lay_down(&ground.path(".andon"));
        let doctor = ground.andon(&["doctor"]);
        assert_eq!(doctor.code, Some(1), "{lost} are gone: {}", doctor.whole());
        let whole = doctor.whole();
        assert!(
            whole.contains("journal") && !whole.contains("panicked"),
            "{lost} are gone: {whole}"
        );
        let items = ground.andon(&["items"]).whole();
        assert!(!items.contains("panicked"), "{items}");
    }
}
