//! Effects: calls that leave the sandbox and that the world can notice. What is kept of each, and the one
//! decision: whether a call is answered from what is kept, leaves, or ends its visit.
//!
//! Pure. Knows nothing of how a call is made, nor of where records are kept.

mod ledger;

pub use ledger::{Asked, Decision, Ledger, Slip};

use crate::{
    digest::Digest,
    item::{Body, ItemId},
    name::Name,
    visit::{Millis, Visit},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A visit: what its effects are filed under. All attempts of it, and all their runs, share them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitKey {
    /// The item.
    pub item: ItemId,
    /// The station.
    pub station: Name,
    /// The how manieth visit of the item to the station, from 1.
    pub nth: u32,
}

impl From<&Visit> for VisitKey {
    fn from(visit: &Visit) -> Self {
        Self {
            item: visit.item.clone(),
            station: visit.station.clone(),
            nth: visit.nth,
        }
    }
}

/// What sort of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectKind {
    /// A request over HTTP and its answer.
    Http,
    /// A connection over TCP. Its bytes are counted and not kept, so it cannot be answered from the log.
    Tcp,
}

impl EffectKind {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// What a visit is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What sort of call.
    pub kind: EffectKind,
    /// Whether it changes nothing at the other end.
    pub safe: bool,
    /// The digest of the call, see [`request_digest`].
    pub digest: Digest,
    /// Which of the calls with this digest, from 1; one that was refused is the same when it is made
    /// again.
    pub occurrence: u32,
    /// `POST https://api.example.com/v1/x`, without its query, as it came from the guest: whoever prints
    /// it escapes it.
    pub what: String,
    /// The rule of the grant that let it through.
    pub rule: String,
    /// Whether the grant lets it be made again when nobody knows whether it arrived.
    pub idempotent: bool,
    /// Whether the grant lets a new attempt make it anew.
    pub resample: bool,
}

/// An effect as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The run of the visit in which it was made.
    pub run: u32,
    /// Its number among those of the run, from 1.
    pub number: u32,
    /// When it was intended.
    pub at: Millis,
    /// What was to be done.
    pub intent: Intent,
    /// What came of it; none where that was never known.
    pub end: Option<End>,
}

impl Effect {
    /// The longer body of its answer, which stands in the content store.
    pub fn stored(&self) -> Option<Digest> {
        match &self.end.as_ref()?.answer.as_ref()?.body {
            Body::Stored { digest, .. } => Some(*digest),
            Body::Inline(_) | Body::File(_) => None,
        }
    }
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Millis,
    /// In which of the three ways.
    pub ended: Ended,
    /// Bytes that were sent, as far as they were counted.
    pub bytes_out: u64,
    /// Bytes that came back.
    pub bytes_in: u64,
    /// What the guest was answered; none of a connection, and where nothing came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// What the guest was told instead of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The three ways in which an effect ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Nothing was sent, or the server said that it did nothing (408, 429, 503).
    Refused,
    /// There is a final status; the answer was read to its end, or to where the guest stopped.
    Done,
    /// It was sent, and no final status came back.
    Unknown,
}

impl Ended {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer as the guest got it: secrets taken out, unpacked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// When its head came: the guest's clock is moved to it.
    pub at: Millis,
    /// The final status.
    pub status: u16,
    /// Names and values of its headers.
    pub headers: Vec<(String, serde_bytes::ByteBuf)>,
    /// What is kept of its body.
    pub body: Body,
    /// How many bytes of the body the guest took.
    pub read: u64,
    /// What came after the bytes that are kept.
    pub rest: Rest,
}

/// How a kept body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// It is whole.
    Whole,
    /// It broke off like this.
    Failed(Failure),
    /// The guest stopped, and the rest was too long to be read without it.
    Unread,
}

impl Answered {
    /// An answer of just this body, for tests and tools.
    pub fn whole(at: Millis, status: u16, body: Bytes) -> Self {
        let read = body.len() as u64;
        Self {
            at,
            status,
            headers: Vec::new(),
            body: Body::Inline(body),
            read,
            rest: Rest::Whole,
        }
    }
}

/// How a granted call failed; what the guest may know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The name is not known, or the resolver cannot be reached.
    Name,
    /// Nobody answered the connection, or it was turned down.
    Connect,
    /// It took too long.
    Timeout,
    /// The server's certificate was not accepted, or TLS failed otherwise.
    Tls,
    /// The connection broke off.
    Broken,
    /// The answer is no HTTP, or is packed in a way that cannot be unpacked.
    Protocol,
    /// The request is no HTTP that may be sent.
    Request,
    /// The answer is longer than the grant's `max-response`.
    TooLong,
}

impl Effect {
    /// Whether something may have been done of which nobody knows: it never ended, or as `unknown`.
    pub fn open(&self) -> bool {
        let ended = self.end.as_ref().map(|end| end.ended);
        matches!(ended, None | Some(Ended::Unknown))
    }

    /// Whether it was done.
    pub fn done(&self) -> bool {
        let ended = self.end.as_ref().map(|end| end.ended);
        ended == Some(Ended::Done)
    }
}

/// Headers that differ each time the same request is made, and are no part of what it asks for: times,
/// the names of traces, who sends it, how often it was tried.
const VOLATILE: [&str; 17] = [
    "accept-encoding",
    "baggage",
    "b3",
    "content-length",
    "date",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-amz-date",
    "x-amzn-trace-id",
    "x-client-request-id",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-request-id",
    "x-stainless-retry-count",
    "x-stainless-timeout",
];

/// Whether a header, in lower case, is no part of what a request asks for.
pub fn volatile(header: &str) -> bool {
    VOLATILE.contains(&header) || header.starts_with("x-b3-")
}

/// The digest of a request: its method, its URL, its headers in the order of their names, and the digest
/// of its body. Taken before secrets are put in, so that another key makes it no other request.
pub fn request_digest<'a>(
    method: &str,
    url: &str,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &Digest,
) -> Digest {
    let mut headers: Vec<_> = headers.filter(|(name, _)| !volatile(name)).collect();
    // Stable: the values of one header stay in their order.
    headers.sort_by_key(|(name, _)| *name);
    let mut hasher = blake3::Hasher::new_derive_key("andon 2026 digest of a request");
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(method.as_bytes());
    part(url.as_bytes());
    part(body.as_bytes());
    for (name, value) in headers {
        part(name.as_bytes());
        part(value);
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// The digest of a connection to `to`: a name or an address, with its port.
pub fn connection_digest(to: &str) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("andon 2026 digest of a connection");
    hasher.update(to.as_bytes());
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// What an unsafe request carries as its `Idempotency-Key`: the same whenever the same is asked for by the
/// same visit, and in no other factory.
pub fn idempotency_key(
    factory: &[u8; 16],
    visit: &VisitKey,
    digest: &Digest,
    occurrence: u32,
) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("andon 2026 idempotency key");
    hasher.update(factory);
    for text in [visit.item.as_str(), visit.station.as_str()] {
        hasher.update(text.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(&visit.nth.to_le_bytes());
    hasher.update(digest.as_bytes());
    hasher.update(&occurrence.to_le_bytes());
    format!("andon-{}", &hasher.finalize().to_hex()[..32])
}

#[cfg(test)]
mod tests;
