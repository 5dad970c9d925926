//! What a state folder needs: every blob and asset that an item, or a revision that stays, names.

use super::{HousekeepingError, revisions::staying};
use crate::{
    assembly::Revision,
    digest::Digest,
    item::{ItemId, Named, Record},
    journal::JournalError,
    lines::State,
    name::Name,
    workspace::{Entry, WorkspaceError},
};
use std::{collections::HashSet, ffi::OsString, fmt};

/// How many items are looked at between two looks at the journal.
const PAGE: usize = 512;

/// Who needs something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum User {
    /// An item.
    Item(ItemId),
    /// A revision of a line.
    Revision(Name, u64),
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(item) => write!(f, "item `{item}`"),
            Self::Revision(line, number) => write!(f, "revision {number} of line `{line}`"),
        }
    }
}

/// Whoever is told of uses. Each blob, snapshot and asset is told once, with one that needs it.
pub(super) trait Told {
    /// A blob, small or large, a snapshot's among them.
    fn blob(&mut self, user: &User, digest: &Digest) -> Result<(), HousekeepingError>;

    /// A folder below the state folder's `assets`.
    fn asset(&mut self, user: &User, name: &OsString) -> Result<(), HousekeepingError>;

    /// Whether to go on; asked now and then.
    fn go_on(&self) -> bool {
        true
    }

    /// Something that names others and cannot be read.
    fn unreadable(&mut self, user: &User, reason: String) -> Result<(), HousekeepingError> {
        let user = user.to_string();
        Err(HousekeepingError::Unreadable { user, reason })
    }
}

/// What has been told.
#[derive(Default)]
struct Seen {
    bodies: HashSet<Digest>,
    snapshots: HashSet<Digest>,
    assets: HashSet<OsString>,
}

/// Tells of everything that the items of a state folder need, and the revisions that stay.
///
/// # Errors
/// When the journal cannot be read, and what `told` says.
pub(super) fn uses(state: &State, told: &mut dyn Told) -> Result<(), HousekeepingError> {
    let mut seen = Seen::default();
    let journal = &state.journal;
    let known = journal.lines()?;
    for line in journal.line_names()? {
        let mut texts = Vec::new();
        while let Some(text) = journal.revision(&line, texts.len() as u64 + 1)? {
            texts.push(text);
        }
        let stands = known.iter().find(|state| state.line == line);
        let (history, begun) = (journal.retools(&line)?, journal.begun(&line)?);
        for number in staying(stands, &history, &begun, texts.len() as u64) {
            let Some(text) = (number as usize).checked_sub(1).and_then(|n| texts.get(n)) else {
                continue;
            };
            let user = User::Revision(line.clone(), number);
            match Revision::from_text(text) {
                Ok(revision) => seen.revision(&user, &revision, told)?,
                Err(error) => told.unreadable(&user, error.to_string())?,
            }
        }
    }
    let mut after = 0;
    loop {
        if !told.go_on() {
            return Err(HousekeepingError::Stopped);
        }
        let page = state.journal.page(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for listed in page {
            // The name of a row is all that its records are found by.
            let item = listed.item?;
            let user = User::Item(item);
            let User::Item(item) = &user else { continue };
            match state.journal.load(item) {
                Ok(records) => seen.records(state, &user, &records, told)?,
                Err(error @ JournalError::Damaged { .. }) => {
                    told.unreadable(&user, error.to_string())?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut after = 0;
    loop {
        let some = state.journal.effect_bodies(after, PAGE)?;
        let Some((last, ..)) = some.last() else {
            return Ok(());
        };
        after = *last;
        for (_, item, digest) in some {
            if seen.bodies.insert(digest) {
                told.blob(&User::Item(item), &digest)?;
            }
        }
    }
}

impl Seen {
    fn revision(
        &mut self,
        user: &User,
        revision: &Revision,
        told: &mut dyn Told,
    ) -> Result<(), HousekeepingError> {
        for digest in revision.blobs() {
            if self.bodies.insert(digest) {
                told.blob(user, &digest)?;
            }
        }
        for asset in revision.assets() {
            if self.assets.insert(asset.into()) {
                told.asset(user, &asset.into())?;
            }
        }
        Ok(())
    }

    fn records(
        &mut self,
        state: &State,
        user: &User,
        records: &[Record],
        told: &mut dyn Told,
    ) -> Result<(), HousekeepingError> {
        for named in records.iter().flat_map(Record::named) {
            match named {
                Named::Body(digest) => {
                    if self.bodies.insert(digest) {
                        told.blob(user, &digest)?;
                    }
                }
                Named::Snapshot(digest) => {
                    if self.snapshots.insert(digest) {
                        self.snapshot(state, user, &digest, told)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn snapshot(
        &mut self,
        state: &State,
        user: &User,
        snapshot: &Digest,
        told: &mut dyn Told,
    ) -> Result<(), HousekeepingError> {
        if self.bodies.insert(*snapshot) {
            told.blob(user, snapshot)?;
        }
        let tree = match state.workspaces.snapshots().tree(Some(*snapshot)) {
            Ok(tree) => tree,
            Err(error @ (WorkspaceError::Missing(_) | WorkspaceError::Damaged { .. })) => {
                return told.unreadable(user, error.to_string());
            }
            Err(error) => return Err(error.into()),
        };
        for (_, entry) in tree.iter() {
            if let Entry::File { digest, .. } = entry
                && self.bodies.insert(*digest)
            {
                told.blob(user, digest)?;
            }
        }
        Ok(())
    }
}
