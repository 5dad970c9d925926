//! Housekeeping of the state folders of real lines, and `kill -9` in the middle of it.

use crate::ground::Ground;
use andon::{
    journal::{Filter, PhaseKind, Sqlite},
    lines::State,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const LINE: &str = r#"
line = "l"
entry = "first"
[stations.first]
use = "@keeps-files"
next = "second"
[stations.second]
use = "@pass-on"
next = "done"
"#;

/// A state folder in which this many inputs ended, one of them a large one.
fn ran(inputs: usize) -> Ground {
    let ground = Ground::new();
    ground.line(LINE);
    let lines: String = (0..inputs).map(|n| format!("{n}\n")).collect();
    ground.write("in.jsonl", lines);
    ground.write("large.txt", "large ".repeat(20_000));
    ground
        .andon(&["run", ".", "in.jsonl", "large.txt", "--out", "out", "-q"])
        .well();
    ground
}

fn items(folder: &Path) -> usize {
    let state = State::view(folder).expect("the state folder opens");
    state
        .journal
        .list(&Filter::default())
        .expect("the journal lists")
        .len()
}

fn blobs(ground: &Ground) -> usize {
    let state = State::view(&ground.path(".andon")).expect("the state folder opens");
    let mut number = 0;
    state
        .content
        .each(|_, _| number += 1)
        .expect("the blobs are listed");
    number
}

fn sound(ground: &Ground, state: &str) {
    let doctor = ground.andon(&["doctor", "--state", state]);
    assert_eq!(doctor.code, Some(0), "{}", doctor.whole());
}

/// Kills a process after a while, from within its run; whether it was killed before its end.
fn kill(mut child: Child, after: Duration) -> bool {
    let moment = Instant::now() + after;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            assert!(status.success(), "{status}");
            return false;
        }
        if Instant::now() >= moment {
            child.kill().expect("the child can be killed");
            child.wait().expect("the child ends");
            return true;
        }
        std::thread::yield_now();
    }
}

