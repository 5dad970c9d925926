//! The journal: what happened to each item, kept so that a crash at any moment loses nothing.
//!
//! A store keeps for each item a list of records that only grows, and carries messages between
//! items. The trait asks for no more than SQLite and JetStream can both keep: an append is atomic for
//! one item only, messages come at least once and in any order, listings are a projection that may
//! lag and can be rebuilt. One suite of tests runs against every store.

pub mod audit;
mod delivery;
mod line_state;
pub mod memory;
pub mod sqlite;
mod standing;
mod upkeep;

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) use conformance::audit::about as conformance_entry;

pub use crate::item::{PhaseKind, Seq, Summary};
pub use audit::JournalAuditor;
pub use delivery::{Delivery, DeliveryState};
pub use line_state::{
    ComponentChange, Drains, Guard, LineState, Paused, Ramping, RetoolKind, RetoolRecord,
};
pub use memory::Memory;
pub use sqlite::Sqlite;
pub use standing::{Awaited, Queue, Standing, Standpoint};
pub use upkeep::{Listed, Retired, Rewritten, Upkeep};

use crate::{
    audit::Entry,
    digest::Digest,
    disk,
    effect::{Effect, VisitKey},
    item::{ItemId, Message, Record},
    name::Name,
    visit::Millis,
};
use audit::{AuditFilter, Chain, Flaw, Kept, Verified};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::{collections::BTreeSet, path::Path};

