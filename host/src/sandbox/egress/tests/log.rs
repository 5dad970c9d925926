//! The effect log at the egress: what is recorded of calls, and which are not made again.

use super::*;
use crate::{
    content::Content,
    effect::{Effect, Ended, Rest, VisitKey},
    grant::TcpGrant,
    item::{Body, Labels, Payload, Record, Taking, take},
    journal::{Append, Journal, JournalError, Memory},
    sandbox::{egress::Log, way::CameAt},
    visit::Run,
};
use tokio::io::AsyncWriteExt as _;

/// A gate with a log, and a visit that runs again and again.
struct Desk {
    gate: Gate,
    journal: Arc<Memory>,
    visit: Visit,
    content: Content,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn new(setting: Setting) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let content = Content::open(folder.path().join("blobs"));
        let journal = Arc::new(Memory::new());
        let visit = Arc::unwrap_or_clone(visit());
        taken(&journal, &visit).await;
        let gate = Gate::new(Means {
            vault: Arc::new(OneSecret),
            auditor: Arc::new(Notes::default()),
            resolvers: setting.resolvers,
            clock: || 1_000,
            log: Some(Log::new(journal.clone(), content.clone())),
        });
        let terms = Terms {
            rights: Rights {
                grants: setting.grants,
                ceiling: None,
            },
            rate: setting.rate,
            limits: setting.limits,
            violation: setting.violation,
            component: Digest::of("component"),
            granted_at: "l/line.toml:9".into(),
        };
        gate.admit(&visit.line, 1, &visit.station, terms);
        Self {
            gate,
            journal,
            visit,
            content,
            _folder: folder,
        }
    }

    /// The way out of a run of the visit: number, first of the attempt, accepted.
    fn run(&self, number: u32, first: u32, accepted: u32) -> Trip {
        let visit = Visit {
            run: Run {
                number,
                first,
                accepted,
                recorded: 0,
            },
            ..self.visit.clone()
        };
        Trip {
            way: Some(self.gate.enter(&Arc::new(visit))),
            notes: Arc::default(),
        }
    }

    /// What is recorded, when nothing is under way any more.
    async fn recorded(&self) -> Vec<Effect> {
        self.gate.settled().await;
        let key = VisitKey::from(&self.visit);
        let visit = Some((key.station, key.nth));
        let all = self.journal.effects(key.item, visit).await.unwrap();
        all.into_iter().map(|(_, effect)| effect).collect()
    }

    /// The same in short: `1 POST /a done 200`.
    async fn log(&self) -> Vec<String> {
        let told = |effect: Effect| {
            let (method, url) = effect.intent.what.split_once(' ').unwrap();
            let path = url.rsplit_once('/').map_or("", |(_, path)| path);
            let end = effect.end.map_or("open".into(), |end| {
                let answer = end.answer.map(|answer| answer.status.to_string());
                let failure = end.failure.map(|failure| format!("{failure:?}"));
                let came = answer.or(failure).unwrap_or_else(|| "-".into());
                format!("{} {came}", end.ended.key())
            });
            format!("{} {method} /{path} {end}", effect.run)
        };
        self.recorded().await.into_iter().map(told).collect()
    }
}

async fn taken(journal: &Memory, visit: &Visit) {
    let text = "line = 'l'\nentry = 's'\n[stations.s]\nuse = 'x'\nnext = 'done'\n";
    let line = crate::line::parse("line.toml", text, &crate::line::Vars::default()).unwrap();
    let payload = Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(Bytes::new()),
        labels: Labels::default(),
    };
    let taken: Record = take(1, &line.line, 1, Taking::plain("a", payload));
    let item = crate::item::Item::fold(visit.item.clone(), std::slice::from_ref(&taken));
    let append = Append {
        item: visit.item.clone(),
        expected: 0,
        records: vec![taken],
        messages: vec![],
        blobs: vec![],
        summary: item.unwrap().unwrap().summary(),
    };
    journal.append(append).await.unwrap();
}