fn quiet(ground: &Ground, arguments: &[&str]) -> Child {
    ground
        .command(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts")
}

#[test]
fn what_ended_goes_and_is_not_taken_again() {
    let ground = ran(20);
    sound(&ground, ".andon");
    assert_eq!(ground.andon(&["gc"]).well(), "nothing to remove\n");
    ground.write("andon.toml", "[retention]\nmost = 5\n");
    let would = ground.andon(&["gc", "--dry-run", "--json"]).well();
    assert!(would.contains("\"dry-run\":true"), "{would}");
    assert_eq!(items(&ground.path(".andon")), 21);
    let removed = ground.andon(&["gc"]).well();
    assert!(removed.starts_with("removed "), "{removed}");
    let left = items(&ground.path(".andon"));
    assert!((1..=5).contains(&left), "{left}");
    sound(&ground, ".andon");
    // the same inputs again: all of them are known, also those that are gone
    fs::remove_dir_all(ground.path("out")).expect("the results are removed");
    ground
        .andon(&["run", ".", "in.jsonl", "large.txt", "--out", "out", "-q"])
        .well();
    assert_eq!(items(&ground.path(".andon")), left);
    let results = fs::read_dir(ground.path("out")).map_or(0, Iterator::count);
    assert_eq!(results, 0, "nothing came out twice");
}

#[test]
fn an_erased_item_leaves_who_and_why() {
    let ground = Ground::new();
    ground.line(LINE);
    ground.write("secret.txt", "SECRET-body ".repeat(10_000));
    ground.write("plain.txt", "other ".repeat(20_000));
    ground
        .andon(&["run", ".", "secret.txt", "plain.txt", "--out", "out", "-q"])
        .well();
    let state = State::view(&ground.path(".andon")).expect("the state folder opens");
    let all = state
        .journal
        .list(&Filter::default())
        .expect("the journal lists");
    let secret = all
        .iter()
        .find(|s| s.source == "secret.txt")
        .expect("it was taken");
    let item = secret.item.to_string();
    drop(state);
    let before = blobs(&ground);
    let erased = ground.andon(&["erase", &item, "--reason", "asked to"]);
    assert!(erased.well().starts_with("erased "));
    assert!(blobs(&ground) < before);
    ground.holds_nothing_of(".andon", "SECRET-body");
    let shown = ground.andon(&["show", &item]).well();
    assert!(shown.contains("erased by tester: asked to"), "{shown}");
    let again = ground.andon(&["erase", &item, "--reason", "x"]);
    assert_eq!(again.code, Some(1));
    assert!(
        again.stderr.contains("was erased before"),
        "{}",
        again.stderr
    );
    let rerun = ground.andon(&["rerun", &item, "--from", "first"]);
    assert_eq!(rerun.code, Some(1));
    assert!(rerun.stderr.contains("carried was erased"), "{rerun:?}");
    ground.andon(&["audit", "--verify"]).well();
    sound(&ground, ".andon");
}

#[test]
fn what_runs_an_erased_item_again_is_named_and_erased_with_it() {
    let ground = Ground::new();
    ground.line(LINE).write("secret.txt", "SECRET-body");
    let run = ["run", ".", "secret.txt", "-q"];
    ground.andon(&run).well();
    let state = ground.path(".andon");
    let all = || -> Vec<String> {
        let state = State::view(&state).expect("the state folder opens");
        let all = state.journal.list(&Filter::default()).expect("it lists");
        all.iter().map(|it| it.item.to_string()).collect()
    };
    let first = all().remove(0);
    let rerun = ["rerun", &first, "--from", "first"];
    ground.andon(&rerun).well();
    let second = all().remove(1);
    let erase = |item: &str, more: &[&str]| {
        ground.andon(&[&["erase", item, "--reason", "asked to"], more].concat())
    };
    let unfinished = erase(&first, &["--reruns"]);
    assert!(
        unfinished.stderr.contains("has not ended"),
        "{unfinished:?}"
    );
    ground.andon(&["run", ".", "-q"]).well();
    // One that runs it again is named, whichever is erased.
    let erased = erase(&second, &[]);
    assert_eq!(erased.code, Some(1), "{erased:?}");
    assert!(erased.stderr.contains("carries the same"), "{erased:?}");
    let both = erase(&second, &["--reruns", "--json"]).well();
    assert!(both.contains("\"items\":1,\"left\":[]"), "{both}");
    ground.holds_nothing_of(".andon", "SECRET-body");
    assert_eq!(erase(&first, &["--reruns"]).code, Some(1));
    sound(&ground, ".andon");
}

#[test]
fn a_state_folder_elsewhere_is_kept_as_the_lines_say() {
    let ground = Ground::new();
    ground
        .line(LINE)
        .write("in.jsonl", "1\n2\n3\n")
        .write("andon.toml", "[retention]\nmost = 1\n");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let state = elsewhere.path().join("state").display().to_string();
    ground
        .andon(&[
            "run", ".", "in.jsonl", "-q", "--out", "out", "--state", &state,
        ])
        .well();
    let mode = fs::metadata(&state).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    let removed = ground.andon(&["gc", "--state", &state]).well();
    assert!(removed.contains(" ended input"), "{removed}");
}

/// A state folder that a kill left in the middle of a visit.
fn interrupted() -> Ground {
    let ground = Ground::new();
    ground.line(&LINE.replace("@pass-on", "@sleeps"));
    ground.write("in.jsonl", "1\n");
    // The kill is to hit the visit, not the building of its station.
    ground.andon(&["check", "."]).well();
    let mut run = quiet(&ground, &["run", ".", "in.jsonl"]);
    let state = ground.path(".andon");
    let working = || {
        let journal = Sqlite::open_read_only(&state).ok()?;
        let filter = Filter {
            phases: vec![PhaseKind::Working],
            station: Some("second".parse().expect("a name")),
            ..Filter::default()
        };
        let journal: &dyn andon::journal::Journal = &journal;
        journal.list(&filter).ok().filter(|found| !found.is_empty())
    };
    while working().is_none() {
        assert!(
            run.try_wait().expect("it can be asked").is_none(),
            "it ended"
        );
        std::thread::yield_now();
    }
    run.kill().expect("the run can be killed");
    run.wait().expect("the run ends");
    ground
}

#[test]
fn what_was_under_way_is_for_a_person_to_say() {
    let ground = interrupted();
    ground.andon(&["backup", "copy"]).well();
    let restored = ground.andon(&["restore", "copy", "--state", "new"]);
    assert_eq!(restored.code, Some(2), "{}", restored.whole());
    assert!(restored.stdout.contains("was under way, and is jammed"));
    sound(&ground, "new");
    let jammed = ground
        .andon(&["items", "--jammed", "--state", "new"])
        .well();
    assert!(jammed.contains("unknown outcome"), "{jammed}");
    // what the backup was made of goes on as it was
    let items = ground.andon(&["items", "--phase", "working"]).well();
    assert!(items.contains("second"), "{items}");
}

#[test]
fn a_backup_that_is_not_whole_is_refused() {
    let ground = ran(3);
    let blob = |folder: &str| -> PathBuf {
        let state = State::view(&ground.path(".andon")).expect("the state folder opens");
        let mut first = None;
        state
            .content
            .each(|digest, _| first = Some(digest.to_string()))
            .expect("listed");
        let text = first.expect("there is a blob");
        ground
            .path(folder)
            .join("blobs")
            .join(&text[..2])
            .join(&text[2..])
    };
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).expect("readable");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(path, bytes).expect("writable");
    };
    type Harm<'a> = &'a dyn Fn(&str);
    let cases: [(Harm<'_>, &str); 6] = [
        (
            &|b| fs::remove_file(ground.path(b).join("backup.json")).expect("removed"),
            "written last",
        ),
        (
            &|b| fs::write(ground.path(b).join("backup.json"), "{").expect("written"),
            "cannot be read",
        ),
        (
            &|b| flip(&ground.path(b).join("journal.sqlite")),
            "not the one that was copied",
        ),
        (
            &|b| fs::remove_file(ground.path(b).join("journal.sqlite")).expect("removed"),
            "its journal is missing",
        ),
        (
            &|b| fs::remove_file(blob(b)).expect("removed"),
            "is missing",
        ),
        (&|b| flip(&blob(b)), "is damaged"),
    ];
    for (n, (harm, says)) in cases.into_iter().enumerate() {
        let backup = format!("backup-{n}");
        ground.andon(&["backup", &backup]).well();
        harm(&backup);
        let refused = ground.andon(&["restore", &backup, "--state", "new"]);
        assert_eq!(refused.code, Some(1), "{says}: {}", refused.whole());
        assert!(refused.stderr.contains(says), "{says}: {}", refused.stderr);
        assert!(!ground.path("new/journal.sqlite").exists(), "{says}");
    }
    ground.andon(&["backup", "good"]).well();
    let twice = ground.andon(&["backup", "good"]);
    assert!(
        twice.stderr.contains("is there already"),
        "{}",
        twice.stderr
    );
    ground.andon(&["restore", "good", "--state", "new"]).well();
    sound(&ground, "new");
    assert_eq!(items(&ground.path("new")), items(&ground.path(".andon")));
    let over = ground.andon(&["restore", "good", "--state", ".andon"]);
    assert!(over.stderr.contains("is there already"), "{}", over.stderr);
}

