//! Calls of a line's own, which no visit makes: results to webhooks, notices of jams and holds.
//!
//! They are decided as those of stations are, by rights over the parsed URL and then over the
//! addresses; the line file is what grants them. Each is one POST over a connection of its own; no
//! redirect is followed, and of the answer only its head is looked at.

use super::{Gate, head};
use crate::{
    audit::{Deed, Entry},
    digest::Digest,
    grant::{Ceiling, Host, Scheme},
    item::ItemId,
    line::sink::Webhook,
    name::Name,
    sandbox::way::Failure,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use zeroize::Zeroizing;

/// A POST of a line's own.
#[derive(Debug, Clone)]
pub struct Call {
    /// The line.
    pub line: Name,
    /// Its revision.
    pub revision: u64,
    /// Which of the line's own calls it is, as its file has it: `sinks.hook`, `notify.jam`.
    pub rule: String,
    /// What stands for a station in the audit.
    pub by: Name,
    /// The item that it is about; none for a notice of many.
    pub item: Option<ItemId>,
    /// Where it goes.
    pub webhook: Webhook,
    /// What the operator allows at most.
    pub ceiling: Option<Ceiling>,
    /// Its headers, beside those that the egress sets: host, length, signature.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// Its status.
    pub status: u16,
    /// After which time the server wants to be asked again, where it says so in seconds.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer. No text has a part of the URL's path or of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unposted {
    /// It may not be made.
    #[error("{why}\n  hint: {hint}")]
    Denied {
        /// Why not.
        why: String,
        /// What to do.
        hint: String,
    },
    /// It was made, or tried.
    #[error("{}", failed(*.0))]
    Failed(Failure),
}

/// Makes calls of a line's own.
pub trait Post: Send + Sync + 'static {
    /// Makes one, within [`Webhook::TIMEOUT`].
    fn post(&self, call: Call) -> BoxFuture<'static, Result<Posted, Unposted>>;
}

impl Post for Gate {
    fn post(&self, call: Call) -> BoxFuture<'static, Result<Posted, Unposted>> {
        let gate = self.clone();
        Box::pin(async move {
            let posted = timeout(Webhook::TIMEOUT, gate.call(&call)).await;
            let posted = posted.unwrap_or(Err(Unposted::Failed(Failure::Timeout)));
            gate.note(&call, &posted);
            posted
        })
    }
}

