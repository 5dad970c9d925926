//! Erasing a tree: what its items carried, logged and left behind, for good.

use super::HousekeepingError;
use crate::{
    item::{self, Item, ItemId, NotErased},
    journal::{Filter, Rewritten},
    lines::State,
    visit::Millis,
};
use futures::executor::block_on;
use serde::Serialize;

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The input.
    pub root: ItemId,
    /// How many items of its tree were erased now; some may have been before.
    pub items: u64,
}

/// Takes payloads, labels, logs, workspaces and what stations and their calls said out of the records of
/// the whole tree that `item` belongs to, and out of the audit, of which the headings stay. Its results
/// count as delivered. Blobs that nothing else names go with the next collection.
///
/// # Errors
/// When the tree has not ended, or was erased before; when the journal cannot be written. What was
/// erased by then is erased, and doing it again does the rest.
pub fn erase(
    state: &State,
    item: &ItemId,
    at: Millis,
    by: &str,
    why: &str,
) -> Result<Erased, HousekeepingError> {
    let root = item.root();
    let tree = state.journal.list(&Filter {
        root: Some(root.clone()),
        ..Filter::default()
    })?;
    if tree.is_empty() {
        return Err(HousekeepingError::NoItem(root));
    }
    if let Some(unfinished) = tree.iter().find(|summary| !summary.phase.ended()) {
        return Err(NotErased::Unfinished {
            item: unfinished.item.clone(),
            phase: unfinished.phase,
        }
        .into());
    }
    let mut items = 0;
    for summary in &tree {
        let id = &summary.item;
        let records = state.journal.load(id)?;
        let Some(item) = Item::fold(id.clone(), &records)? else {
            continue;
        };
        let erased = match item::erased(&item, &records, at, by, why) {
            Ok(erased) => erased,
            Err(NotErased::Again { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let Some(after) = Item::fold(id.clone(), &erased)? else {
            continue;
        };
        block_on(state.journal.rewrite(Rewritten {
            item: id.clone(),
            expected: item.seq,
            records: erased,
            summary: after.summary(),
        }))?;
        items += 1;
    }
    if items == 0 {
        return Err(NotErased::Again { item: root }.into());
    }
    let all = tree.into_iter().map(|summary| summary.item).collect();
    block_on(state.journal.delivered(all))?;
    Ok(Erased { root, items })
}
