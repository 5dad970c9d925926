//! The effect log under real stations on real lines: what is done once stays done once, whatever ends
//! between the call and its answer.

use crate::{
    counting::Counting,
    ground::{Came, Ground, in_both_workers, root},
};
use std::fs;

in_both_workers! {
    what_was_answered_before_a_kill_is_not_asked_again
    a_kill_while_a_server_works_leaves_it_to_a_person
    a_kill_while_a_server_works_is_no_matter_where_the_line_says_so
    a_stop_repeats_what_is_safe_and_nothing_else
    what_a_server_did_not_do_is_done_by_the_next_attempt
    a_server_that_hangs_up_leaves_it_to_a_person
    a_station_that_changes_its_mind_jams
    models_are_asked_anew
    long_answers_come_back_whole
    a_recorded_visit_is_replayed_without_a_network
}

const RETRY: &str = "retry = { attempts = 3, backoff = \"1ms..2ms\" }";

/// A line with one station that may do anything at the server; `more` is of its grant.
fn ground(worker: &'static str, server: &Counting, more: &str) -> Ground {
    let ground = Ground::with_worker(worker);
    ground.line(&format!(
        r#"
line = "l"
entry = "act"
[stations.act]
use = "@acts"
next = "done"
{RETRY}
grants.http = [{{ rule = "* {}/**", private = true{more} }}]
"#,
        server.url()
    ));
    ground
}

/// Steps, `$` standing for the server.
fn script(ground: &Ground, server: &Counting, steps: &str) {
    ground.write("in.txt", steps.replace('$', &server.url()));
}

fn run(ground: &Ground) -> Came {
    ground.andon(&["run", ".", "in.txt", "-q"])
}

/// Runs until the server has a request in its hands that it does not answer, and kills the host there.
fn killed(ground: &Ground, server: &Counting) {
    // The kill is to hit the run, not the building of its station.
    ground.andon(&["check", "."]).well();
    let held = server.held();
    let mut child = ground.spawn(&["run", ".", "in.txt", "-q"]);
    server.wait_for_held(held);
    child.kill().expect("the child can be killed");
    child.wait().expect("the child ends");
}

#[track_caller]
fn jams(came: &Came, reason: &str) {
    assert_eq!(came.code, Some(2), "{}", came.whole());
    assert!(came.stderr.contains(reason), "{reason} in {}", came.whole());
}

fn what_was_answered_before_a_kill_is_not_asked_again(worker: &'static str) {
    let server = Counting::start();
    // What is held is not safe: before it left, all before it was durable.
    let ground = ground(worker, &server, ", idempotent = true");
    let steps =
        "clock\nrandom\nPOST $/a one\nGET $/b\nclock\nsleep 5\nPOST $/hold\nPOST $/a one\nclock";
    script(&ground, &server, steps);
    killed(&ground, &server);
    server.saw(&[("GET /b", 1), ("POST /a", 1), ("POST /hold", 1)]);
    server.release();
    let came = run(&ground).well();
    let told: Vec<&str> = came.lines().collect();
    assert_eq!(told[2..4], ["POST: 200 1", "GET: 200 1"], "{came}");
    assert_eq!(told[7], "POST: 200 2", "{came}");
    let clock = |line: &str| -> u128 { line.strip_prefix("clock: ").unwrap().parse().unwrap() };
    let clocks = [told[0], told[4], told[8]].map(clock);
    assert!(clocks.is_sorted(), "{came}");
    server.saw(&[("GET /b", 1), ("POST /a", 2), ("POST /hold", 2)]);
    assert_ne!(server.keys("POST /a")[0], server.keys("POST /a")[1]);
}

fn a_kill_while_a_server_works_leaves_it_to_a_person(worker: &'static str) {
    let server = Counting::start();
    let ground = ground(worker, &server, "");
    script(&ground, &server, "POST $/a\nPOST $/hold");
    killed(&ground, &server);
    server.release();
    let what = format!("`POST {}/hold` was sent in run 1", server.url());
    jams(&run(&ground), &what);
    server.saw(&[("POST /a", 1), ("POST /hold", 1)]);
    let items = ground.andon(&["items", "--jammed", "--json"]);
    let items = items.well();
    assert!(items.contains("nobody knows whether it arrived"), "{items}");
    let item = raw_item(&ground);
    ground
        .andon(&["clear", &item, "retry", "--why", "it did not arrive"])
        .well();
    assert_eq!(run(&ground).well(), "POST: 200 1\nPOST: 200 2\n");
    server.saw(&[("POST /a", 1), ("POST /hold", 2)]);
    let keys = server.keys("POST /hold");
    assert_eq!(keys[0], keys[1]);
}

