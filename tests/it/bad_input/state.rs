//! State folders that cannot be used.

use super::{
    inputs::{ended, pipe},
    one,
};
use crate::ground::{Came, Ground};
use insta::assert_snapshot;
use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

fn ground() -> Ground {
    let ground = Ground::new();
    ground.line(&one("")).write("a.txt", "a\n");
    ground
}

/// Runs `andon` after a line of shell, which may take rights or room away from it.
fn confined(ground: &Ground, shell: &str, arguments: &[&str]) -> Came {
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!("{shell} \"$@\""))
        .arg("bash")
        .arg(env!("CARGO_BIN_EXE_andon"))
        .args(arguments)
        .current_dir(ground.path(""))
        .output()
        .expect("bash runs");
    ground.came(output)
}

#[test]
fn in_use_by_another_andon() {
    let ground = ground();
    pipe(&ground, "pipe");
    let first = ground.spawn(&["run", ".", "pipe", "-q"]);
    let held = fs::File::create(ground.path("pipe")).expect("a pipe");
    assert_snapshot!(ground.andon(&["run", ".", "a.txt"]).whole(), @r"
    exit 1
    -- stderr
    error: `.andon` is in use by another andon
      hint: wait for it, stop it, or name another folder with `--state DIR`
    ");
    assert_snapshot!(ground.andon(&["clear", "a", "retry"]).whole(), @r"
    exit 1
    -- stderr
    error: `DIR/.andon` is in use by another andon
      hint: wait for it, stop it, or name another folder with `--state DIR`
    ");
    assert_snapshot!(ground.andon(&["items"]).whole(), @r"
    exit 0
    -- stderr
    no items
    ");
    drop(held);
    assert_eq!(ended(&ground, first).well(), "s 1\n");
}

#[test]
fn written_by_a_newer_andon() {
    let ground = ground();
    ground.andon(&["run", ".", "a.txt"]).well();
    let journal = ground.path(".andon/journal.sqlite");
    let connection = rusqlite::Connection::open(journal).expect("a database");
    connection
        .pragma_update(None, "user_version", 9)
        .expect("it can be written");
    drop(connection);
    assert_snapshot!(ground.andon(&["run", ".", "a.txt"]).whole(), @r"
    exit 1
    -- stderr
    error: `.andon/journal.sqlite` was written by a newer andon (format 9; this one knows up to 7)
      hint: use that andon, or another folder with `--state DIR`
    ");
    assert_snapshot!(ground.andon(&["items"]).whole(), @r"
    exit 1
    -- stderr
    error: `DIR/.andon/journal.sqlite` was written by a newer andon (format 9; this one knows up to 7)
      hint: use that andon, or another folder with `--state DIR`
    ");
}

#[test]
fn not_a_journal() {
    let ground = ground();
    ground.write(
        ".andon/journal.sqlite",
        "hello, this is no database\n".repeat(100),
    );
    assert_snapshot!(ground.andon(&["run", ".", "a.txt"]).whole(), @r"
    exit 1
    -- stderr
    error: `.andon/journal.sqlite` is damaged: file is not a database
      hint: put a copy of the state folder back, or name another one with `--state DIR`
    ");
    assert_snapshot!(ground.andon(&["items"]).whole(), @r"
    exit 1
    -- stderr
    error: `DIR/.andon/journal.sqlite` is damaged: file is not a database
      hint: put a copy of the state folder back, or name another one with `--state DIR`
    ");
    assert_snapshot!(ground.andon(&["items", "--state", "nowhere"]).whole(), @r"
    exit 1
    -- stderr
    error: `nowhere`: there is no journal here
      hint: `andon run` and `andon serve` make one; `--state DIR` names another folder
    ");
}

#[test]
fn damaged_records() {
    let ground = ground();
    ground.andon(&["run", ".", "a.txt"]).well();
    let journal = ground.path(".andon/journal.sqlite");
    let connection = rusqlite::Connection::open(journal).expect("a database");
    connection
        .execute("UPDATE records SET facts = x'c1'", [])
        .expect("it can be written");
    drop(connection);
    let listed = ground
        .command(&["items", "--json"])
        .output()
        .expect("it runs");
    let item: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("one item");
    let id = item["item"].as_str().expect("an id");
    assert_snapshot!(ground.andon(&["show", id]).whole(), @r"
    exit 1
    -- stderr
    error: `DIR/.andon/journal.sqlite` is damaged: record 1 of item `ITEM` cannot be read: wrong msgpack marker Reserved
    ");
    let items = ground.andon(&["items"]).well();
    assert!(items.contains("a.txt"), "{items}");
}

#[test]
fn beneath_a_file() {
    assert_snapshot!(ground().andon(&["run", ".", "a.txt", "--state", "a.txt/state"]).whole(), @r"
    exit 1
    -- stderr
    error: cannot write to `a.txt/state`: Not a directory
      hint: make it writable, or name another folder with `--state DIR`
    ");
}

#[test]
fn read_only() {
    // Root may write everywhere: the rights that let it are taken away first.
    let shell = if rustix::process::geteuid().is_root() {
        "setpriv --bounding-set=-all --inh-caps=-all"
    } else {
        ""
    };
    let fresh = ground();
    let lock = |path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its own file")
    };
    fs::create_dir(fresh.path("locked")).expect("a folder");
    lock(fresh.path("locked"), 0o555);
    assert_snapshot!(confined(&fresh, shell, &["run", ".", "a.txt", "--state", "locked"]).whole(), @r"
    exit 1
    -- stderr
    error: cannot write to `locked/lock`: Permission denied
      hint: make it writable, or name another folder with `--state DIR`
    ");

    let used = ground();
    used.andon(&["run", ".", "a.txt"]).well();
    lock(used.path(".andon/journal.sqlite"), 0o444);
    lock(used.path(".andon/lock"), 0o444);
    lock(used.path(".andon"), 0o555);
    assert_snapshot!(confined(&used, shell, &["run", ".", "a.txt"]).whole(), @r"
    exit 1
    -- stderr
    error: cannot write to `.andon/lock`: Permission denied
      hint: make it writable, or name another folder with `--state DIR`
    ");
    assert_snapshot!(confined(&used, shell, &["items"]).whole(), @r"
    exit 1
    -- stderr
    error: cannot write to `DIR/.andon/journal.sqlite`: attempt to write a readonly database
      hint: looking at a journal makes files beside it: copy the folder to where that is allowed
    ");
    lock(used.path(".andon"), 0o755);
}

/// No file may grow over 64 KiB: what a full disk is to the process, without one.
#[test]
fn no_room() {
    let ground = ground();
    ground.andon(&["run", ".", "a.txt"]).well();
    let lines: String = (0..300).map(|n| format!("{n}\n")).collect();
    ground.write("in.jsonl", lines);
    let shell = "trap '' XFSZ; ulimit -f 64; exec";
    let arguments = ["run", ".", "in.jsonl", "-q", "--out", "out"];
    assert_snapshot!(confined(&ground, shell, &arguments).whole(), @r"
    exit 1
    -- stderr
    error: cannot write to `.andon/journal.sqlite`: the disk is full
      hint: free some space: what was reported as done is kept
    ");
    // With room it goes on, and what was said to be done is not done again.
    ground.andon(&arguments).well();
    let results = fs::read_dir(ground.path("out")).expect("results").count();
    assert_eq!(results, 300);
}
