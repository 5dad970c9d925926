//! The API over a double of the lines: who may do what, and callers that mean it badly.

mod double;

use super::{client::Client, doors::Patience, tokens::Tokens, *};
use crate::{
    conveyor::Notice,
    item::{
        Body, Destination, Facts, Item, ItemId, Labels, Payload, Phase, PhaseKind, Priority,
        Record, Ticket,
    },
    journal::Append,
    lines::{Because, Fault, FaultKind, Given, Submit},
    name::Name,
    retool::{Aim, PlanFor},
    role::Role,
    visit::{LogLine, Millis},
};
use double::Double;
use futures::StreamExt as _;
use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, path::Path};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A server over a double, on loopback and in a folder of its own.
struct Stage {
    folder: tempfile::TempDir,
    double: Arc<Double>,
    server: Server,
    notices: broadcast::Sender<Arc<LineNotice>>,
    condition: watch::Sender<Condition>,
    address: SocketAddr,
}

impl Stage {
    async fn new() -> Self {
        Self::with(Patience::default()).await
    }

    async fn with(patience: Patience) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::open(folder.path()).expect("it opens");
        let double = Arc::new(Double::new(state.clone()));
        let (notices, noticed) = broadcast::channel(16);
        let (condition, watched) = watch::channel(Condition::Running);
        let served = Served {
            control: double.clone(),
            state,
            notices: noticed,
            condition: watched,
        };
        let any = "127.0.0.1:0".parse().expect("an address");
        let server = Server::open_within(served, Some(any), patience)
            .await
            .expect("it opens");
        let address = server.address.expect("it listens");
        Self {
            folder,
            double,
            server,
            notices,
            condition,
            address,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn token(&self, name: &str, role: Role) -> String {
        let added = Tokens::of(self.path()).add(name, role, 0, None);
        added.expect("a token")
    }

    /// What comes back over loopback, until the other side closes.
    async fn say(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        // What is refused half way is not taken to its end.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status and the body of a whole request.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let host = self.address;
        let len = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {len}\r\n{headers}\r\n{body}"
        );
        parted(&self.say(&text).await)
    }

    async fn client(&self) -> Client {
        let client = Client::of(self.path()).await.expect("it may be opened");
        client.expect("a daemon runs")
    }
}

fn parted(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or(0), body.into())
}