/// The id of the only item.
fn raw_item(ground: &Ground) -> String {
    let listed = ground
        .command(&["items", "--json"])
        .output()
        .expect("it runs");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let item: serde_json::Value = serde_json::from_str(listed.lines().next().expect("an item"))
        .unwrap_or_else(|_| serde_json::from_str(&listed).expect("JSON"));
    let item = item.get(0).unwrap_or(&item);
    item["item"].as_str().expect("an id").into()
}

fn a_kill_while_a_server_works_is_no_matter_where_the_line_says_so(worker: &'static str) {
    let server = Counting::start();
    let ground = ground(worker, &server, ", idempotent = true");
    script(&ground, &server, "POST $/a\nPOST $/hold");
    killed(&ground, &server);
    server.release();
    assert_eq!(run(&ground).well(), "POST: 200 1\nPOST: 200 2\n");
    let keys = server.keys("POST /hold");
    assert_eq!(keys[0], keys[1]);
    server.saw(&[("POST /a", 1), ("POST /hold", 2)]);
}

fn a_stop_repeats_what_is_safe_and_nothing_else(worker: &'static str) {
    let server = Counting::start();
    let ground = ground(worker, &server, "");
    script(
        &ground,
        &server,
        "GET $/a\nPOST $/b one\nPOST $/b two\nPOST $/b one\nagain 3\nDELETE $/c",
    );
    let came = run(&ground).well();
    assert_eq!(
        came,
        "GET: 200 3\nPOST: 200 1\nPOST: 200 2\nPOST: 200 3\nDELETE: 200 1\n"
    );
    server.saw(&[("DELETE /c", 1), ("GET /a", 3), ("POST /b", 3)]);
    let shown = ground
        .andon(&["show", &raw_item(&ground), "--effects"])
        .well();
    insta::allow_duplicates! {
        insta::assert_snapshot!("effects_of_an_item", plain(&shown, &server));
    }
}

/// The effects, without what differs from run to run: the server, times.
fn plain(text: &str, server: &Counting) -> String {
    let text = text.replace(&server.url(), "SERVER");
    let effects = text.lines().filter_map(|line| line.split_once("Z  "));
    let effects = effects.filter(|(_, line)| line.starts_with("effect "));
    effects.map(|(_, line)| format!("{line}\n")).collect()
}

fn what_a_server_did_not_do_is_done_by_the_next_attempt(worker: &'static str) {
    for (path, status) in [("busy", 503), ("slow-down", 429)] {
        let server = Counting::start();
        let ground = ground(worker, &server, "");
        script(
            &ground,
            &server,
            &format!("POST $/a\nPOST $/{path}\nagain-at {status}"),
        );
        assert_eq!(run(&ground).well(), "POST: 200 1\nPOST: 200 2\n");
        let post = format!("POST /{path}");
        server.saw(&[("POST /a", 1), (&*post, 2)]);
        let keys = server.keys(&post);
        assert_eq!(keys[0], keys[1]);
    }
}

fn a_server_that_hangs_up_leaves_it_to_a_person(worker: &'static str) {
    let server = Counting::start();
    let strict = ground(worker, &server, "");
    script(&strict, &server, "POST $/a\nPOST $/hang-up\nagain-at 0");
    jams(&run(&strict), "nobody knows whether it arrived");
    server.saw(&[("POST /a", 1), ("POST /hang-up", 1)]);
    let lenient = ground(worker, &server, ", idempotent = true");
    script(&lenient, &server, "POST $/hang-up\nagain-at 0");
    assert_eq!(run(&lenient).well(), "POST: 200 2\n");
    let nobody = Counting::start();
    let refused = ground(worker, &nobody, "");
    script(&refused, &nobody, "POST $/a\nagain-at 0");
    nobody.stop();
    jams(
        &run(&refused),
        "every attempt failed, the last one: POST: the call failed",
    );
}

fn a_station_that_changes_its_mind_jams(worker: &'static str) {
    let server = Counting::start();
    let ground = ground(worker, &server, "");
    script(&ground, &server, "POST $/a this is ATTEMPT\nagain 2");
    jams(&run(&ground), "which it did not do before");
    server.saw(&[("POST /a", 1)]);
}

