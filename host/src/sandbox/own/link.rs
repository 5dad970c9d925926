//! The host's end of the socket to one runner process: tells it what to do, and hears what it says.

use super::{
    Host,
    channel::{Inbox, Outbox, Read, bad},
    check,
    errands::{self, Bodies},
    keeper::Job,
    stream::{Streams, Tell},
    ways,
    wire::{Answer, Call, News, Order, Word},
};
use crate::sandbox::{
    imports::progress::{NOTE, Progress},
    way::{Failure, Refusal},
};
use rustix::fd::OwnedFd;
use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
};
use tokio::{io::Interest, net::UnixStream, sync::Notify};

/// A runner process, as the host speaks with it.
pub(super) struct Link {
    /// Its place in the pool.
    pub(super) slot: usize,
    /// Its id.
    pub(super) process: u32,
    socket: UnixStream,
    out: Mutex<Outbox>,
    /// There is something to be written.
    more: Notify,
    /// There is room again for what it causes: answers that it reads, bodies that are kept.
    eased: Notify,
    /// Nothing can be written any more.
    gone: AtomicBool,
    /// Bodies that it has handed over, and the one that it is handing over.
    pub(super) bodies: Mutex<Bodies>,
    pub(super) streams: Arc<Streams>,
}

impl Tell for Link {
    fn tell(&self, stream: Call, news: News<'_>) {
        let pushed = self.out().push(&Order::Stream { stream, news });
        debug_assert!(pushed.is_ok(), "parts are short");
        self.more.notify_one();
    }
}

impl Link {
    /// To be called in a runtime. The socket must not block.
    pub(super) fn new(slot: usize, process: u32, socket: OwnedFd) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            slot,
            process,
            socket: UnixStream::from_std(socket.into())?,
            out: Mutex::default(),
            more: Notify::new(),
            eased: Notify::new(),
            gone: AtomicBool::new(false),
            bodies: Mutex::default(),
            streams: Arc::default(),
        }))
    }

    /// Begins to speak and to listen. What ends that is told to the keeper.
    pub(super) fn open(
        self: &Arc<Self>,
        host: &Weak<Host>,
        mut inbox: Inbox,
        keeper: mpsc::Sender<Job>,
    ) {
        tokio::spawn(self.clone().write());
        let (link, host) = (self.clone(), host.clone());
        tokio::spawn(async move {
            let why = link.listen(&host, &mut inbox).await.err();
            link.streams.forget(None);
            let unread = inbox.is_unread() || !link.out().is_empty();
            let job = Job::Lost {
                slot: link.slot,
                process: link.process,
                unread: why.is_none() && unread,
                why: why.map(|error| error.to_string()),
            };
            // The keeper is gone when all runners are to end.
            let _ = keeper.send(job);
        });
    }

    fn out(&self) -> MutexGuard<'_, Outbox> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bodies(&self) -> MutexGuard<'_, Bodies> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call, with a file where one goes along.
    pub(super) fn answer(&self, call: Call, answer: Answer<'_>, file: Option<OwnedFd>) {
        let order = Order::Answer { call, answer };
        let mut out = self.out();
        let pushed = match file {
            Some(file) => out.push_with(&order, file),
            None => out.push(&order),
        };
        debug_assert!(pushed.is_ok(), "answers are short");
        drop(out);
        self.more.notify_one();
    }

    /// Says something: at once to a runner that has nothing else to do, together with what comes next to
    /// one that is busy.
    pub(super) fn tell(&self, order: &Order<'_>, idle: bool) -> io::Result<()> {
        let mut out = self.out();
        let first = out.is_empty();
        out.push(order)?;
        if first && (!idle || !matches!(out.write(&self.socket), Ok(true))) {
            drop(out);
            self.more.notify_one();
        }
        Ok(())
    }

    /// Waits until the process may cause more: one that does not read its answers, or hands over bodies
    /// faster than they can be kept, is not heard meanwhile. Nothing that is waited for needs it heard.
    async fn ease(&self) {
        loop {
            let eased = self.eased.notified();
            if self.gone.load(Relaxed) || !(self.out().is_full() || self.bodies().is_full()) {
                return;
            }
            eased.await;
        }
    }

    /// A body is kept, or cannot be.
    pub(super) fn is_put(&self) {
        self.bodies().is_put();
        self.eased.notify_one();
    }

    /// Writes until the process is gone.
    async fn write(self: Arc<Self>) {
        loop {
            self.more.notified().await;
            let written = self.socket.async_io(Interest::WRITABLE, || {
                match self.out().write(&self.socket)? {
                    true => Ok(()),
                    false => Err(io::ErrorKind::WouldBlock.into()),
                }
            });
            let gone = written.await.is_err();
            self.gone.store(gone, Relaxed);
            self.eased.notify_one();
            if gone {
                // Whoever reads finds out as well.
                return;
            }
        }
    }

    /// Hears what the process says until it is gone.
    async fn listen(self: &Arc<Self>, host: &Weak<Host>, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            self.ease().await;
            let read =
                self.socket
                    .async_io(Interest::READABLE, || match inbox.read(&self.socket)? {
                        Read::Nothing => Err(io::ErrorKind::WouldBlock.into()),
                        read => Ok(read),
                    });
            if read.await? == Read::End {
                return Ok(());
            }
            let Some(host) = host.upgrade() else {
                return Ok(());
            };
            while let Some(word) = inbox.next::<Word<'_>>()? {
                self.hear(&host, word)?;
            }
        }
    }

    fn hear(self: &Arc<Self>, host: &Arc<Host>, word: Word<'_>) -> io::Result<()> {
        let stranger = || bad("news of a visit that it does not run".into());
        match word {
            Word::Report { visit, report } => {
                let station = (host.hall().pool.running(visit, self.slot))
                    .map(|flight| flight.station)
                    .ok_or_else(stranger)?;
                let limits = &host.stations[station as usize].station.limits;
                let report =
                    check::report(report, limits, |digest, len| self.bodies().has(digest, len))?;
                let mut hall = host.hall();
                let flight = hall.pool.ended(visit, self.slot);
                host.drive(&mut hall);
                drop(hall);
                errands::report(flight.ok_or_else(stranger)?, report)?;
                self.streams.forget(Some(visit));
            }
            Word::Gone(visit) => {
                let mut hall = host.hall();
                hall.pool.ended(visit, self.slot).ok_or_else(stranger)?;
                host.drive(&mut hall);
                drop(hall);
                self.streams.forget(Some(visit));
            }
            Word::Progress {
                visit,
                done,
                total,
                note,
            } => {
                let visit = (host.hall().pool.running(visit, self.slot))
                    .map(|flight| flight.visit.clone())
                    .ok_or_else(stranger)?;
                if let Some(listener) = &host.progress {
                    let note = note.chars().take(NOTE).collect();
                    listener(&visit, Progress { done, total, note });
                }
            }
            Word::Stream { stream, news } => {
                let news = match news {
                    // Whatever it calls it: the guest broke its body off.
                    News::Broken(_) => News::Broken(Refusal::Failed(Failure::Request)),
                    news => news,
                };
                self.streams.hear(stream, news)?;
            }
            Word::Leave(visit) => ways::leave(self, host, visit),
            Word::Call { call, wish } => errands::run(self, host, call, wish)?,
            Word::Ready(_) | Word::Unready { .. } => {
                return Err(bad("it says a second time that it has started".into()));
            }
        }
        Ok(())
    }
}
