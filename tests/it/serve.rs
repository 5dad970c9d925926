//! `andon serve` as a process: what commands and callers over TCP come to, and how it ends.

use crate::{
    daemon::{Daemon, hears, until},
    ground::{Ground, on_the_way},
};
use rustix::process::Signal;
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, prlimit};
use std::{
    io::{BufRead, BufReader, Read as _},
    process::{Command, Stdio},
};

const LINE: &str = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\n";
const REJECTS: &str =
    "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@rejects\"\nnext = \"done\"\n";
const PARKS: &str = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@parks.wat\"\nnext = \"done\"\nlimits = { wall = \"1h\" }\n";

#[test]
fn from_a_submission_to_its_result() {
    let ground = Ground::new();
    ground
        .line(LINE)
        .write("a.txt", "a\n")
        .write("b.txt", "b\n");
    let daemon = Daemon::start(&ground, &["."]);
    let waits = ["submit", "l", "a.txt", "--wait", "60s"];
    assert_eq!(ground.andon(&waits).well(), "a\ns 1\n");
    // The same file is the same item.
    assert_eq!(ground.andon(&waits).well(), "a\ns 1\n");
    let again = ground.andon(&["submit", "l", "a.txt", "--json"]).well();
    assert!(again.contains("\"known\":true"), "{again}");
    let items = ground.andon(&["items", "--json"]).well();
    assert_eq!(items.matches("\"phase\":\"done\"").count(), 1, "{items}");
    let came = ground.andon(&["show", &first(&ground)]);
    assert!(came.stdout.contains("phase    done"), "{came:?}");
    let status = ground.andon(&["status", "--watch"]).well();
    assert!(status.starts_with("l  revision 1"), "{status}");
    // A second process may not have the folder.
    let run = ground.andon(&["run", ".", "b.txt"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("in use by another andon"), "{run:?}");
    ground.andon(&["drain", "--within", "10s"]).well();
    let (status, said) = daemon.ended();
    assert!(status.success(), "{said}");
    assert!(!ground.path(".andon/serve.sock").exists());
    let status = ground.andon(&["status"]).well();
    assert!(status.starts_with("no daemon runs these lines"), "{status}");
    // What is submitted now is carried by the next daemon, which knows its lines.
    let item = ground
        .command(&["submit", "l", "b.txt"])
        .output()
        .expect("it runs");
    let item = String::from_utf8(item.stdout)
        .expect("text")
        .trim()
        .to_string();
    let daemon = Daemon::start(&ground, &[]);
    until(&ground, &["items", "--phase", "done", "--json"], |came| {
        came.stdout.lines().count() == 2
    });
    let came = ground.andon(&["show", &item]);
    assert!(came.stdout.contains("result   6 B"), "{came:?}");
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().0.success());
}

/// The id of the first item.
fn first(ground: &Ground) -> String {
    let items = ground.command(&["items"]).output().expect("it runs");
    let items = String::from_utf8(items.stdout).expect("text");
    let line = items.lines().nth(1).expect("an item");
    line.split(' ').next().expect("its id").into()
}