fn post(server: &Server, path: &str, text: &str) -> Request<WayBody> {
    let mut post = request("POST", &format!("{}/{path}", server.url()));
    *post.body_mut() = body(text.to_string());
    post
}

/// The requests that came, without what is the same in all.
fn seen(server: &Server) -> Vec<String> {
    let line = |request: &String| request.lines().next().unwrap_or_default().to_string();
    server.requests().iter().map(line).collect()
}

fn key(request: &str) -> &str {
    let line = request
        .lines()
        .find(|line| line.starts_with("idempotency-key: "));
    line.unwrap_or_else(|| panic!("no key in {request}"))
}

#[tokio::test]
async fn a_run_of_the_same_attempt_gets_the_same_answers() {
    let server = Server::start(Answers::Echo).await;
    let desk = Desk::new(Setting::all(&server)).await;
    let calls = [
        format!("GET {}/a", server.url()),
        format!("POST {}/b", server.url()),
        format!("GET {}/a", server.url()),
        format!("POST {}/b", server.url()),
    ];
    let mut first = Vec::new();
    let trip = desk.run(1, 1, 0);
    for call in &calls {
        first.push(trip.call(call).await.unwrap());
    }
    drop(trip);
    let log = [
        "1 GET /a done 200",
        "1 POST /b done 200",
        "1 GET /a done 200",
        "1 POST /b done 200",
    ];
    assert_eq!(desk.log().await, log);
    let again = desk.run(2, 1, 0);
    for (call, first) in calls.iter().zip(&first) {
        assert_eq!(again.call(call).await.as_ref(), Ok(first));
    }
    assert_eq!(server.requests().len(), 4);
    // The same answer is for the same request, and moves the clock to the same time.
    let response = again.send(post(&server, "b", "other")).await.unwrap();
    assert_eq!(response.extensions().get(), Some(&CameAt(1_000)));
    assert_eq!(read(response).await.unwrap().0, 200);
    assert_eq!(desk.log().await.len(), 5);
    let later = desk.run(3, 1, 0);
    let response = later
        .send(request("GET", &format!("{}/a", server.url())))
        .await
        .unwrap();
    assert_eq!(response.extensions().get(), Some(&CameAt(1_000)));
}

#[tokio::test]
async fn a_later_attempt_makes_only_safe_calls_anew() {
    let server = Server::start(Answers::Echo).await;
    let mut setting = Setting::all(&server);
    let desk = Desk::new(Setting::all(&server)).await;
    for number in 1..4 {
        let trip = desk.run(number, number, 0);
        trip.call(&format!("GET {}/a", server.url())).await.unwrap();
        let (_, text) = read(trip.send(post(&server, "b", "x")).await.unwrap())
            .await
            .unwrap();
        assert!(text.ends_with('x'), "{text}");
    }
    let once = [
        "GET /a HTTP/1.1",
        "POST /b HTTP/1.1",
        "GET /a HTTP/1.1",
        "GET /a HTTP/1.1",
    ];
    assert_eq!(seen(&server), once);
    setting.grants.http[0].resample = true;
    let desk = Desk::new(setting).await;
    for number in 1..4 {
        let trip = desk.run(number, number, 0);
        trip.call(&format!("POST {}/c", server.url()))
            .await
            .unwrap();
    }
    assert_eq!(seen(&server)[4..], ["POST /c HTTP/1.1"; 3]);
    let requests = server.requests();
    assert_eq!(key(&requests[4]), key(&requests[6]));
    assert_ne!(key(&requests[4]), key(&requests[1]));
}

