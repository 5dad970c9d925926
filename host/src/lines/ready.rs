//! Making revisions ready and starting lines by them: from what was assembled, or from the state folder
//! alone.

use super::{
    Lines, LinesError, Started, Taken,
    room::Heard,
    running::{Running, Way},
    visits::{Ready, Revisions},
};
use crate::{
    assembly::{Assembled, Assembly, AssemblyError, Revision, Stock, note_grants},
    conveyor::{Change, Ramp, Revised},
    journal::{JournalError, LineState},
    line::{Line, Worker},
    name::Name,
    sandbox::{InProcess, Listener, OwnSettings, Runner, Settings},
};
use futures::executor::block_on;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OwnedRwLockReadGuard;

/// What runs under a revision's number, as it is kept.
pub(super) struct Kept {
    pub(super) number: u64,
    /// Every path absolute.
    line: Line,
    revision: Revision,
}

impl Kept {
    /// As a conveyor runs it.
    fn revised(self) -> Arc<Revised> {
        Arc::new(Revised {
            number: self.number,
            line: self.line,
            components: self.revision.components,
        })
    }
}

impl Lines {
    /// Starts a line: one that the folder does not know begins with what its file says as revision 1; a
    /// known one goes on by the revision that it ran by. Blocks while it builds and compiles.
    ///
    /// # Errors
    /// When the line is wrong, or runs already.
    pub fn start(&self, file: &Path) -> Result<Started, LinesError> {
        let (assembled, known) = self.assemble_bounded(file)?;
        let name = &assembled.draft.line.name;
        let started = match known {
            None => self.make_ready(&assembled)?,
            Some(state) => {
                let (_, revision) = assembled.keep(self.stock())?;
                let differs = revision != self.revision(name, state.current)?;
                Started {
                    differs,
                    ..self.take_up(state)?
                }
            }
        };
        self.begin(name)?;
        Ok(started)
    }

    /// Starts all lines that the folder knows and that do not run yet, by what is kept of them: each with
    /// what came of it. Blocks.
    ///
    /// # Errors
    /// When it cannot be read which there are.
    pub fn start_known(&self) -> Result<Vec<Taken>, LinesError> {
        let mut known = self.state.journal.lines()?;
        known.retain(|state| !self.running().contains_key(&state.line));
        let hands = std::thread::available_parallelism().map_or(1, Into::into);
        let hands = hands.min(known.len());
        let (known, all) = (Mutex::new(known.into_iter()), Mutex::new(BTreeMap::new()));
        let next = || known.lock().unwrap_or_else(PoisonError::into_inner).next();
        let start = || {
            let _inside = self.runtime.enter();
            while let Some(state) = next() {
                let name = state.line.clone();
                let started = self
                    .take_up(state)
                    .and_then(|started| self.begin(&name).map(|()| started));
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(name, started);
            }
        };
        // Side by side: most of it is reading and hashing, and no line needs another.
        std::thread::scope(|scope| {
            for _ in 0..hands {
                scope.spawn(start);
            }
        });
        let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(all.into_iter().collect())
    }

    /// Makes a line ready to run by just what was assembled, whatever it ran by before. Blocks.
    ///
    /// # Errors
    /// When a station cannot be made ready, or the line runs already.
    pub fn make_ready(&self, assembled: &Assembled) -> Result<Started, LinesError> {
        let name = assembled.draft.line.name.clone();
        self.not_running(&name)?;
        let known = self.known(&name)?;
        let bounds = self.held_to_its_bounds(assembled, known.as_ref())?;
        let kept = self.keep(assembled)?;
        let file = assembled.file.as_deref().and_then(|file| {
            let file = std::path::absolute(file).ok()?;
            file.to_str().map(Into::into)
        });
        let mut state = match &known {
            None => LineState::new(name.clone(), file, kept.number),
            Some(known) => {
                let mut older = known.revisions();
                older.remove(&kept.number);
                LineState {
                    current: kept.number,
                    file: file.or_else(|| known.file.clone()),
                    ramp: None,
                    moves: BTreeMap::new(),
                    paused: known.paused.clone(),
                    older,
                    line: name.clone(),
                    factory: None,
                }
            }
        };
        state.factory = self.noted(bounds.as_deref());
        state.older = self.needed(&state)?;
        if known.as_ref() != Some(&state) {
            block_on(self.state.journal.keep_line(state.clone(), None))?;
        }
        let revisions = Arc::new(Revisions::default());
        let (current, runners) = self.prepare(&revisions, assembled, kept)?;
        let older = self.older(&revisions, &state);
        let change = Change {
            older,
            ..Change::to(current)
        };
        Ok(self.stand_by(state, change, revisions, runners))
    }

