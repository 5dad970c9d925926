//! Typed stations: settings, folders, labels, ports, bodies, and their own time.

use super::{Trial, does};
use andon::journal::{Filter, Journal as _, PhaseKind, sqlite::Sqlite};
use insta::assert_snapshot;
use std::{fs, process::Stdio};

#[test]
fn settings_of_every_type_are_text_or_json() {
    let names = [
        "text", "whole", "large", "part", "yes", "day", "list", "table", "none",
    ];
    let script: String = names
        .iter()
        .map(|name| format!("config {name}\n"))
        .collect();
    let values = r#"text = "a \"b\"\nü", whole = -7, large = 9223372036854775807, part = 4.5, yes = true, day = 2026-02-03, list = [1, "two", [3.5]], table = { a = { b = false } }"#;
    let trial = Trial::of(
        "@does",
        &format!("config = {{ do = '''\n{script}''', {values} }}"),
    );
    assert_snapshot!(trial.passes("a"), @r##"
    config text: a "b"
    ü
    config whole: -7
    config large: 9223372036854775807
    config part: 4.5
    config yes: true
    config day: 2026-02-03
    config list: [1,"two",[3.5]]
    config table: {"a":{"b":false}}
    config none: not set
    "##);
}

#[test]
fn assets_and_granted_folders_are_what_they_are_said_to_be() {
    let script = "list /rules
read /rules/strict.txt
read /rules/deep/b.txt
write /rules/strict.txt no
write /rules/new.txt no
remove /rules/strict.txt
read /single/only.txt
list /single
read /in/a.txt
write /in/a.txt no
folder /in/sub
rename /in/a.txt /out/a.txt
write /out/b.txt yes
read /out/b.txt
read /out/../in/a.txt
read /out/../../secret.txt
read /secret.txt
list /
read /out/leads-out";
    let trial = Trial::of(
        "@does",
        &format!(
            "{}\nassets = [{{ host = \"rules\", guest = \"/rules\" }}, {{ host = \"one.txt\", guest = \"/single/only.txt\" }}]
grants.fs = [{{ host = \"in\", guest = \"/in\", access = \"read\" }}, {{ host = \"out\", guest = \"/out\", access = \"write\" }}]",
            does(script)
        ),
    );
    trial
        .ground
        .write("rules/strict.txt", "strict\n")
        .write("rules/deep/b.txt", "deep\n")
        .write("one.txt", "single\n")
        .write("in/a.txt", "granted\n")
        .write("out/.keep", "")
        .write("secret.txt", "secret\n");
    std::os::unix::fs::symlink(
        trial.ground.path("secret.txt"),
        trial.ground.path("out/leads-out"),
    )
    .expect("links can be made");
    assert_snapshot!(trial.passes("a"), @r##"
    list /rules: deep strict.txt
    read /rules/strict.txt: strict

    read /rules/deep/b.txt: deep

    write /rules/strict.txt no: Operation not permitted (os error 63)
    write /rules/new.txt no: Operation not permitted (os error 63)
    remove /rules/strict.txt: Operation not permitted (os error 63)
    read /single/only.txt: single

    list /single: only.txt
    read /in/a.txt: granted

    write /in/a.txt no: Operation not permitted (os error 63)
    folder /in/sub: Operation not permitted (os error 63)
    rename /in/a.txt /out/a.txt: Operation not permitted (os error 63)
    write /out/b.txt yes: written
    read /out/b.txt: yes
    read /out/../in/a.txt: Operation not permitted (os error 63)
    read /out/../../secret.txt: Operation not permitted (os error 63)
    read /secret.txt: Capabilities insufficient (os error 76)
    list /: Capabilities insufficient (os error 76)
    read /out/leads-out: Operation not permitted (os error 63)
    "##);
    assert_eq!(
        fs::read_to_string(trial.ground.path("out/b.txt")).expect("it was written"),
        "yes"
    );
    assert_eq!(
        fs::read_to_string(trial.ground.path("in/a.txt")).expect("it is there"),
        "granted\n"
    );
}

#[test]
fn a_join_sees_what_its_inputs_left() {
    let trial = Trial::of("@splits", "next = \"keep\"")
        .with("keep", "@does", &format!("{}\nnext = \"join\"", does("keep /workspace/part\nforward")))
        .with(
            "join",
            "@does",
            &format!(
                "join = {{ of = \"s\" }}\n{}",
                does("inputs\nlist /workspace\nlist /workspace/in\nread /workspace/in/0/part\nread /workspace/in/1/part\nread /workspace/in/2/part\nwrite /workspace/in/0/part no\nwrite /workspace/own yes")
            ),
        );
    assert_snapshot!(trial.passes("one\ntwo\n"), @r##"
    inputs: 2
    list /workspace: 
    list /workspace/in: No such file or directory (os error 44)
    read /workspace/in/0/part: one

    read /workspace/in/1/part: two

    read /workspace/in/2/part: No such file or directory (os error 44)
    write /workspace/in/0/part no: Operation not permitted (os error 63)
    write /workspace/own yes: written
    "##);
}

#[test]
fn labels_are_merged_and_removed() {
    let trial = Trial::of(
        "@does",
        &format!(
            "{}\nnext = \"second\"",
            does("label a=1\nlabel b=2\nforward")
        ),
    )
    .with(
        "second",
        "@does",
        &format!(
            "{}\nnext = \"third\"",
            does("label a=\nlabel c=ü 3\nlabel none=\nforward")
        ),
    )
    .with("third", "@does", &does("labels"));
    assert_eq!(
        trial.passes("a"),
        "labels: [(\"b\", \"2\"), (\"c\", \"ü 3\")]\n"
    );
}

#[test]
fn a_file_is_a_body() {
    let trial = Trial::of(
        "@does",
        &format!(
            "{}\nnext = \"second\"",
            does("folder /workspace/a\nwrite /workspace/a/b.txt text of a file\nfile a/b.txt")
        ),
    )
    .with(
        "second",
        "@does",
        &does("body\ntype\nlength\nread /workspace/a/b.txt"),
    );
    assert_snapshot!(trial.passes("a"), @r##"
    body: "file"
    type: text/plain
    length: 14
    read /workspace/a/b.txt: text of a file
    "##);
    let trial = Trial::of(
        "@does",
        &does("write /workspace/b.txt text of a file\nfile b.txt"),
    );
    assert_eq!(trial.passes("a"), "text of a file\n");
}

#[test]
fn what_a_station_may_not_answer_is_invalid() {
    for (script, reason) in [
        ("port reject", "`reject` is reserved"),
        ("port exhausted", "`exhausted` is reserved"),
        ("port elsewhere", "elsewhere"),
        ("port No", "`No` is no port"),
        ("file /etc/passwd", "is no file of the workspace"),
        (
            "write /workspace/a x\nfile ../a",
            "is no file of the workspace",
        ),
        ("file a", "is no file of the workspace"),
        ("label Big=1", "Big"),
    ] {
        let jam = Trial::of("@does", &does(script)).jams("a");
        assert!(jam.contains(reason), "{script}: {jam}");
    }
}

#[test]
fn large_bodies_go_through_several_stations() {
    let body = format!("{}\n", "0123456789abcdef".repeat(20_000));
    let forward = |next: &str| format!("{}\nnext = \"{next}\"", does("forward"));
    let trial = Trial::of("@does", &forward("program"))
        .with("program", "@tells", "args = [\"echo\"]\nnext = \"again\"")
        .with("again", "@does", &forward("last"))
        .with("last", "@stamp", "");
    assert!(trial.passes(&body) == format!("{body}last 1\n"));
}

/// The same attempt, run again after a crash, has the same time and the same randomness; the next
/// attempt has its own.
#[test]
fn an_attempt_that_is_run_again_sees_the_same_time() {
    let trial = Trial::of(
        "@does",
        &format!(
            "{}\ngrants.fs = [{{ host = \"out\", guest = \"/out\", access = \"write\" }}]\nlimits = {{ wall = \"60s\" }}",
            does("tell /out/told\nsleep-once /out/slept\nretry 2\nvisit")
        ),
    );
    trial.ground.write("out/.keep", "");
    // Writes the line, builds and compiles; nothing sleeps here.
    trial.ground.write("out/slept", "");
    trial.passes("first");
    fs::remove_file(trial.ground.path("out/slept")).expect("it was there");
    fs::remove_file(trial.ground.path("out/told")).expect("it was there");
    trial.ground.write("in.txt", "second");
    let arguments = ["run", ".", "in.txt", "-q"];
    let mut child = trial
        .ground
        .command(&arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    // A visit may begin before its record is kept; what is not kept did not happen.
    let journal = Sqlite::open_read_only(&trial.ground.path(".andon")).expect("the journal opens");
    let working = Filter {
        phases: vec![PhaseKind::Working],
        ..Filter::default()
    };
    let kept = || {
        !journal
            .list(&working)
            .expect("the journal lists")
            .is_empty()
    };
    while !(trial.ground.path("out/slept").exists() && kept()) {
        assert!(
            child.try_wait().expect("it can be asked").is_none(),
            "it ended without a sleep"
        );
        std::thread::yield_now();
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    assert_eq!(
        trial.ground.andon(&arguments).well(),
        "tell /out/told: told\nsleep-once /out/slept: woke\nvisit: l 1 s 1 2\n"
    );
    let told = fs::read_to_string(trial.ground.path("out/told")).expect("it was told");
    let [cut, again, next] = told.lines().collect::<Vec<_>>()[..] else {
        panic!("not three attempts:\n{told}");
    };
    assert_eq!(cut, again);
    let (cut, next) = (cut.split_once(' ').unwrap(), next.split_once(' ').unwrap());
    assert_ne!(cut.0, next.0);
    assert_ne!(cut.1, next.1);
}