#[tokio::test]
async fn what_a_server_did_not_do_is_asked_of_it_again() {
    let answer = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\nno";
    let server = Server::start(Answers::Raw(answer.into())).await;
    let desk = Desk::new(Setting::all(&server)).await;
    let call = format!("POST {}/a", server.url());
    let trip = desk.run(1, 1, 0);
    for _ in 0..2 {
        assert_eq!(trip.call(&call).await, Ok((503, "no".into())));
    }
    // In the same attempt it was told so already.
    assert_eq!(desk.run(2, 1, 0).call(&call).await, Ok((503, "no".into())));
    assert_eq!(server.requests().len(), 2);
    assert_eq!(desk.run(3, 3, 0).call(&call).await, Ok((503, "no".into())));
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(
        requests
            .iter()
            .all(|request| key(request) == key(&requests[0]))
    );
    // So is what never left.
    server.stop().await;
    let trip = desk.run(4, 4, 0);
    drop(trip.call(&call).await);
    let nobody = Server::start(Answers::Echo).await;
    nobody.stop().await;
    let desk = Desk::new(Setting::all(&nobody)).await;
    let call = format!("POST {}/a", nobody.url());
    for number in 1..3 {
        let refusal = desk.run(number, number, 0).refused(&call).await;
        assert_eq!(refusal, Refusal::Failed(Failure::Connect));
    }
    let log = ["1 POST /a refused Connect", "2 POST /a refused Connect"];
    assert_eq!(desk.log().await, log);
    assert_eq!(
        desk.run(3, 1, 0).refused(&call).await,
        Refusal::Failed(Failure::Connect)
    );
}

#[tokio::test]
async fn nobody_knows_of_a_request_without_an_answer() {
    let server = Server::start(Answers::Hangup).await;
    let desk = Desk::new(Setting::all(&server)).await;
    let call = format!("POST {}/a", server.url());
    let trip = desk.run(1, 1, 0);
    assert_eq!(trip.refused(&call).await, Refusal::Failed(Failure::Broken));
    // Neither at once, nor later, nor something else in its stead.
    let unknown = trip.refused(&call).await;
    assert!(matches!(unknown, Refusal::Unknown(_)), "{unknown:?}");
    let unknown = desk.run(2, 2, 0).refused(&call).await;
    let what = format!("`POST {}/a` was sent in run 1", server.url());
    assert!(unknown.to_string().starts_with(&what), "{unknown}");
    let other = desk.run(2, 2, 0);
    let diverged = other.refused(&format!("POST {}/b", server.url())).await;
    assert!(matches!(diverged, Refusal::Diverged(_)), "{diverged:?}");
    assert_eq!(server.requests().len(), 1);
    // The same attempt was told that it broke.
    assert_eq!(
        desk.run(2, 1, 0).refused(&call).await,
        Refusal::Failed(Failure::Broken)
    );
    assert_eq!(server.requests().len(), 1);
    // A person has looked.
    desk.run(3, 3, 2).refused(&call).await;
    assert_eq!(server.requests().len(), 2);
    let mut setting = Setting::all(&server);
    setting.grants.http[0].idempotent = true;
    let desk = Desk::new(setting).await;
    for number in 1..3 {
        desk.run(number, number, 0).refused(&call).await;
    }
    let requests = server.requests();
    assert_eq!(key(&requests[2]), key(&requests[3]));
}

