//! A runner process from inside: the wall first, then the engine, then visits until the host is gone.
//!
//! It has no rights of its own. Whatever a visit needs beside its own files, the host is asked for.

mod begin;
mod calls;
mod way;

use super::{
    channel::{Inbox, Outbox, Read, bad},
    stream::Streams,
    wire::{self, Answer, Number, Order, Word},
};
use crate::{
    digest::Digest,
    item::{Body, ItemId, Labels, Payload},
    name::Name,
    sandbox::{InProcess, Runner as _, imports::progress::Progress},
    visit::{Outcome, Report, Visit},
};
use bytes::Bytes;
use calls::Calls;
use futures::FutureExt as _;
use rustix::fd::{AsFd as _, OwnedFd};
use std::{
    collections::HashMap,
    io,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::{self, ThreadId},
};
use tokio::{io::Interest, net::UnixStream, sync::Notify, task::AbortHandle};

/// The host's messages are as long as inputs are.
const LONGEST: usize = u32::MAX as usize;

/// What the process was started for.
struct Task {
    line: Name,
    revision: u64,
    names: Vec<Name>,
    /// So many visits at the same time.
    visits: usize,
}

/// Runs visits until the host is gone. Standard input is the socket to it.
///
/// # Errors
/// When the host does not speak as it should, or cannot be heard.
pub fn run() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let link = Arc::new(Link::new(socket));
    // Has no threads yet; it makes sockets of its own, which is over once the wall stands.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    {
        let _inside = runtime.enter();
        crate::disk::outlive_bounds()?;
    }
    let begun = begin::begin(&link);
    link.state().out.write(&link.socket)?;
    let Some((runner, task)) = begun? else {
        return Ok(());
    };
    let work = link.work.set((runner, task));
    debug_assert!(work.is_ok(), "it begins once");
    rustix::io::ioctl_fionbio(&link.socket, true)?;
    let served = runtime.block_on(serve(&link));
    // Threads that wait for an answer wait for ever now.
    std::process::exit(i32::from(served.is_err()))
}

/// The runner's end of the socket, and the visits of this process.
struct Link {
    socket: OwnedFd,
    inbox: Mutex<Inbox>,
    state: Mutex<State>,
    /// There is something to be written.
    more: Notify,
    calls: Calls,
    streams: Arc<Streams>,
    /// The thread that runs visits, and reads and writes.
    main: ThreadId,
    work: OnceLock<(InProcess, Task)>,
}

#[derive(Default)]
struct State {
    out: Outbox,
    visits: HashMap<Number, Begun>,
    numbers: HashMap<ItemId, Number>,
    /// How far visits have come since that was last told.
    progress: HashMap<Number, Progress>,
}

struct Begun {
    item: ItemId,
    task: Option<AbortHandle>,
}

impl Link {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            inbox: Mutex::new(Inbox::with_files(LONGEST)),
            state: Mutex::default(),
            more: Notify::new(),
            calls: Calls::default(),
            streams: Arc::default(),
            main: thread::current().id(),
            work: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something, together with what else visits say until they all wait.
    fn say(&self, word: &Word<'_>) -> io::Result<()> {
        self.state().out.push(word)?;
        self.more.notify_one();
        Ok(())
    }

    /// A visit reports how far it has come: often at once, where only the last is of interest.
    fn came(&self, visit: &Visit, progress: Progress) {
        let mut state = self.state();
        if let Some(number) = state.numbers.get(&visit.item).copied() {
            state.progress.insert(number, progress);
            self.more.notify_one();
        }
    }

    /// The visit that an item is on.
    fn number(&self, visit: &Visit) -> io::Result<Number> {
        let number = self.state().numbers.get(&visit.item).copied();
        number.ok_or_else(|| io::Error::other("the visit is over"))
    }

    fn ended(&self, number: Number) -> bool {
        let mut state = self.state();
        let Some(begun) = state.visits.remove(&number) else {
            return false;
        };
        if state.numbers.get(&begun.item) == Some(&number) {
            state.numbers.remove(&begun.item);
        }
        state.progress.remove(&number);
        true
    }

    /// Writes what there is: whether all of it is written.
    fn write(&self) -> io::Result<bool> {
        let mut state = self.state();
        let State { out, progress, .. } = &mut *state;
        for (visit, Progress { done, total, note }) in progress.drain() {
            out.push(&Word::Progress {
                visit,
                done,
                total,
                note: &note,
            })?;
        }
        out.write(&self.socket)
    }