#[tokio::test]
async fn every_route_is_for_some_roles_only() {
    let stage = Stage::new().await;
    let tokens = Role::ALL.map(|role| stage.token(role.key(), role));
    let described = serde_json::to_value(openapi()).expect("it is JSON");
    let mut table = String::new();
    for (path, methods) in described["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let method = method.to_uppercase();
            let at = path
                .replace("{line}", "l")
                .replace("{station}", "s")
                .replace("{item}", "x");
            let mut who = Vec::new();
            let (status, _) = stage.ask(&method, &at, "", "").await;
            match status {
                401 => {}
                _ => who.push("anybody".to_string()),
            }
            for (role, token) in Role::ALL.iter().zip(&tokens) {
                let bearer = format!("authorization: Bearer {token}\r\n");
                let (status, body) = match &*at {
                    // It does not end by itself.
                    "/v1/events" => stage.ask("GET", "/v1/events?x", &bearer, "").await,
                    at => stage.ask(&method, at, &bearer, "").await,
                };
                assert!(
                    ![0, 401, 405, 500].contains(&status),
                    "{method} {at}: {status} {body}"
                );
                assert!(!body.contains("no such page"), "{method} {at}: {body}");
                if status != 403 {
                    who.push(role.to_string());
                }
            }
            let _ = writeln!(table, "{method} {path}: {}", who.join(" "));
        }
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn callers_that_mean_it_badly() {
    let stage = Stage::new().await;
    let viewer = stage.token("ada", Role::Viewer);
    let host = stage.address;
    let bearer = format!("authorization: Bearer {viewer}\r\n");
    let large = bodies::LARGEST + 1;
    let operator = stage.token("bot", Role::Operator);
    let cases: &[(&str, String, u16)] = &[
        (
            "another host",
            "GET /v1/status HTTP/1.1\r\nhost: evil.example\r\n".into(),
            421,
        ),
        (
            "another port",
            "GET /v1/status HTTP/1.1\r\nhost: 127.0.0.1:1\r\n".into(),
            421,
        ),
        ("no host", "GET /v1/status HTTP/1.0\r\n".into(), 421),
        (
            "two hosts",
            format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\n"),
            400,
        ),
        (
            "another host in the address",
            format!("GET http://evil.example/healthz HTTP/1.1\r\nhost: {host}\r\n"),
            421,
        ),
        (
            "another site",
            format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\norigin: http://evil.example\r\n"),
            403,
        ),
        (
            "no site",
            format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\norigin: null\r\n"),
            403,
        ),
        (
            "another site's form",
            format!("POST /v1/drain HTTP/1.1\r\nhost: {host}\r\nsec-fetch-site: cross-site\r\n"),
            403,
        ),
        (
            "no token",
            format!("GET /v1/status HTTP/1.1\r\nhost: {host}\r\n"),
            401,
        ),
        (
            "a wrong token",
            format!(
                "GET /v1/status HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {viewer}x\r\n"
            ),
            401,
        ),
        (
            "another scheme",
            format!("GET /v1/status HTTP/1.1\r\nhost: {host}\r\nauthorization: Basic {viewer}\r\n"),
            401,
        ),
        (
            "two tokens",
            format!("GET /v1/status HTTP/1.1\r\nhost: {host}\r\n{bearer}{bearer}"),
            400,
        ),
        (
            "a token of too low a role",
            format!("POST /v1/drain HTTP/1.1\r\nhost: {host}\r\n{bearer}"),
            403,
        ),
        (
            "no such page",
            format!("GET /v2 HTTP/1.1\r\nhost: {host}\r\n{bearer}"),
            404,
        ),
        (
            "another method",
            format!("DELETE /v1/status HTTP/1.1\r\nhost: {host}\r\n{bearer}"),
            405,
        ),
        (
            "no name of a line",
            format!("GET /v1/lines/A%2fb HTTP/1.1\r\nhost: {host}\r\n{bearer}"),
            400,
        ),
        (
            "an unknown key",
            format!("GET /v1/items?colour=red HTTP/1.1\r\nhost: {host}\r\n{bearer}"),
            400,
        ),
        (
            "no phase",
            format!("GET /v1/items?phase=jammed,x HTTP/1.1\r\nhost: {host}\r\n{bearer}"),
            400,
        ),
        (
            "a long wait",
            format!("GET /v1/items/x/result?wait=1d HTTP/1.1\r\nhost: {host}\r\n{bearer}"),
            400,
        ),
        (
            "a body over the limit",
            format!(
                "POST /v1/lines/l/items HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {operator}\r\ncontent-length: {large}\r\n"
            ),
            413,
        ),
        (
            "a body of who only looks, which does not come",
            format!(
                "GET /v1/items/x HTTP/1.1\r\nhost: {host}\r\n{bearer}content-length: {large}\r\n"
            ),
            404,
        ),
        (
            "a body of nobody known, which does not come",
            format!("POST /v1/lines/l/items HTTP/1.1\r\nhost: {host}\r\ncontent-length: 9\r\n"),
            401,
        ),
        ("garbage", "\u{1}\u{2}\u{3}\r\n".into(), 400),
        (
            "no length",
            format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\ncontent-length: x\r\n"),
            400,
        ),
        (
            "two lengths",
            format!(
                "GET /healthz HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1\r\ncontent-length: 2\r\n"
            ),
            400,
        ),
    ];
    for (what, head, expected) in cases {
        let answer = stage.say(&format!("{head}connection: close\r\n\r\n")).await;
        let (status, body) = parted(&answer);
        assert_eq!(status, *expected, "{what}: {answer}");
        // What is no HTTP is told without a body.
        if *expected != 400 {
            let fault: Fault = serde_json::from_str(&body).expect("a fault");
            assert!(!fault.message.is_empty(), "{what}");
        }
    }
    // Its answer may be lost, since nobody reads to its end.
    let long = "x".repeat(1 << 20);
    let endless = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nx: {long}");
    let answer = stage.say(&endless).await;
    assert!([0, 431].contains(&parted(&answer).0), "{answer}");
    assert_eq!(stage.double.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn bodies_that_are_no_orders() {
    let stage = Stage::new().await;
    let operator = stage.token("ada", Role::Operator);
    let bearer = format!("authorization: Bearer {operator}\r\n");
    let json = format!("{bearer}content-type: application/json\r\n");
    let mut told = String::new();
    for (path, headers, body) in [
        ("/v1/items/x/clear", &json, ""),
        ("/v1/items/x/clear", &json, "{"),
        ("/v1/items/x/clear", &json, "{\"how\":\"wish\"}"),
        ("/v1/items/x/clear", &bearer, "{\"how\":\"retry\"}"),
        (
            "/v1/items/x/answer",
            &json,
            "{\"choice\":\"a\",\"by\":\"bob\"}",
        ),
        ("/v1/items/x/cancel", &json, "[]"),
        ("/v1/items/x/cancel", &json, "{\"why\":1}"),
        ("/v1/items/x/rerun", &json, "{\"from\":\"A B\"}"),
        ("/v1/lines/l/items?wait=never", &bearer, ""),
        ("/v1/lines/l/items?label=x", &bearer, ""),
    ] {
        let (status, answer) = stage.ask("POST", path, headers, body).await;
        let _ = writeln!(told, "{path} {body}\n  {status} {answer}");
    }
    insta::assert_snapshot!(told);
    assert_eq!(stage.double.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn slow_callers_are_not_waited_for() {
    let short = Duration::from_millis(50);
    let stage = Stage::with(Patience {
        head: short,
        body: short,
        stalled: short,
        ..Patience::default()
    })
    .await;
    // Half a head, and none at all.
    for text in ["GET /healthz HTT", ""] {
        let answer = stage.say(text).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    let token = stage.token("ada", Role::Operator);
    let host = stage.address;
    let answer = stage
        .say(&format!(
            "POST /v1/lines/l/items HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: 10\r\n\r\n12345"
        ))
        .await;
    assert_eq!(parted(&answer).0, 408, "{answer}");
    assert_eq!(stage.double.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn strangers_are_in_nobodys_way() {
    let most = 4;
    let stage = Stage::with(Patience {
        most,
        ..Patience::default()
    })
    .await;
    let host = stage.address;
    let token = stage.token("ada", Role::Viewer);
    let head = format!("HTTP/1.1\r\nhost: {host}\r\n");
    let mut slow = Vec::new();
    for text in [
        String::new(),
        "GET /healthz HTT".into(),
        format!("POST /healthz {head}content-length: 67108864\r\n\r\n"),
        format!("POST /v1/lines/l/items {head}content-length: 67108864\r\n\r\nx"),
        format!("GET /healthz {head}content-length: 67108864\r\n\r\nx"),
    ]
    .iter()
    .cycle()
    .take(3 * most)
    {
        let mut stream = TcpStream::connect(host).await.expect("it listens");
        stream
            .write_all(text.as_bytes())
            .await
            .expect("it takes it");
        slow.push(stream);
    }
    // Who is known stays, whoever comes.
    let mut known = Vec::new();
    for _ in 0..most {
        let mut stream = TcpStream::connect(host).await.expect("it listens");
        let text = format!("GET /v1/events {head}authorization: Bearer {token}\r\n\r\n");
        stream
            .write_all(text.as_bytes())
            .await
            .expect("it takes it");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(&answer, b"HTTP/1.1 200");
        known.push(stream);
    }
    let client = stage.client().await;
    client.status(None).await.expect("the socket has its own");
    known.pop();
    let bearer = format!("authorization: Bearer {token}\r\n");
    let (status, _) = stage.ask("GET", "/v1/status", &bearer, "").await;
    assert_eq!(status, 200);
    drop(slow);
}

#[tokio::test]
async fn plans_tell_nobody_over_tcp_what_is_on_this_machine() {
    let stage = Stage::new().await;
    let token = stage.token("ada", Role::Admin);
    let json = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
    for (file, told) in [
        ("/srv/l/line.toml", 404),
        ("/srv/l/new/line.toml", 404),
        ("/srv/l", 404),
        ("/srv/l/../m/line.toml", 403),
        ("/srv/l2/line.toml", 403),
        ("/", 403),
        ("/etc/passwd", 403),
        ("/etc/nothing", 403),
        ("line.toml", 403),
    ] {
        for path in ["retool", "retool/plan"] {
            let body = format!("{{\"aim\":{{\"file\":\"{file}\"}}}}");
            let path = format!("/v1/lines/l/{path}");
            let (status, answer) = stage.ask("POST", &path, &json, &body).await;
            assert_eq!(status, told, "{file}: {answer}");
        }
    }
    let client = stage.client().await;
    let wanted = PlanFor {
        aim: Aim {
            file: Some("/etc/passwd".into()),
            revision: None,
        },
        ..PlanFor::default()
    };
    let line: Name = "l".parse().expect("a name");
    let fault = client.plan(&line, wanted).await.expect_err("none");
    assert_eq!(fault.kind, FaultKind::NotFound, "{fault}");
}

#[tokio::test]
async fn large_inputs_are_taken() {
    let stage = Stage::new().await;
    let token = stage.token("ada", Role::Operator);
    let bearer = format!("authorization: Bearer {token}\r\n");
    let large = "x".repeat(3 << 20);
    let path = "/v1/lines/l/items";
    let (status, body) = stage.ask("POST", path, &bearer, &large).await;
    assert_eq!(status, 201, "{body}");
}

#[tokio::test]
async fn the_client_says_over_the_socket_what_it_is_told() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    let line: Name = "l".parse().expect("a name");
    let submit = Submit {
        line: line.clone(),
        key: Some("k 1".into()),
        source: Some("a b.patch".into()),
        content_type: Some("text/x-diff".into()),
        body: Given::of(b"\xff\0"),
        labels: [("risk".into(), "a=b&c".into())].into(),
        priority: Priority::High,
        deadline: Some(5),
    };
    client.submit("ada ü", submit).await.expect("submitted");
    let why = || Because {
        why: "because".into(),
    };
    let none = client.cancel("ada", "../x", why()).await.expect_err("none");
    assert_eq!(none, Fault::not_found("there is nothing here"));
    client
        .pause("ada", &line, &line, why())
        .await
        .expect("paused");
    client
        .resume("ada", &line, &line, why())
        .await
        .expect("resumed");
    client
        .drain("ada", Duration::from_secs(7))
        .await
        .expect("drained");
    insta::assert_snapshot!(stage.double.calls().join("\n"));
    let fault = client.cancel("ada", "full", why()).await.expect_err("full");
    assert_eq!((fault.kind, fault.retry_after), (FaultKind::Full, Some(3)));
    let mut server = stage.server;
    assert_eq!(server.asked_to_drain().await, Duration::from_secs(7));
    server.close().await;
    let gone = client.status(None).await.expect_err("it is gone");
    assert_eq!(gone.kind, FaultKind::Unavailable);
    let none = Client::of(stage.folder.path())
        .await
        .expect("nothing is wrong");
    assert!(none.is_none());
}

/// An item in the journal.
struct Kept {
    id: ItemId,
    records: Vec<Record>,
}

impl Kept {
    fn new(stage: &Stage) -> Self {
        let line: Name = "l".parse().expect("a name");
        let journal = &stage.double.state.journal;
        Self {
            id: ItemId::input(&journal.factory(), &line, "key"),
            records: Vec::new(),
        }
    }

    /// Keeps one more record, then tells of it as a conveyor does.
    async fn keep(&mut self, stage: &Stage, record: Record) {
        let expected = self.records.len() as u64;
        self.records.push(record.clone());
        let folded = Item::fold(self.id.clone(), &self.records).expect("it folds");
        let item = folded.expect("an item");
        let append = Append {
            item: self.id.clone(),
            expected,
            records: vec![record],
            messages: Vec::new(),
            blobs: Vec::new(),
            summary: item.summary(),
        };
        let journal = &stage.double.state.journal;
        journal.append(append).await.expect("it is kept");
        let line = item.line.clone();
        let notice = match &item.phase {
            Phase::Ended { .. } => Notice::Ended {
                item: Box::new(item),
            },
            _ => Notice::Taken {
                item: item.id,
                source: item.source,
            },
        };
        stage
            .notices
            .send(Arc::new(LineNotice { line, notice }))
            .expect("somebody listens");
    }
}

fn payload(text: &'static str) -> Payload {
    Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(text.into()),
        labels: Labels::default(),
    }
}

fn taken() -> Record {
    Record::Taken {
        at: 1,
        line: "l".parse().expect("a name"),
        revision: 1,
        source: "in.txt".into(),
        to: Destination::Station("s".parse().expect("a name")),
        payload: payload("hello"),
        workspace: None,
        lineage: Vec::new(),
        visits: BTreeMap::new(),
        budget: None,
        ticket: Ticket::default(),
    }
}

/// After all that the clock may say, in milliseconds since 1970.
const LATER: Millis = 1 << 50;

fn done() -> Record {
    let logged = LogLine {
        level: "info".into(),
        message: "looked at it".into(),
        fields: Vec::new(),
    };
    Record::Moved {
        // Those who follow the log are given what comes after they began.
        at: LATER,
        port: "pass".parse().expect("a name"),
        to: Destination::Done,
        payload: payload("bye"),
        workspace: None,
        facts: Facts {
            log: vec![logged],
            ..Facts::default()
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_or_follows_hears_of_the_end() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    let mut kept = Kept::new(&stage);
    kept.keep(&stage, taken()).await;
    kept.keep(&stage, Record::Started { at: 2, revision: 1 })
        .await;
    let path = format!("/v1/items/{}/result", kept.id);
    let now: Outcome = client.get(&path).await.expect("an answer");
    assert_eq!(
        (now.summary.phase, now.results.len()),
        (PhaseKind::Working, 0)
    );
    let mut events = Box::pin(client.events("/v1/events?line=l").await.expect("events"));
    let mut logs = Box::pin(client.events("/v1/logs?follow=true").await.expect("logs"));
    let waits = format!("{path}?wait=60s");
    let waits = client.get::<Outcome>(&waits);
    let ends = async {
        // The first look of whoever waits finds nothing, and then the end comes.
        kept.keep(&stage, done()).await;
    };
    let (outcome, ()) = tokio::join!(waits, ends);
    let outcome = outcome.expect("an answer");
    assert_eq!(outcome.summary.phase, PhaseKind::Done);
    assert_eq!(outcome.results[0].body, Some(Given::Text("bye".into())));
    let event = events.next().await.expect("an event").expect("whole");
    let event: Event = serde_json::from_str(&event).expect("an event");
    assert!(
        matches!(event, Event::Ended { result: true, .. }),
        "{event:?}"
    );
    let logged = logs.next().await.expect("a line").expect("whole");
    let logged: Logged = serde_json::from_str(&logged).expect("a line");
    assert_eq!(
        (&*logged.message, logged.nth, logged.at),
        ("looked at it", 1, LATER)
    );
    let (status, body) = {
        let token = stage.token("ada", Role::Viewer);
        let path = format!("/v1/items/{}/body", kept.id);
        let bearer = format!("authorization: Bearer {token}\r\n");
        stage.ask("GET", &path, &bearer, "").await
    };
    assert_eq!((status, &*body), (200, "bye"));
    stage.server.close().await;
    assert!(events.next().await.is_none_or(|event| event.is_err()));
}

#[tokio::test]
async fn a_daemon_that_takes_nothing_is_not_healthy() {
    let stage = Stage::new().await;
    let (status, _) = stage.ask("GET", "/healthz", "", "").await;
    assert_eq!(status, 200);
    stage.condition.send_replace(Condition::Waiting {
        reason: "/secret/place is full".into(),
    });
    let (status, body) = stage.ask("GET", "/healthz", "", "").await;
    assert_eq!(status, 503);
    assert!(!body.contains("secret"), "{body}");
}

#[tokio::test]
async fn figures_name_no_items() {
    let stage = Stage::new().await;
    let token = stage.token("prometheus", Role::Viewer);
    let bearer = format!("authorization: Bearer {token}\r\n");
    let (status, body) = stage.ask("GET", "/metrics", &bearer, "").await;
    assert_eq!(status, 200);
    insta::assert_snapshot!(body);
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"] {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::open(folder.path()).expect("it opens");
        let served = Served {
            control: Arc::new(Double::new(state.clone())),
            state,
            notices: broadcast::channel(1).1,
            condition: watch::channel(Condition::Running).1,
        };
        let address = address.parse().expect("an address");
        let opened = Server::open(served, Some(address)).await;
        assert!(matches!(opened, Err(ServeError::NotLoopback(_))));
        assert!(!socket::path(folder.path()).exists());
    }
}
