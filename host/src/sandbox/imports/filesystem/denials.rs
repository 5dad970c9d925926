//! File calls that a visit was denied, for the audit.

use crate::{sandbox::prepared::bounded, visit::DeniedFile};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many calls of one visit are listed; more are only counted.
const MOST: usize = 32;
/// The longest text that is kept of what was tried; of the reason, half as much.
const WHAT: usize = 1 << 10;

/// The denied calls of one visit. Shared with the calls that run on threads of their own.
#[derive(Default)]
pub(crate) struct Denials(Mutex<Listed>);

#[derive(Default)]
struct Listed {
    files: Vec<DeniedFile>,
    more: u64,
}

impl Denials {
    pub(super) fn note(&self, what: &str, why: String) {
        let mut listed = self.listed();
        if listed.files.len() == MOST {
            listed.more += 1;
            return;
        }
        listed.files.push(DeniedFile {
            what: bounded(what, WHAT),
            why: bounded(&why, WHAT / 2),
        });
    }

    /// The calls that are listed, and how many more there were. Empties it.
    pub(crate) fn take(&self) -> (Vec<DeniedFile>, u64) {
        let listed = std::mem::take(&mut *self.listed());
        (listed.files, listed.more)
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