    /// Hears all that has come.
    fn read(self: &Arc<Self>) -> io::Result<Read> {
        let mut inbox = self.inbox();
        loop {
            loop {
                match inbox.next::<Order<'_>>()? {
                    Some(Order::Answer { call, answer }) => {
                        let opened = matches!(answer, Answer::Opened);
                        let answer = calls::Answered::of(answer);
                        let file = opened.then(|| inbox.file()).transpose()?;
                        self.calls.answered(call, answer, file);
                    }
                    Some(order) => self.hear(order)?,
                    None => break,
                }
            }
            let read = inbox.read(&self.socket)?;
            if read != Read::Some {
                return Ok(read);
            }
        }
    }

    fn hear(self: &Arc<Self>, order: Order<'_>) -> io::Result<()> {
        match order {
            Order::Visit(said) => self.begin(said),
            Order::Cancel(number) => {
                if let Some(begun) = self.state().visits.get_mut(&number)
                    && let Some(task) = begun.task.take()
                {
                    task.abort();
                }
                match self.ended(number) {
                    true => self.say(&Word::Gone(number)),
                    false => Ok(()),
                }
            }
            Order::Stream { stream, news } => self.streams.hear(stream, news),
            Order::Start(_) | Order::Code | Order::Answer { .. } => {
                Err(bad("it has started".into()))
            }
        }
    }

    fn begin(self: &Arc<Self>, said: wire::Visit<'_>) -> io::Result<()> {
        let Some((runner, task)) = self.work.get() else {
            return Err(bad("it has not started".into()));
        };
        let number = said.number;
        let visit = visit(task, said)?;
        let item = visit.item.clone();
        let mut state = self.state();
        state.numbers.insert(item.clone(), number);
        let running = runner.visit(visit);
        let link = self.clone();
        let handle = tokio::spawn(async move {
            let report = AssertUnwindSafe(running).catch_unwind().await;
            let report = report.unwrap_or_else(|_| panicked());
            if link.ended(number) {
                let report = wire::Report::from(&report);
                let visit = number;
                if let Err(error) = link.say(&Word::Report { visit, report }) {
                    // No other report would tell more; the host hears of the end.
                    tracing::error!("a report cannot be sent: {error}");
                    std::process::exit(1);
                }
            }
        });
        let task = Some(handle.abort_handle());
        state.visits.insert(number, Begun { item, task });
        Ok(())
    }
}

async fn serve(link: &Arc<Link>) -> io::Result<()> {
    let socket = Arc::new(UnixStream::from_std(link.socket.try_clone()?.into())?);
    // Writes what visits have to say: after all of them that could go on have done so.
    tokio::spawn({
        let (socket, link) = (socket.clone(), link.clone());
        async move {
            loop {
                link.more.notified().await;
                let written = socket.async_io(Interest::WRITABLE, || match link.write()? {
                    true => Ok(()),
                    false => Err(io::ErrorKind::WouldBlock.into()),
                });
                if written.await.is_err() {
                    // Whoever reads finds out as well.
                    return;
                }
            }
        }
    });
    socket
        .async_io(Interest::READABLE, || match link.read()? {
            Read::End => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        })
        .await
}

fn visit(task: &Task, said: wire::Visit<'_>) -> io::Result<Visit> {
    let name = task.names.get(said.station as usize);
    let inputs = said.inputs.into_iter().map(payload);
    Ok(Visit {
        item: said.item.parse().map_err(io::Error::other)?,
        line: task.line.clone(),
        revision: task.revision,
        station: name.ok_or_else(|| bad("no such station".into()))?.clone(),
        nth: said.nth,
        attempt: said.attempt,
        started: said.started,
        seed: said.seed,
        inputs: inputs.collect::<io::Result<_>>()?,
        workspace: said.workspace.map(Digest::from_bytes),
        joined: (said.joined.into_iter())
            .map(|hash| hash.map(Digest::from_bytes))
            .collect(),
        deadline: said.deadline,
        answers: said.answers,
        run: said.run,
    })
}

fn payload(said: wire::Payload<'_>) -> io::Result<Payload> {
    let mut labels = Labels::default();
    for (name, value) in said.labels {
        labels.set(name, value).map_err(io::Error::other)?;
    }
    Ok(Payload {
        content_type: said.content_type.into(),
        body: match said.body {
            wire::Body::Inline(bytes) => Body::Inline(Bytes::copy_from_slice(bytes)),
            wire::Body::Stored { digest, len } => Body::Stored {
                digest: Digest::from_bytes(digest),
                len,
            },
            wire::Body::File(path) => Body::File(path.into()),
        },
        labels,
    })
}

fn panicked() -> Report {
    Report {
        outcome: Outcome::Trapped("the host's own code panicked during the visit".into()),
        ..Report::not_made(String::new())
    }
}