    /// Has the conveyor of a line begin that was made ready.
    ///
    /// # Errors
    /// When there is no such line, or lines are ending.
    pub fn begin(&self, name: &Name) -> Result<(), LinesError> {
        let mut running = self.running();
        let line = (running.get_mut(name)).ok_or_else(|| LinesError::NoLine(name.clone()))?;
        match &*self.condition.borrow() {
            super::Condition::Draining => return Err(LinesError::Stopping),
            // It begins with the others.
            super::Condition::Waiting { .. } => return Ok(()),
            super::Condition::Running | super::Condition::Resting => {}
        }
        if line.run.is_none() {
            self.convey(name, line, Way::default());
        }
        drop(running);
        self.changed.send_replace(());
        // A ramp that was under way is watched again, stations that were drained are waited for.
        let _inside = self.runtime.enter();
        crate::retool::tend(&self.me()?, name);
        Ok(())
    }

    /// Keeps a revision of a line that was assembled, and makes it ready to be changed to. Blocks.
    ///
    /// # Errors
    /// When it cannot be kept or made ready, or the line does not run.
    pub fn make_revision(&self, assembled: &Assembled) -> Result<Arc<Revised>, LinesError> {
        let name = &assembled.draft.line.name;
        if self.resting {
            return Ok(self.keep(assembled)?.revised());
        }
        let (revisions, state) = (self.revisions_of(name)?, self.stands(name)?);
        let kept = self.keep(assembled)?;
        match self.still_ready(&revisions, &state, kept.number)? {
            Some(ready) => Ok(ready),
            None => Ok(self.prepare(&revisions, assembled, kept)?.0),
        }
    }

    /// Makes a revision ready that was kept before, from the state folder alone. Blocks.
    ///
    /// # Errors
    /// When it is not there any more or cannot be made ready, or the line does not run.
    pub fn revive(&self, name: &Name, number: u64) -> Result<Arc<Revised>, LinesError> {
        if self.resting {
            return self.kept_only(name, number);
        }
        let (revisions, state) = (self.revisions_of(name)?, self.stands(name)?);
        match self.still_ready(&revisions, &state, number)? {
            Some(ready) => Ok(ready),
            None => Ok(self.revived(&revisions, &state, number)?.0),
        }
    }

    /// A revision that is ready below the ceiling of today. What is under way below another goes on as it
    /// began.
    fn still_ready(
        &self,
        revisions: &Revisions,
        state: &LineState,
        number: u64,
    ) -> Result<Option<Arc<Revised>>, LinesError> {
        Ok(match revisions.get(number) {
            Some(ready) if self.is_below_todays(state, &ready.revised)? => {
                Some(ready.revised.clone())
            }
            _ => None,
        })
    }

    /// A line that the folder knows, ready to run by what is kept of it.
    fn take_up(&self, mut state: LineState) -> Result<Started, LinesError> {
        let name = state.line.clone();
        self.not_running(&name)?;
        state.older = self.needed(&state)?;
        let revisions = Arc::new(Revisions::default());
        let (current, runners) = self.revived(&revisions, &state, state.current)?;
        let ramp = match state.ramp {
            Some(ramp) => Some(Ramp {
                to: self.revived(&revisions, &state, ramp.to)?.0,
                percent: ramp.percent,
            }),
            None => None,
        };
        let older = self.older(&revisions, &state);
        self.keep_bounds(&mut state)?;
        let change = Change {
            ramp,
            moves: state.moves.clone(),
            older,
            ..Change::to(current)
        };
        Ok(self.stand_by(state, change, revisions, runners))
    }

