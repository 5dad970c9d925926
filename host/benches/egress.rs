//! An allowed call through the egress, against the same call with bare hyper: to a server of the
//! bench's own on loopback, both over a kept connection. Prints the time of each and the ratio;
//! asserts nothing.

#[path = "server/mod.rs"]
mod server;

use andon::{
    digest::Digest,
    grant::{Grants, HttpGrant, Pace, Rates, Rights},
    item::ItemId,
    limits::Limits,
    line::OnViolation,
    sandbox::{
        Egress as _, Patience, Way,
        egress::{Gate, Means, NoSecrets, Terms, Unaudited},
    },
    visit::Visit,
};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, runtime::Runtime};

/// The command's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALLS: u32 = 5_000;
const ROUNDS: usize = 9;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The way out of a station that may call the server as often as it can.
fn way(server: SocketAddr) -> Arc<dyn Way> {
    let visit = Arc::new(Visit {
        item: ItemId::input(&[0; 16], "line", "input"),
        line: "line".parse().expect("a name"),
        revision: 1,
        station: "station".parse().expect("a name"),
        nth: 1,
        attempt: 1,
        started: 0,
        seed: [0; 32],
        inputs: Vec::new(),
        workspace: None,
        joined: Vec::new(),
        deadline: None,
        answers: Vec::new(),
        run: andon::visit::Run::default(),
    });
    let gate = Gate::new(Means {
        vault: Arc::new(NoSecrets),
        auditor: Arc::new(Unaudited),
        resolvers: Vec::new(),
        clock: || 0,
        log: None,
    });
    let rule = format!("GET,POST http://{server}/**");
    let terms = Terms {
        rights: Rights {
            grants: Grants {
                http: vec![HttpGrant {
                    private: true,
                    ..HttpGrant::new(rule.parse().expect("a rule"))
                }],
                ..Grants::default()
            },
            ceiling: None,
        },
        rate: Rates {
            requests: Pace::a_second(1 << 40),
            connections: Pace::a_second(1 << 40),
            bytes: Pace::a_second(1 << 50),
        },
        limits: Limits {
            requests: u64::MAX,
            sent: u64::MAX,
            received: u64::MAX,
            ..Limits::default()
        },
        violation: OnViolation::Jam,
        component: Digest::of("component"),
        granted_at: "line.toml:1".into(),
    };
    gate.admit(&visit.line, 1, &visit.station, terms);
    gate.enter(&visit)
}

fn request(method: &Method, uri: String, body: &Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header(header::ACCEPT, "text/plain")
        .body(Full::new(body.clone()))
        .expect("a request")
}

async fn bare(
    sender: &mut SendRequest<Full<Bytes>>,
    server: SocketAddr,
    method: &Method,
    body: &Bytes,
) {
    let mut request = request(method, "/v1/hello".into(), body);
    let host = server.to_string().parse().expect("a header");
    request.headers_mut().insert(header::HOST, host);
    sender.ready().await.expect("still open");
    let answer = sender.send_request(request).await.expect("an answer");
    let body = answer.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes().len(), 13);
}

async fn gated(way: &Arc<dyn Way>, server: SocketAddr, method: &Method, body: &Bytes) {
    let request = request(method, format!("http://{server}/v1/hello"), body);
    let request = request.map(|body| body.map_err(|never| match never {}).boxed_unsync());
    let answer = way
        .send(request, Patience::default())
        .await
        .expect("an answer");
    let body = answer.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes().len(), 13);
}

fn main() {
    let server = server::start();
    let runtime = runtime();
    let way = way(server);
    for (method, size) in [(Method::GET, 0), (Method::POST, 1 << 10)] {
        let body = Bytes::from(vec![b'x'; size]);
        let mut sender = runtime.block_on(async {
            let stream = TcpStream::connect(server).await.expect("a connection");
            stream.set_nodelay(true).expect("an option");
            let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
            tokio::spawn(driver);
            sender
        });
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let bare = runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..CALLS {
                    self::bare(&mut sender, server, &method, &body).await;
                }
                started.elapsed() / CALLS
            });
            let gated = runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..CALLS {
                    self::gated(&way, server, &method, &body).await;
                }
                started.elapsed() / CALLS
            });
            let ratio = gated.as_secs_f64() / bare.as_secs_f64();
            println!(
                "{method} of {size} bytes: bare {}, egress {}: {ratio:.2}",
                micros(bare),
                micros(gated)
            );
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "{method} of {size} bytes: median ratio {:.2}",
            ratios[ROUNDS / 2]
        );
    }
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
