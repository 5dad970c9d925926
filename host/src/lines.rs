//! The lines of one state folder, run by one process: opens the folder, makes their revisions ready,
//! has a conveyor carry each, and gives out the one interface by which people and programs act on them.
//!
//! It decides nothing about items (`item` does), nor about what a new revision may change (`retool`).
//! What lines share, they have once: the journal, the engine with the code of each component, the gate to
//! the network of each factory.

mod bounded;
mod change;
mod control;
mod desk;
mod earlier;
mod error;
mod fault;
mod gates;
mod outside;
mod ready;
mod room;
mod running;
mod state;
mod tidy;
mod trouble;
mod visits;

pub use control::{
    Because, Clear, ClearAll, ClearedAll, Control, Done, Far, GiveAnswer, Given, How, ItemView,
    LeftAlone, LineStatus, PayloadView, Rerun, StationStatus, Status, Submission, Submit, Visiting,
    Which,
};
pub use error::LinesError;
pub use fault::{Fault, FaultKind};
pub use gates::grants_secrets;
pub use state::{BodyError, State};
pub use tidy::retention;

use crate::{
    conveyor::{Board, Handle, Input, Notice, wall_clock},
    disk,
    journal::LineState,
    line::Worker,
    name::Name,
    retool::Retools,
    sandbox::InProcess,
    visit::Millis,
};
use gates::Gates;
use room::Room;
use running::Running;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak},
};
use tokio::{
    runtime,
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
};

/// What a state folder is opened with.
#[derive(Clone)]
pub struct LinesSettings {
    /// The state folder.
    pub state: PathBuf,
    /// The factory's file; without one, that of each line.
    pub factory: Option<PathBuf>,
    /// The program whose `compile` compiles and whose `inside-runner` is a runner: andon itself.
    pub exe: PathBuf,
    /// Told what takes its time, and what goes wrong with a line: `building scan`, `compiling scan`.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
    /// Where visits run, whatever a line says.
    pub worker: Option<Worker>,
    /// Whether lines wait for a journal that cannot write and go on by themselves when it can (a
    /// daemon, whose lines also have their sources, sinks and notices), or end (a single run).
    pub patient: bool,
    /// Told of everything that happens, on the conveyor's own task, so it has to be quick. Nothing is
    /// left out, unlike in [`Lines::notices`].
    pub told: Option<Told>,
}

/// Whoever is told of what happens.
pub type Told = Arc<dyn Fn(&LineNotice) + Send + Sync>;

/// A line that was to be taken up, and what came of it.
pub type Taken = (Name, Result<Started, LinesError>);

/// Something that happened on a line.
#[derive(Debug, Clone)]
pub struct LineNotice {
    /// The line.
    pub line: Name,
    /// What.
    pub notice: Notice,
}

/// Whether the lines of a state folder run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "condition", rename_all = "lowercase")]
pub enum Condition {
    /// They run.
    Running,
    /// They wait until the journal can write again, and take nothing until then.
    Waiting {
        /// Why it cannot.
        reason: String,
    },
    /// They end what is under way and take nothing any more.
    Draining,
    /// No process runs them: orders are carried out, and no visits are started.
    Resting,
}

/// A running line.
#[derive(Clone)]
pub struct LineHandle {
    /// Its name.
    pub name: Name,
    /// To give it orders.
    pub handle: Handle,
    /// A source that waits for room.
    pub inputs: mpsc::Sender<Input>,
    /// How its stations stand.
    pub board: Arc<Board>,
    /// By which revisions it runs.
    pub state: LineState,
}

/// A line that was made ready or started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its name.
    pub line: Name,
    /// The revision that runs.
    pub revision: u64,
    /// Whether its file says something else than that revision.
    pub differs: bool,
    /// What a person is told of its runner processes, where it has some.
    pub runners: Option<String>,
}

/// The lines of one state folder.
pub struct Lines {
    settings: LinesSettings,
    state: State,
    /// Whether no visits are made: only orders are carried out.
    resting: bool,
    clock: fn() -> Millis,
    runtime: runtime::Handle,
    sandbox: OnceLock<InProcess>,
    gates: Arc<Gates>,
    running: Mutex<BTreeMap<Name, Running>>,
    /// Those of the lines that run, for what their visits report: apart, since guests do that as often as
    /// they like.
    boards: Arc<RwLock<BTreeMap<Name, Arc<Board>>>>,
    notices: broadcast::Sender<Arc<LineNotice>>,
    condition: watch::Sender<Condition>,
    /// Whether visits find room for what they leave behind.
    room: Room,
    /// Told when a line has begun, or runs by another revision, or all are drained.
    changed: watch::Sender<()>,
    /// What attends to sources, sinks and notices; of a daemon only.
    attendant: Mutex<Option<JoinHandle<()>>>,
    /// Told when a conveyor has ended.
    ends: mpsc::UnboundedSender<running::End>,
    /// Which lines are being retooled.
    retools: Retools,
    /// This itself, for what goes on by itself.
    me: Weak<Self>,
}

