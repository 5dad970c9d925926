//! Calls over HTTP by real stations on real lines, to servers of the tests' own: what is not granted
//! jams alone and says why, while other items go on.

mod guests;
#[allow(dead_code, reason = "the host's own tests use more of it")]
#[path = "../../host/src/sandbox/egress/tests/servers.rs"]
mod servers;
mod tls;

use crate::ground::{Came, Ground, in_both_workers};
use flate2::{Compression, write::GzEncoder};
use servers::{Answers, Names, Server};
use std::{ffi::OsString, fs::File, io::Write as _};
use tokio::runtime::Runtime;

in_both_workers! {
    what_is_not_granted_jams_alone_and_says_why
    a_line_may_make_it_an_error_of_the_guest
    servers_that_answer_too_much_or_not_at_all_are_an_error_of_the_guest
    visits_that_wait_for_a_server_do_not_stop_the_line
}

/// Where the servers run while the command does.
fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// Runs a line whose station makes one call for each input.
fn run(ground: &Ground, grants: &str, calls: &[String]) -> Came {
    run_as(ground, grants, calls, &[])
}

/// The same with these variables in the command's environment.
fn run_as(
    ground: &Ground,
    grants: &str,
    calls: &[String],
    environment: &[(&str, OsString)],
) -> Came {
    ground.line(&format!(
        r#"
line = "l"
entry = "call"
defaults.retry = {{ attempts = 1 }}
[stations.call]
use = "@calls"
workers = 64
next = {{ pass = "done", reject = "done" }}
{grants}
"#
    ));
    let lines: String = calls.iter().map(|call| format!("{call}\n")).collect();
    ground.write("calls.jsonl", lines);
    let calls = File::open(ground.path("calls.jsonl")).expect("written");
    let output = ground
        .command(&["run", ".", "-", "--jsonl", "-q", "--state", "state"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(calls)
        .output()
        .expect("the command runs");
    ground.came(output)
}

fn call(call: &str) -> String {
    serde_json::json!({ "call": call }).to_string()
}

fn what_is_not_granted_jams_alone_and_says_why(worker: &'static str) {
    let runtime = runtime();
    let server = runtime.block_on(Server::start(Answers::Echo));
    let other = runtime.block_on(Server::start(Answers::Echo));
    let away = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data\r\ncontent-length: 0\r\n\r\n";
    let away = runtime.block_on(Server::start(Answers::Raw(away.into())));
    let names = runtime.block_on(Names::start(&[
        ("inside.test", &["10.0.0.1"]),
        ("metadata.test", &["169.254.169.254"]),
    ]));
    let (url, port) = (server.url(), server.address.port());
    let grants = format!(
        r#"grants.http = [
  "GET http://127.0.0.1:{port}/v1/**",
  "GET http://inside.test/**",
  {{ rule = "GET http://metadata.test/**", private = true }},
  "GET http://127.0.0.1:{}/",
]"#,
        away.address.port()
    );
    let not = "no grant of the station's line is for it";
    let bad = [
        (call(&format!("POST {url}/v1/x")), not),
        (call(&format!("GET {url}/v2/x")), not),
        (call(&format!("GET {url}/v1/%2e%2e/v2")), not),
        (call(&format!("GET {url}/v1/..%2fv2")), not),
        (call(&format!("GET https://127.0.0.1:{port}/v1/x")), not),
        (call(&format!("GET {}/v1/x", other.url())), not),
        (call(&format!("GET http://localhost:{port}/v1/x")), not),
        (call("GET http://2852039166/latest"), not),
        (
            call(&format!("GET http://[::ffff:7f00:1]:{port}/v1/x")),
            not,
        ),
        (call("GET http://a.test./"), "a dot at its end"),
        (call("GET http://user@inside.test/"), "a user or password"),
        (
            call("GET http://inside.test/"),
            "`10.0.0.1` is a private address",
        ),
        (call("GET http://metadata.test/"), "metadata address"),
        (
            serde_json::json!({
                "call": format!("GET {}/", away.url()),
                "headers": [["authorization", "Bearer mine"]],
                "follow": 3,
            })
            .to_string(),
            "GET http://169.254.169.254/latest/meta-data",
        ),
    ];
    let good = call(&format!("GET {url}/v1/x"));
    let calls: Vec<String> = bad
        .iter()
        .map(|(call, _)| call.clone())
        .chain([good])
        .collect();
    let ground = Ground::with_worker(worker);
    ground.write(
        "andon.toml",
        format!("[network]\nresolvers = [\"{}\"]\n", names.address),
    );
    let out = run(&ground, &grants, &calls);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    assert_eq!(
        out.stdout,
        format!("GET {url}/v1/x: 200 GET /v1/x HTTP/1.1\n")
    );
    for (call, reason) in &bad {
        assert!(
            out.stderr.contains(reason),
            "{call}: {reason} in\n{}",
            out.whole()
        );
    }
    let jammed = ground
        .andon(&["items", "--jammed", "--state", "state"])
        .well();
    assert_eq!(
        jammed.lines().filter(|line| line.contains("call")).count(),
        bad.len(),
        "{jammed}"
    );
    assert!(
        out.stderr.contains(&format!(
            "`grants.http = [\"POST {url}/v1/x\"]` at line.toml:"
        )),
        "{}",
        out.whole()
    );
    // Nothing of it came to any server.
    assert_eq!(other.connections(), 0);
    assert_eq!(server.requests().len(), 1);
    let denied = ground
        .andon(&["audit", "--denied", "--state", "state"])
        .well();
    assert!(denied.contains(&format!("POST {url}/v1/x")), "{denied}");
}

fn a_line_may_make_it_an_error_of_the_guest(worker: &'static str) {
    let ground = Ground::with_worker(worker);
    let calls = [call("GET http://10.0.0.1/")];
    let out = run(&ground, "violation = \"deny\"", &calls);
    assert_eq!(
        out.well(),
        "GET http://10.0.0.1/: the line does not grant this call\n"
    );
}

fn servers_that_answer_too_much_or_not_at_all_are_an_error_of_the_guest(worker: &'static str) {
    let runtime = runtime();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 64 << 20]).expect("it packs");
    let packed = encoder.finish().expect("it packs");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        packed.len()
    );
    let bomb = [head.into_bytes(), packed].concat();
    let servers = runtime.block_on(async {
        [
            Server::start(Answers::Bytes(bomb)).await,
            Server::start(Answers::Endless).await,
            Server::start(Answers::Silence).await,
        ]
    });
    let grants: Vec<String> = servers
        .iter()
        .map(|server| {
            format!(
                "{{ rule = \"GET {}/**\", timeout = \"2s\", max-response = \"1MiB\" }}",
                server.url()
            )
        })
        .collect();
    let grants = format!(
        "grants.http = [{}]\nlimits = {{ memory = \"16MiB\" }}",
        grants.join(", ")
    );
    let calls: Vec<String> = servers
        .iter()
        .map(|server| call(&format!("GET {}/", server.url())))
        .collect();
    let ground = Ground::with_worker(worker);
    let out = run(&ground, &grants, &calls).well();
    for (server, came) in servers.iter().zip([
        "the answer is longer than the grant allows",
        "the answer is longer than the grant allows",
        "the call took too long",
    ]) {
        assert!(
            out.contains(&format!("GET {}/: {came}\n", server.url())),
            "{out}"
        );
    }
}

/// Sixty-four visits that wait for a server that says nothing, and one that does not.
fn visits_that_wait_for_a_server_do_not_stop_the_line(worker: &'static str) {
    let runtime = runtime();
    let silent = runtime.block_on(Server::start(Answers::Silence));
    let server = runtime.block_on(Server::start(Answers::Echo));
    let grants = format!(
        r#"limits = {{ wall = "3s" }}
rate = {{ requests = "1000/s" }}
grants.http = ["GET {}/**", "GET {}/**"]"#,
        silent.url(),
        server.url()
    );
    let mut calls: Vec<String> = (0..63)
        .map(|n| call(&format!("GET {}/{n}", silent.url())))
        .collect();
    calls.push(call(&format!("GET {}/x", server.url())));
    let ground = Ground::with_worker(worker);
    let out = run(&ground, &grants, &calls);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    assert_eq!(
        out.stdout,
        format!("GET {0}/x: 200 GET /x HTTP/1.1\n", server.url())
    );
    assert!(
        out.stderr.contains("over the limit `wall` of 3s"),
        "{}",
        out.whole()
    );
}
