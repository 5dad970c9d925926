//! The egress against real sockets on loopback: a small HTTP server and a small server of names, each
//! of the tests' own.

mod log;
mod servers;

use super::{Gate, Means, NoSecrets, Terms};
use crate::{
    audit::{Auditor, Deed, Entry},
    digest::Digest,
    grant::{Grants, HttpGrant, Pace, Rates, Rights, SecretGrant, SecretPlace},
    item::ItemId,
    limits::{Limit, Limits},
    line::OnViolation,
    name::Name,
    sandbox::way::{Egress as _, Failure, Patience, Refusal, Vault, Way, WayBody},
    visit::Visit,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use servers::{Answers, Names, Server};
use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use zeroize::Zeroizing;

const SECRET: &str = "s3cr3t/of+the-operator";

/// A vault with one secret.
struct OneSecret;

impl Vault for OneSecret {
    fn secret(&self, name: &str) -> io::Result<Option<Zeroizing<String>>> {
        Ok((name == "KEY").then(|| Zeroizing::new(SECRET.into())))
    }
}

/// What was taken down.
#[derive(Default)]
struct Notes(Mutex<Vec<Entry>>);

impl Auditor for Notes {
    fn note(&self, entries: Vec<Entry>) {
        self.0.lock().unwrap().extend(entries);
    }
}

/// One visit to a station with these grants.
struct Trip {
    way: Option<Arc<dyn Way>>,
    notes: Arc<Notes>,
}

struct Setting {
    grants: Grants,
    limits: Limits,
    rate: Rates,
    violation: OnViolation,
    resolvers: Vec<SocketAddr>,
}

impl Setting {
    fn new(rules: &[&str]) -> Self {
        let http = rules.iter().map(|rule| HttpGrant {
            private: true,
            ..HttpGrant::new(rule.parse().unwrap())
        });
        Self {
            grants: Grants {
                http: http.collect(),
                ..Grants::default()
            },
            limits: Limits::default(),
            rate: Rates::default(),
            violation: OnViolation::Jam,
            resolvers: Vec::new(),
        }
    }

    /// All of a server.
    fn all(server: &Server) -> Self {
        Self::new(&[&format!("* {}/**", server.url())])
    }

    /// A secret for all calls of a server.
    fn secret(mut self, server: &Server, place: SecretPlace) -> Self {
        self.grants.secrets.push(SecretGrant {
            name: "KEY".into(),
            place,
            r#for: format!("* {}/**", server.url()).parse().unwrap(),
        });
        self
    }

    fn enter(self) -> Trip {
        let notes = Arc::new(Notes::default());
        let gate = Gate::new(Means {
            vault: Arc::new(OneSecret),
            auditor: notes.clone(),
            resolvers: self.resolvers,
            clock: || 7,
            log: None,
        });
        let visit = visit();
        let terms = Terms {
            rights: Rights {
                grants: self.grants,
                ceiling: None,
            },
            rate: self.rate,
            limits: self.limits,
            violation: self.violation,
            component: Digest::of("component"),
            granted_at: "l/line.toml:9".into(),
        };
        gate.admit(&visit.line, 1, &visit.station, terms);
        Trip {
            way: Some(gate.enter(&visit)),
            notes,
        }
    }
}

fn visit() -> Arc<Visit> {
    Arc::new(Visit {
        item: ItemId::input(&[0; 16], "l", "input"),
        line: "l".parse().unwrap(),
        revision: 1,
        station: "s".parse().unwrap(),
        nth: 1,
        attempt: 1,
        started: 0,
        seed: [0; 32],
        inputs: Vec::new(),
        workspace: None,
        joined: Vec::new(),
        deadline: None,
        answers: Vec::new(),
        run: crate::visit::Run::default(),
    })
}

fn bearer() -> SecretPlace {
    SecretPlace::Header {
        name: "authorization".into(),
        prefix: "Bearer ".into(),
    }
}

fn body(text: impl Into<Bytes>) -> WayBody {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn request(method: &str, url: &str) -> Request<WayBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::new(body);
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = url.parse().unwrap_or_else(|e| panic!("{url}: {e}"));
    request
}

impl Trip {
    async fn send(&self, request: Request<WayBody>) -> Result<Response<WayBody>, Refusal> {
        let way = self.way.as_ref().expect("still there");
        way.send(request, Patience::default()).await
    }

    /// Calls, and reads the answer to its end.
    async fn call(&self, call: &str) -> Result<(u16, String), Refusal> {
        let (method, url) = call.split_once(' ').unwrap();
        read(self.send(request(method, url)).await?).await
    }

    async fn refused(&self, call: &str) -> Refusal {
        match self.call(call).await {
            Err(refusal) => refusal,
            Ok(answer) => panic!("{call}: {answer:?}"),
        }
    }

    /// Why a call is a violation.
    async fn violation(&self, call: &str) -> String {
        match self.refused(call).await {
            Refusal::Violation(violation) | Refusal::Denied(violation) => violation.why,
            other => panic!("{call}: {other:?}"),
        }
    }

    /// The audit, in short.
    fn audit(&self) -> Vec<String> {
        let notes = self.notes.0.lock().unwrap();
        let told = |entry: &Entry| {
            let allowed = if entry.allowed { "allowed" } else { "denied" };
            let why = entry.why.as_deref().unwrap_or("-");
            format!("{:?} {allowed}: {}: {why}", entry.deed, entry.what)
        };
        notes.iter().map(told).collect()
    }

    /// How the last exchange ended, once it has.
    async fn ended(&self) -> String {
        loop {
            let ended = self
                .audit()
                .into_iter()
                .rfind(|note| note.contains("ended as "));
            if let Some(note) = ended {
                let (_, end) = note.split_once("ended as ").unwrap();
                return end.split(',').next().unwrap().into();
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn read(response: Response<WayBody>) -> Result<(u16, String), Refusal> {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

#[tokio::test]
async fn granted_calls_are_made_over_one_connection() {
    let server = Server::start(Answers::Echo).await;
    let trip = Setting::all(&server).enter();
    for n in 0..3 {
        let (status, text) = trip
            .call(&format!("GET {}/a?n={n}", server.url()))
            .await
            .unwrap();
        assert_eq!(status, 200);
        assert!(
            text.starts_with(&format!("GET /a?n={n} HTTP/1.1")),
            "{text}"
        );
        assert!(
            text.contains(&format!("host: {}", server.address)),
            "{text}"
        );
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(
        trip.audit(),
        vec![format!("Http allowed: GET {}/a: -", server.url()); 3]
    );
    // A long body goes over a file, and is told by its length.
    let mut post = request("POST", &format!("{}/long", server.url()));
    *post.body_mut() = body("x".repeat(300_000));
    let (_, text) = read(trip.send(post).await.unwrap()).await.unwrap();
    assert!(text.contains("content-length: 300000"), "{}", &text[..200]);
    assert_eq!(text.matches('x').count(), 300_000);
    assert_eq!(trip.ended().await, "done: status 200");
}

#[tokio::test]
async fn what_is_not_granted_is_a_violation_that_says_what_would_grant_it() {
    let server = Server::start(Answers::Echo).await;
    let (ip, port) = ("127.0.0.1", server.address.port());
    let trip = Setting::new(&[&format!("GET http://{ip}:{port}/v1/**")]).enter();
    let refusal = trip
        .refused(&format!("POST http://{ip}:{port}/v1/x?key=1"))
        .await;
    let Refusal::Violation(violation) = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(violation.what, format!("POST http://{ip}:{port}/v1/x"));
    assert_eq!(violation.why, "no grant of the station's line is for it");
    assert_eq!(
        violation.hint,
        format!("`grants.http = [\"POST http://{ip}:{port}/v1/x\"]` at l/line.toml:9 grants it")
    );
    for other in [
        format!("GET http://{ip}:{port}/v2/x"),
        format!("GET http://{ip}:{port}/v1/../v2"),
        format!("GET http://{ip}:{port}/v1/%2e%2e/v2"),
        format!("GET http://{ip}:{port}/v1/..%2fv2"),
        format!("GET https://{ip}:{port}/v1/x"),
        format!("GET http://{ip}:{}/v1/x", port ^ 1),
        format!("GET http://localhost:{port}/v1/x"),
        format!("GET http://[::ffff:7f00:1]:{port}/v1/x"),
        format!("GET http://[::1]:{port}/v1/x"),
        format!("HEAD http://{ip}:{port}/v1/x"),
        format!("get http://{ip}:{port}/v1/x"),
        format!("TRACE http://{ip}:{port}/v1/x"),
        format!("GET http://user@{ip}:{port}/v1/x"),
        format!("GET http://a.example.:{port}/v1/x"),
    ] {
        trip.violation(&other).await;
    }
    assert_eq!(server.requests().len(), 0);
    assert!(
        trip.audit()
            .iter()
            .all(|note| note.starts_with("Http denied: "))
    );
    // Other ways to write the granted address are the granted address.
    for same in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1."] {
        trip.call(&format!("GET http://{same}:{port}/v1/x"))
            .await
            .unwrap();
    }
    let mut setting = Setting::new(&[]);
    setting.violation = OnViolation::Deny;
    let trip = setting.enter();
    let refusal = trip.refused(&format!("GET http://{ip}:{port}/")).await;
    assert!(matches!(refusal, Refusal::Denied(_)), "{refusal:?}");
}

#[tokio::test]
async fn names_lead_only_to_addresses_that_the_grant_opens() {
    let server = Server::start(Answers::Echo).await;
    let port = server.address.port();
    let names = Names::start(&[
        ("public.test", &["127.0.0.1"]),
        ("metadata.test", &["169.254.169.254"]),
        ("mapped.test", &["::ffff:127.0.0.1"]),
        ("mixed.test", &["169.254.169.254", "127.0.0.1"]),
        ("rebinds.test", &["127.0.0.1", "|", "169.254.169.254"]),
    ])
    .await;
    let rule = |host: &str| format!("GET http://{host}:{port}/**");
    let all = [
        "public", "metadata", "mapped", "mixed", "rebinds", "unknown",
    ];
    let rules: Vec<String> = all
        .iter()
        .map(|name| rule(&format!("{name}.test")))
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let setting = |private: bool| {
        let mut setting = Setting::new(&rules);
        for grant in &mut setting.grants.http {
            grant.private = private;
        }
        setting.resolvers = vec![names.address];
        setting.enter()
    };
    let closed = setting(false);
    for host in ["public.test", "metadata.test", "mapped.test", "mixed.test"] {
        let why = closed
            .violation(&format!("GET http://{host}:{port}/"))
            .await;
        assert!(why.starts_with(&format!("`{host}` leads to")), "{why}");
    }
    assert_eq!(server.connections(), 0);
    let open = setting(true);
    let why = open
        .violation(&format!("GET http://metadata.test:{port}/"))
        .await;
    assert!(why.contains("metadata address"), "{why}");
    // Of several addresses only those are dialled that are open.
    for host in ["public.test", "mixed.test"] {
        open.call(&format!("GET http://{host}:{port}/"))
            .await
            .unwrap();
    }
    let failed = open
        .refused(&format!("GET http://unknown.test:{port}/"))
        .await;
    assert_eq!(failed, Refusal::Failed(Failure::Name));
    // One look-up a call: what was checked is what is dialled, whatever the name leads to next.
    let asked = names.asked("rebinds.test");
    open.call(&format!("GET http://rebinds.test:{port}/"))
        .await
        .unwrap();
    assert_eq!(names.asked("rebinds.test"), asked + 1);
    let why = open
        .violation(&format!("GET http://rebinds.test:{port}/"))
        .await;
    assert!(why.contains("169.254.169.254"), "{why}");
}

#[tokio::test]
async fn redirects_are_the_guests_to_follow() {
    let server = Server::start(Answers::Raw(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
            .into(),
    ))
    .await;
    let trip = Setting::all(&server).secret(&server, bearer()).enter();
    let response = trip.send(request("GET", &server.url())).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], "http://169.254.169.254/");
    // Following it is a call like any other, and takes no secret along.
    trip.violation("GET http://169.254.169.254/").await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn framing_is_ours_alone() {
    let server = Server::start(Answers::Echo).await;
    let trip = Setting::all(&server).enter();
    for (name, value) in [
        ("host", "other.example"),
        ("content-length", "3"),
        ("content-length", "99"),
    ] {
        let mut post = request("POST", &server.url());
        post.headers_mut().insert(name, value.parse().unwrap());
        *post.body_mut() = body("hello");
        let refusal = trip.send(post).await.map(drop);
        assert_eq!(refusal, Err(Refusal::Failed(Failure::Request)), "{name}");
    }
    let mut post = request("POST", &server.url());
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "x-secret, close"),
        ("x-secret", "1"),
        ("proxy-authorization", "Basic eA=="),
    ] {
        post.headers_mut().insert(name, value.parse().unwrap());
    }
    *post.body_mut() = body("0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n");
    let (_, text) = read(trip.send(post).await.unwrap()).await.unwrap();
    let head = text.split("\r\n\r\n").next().unwrap();
    for dropped in ["transfer-encoding", "connection", "x-secret", "proxy-"] {
        assert!(!head.contains(dropped), "{head}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn answers_are_bounded() {
    let packed = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 64 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let head = |length: usize| {
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n")
    };
    let bomb = [head(packed.len()).into_bytes(), packed].concat();
    let bomb = Server::start(Answers::Bytes(bomb)).await;
    let endless = Server::start(Answers::Endless).await;
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let long = Server::start(Answers::Raw(long.into())).await;
    for server in [&bomb, &endless, &long] {
        let refusal = Setting::all(server)
            .enter()
            .refused(&format!("GET {}", server.url()))
            .await;
        assert_eq!(refusal, Refusal::Failed(Failure::TooLong));
    }
    let mut setting = Setting::all(&endless);
    setting.limits.received = 1 << 20;
    let refusal = setting
        .enter()
        .refused(&format!("GET {}", endless.url()))
        .await;
    assert_eq!(refusal, Refusal::Over(Limit::Received));
    // So is what comes before an answer.
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n";
    let hints = Server::start(Answers::Raw(hint.repeat(1000))).await;
    let mut setting = Setting::all(&hints);
    setting.limits.received = 10 << 10;
    let trip = setting.enter();
    let refusal = trip.refused(&format!("GET {}", hints.url())).await;
    assert_eq!(refusal, Refusal::Over(Limit::Received));
    let few = format!("{hint}{hint}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let few = Server::start(Answers::Raw(few)).await;
    let trip = Setting::all(&few).enter();
    let (status, text) = trip.call(&format!("GET {}", few.url())).await.unwrap();
    assert_eq!((status, text.as_str()), (200, "ok"));
    let heads = Server::start(Answers::Raw(format!(
        "HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 0\r\n\r\n",
        "x".repeat(100_000)
    )))
    .await;
    let switched = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    let switched = Server::start(Answers::Raw(switched.into())).await;
    let noise = Server::start(Answers::Raw("SSH-2.0-x\r\n\r\n".into())).await;
    for server in [&heads, &switched, &noise] {
        let refusal = Setting::all(server)
            .enter()
            .refused(&format!("GET {}", server.url()))
            .await;
        assert_eq!(refusal, Refusal::Failed(Failure::Protocol));
    }
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_longer_than_granted() {
    let silent = Server::start(Answers::Silence).await;
    let mut setting = Setting::all(&silent);
    setting.grants.http[0].timeout = Duration::from_millis(50);
    let trip = setting.enter();
    let timeout = Refusal::Failed(Failure::Timeout);
    assert_eq!(
        trip.refused(&format!("GET {}", silent.url())).await,
        timeout
    );
    assert_eq!(trip.ended().await, "unknown: no status");
    let trip = Setting::all(&silent).enter();
    let patience = Patience {
        first_byte: Some(Duration::from_millis(50)),
        ..Patience::default()
    };
    let way = trip.way.as_ref().unwrap();
    let came = way.send(request("GET", &silent.url()), patience).await;
    assert_eq!(came.map(drop), Err(timeout));
}

#[tokio::test]
async fn a_visit_has_its_limits() {
    let server = Server::start(Answers::Echo).await;
    let call = format!("GET {}", server.url());
    let mut setting = Setting::all(&server);
    setting.limits.requests = 2;
    let trip = setting.enter();
    trip.call(&call).await.unwrap();
    // What is denied counts as well.
    trip.violation("GET http://other.test/").await;
    assert_eq!(trip.refused(&call).await, Refusal::Over(Limit::Requests));
    let mut setting = Setting::all(&server);
    setting.limits.sent = 1000;
    let trip = setting.enter();
    let mut post = request("POST", &server.url());
    *post.body_mut() = body("x".repeat(1000));
    assert_eq!(
        trip.send(post).await.map(drop),
        Err(Refusal::Over(Limit::Sent))
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_station_keeps_its_pace() {
    let server = Server::start(Answers::Echo).await;
    let mut setting = Setting::all(&server);
    setting.rate.requests = Pace {
        amount: 2,
        per: Duration::from_secs(3600),
    };
    let trip = setting.enter();
    let call = format!("GET {}", server.url());
    for _ in 0..2 {
        trip.call(&call).await.unwrap();
    }
    // The next one waits for half an hour, while another station's calls come and go.
    let other = Setting::all(&server).enter();
    let others = async {
        for _ in 0..20 {
            other.call(&call).await.unwrap();
        }
    };
    tokio::select! {
        biased;
        came = trip.call(&call) => panic!("it waits for its turn: {came:?}"),
        () = others => {}
    }
    assert_eq!(server.requests().len(), 22);
}

#[test]
fn a_pace_goes_on_over_another_revision() {
    let gate = Gate::new(Means {
        vault: Arc::new(OneSecret),
        auditor: Arc::new(Notes::default()),
        resolvers: Vec::new(),
        clock: || 7,
        log: None,
    });
    let visit = visit();
    let admitted = |revision: u64, station: &Name, rate: Rates| {
        let terms = Terms {
            rights: Rights::default(),
            rate,
            limits: Limits::default(),
            violation: OnViolation::Jam,
            component: Digest::of("component"),
            granted_at: "l/line.toml:9".into(),
        };
        gate.admit(&visit.line, revision, station, terms);
        let stations = gate.0.stations.read().unwrap();
        stations[&(visit.line.clone(), revision, station.clone())].clone()
    };
    let first = admitted(1, &visit.station, Rates::default());
    let mut slower = Rates::default();
    slower.requests.amount = 1;
    let second = admitted(2, &visit.station, slower);
    assert!(!Arc::ptr_eq(&first.requests, &second.requests));
    assert!(Arc::ptr_eq(&first.connections, &second.connections));
    assert!(Arc::ptr_eq(&first.bytes, &second.bytes));
    let other = admitted(2, &"other".parse().unwrap(), Rates::default());
    assert!(!Arc::ptr_eq(&first.bytes, &other.bytes));
    gate.dismiss(&visit.line, 1);
    let third = admitted(3, &visit.station, Rates::default());
    assert!(Arc::ptr_eq(&second.bytes, &third.bytes));
}

#[tokio::test]
async fn secrets_go_in_and_do_not_come_out() {
    let server = Server::start(Answers::Echo).await;
    let trip = Setting::all(&server).secret(&server, bearer()).enter();
    let mut get = request("GET", &format!("{}/x", server.url()));
    get.headers_mut()
        .insert("authorization", "mine".parse().unwrap());
    get.headers_mut()
        .insert("range", "bytes=0-40".parse().unwrap());
    let (_, text) = read(trip.send(get).await.unwrap()).await.unwrap();
    assert!(server.requests()[0].contains(&format!("authorization: Bearer {SECRET}")));
    assert!(!server.requests()[0].contains("range"));
    assert!(
        text.contains("authorization: Bearer [redacted KEY]"),
        "{text}"
    );
    assert_eq!(
        trip.audit(),
        [
            format!("Http allowed: GET {}/x: -", server.url()),
            format!("Secret allowed: KEY → {}/x: -", server.url()),
        ]
    );
    let query = SecretPlace::Query { name: "key".into() };
    let trip = Setting::all(&server).secret(&server, query).enter();
    let (_, text) = trip
        .call(&format!("GET {}/x?key=mine&q", server.url()))
        .await
        .unwrap();
    assert!(server.requests()[1].starts_with("GET /x?q&key=s3cr3t%2Fof%2Bthe-operator "));
    assert!(
        text.starts_with("GET /x?q&key=[redacted KEY] HTTP/1.1"),
        "{text}"
    );
    assert!(!format!("{:?}", trip.audit()).contains("s3cr3t"));

    // In pieces, packed, in headers, in encodings.
    let packed = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(format!("it is {SECRET}").as_bytes())
            .unwrap();
        encoder.finish().unwrap()
    };
    let gzip = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        packed.len()
    );
    let chunked: String = SECRET.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let whole = |text: String| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )
        .into_bytes()
    };
    let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("x{SECRET}y"));
    for (answer, clean) in [
        ([gzip.into_bytes(), packed].concat(), "it is [redacted KEY]"),
        (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunked}0\r\n\r\n")
                .into(),
            "[redacted KEY]",
        ),
        (
            whole("s3cr3t%2fof%2Bthe%2Doperator".into()),
            "[redacted KEY]",
        ),
        (
            whole(r"s3cr3t\/of\u002bthe-operator".into()),
            "[redacted KEY]",
        ),
        (whole(base64), "eH[redacted KEY]"),
    ] {
        let server = Server::start(Answers::Bytes(answer)).await;
        let trip = Setting::all(&server).secret(&server, bearer()).enter();
        let (_, text) = trip.call(&format!("GET {}", server.url())).await.unwrap();
        assert!(text.starts_with(clean), "{text}");
        assert!(!text.contains("s3cr3t"), "{text}");
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nx-echo: {SECRET}\r\nx-{}: 1\r\ncontent-length: 0\r\n\r\n",
        "s3cr3t"
    );
    let server = Server::start(Answers::Raw(head)).await;
    let trip = Setting::all(&server).secret(&server, bearer()).enter();
    let response = trip.send(request("GET", &server.url())).await.unwrap();
    assert_eq!(response.headers()["x-echo"], "[redacted KEY]");
    // What cannot be looked through does not come out at all.
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\n\r\nx",
    ] {
        let server = Server::start(Answers::Raw(head.into())).await;
        let trip = Setting::all(&server).secret(&server, bearer()).enter();
        let refusal = trip.refused(&format!("GET {}", server.url())).await;
        assert_eq!(refusal, Refusal::Failed(Failure::Protocol));
    }
}

#[tokio::test]
async fn a_secret_goes_to_its_destination_only_and_has_to_be_there() {
    let (own, other) = (
        Server::start(Answers::Echo).await,
        Server::start(Answers::Echo).await,
    );
    let mut setting = Setting::all(&own).secret(&own, bearer());
    setting.grants.http.extend(Setting::all(&other).grants.http);
    let trip = setting.enter();
    trip.call(&format!("GET {}", own.url())).await.unwrap();
    trip.call(&format!("GET {}", other.url())).await.unwrap();
    assert!(own.requests()[0].contains(SECRET));
    assert!(!other.requests()[0].contains("authorization"));
    let mut setting = Setting::all(&own).secret(&own, bearer());
    setting.grants.secrets[0].name = "OTHER".into();
    let refusal = setting.enter().refused(&format!("GET {}", own.url())).await;
    let Refusal::Violation(violation) = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(
        violation.why,
        "the secret `OTHER` that goes with it is not set"
    );
    assert_eq!(violation.hint, "`andon secret set OTHER` sets it");
    assert_eq!(NoSecrets.secret("KEY").unwrap().as_deref(), None);
}

/// The three ends of an exchange, and what a guest that goes away does to it.
#[tokio::test]
async fn exchanges_end_in_one_of_three_ways() {
    let post = |server: &Server| {
        let mut post = request("POST", &server.url());
        *post.body_mut() = body("hello");
        post
    };
    let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n");
    for (answers, end) in [
        (Answers::Raw(status("201 Created")), "done: status 201"),
        (Answers::Raw(status("500 Oh")), "done: status 500"),
        (Answers::Raw(status("503 Later")), "refused: status 503"),
        (Answers::Raw(status("429 Slow")), "refused: status 429"),
        (Answers::Raw(status("408 Slow")), "refused: status 408"),
        (Answers::Hangup, "unknown: no status"),
    ] {
        let server = Server::start(answers).await;
        let trip = Setting::all(&server).enter();
        let _ = trip.send(post(&server)).await;
        assert_eq!(trip.ended().await, end);
    }
    // Nobody listens there: nothing was sent.
    let gone = Server::start(Answers::Echo).await;
    let trip = Setting::all(&gone).enter();
    gone.stop().await;
    assert_eq!(
        trip.send(post(&gone)).await.map(drop),
        Err(Refusal::Failed(Failure::Connect))
    );
    assert_eq!(trip.ended().await, "refused: no status");
    let slow = Server::start(Answers::Echo).await;
    // A body that ends because its guest is gone is not taken for whole.
    let mut trip = Setting::all(&slow).enter();
    let (more, rest) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let rest = futures::stream::unfold(rest, async |mut rest| {
        let piece = rest.recv().await?;
        Some((Ok(http_body::Frame::data(piece)), rest))
    });
    let mut half = request("POST", &slow.url());
    *half.body_mut() = StreamBody::new(rest).boxed_unsync();
    let way = trip.way.take().unwrap();
    let sending = tokio::spawn(way.send(half, Patience::default()));
    more.send("half".into()).unwrap();
    drop(way);
    drop(more);
    assert_eq!(
        sending.await.unwrap().map(drop),
        Err(Refusal::Failed(Failure::Broken))
    );
    assert_eq!(slow.requests().len(), 0);
    assert!(
        trip.audit()
            .iter()
            .all(|note| !note.starts_with(&format!("{:?} allowed", Deed::Http)))
    );
}
