//! Runner processes that do not speak as they should: the peer is the test's own.

use super::{
    channel::{Inbox, Outbox, Read},
    keeper::{Job, heard},
    link::Link,
    wire::{Order, Word},
    *,
};
use crate::{
    digest::Digest,
    item::{Body, Labels, Payload},
    limits::Limits,
    sandbox::egress::Closed,
};
use rustix::{
    fd::OwnedFd,
    net::{Shutdown, shutdown},
};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::mpsc,
    thread,
};

/// The longest frame of the peer's.
const LONGEST: usize = 1 << 10;

fn name(name: &str) -> Name {
    name.parse().expect("a name")
}

fn station() -> Station {
    Station {
        r#use: PathBuf::new(),
        next: Default::default(),
        config: Default::default(),
        assets: Vec::new(),
        args: Vec::new(),
        env: Default::default(),
        exits: Default::default(),
        workers: 1,
        queue: 1,
        ask: None,
        hold: Default::default(),
        visits: None,
        join: None,
        retry: Default::default(),
        limits: Limits::default(),
        grants: Default::default(),
        rate: Default::default(),
        violation: Default::default(),
        clock: Default::default(),
    }
}

/// Neither workspaces nor bodies.
struct Nothing;

impl Folders for Nothing {
    fn enter(&self, _: &Visit) -> io::Result<Box<dyn Folder>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Contents for Nothing {
    fn put(&self, _: &[u8]) -> io::Result<Digest> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(&self, _: &Digest) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn host() -> Arc<Host> {
    let code = tempfile::tempfile().expect("a file");
    Arc::new(Host {
        line: name("l"),
        revision: 1,
        stations: vec![OwnStation {
            name: name("s"),
            station: station(),
            code: Verified::handed_over(code.into()),
        }],
        numbers: HashMap::from([(name("s"), 0)]),
        folders: Arc::new(Nothing),
        contents: Arc::new(Nothing),
        egress: Arc::new(Closed),
        progress: None,
        hall: Mutex::new(Hall {
            pool: Pool::new(2),
            links: vec![None; 2],
            broken: None,
        }),
    })
}

fn visit(n: u32) -> Visit {
    Visit {
        item: ItemId::input(&[0; 16], "l", &n.to_string()),
        line: name("l"),
        revision: 1,
        station: name("s"),
        nth: 1,
        attempt: 1,
        started: 0,
        seed: [0; 32],
        inputs: vec![Payload {
            content_type: "text/plain".into(),
            body: Body::Inline(bytes::Bytes::from_static(b"in")),
            labels: Labels::default(),
        }],
        workspace: None,
        joined: Vec::new(),
        deadline: None,
        answers: Vec::new(),
        run: crate::visit::Run::default(),
    }
}

/// A peer's end of the socket.
struct Peer {
    socket: UnixStream,
    inbox: Inbox,
}

impl Peer {
    /// The number of the next visit that it is given.
    fn given(&mut self) -> Number {
        loop {
            if let Some(Order::Visit(visit)) = self.inbox.next::<Order<'_>>().expect("orders") {
                return visit.number;
            }
            let read = self.inbox.read(&self.socket).expect("it can be read");
            assert_eq!(read, Read::Some, "the host is gone");
        }
    }
}

fn frames(words: &[Word<'_>]) -> Vec<u8> {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut out = Outbox::default();
    for word in words {
        out.push(word).expect("it is short");
    }
    out.write(OwnedFd::from(ours)).expect("it is short");
    let mut bytes = Vec::new();
    (&theirs)
        .read_to_end(&mut bytes)
        .expect("the other end is closed");
    bytes
}

/// A process takes its place, which is a thread that does `acts`.
fn comes(
    host: &Arc<Host>,
    slot: usize,
    jobs: &mpsc::Sender<Job>,
    acts: impl FnOnce(Peer) + Send + 'static,
) -> thread::JoinHandle<()> {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    let link = Link::new(slot, slot as u32, ours.into()).expect("a link");
    link.open(&Arc::downgrade(host), Inbox::new(LONGEST), jobs.clone());
    host.up(link, 8);
    thread::spawn(move || {
        acts(Peer {
            socket: theirs,
            inbox: Inbox::with_files(1 << 20),
        });
    })
}

fn said(number: Number, report: &Report) -> Word<'_> {
    let report = report.into();
    Word::Report {
        visit: number,
        report,
    }
}

/// The peer is given a visit and says `words`: what ends its process, and what the visit comes to when
/// it is given to another one that reports as it should.
fn ended_by(words: impl FnOnce(Number) -> Vec<u8> + Send + 'static) -> (Option<String>, Report) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let host = host();
    let (jobs, lost) = mpsc::channel();
    let bad = comes(&host, 0, &jobs, move |mut peer| {
        let (first, _, _) = (peer.given(), peer.given(), peer.given());
        // The host may have hung up in the midst of it.
        let _ = peer.socket.write_all(&words(first));
        let _ = shutdown(&peer.socket, Shutdown::Write);
    });
    let (done, _first) = oneshot::channel();
    host.begin(visit(0), done).expect("it begins");
    let (done, _second) = oneshot::channel();
    host.begin(visit(1), done).expect("it begins");
    // Two are left even where the first one is reported: alone, it would be to blame.
    let (done, third) = oneshot::channel();
    host.begin(visit(2), done).expect("it begins");
    // What the keeper does, but for the process.
    let Ok(Job::Lost { slot, why, .. }) = lost.recv() else {
        panic!("no process was lost");
    };
    bad.join().expect("the peer says all it has to say");
    assert_eq!(slot, 0);
    host.lost(slot, "it is bad", false);
    let good = comes(&host, 0, &jobs, |mut peer| {
        let report = Report::not_made("well".into());
        loop {
            let given = peer.given();
            let words = frames(&[said(given, &report)]);
            peer.socket.write_all(&words).expect("the host hears it");
            if given == 2 {
                break;
            }
        }
        // Until the host has heard it.
        let _ = peer.inbox.read(&peer.socket);
    });
    let report = third.blocking_recv().expect("the visit comes to an end");
    let links = std::mem::take(&mut host.hall().links);
    drop(links);
    drop(runtime);
    drop(good);
    (why, report)
}

#[test]
fn what_no_honest_process_says_ends_it_and_harms_no_other_visit() {
    let report = || Report::not_made(String::new());
    type Words = Box<dyn FnOnce(Number) -> Vec<u8> + Send>;
    let cases: Vec<(&str, Words)> = vec![
        // As many bytes as the first four say.
        (
            "no message",
            Box::new(|_| [&[9, 0, 0, 0][..], &[0xff; 9]].concat()),
        ),
        // A kind of message that there is not.
        ("no message", Box::new(|_| vec![1, 0, 0, 0, 99])),
        (
            "1024 are the most",
            Box::new(|_| ((LONGEST + 1) as u32).to_le_bytes().to_vec()),
        ),
        (
            "are the most",
            Box::new(|_| b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        ),
        (
            "a visit that it does not run",
            Box::new(move |_| frames(&[said(77, &report())])),
        ),
        (
            "a visit that it does not run",
            Box::new(move |first| {
                let report = report();
                frames(&[said(first, &report), said(first, &report)])
            }),
        ),
        (
            "a visit that it does not run",
            Box::new(|_| frames(&[Word::Gone(77)])),
        ),
        (
            "has started",
            Box::new(|_| {
                frames(&[Word::Unready {
                    station: None,
                    reason: "",
                }])
            }),
        ),
    ];
    for (reason, words) in cases {
        let (why, report) = ended_by(words);
        let why = why.expect("it did what it may not");
        assert!(why.contains(reason), "{reason}: {why}");
        assert_eq!(report, Report::not_made("well".into()), "{reason}");
    }
    // It only ends, in the midst of a message.
    let (why, report) = ended_by(|_| vec![9, 0, 0, 0, 1, 2]);
    assert_eq!(why, None);
    assert_eq!(report, Report::not_made("well".into()));
}

/// One that asks without end and reads no answer is not heard any more, and what the host keeps for it
/// has an end.
#[test]
fn a_process_that_reads_nothing_does_not_make_the_host_grow() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let host = host();
    let (jobs, lost) = mpsc::channel();
    let (go, begin) = mpsc::channel();
    let asks = comes(&host, 0, &jobs, move |mut peer| {
        begin.recv().expect("it begins");
        let visit = u64::MAX;
        let asks: Vec<Word<'_>> = (0..1000)
            .map(|call| Word::Call {
                call,
                wish: wire::Wish::LookUp { visit, name: "a" },
            })
            .collect();
        let asks = frames(&asks);
        let timeout = std::time::Duration::from_secs(1);
        peer.socket
            .set_write_timeout(Some(timeout))
            .expect("a socket");
        // In the end nobody takes them any more.
        while peer.socket.write_all(&asks).is_ok() {}
    });
    let link = host.hall().links[0].clone().expect("it is there");
    link.answer(0, wire::Answer::Failed(&"x".repeat(33 << 20)), None);
    go.send(()).expect("it waits");
    asks.join().expect("it is not heard any more");
    assert!(matches!(lost.recv(), Ok(Job::Lost { why: None, .. })));
}

/// What a process that is started says first, and what the start comes to.
fn starts(words: &[u8]) -> Result<Option<usize>, String> {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.write_all(words).expect("it is short");
    drop(theirs);
    let heard = heard(&mut Inbox::new(LONGEST), &OwnedFd::from(ours), &[]);
    heard
        .map(|heard| heard.map(|(room, _)| room))
        .map_err(|error| error.to_string())
}

#[test]
fn a_process_says_first_that_it_is_ready() {
    let ready = Word::Ready(wire::Ready {
        visits: 8,
        wall: Vec::new(),
    });
    let ready = frames(&[ready]);
    assert_eq!(starts(&ready), Ok(Some(8)));
    // It ended before, or in the midst of it.
    assert_eq!(starts(&[]), Ok(None));
    assert_eq!(starts(&ready[..ready.len() - 1]), Ok(None));
    for (words, reason) in [
        (frames(&[Word::Gone(0)]), "before it is ready"),
        (b"no frame".to_vec(), "are the most"),
        (vec![1, 0, 0, 0, 99], "no message"),
    ] {
        let error = starts(&words).expect_err("it is not ready");
        assert!(error.contains(reason), "{error}");
    }
}
