//! What commands print, and what they do where nobody reads it.

use crate::ground::{Came, Ground};
use std::{io::pipe, process::Stdio};

const LINE: &str =
    "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\nworkers = 1\n";

/// Runs the command with standard output, or standard error, closed at the other end.
fn unheard(ground: &Ground, arguments: &[&str], errors: bool) -> Came {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut command = ground.command(arguments);
    command.stdin(Stdio::null());
    if errors {
        command.stderr(writer);
    } else {
        command.stdout(writer);
    }
    let output = command.output().expect("the command runs");
    ground.came(output)
}

#[test]
fn results_that_nobody_read_come_with_the_next_run() {
    for more in [&[][..], &["--json"], &["--out", "out", "--json"]] {
        let ground = Ground::new();
        ground.line(LINE).write("two.jsonl", "1\n2\n");
        let arguments = [&["run", ".", "two.jsonl", "-q"], more].concat();
        // The second finds results that were not given, and cannot give them either.
        for _ in 0..2 {
            let came = unheard(&ground, &arguments, false);
            assert_eq!((came.code, &*came.stderr), (Some(130), ""), "{more:?}");
        }
        let came = ground.andon(&arguments).well();
        let results = match more {
            [] => came.matches("s 1\n").count(),
            _ => came.matches("\"event\":\"result\"").count(),
        };
        assert_eq!(results, 2, "{came}");
        let nothing = ground.andon(&["run", ".", "two.jsonl", "-q"]).well();
        assert_eq!(nothing, "");
    }
}

#[test]
fn other_commands_end_quietly_where_nobody_reads() {
    let ground = Ground::new();
    ground.line(LINE).write("a.txt", "a\n");
    ground.andon(&["run", ".", "a.txt", "-q"]).well();
    for arguments in [
        &["items"][..],
        &["items", "--json"],
        &["check"],
        &["explain", ".", "s"],
        &["completions", "bash"],
    ] {
        let came = unheard(&ground, arguments, false);
        assert_eq!((came.code, &*came.stderr), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_closed_standard_error_stops_nothing() {
    let ground = Ground::new();
    ground.line(LINE).write("a.txt", "a\n");
    let came = unheard(&ground, &["run", ".", "a.txt"], true);
    assert_eq!((came.code, &*came.stdout), (Some(0), "a\ns 1\n"));
    for (arguments, code) in [
        (&["run", ".", "gone"][..], 1),
        (&["run", "gone"], 1),
        (&["items", "--phase", "none"], 1),
        (&["items", "--jammed"], 0),
    ] {
        let came = unheard(&ground, arguments, true);
        assert_eq!(came.code, Some(code), "{arguments:?}");
    }
}

#[test]
fn names_that_are_no_text_and_names_that_steer_a_terminal() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let ground = Ground::new();
    ground.line(LINE).write("a.txt", "a\n");
    let output = ground
        .command(&["run", ".", "a.txt", "-q", "--json", "--out"])
        .arg(OsStr::from_bytes(b"o\xff"))
        .output()
        .expect("the command runs");
    let came = ground.came(output).well();
    assert!(came.contains("\"file\":\"o\u{fffd}/a."), "{came}");
    let evil = "no\u{1b}[31m\u{9b}1m\u{202e}evil";
    for arguments in [
        &["run", evil][..],
        &["run", ".", evil],
        &["check", evil],
        &["explain", ".", evil],
        &["show", evil],
        &["items", "--state", evil],
        &["items", "--phase", evil],
        &["clear", evil, "retry"],
        &["new", "line", "x", "--use", evil],
        &["build", evil],
        &[evil],
    ] {
        let came = ground.andon(arguments);
        assert_eq!(came.code, Some(1), "{arguments:?}");
        let text = came.stdout + &came.stderr;
        assert!(
            !text.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
            "{arguments:?}: {text:?}"
        );
    }
}

#[test]
fn an_items_way_names_its_stations_visits_and_ports() {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@splits\"\nnext = \"done\"\n")
        .write("a.txt", "a\nb\n");
    ground.andon(&["run", ".", "a.txt", "-q"]).well();
    let output = ground.command(&["items", "--inputs", "--json"]).output();
    let output = output.expect("the command runs").stdout;
    let item: serde_json::Value = serde_json::from_slice(&output).expect("one object");
    let id = item["item"].as_str().expect("an id");
    let text = ground.andon(&["show", id]).well();
    assert!(
        text.contains("attempt started at `s`, visit 1, attempt 1"),
        "{text}"
    );
    assert!(text.contains("ITEM.2 by `pass` to done: 2 B"), "{text}");
    let way: serde_json::Value =
        serde_json::from_str(&ground.andon(&["show", id, "--json"]).well()).expect("one object");
    let history = way["history"].as_array().expect("records");
    let started = &history[1];
    assert_eq!(started["kind"], "started");
    assert_eq!(
        (&started["station"], &started["nth"], &started["attempt"]),
        (&"s".into(), &1.into(), &1.into())
    );
    assert_eq!(history[2]["children"][1]["port"], "pass");
}