/// A store of journals. Cheap to share; all methods may be called from any thread.
pub trait Journal: Upkeep + Standing + Send + Sync + 'static {
    /// All records of an item, oldest first; empty if there is no such item. Sees every append that
    /// was acknowledged before the call.
    ///
    /// # Errors
    /// When the store cannot be read, or holds a record that this andon does not know.
    fn load(&self, item: &ItemId) -> Result<Vec<Record>, JournalError>;

    /// Whether there is such an item, or was until it was forgotten ([`Upkeep::forget`]).
    ///
    /// # Errors
    /// When the store cannot be read.
    fn knows(&self, item: &ItemId) -> Result<bool, JournalError>;

    /// Hands over records to be kept. The call returns at once; appends are applied in the order of
    /// the calls, and several share one sync. The future ends when the records are durable. Dropping
    /// it drops the news, not the records.
    ///
    /// Once the store could not keep an append, every later one fails for the same reason, until
    /// [`Self::try_again`], so that nothing is kept that follows something lost. A conflict is not such a failure: it concerns one
    /// item, and what was to follow it there conflicts as well.
    fn append(&self, append: Append) -> BoxFuture<'static, Result<Seq, JournalError>>;

    /// The next messages between items of a line: after the append that they come from is durable. At
    /// least once each while the sender's state calls for them, in any order. Each line has an inbox of
    /// its own, so that nobody takes what is another's; of one line, one at a time may ask. Ends with an
    /// empty list when the store is closed.
    fn messages(&self, line: &Name) -> BoxFuture<'_, Vec<Message>>;

    /// The items that fit, ordered by when they were taken.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(&self, filter: &Filter) -> Result<Vec<Summary>, JournalError>;

    /// How many items of a line are in which phase at which station, where they are at one or were last.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn counts(&self, line: &Name) -> Result<Vec<(PhaseKind, Option<Name>, u64)>, JournalError>;

    /// Whether any item fits; `most` and `newest` make no difference.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn any(&self, filter: &Filter) -> Result<bool, JournalError>;

    /// The revisions on which attempts of a line's items began that are not over. Takes no longer when
    /// many items wait.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn begun(&self, line: &Name) -> Result<BTreeSet<u64>, JournalError>;

    /// The bytes under `digest`, from the store's own table of small blobs. Sees the blobs of every
    /// append that was handed over, durable or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, JournalError>;

    /// Keeps a line's revision, unless the newest is equal: its number, from 1.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn keep_revision(&self, line: &Name, definition: &str) -> Result<u64, JournalError>;

    /// The items of a line that ended on `done` with a payload and were not said to be
    /// [`Self::delivered`], ordered by when they ended. Sees what is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn undelivered(&self, line: &Name) -> Result<Vec<ItemId>, JournalError>;

    /// Keeps that these results were handed over to whoever asked for them. The call returns at
    /// once and is applied in order with the appends; the future ends when it is durable. An item
    /// that has no result, or that there is not, is passed over.
    fn delivered(&self, items: Vec<ItemId>) -> BoxFuture<'static, Result<(), JournalError>>;

    /// What the sink named `sink` of a line is owed and may be tried by `until`, what comes first
    /// first, at most `most`: one for each of the line's [`Self::undelivered`] results that this sink
    /// neither has nor was given up on. Sees what is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn owed(
        &self,
        line: &Name,
        sink: &Name,
        until: Millis,
        most: usize,
    ) -> Result<Vec<Delivery>, JournalError>;

    /// How far the deliveries of an item are, by sink; of those that were never tried there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn deliveries(&self, item: &ItemId) -> Result<Vec<Delivery>, JournalError>;

    /// Keeps how far deliveries are, their reasons cut to [`Delivery::REASON`]; each replaces what was
    /// kept of the same item and sink. Applied in order with the appends; the future ends when it is
    /// durable. An item that there is not is passed over. Once no sink is owed it any more, whoever
    /// delivers says so with [`Self::delivered`].
    fn keep_deliveries(
        &self,
        deliveries: Vec<Delivery>,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Keeps how far a source of a line is, in words of its own; it replaces what was kept of it.
    /// Applied in order with the appends; the future ends when it is durable.
    fn keep_source(
        &self,
        line: &Name,
        source: &Name,
        state: &str,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// What [`Self::keep_source`] kept last. Sees what is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn source(&self, line: &Name, source: &Name) -> Result<Option<String>, JournalError>;

    /// Hands over entries of the audit to be kept, their texts cut to [`Entry::WHAT`]. The call returns
    /// at once and is applied in order with the appends; the entries of one call are kept together. The
    /// future ends when they are durable. Dropping it drops the news, not the entries: a store that
    /// could not keep them fails every later append.
    fn audit(&self, entries: Vec<Entry>) -> BoxFuture<'static, Result<(), JournalError>>;

    /// The entries of the audit that fit, the oldest first. Sees what is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn audited(&self, filter: &AuditFilter) -> Result<Vec<Kept>, JournalError>;

    /// Follows the audit's chain over all entries, to its head; and past the head that somebody
    /// `noted` elsewhere, if one is given. Inside: the first flaw.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn verify(&self, noted: Option<Chain>) -> Result<Result<Verified, Flaw>, JournalError>;

    /// Hands over an effect that a visit is about to have, to be kept. The call returns at once and is
    /// applied in order with the appends; the future ends when it is durable, which is to be waited for
    /// before anything unsafe leaves. An effect of the same visit, run and number is kept once.
    ///
    /// The future fails where there is no such item, and where the store fails.
    fn intend(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Hands over how an effect ended, whether it was intended before or not; otherwise like
    /// [`Self::intend`]. A body that it names in the content store has to be there.
    fn ended(
        &self,
        visit: VisitKey,
        effect: Effect,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// The effects of one visit of an item (its station and number there), by run and number; or of all
    /// of them, by when they were intended. Sees all that was handed over before the call.
    ///
    /// The future fails when the store cannot be read or written.
    fn effects(
        &self,
        item: ItemId,
        visit: Option<(Name, u32)>,
    ) -> BoxFuture<'_, Result<Vec<(VisitKey, Effect)>, JournalError>>;

    /// When the last effect of a visit ended that is recorded of its runs from `first` on; 0 if none did.
    /// Sees what is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn recorded_until(&self, visit: &VisitKey, first: u32) -> Result<Millis, JournalError>;

    /// A line's revision as it was kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn revision(&self, line: &Name, number: u64) -> Result<Option<String>, JournalError>;

    /// Keeps how a line stands, instead of what was kept of it before, and adds the record to its history
    /// in the same step. Applied in order with the appends; the future ends when it is durable.
    fn keep_line(
        &self,
        state: LineState,
        record: Option<RetoolRecord>,
    ) -> BoxFuture<'static, Result<(), JournalError>>;

    /// How each line stands of which that was kept, by name. Sees what is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn lines(&self) -> Result<Vec<LineState>, JournalError>;

    /// The history of a line, the oldest first. Sees what is durable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn retools(&self, line: &Name) -> Result<Vec<RetoolRecord>, JournalError>;

    /// After a failure: tries with a real write whether there is room again. Where there is, the store is
    /// as after being opened anew, and keeps what it is given from then on. Nobody may go on who was
    /// refused something before: what followed it would be kept without it. Of no effect on a store that
    /// did not fail.
    ///
    /// # Errors
    /// When it still cannot write.
    fn try_again(&self) -> BoxFuture<'static, Result<(), JournalError>>;

    /// The random id of this factory; it enters every item's id.
    fn factory(&self) -> [u8; 16];
}

/// Records for one item.
#[derive(Debug, Clone)]
pub struct Append {
    /// The item.
    pub item: ItemId,
    /// How many records it has to have before; otherwise the append is a [`JournalError::Conflict`].
    pub expected: Seq,
    /// What to add.
    pub records: Vec<Record>,
    /// What it tells other items.
    pub messages: Vec<Message>,
    /// Small blobs that the records name, kept in the same step.
    pub blobs: Vec<(Digest, Bytes)>,
    /// Where the item is afterwards, for listings.
    pub summary: Summary,
}

/// Which items to list. Empty lists everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this line.
    pub line: Option<Name>,
    /// Only in one of these phases, if any is named.
    pub phases: Vec<PhaseKind>,
    /// Only last at this station.
    pub station: Option<Name>,
    /// Only this tree.
    pub root: Option<ItemId>,
    /// At most so many.
    pub most: Option<usize>,
    /// Those that came last, the last one first.
    pub newest: bool,
    /// Only inputs, not what was split from them.
    pub inputs: bool,
    /// Only those whose id begins so.
    pub begins: Option<String>,
    /// Only those that come after this item where the oldest are first; none where it is not there any more.
    pub after: Option<ItemId>,
}

/// What a store could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Somebody else wrote to the item.
    #[error(
        "item `{item}` has {found} records where {expected} were expected: somebody else wrote to it"
    )]
    Conflict {
        /// The item.
        item: ItemId,
        /// As asked.
        expected: Seq,
        /// As is.
        found: Seq,
    },
    /// Another process uses the state folder.
    #[error(
        "`{0}` is in use by another andon\n  hint: wait for it, stop it, or name another folder with `--state DIR`"
    )]
    InUse(String),
    /// The folder was written by a newer andon.
    #[error(
        "`{path}` was written by a newer andon (format {found}; this one knows up to {known})\n  hint: use that andon, or another folder with `--state DIR`"
    )]
    Newer {
        /// The folder.
        path: String,
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The disk is full. What was reported as kept is kept; opened again once there is room
    /// ([`crate::disk::has_room`]), the store goes on.
    #[error(
        "cannot write to `{path}`: the disk is full\n  hint: free some space: what was reported as done is kept"
    )]
    Full {
        /// The file or folder.
        path: String,
    },
    /// It cannot be written, or may not.
    #[error("cannot write to `{path}`: {reason}\n  hint: {hint}")]
    Unwritable {
        /// The file or folder.
        path: String,
        /// What the system says.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// What is there cannot be understood.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Anything else that the store says.
    #[error("`{path}`: {reason}")]
    Other {
        /// The file.
        path: String,
        /// What it says.
        reason: String,
    },
}

impl JournalError {
    /// Whether it passes when there is room on the disk again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    fn full(path: &Path) -> Self {
        Self::Full {
            path: path.display().to_string(),
        }
    }

    /// What the system said when it was asked for `path`.
    fn io(path: &Path, error: &std::io::Error) -> Self {
        if disk::is_full(error.kind()) {
            return Self::full(path);
        }
        Self::unwritable(path, error.to_string())
    }

    fn unknown_item(item: &ItemId) -> Self {
        Self::Other {
            path: format!("item `{item}`"),
            reason: "there is no such item, so nothing is kept of it".into(),
        }
    }

    fn unwritable(path: &Path, reason: String) -> Self {
        Self::Unwritable {
            path: path.display().to_string(),
            reason,
            hint: "make it writable, or name another folder with `--state DIR`".into(),
        }
    }
}