fn models_are_asked_anew(worker: &'static str) {
    let server = Counting::start();
    let ground = ground(worker, &server, ", resample = true");
    script(&ground, &server, "POST $/a\nagain 3");
    assert_eq!(run(&ground).well(), "POST: 200 3\n");
}

fn long_answers_come_back_whole(worker: &'static str) {
    let server = Counting::start();
    let ground = ground(worker, &server, "");
    script(&ground, &server, "POST $/long\nagain 2");
    assert_eq!(run(&ground).well(), "POST: 200 and 300000 bytes\n");
    server.saw(&[("POST /long", 1)]);
}

fn a_recorded_visit_is_replayed_without_a_network(worker: &'static str) {
    let server = Counting::start();
    let ground = ground(worker, &server, "");
    let steps = "clock\nrandom\nPOST $/a one\nGET $/long\nsleep 20\nclock\nagain 2\nPOST $/a one";
    script(&ground, &server, steps);
    run(&ground).well();
    let item = raw_item(&ground);
    server.saw(&[("GET /long", 2), ("POST /a", 2)]);
    server.stop();
    ground.andon(&["replay", &item, "act"]).well();
    // A copy of the station, so that nothing is written beside the one of the tests.
    let acts = root().join("tests/stations/acts");
    for file in ["Cargo.toml", "station.toml", "src/lib.rs"] {
        let text = fs::read_to_string(acts.join(file)).expect("readable");
        let sdk = root().join("sdk/rust").display().to_string();
        let text = text
            .replace("../../../sdk/rust", &sdk)
            .replace(".workspace = true", " = \"0.1.0\"");
        let text = text.replace("edition = \"0.1.0\"", "edition = \"2024\"");
        let text = match file {
            "Cargo.toml" => {
                let fields = ["license", "publish"];
                let kept = |line: &&str| !fields.iter().any(|field| line.starts_with(field));
                text.lines().filter(kept).collect::<Vec<_>>().join("\n") + "\n[workspace]\n"
            }
            _ => text,
        };
        ground.write(&format!("station/{file}"), text);
    }
    ground
        .andon(&[
            "test", "station", "--record", &item, "--at", "act", "--name", "one",
        ])
        .well();
    assert_eq!(ground.andon(&["test", "station"]).well(), "one: the same\n");
    // What somebody wrote into a recording opens nothing.
    let path = ground.path("station/cassettes/one/cassette.json");
    let recorded = fs::read_to_string(&path).expect("readable");
    let mut wider: serde_json::Value = serde_json::from_str(&recorded).expect("JSON");
    let host = ground.path("");
    wider["line"]["stations"]["act"]["grants"]["fs"] =
        serde_json::json!([{ "host": host, "guest": "/data", "access": "write" }]);
    fs::write(&path, wider.to_string()).expect("written");
    let refused = ground.andon(&["test", "station"]);
    assert_eq!(refused.code, Some(1), "{}", refused.whole());
    assert!(
        refused
            .stderr
            .contains("folders of the host's, which no cassette may"),
        "{}",
        refused.whole()
    );
    fs::write(&path, recorded).expect("written");
    // Another version that says something else, and one that calls something else.
    let source = ground.path("station/src/lib.rs");
    let text = fs::read_to_string(&source).expect("readable");
    fs::write(&source, text.replace("slept", "rested")).expect("written");
    let different = ground.andon(&["test", "station"]);
    assert_eq!(different.code, Some(1), "{}", different.whole());
    assert!(
        different.stdout.contains("+sleep: rested"),
        "{}",
        different.whole()
    );
    let replayed = ground.andon(&["replay", &item, "act", "--with", "station"]);
    assert_eq!(replayed.code, Some(1), "{}", replayed.whole());
    assert_eq!(
        ground.andon(&["test", "station", "--update"]).well(),
        "one: updated\n"
    );
    assert_eq!(ground.andon(&["test", "station"]).well(), "one: the same\n");
    fs::write(
        &source,
        text.replace("(method, url)", "(method, url.trim_end_matches('a'))"),
    )
    .expect("written");
    let diverged = ground.andon(&["test", "station"]);
    assert_eq!(diverged.code, Some(1), "{}", diverged.whole());
    assert!(
        diverged.stdout.contains("jammed: diverged: it asks for"),
        "{}",
        diverged.whole()
    );
}