/// As many notices wait for a slow listener before it loses the oldest.
const NOTICES: usize = 4096;

impl Lines {
    /// Opens a state folder for this process alone. To be called in a runtime of several threads. No line
    /// runs yet.
    ///
    /// # Errors
    /// When another process uses it, or the journal cannot be opened.
    pub fn open(settings: LinesSettings) -> Result<Arc<Self>, LinesError> {
        disk::outlive_bounds().map_err(LinesError::Signals)?;
        let (ends, ended) = mpsc::unbounded_channel();
        let (tell, full) = mpsc::unbounded_channel();
        let lines = Self::new(settings, false, ends, Room::new(tell))?;
        lines
            .runtime
            .spawn(trouble::watch_over(Arc::downgrade(&lines), ended, full));
        lines.runtime.spawn(tidy::tidy(Arc::downgrade(&lines)));
        if lines.settings.patient {
            let attending = outside::attend(Arc::downgrade(&lines), lines.changed.subscribe());
            let attending = lines.runtime.spawn(attending);
            *lines.attendant() = Some(attending);
        }
        Ok(lines)
    }

    /// Opens a state folder that no process runs, to carry out orders: no visit is started. To be called
    /// in a runtime. [`Self::close`] ends it.
    ///
    /// # Errors
    /// When another process uses it, or the journal cannot be opened.
    pub fn at_rest(folder: &Path) -> Result<Arc<Self>, LinesError> {
        let settings = LinesSettings {
            state: folder.into(),
            factory: None,
            // Where it cannot be found nothing is compiled, which says so.
            exe: std::env::current_exe().unwrap_or_default(),
            say: Arc::new(|_| ()),
            worker: None,
            patient: false,
            told: None,
        };
        let room = Room::new(mpsc::unbounded_channel().0);
        Self::new(settings, true, mpsc::unbounded_channel().0, room)
    }

    fn new(
        settings: LinesSettings,
        resting: bool,
        ends: mpsc::UnboundedSender<running::End>,
        room: Room,
    ) -> Result<Arc<Self>, LinesError> {
        let state = State::open(&settings.state)?;
        let condition = if resting {
            Condition::Resting
        } else {
            Condition::Running
        };
        Ok(Arc::new_cyclic(|me| Self {
            retools: Retools::default(),
            me: me.clone(),
            gates: Arc::new(Gates::new(
                state.journal.clone(),
                state.content.clone(),
                wall_clock,
            )),
            settings,
            state,
            resting,
            clock: wall_clock,
            runtime: runtime::Handle::current(),
            sandbox: OnceLock::new(),
            running: Mutex::default(),
            boards: Arc::default(),
            notices: broadcast::Sender::new(NOTICES),
            condition: watch::Sender::new(condition),
            room,
            changed: watch::Sender::new(()),
            attendant: Mutex::default(),
            ends,
        }))
    }

    /// The stores of the folder.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A line that runs; none while it waits for the journal, or has failed.
    pub fn line(&self, name: &Name) -> Option<LineHandle> {
        if matches!(*self.condition.borrow(), Condition::Waiting { .. }) {
            return None;
        }
        let running = self.running();
        let line = running.get(name)?;
        let run = line.run.as_ref()?;
        let doors = run.doors.as_ref()?;
        Some(LineHandle {
            name: name.clone(),
            handle: doors.orders.clone(),
            inputs: doors.inputs.clone(),
            board: line.board.clone(),
            state: line.state.clone(),
        })
    }

    /// The counts of a line that was made ready or runs.
    ///
    /// # Errors
    /// When there is no such line.
    pub fn board(&self, name: &Name) -> Result<Arc<Board>, LinesError> {
        let running = self.running();
        let line = running.get(name);
        Ok(line
            .ok_or_else(|| LinesError::NoLine(name.clone()))?
            .board
            .clone())
    }

    /// The names of the lines that were started.
    pub fn names(&self) -> Vec<Name> {
        self.running().keys().cloned().collect()
    }

    /// What happens from now on. Whoever listens too slowly loses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<Arc<LineNotice>> {
        self.notices.subscribe()
    }

    /// Whether the lines run.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Whether no visits are made here: only orders are carried out.
    pub fn rests(&self) -> bool {
        self.resting
    }

    /// Which lines are being retooled.
    pub(crate) fn retools(&self) -> &Retools {
        &self.retools
    }

    /// By which revisions a line that was started runs now.
    pub(crate) fn runs_by(&self, name: &Name) -> Option<LineState> {
        self.running().get(name).map(|line| line.state.clone())
    }

    /// This itself, as those hold it who have tasks of their own; none while it goes away.
    fn me(&self) -> Result<Arc<Self>, LinesError> {
        self.me.upgrade().ok_or(LinesError::Stopping)
    }

    fn attendant(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.attendant
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Name, Running>> {
        // Entries are changed as a whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
