//! One line that runs: its conveyor on a task of its own, and the ways to it.

use super::{
    Condition, LineNotice, Lines, LinesError,
    visits::{NoVisits, Revisions, Visits},
};
use crate::{
    conveyor::{Board, Change, Conveyor, ConveyorError, Ending, Handle, Input},
    journal::LineState,
    name::Name,
    sandbox::Runner,
};
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, timeout_at},
};

/// How long requests may go on at most whose visits were stopped at the end of a drain.
const REQUESTS: Duration = Duration::from_secs(10);

/// A line that was started.
pub(super) struct Running {
    /// As the journal keeps it.
    pub(super) state: LineState,
    /// By what its conveyor runs.
    pub(super) change: Change,
    /// The counts of its conveyor.
    pub(super) board: Arc<Board>,
    /// What is ready.
    pub(super) revisions: Arc<Revisions>,
    /// Held by whoever changes `state`.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
    /// Held for reading from when a revision is made ready until the line runs by it: what is ready is
    /// not let go of meanwhile.
    pub(super) readying: Arc<tokio::sync::RwLock<()>>,
    /// Its conveyor; none before it begins, and while all lines wait for the journal.
    pub(super) run: Option<Run>,
    /// How often a conveyor was started.
    pub(super) runs: u64,
    /// Why it stopped by itself.
    pub(super) failed: Option<String>,
}

/// A conveyor that was started.
pub(super) struct Run {
    /// The how manieth it is.
    pub(super) number: u64,
    /// None once no more is to come in.
    pub(super) doors: Option<Doors>,
    pub(super) drain: watch::Sender<bool>,
    pub(super) visits: Arc<Visits>,
    pub(super) task: AbortHandle,
    /// What it came to. Closed without a word where it panicked or was stopped.
    pub(super) over: watch::Receiver<Option<Over>>,
}

/// The ways to a conveyor: it runs as long as somebody holds one.
pub(super) struct Doors {
    pub(super) orders: Handle,
    pub(super) inputs: mpsc::Sender<Input>,
}

/// What a conveyor came to.
pub(super) type Over = Result<Ending, ConveyorError>;

/// The end of which run of which line.
pub(super) type End = (Name, u64);

/// As many inputs wait in the way from a source.
const INPUTS: usize = 64;

/// How a conveyor is started.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way {
    /// The process ended the visits under way itself before.
    pub(super) stopped: bool,
    /// No visits are started: orders are carried out and messages delivered.
    pub(super) resting: bool,
}

impl Running {
    pub(super) fn new(state: LineState, change: Change, revisions: Arc<Revisions>) -> Self {
        Self {
            board: Arc::new(Board::new(&change.current.line)),
            state,
            change,
            revisions,
            changing: Arc::default(),
            readying: Arc::default(),
            run: None,
            runs: 0,
            failed: None,
        }
    }
}

/// Says that a run has ended, however it ends.
struct Farewell(mpsc::UnboundedSender<End>, End);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody hears it where all lines end.
        let _ = self.0.send(self.1.clone());
    }
}

impl Lines {
    /// Has a conveyor carry a line.
    pub(super) fn convey(&self, name: &Name, line: &mut Running, way: Way) {
        let (orders, given) = Handle::new();
        let (inputs, taken) = mpsc::channel(INPUTS);
        let (drain, drained) = watch::channel(way.resting || self.resting);
        let (tell, over) = watch::channel(None);
        let visits = Arc::new(Visits::new(
            name.clone(),
            line.revisions.clone(),
            self.settings.patient.then(|| self.room.clone()),
        ));
        let runner: Arc<dyn Runner> = match self.resting {
            true => Arc::new(NoVisits),
            false => visits.clone(),
        };
        if line.runs > 0 {
            // What it counted of an earlier run is not so any more.
            line.board = Arc::new(Board::new(&line.change.current.line));
        }
        let mut boards = self.boards.write().unwrap_or_else(PoisonError::into_inner);
        boards.insert(name.clone(), line.board.clone());
        drop(boards);
        let notices = self.notices.clone();
        let told = self.settings.told.clone();
        let conveyor = Conveyor {
            journal: self.state.journal.clone(),
            runner,
            change: line.change.clone(),
            paused: line.state.paused.keys().cloned().collect(),
            board: line.board.clone(),
            notify: Box::new({
                let line = name.clone();
                move |notice| {
                    if told.is_none() && notices.receiver_count() == 0 {
                        return;
                    }
                    let notice = LineNotice {
                        line: line.clone(),
                        notice,
                    };
                    if let Some(told) = &told {
                        told(&notice);
                    }
                    if notices.receiver_count() > 0 {
                        // Whoever listened may be gone by now.
                        let _ = notices.send(Arc::new(notice));
                    }
                }
            }),
            clock: self.clock,
            stopped: way.stopped,
        };
        line.runs += 1;
        let farewell = Farewell(self.ends.clone(), (name.clone(), line.runs));
        let task = self.runtime.spawn(async move {
            let _farewell = farewell;
            let result = conveyor.run(taken, given, drained).await;
            tell.send_replace(Some(result));
        });
        line.run = Some(Run {
            number: line.runs,
            doors: Some(Doors { orders, inputs }),
            drain,
            visits,
            task: task.abort_handle(),
            over,
        });
    }

