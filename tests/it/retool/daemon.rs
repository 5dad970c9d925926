//! Retools of a daemon's lines: what was begun when the daemon is killed is taken up again, and each saved
//! change is taken.

use super::built;
use crate::{
    counting::Counting,
    daemon::{Daemon, hears, until},
    ground::Ground,
};
use andon::{
    item::{Body, Record},
    journal::{Filter, Journal as _, sqlite::Sqlite},
};
use std::{fs, io::BufReader, path::Path};

const HISTORY: [&str; 4] = ["retool", "l", "--history", "--json"];

/// The kinds of the changes that a line went through.
fn kinds(ground: &Ground) -> Vec<String> {
    let history: serde_json::Value =
        serde_json::from_str(&ground.andon(&HISTORY).well()).expect("JSON");
    let all = history["retools"].as_array().expect("a list");
    let kind = |record: &serde_json::Value| record["kind"].as_str().expect("a kind").to_owned();
    all.iter().map(kind).collect()
}

fn submit(ground: &Ground, items: std::ops::Range<usize>) {
    let items: String = items.map(|n| format!("{n}\n")).collect();
    let submit = ["submit", "l", "-", "--jsonl"];
    ground.andon_with(&submit, &items).well();
}

/// Waits until so many items are listed.
fn listed(ground: &Ground, which: &[&str], number: usize) {
    let arguments = [&["items", "--json"], which].concat();
    until(ground, &arguments, |came| {
        came.stdout.lines().count() == number
    });
}

#[test]
fn a_ramp_goes_on_after_a_kill() {
    let ground = Ground::new();
    let text = r#"
line = "l"
entry = "s"
[defaults]
retry = { attempts = 1, backoff = "1s..1s" }
[stations.s]
use = "@stamp"
next = "done"
"#;
    ground.line(text);
    let daemon = Daemon::start(&ground, &["."]);
    ground.line(&text.replace("@stamp", "@traps"));
    let ramp = [
        "retool", "l", "--ramp", "50%", "--margin", "20", "--least", "5", "--yes",
    ];
    ground.andon(&ramp).well();
    // Dropped, it is killed.
    drop(daemon);
    let _daemon = Daemon::start(&ground, &[]);
    assert_eq!(kinds(&ground), ["ramp"]);
    submit(&ground, 0..60);
    until(&ground, &HISTORY, |came| {
        came.stdout.contains("auto-rollback")
    });
    assert_eq!(kinds(&ground), ["ramp", "auto-rollback"]);
}