#[tokio::test]
async fn a_visit_that_does_other_than_before_ends() {
    let server = Server::start(Answers::Echo).await;
    let desk = Desk::new(Setting::all(&server)).await;
    let trip = desk.run(1, 1, 0);
    trip.send(post(&server, "a", "one")).await.unwrap();
    for (number, first) in [(2, 1), (2, 2)] {
        let trip = desk.run(number, first, 0);
        let refusal = trip.send(post(&server, "a", "two")).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Diverged(_)), "{refusal:?}");
    }
    // What differs each time makes no other request of it.
    let mut same = post(&server, "a", "one");
    for (name, value) in [
        ("user-agent", "b/2"),
        ("traceparent", "00-2"),
        ("idempotency-key", "x"),
    ] {
        same.headers_mut().insert(name, value.parse().unwrap());
    }
    desk.run(2, 2, 0).send(same).await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn long_answers_are_kept_beside_the_journal() {
    let long = "x".repeat(300_000);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}",
        long.len()
    );
    let server = Server::start(Answers::Raw(answer)).await;
    let desk = Desk::new(Setting::all(&server)).await;
    let call = format!("POST {}/a", server.url());
    assert_eq!(desk.run(1, 1, 0).call(&call).await, Ok((200, long.clone())));
    let recorded = desk.recorded().await;
    let answer = recorded[0].end.as_ref().unwrap().answer.as_ref().unwrap();
    let Body::Stored { digest, len } = &answer.body else {
        panic!("{answer:?}");
    };
    assert_eq!((*len, answer.rest), (300_000, Rest::Whole));
    let kept = desk.content.get(digest).unwrap().unwrap();
    assert_eq!(kept, long.as_bytes());
    assert_eq!(desk.run(2, 2, 0).call(&call).await, Ok((200, long)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn where_a_guest_stops_reading_the_rest_is_read_within_bounds() {
    let long = "x".repeat(200_000);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}",
        long.len()
    );
    let server = Server::start(Answers::Raw(answer)).await;
    let desk = Desk::new(Setting::all(&server)).await;
    let trip = desk.run(1, 1, 0);
    let response = trip.send(post(&server, "a", "")).await.unwrap();
    drop(response);
    drop(trip);
    // The next attempt waits for what the one before began.
    let call = format!("POST {}/a", server.url());
    let (_, text) = desk.run(2, 2, 0).call(&call).await.unwrap();
    assert_eq!(text.len(), 200_000);
    let recorded = desk.recorded().await;
    let answer = recorded[0].end.as_ref().unwrap().answer.as_ref().unwrap();
    assert_eq!((answer.read, answer.rest), (0, Rest::Whole));
    assert_eq!(server.requests().len(), 1);

    let endless = Server::start(Answers::Endless).await;
    let desk = Desk::new(Setting::all(&endless)).await;
    let trip = desk.run(1, 1, 0);
    drop(trip.send(post(&endless, "a", "")).await.unwrap());
    let safe = request("GET", &format!("{}/b", endless.url()));
    drop(trip.send(safe).await.unwrap());
    let recorded = desk.recorded().await;
    for effect in &recorded {
        let end = effect.end.as_ref().unwrap();
        assert_eq!(end.ended, Ended::Done);
        assert_eq!(end.answer.as_ref().unwrap().rest, Rest::Unread);
    }
    assert_eq!(recorded.len(), 2);
    let response = desk
        .run(2, 2, 0)
        .send(post(&endless, "a", ""))
        .await
        .unwrap();
    let failed = response.into_body().collect().await.unwrap_err();
    assert_eq!(failed, Refusal::Failed(Failure::Broken));
    assert_eq!(endless.requests().len(), 2);
}

#[tokio::test]
async fn no_secret_is_recorded() {
    let server = Server::start(Answers::Echo).await;
    let setting = Setting::all(&server).secret(&server, bearer());
    let desk = Desk::new(setting).await;
    let trip = desk.run(1, 1, 0);
    let (_, text) = read(trip.send(post(&server, "a", "x")).await.unwrap())
        .await
        .unwrap();
    assert!(text.contains("[redacted KEY]"), "{text}");
    assert!(server.requests()[0].contains(SECRET));
    let recorded = format!("{:?}", desk.recorded().await);
    assert!(!recorded.contains(SECRET), "{recorded}");
    let answer = desk.recorded().await[0]
        .end
        .clone()
        .unwrap()
        .answer
        .unwrap();
    let Body::Inline(kept) = answer.body else {
        panic!("it is short");
    };
    assert_eq!(kept, text.as_bytes());
}

