//! The start of a runner process: it hears what it is for, walls itself in, and loads its stations.

use super::{Link, Task};
use crate::{
    catalogue::Verified,
    grant::Access,
    line::Station,
    sandbox::{
        InProcess, Settings,
        engine::Still,
        own::{
            channel::{Inbox, Read, bad},
            confine::{self, Reach},
            wire::{self, Order, Word},
        },
        prepared::bounded,
    },
    visit::Visit,
};
use rustix::fd::OwnedFd;
use std::{
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the first message says.
struct Told {
    task: Task,
    /// Each with the number of its code.
    stations: Vec<(Station, usize)>,
    codes: u32,
    root: PathBuf,
    scratch: PathBuf,
}

/// Which station is wrong, where it is one, and why.
type Wrong = (Option<u32>, String);

/// Hears what there is to do and makes it ready; nothing where that fails, which the host is told.
pub(super) fn begin(link: &Arc<Link>) -> io::Result<Option<(InProcess, Task)>> {
    let mut inbox = link.inbox();
    let Some(told) = first(&mut inbox, &link.socket)? else {
        return Ok(None);
    };
    let mut codes = Vec::new();
    for _ in 0..told.codes {
        let Some(()) = next(&mut inbox, &link.socket, |order| match order {
            Order::Code => Ok(()),
            _ => Err(bad("no code".into())),
        })?
        else {
            return Ok(None);
        };
        codes.push(inbox.file()?);
    }
    drop(inbox);
    let mut wall = Vec::new();
    let ready = ready(link, told, codes, &mut wall);
    let mut state = link.state();
    match ready {
        Ok((runner, task)) => {
            let parts = wall.iter().map(|(part, how)| {
                let how = how.as_ref().map(String::as_str).map_err(String::as_str);
                (*part, how)
            });
            state.out.push(&Word::Ready(wire::Ready {
                visits: task.visits as u32,
                wall: parts.collect(),
            }))?;
            Ok(Some((runner, task)))
        }
        Err((station, reason)) => {
            let reason = &bounded(&reason, 4 << 10);
            state.out.push(&Word::Unready { station, reason })?;
            Ok(None)
        }
    }
}

/// Waits for a message; none where the host is gone.
fn next<T>(
    inbox: &mut Inbox,
    socket: &OwnedFd,
    take: impl FnOnce(Order<'_>) -> io::Result<T>,
) -> io::Result<Option<T>> {
    while !inbox.has_next() {
        if inbox.read(socket)? == Read::End {
            return Ok(None);
        }
    }
    match inbox.next::<Order<'_>>()? {
        Some(order) => take(order).map(Some),
        None => Err(bad("half a message".into())),
    }
}

fn first(inbox: &mut Inbox, socket: &OwnedFd) -> io::Result<Option<Told>> {
    next(inbox, socket, |order| {
        let Order::Start(start) = order else {
            return Err(bad("another first message".into()));
        };
        let mut task = Task {
            line: start.line.parse().map_err(io::Error::other)?,
            revision: start.revision,
            names: Vec::new(),
            visits: start.visits as usize,
        };
        let mut stations = Vec::new();
        for station in start.stations {
            task.names
                .push(station.name.parse().map_err(io::Error::other)?);
            let definition = serde_json::from_str(station.definition)?;
            stations.push((definition, station.code as usize));
        }
        let path = |bytes: &[u8]| Path::new(std::ffi::OsStr::from_bytes(bytes)).to_path_buf();
        Ok(Told {
            task,
            stations,
            codes: start.codes,
            root: path(start.root),
            scratch: path(start.scratch),
        })
    })
}

/// Walls the process in, and loads what it is to run.
fn ready(
    link: &Arc<Link>,
    told: Told,
    codes: Vec<OwnedFd>,
    wall: &mut Vec<confine::Part>,
) -> Result<(InProcess, Task), Wrong> {
    let failed = |error: wasmtime::Error| (None, format!("the engine does not start: {error:#}"));
    let Told {
        mut task,
        stations,
        root,
        scratch,
        ..
    } = told;
    let mut reach = Reach {
        write: vec![root],
        again: codes,
        ..Reach::default()
    };
    for (station, _) in &stations {
        for mount in &station.grants.fs {
            match mount.access {
                Access::Read => reach.read.push(mount.host.clone()),
                Access::Write => reach.write.push(mount.host.clone()),
            }
        }
        let assets = station.assets.iter().map(|asset| asset.host.clone());
        reach.read.extend(assets);
    }
    // The engine opens what no rule can name, and does nothing else yet.
    let engine = Still::new(task.visits).map_err(failed)?;
    *wall = confine::confine(&reach);
    // Where it was set before, it is the same.
    let _ = tempfile::env::override_temp_dir(&scratch);
    let engine = engine.start().map_err(failed)?;
    task.visits = engine.visits();
    let settings = Settings {
        visits: task.visits,
        folders: Arc::new(link.clone()),
        contents: Arc::new(link.clone()),
        egress: Arc::new(link.clone()),
        progress: Some(Arc::new({
            let link = link.clone();
            move |visit: &Visit, progress| link.came(visit, progress)
        })),
    };
    let runner = InProcess::on(engine, settings).map_err(failed)?;
    prepare(&runner, &task, &stations, reach.again)?;
    confine::seal().map_err(|reason| (None, reason))?;
    Ok((runner, task))
}

/// Loads the components and makes the stations ready.
fn prepare(
    runner: &InProcess,
    task: &Task,
    stations: &[(Station, usize)],
    codes: Vec<OwnedFd>,
) -> Result<(), Wrong> {
    let components = codes.into_iter().map(|code| {
        let component = runner.engine().load_verified(&Verified::handed_over(code));
        component.map_err(|error| format!("{error:#}"))
    });
    let components: Vec<_> = components.collect();
    for ((n, name), (station, code)) in (0..).zip(&task.names).zip(stations) {
        let wrong = |reason: String| (Some(n), reason);
        match components.get(*code) {
            Some(Ok(component)) => runner
                .prepare(&task.line, task.revision, name, station, component)
                .map_err(|error| wrong(error.to_string()))?,
            Some(Err(reason)) => return Err(wrong(reason.clone())),
            None => return Err(wrong("its code did not come".into())),
        };
    }
    Ok(())
}
