//! Inputs that cannot be taken, and bodies that a station cannot take.

use super::{one, says};
use crate::ground::{Came, Ground};
use insta::assert_snapshot;
use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    process::{Child, Command},
};

/// A pipe with a name: who opens it waits for the other side, which is how a test knows how far a
/// command is.
pub(super) fn pipe(ground: &Ground, name: &str) {
    let made = Command::new("mkfifo").arg(ground.path(name)).status();
    assert!(made.expect("`mkfifo` runs").success());
}

/// All that a command came to which was started before.
pub(super) fn ended(ground: &Ground, child: Child) -> Came {
    ground.came(child.wait_with_output().expect("the command ends"))
}

#[test]
fn what_was_never_there() {
    let line = one("");
    assert_snapshot!(says(&line, &["run", ".", "a.txt", "b.txt", "c"]), @r"
    exit 1
    -- stderr
    error: input `b.txt` cannot be read: No such file or directory
      hint: name a file, a folder, or `-` for standard input
    error: input `c` cannot be read: No such file or directory
      hint: name a file, a folder, or `-` for standard input
    ");
    assert_snapshot!(says(&line, &["run", "."]), @r"
    exit 0
    -- stderr
    0 taken, 0 done, 0 results
    ");
    assert_snapshot!(says(&line, &["run", ".", ""]), @r"
    exit 1
    -- stderr
    error: a value is required for '[INPUTS]...' but none was supplied

    For more information, try '--help'.
    ");
}

#[test]
fn what_was_there_and_is_gone() {
    let ground = Ground::new();
    ground
        .line(&one(""))
        .write("second.txt", "2\n")
        .write("third.txt", "3\n");
    pipe(&ground, "first.txt");
    let child = ground.spawn(&["run", ".", "first.txt", "second.txt", "third.txt"]);
    // Opened from both sides once the run has found its inputs and reads the first.
    let mut first = fs::File::create(ground.path("first.txt")).expect("a pipe");
    fs::remove_file(ground.path("second.txt")).expect("it is there");
    first.write_all(b"1\n").expect("the run reads");
    drop(first);
    assert_snapshot!(ended(&ground, child).whole(), @r"
    exit 1
    1
    s 1
    3
    s 1
    -- stderr
    error: input `second.txt` is gone: it was there when the run began
    2 taken, 2 done, 2 results, 1 unreadable
    ");
}

#[test]
fn a_name_that_dangles() {
    let ground = Ground::new();
    ground.line(&one("")).write("in/a.txt", "a\n");
    std::os::unix::fs::symlink("gone.txt", ground.path("in/b.txt")).expect("a link");
    assert_snapshot!(ground.andon(&["run", ".", "in"]).whole(), @r"
    exit 1
    a
    s 1
    -- stderr
    error: input `in/b.txt` is a link to a file that does not exist
    1 taken, 1 done, 1 result, 1 unreadable
    ");
    assert_snapshot!(ground.andon(&["run", ".", "in/b.txt"]).whole(), @r"
    exit 1
    -- stderr
    error: input `in/b.txt` is a link to a file that does not exist
    ");
}

#[test]
fn a_folder_without_files() {
    let ground = Ground::new();
    ground.line(&one("")).write("in/.hidden", "a\n");
    assert_snapshot!(ground.andon(&["run", ".", "in"]).whole(), @r"
    exit 1
    -- stderr
    error: folder `in` has no files in it
      hint: hidden ones do not count; name those
    ");
}

#[test]
fn what_is_too_large() {
    let ground = Ground::new();
    ground.line(&one("")).write("a.txt", "a\n");
    let large = fs::File::create(ground.path("large.bin")).expect("a file");
    large.set_len((64 << 20) + 1).expect("a sparse file");
    assert_snapshot!(ground.andon(&["run", ".", "large.bin", "a.txt"]).whole(), @r"
    exit 1
    a
    s 1
    -- stderr
    error: input `large.bin` is larger than 64 MiB
      hint: split it, or mount its folder with `grants.fs` and pass its name
    1 taken, 1 done, 1 result, 1 unreadable
    ");
}

#[test]
fn more_than_the_station_may_put_out() {
    let ground = Ground::new();
    ground
        .line(&one("limits = { output = \"4KiB\" }"))
        .write("a.txt", "a".repeat(5000));
    assert_snapshot!(ground.andon(&["run", ".", "a.txt", "-q"]).whole(), @r"
    exit 2
    -- stderr
    jammed: ITEM (a.txt) at `s`: over the limit `output` of 4KiB
      hint: `andon show ITEM` tells its way, `andon clear ITEM retry` tries again
    ");
}

#[test]
fn lines_that_are_not_json() {
    let ground = Ground::new();
    ground.line(&one(""));
    let text = "{\"a\": 1}\n{a: 2}\n\n3\n";
    assert_snapshot!(ground.andon_with(&["run", ".", "-", "--jsonl"], text).whole(), @r#"
    exit 1
    {"a": 1}s 1
    3s 1
    -- stderr
    error: `stdin` is not JSON at 2:2: key must be a string
      hint: each line is one JSON value
    2 taken, 2 done, 2 results, 1 unreadable
    "#);
}

#[test]
fn a_body_that_is_not_the_text_that_a_station_expects() {
    let ground = Ground::new();
    ground.line(&one("")).write("a.txt", b"caf\xe9\n");
    assert_snapshot!(ground.andon(&["run", ".", "a.txt", "-q"]).whole(), @r"
    exit 2
    -- stderr
    jammed: ITEM (a.txt) at `s`: rejected: not UTF-8: invalid utf-8 sequence of 1 bytes from index 3
      hint: `andon show ITEM` tells its way, `andon clear ITEM retry` tries again
    ");
    assert_snapshot!(ground.andon(&["items"]).whole(), @r"
    exit 0
    ITEM              PHASE     STATION  SOURCE
    ITEM  jammed    s        a.txt  (rejected: not UTF-8: invalid utf-8 sequence of 1 bytes from index 3)
    -- stderr
    ");
}

#[test]
fn a_name_that_is_not_utf_8() {
    let ground = Ground::new();
    ground.line(&one("")).write("in/b.txt", "b\n");
    let name = OsStr::from_bytes(b"in/caf\xe9\x1b[31m.txt");
    fs::write(ground.path("").join(name), "a\n").expect("this file system takes any name");
    assert_snapshot!(ground.andon(&["run", ".", "in"]).whole(), @r"
    exit 0
    b
    s 1
    a
    s 1
    -- stderr
    2 taken, 2 done, 2 results
    ");
    assert_snapshot!(ground.andon(&["items"]).whole(), @r"
    exit 0
    ITEM              PHASE     STATION  SOURCE
    ITEM  done      s        in/b.txt
    ITEM  done      s        in/caf�\u{1b}[31m.txt
    -- stderr
    ");
}

#[test]
fn two_names_that_read_the_same_are_two_inputs() {
    let ground = Ground::new();
    ground.line(&one(""));
    for name in [&b"in/caf\xe9.txt"[..], b"in/caf\xe8.txt"] {
        ground.write("in/.keep", "");
        let path = ground.path("").join(OsStr::from_bytes(name));
        fs::write(path, "a\n").expect("this file system takes any name");
    }
    assert_snapshot!(ground.andon(&["run", ".", "in", "--out", "out"]).whole(), @r"
    exit 0
    -- stderr
    2 taken, 2 done, 2 results
    ");
}

#[test]
fn results_that_cannot_be_written() {
    let ground = Ground::new();
    ground
        .line(&one(""))
        .write("a.txt", "a\n")
        .write("file", "");
    assert_snapshot!(ground.andon(&["run", ".", "a.txt", "--out", "file/out"]).whole(), @r"
    exit 1
    -- stderr
    error: folder `file/out` cannot be made: Not a directory
    ");
    if cfg!(target_os = "linux") {
        let full = fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full device");
        let mut command = ground.command(&["run", ".", "a.txt"]);
        let output = command.stdout(full).output().expect("the command ends");
        assert_snapshot!(ground.came(output).whole(), @r"
        exit 1
        -- stderr
        error: standard output cannot be written: No space left on device
        ");
        // What was not given is given by the next run.
        assert_snapshot!(ground.andon(&["run", ".", "a.txt"]).whole(), @r"
        exit 0
        a
        s 1
        -- stderr
        0 taken, 0 done, 1 result, 1 taken before
        ");
    }
}
