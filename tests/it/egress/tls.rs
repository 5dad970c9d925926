//! TLS: a server is talked to only if its certificate is for the name that the call was granted for,
//! and comes from an authority that this machine trusts.

use super::{call, run_as, runtime, servers::Names};
use crate::ground::Ground;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell";
/// Ends where the connection does.
const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\nhalf";

/// A server behind TLS, which says one thing on each connection.
struct Secure {
    address: SocketAddr,
    /// The names that its clients asked for.
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

/// How a connection ends after the answer.
#[derive(Clone, Copy)]
enum End {
    Said,
    CutOff,
}

impl Secure {
    async fn start(
        (certificate, key): (Certificate, KeyPair),
        says: &'static str,
        end: End,
    ) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate and its key");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, noted) = (acceptor.clone(), noted.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let name = stream.get_ref().1.server_name().map(String::from);
                    noted.lock().expect("whole").push(name);
                    assert!(stream.read_u8().await.is_ok(), "a request comes");
                    stream.write_all(says.as_bytes()).await.expect("written");
                    stream.flush().await.expect("written");
                    if let End::Said = end {
                        let _ = stream.shutdown().await;
                    }
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().expect("whole").clone()
    }
}

/// A server that answers without TLS, whatever it is told.
async fn plain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(WHOLE.as_bytes()).await;
            // It reads on, so that its answer is not lost with what it did not read.
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
    });
    address
}

/// An authority, and its own certificate.
fn authority(name: &str) -> (Issuer<'static, KeyPair>, Certificate) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (Issuer::new(params, key), certificate)
}

fn for_names(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    CertificateParams::new(names).expect("names")
}

fn signed(params: &CertificateParams, by: &Issuer<'_, KeyPair>) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    (params.signed_by(&key, by).expect("a certificate"), key)
}

#[test]
fn only_the_right_certificate_is_accepted() {
    let runtime = runtime();
    let (trusted, root) = authority("trusted");
    let (stranger, _) = authority("stranger");
    let good = for_names(&["a.test", "*.b.test", "127.0.0.1"]);
    let mut expired = for_names(&["expired.test"]);
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let mut early = for_names(&["early.test"]);
    (early.not_before, early.not_after) = (date_time_ymd(3001, 1, 1), date_time_ymd(3002, 1, 1));
    let own = KeyPair::generate().expect("a key");
    let own = (
        for_names(&["own.test"]).self_signed(&own).expect("signed"),
        own,
    );
    let said = |certificate| Secure::start(certificate, WHOLE, End::Said);
    let (right, expired, early, own, strange, whole, half, plain) = runtime.block_on(async {
        (
            said(signed(&good, &trusted)).await,
            said(signed(&expired, &trusted)).await,
            said(signed(&early, &trusted)).await,
            said(own).await,
            said(signed(&for_names(&["strange.test"]), &stranger)).await,
            Secure::start(signed(&good, &trusted), OPEN, End::Said).await,
            Secure::start(signed(&good, &trusted), OPEN, End::CutOff).await,
            plain().await,
        )
    });
    let refused = "the call failed: ErrorCode::TlsProtocolError";
    let cases = [
        ("a.test", right.address, "200 well"),
        ("x.b.test", right.address, "200 well"),
        ("127.0.0.1", right.address, "200 well"),
        ("wrong.test", right.address, refused),
        ("b.test", right.address, refused),
        ("x.y.b.test", right.address, refused),
        ("expired.test", expired.address, refused),
        ("early.test", early.address, refused),
        ("own.test", own.address, refused),
        ("strange.test", strange.address, refused),
        // It speaks no TLS at all.
        ("a.test", plain, refused),
        // What ends without a word is whole only where TLS says that it ended.
        ("a.test", whole.address, "200 half"),
        (
            "a.test",
            half.address,
            "the call failed: ErrorCode::ConnectionTerminated",
        ),
    ];
    let here: &[&str] = &["127.0.0.1"];
    let named: Vec<(&str, &[&str])> = cases.iter().map(|(name, ..)| (*name, here)).collect();
    let names = runtime.block_on(Names::start(&named));
    let ground = Ground::new();
    ground.write("root.pem", root.pem()).write(
        "andon.toml",
        format!("[network]\nresolvers = [\"{}\"]\n", names.address),
    );
    let url = |name: &str, to: &SocketAddr| format!("https://{name}:{}/", to.port());
    let grants = cases
        .iter()
        .map(|(name, to, _)| format!("{{ rule = \"GET {}\", private = true }}", url(name, to)));
    let grants = format!("grants.http = [{}]", grants.collect::<Vec<_>>().join(", "));
    let calls: Vec<String> = (cases.iter())
        .map(|(name, to, _)| call(&format!("GET {}", url(name, to))))
        .collect();
    let environment = [("SSL_CERT_FILE", ground.path("root.pem").into_os_string())];
    let out = run_as(&ground, &grants, &calls, &environment).well();
    for (name, to, came) in &cases {
        let told = format!("GET {}: {came}\n", url(name, to));
        assert!(out.contains(&told), "{told} in\n{out}");
    }
    // Each was asked for by the name in the URL; an address is no name.
    let mut asked = right.asked();
    asked.sort();
    let names = ["a.test", "x.b.test"].map(|name| Some(name.into()));
    assert_eq!(asked, [&[None], &names[..]].concat());
    for server in [&expired, &early, &own, &strange] {
        assert!(server.asked().is_empty(), "the handshake does not end");
    }
}