#[test]
fn jams_are_cleared_beside_the_daemon() {
    let ground = Ground::new();
    ground.line(REJECTS);
    for name in ["a", "b", "c"] {
        ground.write(&format!("in/{name}.txt"), name);
    }
    let mut daemon = Daemon::start(&ground, &[".", "--json"]);
    ground
        .andon(&["submit", "l", "in", "--priority", "high"])
        .well();
    let jam = daemon.hears("\"event\":\"jammed\"");
    assert!(jam.contains("rejected"), "{jam}");
    let jammed = ["items", "--jammed", "--json"];
    until(&ground, &jammed, |came| came.stdout.lines().count() == 3);
    let item = first(&ground);
    let cleared = ground
        .andon(&["clear", &item, "skip", "--why", "it is fine"])
        .well();
    assert_eq!(cleared, "ITEM is done at `s`\n");
    let twice = ground.andon(&["clear", &item, "skip"]);
    insta::assert_snapshot!(twice.whole());
    let all = [
        "clear", "--all", "scrap", "--reason", "reject", "--by", "ada",
    ];
    assert_eq!(ground.andon(&all).well().matches("is scrapped").count(), 2);
    let none = ground.andon(&all);
    assert_eq!((none.code, &*none.stderr), (Some(0), "no jams\n"));
    for wrong in [
        &["clear", "--all", "x", "retry"][..],
        &["clear", "x"],
        &["clear", "x", "wish"],
        &["clear", "--all", "edit", "--file", "in/a.txt"],
    ] {
        assert_eq!(ground.andon(wrong).code, Some(1), "{wrong:?}");
    }
    let shown = ground.andon(&["show", &first(&ground)]).well();
    assert!(
        shown.contains("cleared by tester: skip by `pass` (it is fine)"),
        "{shown}"
    );
}

#[test]
fn stations_are_paused_and_items_run_again_or_cancelled() {
    let ground = Ground::new();
    ground
        .line(LINE)
        .write("a.txt", "a\n")
        .write("b.txt", "b\n");
    let _daemon = Daemon::start(&ground, &["."]);
    ground
        .andon(&["submit", "l", "a.txt", "--wait", "60s"])
        .well();
    ground.andon(&["pause", "s", "--why", "lunch"]).well();
    let status = ground.andon(&["status"]).well();
    assert!(status.contains("paused by tester: lunch"), "{status}");
    let rerun = ["rerun", &first(&ground), "--from", "s", "--key", "once"];
    ground.andon(&rerun).well();
    let known = ground.andon(&rerun);
    assert_eq!(known.stderr, "it was run again before with this key\n");
    let waiting = ground
        .andon(&["items", "--phase", "waiting", "--json"])
        .well();
    assert_eq!(waiting.lines().count(), 1, "{waiting}");
    let waiting: serde_json::Value = serde_json::from_str(&waiting_of(&ground)).expect("JSON");
    let item = waiting["item"].as_str().expect("an id");
    assert_eq!(ground.andon(&["cancel", item]).well(), "ITEM is scrapped\n");
    let again = ground.andon(&["cancel", item]);
    assert_eq!(again.code, Some(1), "{again:?}");
    ground.andon(&["resume", "s"]).well();
    let submit = ["submit", "l", "b.txt", "--wait", "60s"];
    assert_eq!(ground.andon(&submit).well(), "b\ns 1\n");
    for wrong in [
        &["pause", "gone"][..],
        &["pause", "s", "--line", "gone"],
        &["rerun", item, "--from", "gone"],
        &["cancel", "gone"],
        &["submit", "gone", "a.txt"],
        &["submit", "l", "a.txt", "--deadline", "soon"],
        &[
            "submit",
            "l",
            "a.txt",
            "--again",
            "--deadline",
            "2001-01-31T09:05:00Z",
        ],
        &[
            "rerun",
            item,
            "--from",
            "s",
            "--deadline",
            "2001-01-31T09:05:00Z",
        ],
        &["answer", item, "yes"],
        &["answer", item],
        &["status", "gone"],
        &["status", "--state", "gone"],
    ] {
        let came = ground.andon(wrong);
        assert_eq!(came.code, Some(1), "{wrong:?}: {came:?}");
        assert!(came.stderr.starts_with("error: "), "{wrong:?}: {came:?}");
    }
    assert!(
        !ground.path("gone").exists(),
        "looking makes no state folder"
    );
}

/// What is listed of the item that waits, its id as it is.
fn waiting_of(ground: &Ground) -> String {
    let list = ["items", "--phase", "waiting", "--json"];
    let items = ground.command(&list).output().expect("it runs");
    String::from_utf8(items.stdout).expect("text")
}

