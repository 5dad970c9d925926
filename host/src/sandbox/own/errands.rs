//! What the host does for a visit that runs in another process: makes its workspace ready and keeps it,
//! keeps large bodies and opens them. What takes its time runs on threads for that.

use super::{
    Files, Flight, Host,
    channel::bad,
    link::Link,
    ways,
    wire::{Answer, Call, Number, Wish},
};
use crate::{
    digest::Digest,
    item::Body,
    sandbox::{
        answer::regular_file,
        folders::{LeaveError, Left},
    },
    visit::{Outcome, Report},
    workspace::Held,
};
use serde_bytes::Bytes;
use std::{collections::HashMap, io, mem, os::unix::ffi::OsStrExt as _, path::Path, sync::Arc};
use tokio::task::spawn_blocking;

/// Bodies that a process handed over.
#[derive(Default)]
pub(super) struct Bodies {
    /// What has come of the next one.
    coming: Vec<u8>,
    /// How many are being kept.
    putting: usize,
    /// Those that are kept, with their lengths: these ones, and the ones before them.
    kept: HashMap<Digest, u64>,
    before: HashMap<Digest, u64>,
}

impl Bodies {
    /// So many are remembered at least. Far more than all visits of a process have in their hands.
    const MOST: usize = 1 << 20;

    /// So many are being kept at the same time.
    const PUTTING: usize = 16;

    /// Whether it has handed over the body under a digest, of this length.
    pub(super) fn has(&self, digest: &Digest, len: u64) -> bool {
        let known = self.kept.get(digest).or_else(|| self.before.get(digest));
        known == Some(&len)
    }

    /// Whether no more are taken for now.
    pub(super) fn is_full(&self) -> bool {
        self.putting >= Self::PUTTING
    }

    pub(super) fn is_put(&mut self) {
        self.putting -= 1;
    }

    fn add(&mut self, digest: Digest, len: u64) {
        if self.kept.len() >= Self::MOST {
            self.before = mem::take(&mut self.kept);
        }
        self.kept.insert(digest, len);
    }
}

/// Begins to do what a process asks for. Its answer comes when it is done.
pub(super) fn run(
    link: &Arc<Link>,
    host: &Arc<Host>,
    call: Call,
    wish: Wish<'_>,
) -> io::Result<()> {
    match wish {
        Wish::Enter(number) => enter(link, host, call, number),
        Wish::Leave(number) => leave(link, host, call, number),
        Wish::Put { part, last } => put(link, host, call, part, last),
        Wish::Open(hash) => open(link, host, call, Digest::from_bytes(hash)),
        network => ways::run(link, host, call, network),
    }
}

fn enter(link: &Arc<Link>, host: &Arc<Host>, call: Call, number: Number) -> io::Result<()> {
    let mut hall = host.hall();
    let flight = hall.pool.running(number, link.slot);
    let flight = flight.ok_or_else(|| bad("it enters the workspace of another's visit".into()))?;
    if !matches!(flight.files, Files::Untouched) {
        return Err(bad("it enters a workspace for the second time".into()));
    }
    flight.files = Files::Entering;
    let visit = flight.visit.clone();
    drop(hall);
    let (link, host) = (link.clone(), host.clone());
    spawn_blocking(move || {
        let entered = host.folders.enter(&visit);
        let mut hall = host.hall();
        // The process may have ended meanwhile, and the visit be with another.
        let here = hall.is_open(&link);
        let flight = hall.pool.running(number, link.slot).filter(|_| here);
        let Some(flight) = flight else {
            return;
        };
        match entered {
            Ok(folder) => {
                let joined = folder.joined();
                let joined = joined
                    .iter()
                    .map(|path| path.map(|path| Bytes::new(path.as_os_str().as_bytes())));
                let answer = Answer::Entered {
                    workspace: Bytes::new(folder.path().as_os_str().as_bytes()),
                    joined: joined.collect(),
                    held: folder.held().map(|held| (held.bytes, held.entries)),
                };
                link.answer(call, answer, None);
                flight.files = Files::Entered(folder);
            }
            Err(error) => {
                flight.files = Files::Untouched;
                link.answer(call, Answer::Failed(&error.to_string()), None);
            }
        }
    });
    Ok(())
}

