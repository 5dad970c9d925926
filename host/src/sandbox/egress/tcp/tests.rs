//! A visit's connections, through the gate, to servers and a name server on loopback.

#[path = "../../../../../tests/it/name_server.rs"]
mod name_server;

use super::*;
use crate::{
    audit::{Auditor, Entry},
    digest::Digest,
    grant::{Ceiling, Grants, Rates, Rights, TcpGrant},
    item::ItemId,
    limits::{Limit, Limits},
    line::OnViolation,
    sandbox::{
        egress::{Gate, Means, NoSecrets, Terms},
        way::{Egress as _, Way},
    },
    visit::{Violation, Visit},
};
use name_server::NameServer;
use std::net::Ipv4Addr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Takes entries down, as a line each.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Auditor for Notes {
    fn note(&self, entries: Vec<Entry>) {
        let mut notes = self.0.lock().unwrap();
        for entry in entries {
            let word = if entry.allowed { "allowed" } else { "denied" };
            let by = entry
                .rule
                .map_or(String::new(), |rule| format!(" by {rule}"));
            notes.push(format!("{word} {}{by}", entry.what));
        }
    }
}

/// A server that gives back what it gets.
async fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.into_split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

fn grants(rules: &[(&str, bool)]) -> Grants {
    let tcp = rules.iter().map(|(rule, private)| TcpGrant {
        idempotent: false,
        rule: rule.parse().unwrap(),
        private: *private,
    });
    Grants {
        tcp: tcp.collect(),
        ..Grants::default()
    }
}

fn terms(grants: Grants) -> Terms {
    Terms {
        rights: Rights {
            grants,
            ceiling: None,
        },
        rate: Rates::default(),
        limits: Limits::default(),
        violation: OnViolation::Jam,
        component: Digest::of("component"),
        granted_at: "line.toml:7".into(),
    }
}

/// A visit's way out on these terms.
fn enter(terms: Terms, resolvers: Vec<SocketAddr>) -> (Arc<dyn Way>, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let gate = Gate::new(Means {
        vault: Arc::new(NoSecrets),
        auditor: notes.clone(),
        resolvers,
        clock: || 0,
        log: None,
    });
    let (line, station): (crate::name::Name, crate::name::Name) =
        ("l".parse().unwrap(), "s".parse().unwrap());
    gate.admit(&line, 1, &station, terms);
    let visit = Visit {
        item: ItemId::input(&[0; 16], "l", "input"),
        line,
        revision: 1,
        station,
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
    };
    (gate.enter(&Arc::new(visit)), notes)
}

#[track_caller]
fn violation<T>(came: Result<T, Refusal>) -> Violation {
    match came {
        Err(Refusal::Violation(violation)) => violation,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it went through"),
    }
}

async fn connect(way: &Arc<dyn Way>, to: &str) -> Result<Box<dyn Connection>, Refusal> {
    way.connect(to.parse().unwrap()).await
}

#[tokio::test]
async fn an_answer_holds_for_the_visit() {
    let here = Ipv4Addr::LOCALHOST;
    let there = Ipv4Addr::new(127, 0, 0, 2);
    let server = NameServer::new(&[&[here], &[there]]);
    let port = echo().await;
    let (way, notes) = enter(
        terms(grants(&[(&format!("db.test:{port}"), true)])),
        vec![server.address],
    );
    for _ in 0..3 {
        assert_eq!(way.look_up("db.test".into()).await, Ok(vec![here.into()]));
    }
    assert_eq!(server.asked(), ["db.test."]);
    let mut connection = connect(&way, &format!("127.0.0.1:{port}")).await.unwrap();
    connection.write_all(b"hello").await.unwrap();
    connection.shutdown().await.unwrap();
    let mut all = String::new();
    connection.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "hello");
    drop(connection);
    // Where the name leads to by now is not where the visit may go.
    let refused = violation(connect(&way, &format!("127.0.0.2:{port}")).await);
    assert_eq!(refused.what, format!("connect 127.0.0.2:{port}"));
    assert_eq!(
        refused.hint,
        format!("`grants.tcp = [\"127.0.0.2:{port}\"]` at line.toml:7 grants it")
    );
    let by = format!("by db.test:{port}");
    assert_eq!(
        notes.0.lock().unwrap()[..],
        [
            format!("allowed look up db.test {by}"),
            format!("allowed connect db.test:{port} at 127.0.0.1 {by}"),
            format!("allowed connect db.test:{port} at 127.0.0.1 {by}"),
            format!("denied connect 127.0.0.2:{port}"),
        ]
    );
}

