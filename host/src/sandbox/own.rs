//! The runner in processes of its own: one thread each, behind a second wall.
//!
//! A process that is taken over from inside can reach the workspaces and the folders that its line
//! grants, and can say something wrong about the visits that it runs: no more. Journal, secrets, content
//! and the network stay here; it asks for them over its one socket, and what it says is checked.
//!
//! Processes do not fight over one address space, so this is also what scales.

mod channel;
mod check;
mod confine;
mod errands;
mod inside;
mod keeper;
mod link;
mod pool;
mod stream;
#[cfg(test)]
mod tests;
mod ways;
mod wire;

pub use inside::run as run_inside;
pub use keeper::StartError;

use super::{
    Runner,
    folders::{Contents, Folder, Folders, Left},
    imports::progress::Listener,
    way::{Egress, Way},
};
use crate::{
    catalogue::Verified,
    item::ItemId,
    line::Station,
    name::Name,
    visit::{Outcome, Report, Visit},
};
use futures::future::BoxFuture;
use keeper::Keeper;
use link::Link;
use pool::Pool;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;
use wire::Number;

/// What runner processes are given.
pub struct OwnSettings {
    /// The program whose `runner` a process is: andon itself.
    pub exe: PathBuf,
    /// How many processes: no more than there are cores.
    pub processes: usize,
    /// Visits at the same time in one process. More wait.
    pub visits: usize,
    /// The folder of the workspaces, which has to be there.
    pub root: PathBuf,
    /// Where workspaces come from, below `root`.
    pub folders: Arc<dyn Folders>,
    /// Where large bodies are kept.
    pub contents: Arc<dyn Contents>,
    /// The way out to the network.
    pub egress: Arc<dyn Egress>,
    /// Told of progress reports of stations; where many come at once, of the last.
    pub progress: Option<Arc<Listener>>,
}

impl OwnSettings {
    /// Default of `visits`.
    pub const VISITS: usize = 128;
}

/// A station for runner processes.
pub struct OwnStation {
    /// Its name on the line.
    pub name: Name,
    /// What the line says of it, every path absolute.
    pub station: Station,
    /// The code of its component.
    pub code: Verified,
}

/// Runs the visits of one line's revision in processes of its own.
pub struct Own {
    host: Arc<Host>,
    keeper: Keeper,
}

/// The host's end of all its runner processes.
struct Host {
    line: Name,
    revision: u64,
    stations: Vec<OwnStation>,
    numbers: HashMap<Name, u32>,
    folders: Arc<dyn Folders>,
    contents: Arc<dyn Contents>,
    egress: Arc<dyn Egress>,
    progress: Option<Arc<Listener>>,
    hall: Mutex<Hall>,
}

/// Visits and processes.
struct Hall {
    pool: Pool<Flight>,
    links: Vec<Option<Arc<Link>>>,
    /// Why no process starts any more.
    broken: Option<String>,
}

/// What the host knows of a visit that is with a runner, or waits for one.
struct Flight {
    visit: Arc<Visit>,
    station: u32,
    /// Gone where nobody waits any more.
    done: Option<oneshot::Sender<Report>>,
    files: Files,
    /// Its way out to the network, once it was asked for.
    way: Option<Arc<dyn Way>>,
    /// How the egress ended it, whatever its process says.
    ends: Option<Outcome>,
}

/// The workspace of a visit.
#[derive(Default)]
enum Files {
    /// It was not asked for.
    #[default]
    Untouched,
    /// It is being made ready.
    Entering,
    /// The visit may use it. Dropped so, what the visit changed is thrown away.
    Entered(Box<dyn Folder>),
    /// What the visit changed is being kept, in this folder.
    Leaving(PathBuf),
    /// What the visit changed is kept.
    Left(PathBuf, Left),
}

impl Hall {
    /// Whether a process is still the one of its slot.
    fn is_open(&self, link: &Arc<Link>) -> bool {
        let open = self.links[link.slot].as_ref();
        open.is_some_and(|open| Arc::ptr_eq(open, link))
    }
}

impl Own {
    /// Starts the processes and makes the stations ready in each. To be called in a runtime of several
    /// threads, whose tasks speak with the processes. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When a process does not start, or a station cannot be made ready.
    pub fn start(
        settings: OwnSettings,
        line: &Name,
        revision: u64,
        stations: Vec<OwnStation>,
    ) -> Result<Self, StartError> {
        // What a granted folder holds is counted by one process.
        let counted = |ready: &OwnStation| {
            let mut mounts = ready.station.grants.fs.iter();
            mounts.any(|mount| mount.quota.is_some() || mount.max_files.is_some())
        };
        let processes = match stations.iter().any(counted) {
            true => 1,
            false => settings.processes.max(1),
        };
        let settings = OwnSettings {
            processes,
            ..settings
        };
        let numbers = (0..).zip(&stations);
        let host = Arc::new(Host {
            line: line.clone(),
            revision,
            numbers: numbers.map(|(n, ready)| (ready.name.clone(), n)).collect(),
            stations,
            folders: settings.folders.clone(),
            contents: settings.contents.clone(),
            egress: settings.egress.clone(),
            progress: settings.progress.clone(),
            hall: Mutex::new(Hall {
                pool: Pool::new(processes),
                links: vec![None; processes],
                broken: None,
            }),
        });
        let keeper = Keeper::start(&host, settings)?;
        Ok(Self { host, keeper })
    }