#[test]
fn callers_over_tcp_need_a_token() {
    let ground = Ground::new();
    ground.line(LINE);
    let daemon = Daemon::start(&ground, &[".", "--listen", "127.0.0.1:0"]);
    let token = |name: &str, role: &str| {
        let made = ground.andon(&["token", "add", name, "--role", role]);
        format!("authorization: Bearer {}\r\n", made.well().trim())
    };
    let (viewer, operator) = (token("ada", "viewer"), token("bot@ci", "operator"));
    assert_eq!(daemon.ask("GET /v1/status", "", "").0, 401);
    assert_eq!(daemon.ask("GET /v1/status", &viewer, "").0, 200);
    let submit = "POST /v1/lines/l/items?wait=60s&source=x.txt&label=a=b";
    assert_eq!(daemon.ask(submit, &viewer, "x\n").0, 403);
    let key = format!("{operator}idempotency-key: 1\r\ncontent-type: text/plain\r\n");
    let (status, first) = daemon.ask(submit, &key, "x\n");
    assert_eq!(status, 200, "{first}");
    let (status, second) = daemon.ask(submit, &key, "x\n");
    assert_eq!(status, 200, "{second}");
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let (first, second) = (parsed(&first), parsed(&second));
    assert_eq!(first["item"], second["item"]);
    assert_eq!(
        (&first["known"], &second["known"]),
        (&false.into(), &true.into())
    );
    assert_eq!(second["outcome"]["results"][0]["body"]["text"], "x\ns 1\n");
    // Its way as `andon show` has it, but for what is told a person.
    let item = first["item"].as_str().expect("an id");
    let (_, view) = daemon.ask(&format!("GET /v1/items/{item}"), &viewer, "");
    let shown = parsed(&ground.andon(&["show", item, "--json"]).well());
    let steps = parsed(&view)["history"]
        .as_array()
        .expect("its way")
        .clone();
    assert_eq!(steps.len(), 3, "{view}");
    for (step, shown) in steps
        .iter()
        .zip(shown["history"].as_array().expect("its way"))
    {
        for (key, value) in step.as_object().expect("an object") {
            assert_eq!(shown[key], *value, "{key}");
        }
    }
    let (_, described) = daemon.ask("GET /openapi.json", &viewer, "");
    let printed = ground.andon(&["schema", "--openapi"]).well();
    assert_eq!(parsed(&described), parsed(&printed));
    let (_, figures) = daemon.ask("GET /metrics", &viewer, "");
    assert!(
        figures.contains("andon_line_revision{line=\"l\"} 1.0"),
        "{figures}"
    );
    assert!(!figures.contains(item), "{figures}");
    let twice = "POST /v1/lines/l/items?label=a=b&label=a=c";
    assert_eq!(daemon.ask(twice, &operator, "y\n").0, 400);
    let late = "POST /v1/lines/l/items?deadline=18446744073709552s";
    assert_eq!(daemon.ask(late, &operator, "y\n").0, 400);
    // One that would never end does not begin.
    let admin = token("eve", "admin");
    let admin = format!("{admin}content-type: application/json\r\n");
    let drain = r#"{"within":18446744073709551615}"#;
    assert_eq!(daemon.ask("POST /v1/drain", &admin, drain).0, 400);
    assert_eq!(daemon.ask("GET /v1/status", &viewer, "").0, 200);
    ground.andon(&["token", "revoke", "eve"]).well();
    // A daemon that runs knows of it at once.
    ground.andon(&["token", "revoke", "ada"]).well();
    assert_eq!(daemon.ask("GET /v1/status", &viewer, "").0, 401);
    let list = ground.andon(&["token", "list"]).well();
    assert_eq!(list, "bot@ci  operator  until it is revoked\n");
    for wrong in [
        &["token", "add", "bot@ci", "--role", "viewer"][..],
        &["token", "add", "a b", "--role", "viewer"],
        &["token", "add", "a", "--role", "king"],
        &["token", "revoke", "ada"],
    ] {
        assert_eq!(ground.andon(wrong).code, Some(1), "{wrong:?}");
    }
}

