//! What a visit asks the host for: its workspace, and what large bodies are made of.
//!
//! Whoever asks waits on the spot. On the thread that runs visits, this reads and writes meanwhile, so
//! that what else comes is heard; visits of this process go on when the answer is there, and none of them
//! pays for the time with its `wall`.

use super::Link;
use crate::{
    digest::Digest,
    item::ItemId,
    sandbox::{
        folders::{Contents, Folder, Folders, LeaveError, Left},
        meter::stalled,
        own::{
            channel::Read,
            wire::{Answer, Call, Number, Wish, Word},
        },
        way::Refusal,
    },
    visit::{Millis, Visit},
    workspace::Held,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::OwnedFd,
    io::Errno,
};
use std::{
    collections::HashMap,
    fs::File,
    io,
    net::IpAddr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};
use tokio::sync::oneshot;

/// How much of a large body is sent in one message.
const PART: usize = 256 << 10;

/// Calls that wait for their answers.
#[derive(Default)]
pub(super) struct Calls {
    next: AtomicU64,
    came: Mutex<HashMap<Call, (Answered, Option<OwnedFd>)>>,
    news: Condvar,
    /// Answers that a task waits for.
    expected: Mutex<HashMap<Call, oneshot::Sender<Answered>>>,
    /// Held while a body is sent.
    putting: Mutex<()>,
}

/// An answer that was read.
#[derive(Debug)]
pub(super) enum Answered {
    Failed(String),
    Entered(PathBuf, Vec<Option<PathBuf>>, Option<Held>),
    Left,
    Unkept(String),
    Kept(Digest),
    Opened,
    Sent(Option<Millis>, u16, Vec<(String, Vec<u8>)>),
    Found(Vec<IpAddr>),
    Connected,
    Refused(Refusal),
}

impl Answered {
    pub(super) fn of(answer: Answer<'_>) -> Self {
        let path = |bytes: &[u8]| Path::new(std::ffi::OsStr::from_bytes(bytes)).to_path_buf();
        match answer {
            Answer::Failed(reason) => Self::Failed(reason.into()),
            Answer::Entered {
                workspace,
                joined,
                held,
            } => {
                let held = held.map(|(bytes, entries)| Held { bytes, entries });
                let joined = joined
                    .into_iter()
                    .map(|bytes| bytes.map(|bytes| path(bytes)));
                Self::Entered(path(workspace), joined.collect(), held)
            }
            Answer::Left => Self::Left,
            Answer::Unkept(reason) => Self::Unkept(reason.into()),
            Answer::Kept(hash) => Self::Kept(Digest::from_bytes(hash)),
            Answer::Opened => Self::Opened,
            Answer::Sent {
                came,
                status,
                headers,
            } => {
                let headers = headers.into_iter();
                let headers = headers.map(|(name, value)| (name.into(), value.to_vec()));
                Self::Sent(came, status, headers.collect())
            }
            Answer::Found(addresses) => Self::Found(addresses),
            Answer::Connected => Self::Connected,
            Answer::Refused(refusal) => Self::Refused(refusal),
        }
    }

    /// Where it is none of those that were wanted.
    fn other(self) -> io::Error {
        match self {
            Self::Failed(reason) => io::Error::other(reason),
            other => io::Error::other(format!("another answer: {other:?}")),
        }
    }
}

impl Calls {
    fn came(&self) -> MutexGuard<'_, HashMap<Call, (Answered, Option<OwnedFd>)>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names a call.
    pub(super) fn number(&self) -> Call {
        self.next.fetch_add(1, Relaxed)
    }

    /// The answer to a call that is about to be made, for a task.
    pub(super) fn expect(&self, call: Call) -> oneshot::Receiver<Answered> {
        let (send, answer) = oneshot::channel();
        self.expected().insert(call, send);
        answer
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<Call, oneshot::Sender<Answered>>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self, call: Call, answer: Answered, file: Option<OwnedFd>) {
        if let Some(expected) = self.expected().remove(&call) {
            // The visit may be over.
            let _ = expected.send(answer);
            return;
        }
        self.came().insert(call, (answer, file));
        self.news.notify_all();
    }
}

