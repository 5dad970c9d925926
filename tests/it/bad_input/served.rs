//! What a daemon is told that it does not do, by commands and by callers over TCP.

use crate::{
    daemon::{Daemon, until},
    ground::{Came, Ground},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// A line whose items are asked about, and then rejected.
const LINE: &str = r#"
line = "l"
entry = "q"
[stations.q]
ask = { prompt = "Well?", choices = ["pass", "scrap"], not = "submitter" }
next = { pass = "s", scrap = "scrap" }
[stations.s]
use = "@rejects"
next = { pass = "done", other = "scrap" }
"#;

/// One whose questions nobody can answer in time.
const LATE: &str = r#"
line = "late"
entry = "q"
[stations.q]
ask = { prompt = "Well?", choices = ["pass"], within = "1ms" }
next = "done"
"#;

/// Puts a line where it is served from.
fn put(ground: &Ground, folder: &str, text: &str) {
    ground.line(text);
    fs::create_dir_all(ground.path(folder)).expect("made");
    let to = ground.path(&format!("{folder}/line.toml"));
    fs::rename(ground.path("line.toml"), to).expect("renamed");
}

/// The item that is listed so.
fn item(ground: &Ground, which: &[&str]) -> String {
    let list = [&["items", "--json"], which].concat();
    let listed = ground.command(&list).output().expect("it runs").stdout;
    let item: serde_json::Value = serde_json::from_slice(&listed).expect("one item");
    item["item"].as_str().expect("an id").into()
}

/// A daemon with both lines, an item that is held, one that jammed, and one that nobody answered in time.
fn ground() -> (Ground, Daemon) {
    let ground = Ground::new();
    put(&ground, "l", LINE);
    put(&ground, "late", LATE);
    for name in ["held", "jammed", "late"] {
        ground.write(&format!("{name}.txt"), name);
    }
    let serve = ["l", "late", "--state", ".andon", "--listen", "127.0.0.1:0"];
    let daemon = Daemon::start(&ground, &serve);
    ground.andon(&["submit", "late", "late.txt"]).well();
    ground.andon(&["submit", "l", "jammed.txt"]).well();
    let held = ["items", "--line", "l", "--held", "--json"];
    until(&ground, &held, |came| came.stdout.lines().count() == 1);
    let jammed = item(&ground, &["--line", "l", "--held"]);
    ground
        .andon(&["answer", &jammed, "pass", "--by", "ann"])
        .well();
    ground.andon(&["submit", "l", "held.txt"]).well();
    until(&ground, &held, |came| came.stdout.lines().count() == 1);
    let jammed = ["items", "--jammed", "--json"];
    until(&ground, &jammed, |came| came.stdout.lines().count() == 2);
    (ground, daemon)
}

#[test]
fn orders_that_are_not_carried_out() {
    let (ground, _daemon) = ground();
    let held = item(&ground, &["--line", "l", "--held"]);
    let jammed = item(&ground, &["--line", "l", "--jammed"]);
    let late = item(&ground, &["--line", "late", "--jammed"]);
    let without = LINE.replace("entry = \"q\"", "entry = \"s\"");
    let (before, after) = without.split_once("[stations.q]").expect("it is there");
    let after = &after[after.find("[stations.s]").expect("it is there")..];
    put(&ground, "without-q", &[before, after].concat());
    put(&ground, "loose", &LINE.replace("\"s\"", "\"nowhere\""));
    put(&ground, "other", &LINE.replace("\"l\"", "\"m\""));
    put(
        &ground,
        "timed",
        &format!("{LINE}[sources.t]\ncron = \"every day\"\n"),
    );
    put(
        &ground,
        "told",
        &format!("{LINE}[notify]\njam = {{ command = [\"true\"] }}\n"),
    );
    ground.write("nothing.toml", "line = ");
    let large = fs::File::create(ground.path("large.txt")).expect("made");
    large.set_len((64 << 20) + 1).expect("it is sparse");
    let digest = "0".repeat(64);
    let cases: &[(&str, &[&str])] = &[
        ("a second daemon", &["serve", "l", "--state", ".andon"]),
        (
            "a single run beside it",
            &["run", "l", "held.txt", "--state", ".andon"],
        ),
        ("no TOML", &["retool", "l", "nothing.toml", "--yes"]),
        (
            "a line that does not check",
            &["retool", "l", "loose", "--yes"],
        ),
        (
            "a schedule that is none",
            &["retool", "l", "timed", "--yes"],
        ),
        ("another line", &["retool", "l", "other", "--yes"]),
        ("no file", &["retool", "l", "gone", "--yes"]),
        ("no such line", &["retool", "m", "--yes"]),
        ("no such revision", &["retool", "l", "--to", "9", "--yes"]),
        ("a program by yes alone", &["retool", "l", "told", "--yes"]),
        (
            "a station with an item",
            &["retool", "l", "without-q", "--yes"],
        ),
        (
            "moved to none",
            &["retool", "l", "without-q", "--yes", "--move", "q=x"],
        ),
        (
            "moved from one that stays",
            &["retool", "l", "without-q", "--yes", "--move", "s=q"],
        ),
        ("an end of no ramp", &["retool", "l", "--promote"]),
        ("no choice", &["answer", &held, "maybe", "--by", "ann"]),
        ("by who submitted it", &["answer", &held, "pass"]),
        (
            "for another payload",
            &["answer", &held, "pass", "--by", "ann", "--for", &digest],
        ),
        (
            "for no digest",
            &["answer", &held, "pass", "--by", "ann", "--for", "x"],
        ),
        ("a hold that is over", &["answer", &late, "pass"]),
        ("what is not held", &["answer", &jammed, "pass"]),
        ("what is not jammed", &["clear", &held, "retry"]),
        ("cleared", &["clear", &jammed, "skip", "--port", "other"]),
        ("cleared twice", &["clear", &jammed, "retry"]),
        ("a body over the limit", &["submit", "l", "large.txt"]),
        ("paused", &["pause", "s", "--line", "l"]),
        ("paused twice", &["pause", "s", "--line", "l"]),
        ("not paused", &["resume", "q", "--line", "l"]),
    ];
    let mut told = String::new();
    for (what, arguments) in cases {
        told += &format!("{what}: {}\n\n", ground.andon(arguments).whole());
    }
    insta::assert_snapshot!(told);
    // Nothing of it was done.
    let history = ground.andon(&["retool", "l", "--history", "--json"]).well();
    assert!(history.contains("\"retools\":[]"), "{history}");
    assert_eq!(item(&ground, &["--line", "l", "--held"]), held);
}

/// What comes back of a request over TCP.
fn asks(daemon: &Daemon, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(daemon.address()).expect("it listens");
    let host = daemon.address();
    let text = format!("{head}\r\nhost: {host}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).expect("it takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    format!("{}\n{body}", head.lines().next().unwrap_or_default())
}

#[test]
fn callers_that_may_not() {
    let (ground, daemon) = ground();
    let held = item(&ground, &["--line", "l", "--held"]);
    let jammed = item(&ground, &["--line", "l", "--jammed"]);
    let token = |role: &str| {
        let made = ground.andon(&["token", "add", role, "--role", role]);
        format!("authorization: Bearer {}\r\n", made.well().trim())
    };
    let (viewer, operator) = (token("viewer"), token("operator"));
    let json = "content-type: application/json";
    let choice = r#"{"choice":"pass"}"#;
    let with =
        |bearer: &str, body: &str| format!("{bearer}{json}\r\ncontent-length: {}", body.len());
    let (clear, retool) = (r#"{"how":"retry"}"#, "{}");
    let cases = [
        (
            "nobody",
            format!("POST /v1/lines/l/items HTTP/1.1\r\n{}", with("", "x")),
            "x",
        ),
        (
            "a viewer that submits",
            format!("POST /v1/lines/l/items HTTP/1.1\r\n{}", with(&viewer, "x")),
            "x",
        ),
        (
            "one that answers",
            format!(
                "POST /v1/items/{held}/answer HTTP/1.1\r\n{}",
                with(&viewer, choice)
            ),
            choice,
        ),
        (
            "one that clears",
            format!(
                "POST /v1/items/{jammed}/clear HTTP/1.1\r\n{}",
                with(&viewer, clear)
            ),
            clear,
        ),
        (
            "an operator that retools",
            format!(
                "POST /v1/lines/l/retool HTTP/1.1\r\n{}",
                with(&operator, retool)
            ),
            retool,
        ),
        (
            "one that drains",
            format!("POST /v1/drain HTTP/1.1\r\n{}", with(&operator, "")),
            "",
        ),
        // It is not even sent.
        (
            "a body over the limit",
            format!(
                "POST /v1/lines/l/items HTTP/1.1\r\n{operator}content-length: {}",
                (64 << 20) + 1
            ),
            "",
        ),
    ];
    let mut told = String::new();
    for (what, head, body) in cases {
        let answer = asks(&daemon, &head, body);
        told += &format!("{what}: {answer}\n\n");
    }
    insta::assert_snapshot!(crate::ground::without_ids(&told).0);
    assert_eq!(item(&ground, &["--line", "l", "--held"]), held);
    assert_eq!(item(&ground, &["--line", "l", "--jammed"]), jammed);
    let all: Came = ground.andon(&["items", "--json"]);
    assert_eq!(all.well().lines().count(), 3);
}