#[test]
fn a_full_line_is_waited_for() {
    let ground = Ground::new();
    ground.line(&format!("{LINE}queue = 1\n"));
    for n in 0..9 {
        ground.write(&format!("in/{n}.txt"), format!("{n}\n"));
    }
    let daemon = Daemon::start(&ground, &[".", "--listen", "127.0.0.1:0"]);
    ground.andon(&["submit", "l", "in/0.txt"]).well();
    ground.andon(&["pause", "s"]).well();
    let token = ground.andon(&["token", "add", "bot", "--role", "operator"]);
    let bearer = format!("authorization: Bearer {}\r\n", token.well().trim());
    let submit = || daemon.ask("POST /v1/lines/l/items", &bearer, "x").0;
    let taken = std::iter::repeat_with(submit).take_while(|status| *status != 429);
    let taken = taken.inspect(|status| assert_eq!(*status, 201)).count();
    let mut waits = ground.spawn(&["submit", "l", "in"]);
    // The one that is known has its answer; for the next there is no room.
    let mut said = BufReader::new(waits.stdout.as_mut().expect("piped"));
    said.read_line(&mut String::new()).expect("it prints");
    ground.andon(&["resume", "s"]).well();
    let waited = waits.wait_with_output().expect("it ends");
    assert!(waited.status.success(), "{:?}", ground.came(waited));
    until(&ground, &["items", "--phase", "done", "--json"], |came| {
        came.stdout.lines().count() == 9 + taken
    });
}

#[test]
fn visits_tell_how_far_they_are() {
    let ground = Ground::new();
    for worker in ["shared", "own"] {
        ground.line(&format!(
            "line = \"{worker}\"\nworker = \"{worker}\"\nentry = \"s\"\n[stations.s]\nuse = \"@falls-silent\"\nnext = \"done\"\nlimits = {{ wall = \"1h\", heartbeat = \"1h\" }}\n"
        ));
        ground.write("a.txt", "a\n");
        let state = ["--state", worker];
        let daemon = Daemon::start(&ground, &[&["."], &state[..]].concat());
        let ask = |arguments: &[&str]| ground.command(&[arguments, &state[..]].concat());
        let item = ask(&["submit", worker, "a.txt"]).output().expect("it runs");
        let item = String::from_utf8(item.stdout).expect("text");
        let item = item.trim();
        let so_far = "2 of 3, nearly\\u{1b}[31m there";
        until(&ground, &[&["status"], &state[..]].concat(), |came| {
            came.stdout.contains(&format!("  ITEM at `s`: {so_far}\n"))
        });
        // The record that the visit began may come to the disk later than the visit to its progress.
        until(&ground, &[&["show", item], &state[..]].concat(), |came| {
            came.stdout.contains(&format!("so far   {so_far}\n"))
        });
        drop(daemon);
        let shown = ground.andon(&[&["show", item], &state[..]].concat()).well();
        assert!(!shown.contains("so far"), "{shown}");
    }
}

#[test]
fn items_are_listed_page_by_page() {
    let ground = Ground::new();
    ground.line(LINE).write("in.jsonl", "1\n2\n3\n4\n5\n");
    ground.andon(&["run", ".", "in.jsonl", "-q"]).well();
    let daemon = Daemon::start(&ground, &[".", "--listen", "127.0.0.1:0"]);
    let token = ground.andon(&["token", "add", "ada", "--role", "viewer"]);
    let bearer = format!("authorization: Bearer {}\r\n", token.well().trim());
    let list = |query: &str| {
        let (status, body) = daemon.ask(&format!("GET /v1/items?{query}"), &bearer, "");
        let parsed: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let of = |item: &serde_json::Value, key| item[key].as_str().expect("text").to_owned();
        let all = parsed.as_array().map(|all| {
            let pairs = all
                .iter()
                .map(|item| (of(item, "item"), of(item, "source")));
            pairs.collect::<Vec<_>>()
        });
        (status, all.unwrap_or_default())
    };
    let (_, all) = list("");
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let (status, page) = list(&format!("most=2{after}"));
        assert_eq!(status, 200);
        let Some((last, _)) = page.last() else { break };
        after = format!("&after={last}");
        let came = ground.command(&["items", "--limit", "9", "--after", last, "--json"]);
        let came = { came }.output().expect("it runs").stdout;
        paged.extend(page);
        let left = String::from_utf8(came).expect("text").lines().count();
        assert_eq!(left, 5 - paged.len());
    }
    assert_eq!(paged, all);
    assert_eq!(paged.len(), 5);
    let gone = "q".repeat(16);
    assert_eq!(list(&format!("after={gone}")).0, 404);
    assert_eq!(list("after=x").0, 400);
    let came = ground.andon(&["items", "--after", &gone]);
    assert!(came.stderr.contains("to go on after"), "{came:?}");
}