#[tokio::test]
async fn nobody_is_asked_for_a_name_that_is_not_granted() {
    let server = NameServer::new(&[&[Ipv4Addr::LOCALHOST]]);
    let (way, _) = enter(
        terms(grants(&[("*.db.test:1", true), ("db.test:1", true)])),
        vec![server.address],
    );
    for name in [
        "secret.attacker.example",
        "test",
        "xdb.test",
        "db.test.attacker.example",
    ] {
        let refused = violation(way.look_up(name.into()).await);
        assert_eq!(refused.what, format!("look up {name}"));
        assert_eq!(
            refused.hint,
            format!("`grants.tcp = [\"{name}:PORT\"]` at line.toml:7 grants it")
        );
    }
    assert_eq!(server.asked(), [""; 0]);
    assert!(way.look_up("a.db.test".into()).await.is_ok());
    assert_eq!(server.asked(), ["a.db.test."]);
}

#[tokio::test]
async fn a_name_may_lead_to_what_its_grant_opens() {
    let public = Ipv4Addr::new(8, 8, 8, 8);
    let metadata = Ipv4Addr::new(169, 254, 169, 254);
    let server = NameServer::new(&[&[Ipv4Addr::LOCALHOST, metadata], &[metadata, public]]);
    let (way, _) = enter(
        terms(grants(&[("a.test:1", false), ("b.test:1", false)])),
        vec![server.address],
    );
    let refused = violation(way.look_up("a.test".into()).await);
    assert_eq!(
        refused.hint,
        "`{ to = \"a.test:1\", private = true }` in `grants.tcp` at line.toml:7 opens it"
    );
    assert!(
        refused.why.contains("`127.0.0.1` is a private address"),
        "{}",
        refused.why
    );
    // Of several, those that are open stay.
    assert_eq!(way.look_up("b.test".into()).await, Ok(vec![public.into()]));
}

#[tokio::test]
async fn each_port_and_the_ceiling_are_asked() {
    let server = NameServer::new(&[&[Ipv4Addr::LOCALHOST]]);
    let mut terms = terms(grants(&[
        ("db.test:1", true),
        ("db.test:2", true),
        ("10.0.0.1:3", false),
    ]));
    terms.rights.ceiling = Some(Ceiling {
        grants: grants(&[("db.test:1", true)]),
        ..Ceiling::default()
    });
    let (way, _) = enter(terms, vec![server.address]);
    assert!(way.look_up("db.test".into()).await.is_ok());
    let hints = [
        (
            "127.0.0.1:2",
            "`tcp = [\"db.test:2\"]` in the ceiling of `andon.toml` admits it",
        ),
        (
            "127.0.0.1:4",
            "`grants.tcp = [\"db.test:4\"]` at line.toml:7 grants it",
        ),
        (
            "10.0.0.1:3",
            "`tcp = [\"10.0.0.1:3\"]` in the ceiling of `andon.toml` admits it",
        ),
    ];
    for (to, hint) in hints {
        assert_eq!(violation(connect(&way, to).await).hint, hint);
    }
}

#[tokio::test]
async fn limits_are_kept_to_the_byte() {
    let port = echo().await;
    let to = format!("127.0.0.1:{port}");
    let mut terms = terms(grants(&[(&to, false)]));
    (terms.limits.sent, terms.limits.requests) = (10, 2);
    let (way, _) = enter(terms.clone(), Vec::new());
    let mut connection = connect(&way, &to).await.unwrap();
    let over = connection.write_all(b"twelve bytes").await.unwrap_err();
    assert_eq!(
        over.downcast::<Refusal>().unwrap(),
        Refusal::Over(Limit::Sent)
    );
    let mut came = [0; 10];
    connection.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"twelve byt");
    // The limits are the visit's, not a connection's.
    let mut second = connect(&way, &to).await.unwrap();
    assert!(second.write_all(b"x").await.is_err());
    let third = connect(&way, &to).await;
    assert_eq!(third.err(), Some(Refusal::Over(Limit::Requests)));

    terms.limits.received = 4;
    let (way, _) = enter(terms, Vec::new());
    let mut connection = connect(&way, &to).await.unwrap();
    connection.write_all(b"hello").await.unwrap();
    let over = connection.read_exact(&mut came[..5]).await.unwrap_err();
    assert_eq!(
        over.downcast::<Refusal>().unwrap(),
        Refusal::Over(Limit::Received)
    );
}