#[test]
fn kills_in_the_middle_leave_everything_whole() {
    let ground = ran(400);
    ground.write("andon.toml", "[retention]\nmost = 1\n");
    let mut random = 0x2026_u64;
    let mut roll = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        Duration::from_micros(random % 60_000)
    };
    // Backups: one that was cut off is refused, whatever was there by then.
    let mut whole = 0;
    for n in 0..12 {
        let name = format!("backup-{n}");
        let killed = kill(quiet(&ground, &["backup", &name]), roll());
        let state = format!("restored-{n}");
        let restored = ground.andon(&["restore", &name, "--state", &state]);
        match restored.code {
            Some(0) => {
                whole += 1;
                sound(&ground, &state);
                assert_eq!(items(&ground.path(&state)), 401);
            }
            code => assert!(killed && code == Some(1), "{}", restored.whole()),
        }
    }
    ground.andon(&["backup", "last"]).well();
    assert!(whole <= 12);
    // Collections: what is left is whole each time, and in the end all of it has gone.
    let mut kills = 0;
    while kill(quiet(&ground, &["gc"]), roll()) {
        kills += 1;
        assert!(kills < 1_000, "it never came to its end");
        let doctor = ground.andon(&["doctor", "--json"]);
        assert!(
            !doctor.stdout.contains("\"about\":\"blobs\""),
            "{}",
            doctor.whole()
        );
        assert!(
            !doctor.stdout.contains("\"about\":\"records\""),
            "{}",
            doctor.whole()
        );
    }
    sound(&ground, ".andon");
    assert!(items(&ground.path(".andon")) < 401);
}

#[test]
fn everything_is_exported_line_by_line() {
    let ground = ran(3);
    let all = ground.andon(&["export"]).well();
    let mut types = std::collections::BTreeMap::new();
    for line in all.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let name = value["type"]
            .as_str()
            .expect("each says its type")
            .to_string();
        *types.entry(name).or_insert(0) += 1;
    }
    assert_eq!(
        (types["export"], types["revision"], types["item"]),
        (1, 1, 4)
    );
    // taken, started, moved, started, moved
    assert_eq!(types["record"], 20);
    let none = ground
        .andon(&["export", "--since", "2100-01-01T00:00:00Z"])
        .well();
    assert_eq!(none.lines().count(), 2, "{none}");
    let wrong = ground.andon(&["export", "--since", "yesterday"]);
    assert_eq!(wrong.code, Some(1));
}

#[test]
fn a_folder_in_use_or_not_there() {
    let ground = ran(1);
    let journal = Sqlite::open(&ground.path(".andon")).expect("it opens");
    let gc = ground.andon(&["gc"]);
    assert!(
        gc.stderr.contains("in use by another andon"),
        "{}",
        gc.stderr
    );
    let doctor = ground.andon(&["doctor"]).well();
    assert!(
        doctor.contains("another andon uses the state folder"),
        "{doctor}"
    );
    ground.andon(&["backup", "copy"]).well();
    drop(journal);
    for command in ["gc", "doctor", "export"] {
        let nowhere = ground.andon(&[command, "--state", "nowhere"]);
        assert_eq!(nowhere.code, Some(1), "{command}");
        assert!(
            nowhere.stderr.contains("there is no journal here"),
            "{}",
            nowhere.stderr
        );
    }
    assert!(!ground.path("nowhere").exists());
}
