//! One effect while it is under way: its intent, what came back of it, and its end, which is handed to the
//! journal before the guest learns of it, at the latest when this is dropped.

use super::{
    Inner,
    book::{Book, Entered},
};
use crate::{
    content::Content,
    effect::{Answered, Effect, End, Ended, Failure, Rest},
    failpoint::Point,
    item::Body,
    visit::Millis,
};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    mem,
    sync::Arc,
};
use tokio::task::{JoinHandle, spawn_blocking};

/// How much of an answer to an unsafe request is read when its guest stopped reading: another attempt may
/// want more of it.
pub(super) const UNREAD: u64 = 1 << 20;

/// An effect under way.
pub(super) struct Recording {
    book: Arc<Book>,
    gate: Arc<Inner>,
    effect: Effect,
    /// Its intent was handed to the journal.
    intended: bool,
    /// Its end was.
    over: bool,
    head: Option<Head>,
    failure: Option<Failure>,
    body: Tee,
    /// How much of the body the guest took.
    read: u64,
    _underway: Entered,
}

/// The head of an answer.
struct Head {
    at: Millis,
    status: u16,
    headers: Vec<(String, serde_bytes::ByteBuf)>,
}

/// A body that passes by: the first of it in memory, more in a file that has no name.
#[derive(Default)]
struct Tee {
    memory: BytesMut,
    len: u64,
    file: Option<File>,
    /// It could not be written; what came so far is not kept either.
    failed: bool,
}

/// What was counted of an effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
}

/// A body on its way into the content store: it, and whether it is there.
pub(super) type Keeping = JoinHandle<io::Result<Body>>;

impl Recording {
    pub(super) fn new(
        book: Arc<Book>,
        gate: Arc<Inner>,
        effect: Effect,
        underway: Entered,
    ) -> Self {
        Self {
            book,
            gate,
            effect,
            intended: false,
            over: false,
            head: None,
            failure: None,
            body: Tee::default(),
            read: 0,
            _underway: underway,
        }
    }

    /// What an unsafe request carries, so that the server knows it again.
    pub(super) fn key(&self) -> String {
        self.book.key(&self.effect.intent)
    }

