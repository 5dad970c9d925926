//! Erasing a tree: what its items carried, logged and left behind, for good; and where else that is.

use super::HousekeepingError;
use crate::{
    item::{self, Item, ItemId, NotErased, Record, Summary},
    journal::{Filter, Rewritten},
    lines::State,
    visit::Millis,
};
use futures::executor::block_on;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The inputs, each with its tree.
    pub roots: Vec<ItemId>,
    /// How many items of their trees were erased now; some may have been before.
    pub items: u64,
    /// Inputs that carry the same and were not erased: they run one of these again, or one of these runs
    /// them again.
    pub left: Vec<ItemId>,
}

/// An order to erase.
#[derive(Debug, Clone, Copy)]
pub struct Erase<'a> {
    /// The item; its whole tree is erased.
    pub item: &'a ItemId,
    /// Also all that ran it again and that it ran again, and those that did so with them.
    pub reruns: bool,
    /// When.
    pub at: Millis,
    /// Who does it.
    pub by: &'a str,
    /// Why.
    pub why: &'a str,
}

/// Takes payloads, labels, logs, workspaces and what stations and their calls said out of the records of
/// the whole tree that the item belongs to, and out of the audit, of which the headings stay. Its results
/// count as delivered. Blobs that nothing else names go with the next collection.
///
/// # Errors
/// When a tree has not ended, then nothing is erased; when all were erased before; when the journal
/// cannot be written. What was erased by then is erased, and doing it again does the rest.
pub fn erase(state: &State, order: Erase<'_>) -> Result<Erased, HousekeepingError> {
    let root = order.item.root();
    let others = of_the_same(state, &root)?;
    let mut left = Vec::new();
    let mut trees = vec![tree(state, &root)?];
    for other in others {
        match order.reruns {
            true => trees.push(tree(state, &other)?),
            false => left.push(other),
        }
    }
    let mut items = 0;
    for tree in &trees {
        for summary in tree {
            items += u64::from(erase_one(state, &summary.item, &order)?);
        }
        let all = tree.iter().map(|summary| summary.item.clone()).collect();
        block_on(state.journal.delivered(all))?;
    }
    if items == 0 {
        return Err(NotErased::Again { item: root }.into());
    }
    let roots = trees
        .iter()
        .filter_map(|tree| Some(tree.first()?.item.root()));
    Ok(Erased {
        roots: roots.collect(),
        items,
        left,
    })
}

/// A whole tree, which has ended.
fn tree(state: &State, root: &ItemId) -> Result<Vec<Summary>, HousekeepingError> {
    let tree = state.journal.list(&Filter {
        root: Some(root.clone()),
        ..Filter::default()
    })?;
    if tree.is_empty() {
        return Err(HousekeepingError::NoItem(root.clone()));
    }
    match tree.iter().find(|summary| !summary.phase.ended()) {
        Some(unfinished) => Err(NotErased::Unfinished {
            item: unfinished.item.clone(),
            phase: unfinished.phase,
        }
        .into()),
        None => Ok(tree),
    }
}

/// Whether it was not erased before.
fn erase_one(state: &State, id: &ItemId, order: &Erase<'_>) -> Result<bool, HousekeepingError> {
    let records = state.journal.load(id)?;
    let Some(item) = Item::fold(id.clone(), &records)? else {
        return Ok(false);
    };
    let erased = match item::erased(&item, &records, order.at, order.by, order.why) {
        Ok(erased) => erased,
        Err(NotErased::Again { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let Some(after) = Item::fold(id.clone(), &erased)? else {
        return Ok(false);
    };
    block_on(state.journal.rewrite(Rewritten {
        item: id.clone(),
        expected: item.seq,
        records: erased,
        summary: after.summary(),
    }))?;
    Ok(true)
}

/// How many items are read at a time.
const PAGE: usize = 512;

/// The other inputs that run a tree again or that it runs again, however often, and that are not erased
/// yet.
fn of_the_same(state: &State, root: &ItemId) -> Result<Vec<ItemId>, HousekeepingError> {
    let mut linked: BTreeMap<ItemId, BTreeSet<ItemId>> = BTreeMap::new();
    let (mut inputs, mut erased) = (BTreeSet::new(), BTreeSet::new());
    let mut after = 0;
    loop {
        let page = state.journal.page(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        let ids = page.into_iter().filter_map(|listed| listed.item.ok());
        for input in ids.filter(|item| item.parent().is_none()) {
            let records = state.journal.load(&input)?;
            if let Some(Record::Taken { ticket, .. }) = records.first()
                && let Some(before) = &ticket.rerun
            {
                let before = before.root();
                linked
                    .entry(input.clone())
                    .or_default()
                    .insert(before.clone());
                linked.entry(before).or_default().insert(input.clone());
            }
            if matches!(records.last(), Some(Record::Erased { .. })) {
                erased.insert(input.clone());
            }
            inputs.insert(input);
        }
    }
    let mut found = BTreeSet::from([root.clone()]);
    let mut open = vec![root.clone()];
    while let Some(next) = open.pop() {
        for other in linked.remove(&next).unwrap_or_default() {
            if found.insert(other.clone()) {
                open.push(other);
            }
        }
    }
    // Of one that was let go of, nothing is left.
    found.retain(|other| other != root && inputs.contains(other) && !erased.contains(other));
    Ok(found.into_iter().collect())
}