#[test]
fn a_drain_goes_on_after_a_kill() {
    let ground = Ground::new();
    let text = r#"
line = "l"
entry = "a"
[stations.a]
use = "@stamp"
next = "b"
[stations.b]
use = "@stamp"
next = "done"
"#;
    ground.line(text).write("x.txt", "x\n");
    let daemon = Daemon::start(&ground, &["."]);
    ground.andon(&["pause", "b"]).well();
    submit(&ground, 0..3);
    listed(&ground, &["--phase", "waiting", "--station", "b"], 3);
    let (whole, b) = (text.replace("\"b\"", "\"done\""), "[stations.b]");
    ground.line(&whole[..whole.find(b).expect("there")]);
    let refused = ground.andon(&["retool", "l", "--yes"]);
    insta::assert_snapshot!(
        refused
            .whole()
            .replace(&component(&refused.stderr), "DIGEST")
    );
    let drain = ["retool", "l", "--drain", "--json"];
    let drain = ground.andon(&drain).well();
    assert!(drain.contains("\"draining\":[\"b\"]"), "{drain}");
    drop(daemon);
    let _daemon = Daemon::start(&ground, &[]);
    assert_eq!(kinds(&ground), ["apply"]);
    ground.andon(&["resume", "b"]).well();
    until(&ground, &HISTORY, |came| came.stdout.contains("drained"));
    listed(&ground, &["--phase", "done"], 3);
    let submit = ["submit", "l", "x.txt", "--wait", "60s"];
    assert_eq!(ground.andon(&submit).well(), "x\na 1\n");
    let gone = ground.andon(&["pause", "b"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert_eq!(kinds(&ground), ["apply", "drained"]);
}

/// The digest of a component that a plan names, or what is in no text.
fn component(text: &str) -> String {
    let at = text.split("component ").nth(1).unwrap_or("\0");
    at.split_whitespace().next().unwrap_or("\0").into()
}

#[test]
fn an_interrupted_attempt_goes_on_by_its_own_revision() {
    let ground = Ground::new();
    let first = r#"
line = "l"
entry = "s"
[stations.s]
use = "@lingers"
next = "done"
workers = 2
grants.fs = [{ host = "gate", guest = "/gate", access = "write" }]
"#;
    ground
        .line(first)
        .write("a.txt", "a\n")
        .write("b.txt", "b\n");
    fs::create_dir(ground.path("gate")).expect("a folder");
    let daemon = Daemon::start(&ground, &["."]);
    ground.andon(&["submit", "l", "a.txt"]).well();
    let working = ["--phase", "working"];
    listed(&ground, &working, 1);
    let second = first
        .lines()
        .filter(|line| !line.starts_with("grants"))
        .collect::<Vec<_>>()
        .join("\n");
    ground.line(&second.replace("@lingers", "@stamp"));
    ground.andon(&["retool", "l", "--yes"]).well();
    drop(daemon);
    let daemon = Daemon::start(&ground, &[]);
    listed(&ground, &working, 1);
    let submit = ["submit", "l", "b.txt", "--wait", "60s"];
    assert_eq!(ground.andon(&submit).well(), "b\ns 1\n");
    ground.write("gate/open", "");
    listed(&ground, &["--phase", "done"], 2);
    drop(daemon);
    let journal = Sqlite::open_read_only(&ground.path(".andon")).expect("it opens");
    let items = journal.list(&Filter::default()).expect("it lists");
    let came = items.iter().map(|summary| {
        let records = journal.load(&summary.item).expect("it loads");
        let text = records.iter().map(|record| match record {
            Record::Started { revision, .. } => format!("started on {revision}"),
            Record::Interrupted { .. } => "interrupted".into(),
            Record::Moved { payload, .. } => match &payload.body {
                Body::Inline(bytes) => format!("moved with {bytes:?}"),
                other => format!("moved with {other:?}"),
            },
            other => other.kind().into(),
        });
        text.collect::<Vec<_>>().join(", ")
    });
    assert_eq!(
        came.collect::<Vec<_>>(),
        [
            "taken, started on 1, interrupted, started on 1, moved with b\"a\\n\"",
            "taken, started on 2, moved with b\"b\\ns 1\\n\"",
        ]
    );
}

#[test]
fn what_a_shadow_shows_is_accepted_by_its_name() {
    let ground = Ground::new();
    let text = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\n";
    ground.line(text).write("a.txt", "a\n");
    let daemon = Daemon::start(&ground, &["."]);
    ground
        .andon(&["submit", "l", "a.txt", "--wait", "60s"])
        .well();
    ground.line(&text.replace("@stamp", "@pass-on"));
    let retool = |more: &[&str]| {
        let came = ground.andon(&[&["retool", "l", "--shadow", "5"], more].concat());
        // Digests of components are another with every tool chain.
        let whole = came.whole();
        let lines = whole.lines().filter(|line| !line.contains("component"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let told = [
        retool(&["--dry-run"]),
        retool(&["--yes"]),
        retool(&["--json"]),
    ];
    insta::assert_snapshot!(told.join("\n\n"));
    let taken = retool(&["--yes", "--accept", "shadow", "--reason", "plainer"]);
    assert!(taken.starts_with("exit 0"), "{taken}");
    // It is the same without a daemon.
    drop(daemon);
    let refused = retool(&["--yes", "--to", "1", "--accept", "shadows"]);
    assert!(refused.starts_with("exit 1"), "{refused}");
    let back = retool(&["--yes", "--to", "1"]);
    assert!(back.contains("s: 1 replayed, none differs"), "{back}");
    assert_eq!(kinds(&ground), ["apply", "rollback"]);
}

/// Puts a component in the place of another, as a tool chain does.
fn save(ground: &Ground, bytes: &[u8]) {
    ground.write("new.tmp", bytes);
    fs::rename(ground.path("new.tmp"), ground.path("s.wasm")).expect("renamed");
}

#[test]
fn each_save_is_taken_and_a_broken_one_is_not() {
    let component = |name: &str| fs::read(built(Path::new(name))).expect("readable");
    let ground = Ground::new();
    let text = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"s.wasm\"\nnext = \"done\"\n";
    save(&ground, &component("pass-on"));
    ground.line(text);
    let _daemon = Daemon::start(&ground, &["."]);
    let mut watch = ground.spawn(&["retool", "l", "--watch"]);
    let mut said = BufReader::new(watch.stderr.take().expect("piped"));
    let mut inputs = 0;
    let mut comes_out = |expected: &str| {
        inputs += 1;
        let file = format!("{inputs}.txt");
        ground.write(&file, format!("{inputs}\n"));
        let came = ground.andon(&["submit", "l", &file, "--wait", "60s"]);
        assert_eq!(came.well(), format!("{inputs}\n{expected}"));
    };
    hears(&mut said, "watching");
    comes_out("");
    save(&ground, &component("stamp"));
    hears(&mut said, "`l` runs by revision 2");
    comes_out("s 1\n");
    save(&ground, b"\0asm no component");
    hears(&mut said, "error: ");
    comes_out("s 1\n");
    // The file of the line is watched as well, also after something else was wrong.
    save(&ground, &component("stamp"));
    ground.write("line.toml", "line = ");
    hears(&mut said, "error: ");
    comes_out("s 1\n");
    ground.line(&text.replace("next", "workers = 2\nnext"));
    hears(&mut said, "`l` runs by revision 3");
    save(&ground, &component("pass-on"));
    hears(&mut said, "`l` runs by revision 4");
    comes_out("");
    watch.kill().expect("it can be killed");
    watch.wait().expect("it ends");
    assert_eq!(kinds(&ground), ["apply", "apply", "apply"]);
}

#[test]
fn where_nothing_is_to_change_nothing_is_kept() {
    let ground = Ground::new();
    let text = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\n";
    ground.line(text);
    let daemon = Daemon::start(&ground, &["."]);
    let all = |ground: &Ground| {
        let cases: [&[&str]; 5] = [
            &["retool", "l", "--yes"],
            &["retool", "l", "--reason", "tidier"],
            &["retool", "l", "--to", "1", "--yes", "--reason", "back"],
            &["retool", "l", "--ramp", "10%", "--yes"],
            &["retool", "l", "--dry-run"],
        ];
        let told = cases.map(|case| ground.andon(case).whole()).join("\n\n");
        for more in [&["--json"][..], &["--json", "--to", "1"]] {
            let came = ground.andon(&[&["retool", "l"], more].concat());
            assert_eq!(came.code, Some(3), "{came:?}");
            let came: serde_json::Value = serde_json::from_str(&came.stdout).expect("JSON");
            assert_eq!(
                (&came["changed"], &came["revision"]),
                (&false.into(), &1.into())
            );
        }
        assert!(kinds(ground).is_empty());
        told
    };
    let told = all(&ground);
    // It is the same without a daemon.
    drop(daemon);
    assert_eq!(all(&ground), told);
    insta::assert_snapshot!(told);
    ground.line(&text.replace("next", "workers = 2\nnext"));
    let changed = ground.andon(&["retool", "l", "--json"]).well();
    assert!(changed.contains("\"changed\":true"), "{changed}");
    assert_eq!(kinds(&ground), ["apply"]);
}

#[test]
fn moved_items_are_not_asked_any_more() {
    let ground = Ground::new();
    let line = |next: &str, more: &str| {
        let asks = |name: &str, next: &str| {
            format!(
                "[stations.{name}]\nask = {{ prompt = \"{name}?\", choices = [\"pass\"] }}\nnext = \"{next}\"\n"
            )
        };
        let more: String = more
            .split_terminator(' ')
            .map(|name| asks(name, "ship"))
            .collect();
        format!(
            "line = \"l\"\nentry = \"draft\"\n[stations.draft]\nuse = \"@stamp\"\nnext = \"{next}\"\n{more}\
             [stations.ship]\nuse = \"@stamp\"\nnext = \"done\"\n"
        )
    };
    ground.line(&line("approve", "approve"));
    let daemon = Daemon::start(&ground, &["."]);
    submit(&ground, 0..2);
    listed(&ground, &["--held"], 2);
    // Another question in its place, then none.
    ground.line(&line("review", "review"));
    let dry = |moves: &str| {
        let dry = ["retool", "l", "--move", moves, "--dry-run"];
        ground.andon(&dry).well()
    };
    let apply = |moves: &str| {
        let came = ground.andon(&["retool", "l", "--move", moves, "--yes"]);
        assert_eq!(came.code, Some(0), "{came:?}");
        let said = came.stderr.lines().last().expect("it says so").to_owned();
        let pause = said.find("(pause").expect("it measures");
        let end = said[pause..].find(" ms").expect("in milliseconds") + pause;
        format!("{}(pause{}\n", &said[..pause], &said[end..])
    };
    let mut told = dry("approve=review");
    told += &apply("approve=review");
    until(&ground, &["items", "--held"], |came| {
        came.stdout.matches("review?").count() == 2
    });
    ground.line(&line("ship", ""));
    told += &dry("review=ship");
    told += &apply("review=ship");
    listed(&ground, &["--phase", "done"], 2);
    insta::assert_snapshot!(told);
    drop(daemon);
}

#[test]
fn a_ceiling_does_not_go_with_its_file() {
    let ground = Ground::new();
    let text = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\n";
    let wide = text.replace("next", "limits = { memory = \"512MiB\" }\nnext");
    let put =
        |from: &str, to: &str| fs::rename(ground.path(from), ground.path(to)).expect("renamed");
    ground
        .line(text)
        .write("elsewhere/x", "")
        .write("a.txt", "a\n")
        .write("andon.toml", "[ceiling]\nlimits = { memory = \"64MiB\" }\n");
    let memory = |ground: &Ground| {
        let retool = ground.andon(&["retool", "l", "--dry-run"]);
        assert_eq!(retool.code, Some(1), "{retool:?}");
        retool.stderr
    };
    let daemon = Daemon::start(&ground, &["."]);
    ground.line(&wide);
    let above = memory(&ground);
    assert!(above.contains("64MiB"), "{above}");
    // It goes while the line runs, which runs on.
    put("andon.toml", "elsewhere/andon.toml");
    let mut told = memory(&ground);
    let submit = ["submit", "l", "a.txt", "--wait", "60s"];
    assert_eq!(ground.andon(&submit).well(), "a\ns 1\n");
    drop(daemon);
    ground.line(text);
    let ends = |arguments: &[&str]| {
        let came = ground.andon(arguments);
        assert_eq!(came.code, Some(1), "{came:?}");
        came.stderr
    };
    told += &memory(&ground);
    for arguments in [
        &["serve"][..],
        &["serve", "."],
        &["run", ".", "a.txt", "-q"],
    ] {
        told += &ends(arguments);
    }
    insta::assert_snapshot!(told);
    // The second time it is kept in mind where it is.
    for arguments in [&[".", "--factory", "elsewhere/andon.toml"][..], &["."]] {
        let daemon = Daemon::start(&ground, arguments);
        ground.line(&wide);
        let above = memory(&ground);
        assert!(above.contains("64MiB"), "{above}");
        ground.line(text);
        drop(daemon);
    }
    let run = ends(&["run", ".", "a.txt", "-q"]);
    assert!(run.contains("elsewhere/andon.toml"), "{run}");
    // The operator wants no ceiling.
    ground.line(&wide);
    let _daemon = Daemon::start(&ground, &["--factory", "/dev/null"]);
    ground.andon(&["retool", "l", "--yes"]).well();
}

#[test]
fn a_ceiling_made_narrower_comes_with_the_next_retool() {
    let ground = Ground::new();
    let server = Counting::start();
    let grant = |path: &str| format!("\"* {}{path}\", private = true", server.url());
    let ceiling = |path: &str| {
        let text = format!("[ceiling.grants]\nhttp = [{{ rule = {} }}]\n", grant(path));
        ground.write("andon.toml", text);
    };
    let line = |workers: u32| {
        let all = grant("/**");
        ground.line(&format!(
            "line = \"l\"\nentry = \"act\"\n[stations.act]\nuse = \"@acts\"\nnext = \"done\"\nworkers = {workers}\ngrants.http = [{{ rule = {all} }}]\n",
        ));
    };
    let mut asked = 0;
    let mut passes = |path: &str| {
        asked += 1;
        let file = format!("{asked}.txt");
        ground.write(&file, format!("GET {}{path}", server.url()));
        let came = ground.andon(&["submit", "l", &file, "--wait", "60s"]);
        let passed = came.stdout.contains("GET: 200");
        assert!(passed || came.whole().contains("jammed"), "{came:?}");
        passed
    };
    let mut told = String::new();
    let mut retool = |more: &[&str], code| {
        let came = ground.andon(&[&["retool", "l", "--yes"], more].concat());
        assert_eq!(came.code, Some(code), "{came:?}");
        let plan = came.stderr.lines().filter(|line| !line.contains("pause"));
        told += &plan.map(|line| format!("{line}\n")).collect::<String>();
    };
    // It is kept below the narrow one, and runs below the wide one.
    line(4);
    ceiling("/a");
    let daemon = Daemon::start(&ground, &["."]);
    assert!(!passes("/b"));
    drop(daemon);
    ceiling("/**");
    let daemon = Daemon::start(&ground, &["."]);
    assert!(passes("/b"));
    // What is under way keeps its revision ready.
    ground.write("long.txt", "sleep 60000");
    ground.andon(&["submit", "l", "long.txt"]).well();
    let works = ["items", "--phase", "working", "--json"];
    until(&ground, &works, |came| came.stdout.lines().count() == 1);
    ceiling("/a");
    retool(&[], 0);
    assert!(passes("/a"));
    assert!(!passes("/b"));
    retool(&[], 3);
    retool(&["--to", "1"], 3);
    // An earlier revision that is still ready does not bring its ceiling back.
    ceiling("/**");
    retool(&[], 0);
    assert!(passes("/b"));
    line(2);
    ceiling("/a");
    retool(&[], 0);
    assert!(!passes("/b"));
    retool(&["--to", "1"], 0);
    assert!(!passes("/b"));
    // One that stays the same has what is under way made anew as well.
    ceiling("/**");
    retool(&["--to", "1"], 0);
    ceiling("/c");
    let came = ground.andon(&["retool", "l", "--to", "1", "--yes", "--now"]);
    assert!(
        came.whole().contains("1 attempt to be made again"),
        "{came:?}"
    );
    let history = ground.andon(&["retool", "l", "--history"]).well();
    assert!(history.contains("ceiling"), "{history}");
    insta::assert_snapshot!(told.replace(&server.url(), "SERVER"));
    drop(daemon);
}