    /// Hands the intent to the journal: what is unsafe leaves when the future has ended, and not where
    /// it failed.
    pub(super) fn intend(&mut self) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let waits = match self.effect.intent.safe {
            true => None,
            false => {
                Point::Intending.reached();
                self.intended = true;
                let journal = &self.book.log.journal;
                Some(journal.intend(self.book.visit.clone(), self.effect.clone()))
            }
        };
        async move {
            let Some(waits) = waits else {
                return Ok(());
            };
            waits.await.map_err(|error| {
                tracing::error!("an effect cannot be recorded, so it does not leave: {error}");
                Failure::Broken
            })
        }
    }

    /// The call came to nothing.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// The head of the answer, as the guest gets it: when it came.
    pub(super) fn answered(&mut self, status: u16, headers: &HeaderMap) -> Millis {
        let at = (self.gate.means.clock)();
        let headers = headers.iter().map(|(name, value)| {
            let value = serde_bytes::ByteBuf::from(value.as_bytes());
            (name.as_str().to_string(), value)
        });
        self.head = Some(Head {
            at,
            status,
            headers: headers.collect(),
        });
        at
    }

    /// A piece of the body; `taken` by the guest, or read on without it.
    pub(super) fn piece(&mut self, piece: &Bytes, taken: bool) {
        self.body.push(piece);
        if taken {
            self.read += piece.len() as u64;
        }
    }

    /// Whether the rest of the answer is read when the guest stops reading.
    pub(super) fn reads_on(&self) -> bool {
        !self.over && !self.effect.intent.safe
    }

    /// The body is over. Where it is long it is kept first: [`Self::keep`] is called with what comes of
    /// that.
    pub(super) fn close(&mut self, rest: Rest, counts: Counts) -> Option<Keeping> {
        if self.over {
            return None;
        }
        match mem::take(&mut self.body).end(self.book.log.content.clone()) {
            Kept::Here(body) => {
                self.keep(Ok(body), rest, counts);
                None
            }
            Kept::There(keeping) => Some(keeping),
        }
    }

    /// Hands the answer to the journal.
    pub(super) fn keep(&mut self, body: io::Result<Body>, rest: Rest, counts: Counts) {
        let (body, rest) = match body {
            Ok(body) => (body, rest),
            Err(error) => {
                tracing::warn!("an answer cannot be kept: {error}");
                (Body::Inline(Bytes::new()), Rest::Unread)
            }
        };
        let answer = self.head.take().map(|head| Answered {
            at: head.at,
            status: head.status,
            headers: head.headers,
            body,
            read: self.read,
            rest,
        });
        let ended = match answer.as_ref().map(|answer| answer.status) {
            Some(408 | 429 | 503) => Ended::Refused,
            Some(_) => Ended::Done,
            None => Ended::Unknown,
        };
        self.end(ended, answer, counts);
    }

    /// A connection is over, which is kept whether anything was sent or not.
    pub(super) fn closed(&mut self, ended: Ended, counts: Counts) {
        if !self.over {
            self.end(ended, None, counts);
        }
    }

    /// The effect is over, if nothing has said so yet.
    pub(super) fn over(&mut self, ended: Ended, counts: Counts) {
        if self.over {
            return;
        }
        if self.head.is_some() {
            // The guest went away in the midst of the answer.
            let body = mem::take(&mut self.body).short();
            let body = body.unwrap_or(Body::Inline(Bytes::new()));
            return self.keep(Ok(body), Rest::Unread, counts);
        }
        // What never left and was told to nobody need not be known.
        if !self.intended && self.failure.is_none() && ended != Ended::Unknown {
            self.over = true;
            self.book.ended(&self.effect.intent, ended);
            return;
        }
        // A safe one whose guest did not wait for the answer is made anew.
        if self.effect.intent.safe && self.failure.is_none() {
            self.over = true;
            return;
        }
        self.end(ended, None, counts);
    }

    fn end(&mut self, ended: Ended, answer: Option<Answered>, counts: Counts) {
        self.over = true;
        self.effect.end = Some(End {
            at: (self.gate.means.clock)(),
            ended,
            bytes_out: counts.bytes_out,
            bytes_in: counts.bytes_in,
            failure: match answer {
                Some(_) => None,
                None => self.failure,
            },
            answer,
        });
        self.book.ended(&self.effect.intent, ended);
        let effect = self.effect.clone();
        // Not waited for: what the visit comes to is appended after it, and fails where this does.
        drop(self.book.log.journal.ended(self.book.visit.clone(), effect));
        Point::EffectEnded.reached();
    }
}

/// Where a body is.
enum Kept {
    Here(Body),
    There(Keeping),
}

impl Tee {
    fn push(&mut self, piece: &[u8]) {
        if self.failed {
            return;
        }
        self.len += piece.len() as u64;
        self.memory.extend_from_slice(piece);
        if self.memory.len() > Body::INLINE
            && let Err(error) = self.spill()
        {
            tracing::warn!("an answer cannot be kept: {error}");
            (self.failed, self.file) = (true, None);
            self.memory = BytesMut::new();
        }
    }

    /// Into the system's own memory, as a rule: nobody waits for a disk here.
    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        file.write_all(&self.memory)?;
        self.memory.clear();
        Ok(())
    }

    /// What is kept where it is short.
    fn short(self) -> Option<Body> {
        (self.file.is_none() && !self.failed).then(|| Body::Inline(self.memory.freeze()))
    }

    fn end(mut self, content: Content) -> Kept {
        if self.failed {
            let lost = io::Error::other("it could not be written");
            return Kept::There(spawn_blocking(|| Err(lost)));
        }
        if self.file.is_none() {
            return Kept::Here(Body::Inline(self.memory.freeze()));
        }
        Kept::There(spawn_blocking(move || {
            self.spill()?;
            let mut file = self.file.take().ok_or(io::ErrorKind::NotFound)?;
            file.rewind()?;
            let (digest, len) = content.copy(&mut file, u64::MAX)?;
            Ok(Body::Stored { digest, len })
        }))
    }
}
