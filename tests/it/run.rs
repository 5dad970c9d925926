//! `andon run` on lines that behave: order, splits and joins, loops, retries, files, taking inputs once.

use crate::ground::Ground;
use insta::assert_snapshot;

const TWO: &str = r#"
line = "two"
entry = "first"
[stations.first]
use = "@stamp"
next = "second"
[stations.second]
use = "@stamp"
next = "done"
"#;

#[test]
fn an_item_goes_from_station_to_station() {
    let ground = Ground::new();
    ground
        .line(TWO)
        .write("in/a.txt", "a\n")
        .write("in/b.txt", "b\n");
    let out = ground.andon(&["run", ".", "in", "--out", "out", "-q"]);
    assert_eq!(out.code, Some(0), "{}", out.whole());
    let mut results: Vec<String> = std::fs::read_dir(ground.path("out"))
        .expect("results")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("text"))
        .collect();
    results.sort();
    assert_eq!(
        results,
        ["a\nfirst 1\nsecond 1\n", "b\nfirst 1\nsecond 1\n"]
    );
}

#[test]
fn an_input_is_taken_once() {
    let ground = Ground::new();
    ground.line(TWO).write("a.txt", "a\n");
    let first = ground.andon(&["run", ".", "a.txt"]);
    assert_snapshot!(first.whole(), @r"
    exit 0
    a
    first 1
    second 1
    -- stderr
    1 taken, 1 done, 1 result
    ");
    let second = ground.andon(&["run", ".", "a.txt"]);
    assert_snapshot!(second.whole(), @r"
    exit 0
    -- stderr
    0 taken, 0 done, 0 results, 1 taken before
    ");
    let again = ground.andon(&["run", ".", "a.txt", "--again", "-q"]);
    assert_eq!(again.well(), "a\nfirst 1\nsecond 1\n");
}

#[test]
fn standard_input_is_cut_into_mails_or_json_lines() {
    let ground = Ground::new();
    ground.line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\nworkers = 1\n");
    let mails = "From a Mon Sep 17 00:00:00 2001\n\none\n\nFrom here on\n\nFrom b@c Tue Jan  2 03:04:05 2024\n\ntwo\n";
    let mails = ground.andon_with(&["run", ".", "-", "-q"], mails);
    assert_eq!(mails.well(), "\none\n\nFrom here on\n\ns 1\n\ntwo\ns 1\n");
    let lines = ground.andon_with(&["run", ".", "-", "-q", "--jsonl"], "1\n\n{\"a\": 2}\n");
    assert_eq!(lines.well(), "1s 1\n{\"a\": 2}s 1\n");
}

#[test]
fn a_split_is_joined_again_in_its_order() {
    let ground = Ground::new();
    ground
        .line(
            r#"
line = "l"
entry = "split"
[stations.split]
use = "@splits"
next = "stamp"
[stations.stamp]
use = "@stamp"
next = "join"
[stations.join]
use = "@joins"
join = { of = "split" }
next = "done"
"#,
        )
        .write("in.txt", "one\ntwo\nthree\n")
        .write("single.txt", "alone\n")
        .write("none.txt", "");
    let out = ground.andon(&["run", ".", "in.txt", "-q"]);
    assert_eq!(out.well(), "one\nstamp 1\ntwo\nstamp 1\nthree\nstamp 1\n");
    assert_eq!(
        ground.andon(&["run", ".", "single.txt", "-q"]).well(),
        "alone\nstamp 1\n"
    );
    assert_eq!(ground.andon(&["run", ".", "none.txt", "-q"]).well(), "");
}

#[test]
fn a_split_may_lead_straight_to_the_end() {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@splits\"\nnext = [{ when = { line = \"no\" }, to = \"scrap\" }, { to = \"done\" }]\n")
        .write("a.txt", "one\ntwo\nno\n");
    let mut lines: Vec<String> = ground
        .andon(&["run", ".", "a.txt", "-q"])
        .well()
        .lines()
        .map(Into::into)
        .collect();
    lines.sort();
    assert_eq!(lines, ["one", "two"]);
    assert_eq!(ground.andon(&["run", ".", "a.txt", "-q"]).well(), "");
}

#[test]
fn a_loop_ends_at_its_bound() {
    let ground = Ground::new();
    let line = |exhausted: &str| {
        format!(
            "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nvisits = 3\nnext = {{ pass = \"s\"{exhausted} }}\n"
        )
    };
    ground
        .line(&line(", exhausted = \"done\""))
        .write("a.txt", "a\n");
    assert_eq!(
        ground.andon(&["run", ".", "a.txt", "-q"]).well(),
        "a\ns 1\ns 2\ns 3\n"
    );

    let ground = Ground::new();
    ground.line(&line("")).write("a.txt", "a\n");
    assert_snapshot!(ground.andon(&["run", ".", "a.txt", "-q"]).whole(), @r#"
    exit 2
    -- stderr
    jammed: ITEM (a.txt) at `s`: it may not come to `s` again, and the port `exhausted` does not lead on
      hint: `andon show ITEM` tells its way, `andon clear ITEM retry` tries again
    "#);
}

#[test]
fn a_retry_comes_back_and_is_in_the_items_way() {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@flaky\"\nnext = \"done\"\nretry = { attempts = 3, backoff = \"1ms..5ms\" }\n")
        .write("a.txt", "a\n");
    assert_eq!(ground.andon(&["run", ".", "a.txt", "-q"]).well(), "a\n");
    let items = ground.andon(&["items"]).well();
    assert_snapshot!(items, @r#"
    ITEM              PHASE     STATION  SOURCE
    ITEM  done      s        a.txt
    "#);
}

#[test]
fn a_workspace_travels_with_its_item() {
    let ground = Ground::new();
    ground
        .line(
            r#"
line = "l"
entry = "first"
[stations.first]
use = "@keeps-files"
next = "second"
[stations.second]
use = "@keeps-files"
next = "third"
[stations.third]
use = "@keeps-files"
next = "done"
"#,
        )
        .write("a.txt", "a\n")
        .write("b.txt", "b\n");
    let out = ground.andon(&["run", ".", "a.txt", "-q"]).well();
    assert_eq!(
        out,
        "a\nfirst-1: written by attempt 1\nfirst-1: written by attempt 1\nsecond-1: written by attempt 1\n"
    );
    // Another item sees nothing of it.
    let out = ground.andon(&["run", ".", "b.txt", "-q"]).well();
    assert!(
        out.starts_with("b\nfirst-1: written by attempt 1\n"),
        "{out}"
    );
}

#[test]
fn a_jam_is_cleared_and_the_item_goes_on() {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@rejects\"\nnext = \"done\"\n")
        .write("a.txt", "a\n");
    assert_snapshot!(ground.andon(&["run", ".", "a.txt", "-q"]).whole(), @r#"
    exit 2
    -- stderr
    jammed: ITEM (a.txt) at `s`: rejected: not for me\u{1b}[31m
      hint: `andon show ITEM` tells its way, `andon clear ITEM retry` tries again
    "#);
    let ids = ground
        .command(&["items", "--jammed", "--json"])
        .output()
        .expect("runs")
        .stdout;
    let item: serde_json::Value = serde_json::from_slice(&ids).expect("one object");
    let id = item["item"].as_str().expect("an id");
    assert_snapshot!(ground.andon(&["clear", id, "skip", "--why", "looks fine"]).whole(), @r#"
    exit 0
    ITEM is done at `s`
    -- stderr
    "#);
    assert_snapshot!(ground.andon(&["clear", id, "skip"]).whole(), @r#"
    exit 1
    -- stderr
    error: item `ITEM` is not jammed but done
      hint: `andon items --jammed` lists those that are
    "#);
    assert_eq!(ground.andon(&["run", ".", "a.txt", "-q"]).well(), "a\n");
}

#[test]
fn one_station_runs_without_a_line() {
    let ground = Ground::new();
    let station = crate::ground::root()
        .join("tests/stations/stamp")
        .display()
        .to_string();
    let out = ground.andon_with(&["run", &station, "-", "-q", "--state", "state"], "hi\n");
    assert_eq!(out.well(), "hi\nstamp 1\n");
}
