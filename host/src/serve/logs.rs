//! What stations wrote to the log, as it is in the items' records: there once an attempt has ended.

use crate::{
    item::{Facts, FoldError, Item, ItemId, Record},
    journal::{Filter, Journal, JournalError},
    name::Name,
    visit::Millis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// As many items are looked at for what was logged lately.
const RECENT: usize = 1000;
/// Of so many that were taken last: one that was taken long before may well have changed since, but to
/// look at all would take ever longer.
const TAKEN: usize = 10 * RECENT;

/// A line of the log, with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Logged {
    /// When the attempt ended, in milliseconds since 1970.
    pub at: Millis,
    /// The item's line.
    pub line: Name,
    /// The item.
    pub item: ItemId,
    /// The station.
    pub station: Name,
    /// The how manieth visit, from 1.
    pub nth: u32,
    /// The how manieth attempt, from 1.
    pub attempt: u32,
    /// `trace`, `debug`, `info`, `warn`, `error`, `stdout` or `stderr`.
    pub level: String,
    /// What was written; not escaped.
    pub message: String,
    /// Names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LogError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("item `{0}` cannot be read back: {1}")]
    Item(ItemId, FoldError),
}

/// What was logged of an item, the oldest first; of its records from number `from` on.
///
/// # Errors
/// When its records do not fit one another.
pub fn logged(id: &ItemId, records: &[Record], from: usize) -> Result<Vec<Logged>, LogError> {
    let wrong = |error| LogError::Item(id.clone(), error);
    let mut found = Vec::new();
    let mut item: Option<Item> = None;
    for (number, record) in records.iter().enumerate() {
        if number >= from
            && let Some(before) = &item
            && let Some((at, facts)) = facts(record)
            && let Some((station, nth, attempt)) = before.attempt()
        {
            found.extend(facts.log.iter().map(|line| Logged {
                at,
                line: before.line.clone(),
                item: id.clone(),
                station: station.clone(),
                nth,
                attempt,
                level: line.level.clone(),
                message: line.message.clone(),
                fields: line.fields.clone(),
            }));
        }
        match &mut item {
            Some(item) => item.apply(record).map_err(wrong)?,
            None => item = Item::fold(id.clone(), std::slice::from_ref(record)).map_err(wrong)?,
        }
    }
    Ok(found)
}

/// The last `most` lines that were logged of those items that changed last, the oldest first. Items are
/// looked at only while they are among the last ten thousand that were taken.
///
/// # Errors
/// When the journal cannot be read.
pub fn recent(
    journal: &dyn Journal,
    line: Option<&Name>,
    station: Option<&Name>,
    most: usize,
) -> Result<Vec<Logged>, LogError> {
    let mut items = journal.list(&Filter {
        line: line.cloned(),
        newest: true,
        most: Some(TAKEN),
        ..Filter::default()
    })?;
    items.sort_by_key(|summary| std::cmp::Reverse(summary.changed));
    let mut found = Vec::new();
    for summary in items.into_iter().take(RECENT) {
        let records = journal.load(&summary.item)?;
        let mut lines = logged(&summary.item, &records, 0)?;
        lines.retain(|logged| station.is_none_or(|station| logged.station == *station));
        found.extend(lines);
        if found.len() >= most {
            break;
        }
    }
    found.sort_by_key(|logged| logged.at);
    Ok(found.split_off(found.len().saturating_sub(most)))
}

/// When an attempt ended, and what is known of it.
fn facts(record: &Record) -> Option<(Millis, &Facts)> {
    match record {
        Record::Moved { at, facts, .. }
        | Record::Split { at, facts, .. }
        | Record::Finished { at, facts, .. }
        | Record::Failed { at, facts, .. } => Some((*at, facts)),
        Record::Jammed { at, facts, .. } | Record::Asked { at, facts, .. } => {
            Some((*at, facts.as_ref()?))
        }
        _ => None,
    }
}
