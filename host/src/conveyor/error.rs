//! Why a conveyor stops before its time.

use crate::{
    item::ItemId,
    journal::{Journal, JournalError},
};

/// Why a conveyor cannot go on. What was journaled stays; running again goes on from there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConveyorError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An item's records do not make sense.
    #[error("item `{item}` cannot be read back: {reason}")]
    Item {
        /// The item.
        item: ItemId,
        /// What is wrong.
        reason: String,
    },
}

impl ConveyorError {
    /// Why a journal has no messages any more: it closes for good when it could not keep something.
    pub(super) async fn of_closed(journal: &dyn Journal) -> Self {
        let cause = journal.delivered(Vec::new()).await.err();
        let other = || JournalError::Other {
            path: "journal".into(),
            reason: "it was closed while the line ran".into(),
        };
        cause.unwrap_or_else(other).into()
    }
}