#[test]
fn questions_are_answered_and_lines_retooled_beside_the_daemon() {
    const ASKS: &str = "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"ask\"\nvisits = 3\n[stations.ask]\nask = { prompt = \"Ship it?\", choices = [\"pass\", \"rework\"], not = \"submitter\" }\nnext = { pass = \"done\", rework = \"s\" }\n";
    let ground = Ground::new();
    ground.line(ASKS).write("a.txt", "a\n");
    let daemon = Daemon::start(&ground, &[".", "--listen", "127.0.0.1:0"]);
    ground
        .andon(&["submit", "l", "a.txt", "--by", "ada"])
        .well();
    let held = ["items", "--held", "--json"];
    until(&ground, &held, |came| came.stdout.lines().count() == 1);
    let item = first(&ground);
    let status = ground.andon(&["status"]).well();
    assert!(
        status.contains("ask            0        -        1        0        -        -        -        -        -\n"),
        "{status}"
    );
    // Over TCP nobody does by a role that is too low what the owner does over the socket.
    let token = |name: &str, role: &str| {
        let made = ground.andon(&["token", "add", name, "--role", role]).well();
        format!(
            "authorization: Bearer {}\r\ncontent-type: application/json\r\n",
            made.trim()
        )
    };
    let (viewer, operator, ada) = (
        token("viv", "viewer"),
        token("oscar", "operator"),
        token("ada", "operator"),
    );
    let answer = format!("POST /v1/items/{item}/answer");
    let rework = "{\"choice\":\"rework\"}";
    assert_eq!(daemon.ask(&answer, &viewer, rework).0, 403);
    assert_eq!(daemon.ask(&answer, &ada, rework).0, 403);
    let (status, body) = daemon.ask(&answer, &operator, rework);
    assert_eq!(status, 200, "{body}");
    until(&ground, &held, |came| came.stdout.lines().count() == 1);
    let own = ground.andon(&["answer", &item, "pass", "--by", "ada"]);
    assert!(own.stderr.contains("lets somebody else answer"), "{own:?}");
    let wrong = ground.andon(&["answer", &item, "perhaps"]);
    assert!(wrong.stderr.contains("choose one of"), "{wrong:?}");
    ground
        .andon(&["answer", &item, "pass", "--why", "good"])
        .well();
    let done = ["items", "--phase", "done", "--json"];
    until(&ground, &done, |came| came.stdout.lines().count() == 1);
    let shown = ground.andon(&["show", &item]).well();
    assert!(shown.contains("answered by oscar: rework"), "{shown}");
    assert!(shown.contains("answered by tester: pass"), "{shown}");

    ground.line(&ASKS.replace("rework = \"s\"", "rework = \"scrap\""));
    for (path, body) in [
        ("retool/plan", "{}"),
        ("retool", "{}"),
        ("promote", "{}"),
        ("retool/plan", "{\"aim\":{\"file\":\"/etc/passwd\"}}"),
    ] {
        for low in [&viewer, &operator] {
            let (status, body) = daemon.ask(&format!("POST /v1/lines/l/{path}"), low, body);
            assert_eq!(status, 403, "{path}: {body}");
            assert!(body.contains("an admin is needed"), "{path}: {body}");
        }
    }
    let retool = ["retool", "l", "--yes", "--reason", "no second time"];
    ground.andon(&retool).well();
    let status = ground.andon(&["status"]).well();
    assert!(status.starts_with("l  revision 2"), "{status}");
}

