//! What is taken down of a request: how it ended, and how much went which way.

use super::super::{
    passage::Visiting,
    recording::{Counts, Recording},
};
use crate::{
    audit::Deed,
    digest::Digest,
    effect::Ended,
    sandbox::way::{Failure, Refusal},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use tokio::sync::OwnedSemaphorePermit;

/// A request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The digest of the URL, before secrets are put in.
    pub target: Digest,
    /// The final status; none where none came.
    pub status: Option<u16>,
    /// Whether anything of it was sent.
    pub sent: bool,
    /// Bytes that were sent.
    pub bytes_out: u64,
    /// Bytes that came back, as they came.
    pub bytes_in: u64,
}

impl Exchange {
    /// Whether the method changes nothing at the server.
    pub fn safe(&self) -> bool {
        safe(&self.method)
    }

    /// How it ended, when nothing more comes.
    pub fn ended(&self) -> Ended {
        match self.status {
            _ if !self.sent => Ended::Refused,
            None => Ended::Unknown,
            Some(408 | 429 | 503) => Ended::Refused,
            Some(_) => Ended::Done,
        }
    }
}

/// Whether a method changes nothing at the server.
pub(super) fn safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// An exchange under way. Its end is taken down when it is dropped, whoever drops it.
pub(in crate::sandbox::egress) struct Record {
    pub(in crate::sandbox::egress) exchange: Exchange,
    pub(in crate::sandbox::egress) visiting: Arc<Visiting>,
    /// What the effect log gets of it.
    pub(in crate::sandbox::egress) recording: Option<Box<Recording>>,
    pub(super) what: String,
    pub(super) rule: String,
    /// Whether it was denied after all, so that its end is told.
    pub(super) denied: AtomicBool,
    /// Its places among those under way, of its station and of all.
    pub(super) _places: [OwnedSemaphorePermit; 2],
}

impl Record {
    /// The call came to nothing, which the guest is about to hear.
    pub(super) fn refused(&mut self, refusal: Refusal) -> Refusal {
        if let Some(recording) = &mut self.recording {
            match &refusal {
                Refusal::Failed(failure) => recording.failed(*failure),
                Refusal::Over(_) => recording.failed(Failure::TooLong),
                // It is denied again when it is asked for again.
                _ => {}
            }
        }
        refusal
    }

    pub(in crate::sandbox::egress) fn counts(&self) -> Counts {
        Counts {
            bytes_out: match self.exchange.sent {
                true => self.exchange.bytes_out,
                false => 0,
            },
            bytes_in: self.exchange.bytes_in,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let counts = self.counts();
        let exchange = &self.exchange;
        let ended = exchange.ended();
        if let Some(recording) = &mut self.recording {
            recording.over(ended, counts);
        }
        // Of a request that changed nothing and was answered, nobody asks how it ended.
        if self.denied.load(Relaxed) || ended == Ended::Done && exchange.safe() {
            return;
        }
        let status = match exchange.status {
            Some(status) => format!("status {status}"),
            None => "no status".into(),
        };
        let word = match ended {
            Ended::Refused => "refused",
            Ended::Done => "done",
            Ended::Unknown => "unknown",
        };
        let why = format!(
            "ended as {word}: {status}, {} bytes out, {} bytes in",
            exchange.bytes_out, exchange.bytes_in
        );
        let rule = Some(std::mem::take(&mut self.rule));
        let entry = (self.visiting).entry(Deed::Http, true, &self.what, rule, Some(why));
        self.visiting.note(vec![entry]);
    }
}
