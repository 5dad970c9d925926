//! The lines of one state folder, run by one process: opens the folder, makes their revisions ready,
//! has a conveyor carry each, and gives out the one interface by which people and programs act on them.
//!
//! It decides nothing about items (`item` does), nor about what a new revision may change (`retool`).

mod control;
mod fault;
mod state;

pub use control::{
    Because, Clear, ClearAll, ClearedAll, Control, Done, GiveAnswer, Given, How, ItemView,
    LeftAlone, LineStatus, PayloadView, Rerun, StationStatus, Status, Submission, Submit, Which,
};
pub use fault::{Fault, FaultKind};
pub use state::{BodyError, State};

use crate::{
    assembly::{Assembled, AssemblyError},
    conveyor::{Board, Change, Changed, ConveyorError, Ending, Handle, Input, Notice},
    journal::{JournalError, LineState, RetoolRecord},
    line::Worker,
    name::Name,
};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, watch};

/// What a state folder is opened with.
#[derive(Clone)]
pub struct LinesSettings {
    /// The state folder.
    pub state: PathBuf,
    /// The factory's file; without one, that of each line.
    pub factory: Option<PathBuf>,
    /// The program whose `compile` compiles and whose `inside-runner` is a runner: andon itself.
    pub exe: PathBuf,
    /// Told what takes its time: `building scan`, `compiling scan`.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
    /// Where visits run, whatever a line says.
    pub worker: Option<Worker>,
    /// Whether lines wait for a journal that cannot write and go on by themselves when it can (a
    /// daemon), or end (a single run).
    pub patient: bool,
    /// Told of everything that happens, on the conveyor's own task, so it has to be quick. Nothing is
    /// left out, unlike in [`Lines::notices`].
    pub told: Option<Arc<dyn Fn(&LineNotice) + Send + Sync>>,
}

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

/// Why lines cannot be opened or started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LinesError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    #[error(transparent)]
    Conveyor(#[from] ConveyorError),
    #[error("`{path}` cannot be found: {reason}")]
    Secrets { path: String, reason: String },
    #[error("line `{line}` cannot be read back: {reason}")]
    Unreadable { line: Name, reason: String },
    #[error("line `{0}` runs already")]
    Running(Name),
    #[error("there is no line `{0}`\n  hint: `andon status` lists them")]
    NoLine(Name),
}

/// The lines of one state folder.
pub struct Lines(());

impl Lines {
    /// Opens a state folder for this process alone. To be called in a runtime of several threads.
    ///
    /// # Errors
    /// When another process uses it, or the journal cannot be opened.
    pub fn open(settings: LinesSettings) -> Result<Arc<Self>, LinesError> {
        let _ = settings;
        todo!()
    }

    /// Opens a state folder that no process runs, to carry out orders: no visit is started.
    ///
    /// # Errors
    /// When another process uses it, or the journal cannot be opened.
    pub fn at_rest(folder: &Path) -> Result<Arc<Self>, LinesError> {
        let _ = folder;
        todo!()
    }

    /// The stores of the folder.
    pub fn state(&self) -> &State {
        todo!()
    }

    /// Starts a line: one that the folder does not know begins with what its file says as revision 1; a
    /// known one goes on by its current revision. Blocks while it builds and compiles.
    ///
    /// # Errors
    /// When the line is wrong, or runs already.
    pub fn start(&self, file: &Path) -> Result<Started, LinesError> {
        let _ = file;
        todo!()
    }

    /// Starts a line by just what was assembled, as its current revision.
    ///
    /// # Errors
    /// When a station cannot be made ready, or the line runs already.
    pub fn start_assembled(&self, assembled: &Assembled) -> Result<Started, LinesError> {
        let _ = assembled;
        todo!()
    }

    /// Starts all lines that the folder knows: each with what came of it.
    pub fn start_known(&self) -> Vec<(Name, Result<Started, LinesError>)> {
        todo!()
    }

    /// A line that runs.
    pub fn line(&self, name: &Name) -> Option<LineHandle> {
        let _ = name;
        todo!()
    }

    /// The names of the lines that run.
    pub fn names(&self) -> Vec<Name> {
        todo!()
    }

    /// What happens from now on. Whoever listens too slowly loses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<Arc<LineNotice>> {
        todo!()
    }

    /// Whether the lines run.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        todo!()
    }

    /// Has a line run by other revisions from now on, whose stations were made ready: keeps `state` and
    /// `record` durably, then has the conveyor change. After a crash in between the line starts by
    /// `state`.
    ///
    /// # Errors
    /// When items wait where they could not go on; nothing has changed then.
    pub async fn apply(
        &self,
        line: &Name,
        state: LineState,
        change: Change,
        record: RetoolRecord,
    ) -> Result<Changed, Fault> {
        let _ = (line, state, change, record);
        todo!()
    }

    /// Lets a line end when nothing can move any more: no more is taken than what its sources hold.
    ///
    /// # Errors
    /// When it ended by a failure.
    pub async fn finish(&self, line: &Name) -> Result<Ending, LinesError> {
        let _ = line;
        todo!()
    }

    /// Ends all lines: visits under way may end within the bound, then they are stopped; the next start
    /// takes them up again. Nothing is taken any more.
    pub async fn drain(&self, bound: Duration) {
        let _ = bound;
        todo!()
    }
}

/// A line that was started.
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