#[test]
fn a_cache_that_cannot_be_written_is_told_with_what_to_do() {
    let ground = Ground::new();
    ground.line(LINE).write("file", "in the way");
    let mut serve = ground.command(&["serve", "."]);
    serve.env("XDG_CACHE_HOME", ground.path("file/cache"));
    let came = ground.came(serve.output().expect("it runs"));
    assert_eq!(came.code, Some(1), "{came:?}");
    let said = "`DIR/file/cache/andon/compiled`, where compiled stations are kept: ";
    assert!(came.stderr.contains(said), "{came:?}");
    assert!(
        came.stderr
            .contains("hint: free it, or let `XDG_CACHE_HOME`"),
        "{came:?}"
    );
}

#[test]
fn logs_are_followed_until_the_daemon_ends() {
    let ground = Ground::new();
    ground
        .line("line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@tells\"\nnext = \"t\"\n[stations.t]\nuse = \"@tells\"\nnext = \"done\"\n")
        .write("a.txt", "a\n");
    let none = ground.andon(&["logs", "-f", "--state", "gone"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    let daemon = Daemon::start(&ground, &[".", "--listen", "127.0.0.1:0"]);
    let mut follows = ground.spawn(&["logs", "-f", "--station", "t", "--json"]);
    ground
        .andon(&["submit", "l", "a.txt", "--wait", "60s"])
        .well();
    let mut logged = BufReader::new(follows.stdout.take().expect("piped"));
    let line = hears(&mut logged, "told");
    assert!(line.contains("\"station\":\"t\""), "{line}");
    assert!(line.contains("\"level\":\"stderr\""), "{line}");
    let path = "GET /v1/logs?station=s";
    assert_eq!(daemon.ask(path, "", "").0, 401);
    let token = ground.andon(&["token", "add", "viv", "--role", "viewer"]);
    let bearer = format!("authorization: Bearer {}\r\n", token.well().trim());
    let (status, body) = daemon.ask(path, &bearer, "");
    assert_eq!((status, body.matches("told").count()), (200, 1), "{body}");
    ground.andon(&["drain", "--within", "10s"]).well();
    let mut rest = String::new();
    logged.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "");
    let ended = follows.wait_with_output().expect("it ends");
    assert_eq!(ground.came(ended).stderr, "the daemon has ended\n");
}

/// No file of the daemon may grow over a bound, which is what a full disk is to it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_waited_for() {
    let ground = Ground::new();
    ground.line(LINE);
    let inputs: String = (0..600)
        .map(|n| format!("\"{n}{}\"\n", "x".repeat(2000)))
        .collect();
    ground
        .write("in.jsonl", inputs)
        .write("large.txt", "x".repeat(1 << 20));
    // Compiled before, with room.
    ground.andon(&["check", "."]).well();
    let mut bounded = Command::new("sh");
    let serve = ground.command(&["serve", "."]);
    bounded
        .args(["-c", "ulimit -S -f 600; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .envs(
            serve
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(ground.path(""));
    let daemon = Daemon::of(bounded);
    let hint = "\n  hint: free some space: what was reported as done is kept\n";
    let large = ground.andon(&["submit", "l", "large.txt"]);
    assert_eq!(large.code, Some(1), "{large:?}");
    assert!(large.stderr.contains(hint), "{large:?}");
    let submit = ["submit", "l", "in.jsonl", "--jsonl"];
    assert_eq!(ground.andon(&submit).code, Some(1));
    let status = until(&ground, &["status"], |came| {
        came.stdout.contains("waiting until")
    });
    assert!(status.stdout.contains(hint), "{status:?}");
    let limit = Rlimit {
        current: None,
        maximum: None,
    };
    prlimit(Some(daemon.pid()), Resource::Fsize, limit).expect("it may be set");
    until(&ground, &["status"], |came| {
        came.stdout.starts_with("l  revision 1")
    });
    ground.andon(&submit).well();
    until(&ground, &["items", "--phase", "done", "--json"], |came| {
        came.stdout.lines().count() == 600
    });
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().0.success());
}

#[cfg(target_os = "linux")]
#[test]
fn status_is_watched_on_a_terminal() {
    let ground = Ground::new();
    ground.line(LINE);
    let daemon = Daemon::start(&ground, &["."]);
    let watch = format!("'{}' status --watch", env!("CARGO_BIN_EXE_andon"));
    // A terminal for the command to draw on.
    let mut watches = Command::new("script")
        .args(["--quiet", "--return", "--command", &watch, "/dev/null"])
        .current_dir(ground.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut shown = BufReader::new(watches.stdout.take().expect("piped"));
    let first = hears(&mut shown, "l  revision 1");
    assert!(first.starts_with("\u{1b}[H\u{1b}[J"), "{first}");
    hears(&mut shown, "l  revision 1");
    // It ends with the daemon.
    drop(daemon);
    let mut rest = String::new();
    shown.read_to_string(&mut rest).expect("text");
    assert!(rest.contains("error: "), "{rest}");
    assert!(!rest.contains("panicked"), "{rest}");
    assert_eq!(watches.wait().expect("it ends").code(), Some(1));
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_daemon_goes_on() {
    let ground = Ground::new();
    ground.line(PARKS).write("a.txt", "a\n");
    let mut daemon = Daemon::start(&ground, &[".", "--drain", "1h"]);
    ground.andon(&["submit", "l", "a.txt"]).well();
    let works = ["items", "--phase", "working", "--json"];
    until(&ground, &works, |came| came.stdout.lines().count() == 1);
    daemon.signal(Signal::TERM);
    daemon.hears("stopping");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().0.code(), Some(130));
    // Its socket is still there, and nobody listens.
    assert!(ground.path(".andon/serve.sock").exists());
    let status = ground.andon(&["status"]).well();
    assert!(status.starts_with("no daemon runs these lines"), "{status}");
    let daemon = Daemon::start(&ground, &["."]);
    until(&ground, &works, |came| came.stdout.lines().count() == 1);
    ground.andon(&["drain", "--within", "0s"]).well();
    assert_eq!(daemon.ended().0.code(), Some(0));
}

#[test]
fn daemons_that_do_not_begin() {
    let ground = Ground::new();
    ground.line(LINE);
    let said = |arguments: &[&str]| {
        let came = ground.andon(&[&["serve"], arguments].concat());
        let lines: Vec<&str> = came
            .stderr
            .lines()
            .filter(|line| !on_the_way(line))
            .collect();
        format!(
            "{:?} {}\n{}\n",
            came.code,
            arguments.join(" "),
            lines.join("\n")
        )
    };
    let mut all = said(&[]);
    all += &said(&["gone"]);
    // Where there is nothing to serve, nothing is made either.
    assert!(!ground.path(".andon").exists());
    all += &said(&[".", "."]);
    all += &said(&[".", "--listen", "0.0.0.0:80"]);
    all += &said(&[".", "--listen", "localhost"]);
    let deep = "d".repeat(120);
    std::fs::create_dir(ground.path(&deep)).expect("made");
    all += &said(&[".", "--state", &deep]).replace(&deep, "DEEP");
    let daemon = Daemon::start(&ground, &["."]);
    all += &said(&["."]);
    insta::assert_snapshot!(all);
    drop(daemon);
    std::fs::remove_file(ground.path(".andon/serve.sock")).expect("a dead daemon's");
    ground.write(".andon/serve.sock", "mine");
    let came = said(&["."]);
    assert!(came.contains("is no socket"), "{came}");
}