    /// A line of a folder at rest, as far as orders need it: nothing is made ready.
    pub(super) fn take_up_resting(&self, name: &Name) -> Result<(), LinesError> {
        let state = match self.known(name)? {
            Some(state) => state,
            // It ran before lines were kept: by the newest revision.
            None => {
                let journal = &self.state.journal;
                let mut newest = 0;
                while journal.revision(name, newest + 1)?.is_some() {
                    newest += 1;
                }
                if newest == 0 {
                    return Err(LinesError::NoLine(name.clone()));
                }
                LineState::new(name.clone(), None, newest)
            }
        };
        let revised = |number| self.kept_only(name, number);
        let ramp = match state.ramp {
            Some(ramp) => Some(Ramp {
                to: revised(ramp.to)?,
                percent: ramp.percent,
            }),
            None => None,
        };
        let older = state
            .older
            .iter()
            .map(|number| Ok((*number, revised(*number)?)));
        let change = Change {
            ramp,
            moves: state.moves.clone(),
            older: older.collect::<Result<_, LinesError>>()?,
            ..Change::to(revised(state.current)?)
        };
        self.stand_by(state, change, Arc::default(), None);
        self.begin(name)
    }

    fn stand_by(
        &self,
        state: LineState,
        change: Change,
        revisions: Arc<Revisions>,
        runners: Option<String>,
    ) -> Started {
        let started = Started {
            line: state.line.clone(),
            revision: state.current,
            differs: false,
            runners,
        };
        let line = Running::new(state, change, revisions);
        self.running().insert(started.line.clone(), line);
        started
    }

    /// How the journal has a line.
    pub(super) fn known(&self, name: &Name) -> Result<Option<LineState>, JournalError> {
        let all = self.state.journal.lines()?;
        Ok(all.into_iter().find(|state| state.line == *name))
    }

    fn not_running(&self, name: &Name) -> Result<(), LinesError> {
        match self.running().contains_key(name) {
            true => Err(LinesError::Running(name.clone())),
            false => Ok(()),
        }
    }

    fn revisions_of(&self, name: &Name) -> Result<Arc<Revisions>, LinesError> {
        let running = self.running();
        let line = running.get(name);
        Ok(line
            .ok_or_else(|| LinesError::NoLine(name.clone()))?
            .revisions
            .clone())
    }

    /// A revision as far as orders need it: nothing of it is ready.
    fn kept_only(&self, name: &Name, number: u64) -> Result<Arc<Revised>, LinesError> {
        let Revision {
            line, components, ..
        } = self.revision(name, number)?;
        Ok(Arc::new(Revised {
            number,
            line,
            components,
        }))
    }

