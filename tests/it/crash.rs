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

/// What carries the line that [`lay_out`] lays out.
const RUN: [&str; 6] = ["run", ".", "in.jsonl", "--out", "out", "-q"];

/// A line of three stations, one of which writes files, and so many inputs.
fn lay_out(ground: &Ground, items: usize) {
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
    // What happens later is to hit the run, not the building of its stations.
    ground.andon(&["check", "."]).well();
    let lines: String = (0..items).map(|n| format!("{n}\n")).collect();
    ground.write("in.jsonl", lines);
}

#[test]
fn kill_at_any_moment_loses_and_repeats_nothing() {
    let seed = points::seed();
    let mut kills = 0;
    for run in 0.. {
        if kills >= KILLS {
            break;
        }
        let mut random = points::Random::of(seed, run);
        let ground = Ground::new();
        lay_out(&ground, ITEMS);
        loop {
            let mut child = ground
                .command(&RUN)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the command starts");
            let moment = Instant::now() + Duration::from_micros(40_000 + random.below(150_000));
            let over = loop {
                if let Some(status) = child.try_wait().expect("the child can be asked") {
                    break Some(status);
                }
                if Instant::now() >= moment || kills >= KILLS {
                    break None;
                }
                std::thread::park_timeout(Duration::from_millis(1));
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
                code => assert_eq!(code, None, "run {run} failed after {kills} kills"),
            }
        }
        check(&ground, ITEMS);
        ground.andon(&["doctor"]).well();
    }
}

/// Every input was done exactly once, with the result and the workspace that it is to have.
fn check(ground: &Ground, count: usize) {
    let journal = Sqlite::open_read_only(&ground.path(".andon")).expect("the journal opens");
    let items = journal.list(&Filter::default()).expect("the journal lists");
    assert_eq!(items.len(), count);
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
    assert_eq!(results, (0..count).collect::<Vec<_>>());
}
