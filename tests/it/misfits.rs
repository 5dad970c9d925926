//! Stations that misbehave: each fails alone, for the stated reason, while another item on the same
//! line gets through.

use crate::ground::Ground;

/// Runs a line on which one item comes to `station`, and another of the same input to a good one: the
/// first has to jam for `reason`, the second to be done.
fn check(station: &str, limits: &str, reason: &str) {
    let ground = Ground::new();
    ground
        .line(&format!(
            r#"
line = "l"
entry = "sort"
[defaults]
retry = {{ attempts = 2, backoff = "1ms..2ms" }}
[stations.sort]
use = "@splits"
next = [{{ when = {{ line = "bad" }}, to = "bad" }}, {{ to = "good" }}]
[stations.bad]
use = "@{station}"
limits = {{ {limits} }}
next = {{ pass = "good", reject = "good" }}
[stations.good]
use = "@stamp"
next = "done"
"#
        ))
        .write("a.txt", "bad\nfine\n");
    let out = ground.andon(&["run", ".", "a.txt", "-q"]);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    assert!(
        out.stderr.contains(reason),
        "`{reason}` is not the reason in:\n{}",
        out.whole()
    );
    assert_eq!(out.stdout, "fine\ngood 1\n");
}

#[test]
fn a_loop_is_over_its_processor_time() {
    check("loops", "cpu = \"100ms\"", "over the limit `cpu` of 100ms");
}

#[test]
fn a_sleep_is_over_its_wall_time() {
    check(
        "sleeps",
        "wall = \"100ms\"",
        "over the limit `wall` of 100ms",
    );
}

#[test]
fn a_hoard_is_over_its_memory() {
    check(
        "eats-memory",
        "memory = \"16MiB\"",
        "over the limit `memory` of 16MiB",
    );
}

#[test]
fn a_flood_of_lines_is_over_its_log() {
    check(
        "floods-log",
        "log = \"16KiB\"",
        "over the limit `log` of 16KiB",
    );
    check(
        "floods-stdout",
        "log = \"16KiB\"",
        "over the limit `log` of 16KiB",
    );
}

#[test]
fn a_flood_of_output_is_over_its_output() {
    check(
        "floods-output",
        "output = \"1MiB\"",
        "over the limit `output` of 1MiB",
    );
}

#[test]
fn a_panic_is_a_trap() {
    check("traps", "", "every attempt failed");
}

#[test]
fn a_port_that_is_not_wired_is_an_invalid_answer() {
    check("wrong-port", "", "nowhere");
}

/// Sixty-four visits that sleep for ever hold no thread: items of another station go on meanwhile.
#[test]
fn sleeping_visits_do_not_stop_the_line() {
    let ground = Ground::new();
    ground.line(
        r#"
line = "l"
entry = "sort"
[stations.sort]
use = "@stamp"
next = [{ when = { kind = "none" }, to = "done" }, { to = "sleep" }]
[stations.sleep]
use = "@sleeps"
workers = 64
limits = { wall = "1500ms" }
retry = { attempts = 1 }
next = { pass = "done", reject = "after" }
[stations.after]
use = "@stamp"
next = "done"
"#,
    );
    let lines: String = (0..64).map(|n| format!("{n}\n")).collect();
    // Building and compiling take their time on a new machine.
    ground.andon(&["check", "."]).well();
    let began = std::time::Instant::now();
    let out = ground.andon_with(&["run", ".", "-", "--jsonl", "-q"], &lines);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    // One after the other they would take over a minute and a half.
    assert!(
        began.elapsed().as_secs() < 60,
        "the sleepers waited for each other"
    );
    let jammed = ground.andon(&["items", "--jammed"]).well();
    assert_eq!(
        jammed
            .lines()
            .filter(|line| line.contains("`wall`"))
            .count(),
        64
    );
}