fn leave(link: &Arc<Link>, host: &Arc<Host>, call: Call, number: Number) -> io::Result<()> {
    let mut hall = host.hall();
    let flight = hall.pool.running(number, link.slot);
    let flight = flight.ok_or_else(|| bad("it leaves the workspace of another's visit".into()))?;
    let folder = match mem::take(&mut flight.files) {
        Files::Entered(folder) => folder,
        _ => return Err(bad("it leaves a workspace that it is not in".into())),
    };
    flight.files = Files::Leaving(folder.path().into());
    let limits = &host.stations[flight.station as usize].station.limits;
    // What it held before it may hold still.
    let before = folder.held().unwrap_or_default();
    let most = Held {
        bytes: limits.disk.max(before.bytes),
        entries: limits.files.max(before.entries),
    };
    drop(hall);
    let (link, host) = (link.clone(), host.clone());
    spawn_blocking(move || {
        let left = folder.leave(most);
        let mut hall = host.hall();
        let here = hall.is_open(&link);
        let flight = hall.pool.running(number, link.slot).filter(|_| here);
        let Some(flight) = flight else {
            return;
        };
        match left {
            Ok(left) => {
                if let Files::Leaving(path) = mem::take(&mut flight.files) {
                    flight.files = Files::Left(path, left);
                }
                link.answer(call, Answer::Left, None);
            }
            Err(LeaveError::Station(reason)) => link.answer(call, Answer::Unkept(&reason), None),
            Err(LeaveError::Host(error)) => {
                link.answer(call, Answer::Failed(&error.to_string()), None);
            }
        }
    });
    Ok(())
}

fn put(link: &Arc<Link>, host: &Arc<Host>, call: Call, part: &[u8], last: bool) -> io::Result<()> {
    let mut bodies = link.bodies();
    if (bodies.coming.len() + part.len()) as u64 > host.largest_output() {
        return Err(bad("a body that is over every limit".into()));
    }
    bodies.coming.extend_from_slice(part);
    if !last {
        return Ok(());
    }
    let body = mem::take(&mut bodies.coming);
    bodies.putting += 1;
    drop(bodies);
    let (link, host) = (link.clone(), host.clone());
    spawn_blocking(move || {
        match host.contents.put(&body) {
            Ok(digest) => {
                link.bodies().add(digest, body.len() as u64);
                link.answer(call, Answer::Kept(*digest.as_bytes()), None);
            }
            Err(error) => link.answer(call, Answer::Failed(&error.to_string()), None),
        }
        link.is_put();
    });
    Ok(())
}

/// Only what a visit of the process came with: others' bodies are none of its business.
fn open(link: &Arc<Link>, host: &Arc<Host>, call: Call, digest: Digest) -> io::Result<()> {
    let hall = host.hall();
    let mut inputs = hall
        .pool
        .all(link.slot)
        .flat_map(|flight| &flight.visit.inputs);
    let its = |body: &Body| matches!(body, Body::Stored { digest: its, .. } if *its == digest);
    if !inputs.any(|input| its(&input.body)) {
        return Err(bad(
            "it reads a body that none of its visits came with".into()
        ));
    }
    drop(inputs);
    drop(hall);
    let (link, host) = (link.clone(), host.clone());
    spawn_blocking(move || match host.contents.open(&digest) {
        Ok(file) => link.answer(call, Answer::Opened, Some(file.into())),
        Err(error) => link.answer(call, Answer::Failed(&error.to_string()), None),
    });
    Ok(())
}

/// Completes a report that was checked by what only the host knows, and gives it to whoever waits.
pub(super) fn report(flight: Flight, mut report: Report) -> io::Result<()> {
    let Flight {
        done, files, ends, ..
    } = flight;
    if let Some(end) = ends {
        report.outcome = end;
    }
    let mut named = Vec::new();
    if let Outcome::Passed(outputs) = &report.outcome {
        named.extend(
            outputs
                .iter()
                .filter_map(|output| match &output.payload.body {
                    Body::File(path) => Some(path.clone()),
                    _ => None,
                }),
        );
        match files {
            Files::Left(path, left) => {
                let Left { workspace, blobs } = left;
                (report.workspace, report.blobs) = (workspace, blobs);
                if !named.is_empty() {
                    spawn_blocking(move || {
                        if let Err(reason) = all_there(&path, &named) {
                            report.outcome = Outcome::Invalid(reason);
                            report.workspace = None;
                            report.blobs.clear();
                        }
                        tell(done, report);
                    });
                    return Ok(());
                }
            }
            Files::Untouched if named.is_empty() => {}
            _ => {
                return Err(bad(
                    "a visit that passed without leaving its workspace".into()
                ));
            }
        }
    }
    tell(done, report);
    Ok(())
}

fn tell(done: Option<tokio::sync::oneshot::Sender<Report>>, report: Report) {
    if let Some(done) = done {
        // Nobody may wait any more.
        let _ = done.send(report);
    }
}

fn all_there(workspace: &Path, named: &[String]) -> Result<(), String> {
    named.iter().try_for_each(|path| {
        regular_file(workspace, path).map(drop).map_err(|reason| {
            format!(
                "`{}` is no file of the workspace: {reason}",
                path.escape_default()
            )
        })
    })
}
