//! What the audit hears from the conveyor: the file calls that visits were denied,
//! and the limits that they ran into. What is asked of the network
//! is noted where it is decided, while the visit runs.

use super::Revised;
use crate::{
    audit::{Deed, Entry},
    item::{Destination, Event, Item, Jam, Phase, Record},
    limits::Limit,
    name::Name,
    visit::{DeniedFile, Millis, Outcome, Report},
};

/// An attempt that is about to end: whose it is, what it was denied, and what it ran into.
pub(super) struct Attempt {
    station: Name,
    denied: Vec<DeniedFile>,
    denied_more: u64,
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
            denied: report.denied.clone(),
            denied_more: report.denied_more,
            over: over(report),
        })
    }

    /// What is to be noted of it, now that it led to these records.
    pub(super) fn entries(
        self,
        revised: &Revised,
        item: &Item,
        records: &[Record],
        at: Millis,
    ) -> Vec<Entry> {
        let component = revised.components.get(&self.station).copied();
        let denied = |deed, what, rule, why: String| Entry {
            at,
            deed,
            allowed: false,
            line: item.line.clone(),
            revision: revised.number,
            component,
            station: self.station.clone(),
            item: Some(item.id.clone()),
            what,
            rule,
            why: Some(why),
        };
        let mut entries: Vec<Entry> = (self.denied.into_iter())
            .map(|file| denied(Deed::File, file.what, None, file.why))
            .collect();
        if self.denied_more > 0 {
            let what = format!("{} more file calls", self.denied_more);
            let why = "only the first ones of an attempt are noted".into();
            entries.push(denied(Deed::File, what, None, why));
        }
        let over = self.over.or_else(|| records.iter().find_map(jammed_over));
        entries.extend(over.map(|(limit, value)| {
            let key = limit.key();
            let rule = Some(format!("limits.{key}"));
            let why = "the visit ran into the limit".into();
            denied(Deed::Limit, format!("{key} {value}"), rule, why)
        }));
        entries
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
