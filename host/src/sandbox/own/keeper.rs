//! Starts runner processes and ends them, on a thread that lives as long as they do: a process is told
//! to end when the thread that started it ends.

use super::{
    Host, OwnSettings, OwnStation,
    channel::{Inbox, Outbox, Read, bad},
    confine::PARTS,
    link::Link,
    wire::{self, Order, Word},
};
use crate::{limits::Limits, name::Name, sandbox::prepared::bounded};
use rustix::{
    fd::OwnedFd,
    net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt},
};
use serde_bytes::Bytes;
use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Weak, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::runtime::Handle;

/// How long a process may take until its stations are ready; far longer than it ever takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest line of a process' standard error that is logged.
const LINE: u64 = 4 << 10;
/// Starts of a process that may fail one after the other.
const TRIES: u32 = 3;

/// Why there are no runner processes.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A process does not start.
    #[error(
        "a runner process does not start: {0}\n  hint: `--worker shared` runs visits in the host's own process"
    )]
    Process(String),
    /// A station cannot be made ready in it.
    #[error("station `{station}`: {reason}")]
    Station {
        /// The station.
        station: Name,
        /// What the process says.
        reason: String,
    },
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Process(error.to_string())
    }
}

/// What the keeper is told.
pub(super) enum Job {
    /// Nothing more comes from a process.
    Lost {
        slot: usize,
        process: u32,
        /// It ended without reading all that it was told.
        unread: bool,
        /// What it did that it may not; none where it only ended.
        why: Option<String>,
    },
    /// All is over.
    End,
}

/// The thread, joined when dropped.
pub(super) struct Keeper {
    jobs: mpsc::Sender<Job>,
    thread: Option<JoinHandle<()>>,
    words: String,
}

impl Keeper {
    /// Starts all processes.
    pub(super) fn start(host: &Arc<Host>, settings: OwnSettings) -> Result<Self, StartError> {
        let (jobs, todo) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let slots = settings.processes.max(1);
        let work = Work {
            host: Arc::downgrade(host),
            settings,
            runtime: Handle::current(),
            jobs: jobs.clone(),
            children: (0..slots).map(|_| None).collect(),
        };
        let thread = thread::Builder::new()
            .name("andon-runners".into())
            .spawn(move || work.run(&todo, &ready))?;
        let words = started
            .recv()
            .map_err(|_| io::Error::other("the thread that starts them ended"))??;
        Ok(Self {
            jobs,
            thread: Some(thread),
            words,
        })
    }

    /// What a person is told of the processes.
    pub(super) fn describe(&self) -> &str {
        &self.words
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    host: Weak<Host>,
    settings: OwnSettings,
    runtime: Handle,
    jobs: mpsc::Sender<Job>,
    children: Vec<Option<Running>>,
}

/// A process, with the folder that is its alone.
struct Running {
    child: Child,
    socket: Option<OwnedFd>,
    scratch: PathBuf,
}

impl Work {
    fn run(mut self, todo: &mpsc::Receiver<Job>, ready: &mpsc::Sender<Result<String, StartError>>) {
        let begun = self.begin();
        let failed = begun.is_err();
        let _ = ready.send(begun);
        if !failed {
            while let Ok(Job::Lost {
                slot,
                process,
                unread,
                why,
            }) = todo.recv()
            {
                self.lost(slot, process, unread, why);
            }
        }
        for slot in 0..self.children.len() {
            self.end(slot);
        }
    }

    /// All processes start at the same time.
    fn begin(&mut self) -> Result<String, StartError> {
        let slots = self.children.len();
        for slot in 0..slots {
            self.children[slot] = Some(self.spawn(slot)?);
        }
        let mut words = String::new();
        for slot in 0..slots {
            let wall = self.greet(slot)?;
            words = describe(slots, &wall);
        }
        Ok(words)
    }

