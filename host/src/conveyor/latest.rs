//! What visits under way reported last of how far they are. In memory only: it is over with the visit.

use crate::{item::ItemId, name::Name, sandbox::Progress};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The latest report of progress of each visit under way. As many as there are visits at the same time.
#[derive(Debug, Default)]
pub(super) struct Latest(Mutex<HashMap<ItemId, (Name, Option<Progress>)>>);

impl Latest {
    fn all(&self) -> MutexGuard<'_, HashMap<ItemId, (Name, Option<Progress>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begins(&self, item: &ItemId, station: &Name) {
        self.all().insert(item.clone(), (station.clone(), None));
    }

    /// What comes of a visit that is over is of no interest.
    pub(super) fn came(&self, item: &ItemId, progress: Progress) {
        if let Some((_, latest)) = self.all().get_mut(item) {
            *latest = Some(progress);
        }
    }

    pub(super) fn of(&self, item: &ItemId) -> Option<Progress> {
        self.all().get(item)?.1.clone()
    }

    /// Those of which something is known, at most so many.
    pub(super) fn reported(&self, most: usize) -> Vec<(ItemId, Name, Progress)> {
        let all = self.all();
        let known = all.iter().filter_map(|(item, (station, latest))| {
            Some((item.clone(), station.clone(), latest.clone()?))
        });
        let mut known: Vec<_> = known.collect();
        known.sort_by(|one, other| one.0.cmp(&other.0));
        known.truncate(most);
        known
    }

    pub(super) fn over(&self, item: &ItemId) {
        self.all().remove(item);
    }
}