impl Gate {
    async fn call(&self, call: &Call) -> Result<Posted, Unposted> {
        let target = &call.webhook.target;
        let rights = call.webhook.rights(call.ceiling.as_ref());
        let given = rights
            .http("POST", target)
            .map_err(|reason| denied(reason.to_string(), "see `[ceiling]` of `andon.toml`"))?;
        if call.webhook.secret.is_some() && rights.secrets("POST", target).next().is_none() {
            return Err(denied(
                "the ceiling of `andon.toml` does not admit that it is signed".into(),
                "see `secrets` in `[ceiling.grants]`",
            ));
        }
        let mut headers = call.headers.clone();
        head::outgoing(&mut headers, target).map_err(Unposted::Failed)?;
        if let Some(signature) = self.signature(call).await? {
            headers.insert(HeaderName::from_static(Webhook::SIGNATURE), signature);
        }
        let found = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => (self.0.names.look_up(name).await).map_err(Unposted::Failed)?,
        };
        let mut bad = None;
        let admitted = |address: &IpAddr| match call.webhook.admit(&given, *address) {
            Ok(()) => true,
            Err(reason) => {
                bad.get_or_insert(reason);
                false
            }
        };
        let admitted: Vec<_> = found.into_iter().filter(admitted).collect();
        if let Some(bad) = bad.filter(|_| admitted.is_empty()) {
            let why = format!(
                "`{}` leads to an address that is not open: {bad}",
                target.host
            );
            return Err(denied(
                why,
                "`private = true` beside `webhook` opens private addresses",
            ));
        }
        let addresses: Vec<_> = (admitted.into_iter())
            .map(|address| SocketAddr::new(address, target.port))
            .collect();
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() =
            (target.path_and_query().parse()).map_err(|_| Unposted::Failed(Failure::Request))?;
        *request.headers_mut() = headers;
        let dialler = &self.0.dialler;
        let (connection, _) = (dialler.connect(&addresses).await).map_err(Unposted::Failed)?;
        match target.scheme {
            Scheme::Http => exchange(connection, request).await,
            Scheme::Https => {
                let secured = dialler.secure(&target.host, connection).await;
                exchange(secured.map_err(Unposted::Failed)?, request).await
            }
        }
    }

    /// `t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>">`.
    async fn signature(&self, call: &Call) -> Result<Option<HeaderValue>, Unposted> {
        let Some(name) = call.webhook.secret.clone() else {
            return Ok(None);
        };
        let vault = self.0.means.vault.clone();
        let found = tokio::task::spawn_blocking({
            let name = name.clone();
            move || vault.secret(&name)
        });
        let found = match found.await.map_err(std::io::Error::from).flatten() {
            Ok(found) => found,
            Err(error) => {
                return Err(denied(
                    format!("the secret `{name}` that signs it cannot be read: {error}"),
                    "`andon secret list` tells where secrets are kept",
                ));
            }
        };
        let Some(key) = found.filter(|key| !key.is_empty()) else {
            return Err(denied(
                format!("the secret `{name}` that signs it is not set"),
                &format!("`andon secret set {name}` sets it"),
            ));
        };
        let seconds = (self.0.means.clock)() / 1000;
        let mut value = HeaderValue::try_from(signed(&key, seconds, &call.body))
            .map_err(|_| Unposted::Failed(Failure::Request))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn note(&self, call: &Call, posted: &Result<Posted, Unposted>) {
        let why = match posted {
            Ok(posted) => format!("status {}", posted.status),
            Err(Unposted::Denied { why, .. }) => why.clone(),
            Err(error) => error.to_string(),
        };
        let entry = Entry {
            at: (self.0.means.clock)(),
            deed: Deed::Http,
            allowed: !matches!(posted, Err(Unposted::Denied { .. })),
            line: call.line.clone(),
            revision: call.revision,
            station: call.by.clone(),
            component: None::<Digest>,
            item: call.item.clone(),
            what: format!("POST {}", call.webhook.target.without_path()),
            rule: Some(call.rule.clone()),
            why: Some(why),
        };
        self.0.means.auditor.note(vec![entry]);
    }
}

async fn exchange<T>(connection: T, request: Request<Full<Bytes>>) -> Result<Posted, Unposted>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |_| Unposted::Failed(Failure::Broken);
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(head::BYTES)
        .max_header_size(head::BYTES)
        .max_headers(head::HEADERS)
        .handshake(TokioIo::new(connection))
        .await
        .map_err(broken)?;
    // It ends with the sender: nothing of the answer's body is read.
    let driver = tokio::spawn(driver);
    let answered = sender.send_request(request).await;
    let posted = answered.map(|answer| Posted {
        status: answer.status().as_u16(),
        retry_after: retry_after(answer.headers()),
    });
    driver.abort();
    posted.map_err(|error| Unposted::Failed(super::exchange::failure(&error)))
}

/// In seconds; a date is not worth reading, since our own back-off is about as long.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(value.trim().parse().ok()?))
}

fn signed(key: &Zeroizing<String>, seconds: u64, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("keys of any length are taken");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut text = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn denied(why: String, hint: &str) -> Unposted {
    Unposted::Denied {
        why,
        hint: hint.into(),
    }
}

fn failed(failure: Failure) -> &'static str {
    match failure {
        Failure::Name => "its name leads nowhere",
        Failure::Connect => "nobody answers the connection",
        Failure::Timeout => "it took too long",
        Failure::Tls => "its certificate is not accepted, or TLS failed otherwise",
        Failure::Broken => "the connection broke off",
        Failure::Protocol => "the answer is no HTTP",
        Failure::Request => "the request is nothing that may be sent",
        Failure::TooLong => "the answer is too long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_over_time_and_body() {
        let key = Zeroizing::new("key".to_owned());
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let of = |seconds, body: &str| signed(&key, seconds, body.as_bytes());
        let first = of(1_700_000_000, r#"{"a":1}"#);
        assert_eq!(
            first,
            "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
        assert_ne!(first, of(1_700_000_001, r#"{"a":1}"#));
        assert_ne!(first, of(1_700_000_000, r#"{"a":2}"#));
    }

    #[test]
    fn only_seconds_of_a_retry_after_are_read() {
        let after = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers)
        };
        assert_eq!(after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(after("-1"), None);
    }
}
