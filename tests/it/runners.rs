//! Visits in runner processes: what they come to, and what is left when a process ends.

use crate::{ground::Ground, review};
use andon::{
    item::Record,
    journal::{Filter, Journal, sqlite::Sqlite},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

#[test]
fn the_example_gives_the_same_reports() {
    review::gives_the_expected_reports(&["--worker", "own"]);
}

#[test]
fn what_is_on_is_said_at_the_start() {
    let ground = Ground::new();
    ground.line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\nworkers = 1\n");
    ground.write("in.txt", "x");
    let came = ground.andon(&["run", ".", "in.txt", "--worker", "own"]);
    let line = came
        .stderr
        .lines()
        .find(|line| line.starts_with("runners: "));
    let line = line.unwrap_or_else(|| panic!("{}", came.whole()));
    assert!(line.starts_with("runners: 1 process, "), "{line}");
    for part in ["landlock", "seccomp", "rlimits"] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(came.code, Some(0));
}

/// A station that says in a granted folder that it is there, and then sleeps.
fn sleeper(ground: &Ground, words: &str, more: &str) {
    fs::create_dir(ground.path("data")).expect("a folder");
    ground.line(&format!(
        r#"
line = "l"
entry = "s"
[stations.s]
use = "@does"
next = "done"
config = {{ do = """{words}""" }}
grants.fs = [{{ host = "data", guest = "/data", access = "write" }}]
{more}
"#
    ));
    // What is ended is to be a visit, not a build.
    ground.andon(&["check", "."]).well();
}

/// Waits until `is` says so.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// The runner processes of a host.
fn runners(host: &Child) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("processes").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(id) = name.parse::<i32>() else {
            continue;
        };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = format!("\nPPid:\t{}\n", host.id());
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if status.contains(&parent) && command.ends_with(b"\0inside-runner\0") {
            found.extend(Pid::from_raw(id));
        }
    }
    found
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// The only item of a line: its records.
fn records(ground: &Ground) -> Vec<Record> {
    let journal = Sqlite::open_read_only(&ground.path(".andon")).expect("a journal");
    let items = journal.list(&Filter::default()).expect("items");
    assert_eq!(items.len(), 1);
    journal.load(&items[0].item).expect("records")
}

