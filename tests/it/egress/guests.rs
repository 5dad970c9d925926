//! What guests try with the calls that they may make.

use super::{
    call, run, run_as, runtime,
    servers::{Answers, Server},
};
use crate::ground::{Ground, in_both_workers};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

in_both_workers! {
    a_secret_that_a_server_sends_back_does_not_come_in
    line_breaks_make_no_second_header_or_request
    a_guest_that_leaves_does_not_leave_half_a_request
    what_one_attempt_sent_the_next_is_answered_from_the_log
    what_was_put_in_for_one_host_does_not_follow_to_another
    programs_of_wasi_0_3_call_by_the_same_way
}

const SECRET: &str = "s3cr3t/of+the-operator";

/// The secret of a server's, and the environment that it comes from.
fn secret(server: &Server) -> String {
    let url = server.url();
    format!("{{ name = \"KEY\", header = \"authorization\", for = \"{url}/**\" }}")
}

fn environment() -> [(&'static str, std::ffi::OsString); 1] {
    [("ANDON_SECRET_KEY", SECRET.into())]
}

fn audit(ground: &Ground) -> String {
    ground.andon(&["audit", "--state", "state"]).well()
}

fn a_secret_that_a_server_sends_back_does_not_come_in(worker: &'static str) {
    let runtime = runtime();
    let percent: String = SECRET.bytes().map(|b| format!("%{b:02X}")).collect();
    let split: String = SECRET.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let base64 = BASE64_STANDARD.encode(format!("x{SECRET}y"));
    let whole = |text: &str| {
        let length = text.len();
        format!("HTTP/1.1 200 OK\r\nx-echo: {text}\r\ncontent-length: {length}\r\n\r\n{text}")
    };
    let answers = [
        whole(SECRET),
        whole(&percent),
        whole(&base64),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{split}0\r\n\r\n"),
    ];
    let servers: Vec<Server> = (answers.iter())
        .map(|answer| runtime.block_on(Server::start(Answers::Raw(answer.clone()))))
        .collect();
    let urls: Vec<String> = servers
        .iter()
        .map(|s| format!("\"GET {}/\"", s.url()))
        .collect();
    let secrets: Vec<String> = servers.iter().map(secret).collect();
    let grants = format!(
        "grants.http = [{}]\ngrants.secrets = [{}]",
        urls.join(", "),
        secrets.join(", ")
    );
    let calls: Vec<String> = (servers.iter())
        .map(|server| {
            json!({ "call": format!("GET {}/", server.url()), "whole": true }).to_string()
        })
        .collect();
    let ground = Ground::with_worker(worker);
    let out = run_as(&ground, &grants, &calls, &environment()).well();
    assert_eq!(out.matches(": 200 ").count(), servers.len(), "{out}");
    let redacted = out.matches("[redacted KEY]").count();
    assert_eq!(redacted, 2 * servers.len() - 1, "{out}");
    for form in [SECRET, percent.as_str(), &base64[4..base64.len() - 4]] {
        assert!(!out.contains(form), "{form} in {out}");
        ground.holds_nothing_of("", form);
    }
    for server in &servers {
        let request = &server.requests()[0];
        assert!(
            request.contains(&format!("authorization: Bearer {SECRET}\r\n")),
            "{request}"
        );
        let used = format!("KEY → {}/", server.url());
        let audit = audit(&ground);
        assert!(audit.contains(&used), "{used} in\n{audit}");
    }
}

fn line_breaks_make_no_second_header_or_request(worker: &'static str) {
    let runtime = runtime();
    let server = runtime.block_on(Server::start(Answers::Echo));
    let url = server.url();
    let with = |name: &str, value: &str| {
        json!({ "call": format!("GET {url}/x"), "headers": [[name, value]] }).to_string()
    };
    let calls = [
        with("x-a", "1\r\nx-b: 2"),
        with("x-a", "1\nx-b: 2"),
        with("x-a", "1\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
        with("x-a\r\nx-b", "2"),
        with("x-a: 1\r\nx-b", "2"),
        with("x a", "2"),
        call(&format!("GET {url}/x HTTP/1.1\r\nx-b: 2\r\n\r\n")),
        call(&format!("GET {url}/x?a=\r\nx-b: 2")),
        call(&format!("GET {url}\r\n/x")),
        json!({ "call": format!("GET\r\nx-b:2 {url}/x") }).to_string(),
    ];
    let grants = format!("grants.http = [\"* {url}/**\"]");
    let ground = Ground::with_worker(worker);
    let out = run(&ground, &grants, &calls).well();
    let refused = out.matches("the request cannot be sent").count();
    assert_eq!(refused, calls.len(), "{out}");
    assert_eq!(server.connections(), 0);
}

fn a_guest_that_leaves_does_not_leave_half_a_request(worker: &'static str) {
    let runtime = runtime();
    let silent = runtime.block_on(Server::start(Answers::Silence));
    let body = "x".repeat(200_000);
    let post = json!({ "call": format!("POST {}/x", silent.url()), "body": body }).to_string();
    let grants = format!(
        "limits.wall = \"2s\"\ngrants.http = [\"POST {}/**\"]",
        silent.url()
    );
    let ground = Ground::with_worker(worker);
    let out = run(&ground, &grants, &[post]);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    assert!(
        out.stderr.contains("over the limit `wall` of 2s"),
        "{}",
        out.whole()
    );
    let requests = silent.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].ends_with(&format!("\r\n\r\n{body}")));
    let told = format!("POST {}/x", silent.url());
    assert!(audit(&ground).contains(&told), "{}", audit(&ground));
}