    /// Puts lines together below a factory's file, which [`Self::bounds`] has found.
    pub(crate) fn assembly<'a>(
        &'a self,
        say: &'a (dyn Fn(&str) + Sync),
        factory: Option<&'a Path>,
    ) -> Assembly<'a> {
        Assembly {
            factory,
            state: Some(&self.settings.state),
            exe: self.settings.exe.clone(),
            say,
        }
    }

    pub(crate) fn stock(&self) -> Stock<'_> {
        Stock {
            folder: &self.state.folder,
            content: &self.state.content,
        }
    }

    /// Keeps a revision: what it needs first, then its number.
    fn keep(&self, assembled: &Assembled) -> Result<Kept, LinesError> {
        let (line, revision) = assembled.keep(self.stock())?;
        let text = revision.to_text().map_err(|error| LinesError::Unwritable {
            line: line.name.clone(),
            reason: error.to_string(),
        })?;
        let number = self.state.journal.keep_revision(&line.name, &text)?;
        let journal = &*self.state.journal;
        let left = assembled.left(&line);
        note_grants(journal, &left, (number, &revision), (self.clock)())?;
        Ok(Kept {
            number,
            line,
            revision,
        })
    }

    /// A revision as the journal has it.
    pub(super) fn revision(&self, name: &Name, number: u64) -> Result<Revision, LinesError> {
        let unreadable = |reason: String| LinesError::Unreadable {
            line: name.clone(),
            revision: number,
            reason,
        };
        let text = self.state.journal.revision(name, number)?;
        let text = text.ok_or_else(|| unreadable("is gone".into()))?;
        Revision::from_text(&text).map_err(|error| unreadable(format!("cannot be read: {error}")))
    }

    fn revived(
        &self,
        revisions: &Revisions,
        state: &LineState,
        number: u64,
    ) -> Result<(Arc<Revised>, Option<String>), LinesError> {
        let revision = self.revision(&state.line, number)?;
        let bounds = self.bounds_of(state, number)?;
        let assembly = self.assembly(&*self.settings.say, bounds.as_deref());
        let assembled = assembly.revive(&revision, number, self.stock())?;
        let (line, _) = assembled.keep(self.stock())?;
        let kept = Kept {
            number,
            line,
            revision,
        };
        self.prepare(revisions, &assembled, kept)
    }

    /// The older revisions of a line, ready. One that cannot be made ready any more keeps no line from
    /// running: what began on it begins anew.
    fn older(&self, revisions: &Revisions, state: &LineState) -> BTreeMap<u64, Arc<Revised>> {
        let mut ready = BTreeMap::new();
        for number in &state.older {
            match self.revived(revisions, state, *number) {
                Ok((revised, _)) => drop(ready.insert(*number, revised)),
                Err(error) => (self.settings.say)(&format!(
                    "note: revision {number} of `{}`, on which visits began, cannot be made ready: {error}",
                    state.line
                )),
            }
        }
        ready
    }

    /// Makes the stations of a revision ready; what a person is told of its runner processes.
    fn prepare(
        &self,
        revisions: &Revisions,
        assembled: &Assembled,
        kept: Kept,
    ) -> Result<(Arc<Revised>, Option<String>), LinesError> {
        let revised = kept.revised();
        let (line, number) = (&revised.line, revised.number);
        let made = self.runner(assembled, line, number);
        let admitted = made.map_err(LinesError::from).and_then(|made| {
            self.gates.admit(assembled, line, number)?;
            Ok(made)
        });
        // One that is ready already goes on as it is.
        let (runner, runners) = admitted.inspect_err(|_| {
            if let (None, Some(sandbox)) = (revisions.get(number), self.sandbox.get()) {
                sandbox.forget(&line.name, number);
            }
        })?;
        Ok((revisions.put(Ready { revised, runner }), runners))
    }

    fn runner(
        &self,
        assembled: &Assembled,
        line: &Line,
        number: u64,
    ) -> Result<(Arc<dyn Runner>, Option<String>), AssemblyError> {
        let worker = self.settings.worker.or(line.worker);
        if worker == Some(Worker::Own) {
            let failed = |error: io::Error| AssemblyError::Runners(error.into());
            let cores = std::thread::available_parallelism().map_or(1, Into::into);
            let workers: u64 = line.stations.values().map(|s| u64::from(s.workers)).sum();
            let root = (self.state.workspaces.root()).map_err(|e| failed(e.into()))?;
            let settings = OwnSettings {
                exe: self.settings.exe.clone(),
                processes: cores.min(usize::try_from(workers).unwrap_or(cores)),
                visits: OwnSettings::VISITS,
                root: std::path::absolute(root).map_err(failed)?,
                folders: self.heard(self.state.workspaces.clone()),
                contents: self.heard(self.state.content.clone()),
                egress: self.gates.clone(),
                progress: Some(self.listener()),
            };
            let _inside = self.runtime.enter();
            let own = assembled.start(settings, line, number)?;
            let about = own.describe().to_owned();
            return Ok((Arc::new(own), Some(about)));
        }
        let sandbox = self.sandbox()?;
        assembled.prepare(sandbox, line, number)?;
        Ok((Arc::new(sandbox.clone()), None))
    }

    fn heard<T>(&self, store: T) -> Arc<Heard<T>> {
        let room = self.room.clone();
        Arc::new(Heard { store, room })
    }

    /// The one sandbox of all lines whose visits run in this process.
    fn sandbox(&self) -> Result<&InProcess, AssemblyError> {
        if let Some(sandbox) = self.sandbox.get() {
            return Ok(sandbox);
        }
        let made = InProcess::new(Settings {
            visits: Settings::VISITS,
            folders: self.heard(self.state.workspaces.clone()),
            contents: self.heard(self.state.content.clone()),
            egress: self.gates.clone(),
            progress: Some(self.listener()),
        })
        .map_err(|error| AssemblyError::Engine(error.to_string()))?;
        // Where two come at once, the second is thrown away.
        Ok(self.sandbox.get_or_init(|| made))
    }

    /// What visits report of how far they are, onto the board of their line.
    fn listener(&self) -> Arc<Listener> {
        let boards = self.boards.clone();
        Arc::new(move |visit, progress| {
            let boards = boards.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(board) = boards.get(&visit.line) {
                board.came(&visit.item, progress);
            }
        })
    }

    /// Of a line's older revisions those on which an attempt began that has not ended.
    pub(super) fn needed(&self, state: &LineState) -> Result<BTreeSet<u64>, JournalError> {
        if state.older.is_empty() {
            return Ok(BTreeSet::new());
        }
        let begun = self.state.journal.begun(&state.line)?;
        Ok(begun.intersection(&state.older).copied().collect())
    }

    /// Keeps all that is ready of a line ready, for as long as this is held; none where it does not run.
    pub(crate) async fn steady(&self, name: &Name) -> Option<OwnedRwLockReadGuard<()>> {
        let readying = self.running().get(name)?.readying.clone();
        Some(readying.read_owned().await)
    }

    /// Whether attempts that have not ended began on an older revision with one of these stations, so that
    /// they may still lead there. Blocks.
    pub(crate) fn lead_to(
        &self,
        name: &Name,
        stations: &BTreeSet<Name>,
    ) -> Result<bool, LinesError> {
        let Some(state) = self.runs_by(name) else {
            return Ok(false);
        };
        block_on(self.state.journal.delivered(Vec::new()))?;
        for number in self.needed(&state)? {
            let line = self.revision(name, number)?.line;
            if stations
                .iter()
                .any(|station| line.stations.contains_key(station))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets go of what is ready of a line and that no visit needs any more. Blocks.
    pub(super) fn let_go(&self, name: &Name) -> Result<(), JournalError> {
        let Some(readying) = (self.running().get(name)).map(|line| line.readying.clone()) else {
            return Ok(());
        };
        let _nobody_readies = readying.blocking_write();
        let (state, revisions) = match self.running().get(name) {
            Some(line) => (line.state.clone(), line.revisions.clone()),
            None => return Ok(()),
        };
        // What began is seen in the journal once what was handed to it is written.
        block_on(self.state.journal.delivered(Vec::new()))?;
        let mut needed = self.needed(&state)?;
        needed.insert(state.current);
        needed.extend(state.ramp.map(|ramp| ramp.to));
        for number in revisions.numbers() {
            if needed.contains(&number) {
                continue;
            }
            // One that a visit is under way on is looked at next time.
            if let Some(gone) = revisions.take_unused(number) {
                if let Some(sandbox) = self.sandbox.get() {
                    sandbox.forget(name, number);
                }
                self.gates.dismiss(name, number);
                drop(gone);
            }
        }
        Ok(())
    }
}
