//! What the audit hears from the conveyor: the limits that visits ran into. What is asked of the network
//! is noted where it is decided, while the visit runs.

use super::Conveyor;
use crate::{
    audit::{Deed, Entry},
    item::{Destination, Event, Item, Jam, Phase, Record},
    limits::Limit,
    name::Name,
    visit::{Millis, Outcome, Report},
};

/// An attempt that is about to end: whose it is, and what it ran into.
pub(super) struct Attempt {
    station: Name,
    over: Option<(Limit, String)>,
}

impl Attempt {
    /// Of an item to which `event` is about to happen; none where it does not end an attempt.
    pub(super) fn ended_by(item: &Item, event: &Event) -> Option<Self> {
        let (Phase::Working { station, .. }, Event::Reported(report)) = (&item.phase, event) else {
            return None;
        };
        Some(Self {
            station: station.clone(),
            over: over(report),
        })
    }

    /// What is to be noted of it, now that it led to these records.
    pub(super) fn entries(
        self,
        conveyor: &Conveyor,
        item: &Item,
        records: &[Record],
        at: Millis,
    ) -> Vec<Entry> {
        let Self { station, over } = self;
        let over = over.or_else(|| records.iter().find_map(jammed_over));
        over.map(|(limit, value)| Entry {
            at,
            deed: Deed::Limit,
            allowed: false,
            line: item.line.clone(),
            revision: conveyor.revision,
            component: conveyor.components.get(&station).copied(),
            station,
            item: Some(item.id.clone()),
            what: format!("{} {value}", limit.key()),
            rule: Some(format!("limits.{}", limit.key())),
            why: Some("the visit ran into the limit".into()),
        })
        .into_iter()
        .collect()
    }
}

fn over(report: &Report) -> Option<(Limit, String)> {
    match &report.outcome {
        Outcome::Overrun { limit, value } => Some((*limit, value.clone())),
        _ => None,
    }
}

/// The limit that a good answer led into: there are some on what becomes of an item.
fn jammed_over(record: &Record) -> Option<(Limit, String)> {
    match record {
        Record::Jammed {
            jam: Jam::Overrun { limit, value },
            ..
        }
        | Record::Moved {
            to: Destination::Nowhere(Jam::Overrun { limit, value }),
            ..
        } => Some((*limit, value.clone())),
        _ => None,
    }
}