    /// Lets a line end when nothing can move any more: no more is taken than what its sources hold.
    ///
    /// # Errors
    /// When it ended by a failure.
    pub async fn finish(&self, name: &Name) -> Result<Ending, LinesError> {
        let over = {
            let mut running = self.running();
            let line = running
                .get_mut(name)
                .ok_or_else(|| LinesError::NoLine(name.clone()))?;
            let Some(run) = &mut line.run else {
                return Err(LinesError::Lost(name.clone()));
            };
            run.doors = None;
            run.over.clone()
        };
        let over = came_to(over).await;
        Ok(over.ok_or_else(|| LinesError::Lost(name.clone()))??)
    }

    /// Has all lines start no more visits, and take nothing any more. They end when the visits that are
    /// under way have.
    pub fn begin_drain(&self) {
        self.condition.send_replace(Condition::Draining);
        self.changed.send_replace(());
        for line in self.running().values() {
            if let Some(run) = &line.run {
                run.drain.send_replace(true);
            }
        }
    }

    /// Ends all lines: visits under way may end within the bound, then they are stopped; the next start
    /// takes them up again. Requests of theirs that are under way may end as long, or ten seconds after
    /// that.
    pub async fn drain(&self, bound: Duration) {
        let until = Instant::now() + bound;
        self.begin_drain();
        let attendant = self.attendant().take();
        let mut late = Vec::new();
        for name in self.names() {
            let over = self.running().get_mut(&name).and_then(|line| {
                let run = line.run.as_mut()?;
                run.doors = None;
                Some(run.over.clone())
            });
            let Some(over) = over else { continue };
            if timeout_at(until, came_to(over)).await.is_err() {
                late.push(name);
            }
        }
        for name in &late {
            self.stop(name).await;
            // What was under way is said to be interrupted by its host, not to have ended it.
            let over = {
                let mut running = self.running();
                let Some(line) = running.get_mut(name) else {
                    continue;
                };
                let way = Way {
                    stopped: true,
                    resting: true,
                };
                self.convey(name, line, way);
                line.run.as_mut().map(|run| {
                    run.doors = None;
                    run.over.clone()
                })
            };
            if let Some(over) = over {
                came_to(over).await;
            }
        }
        // Results on their way come to an end; what sinks are owed then they get at the next start.
        if let Some(mut attendant) = attendant
            && timeout_at(until, &mut attendant).await.is_err()
        {
            attendant.abort();
            // It holds nothing of the folder any more then.
            let _ = attendant.await;
        }
        // What is cut off here nobody knows the end of: its item jams where it asks for that again.
        let last = until.max(Instant::now() + REQUESTS);
        let _ = timeout_at(last, self.gates.settled()).await;
        self.write_all().await;
    }

    /// Waits until all that was handed to the journal is durable, as far as it can be.
    async fn write_all(&self) {
        // What could not be written nobody was told of.
        let _ = self.state.journal.delivered(Vec::new()).await;
    }

    /// Ends lines that only carried out orders: what these led to is delivered and durable then.
    ///
    /// # Errors
    /// When one of them ended by a failure.
    pub async fn close(&self) -> Result<(), LinesError> {
        for name in self.names() {
            self.finish(&name).await?;
        }
        self.write_all().await;
        Ok(())
    }

    /// Waits until no request that a guest went away from is under way any more. Each has its timeout.
    pub async fn settled(&self) {
        self.gates.settled().await;
    }

    /// Stops a line's conveyor and its visits, wherever they are.
    pub(super) async fn stop(&self, name: &Name) {
        let run = self
            .running()
            .get_mut(name)
            .and_then(|line| line.run.take());
        let Some(run) = run else { return };
        run.task.abort();
        came_to(run.over).await;
        run.visits.stop().await;
    }
}

/// What a conveyor comes to; none where it ends without a word.
pub(super) async fn came_to(mut over: watch::Receiver<Option<Over>>) -> Option<Over> {
    let over = over.wait_for(Option::is_some).await.ok()?;
    over.clone()
}