#[test]
fn a_visit_whose_process_ended_is_tried_again() {
    let ground = Ground::new();
    // One worker needs one process: the one that is ended.
    let retry = "retry = { attempts = 2, backoff = \"1ms..2ms\" }\nworkers = 1";
    sleeper(&ground, "sleep-once /data/here", retry);
    ground.write("in.txt", "x");
    let host = ground.spawn(&["run", ".", "in.txt", "-q", "--worker", "own"]);
    until("it sleeps", || ground.path("data/here").exists());
    for runner in runners(&host) {
        kill_process(runner, Signal::KILL).expect("it is there");
    }
    let out = ground.came(host.wait_with_output().expect("the host ends"));
    assert_eq!(out.well(), "sleep-once /data/here: woke\n");
    let attempts = records(&ground);
    let failed = attempts.iter().find_map(|record| match record {
        Record::Failed { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    assert_eq!(failed, Some("the runner process ended: signal 9"));
}

#[test]
fn a_visit_that_ends_its_process_each_time_jams() {
    let ground = Ground::new();
    // One worker needs one process: the one that is ended.
    let retry = "retry = { attempts = 2, backoff = \"1ms..2ms\" }\nworkers = 1";
    let words = "tell /data/told\nsleep-once /workspace/here";
    sleeper(&ground, words, retry);
    ground.write("in.txt", "x");
    let mut host = ground.spawn(&["run", ".", "in.txt", "-q", "--worker", "own"]);
    // A process that ends before it has heard all that it was told costs no attempt, once.
    let mut begun = 0;
    while host.try_wait().expect("it can be asked").is_none() {
        let told = lines(&ground.path("data/told"));
        if told > begun {
            begun = told;
            for runner in runners(&host) {
                // The other one may be about to start.
                let _ = kill_process(runner, Signal::KILL);
            }
        }
        std::thread::yield_now();
    }
    assert!((2..=4).contains(&begun), "{begun}");
    let out = ground.came(host.wait_with_output().expect("the host ends"));
    assert_eq!(out.code, Some(2), "{}", out.whole());
    let reason = "every attempt failed, the last one: the runner process ended: signal 9";
    assert!(out.stderr.contains(reason), "{}", out.stderr);
}

/// As a process ends by itself: an assertion of its own, a bad address, a limit of the system. The visit
/// jams, and the next item has a new process.
#[test]
fn a_process_that_ends_by_itself_takes_its_visit_and_no_other() {
    let ends = [(Signal::ABORT, 6), (Signal::SEGV, 11), (Signal::XCPU, 24)];
    for (signal, number) in ends {
        let ground = Ground::new();
        let words = "sleep-once /data/here";
        sleeper(&ground, words, "retry = { attempts = 1 }\nworkers = 1");
        ground.write("in.jsonl", "1\n2\n");
        let mut host = ground.spawn(&["run", ".", "in.jsonl", "-q", "--jsonl", "--worker", "own"]);
        drop(host.stdin.take());
        until("it sleeps", || ground.path("data/here").exists());
        for runner in runners(&host) {
            // The engine, whose the first bad address may be, leaves the second one to the system.
            until("it is gone", || kill_process(runner, signal).is_err());
        }
        let out = ground.came(host.wait_with_output().expect("the host ends"));
        assert_eq!(out.code, Some(2), "{}", out.whole());
        let reason = format!("the runner process ended: signal {number}");
        assert_eq!(out.stderr.matches(&reason).count(), 1, "{}", out.whole());
        assert_eq!(out.stdout.matches("woke").count(), 1, "{}", out.whole());
    }
}

/// Several visits in each process, all ended in their midst: nobody can say whose doing it was. Each
/// runs once more, alone, and comes to the end that is its own.
#[test]
fn visits_that_shared_a_process_with_another_are_not_blamed() {
    let ground = Ground::new();
    let words = "tell /data/told\nsleep-once /workspace/here";
    let retry = "retry = { attempts = 1, backoff = \"1ms..2ms\" }";
    let limits = "limits = { wall = \"5s\" }";
    sleeper(&ground, words, &format!("{retry}\n{limits}\nworkers = 8"));
    ground.write("in.jsonl", "1\n2\n3\n4\n");
    let mut host = ground.spawn(&["run", ".", "in.jsonl", "-q", "--jsonl", "--worker", "own"]);
    drop(host.stdin.take());
    until("all sleep", || lines(&ground.path("data/told")) == 4);
    for runner in runners(&host) {
        kill_process(runner, Signal::KILL).expect("it is there");
    }
    let out = ground.came(host.wait_with_output().expect("the host ends"));
    assert_eq!(out.code, Some(2), "{}", out.whole());
    let own = "every attempt failed, the last one: over the limit `wall` of 5s";
    assert_eq!(out.stderr.matches(own).count(), 4, "{}", out.stderr);
    assert_eq!(lines(&ground.path("data/told")), 8);
}

#[test]
fn runners_are_walled_in_and_end_with_their_host() {
    let ground = Ground::new();
    sleeper(&ground, "sleep-once /data/here", "");
    ground.write("in.txt", "x");
    let mut host = ground.spawn(&["run", ".", "in.txt", "-q", "--worker", "own"]);
    until("it sleeps", || ground.path("data/here").exists());
    let all = runners(&host);
    assert!(!all.is_empty());
    for runner in &all {
        let about = format!("/proc/{}", runner.as_raw_nonzero());
        let status = fs::read_to_string(format!("{about}/status")).expect("it runs");
        assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
        assert!(status.contains("\nSeccomp:\t2\n"), "{status}");
        let environment = fs::read(format!("{about}/environ")).expect("it runs");
        assert_eq!(String::from_utf8_lossy(&environment), "");
        let open = fs::read_dir(format!("{about}/fd")).expect("it runs");
        for file in open.flatten() {
            let Ok(to) = fs::read_link(file.path()) else {
                continue;
            };
            let to = to.to_string_lossy().into_owned();
            let host_only = ["journal", ".sqlite", ".db", "in.txt"];
            assert!(!host_only.iter().any(|name| to.contains(name)), "{to}");
        }
    }
    host.kill().expect("it runs");
    host.wait().expect("it ends");
    until("the runners are gone", || {
        all.iter().all(|runner| {
            // A process that ended and that nobody waited for is gone all the same.
            let stat = fs::read_to_string(format!("/proc/{}/stat", runner.as_raw_nonzero()));
            stat.map_or(true, |stat| stat.contains(") Z "))
        })
    });
}

/// What was found wrong with a station is told at its place in the line file.
#[test]
fn a_station_that_cannot_be_made_ready_is_told_at_its_place() {
    let ground = Ground::new();
    ground.write("rules.txt", "x");
    ground.line(
        "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\nassets = [{ host = \"rules.txt\", guest = \"/\" }]\n",
    );
    ground.write("in.txt", "x");
    let [shared, own] = ["shared", "own"].map(|worker| {
        let state = format!("state-{worker}");
        let arguments = ["run", ".", "in.txt", "--state", &state, "--worker", worker];
        ground.andon(&arguments).whole().replace(&state, "state")
    });
    assert_eq!(own, shared);
}