impl Link {
    fn call(&self, wish: Wish<'_>) -> io::Result<Call> {
        let call = self.calls.number();
        self.say(&Word::Call { call, wish })?;
        Ok(call)
    }

    fn answer(self: &Arc<Self>, call: Call) -> io::Result<(Answered, Option<OwnedFd>)> {
        if thread::current().id() != self.main {
            let mut came = self.calls.came();
            loop {
                if let Some(answer) = came.remove(&call) {
                    return Ok(answer);
                }
                came = (self.calls.news.wait(came)).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let asked = Instant::now();
        loop {
            let wanted = match self.write()? {
                true => PollFlags::IN,
                false => PollFlags::IN | PollFlags::OUT,
            };
            match poll(&mut [PollFd::new(&self.socket, wanted)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if self.read()? == Read::End {
                // The host is gone, and with it whoever could hear of the visit.
                std::process::exit(0);
            }
            if let Some(answer) = self.calls.came().remove(&call) {
                stalled(asked.elapsed());
                return Ok(answer);
            }
        }
    }

    fn ask(self: &Arc<Self>, wish: Wish<'_>) -> io::Result<(Answered, Option<OwnedFd>)> {
        let call = self.call(wish)?;
        self.answer(call)
    }
}

impl Folders for Arc<Link> {
    fn enter(&self, visit: &Visit) -> io::Result<Box<dyn Folder>> {
        let number = self.number(visit)?;
        match self.ask(Wish::Enter(number))?.0 {
            Answered::Entered(workspace, joined, held) => Ok(Box::new(Entered {
                link: self.clone(),
                number,
                workspace,
                joined,
                held,
            })),
            other => Err(other.other()),
        }
    }

    fn parted(&self, _: &ItemId) {}
}

/// A workspace that the host has made ready.
struct Entered {
    link: Arc<Link>,
    number: Number,
    workspace: PathBuf,
    joined: Vec<Option<PathBuf>>,
    held: Option<Held>,
}

impl Folder for Entered {
    fn held(&self) -> Option<Held> {
        self.held
    }

    fn path(&self) -> &Path {
        &self.workspace
    }

    fn joined(&self) -> Vec<Option<&Path>> {
        self.joined.iter().map(Option::as_deref).collect()
    }

    /// The snapshot stays with the host, which puts it into the report, and knows the limits itself.
    fn leave(self: Box<Self>, _: Held) -> Result<Left, LeaveError> {
        match self.link.ask(Wish::Leave(self.number))?.0 {
            Answered::Left => Ok(Left::default()),
            Answered::Unkept(reason) => Err(LeaveError::Station(reason)),
            other => Err(other.other().into()),
        }
    }
}

impl Contents for Arc<Link> {
    fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        let putting = (self.calls.putting.lock()).unwrap_or_else(PoisonError::into_inner);
        let mut parts = bytes.chunks(PART).peekable();
        let mut call = None;
        while let Some(part) = parts.next() {
            call = Some(self.call(Wish::Put {
                part: serde_bytes::Bytes::new(part),
                last: parts.peek().is_none(),
            })?);
        }
        drop(putting);
        let call = call.ok_or_else(|| io::Error::other("an empty body is not kept"))?;
        match self.answer(call)?.0 {
            Answered::Kept(digest) => Ok(digest),
            other => Err(other.other()),
        }
    }

    fn open(&self, digest: &Digest) -> io::Result<File> {
        match self.ask(Wish::Open(*digest.as_bytes()))? {
            (Answered::Opened, Some(file)) => Ok(file.into()),
            (other, _) => Err(other.other()),
        }
    }
}
