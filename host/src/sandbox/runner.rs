//! What executes visits, as the conveyor sees it: in this process, or in one of its own.

use crate::item::ItemId;
use crate::visit::{Report, Visit};
use futures::future::BoxFuture;

/// Executes visits.
pub trait Runner: Send + Sync {
    /// Executes one attempt. The caller spawns the future; dropping it ends the visit, whose
    /// workspace is then as it was before.
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report>;

    /// The item has ended, or waits for a person: what is kept ready for its next visit may go. What is
    /// needed can be made again.
    fn parted(&self, item: &ItemId);
}
