//! Changes of a running line that outlast it: its revisions, and stations that are paused. What is kept
//! in the journal comes first, what the conveyor does second; after a crash in between a start goes by
//! what was kept.

use super::{Fault, FaultKind, Lines, running::Running};
use crate::{
    audit::{Deed, Entry},
    conveyor::{Change, Changed, Handle, Ramp, Unable},
    failpoint::Point,
    journal::{LineState, Paused, PhaseKind, Ramping, RetoolKind, RetoolRecord},
    name::Name,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::OwnedMutexGuard;

impl Running {
    /// Goes by what is kept, as far as its revisions are ready.
    pub(super) fn adopt(&mut self, state: LineState) {
        let ready = |number: u64| self.revisions.get(number).map(|it| it.revised.clone());
        if let Some(current) = ready(state.current) {
            self.change = Change {
                current,
                ramp: state.ramp.and_then(|ramp| {
                    Some(Ramp {
                        to: ready(ramp.to)?,
                        percent: ramp.percent,
                    })
                }),
                moves: state.moves.clone(),
                older: (state.older.iter())
                    .filter_map(|number| Some((*number, ready(*number)?)))
                    .collect(),
            };
            self.state = state;
        }
    }
}

impl Lines {
    /// Has a line run by other revisions from now on, each made ready by [`Self::make_revision`] or
    /// [`Self::revive`]; `change.older` is filled in here. Kept durably first, with `record`, whose
    /// revisions are filled in as well: after a crash the line starts by the new ones or by the old, and
    /// by the new ones once this has returned.
    ///
    /// # Errors
    /// When items wait where they could not go on; nothing has changed then.
    pub async fn apply(
        self: &Arc<Self>,
        name: &Name,
        change: Change,
        record: RetoolRecord,
    ) -> Result<Changed, Fault> {
        let (_changing, orders, before) = self.to_change(name).await?;
        self.nobody_homeless(name, &change)?;
        let ramp = change.ramp.as_ref().map(|ramp| Ramping {
            to: ramp.to.number,
            percent: ramp.percent,
        });
        let mut older = before.revisions();
        older.remove(&change.current.number);
        if let (false, Some(line)) = (self.resting, self.running().get(name)) {
            // What was let go of, nothing goes by any more.
            let ready = line.revisions.numbers();
            older.retain(|number| ready.contains(number));
        }
        if let Some(ramp) = ramp {
            older.remove(&ramp.to);
        }
        let state = LineState {
            current: change.current.number,
            ramp,
            moves: change.moves.clone(),
            older,
            file: record.file.clone().or_else(|| before.file.clone()),
            factory: (record.factory.clone()).or_else(|| before.factory.clone()),
            ..before.clone()
        };
        let record = RetoolRecord {
            current: state.current,
            ramp,
            ..record
        };
        let journal = &self.state.journal;
        Point::ChangeBegins.reached();
        (journal.keep_line(state.clone(), Some(record.clone()))).await?;
        Point::ChangeKept.reached();
        let change = match self.running().get(name) {
            Some(line) => {
                let ready = |number: &u64| {
                    let ready = line.revisions.get(*number)?;
                    Some((*number, ready.revised.clone()))
                };
                Change {
                    older: state.older.iter().filter_map(ready).collect(),
                    ..change
                }
            }
            None => change,
        };
        match orders.retool(change.clone()).await {
            Ok(changed) => {
                Point::ChangeMade.reached();
                if let Some(line) = self.running().get_mut(name) {
                    line.state = state;
                    line.change = change;
                }
                self.changed.send_replace(());
                let (lines, name) = (self.clone(), name.clone());
                self.runtime.spawn_blocking(move || {
                    if let Err(error) = lines.let_go(&name) {
                        (lines.settings.say)(&format!("note: {error}"));
                    }
                });
                Ok(changed)
            }
            Err(unable) => {
                let undone = RetoolRecord {
                    kind: RetoolKind::Undone,
                    drains: None,
                    current: before.current,
                    ramp: before.ramp,
                    notes: BTreeMap::from([("undone".into(), unable.to_string())]),
                    ..record
                };
                // Where even that fails, the journal has: the line starts by the new revision then.
                journal.keep_line(before, Some(undone)).await?;
                Err(unable.into())
            }
        }
    }

    /// Ends the visits under way at these stations, but for those on one revision: each is made anew.
    /// How many there were.
    pub(crate) fn recall(
        &self,
        name: &Name,
        stations: &BTreeSet<Name>,
        but: Option<u64>,
        why: &str,
    ) -> u64 {
        let running = self.running();
        let run = running.get(name).and_then(|line| line.run.as_ref());
        run.map_or(0, |run| run.visits.recall(stations, but, why))
    }

    /// Pauses a station of a line, or lets it go on. `said` is who does it, why and when; the audit has it.
    pub(super) async fn set_paused(
        &self,
        name: &Name,
        station: &Name,
        pause: bool,
        said: Paused,
    ) -> Result<(), Fault> {
        let (_changing, orders, before) = self.to_change(name).await?;
        let known = match self.running().get(name) {
            Some(line) => {
                let has = |change: &Change| {
                    let ramp = change.ramp.iter().map(|ramp| &ramp.to);
                    let mut all = [&change.current].into_iter().chain(ramp);
                    all.any(|it| it.line.stations.contains_key(station))
                };
                has(&line.change)
            }
            None => false,
        };
        if !known {
            return Err(Unable::NoStation(station.clone()).into());
        }
        if before.paused.contains_key(station) == pause {
            let so = if pause {
                "is paused already"
            } else {
                "is not paused"
            };
            return Err(Fault::conflict(format!("station `{station}` {so}")));
        }
        let what = if pause { "paused by" } else { "resumed by" };
        let entry = Entry {
            at: said.at,
            deed: Deed::Pause,
            allowed: true,
            line: name.clone(),
            revision: before.current,
            station: station.clone(),
            component: None,
            item: None,
            what: format!("{what} {}", said.by),
            rule: None,
            why: (!said.why.is_empty()).then(|| said.why.clone()),
        };
        let mut state = before;
        if pause {
            state.paused.insert(station.clone(), said);
        } else {
            state.paused.remove(station);
        }
        let journal = &self.state.journal;
        let noted = journal.audit(vec![entry]);
        journal.keep_line(state.clone(), None).await?;
        noted.await?;
        if let Some(line) = self.running().get_mut(name) {
            line.state = state;
        }
        Ok(orders.pause(station.clone(), pause).await?)
    }

    /// Waits for its turn to change a line: the guard of that, the way to its conveyor, and how it stands.
    async fn to_change(
        &self,
        name: &Name,
    ) -> Result<(OwnedMutexGuard<()>, Handle, LineState), Fault> {
        let orders = self.orders(name)?;
        let changing = match self.running().get(name) {
            Some(line) => line.changing.clone(),
            None => return Err(Self::no_line(name)),
        };
        let guard = changing.lock_owned().await;
        let running = self.running();
        let state = running.get(name).map(|line| line.state.clone());
        Ok((guard, orders, state.ok_or_else(|| Self::no_line(name))?))
    }

    /// That no item waits where the new revisions have no station and nothing says where it goes. The
    /// conveyor says so as well, at the moment of the change; here it is known before anything is kept.
    fn nobody_homeless(&self, name: &Name, change: &Change) -> Result<(), Fault> {
        let mut waiting: BTreeMap<Name, u64> = BTreeMap::new();
        for (phase, station, count) in self.state.journal.counts(name)? {
            if let (PhaseKind::Waiting | PhaseKind::Held, Some(station)) = (phase, station) {
                *waiting.entry(station).or_default() += count;
            }
        }
        let ramp = change.ramp.iter().map(|ramp| &ramp.to.line);
        let lines: Vec<_> = [&change.current.line].into_iter().chain(ramp).collect();
        for (station, count) in waiting {
            let has = |line: &&crate::line::Line| line.stations.contains_key(&station);
            if !change.moves.contains_key(&station) && !lines.iter().any(has) {
                return Err(Unable::Waiting { station, count }.into());
            }
        }
        Ok(())
    }

    pub(super) fn no_line(name: &Name) -> Fault {
        Fault::not_found(format!(
            "there is no line `{name}` here\n  hint: `andon status` lists them"
        ))
    }

    /// The way to a line's conveyor; on a folder at rest, of one that is started for this.
    pub(super) fn orders(&self, name: &Name) -> Result<Handle, Fault> {
        if let Some(line) = self.line(name) {
            return Ok(line.handle);
        }
        if self.resting {
            self.take_up_resting(name)?;
            return match self.line(name) {
                Some(line) => Ok(line.handle),
                None => Err(Self::no_line(name)),
            };
        }
        let failed = match self.running().get(name) {
            None => return Err(Self::no_line(name)),
            Some(line) => line.failed.clone(),
        };
        let unavailable = |message: String| Fault {
            retry_after: Some(5),
            ..Fault::of(FaultKind::Unavailable, message)
        };
        Err(match (&*self.condition.borrow(), failed) {
            (_, Some(reason)) => Fault::conflict(format!("line `{name}` has stopped: {reason}")),
            (super::Condition::Waiting { reason }, _) => {
                unavailable(format!("line `{name}` waits: {reason}"))
            }
            _ => Unable::Stopping.into(),
        })
    }
}
