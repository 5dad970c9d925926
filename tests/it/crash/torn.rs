//! What a loss of power may leave of the journal's files: a log that is cut off, torn or has wrong bytes,
//! pages that were half written, a database that is too short.

use super::points::{Random, seed};
use crate::ground::Ground;
use andon::{
    failpoint::Point,
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

/// How long a log is up to its last commit: all that is durable of it.
fn durable(log: &[u8]) -> usize {
    let Some(head) = log.get(..HEAD) else {
        return 0;
    };
    let page = u32::from_be_bytes(head[8..12].try_into().expect("four bytes")) as usize;
    let frames = log[HEAD..].chunks_exact(FRAME + page);
    // What is left of an earlier round of the log has other salts.
    let current = frames.take_while(|frame| frame[8..16] == head[16..24]);
    let commits = current.map(|frame| frame[4..8] != [0; 4]);
    let last = (commits.enumerate()).filter_map(|(n, commits)| commits.then_some(n + 1));
    HEAD + last.last().unwrap_or(0) * (FRAME + page)
}

/// A log of which a loss of power left what is durable, and behind it whatever.
pub(super) fn torn(mut log: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let durable = durable(&log);
    if durable <= HEAD {
        return log;
    }
    let behind = (log.len() - durable) as u64;
    let cut = durable + random.below(behind + 1) as usize;
    match random.below(3) {
        0 => log.truncate(cut),
        1 => log[cut..].fill(0),
        // A frame of which only the beginning was written.
        _ => {
            let page = u32::from_be_bytes(log[8..12].try_into().expect("four bytes")) as usize;
            log.truncate(durable);
            let begun = random.below((FRAME + page) as u64) as usize;
            log.extend_from_within(HEAD..HEAD + begun);
        }
    }
    log
}

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

/// Inputs of lines whose state folders are damaged.
const CARRIED: usize = 120;

/// A state folder in which a line was carried, by a process that ended in the midst of it; one input was
/// through before, so that there is more than a log.
fn carried() -> Ground {
    let ground = Ground::new();
    super::lay_out(&ground, CARRIED);
    let lines: String = (1..CARRIED).map(|n| format!("{n}\n")).collect();
    ground.write("first.jsonl", "0\n").write("in.jsonl", lines);
    ground
        .andon(&["run", ".", "first.jsonl", "--out", "out", "-q"])
        .well();
    let mut run = ground.command(&super::RUN);
    let point = format!("{}:{}", Point::Committed.name(), 12);
    let came = run.env("ANDON_FAILPOINT", point).output();
    assert_eq!(came.expect("it ends").status.code(), None);
    ground
}

#[test]
fn a_line_goes_on_from_what_is_left_of_its_log() {
    let mut random = Random::of(seed(), 0);
    for round in 0..8 {
        let ground = carried();
        let path = ground.path(".andon/journal.sqlite-wal");
        let log = fs::read(&path).expect("the log");
        // At first what may be lost, then also what may not.
        let left = match round {
            0..4 => torn(log.clone(), &mut random),
            _ => log[..random.below(log.len() as u64) as usize].to_vec(),
        };
        let about = format!("{} of {} bytes are left", left.len(), log.len());
        fs::write(&path, left).expect("written");
        let _ = fs::remove_file(ground.path(".andon/journal.sqlite-shm"));
        let doctor = ground.andon(&["doctor"]);
        assert_eq!(doctor.code, Some(0), "{about}: {}", doctor.whole());
        let run = ground.andon(&super::RUN);
        assert_eq!(run.code, Some(0), "{about}: {}", run.whole());
        super::check(&ground, CARRIED);
        ground.andon(&["doctor"]).well();
    }
}

#[test]
fn a_line_whose_database_is_damaged_says_so_and_does_nothing() {
    type Damage = (&'static str, fn(&mut Vec<u8>));
    let damages: [Damage; 4] = [
        ("its head is another", |bytes| bytes[..64].fill(0xa5)),
        ("it is cut off", |bytes| bytes.truncate(bytes.len() / 2)),
        ("its pages are wrong", |bytes| {
            bytes[8_192..].fill(0xa5);
        }),
        ("its pages are empty", |bytes| {
            bytes[4_096..].fill(0);
        }),
    ];
    for (about, damage) in damages {
        let ground = Ground::new();
        super::lay_out(&ground, CARRIED);
        ground.andon(&super::RUN).well();
        let path = ground.path(".andon/journal.sqlite");
        let mut bytes = fs::read(&path).expect("the database");
        damage(&mut bytes);
        fs::write(&path, &bytes).expect("written");
        ground.write(
            "in.jsonl",
            (0..2 * CARRIED)
                .map(|n| format!("{n}\n"))
                .collect::<String>(),
        );
        for command in [&super::RUN[..], &["serve", "."], &["doctor"], &["items"]] {
            let came = ground.andon(command);
            let whole = came.whole();
            assert_eq!(came.code, Some(1), "{about}, {command:?}: {whole}");
            assert!(
                whole.contains("damaged") && !whole.contains("panicked"),
                "{about}, {command:?}: {whole}"
            );
        }
        let results = fs::read_dir(ground.path("out")).expect("results");
        assert_eq!(results.count(), CARRIED, "{about}");
    }
}