fn what_one_attempt_sent_the_next_is_answered_from_the_log(worker: &'static str) {
    let runtime = runtime();
    let server = runtime.block_on(Server::start(Answers::Echo));
    let url = server.url();
    let grants = format!(
        "retry = {{ attempts = 3, backoff = \"1ms..1ms\" }}\ngrants.http = [\"POST {url}/**\"]"
    );
    let post = json!({ "call": format!("POST {url}/x"), "body": "once", "stop": true }).to_string();
    let ground = Ground::with_worker(worker);
    let out = run(&ground, &grants, &[post]);
    assert_eq!(out.code, Some(2), "{}", out.whole());
    assert!(out.stderr.contains("it stops"), "{}", out.whole());
    assert_eq!(server.requests().len(), 1);
    let audit = audit(&ground);
    let ended = audit.matches("ended as done: status 200").count();
    assert_eq!(ended, 1, "{audit}");
}

fn what_was_put_in_for_one_host_does_not_follow_to_another(worker: &'static str) {
    let runtime = runtime();
    let others = runtime.block_on(async {
        [
            Server::start(Answers::Echo).await,
            Server::start(Answers::Echo).await,
        ]
    });
    let [open, closed] = &others;
    let away = others.each_ref().map(|other| {
        let to = other.url();
        let answer = format!("HTTP/1.1 302 Found\r\nlocation: {to}/\r\ncontent-length: 0\r\n\r\n");
        runtime.block_on(Server::start(Answers::Raw(answer)))
    });
    let grants = format!(
        "grants.http = [\"GET {}/\", \"GET {}/\", \"GET {}/\"]\ngrants.secrets = [{}, {}]",
        away[0].url(),
        away[1].url(),
        open.url(),
        secret(&away[0]),
        secret(&away[1]),
    );
    let calls = away
        .each_ref()
        .map(|server| json!({ "call": format!("GET {}/", server.url()), "follow": 1 }).to_string());
    let ground = Ground::with_worker(worker);
    let out = run_as(&ground, &grants, &calls, &environment());
    assert_eq!(out.code, Some(2), "{}", out.whole());
    assert_eq!(
        out.stdout,
        format!("GET {}/: 200 GET / HTTP/1.1\n", away[0].url())
    );
    let denied = format!("not granted: `GET {}/`", closed.url());
    assert!(out.stderr.contains(&denied), "{}", out.whole());
    for server in &away {
        assert!(server.requests()[0].contains(SECRET));
    }
    assert_eq!(open.requests().len(), 1);
    assert!(!open.requests()[0].contains("authorization"));
    assert_eq!(closed.connections(), 0);
}

fn programs_of_wasi_0_3_call_by_the_same_way(worker: &'static str) {
    let runtime = runtime();
    let servers = runtime.block_on(async {
        [
            Server::start(Answers::Echo).await,
            Server::start(Answers::Endless).await,
        ]
    });
    let [echo, endless] = &servers;
    for (server, path, came) in [
        (echo, "/v1/x", Ok("200 POST /v1/x HTTP/1.1")),
        (endless, "/v1/x", Ok("HttpResponseBodySize")),
        (
            echo,
            "/v2/x",
            Err(format!("not granted: `POST {}/v2/x`", echo.url())),
        ),
    ] {
        let ground = Ground::with_worker(worker);
        ground.write("a.txt", "hello").line(&format!(
            r#"
line = "l"
entry = "call"
[stations.call]
use = "@calls-waiting"
args = ["{}", "{path}"]
next = "done"
retry = {{ attempts = 1 }}
grants.http = [{{ rule = "POST {}/v1/**", max-response = "1MiB" }}]
"#,
            server.address,
            server.url()
        ));
        let out = ground.andon(&["run", ".", "a.txt", "-q"]);
        match came {
            Ok(came) => assert!(out.stdout.contains(came), "{}", out.whole()),
            Err(why) => assert!(out.stderr.contains(&why), "{}", out.whole()),
        }
    }
    let requests = echo.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].ends_with("\r\n\r\nhello"), "{}", requests[0]);
}