    fn lost(&mut self, slot: usize, process: u32, unread: bool, why: Option<String>) {
        let its = |running: &Running| running.child.id() == process;
        if !self.children[slot].as_ref().is_some_and(its) {
            return;
        }
        // Before anybody is told: what it had is nobody's only when it is really gone.
        let status = self.end(slot);
        let why = why.unwrap_or_else(|| status.map_or("for no known reason".into(), said));
        tracing::warn!(slot, process, "a runner process ended: {why}");
        match self.host.upgrade() {
            Some(host) => host.lost(slot, &why, unread),
            None => return,
        }
        for _ in 0..TRIES {
            if self.host.strong_count() == 0 {
                return;
            }
            let started = self
                .spawn(slot)
                .map_err(StartError::from)
                .and_then(|running| {
                    self.children[slot] = Some(running);
                    self.greet(slot)
                });
            match started {
                Ok(_) => return,
                Err(error) => {
                    self.end(slot);
                    tracing::error!(slot, "{error}");
                    if let Some(host) = self.host.upgrade() {
                        host.broken(&error.to_string());
                    }
                }
            }
        }
    }

    /// Ends a process, whatever it is up to.
    fn end(&mut self, slot: usize) -> Option<ExitStatus> {
        let Running {
            mut child, scratch, ..
        } = self.children[slot].take()?;
        let ended = child.try_wait().ok().flatten();
        if ended.is_none() {
            let _ = child.kill();
        }
        let status = child.wait().ok();
        // What stays is removed with the folder of the workspaces.
        let _ = fs::remove_dir_all(scratch);
        status
    }

    fn spawn(&self, slot: usize) -> io::Result<Running> {
        let scratch = self.settings.root.join(format!("+runner-{slot}"));
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&scratch)?,
        }
        let (ours, theirs) = pair()?;
        // The socket is its standard input: the one descriptor that a child gets without unsafe code.
        let mut child = Command::new(&self.settings.exe)
            .arg("inside-runner")
            .env_clear()
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || log(slot, stderr));
        }
        Ok(Running {
            child,
            socket: Some(ours),
            scratch,
        })
    }

    /// Tells a process what it has to know, waits until it is ready, and hands it over.
    fn greet(&mut self, slot: usize) -> Result<Vec<Said>, StartError> {
        let gone = || io::Error::other("it is over");
        let host = self.host.upgrade().ok_or_else(gone)?;
        let running = self.children[slot].as_mut().ok_or_else(gone)?;
        let socket = running.socket.take().ok_or_else(gone)?;
        let mut out = Outbox::default();
        welcome(&mut out, &host, &self.settings, &running.scratch)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))
            .map_err(io::Error::from)?;
        let mut inbox = Inbox::new(longest(&host.stations));
        // A process that has ended already says so on its standard error, and by its status.
        let heard = match out.write(&socket) {
            Ok(_) => heard(&mut inbox, &socket, &host.stations)?,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Err(error) => return Err(error.into()),
        };
        let Some((room, wall)) = heard else {
            // It may only have closed its socket.
            let _ = running.child.kill();
            let status = running.child.wait()?;
            return Err(io::Error::other(format!("it ended: {}", said(status))).into());
        };
        rustix::io::ioctl_fionbio(&socket, true).map_err(io::Error::from)?;
        let _runtime = self.runtime.enter();
        let link = Link::new(slot, running.child.id(), socket)?;
        link.open(&self.host, inbox, self.jobs.clone());
        host.up(link, room.min(self.settings.visits));
        Ok(wall)
    }
}

/// A part of the wall, as a process says that it stands.
type Said = (String, Result<String, String>);

fn describe(processes: usize, wall: &[Said]) -> String {
    let mut words = match processes {
        1 => "runners: 1 process".to_string(),
        n => format!("runners: {n} processes"),
    };
    for part in PARTS {
        let how = wall
            .iter()
            .find(|(name, _)| name == part)
            .map(|(_, how)| how);
        words += &match how {
            Some(Ok(how)) if how.is_empty() => format!(", {part}"),
            Some(Ok(how)) => format!(", {part} ({how})"),
            Some(Err(why)) => format!(", no {part} ({why})"),
            None => format!(", no {part}"),
        };
    }
    words
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(target_os = "linux")]
    let flags = SocketFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = SocketFlags::empty();
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    #[cfg(not(target_os = "linux"))]
    for socket in [&ours, &theirs] {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((ours, theirs))
}

