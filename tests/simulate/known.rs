//! What the model knows of one item: a fold of its own over the records, which says what cannot follow on
//! what.

use andon::{
    item::{Clearing, Destination, End, Jam, PhaseKind, Priority, Record},
    journal::Summary,
    name::Name,
    visit::Millis,
};
use std::collections::{BTreeMap, BTreeSet};

/// Where an item is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum At {
    Waits {
        not_before: Option<Millis>,
    },
    Works,
    Held {
        until: Option<Millis>,
    },
    Jammed,
    /// For these of its children.
    Split {
        until: Option<Millis>,
        waits: BTreeSet<u32>,
    },
    /// The same, jammed.
    Stuck {
        waits: BTreeSet<u32>,
    },
    Ended(End),
}

/// What the model knows of an item.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) at: At,
    pub(crate) station: Option<Name>,
    pub(crate) nth: u32,
    pub(crate) attempt: u32,
    pub(crate) priority: Priority,
    pub(crate) result: bool,
    pub(crate) visits: BTreeMap<Name, u32>,
    /// Visits beyond the bound that a person or a retool gave it, by station.
    pub(crate) extra: BTreeMap<Name, u32>,
    /// Children of whose end it has not heard, also those that it went on without.
    pub(crate) out: BTreeSet<u32>,
    /// The join of the split that it waits for, by all names that it had.
    pub(crate) joins: Vec<Name>,
    pub(crate) arrived: Vec<(Name, BTreeMap<Name, u32>)>,
    /// The revision on which the attempt began that is not over.
    pub(crate) began: Option<u64>,
    /// Attempts that are counted anew, or made anew.
    pub(crate) generation: u32,
    pub(crate) interruptions: u32,
    pub(crate) seq: u64,
    /// How many records it had when it ended.
    pub(crate) ended: u64,
    /// What people said when they acted on it.
    pub(crate) said: Vec<String>,
}

impl Known {
    pub(crate) fn taken(record: &Record) -> Result<Self, String> {
        let Record::Taken {
            to,
            visits,
            ticket,
            payload: _,
            ..
        } = record
        else {
            return Err("it does not begin with `Taken`".into());
        };
        let mut known = Self {
            at: At::Jammed,
            station: None,
            nth: 0,
            attempt: 1,
            priority: ticket.priority,
            result: false,
            visits: visits.clone(),
            extra: BTreeMap::new(),
            out: BTreeSet::new(),
            joins: Vec::new(),
            arrived: Vec::new(),
            began: None,
            generation: 0,
            interruptions: 0,
            seq: 1,
            ended: 0,
            said: Vec::new(),
        };
        known.enter(to);
        Ok(known)
    }

    fn enter(&mut self, to: &Destination) {
        self.began = None;
        self.interruptions = 0;
        match to {
            Destination::Station(station) => self.wait_at(station),
            Destination::Join(_) => self.end(End::Joined),
            Destination::Done => {
                self.result = true;
                self.end(End::Done);
            }
            Destination::Scrap => self.end(End::Scrapped),
            Destination::Nowhere(jam) => {
                if let Jam::Exhausted(station) | Jam::Homeless(station) = jam {
                    self.wait_at(station);
                }
                self.at = At::Jammed;
            }
        }
    }

    fn wait_at(&mut self, station: &Name) {
        self.station = Some(station.clone());
        self.nth = self.visits.get(station).copied().unwrap_or(0) + 1;
        self.attempt = 1;
        self.began = None;
        self.interruptions = 0;
        self.at = At::Waits { not_before: None };
    }

