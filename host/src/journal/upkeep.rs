//! What housekeeping asks of a store: to go through all that is kept, and to let go of what is no
//! longer needed. Decides nothing about what that is: `housekeeping` does.

use super::{JournalError, Seq, Summary};
use crate::{
    digest::Digest,
    item::{ItemId, Record},
    name::Name,
    visit::Millis,
};
use futures::future::BoxFuture;
use std::path::Path;

/// Upkeep of a store. Whatever changes something is applied in order with the appends, and its future
/// ends when it is durable.
pub trait Upkeep {
    /// The items after a position (0 for the first), in the order in which they came to be, at most
    /// `most`. A row that makes no sense does not hide the others.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn page(&self, after: u64, most: usize) -> Result<Vec<Listed>, JournalError>;

    /// The lines that have items or revisions.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn line_names(&self) -> Result<Vec<Name>, JournalError>;

    /// Inputs of a line whose trees may go, those that ended first, after `after`, at most `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn retired(
        &self,
        line: &Name,
        which: &Retired,
        after: Option<&(Millis, ItemId)>,
        most: usize,
    ) -> Result<Vec<(Millis, ItemId)>, JournalError>;

    /// When the input of a line ended that has `newer` ended ones behind it, if there are so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn ended_before_newest(&self, line: &Name, newer: u64) -> Result<Option<Millis>, JournalError>;

    /// Removes items of these trees with all that is kept of them, at most `most` of them, the inputs
    /// last: how many. A tree that may not go any more is passed over. The input stays known:
    /// [`super::Journal::knows`] it, since `at`.
    fn forget(
        &self,
        trees: Vec<ItemId>,
        which: Retired,
        at: Millis,
        most: usize,
    ) -> BoxFuture<'static, Result<u64, JournalError>>;

    /// When an input was forgotten.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn forgotten(&self, item: &ItemId) -> Result<Option<Millis>, JournalError>;

    /// Lets inputs that were forgotten before `before` be taken anew, at most `most` of them: how many.
    fn lapse(&self, before: Millis, most: usize) -> BoxFuture<'static, Result<u64, JournalError>>;

    /// The digests of the blobs in the store's own table, after one, in their order, at most `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn small_blobs(&self, after: Option<&Digest>, most: usize)
    -> Result<Vec<Digest>, JournalError>;

    /// Longer bodies that effects keep in the content store, with their items, after a position (0 for the
    /// first), at most `most`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn effect_bodies(
        &self,
        after: u64,
        most: usize,
    ) -> Result<Vec<(u64, ItemId, Digest)>, JournalError>;

    /// A mark: blobs that appends hand over from now on, again or for the first time, are newer.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn blobs_so_far(&self) -> Result<u64, JournalError>;

    /// Removes blobs of the store's own table that are older than a mark: how many.
    fn drop_blobs(
        &self,
        digests: Vec<Digest>,
        mark: u64,
    ) -> BoxFuture<'static, Result<u64, JournalError>>;

    /// Replaces an item's records by others of the same number, and adds what is more; removes its
    /// effects, what the audit says of the item beside its headings, and why deliveries failed. In one
    /// step.
    fn rewrite(&self, rewritten: Rewritten) -> BoxFuture<'static, Result<(), JournalError>>;

    /// Lists an item as its records say.
    fn relist(&self, summary: Summary) -> BoxFuture<'static, Result<(), JournalError>>;

    /// What is wrong with the store itself, as it says; empty where it is well. Reads all of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn integrity(&self) -> Result<Vec<String>, JournalError>;

    /// Writes a copy to a file that there is not, as the store is at one moment, while others go on.
    ///
    /// # Errors
    /// When the store cannot be read, or the copy not be written.
    fn copy_to(&self, file: &Path) -> Result<(), JournalError>;

    /// How often the store was restored from a copy.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn epoch(&self) -> Result<u64, JournalError>;

    /// Begins the next epoch: its number.
    fn next_epoch(&self) -> BoxFuture<'static, Result<u64, JournalError>>;
}

/// An item as it is listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Where it stands among all items.
    pub position: u64,
    /// The item.
    pub item: Result<ItemId, JournalError>,
    /// What the listing shows of it.
    pub summary: Result<Summary, JournalError>,
}

/// Which trees may go: those of which every item has ended, by `ended`; and of which every result was
/// delivered, or has not been asked for since `unfetched`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// The latest end.
    pub ended: Millis,
    /// The latest end of a result that nobody fetched; none where such results stay.
    pub unfetched: Option<Millis>,
}

/// An item's records with something taken out of them.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The item.
    pub item: ItemId,
    /// How many records it has; otherwise this is a [`JournalError::Conflict`].
    pub expected: Seq,
    /// All of them, and what is added.
    pub records: Vec<Record>,
    /// How it is listed with them.
    pub summary: Summary,
}