/// The answer of a process: how many visits it takes, and its wall; none where it ended.
pub(super) fn heard(
    inbox: &mut Inbox,
    socket: &OwnedFd,
    stations: &[OwnStation],
) -> Result<Option<(usize, Vec<Said>)>, StartError> {
    while !inbox.has_next() {
        match inbox.read(socket)? {
            Read::Some => {}
            Read::End => return Ok(None),
            Read::Nothing => {
                return Err(io::Error::other(format!("it is not ready after {PATIENCE:?}")).into());
            }
        }
    }
    match inbox.next::<Word<'_>>()? {
        Some(Word::Ready(ready)) => {
            let wall = ready.wall.iter().map(|(part, how)| {
                let text = |text: &&str| bounded(&text.escape_debug().to_string(), 200);
                (part.to_string(), how.as_ref().map(text).map_err(text))
            });
            Ok(Some((ready.visits as usize, wall.collect())))
        }
        Some(Word::Unready { station, reason }) => {
            let reason = bounded(reason, 4 << 10);
            let station = station.and_then(|n| stations.get(n as usize));
            Err(match station {
                Some(station) => StartError::Station {
                    station: station.name.clone(),
                    reason,
                },
                None => io::Error::other(reason).into(),
            })
        }
        _ => Err(bad("it speaks before it is ready".into()).into()),
    }
}

/// The first messages to a process.
fn welcome(
    out: &mut Outbox,
    host: &Host,
    settings: &OwnSettings,
    scratch: &Path,
) -> io::Result<()> {
    // Stations of one component share its code, and with it the pool's warm instances.
    let mut codes: Vec<&OwnStation> = Vec::new();
    let mut definitions = Vec::new();
    for station in &host.stations {
        let known = codes.iter().position(|other| same(other, station));
        let code = known.unwrap_or_else(|| {
            codes.push(station);
            codes.len() - 1
        });
        definitions.push((serde_json::to_string(&station.station)?, code as u32));
    }
    let stations = host.stations.iter().zip(&definitions);
    out.push(&Order::Start(wire::Start {
        visits: settings.visits as u32,
        line: &host.line,
        revision: host.revision,
        codes: codes.len() as u32,
        stations: stations
            .map(|(station, (definition, code))| wire::Station {
                name: &station.name,
                definition,
                code: *code,
            })
            .collect(),
        root: Bytes::new(settings.root.as_os_str().as_bytes()),
        scratch: Bytes::new(scratch.as_os_str().as_bytes()),
    }))?;
    for station in codes {
        out.push_with(&Order::Code, station.code.try_clone()?.into_file())?;
    }
    Ok(())
}

/// Whether two stations are of one open file.
fn same(one: &OwnStation, other: &OwnStation) -> bool {
    let about = |station: &OwnStation| {
        let stat = rustix::fs::fstat(&station.code).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    about(one).is_some() && about(one) == about(other)
}

/// The longest message that an honest process sends.
fn longest(stations: &[OwnStation]) -> usize {
    // Beside bodies, labels, media types and log lines: ports, and lengths.
    let most = |limits: &Limits| {
        let outputs = limits.outputs.saturating_mul(128);
        (limits.output.saturating_add(limits.log.saturating_mul(2))).saturating_add(outputs)
    };
    let most = stations.iter().map(|ready| most(&ready.station.limits));
    let most = most.max().unwrap_or_default().saturating_add(1 << 20);
    usize::try_from(most)
        .unwrap_or(usize::MAX)
        .min(u32::MAX as usize)
}

/// Logs what a process writes to its standard error: hostile text, escaped and cut.
fn log(slot: usize, stderr: ChildStderr) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match stderr.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                tracing::warn!(slot, "runner: {}", text.trim_end().escape_debug());
            }
        }
    }
}

fn said(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}
