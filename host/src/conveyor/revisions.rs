//! Which revision of the line an item goes by, and changing to others while it runs.
//!
//! An attempt ends by the revision on which it began, and is gone on with by it after an answer or the
//! end of a host. The next attempt takes the current revision, or that of the ramp.

use super::{Change, Changed, Revised, Running, Unable};
use crate::{
    item::{Item, ItemId},
    line::Line,
    name::Name,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

/// The revisions of a line that are in use.
pub(super) struct Revisions {
    pub(super) change: Change,
    /// How many attempts are open that began on each, as far as they were seen to begin.
    open: BTreeMap<u64, u64>,
    /// Those that this run began with: attempts of before may go on by them.
    first: BTreeSet<u64>,
}

/// The revision on which an attempt began that is not over.
pub(super) fn begun(item: &Item) -> Option<u64> {
    item.began()
}

impl Revisions {
    pub(super) fn new(change: Change) -> Self {
        let first = all(&change).map(|revised| revised.number).collect();
        Self {
            change,
            open: BTreeMap::new(),
            first,
        }
    }

    /// What every item of the line has in common: its name.
    pub(super) fn line(&self) -> &Name {
        &self.change.current.line.name
    }

    /// What the next attempt of an item begins on.
    pub(super) fn assigned(&self, item: &ItemId) -> &Arc<Revised> {
        match &self.change.ramp {
            Some(ramp) if ramp.takes(item) => &ramp.to,
            _ => &self.change.current,
        }
    }

    /// The lines that new attempts go by: the current one, and that of the ramp.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        let ramp = self.change.ramp.as_ref().map(|ramp| &ramp.to);
        let all = [&self.change.current].into_iter().chain(ramp);
        all.map(|revised| &revised.line)
    }

    /// What decides about an item as it is.
    pub(super) fn of(&self, item: &Item) -> &Arc<Revised> {
        begun(item)
            .and_then(|number| self.numbered(number))
            .unwrap_or_else(|| self.assigned(&item.id))
    }

    fn numbered(&self, number: u64) -> Option<&Arc<Revised>> {
        let Change {
            current,
            ramp,
            older,
            ..
        } = &self.change;
        [Some(current), ramp.as_ref().map(|ramp| &ramp.to)]
            .into_iter()
            .flatten()
            .find(|revised| revised.number == number)
            .or_else(|| older.get(&number))
    }

    /// Where an item goes whose station `line` does not have.
    pub(super) fn elsewhere(&self, station: &Name, line: &Line) -> Option<Name> {
        let to = self.change.moves.get(station)?;
        line.stations.contains_key(to).then(|| to.clone())
    }

    /// An attempt began or is over.
    pub(super) fn opened(&mut self, before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(number) = after {
            *self.open.entry(number).or_default() += 1;
        }
        if let Some(open) = before.and_then(|number| self.open.get_mut(&number)) {
            *open = open.saturating_sub(1);
        }
    }

    /// Takes another change, and keeps of the last one what attempts under way may still go by.
    fn turn(&mut self, change: Change) {
        let last = std::mem::replace(&mut self.change, change);
        self.open.retain(|_, open| *open > 0);
        for revised in all(&last) {
            let number = revised.number;
            let needed = self.open.contains_key(&number) || self.first.contains(&number);
            if needed && self.numbered(number).is_none() {
                self.change.older.insert(number, revised.clone());
            }
        }
    }
}

/// Every revision of a change.
fn all(change: &Change) -> impl Iterator<Item = &Arc<Revised>> {
    [&change.current]
        .into_iter()
        .chain(change.ramp.as_ref().map(|ramp| &ramp.to))
        .chain(change.older.values())
}

impl Running {
    /// Runs by other revisions from now on, unless somebody waits where it could not go on.
    pub(super) fn retool(&mut self, change: Change) -> Result<Changed, Unable> {
        let began = Instant::now();
        let moved = self.fits(&change)?;
        self.revisions.turn(change);
        let change = &self.revisions.change;
        self.belts = self.belts.rebuilt(change, &self.conveyor.paused);
        Ok(Changed {
            pause: began.elapsed(),
            moved,
        })
    }

    /// Whether all that wait can go on by a change: how many of them at another station.
    fn fits(&self, change: &Change) -> Result<u64, Unable> {
        let name = self.revisions.line();
        let lines: Vec<&Line> = [&change.current]
            .into_iter()
            .chain(change.ramp.as_ref().map(|ramp| &ramp.to))
            .map(|revised| &revised.line)
            .collect();
        if let Some(other) = lines.iter().find(|line| line.name != *name) {
            return Err(Unable::Failed(format!(
                "`{}` is another line than `{name}`\n  hint: give that line's own revision",
                other.name
            )));
        }
        let known = |station: &Name| lines.iter().any(|line| line.stations.contains_key(station));
        if let Some(to) = change.moves.values().find(|to| !known(to)) {
            return Err(Unable::NoStation(to.clone()));
        }
        let mut moved = 0;
        for (station, count) in self.belts.all_waiting() {
            let station = station.clone();
            if lines
                .iter()
                .all(|line| line.stations.contains_key(&station))
            {
                continue;
            }
            if !change.moves.contains_key(&station) {
                return Err(Unable::Waiting { station, count });
            }
            if !known(&station) {
                moved += count;
            }
        }
        Ok(moved)
    }
}
