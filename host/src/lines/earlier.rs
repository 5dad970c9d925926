//! What an item carried when it came to a station: where it is run again from.

use crate::{
    digest::Digest,
    item::{FoldError, Item, ItemId, Payload, Phase, Record},
    name::Name,
};

/// What an item brought to a station.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Brought {
    /// One payload, or all that a join collected.
    pub(super) inputs: Vec<Payload>,
    /// Its workspace.
    pub(super) workspace: Option<Digest>,
    /// Whether it came with workspaces of a join's inputs.
    pub(super) joined: bool,
}

/// What the item brought to `station` when it last came there; none where it never did.
pub(super) fn brought_to(
    id: &ItemId,
    records: &[Record],
    station: &Name,
) -> Result<Option<Brought>, FoldError> {
    let Some((first, rest)) = records.split_first() else {
        return Ok(None);
    };
    let Some(mut item) = Item::fold(id.clone(), std::slice::from_ref(first))? else {
        return Ok(None);
    };
    let mut found = None;
    let mut seen = None;
    for record in [None].into_iter().chain(rest.iter().map(Some)) {
        if let Some(record) = record {
            item.apply(record)?;
        }
        let Phase::Ready {
            station: at, nth, ..
        } = &item.phase
        else {
            continue;
        };
        // The first record that has it wait for this visit; an edit later is none of what it brought.
        if at != station || seen == Some(*nth) {
            continue;
        }
        seen = Some(*nth);
        found = Some(Brought {
            inputs: item.inputs.clone(),
            workspace: item.workspace,
            joined: item.joined.iter().any(Option::is_some),
        });
    }
    Ok(found)
}
