//! What visits under way reported last of how far they are. In memory only: it is over with the visit.

use crate::{item::ItemId, sandbox::Progress};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The latest report of progress of each visit under way. As many as there are visits at the same time.
#[derive(Debug, Default)]
pub(super) struct Latest(Mutex<HashMap<ItemId, Progress>>);

impl Latest {
    fn all(&self) -> MutexGuard<'_, HashMap<ItemId, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn came(&self, item: &ItemId, progress: Progress) {
        self.all().insert(item.clone(), progress);
    }

    pub(super) fn of(&self, item: &ItemId) -> Option<Progress> {
        self.all().get(item).cloned()
    }

    pub(super) fn over(&self, item: &ItemId) {
        self.all().remove(item);
    }
}
