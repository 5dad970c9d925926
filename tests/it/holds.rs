//! Questions on real lines: of the line itself and of stations, and visits that fall silent.

use crate::{
    daemon::{Daemon, until},
    ground::{Came, Ground},
};
use andon::{
    item::Record,
    journal::{Filter, Journal as _, sqlite::Sqlite},
};
use insta::assert_snapshot;

const APPROVED: &str = r#"
line = "approved"
entry = "first"
[stations.first]
use = "@stamp"
next = "approve"
[stations.approve]
ask = { prompt = "Ship it?", choices = ["pass", "rework"], not = "submitter" }
next = { pass = "done", rework = "first", exhausted = "scrap" }
visits = 2
"#;

fn of(station: &str, settings: &str) -> Ground {
    let ground = Ground::new();
    ground
        .line(&format!(
            "line = \"l\"\nentry = \"s\"\n[defaults]\nretry = {{ attempts = 2, backoff = \"1ms..1ms\" }}\n\
             [stations.s]\nuse = \"{station}\"\nnext = \"done\"\n{settings}"
        ))
        .write("a.txt", "a\n");
    ground
}

/// The same with visits in the host's process and in processes of their own.
fn both(ground: &Ground) -> Came {
    let run = ["run", ".", "a.txt", "-q"];
    let shared = ground.andon(&[&run[..], &["--worker", "shared"]].concat());
    let own = ground.andon(&[&run[..], &["--worker", "own", "--state", "own"]].concat());
    assert_eq!(own.whole().replace(" --state own", ""), shared.whole());
    shared
}

#[test]
fn a_run_ends_where_only_people_can_go_on() {
    let ground = Ground::new();
    ground.line(APPROVED).write("a.txt", "a\n");
    assert_snapshot!(ground.andon(&["run", ".", "a.txt"]).whole());
    assert_snapshot!(ground.andon(&["items", "--held"]).whole());
    // What is held already is told again, and nothing is lost by it.
    assert_snapshot!(ground.andon(&["run", "."]).whole());
    assert_snapshot!(ground.andon(&["run", ".", "--json"]).whole());
    assert_snapshot!(ground.andon(&["explain", ".", "approve"]).whole());
    assert_snapshot!(ground.andon(&["check", "."]).whole());
}

#[test]
fn what_nobody_answers_goes_on_by_itself() {
    let ground = Ground::new();
    let line = APPROVED.replace(
        "not = \"submitter\"",
        "within = \"1ms\", otherwise = \"pass\"",
    );
    ground.line(&line).write("a.txt", "a\n");
    // Whether its time is over in the first run or between the two, it is done after the second.
    let first = ground.andon(&["run", ".", "a.txt", "-q", "--out", "out"]);
    assert!(matches!(first.code, Some(0 | 2)), "{}", first.whole());
    ground.andon(&["run", ".", "-q", "--out", "out"]).well();
    let done = ground.andon(&["items", "--phase", "done", "--json"]).well();
    assert_eq!(done.lines().count(), 1, "{done}");
}

#[test]
fn a_line_that_only_asks() {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nask = { prompt = \"Well?\", choices = [\"pass\"] }\nnext = \"done\"")
        .write("a.txt", "a\n");
    assert_snapshot!(both(&ground).whole());
}

#[test]
fn a_station_asks() {
    assert_snapshot!(both(&of("@asks", "")).whole(), @r"
    exit 2
    -- stderr
    held: ITEM (a.txt) at `s`: Ship it?
      hint: `andon show ITEM` tells what is asked, `andon answer ITEM CHOICE` answers
    ");
    // Without an answer its line's is taken, and the visit goes on with it.
    let ground = of(
        "@asks",
        "hold = { within = \"1ms\", otherwise = \"rework\" }",
    );
    let run = |again: &str| ground.andon(&["run", ".", again, "-q"]);
    let first = run("a.txt");
    let told = match first.code {
        Some(0) => first.well(),
        _ => run("a.txt").well(),
    };
    assert_eq!(told, "rework, \"\" by \"\", deadline: false\n");
}

#[test]
fn stations_that_ask_badly_jam() {
    let mut report = String::new();
    for how in ["long", "no choices", "control characters", "twice the same"] {
        let came = both(&of("@asks", &format!("config = {{ how = \"{how}\" }}")));
        assert_eq!(came.code, Some(2), "{}", came.whole());
        report += &format!(
            "{how}: {}\n",
            came.stderr.lines().next().unwrap_or_default()
        );
    }
    assert_snapshot!(report, @r"
    long: jammed: ITEM (a.txt) at `s`: invalid answer: a question's prompt is 1 to 4096 bytes
    no choices: jammed: ITEM (a.txt) at `s`: invalid answer: a question without choices has to take free text
    control characters: jammed: ITEM (a.txt) at `s`: invalid answer: a question has at most 16 choices, each of 1 to 64 bytes without control characters
    twice the same: jammed: ITEM (a.txt) at `s`: invalid answer: a question has each choice once, and `pass` is there twice
    ");
}

/// Its line answers at once, each time.
#[test]
fn a_station_that_asks_for_ever_comes_to_an_end() {
    let ground = of(
        "@asks-again",
        "hold = { within = \"1ms\", otherwise = \"pass\" }",
    );
    let _daemon = Daemon::start(&ground, &["."]);
    ground.andon(&["submit", "l", "a.txt"]).well();
    let jammed = ["items", "--jammed", "--json"];
    let jam = until(&ground, &jammed, |came| !came.stdout.is_empty());
    assert!(
        jam.stdout.contains("it asks again, after 64 answers"),
        "{jam:?}"
    );
    let journal = Sqlite::open_read_only(&ground.path(".andon")).expect("it opens");
    let item = journal
        .list(&Filter::default())
        .expect("it lists")
        .remove(0)
        .item;
    let records = journal.load(&item).expect("it loads");
    let count = |is: fn(&Record) -> bool| records.iter().filter(|record| is(record)).count();
    let asked = count(|record| matches!(record, Record::Asked { .. }));
    let answered = count(|record| matches!(record, Record::Answered { .. }));
    assert_eq!((asked, answered), (64, 64));
}

#[test]
fn a_visit_that_falls_silent_is_taken_to_be_dead() {
    let ground = of(
        "@falls-silent",
        "limits = { wall = \"1h\", heartbeat = \"100ms\" }",
    );
    let whole = both(&ground).whole();
    let says = "every attempt failed, the last one: over the limit `heartbeat` of 100ms";
    assert!(whole.contains(says), "{whole}");
    // Who never reports anything has nothing to miss.
    let ground = of("@tells", "limits.heartbeat = \"1s\"");
    let whole = ground.andon(&["check", "."]).whole();
    assert!(
        whole.contains("station `s` never reports progress"),
        "{whole}"
    );
}