#[tokio::test]
async fn nothing_unsafe_leaves_while_the_log_cannot_be_written() {
    let server = Server::start(Answers::Echo).await;
    let desk = Desk::new(Setting::all(&server)).await;
    desk.journal.fail(JournalError::Other {
        path: "memory".into(),
        reason: "full".into(),
    });
    let refusal = desk
        .run(1, 1, 0)
        .refused(&format!("POST {}/a", server.url()))
        .await;
    assert_eq!(refusal, Refusal::Failed(Failure::Broken));
    // Where it cannot be read, nobody can say what was done.
    let refusal = desk
        .run(2, 1, 0)
        .refused(&format!("GET {}/a", server.url()))
        .await;
    assert_eq!(refusal, Refusal::Failed(Failure::Broken));
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn an_attempt_waits_for_what_the_one_before_began() {
    let server = Server::start(Answers::Silence).await;
    let mut setting = Setting::all(&server);
    setting.grants.http[0].timeout = Duration::from_millis(300);
    let desk = Desk::new(setting).await;
    let trip = desk.run(1, 1, 0);
    let going = tokio::spawn({
        let way = trip.way.clone().unwrap();
        let post = post(&server, "a", "");
        async move { way.send(post, Patience::default()).await.map(drop) }
    });
    while server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    // The guest is gone, its request is not.
    going.abort();
    drop(trip);
    let call = format!("POST {}/a", server.url());
    let refusal = desk.run(2, 2, 0).refused(&call).await;
    assert!(matches!(refusal, Refusal::Unknown(_)), "{refusal:?}");
    assert_eq!(desk.log().await, ["1 POST /a unknown Timeout"]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_sent_something_is_not_made_again() {
    let server = Server::start(Answers::Echo).await;
    let desk = async |idempotent| {
        let mut setting = Setting::new(&[]);
        setting.grants.tcp.push(TcpGrant {
            rule: server.address.to_string().parse().unwrap(),
            private: true,
            idempotent,
        });
        Desk::new(setting).await
    };
    let connect = async |desk: &Desk, run: (u32, u32), text: &[u8]| {
        let way = desk.run(run.0, run.1, 0).way.unwrap();
        let mut connection = way.connect(server.address).await?;
        connection.write_all(text).await.unwrap();
        Ok::<_, Refusal>(())
    };
    let strict = desk(false).await;
    connect(&strict, (1, 1), b"").await.unwrap();
    connect(&strict, (2, 2), b"").await.unwrap();
    connect(&strict, (3, 3), b"hello").await.unwrap();
    for run in [(4, 3), (4, 4)] {
        let unknown = connect(&strict, run, b"").await.unwrap_err();
        assert!(matches!(unknown, Refusal::Unknown(_)), "{unknown:?}");
    }
    let sent = |effect: &Effect| effect.end.as_ref().map(|end| (end.ended, end.bytes_out));
    let recorded: Vec<_> = strict.recorded().await.iter().map(sent).collect();
    let nothing = Some((Ended::Refused, 0));
    assert_eq!(recorded, [nothing, nothing, Some((Ended::Unknown, 5))]);
    let lenient = desk(true).await;
    for run in [(1, 1), (2, 1), (3, 3)] {
        connect(&lenient, run, b"hello").await.unwrap();
    }
    // Several in one run are several.
    let way = desk(false).await.run(1, 1, 0).way.unwrap();
    for _ in 0..2 {
        let mut connection = way.connect(server.address).await.unwrap();
        connection.write_all(b"x").await.unwrap();
    }
    // Nothing leaves of which nothing can be kept.
    let full = desk(false).await;
    let way = full.run(1, 1, 0).way.unwrap();
    let mut connection = way.connect(server.address).await.unwrap();
    full.journal.fail(JournalError::Other {
        path: "memory".into(),
        reason: "full".into(),
    });
    assert!(connection.write_all(b"x").await.is_err());
}
