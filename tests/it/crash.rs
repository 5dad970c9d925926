//! `kill -9` at random moments and at every failpoint: every input is done exactly once.

mod daemon;
mod points;
mod torn;
mod works;

use crate::ground::Ground;
use andon::{
    item::{Destination, Item, Record},
    journal::{Filter, Journal, PhaseKind, sqlite::Sqlite},
};
use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

const ITEMS: usize = 2_000;
const KILLS: u32 = 50;

#[test]
fn kill_at_any_moment_loses_and_repeats_nothing() {
    let mut random = 0x2026_u64;
    let mut kills = 0;
    let mut runs = 0;
    while kills < KILLS {
        runs += 1;
        let ground = Ground::new();
        ground.line(
            r#"
line = "l"
entry = "first"
[stations.first]
use = "@stamp"
next = "second"
[stations.second]
use = "@keeps-files"
next = "third"
[stations.third]
use = "@stamp"
next = "done"
"#,
        );
        // The kills are to hit the run, not the building of its stations.
        ground.andon(&["check", "."]).well();
        let lines: String = (0..ITEMS).map(|n| format!("{n}\n")).collect();
        ground.write("in.jsonl", lines);
        let arguments = ["run", ".", "in.jsonl", "--out", "out", "-q"];
        loop {
            let mut child = ground
                .command(&arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the command starts");
            // An xorshift, so that a failing run can be made again.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let moment = Instant::now() + Duration::from_micros(40_000 + random % 150_000);
            let over = loop {
                if let Some(status) = child.try_wait().expect("the child can be asked") {
                    break Some(status);
                }
                if Instant::now() >= moment || kills >= KILLS {
                    break None;
                }
                std::thread::yield_now();
            };
            let status = match over {
                Some(status) => status,
                None if kills < KILLS => {
                    child.kill().expect("the child can be killed");
                    kills += 1;
                    child.wait().expect("the child ends")
                }
                None => child.wait().expect("the child ends"),
            };
            match status.code() {
                Some(0) => break,
                // The host went down with a visit three times, and asks a person about it.
                Some(2) => {
                    let clear = ["clear", "--all", "--reason", "host", "retry"];
                    ground.andon(&clear).well();
                }
                code => assert_eq!(code, None, "run {runs} failed after {kills} kills"),
            }
        }
        check(&ground);
    }
}

fn check(ground: &Ground) {
    let journal = Sqlite::open_read_only(&ground.path(".andon")).expect("the journal opens");
    let items = journal.list(&Filter::default()).expect("the journal lists");
    assert_eq!(items.len(), ITEMS);
    let mut names = BTreeSet::new();
    for summary in items {
        assert_eq!(
            summary.phase,
            PhaseKind::Done,
            "{} is not done",
            summary.item
        );
        let records = journal.load(&summary.item).expect("the journal loads");
        let ends = records
            .iter()
            .filter(|record| {
                matches!(
                    record,
                    Record::Moved {
                        to: Destination::Done,
                        ..
                    }
                )
            })
            .count();
        let moves = records
            .iter()
            .filter(|record| matches!(record, Record::Moved { .. }))
            .count();
        assert_eq!(
            (ends, moves),
            (1, 3),
            "{} was not done exactly once",
            summary.item
        );
        let item = Item::fold(summary.item.clone(), &records)
            .expect("records fold")
            .expect("there is one");
        assert!(
            names.insert(item.source.clone()),
            "{} was taken twice",
            item.source
        );
        assert!(
            item.workspace.is_some(),
            "{} lost its workspace",
            item.source
        );
    }
    let mut results: Vec<usize> = Vec::new();
    for entry in fs::read_dir(ground.path("out")).expect("results") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let number = text
            .trim_end()
            .strip_suffix("third 1")
            .and_then(|rest| rest.strip_suffix("first 1\n"));
        let number = number.unwrap_or_else(|| panic!("{} has {text:?}", path.display()));
        results.push(number.parse().expect("a number"));
    }
    results.sort_unstable();
    assert_eq!(results, (0..ITEMS).collect::<Vec<_>>());
}