    fn end(&mut self, end: End) {
        self.ended = self.seq;
        self.began = None;
        self.at = At::Ended(end);
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.at, At::Ended(_))
    }

    pub(crate) fn waits_for(&self) -> &BTreeSet<u32> {
        static NOBODY: BTreeSet<u32> = BTreeSet::new();
        match &self.at {
            At::Split { waits, .. } | At::Stuck { waits } => waits,
            _ => &NOBODY,
        }
    }

    /// Somebody may let it come once more than it may.
    fn once_more(&mut self) {
        if let Some(station) = self.station.clone() {
            *self.extra.entry(station).or_default() += 1;
        }
    }

    /// Adds a record, or says why it cannot be. `cleared` where a clearing stands before it in the same
    /// append.
    pub(crate) fn add(
        &mut self,
        record: &Record,
        now: Millis,
        cleared: bool,
    ) -> Result<(), String> {
        self.seq += 1;
        let here = self.at.clone();
        let wrong = || Err(format!("`{}` where it is {here:?}", record.kind()));
        if self.has_ended() && !matches!(record, Record::ChildEnded { .. }) {
            return wrong();
        }
        match (record, &here) {
            (Record::Started { revision, .. }, At::Waits { .. }) => {
                self.began = self.began.or(Some(*revision));
                if let Some(station) = &self.station {
                    self.visits.insert(station.clone(), self.nth);
                }
                self.at = At::Works;
            }
            (Record::Interrupted { stopped, .. }, At::Works) => {
                self.interruptions += u32::from(!stopped);
                self.at = At::Waits { not_before: None };
            }
            (Record::Recalled { .. }, At::Works) => {
                // the same attempt, and perhaps on another revision
                self.generation += 1;
                self.began = None;
                self.at = At::Waits { not_before: None };
            }
            (Record::Moved { to, .. }, At::Works | At::Waits { .. }) => self.enter(to),
            (
                Record::Split {
                    children,
                    until,
                    join,
                    ..
                },
                At::Works | At::Waits { .. },
            ) => {
                let waits: BTreeSet<u32> = children.iter().map(|child| child.n).collect();
                if waits.is_empty() || waits.iter().any(|n| self.out.contains(n)) {
                    return Err(format!("it is split into {waits:?}"));
                }
                self.out.extend(&waits);
                self.joins = join.iter().cloned().collect();
                self.arrived.clear();
                self.began = None;
                self.at = At::Split {
                    until: *until,
                    waits,
                };
            }
            (Record::Finished { .. }, At::Works) => self.end(End::Done),
            (Record::Failed { again, .. }, At::Works) => {
                self.attempt += 1;
                self.began = None;
                self.at = At::Waits {
                    not_before: Some(*again),
                };
            }
            (Record::Jammed { .. }, At::Works | At::Waits { .. } | At::Held { .. }) => {
                self.at = At::Jammed;
            }
            (Record::Jammed { .. }, At::Split { waits, until }) => {
                if until.is_none_or(|until| now < until) {
                    return Err(format!("it jams for want of children before {until:?}"));
                }
                self.at = At::Stuck {
                    waits: waits.clone(),
                };
            }
            (Record::ChildEnded { child, end, .. }, _) => {
                if !self.out.remove(child) {
                    return Err(format!("it is told twice of the end of its child {child}"));
                }
                if let At::Split { waits, .. } | At::Stuck { waits } = &mut self.at
                    && waits.remove(child)
                {
                    let came = end.arrivals.iter();
                    let came = came.map(|it| (it.join.clone(), it.visits.clone()));
                    self.arrived.extend(came);
                }
            }
            (Record::Gathered { join, .. }, At::Split { .. } | At::Stuck { .. }) => {
                let over = matches!(here, At::Split { until: Some(until), .. } if now >= until);
                let waits = self.waits_for();
                if !waits.is_empty() && !over && !cleared {
                    return Err(format!("it goes on without its children {waits:?}"));
                }
                match join {
                    None => self.end(End::Done),
                    Some(join) => {
                        for (at, visits) in std::mem::take(&mut self.arrived) {
                            if !self.joins.contains(&at) {
                                continue;
                            }
                            for (station, times) in visits {
                                let most = self.visits.entry(station).or_default();
                                *most = times.max(*most);
                            }
                        }
                        self.wait_at(join);
                        // where the visits of those that came go over the bound, it leaves at once
                        self.once_more();
                    }
                }
            }
            (Record::Cleared { how, why, .. }, At::Jammed | At::Stuck { .. }) => {
                self.said.push(why.clone());
                self.generation += 1;
                self.interruptions = 0;
                match (how, here) {
                    (Clearing::Scrap, _) => self.end(End::Scrapped),
                    (Clearing::Retry, At::Stuck { waits }) => {
                        self.at = At::Split { until: None, waits };
                    }
                    (_, At::Stuck { waits }) => {
                        return Err(format!("it is cleared while {waits:?} are missing"));
                    }
                    _ => {
                        self.once_more();
                        self.attempt = 1;
                        self.began = None;
                        self.at = At::Waits { not_before: None };
                    }
                }
            }
            (Record::Asked { hold, facts, .. }, At::Works | At::Waits { .. }) => {
                if facts.is_none() != matches!(self.at, At::Waits { .. }) {
                    return wrong();
                }
                if facts.is_none()
                    && let Some(station) = &self.station
                {
                    self.visits.insert(station.clone(), self.nth);
                }
                self.at = At::Held { until: hold.until };
            }
            (Record::Answered { why, answer }, At::Held { until }) => {
                let over = until.is_some_and(|until| now >= until);
                if over != answer.by.is_empty() {
                    return Err(format!(
                        "it is answered by `{}` at {now}, and waits until {until:?}",
                        answer.by
                    ));
                }
                self.said.push(why.clone());
                self.at = At::Waits { not_before: None };
            }
            (Record::Cancelled { why, .. }, _) => {
                self.said.push(why.clone());
                self.end(End::Scrapped);
            }
            (Record::Relocated { to, .. }, At::Waits { .. } | At::Held { .. } | At::Jammed) => {
                self.wait_at(to);
                self.once_more();
            }
            (Record::Relocated { to, .. }, At::Split { .. } | At::Stuck { .. }) => {
                self.joins.push(to.clone());
            }
            _ => return wrong(),
        }
        Ok(())
    }

    fn kind(&self) -> PhaseKind {
        match &self.at {
            At::Waits { .. } => PhaseKind::Waiting,
            At::Works => PhaseKind::Working,
            At::Held { .. } => PhaseKind::Held,
            At::Jammed | At::Stuck { .. } => PhaseKind::Jammed,
            At::Split { .. } => PhaseKind::Split,
            At::Ended(End::Done) => PhaseKind::Done,
            At::Ended(End::Scrapped) => PhaseKind::Scrapped,
            At::Ended(End::Joined) => PhaseKind::Joined,
        }
    }

    pub(crate) fn agrees(&self, summary: &Summary) -> Result<(), String> {
        let here = matches!(self.at, At::Waits { .. } | At::Works | At::Held { .. });
        let station = !here || self.station == summary.station;
        if self.kind() == summary.phase && station && summary.result == self.result {
            return Ok(());
        }
        Err(format!(
            "it is listed as {} at {:?} and is {:?} at {:?}",
            summary.phase, summary.station, self.at, self.station
        ))
    }
}