    /// What a person is told at the start: how many processes, and which parts of the wall are on.
    pub fn describe(&self) -> &str {
        self.keeper.describe()
    }

    /// The ids of the processes that run now.
    pub fn processes(&self) -> Vec<u32> {
        let hall = self.host.hall();
        hall.links
            .iter()
            .flatten()
            .map(|link| link.process)
            .collect()
    }
}

impl Runner for Own {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        let host = self.host.clone();
        Box::pin(async move {
            let (done, report) = oneshot::channel();
            match host.begin(visit, done) {
                Ok(number) => {
                    let mut waiting = Waiting {
                        host,
                        number,
                        over: false,
                    };
                    let report = report.await;
                    waiting.over = true;
                    report.unwrap_or_else(|_| {
                        Report::not_made("the runner processes were ended".into())
                    })
                }
                Err(reason) => Report::not_made(reason),
            }
        })
    }

    fn parted(&self, item: &ItemId) {
        self.host.hall().pool.parted(item);
        self.host.folders.parted(item);
    }
}

/// Somebody waits for a visit. Dropping it before its end ends the visit.
struct Waiting {
    host: Arc<Host>,
    number: Number,
    over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.host.cancel(self.number);
        }
    }
}

impl Host {
    fn hall(&self) -> MutexGuard<'_, Hall> {
        // Nothing in it is ever half done across a call that could panic.
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most bytes that outputs of any of the stations may have.
    fn largest_output(&self) -> u64 {
        let most = self
            .stations
            .iter()
            .map(|ready| ready.station.limits.output);
        most.max().unwrap_or_default()
    }

    fn begin(&self, visit: Visit, done: oneshot::Sender<Report>) -> Result<Number, String> {
        let known = self.numbers.get(&visit.station);
        let Some(&station) =
            known.filter(|_| visit.line == self.line && visit.revision == self.revision)
        else {
            return Err(format!(
                "station `{}` of line `{}`, revision {}, was not made ready",
                visit.station, visit.line, visit.revision
            ));
        };
        let mut hall = self.hall();
        if let Some(reason) = &hall.broken {
            return Err(reason.clone());
        }
        let flight = Flight {
            visit: Arc::new(visit),
            station,
            done: Some(done),
            files: Files::default(),
            way: None,
            ends: None,
        };
        let number = hall.pool.begin(flight.visit.item.clone(), flight);
        self.drive(&mut hall);
        Ok(number)
    }

    /// Has all visits begin that can.
    fn drive(&self, hall: &mut Hall) {
        while let Some((number, slot, idle)) = hall.pool.next() {
            let (Some(link), Some(flight)) = (&hall.links[slot], hall.pool.running(number, slot))
            else {
                continue;
            };
            let order = wire::Order::Visit(wire::Visit::of(number, flight.station, &flight.visit));
            if let Err(error) = link.tell(&order, idle) {
                let flight = hall.pool.ended(number, slot);
                if let Some(done) = flight.and_then(|flight| flight.done) {
                    let _ = done.send(Report::not_made(format!(
                        "it cannot be given to a runner: {error}"
                    )));
                }
            }
        }
    }

    fn cancel(&self, number: Number) {
        let mut hall = self.hall();
        let Some(slot) = hall.pool.cancel(number) else {
            return;
        };
        if let Some(flight) = hall.pool.running(number, slot) {
            flight.done = None;
        }
        if let Some(link) = &hall.links[slot] {
            // A process that cannot be told is about to be ended.
            let _ = link.tell(&wire::Order::Cancel(number), false);
        }
    }

    /// A process is ready.
    fn up(&self, link: Arc<Link>, room: usize) {
        let mut hall = self.hall();
        let slot = link.slot;
        hall.links[slot] = Some(link);
        hall.broken = None;
        hall.pool.up(slot, room);
        self.drive(&mut hall);
    }

    /// A process ended, for this reason; `unread` is that it had not read all that it was told.
    fn lost(&self, slot: usize, why: &str, unread: bool) {
        let mut hall = self.hall();
        hall.links[slot] = None;
        // The process is gone: nobody writes to their workspaces any more.
        let blamed = hall.pool.lost(slot, unread, |flight| {
            flight.files = Files::Untouched;
            (flight.way, flight.ends) = (None, None);
        });
        self.drive(&mut hall);
        drop(hall);
        if let Some(done) = blamed.and_then(|flight| flight.done) {
            let _ = done.send(crashed(why));
        }
    }

    /// No process starts any more.
    fn broken(&self, why: &str) {
        let mut hall = self.hall();
        if hall.links.iter().any(Option::is_some) {
            return;
        }
        hall.broken = Some(why.into());
        let waiting = hall.pool.give_up();
        drop(hall);
        for done in waiting.into_iter().filter_map(|flight| flight.done) {
            let _ = done.send(Report::not_made(why.into()));
        }
    }
}

/// The report of a visit that ended its process.
fn crashed(why: &str) -> Report {
    Report {
        outcome: Outcome::Trapped(format!("the runner process ended: {why}")),
        ..Report::not_made(String::new())
    }
}
