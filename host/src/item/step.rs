//! What an event leads to: the records to keep, and from them the messages to other items. Pure: the
//! time comes in with the event, and jitter is a hash of the attempt.

mod clear;
mod hold;
mod outcome;

use super::{
    Arrival, ChildEnd, Clearing, Destination, Item, ItemId, Jam, Message, Payload, Phase,
    PhaseKind, Record, Split, Ticket, route::Traveller,
};
use crate::{
    digest::Digest,
    limits::Limit,
    line::{Line, Missing, Station, Target},
    name::Name,
    visit::{Millis, Report},
};
use std::collections::BTreeMap;

/// Something that happens to an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker takes it: the attempt begins on this revision of the line, or the item jams because it
    /// had its visits or is late. Where the line asks, it is held.
    Start {
        /// The revision.
        revision: u64,
    },
    /// The attempt ended.
    Reported(Report),
    /// A time that it waited for may have come. Of no effect if not, so it may be sent freely.
    Due,
    /// A child ended. Of no effect if that is known, or if there is no such child.
    ChildEnded {
        /// The child's number.
        child: u32,
        /// How it ended.
        end: ChildEnd,
    },
    /// The attempt ended with its host; found when a host starts again.
    Interrupted {
        /// Whether the host ended the attempt itself, so that the visit cannot be the cause.
        stopped: bool,
    },
    /// Somebody answers what it is held for.
    Answered {
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// What.
        given: Given,
    },
    /// Somebody takes it from the line, wherever it is. What its children do is for whoever cancels to
    /// say to each of them.
    Cancelled {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A retool took its station away; or, where it waits for its children, the join that collects them.
    Relocated {
        /// Where it goes, or what the join is called now; jams where there is nothing to go to.
        to: Option<Name>,
    },
    /// A person clears its jam.
    Cleared {
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// How.
        how: Clear,
    },
}

/// What somebody answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// One of the choices; empty where only text is given.
    pub choice: String,
    /// Free text.
    pub text: String,
    /// What the item carried when whoever answers looked at it ([`Item::carries`]); none where that was
    /// not said. Another one is refused.
    pub payload: Option<Digest>,
}

/// What an input is taken with.
#[derive(Debug, Clone)]
pub struct Taking {
    /// Its name, for people.
    pub source: String,
    /// What it carries.
    pub payload: Payload,
    /// The workspace that it starts with.
    pub workspace: Option<Digest>,
    /// Who submitted it, how urgent it is, until when.
    pub ticket: Ticket,
    /// Where it begins; none for the line's entry.
    pub from: Option<Name>,
}

impl Taking {
    /// An input of nobody in particular, to the line's entry.
    pub fn plain(source: impl Into<String>, payload: Payload) -> Self {
        Self {
            source: source.into(),
            payload,
            workspace: None,
            ticket: Ticket::default(),
            from: None,
        }
    }
}

/// How a person wants a jam cleared.
#[derive(Debug, Clone, PartialEq)]
pub enum Clear {
    /// Make the visit again, its attempts counted anew. Where children are missing: go on with what
    /// has arrived. Where a loop's bound is used up: let it in once more.
    Retry,
    /// The same with another payload.
    Edit(Payload),
    /// Leave by this port with what it came with.
    Skip(Name),
    /// End as scrapped.
    Scrap,
}

/// The event cannot be: what was asked, and what is so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refused {
    #[error("item `{item}` cannot begin an attempt: it is {phase}")]
    NotWaiting { item: ItemId, phase: PhaseKind },
    #[error("item `{item}` has no attempt that could end: it is {phase}")]
    NotWorking { item: ItemId, phase: PhaseKind },
    #[error(
        "item `{item}` is not jammed but {phase}\n  hint: `andon items --jammed` lists those that are"
    )]
    NotJammed { item: ItemId, phase: PhaseKind },
    #[error(
        "item `{item}` cannot leave `{station}` by the port `{port}`: {wired} wired\n  hint: name a wired port, or wire it in the line file"
    )]
    Unwired {
        item: ItemId,
        station: Name,
        port: Name,
        wired: String,
    },
    #[error("item `{item}` cannot leave by the port `{port}`: {jam}")]
    NoWay { item: ItemId, port: Name, jam: Jam },
    #[error(
        "item `{item}` carries {inputs} payloads, which one cannot replace\n  hint: clear it with retry, skip or scrap"
    )]
    SeveralInputs { item: ItemId, inputs: usize },
    #[error(
        "item `{item}` waits for {missing} of its children\n  hint: clear those, retry to go on with what has arrived, or scrap it"
    )]
    MissingChildren { item: ItemId, missing: usize },
    #[error(
        "nothing has arrived at the join that item `{item}` waits for\n  hint: clear its children, or scrap it"
    )]
    NothingArrived { item: ItemId },
    #[error(
        "item `{item}` is not held but {phase}\n  hint: `andon items --held` lists those that are"
    )]
    NotHeld { item: ItemId, phase: PhaseKind },
    #[error(
        "item `{item}` has changed since the answer was given\n  hint: look at it again, `andon show {item}`, and answer that"
    )]
    OtherPayload { item: ItemId },
    #[error("`{choice}` cannot be chosen for item `{item}`: {choices}")]
    NoChoice {
        item: ItemId,
        choice: String,
        choices: String,
    },
    #[error(
        "`{by}` submitted or edited item `{item}`, and the line lets somebody else answer\n  hint: ask another person to; `--by` says who you are"
    )]
    Submitter { item: ItemId, by: String },
    #[error(
        "nobody knows who submitted item `{item}`, and the line lets only somebody else answer\n  hint: `andon cancel {item}` takes it from the line; submit it again with a name"
    )]
    NoSubmitter { item: ItemId },
    #[error(
        "the time to answer for item `{item}` is over\n  hint: `andon show {item}` tells what became of it"
    )]
    Over { item: ItemId },
    #[error("item `{item}` takes a choice and no text\n  hint: say it with `--why`")]
    NoText { item: ItemId },
    #[error("`{what}` has {bytes} bytes, and {least} to {most} are allowed")]
    Words {
        what: &'static str,
        bytes: usize,
        least: usize,
        most: usize,
    },
    #[error("item `{item}` has ended: it is {phase}")]
    HasEnded { item: ItemId, phase: PhaseKind },
    #[error("the line `{line}` has no station `{station}` to send item `{item}` to")]
    NowhereTo {
        item: ItemId,
        station: Name,
        line: Name,
    },
    #[error("item `{item}` cannot be sent to another station: it is {phase}")]
    Stays { item: ItemId, phase: PhaseKind },
    #[error(
        "item `{item}` is at the station `{station}`, which the line `{line}` does not have\n  hint: retool the line to one that has it, or with `--move {station}=OTHER`; scrap ends the item"
    )]
    NoStation {
        item: ItemId,
        station: Name,
        line: Name,
    },
}

/// The first record of an input: it goes to the line's entry, or where it is run again from.
pub fn take(at: Millis, line: &Line, revision: u64, taking: Taking) -> Record {
    let Taking {
        source,
        mut payload,
        workspace,
        mut ticket,
        from,
    } = taking;
    let own = line
        .deadline
        .map(|within| at.saturating_add(outcome::millis(within)));
    ticket.deadline = [ticket.deadline, own].into_iter().flatten().min();
    let visits = BTreeMap::new();
    let traveller = Traveller {
        line,
        visits: &visits,
        lineage: &[],
    };
    normalise(&mut payload);
    let first = from.unwrap_or_else(|| line.entry.clone());
    let to = if line.stations.contains_key(&first) {
        traveller.to(&Target::Station(first), &payload.labels)
    } else {
        Destination::Nowhere(Jam::Homeless(first))
    };
    Record::Taken {
        at,
        line: line.name.clone(),
        revision,
        source,
        to,
        payload,
        workspace,
        lineage: Vec::new(),
        visits,
        budget: None,
        ticket,
    }
}

/// Labels with empty values are orders to remove; nothing is there to be removed from an input.
fn normalise(payload: &mut Payload) {
    if let Ok(labels) = super::Labels::default().merged(&payload.labels) {
        payload.labels = labels;
    }
}

/// The records that an event leads to; none where it changes nothing. They belong in one append.
///
/// # Errors
/// When the event cannot happen to the item as it is. Nothing has changed then.
pub fn step(item: &Item, line: &Line, at: Millis, event: Event) -> Result<Vec<Record>, Refused> {
    let step = Step { item, line, at };
    match event {
        Event::Start { revision } => match &item.phase {
            Phase::Ready { station, nth, .. } => step.start(station, *nth, revision),
            _ => Err(Refused::NotWaiting {
                item: item.id.clone(),
                phase: item.kind(),
            }),
        },
        Event::Reported(report) => step.reported(report),
        Event::Due => Ok(step.due()),
        Event::ChildEnded { child, end } => Ok(step.child_ended(child, end)),
        Event::Interrupted { stopped } => step.interrupted(stopped),
        Event::Answered { by, why, given } => {
            said(&by, &why)?;
            step.answered(by, why, given)
        }
        Event::Cancelled { by, why } => {
            said(&by, &why)?;
            step.cancelled(by, why)
        }
        Event::Relocated { to } => step.relocated(to),
        Event::Cleared { by, why, how } => {
            said(&by, &why)?;
            step.cleared(by, why, how)
        }
    }
}

/// The longest name of a person or program that acts on an item, in bytes.
const BY: usize = 128;
/// The longest reason that one gives, in bytes.
const WHY: usize = 4 << 10;

/// Who acts is named, and what is said is not without end: it stays with the item for ever.
fn said(by: &str, why: &str) -> Result<(), Refused> {
    bounded("by", by, 1, BY)?;
    bounded("why", why, 0, WHY)
}

fn bounded(what: &'static str, text: &str, least: usize, most: usize) -> Result<(), Refused> {
    let bytes = text.len();
    if (least..=most).contains(&bytes) {
        return Ok(());
    }
    Err(Refused::Words {
        what,
        bytes,
        least,
        most,
    })
}

/// What these records of an item, which is now as `after`, tell other items.
pub fn messages(after: &Item, records: &[Record]) -> Vec<Message> {
    let mut all = Vec::new();
    let has_split = records.iter().any(|r| matches!(r, Record::Split { .. }));
    if let (true, Some(split)) = (has_split, after.split()) {
        all.extend(after.spawns_of(split));
    }
    // a late child's end may come after the item's own, which was told when it was news
    let moved = |record: &Record| !matches!(record, Record::ChildEnded { .. });
    if records.iter().any(moved) {
        all.extend(after.farewell());
    }
    all
}

/// How often the host may end during one visit before the visit is taken to be the cause. A `kill -9` by
/// somebody looks the same from here; a host that stops in order does not count.
const INTERRUPTIONS: u32 = 3;

struct Step<'a> {
    item: &'a Item,
    line: &'a Line,
    at: Millis,
}

impl Step<'_> {
    fn station(&self, name: &Name) -> Result<&Station, Refused> {
        self.line
            .stations
            .get(name)
            .ok_or_else(|| Refused::NoStation {
                item: self.item.id.clone(),
                station: name.clone(),
                line: self.line.name.clone(),
            })
    }

    /// The start of an attempt; or a jam where the visit would be one too many. Looked at here and not
    /// on the way: whichever way an item came, round a loop or out of a join, this is where it ends.
    fn start(&self, station: &Name, nth: u32, revision: u64) -> Result<Vec<Record>, Refused> {
        let at = self.at;
        let here_now = self.station(station)?;
        let limits = &here_now.limits;
        let here = self.item.visits.get(station).copied().unwrap_or(0);
        let all = self.item.all_visits() - u64::from(here) + u64::from(nth);
        let jam = |jam| Record::Jammed {
            at,
            jam,
            facts: None,
        };
        Ok(vec![if all > limits.visits {
            jam(Jam::Overrun {
                limit: Limit::Visits,
                value: limits.written(Limit::Visits),
            })
        } else if self.late() {
            jam(Jam::Deadline)
        } else if let Some(ask) = &here_now.ask {
            self.ask(ask, &here_now.hold)
        } else {
            Record::Started { at, revision }
        }])
    }

    /// Whether the item should have been through by now.
    fn late(&self) -> bool {
        let deadline = self.item.ticket.deadline;
        deadline.is_some_and(|until| self.at >= until)
    }

    fn interrupted(&self, stopped: bool) -> Result<Vec<Record>, Refused> {
        let Phase::Working { course, .. } = &self.item.phase else {
            return Err(Refused::NotWorking {
                item: self.item.id.clone(),
                phase: self.item.kind(),
            });
        };
        let at = self.at;
        let mut records = vec![Record::Interrupted { at, stopped }];
        if !stopped && course.interruptions + 1 >= INTERRUPTIONS {
            records.push(Record::Jammed {
                at,
                jam: Jam::HostCrash,
                facts: None,
            });
        }
        Ok(records)
    }

    fn due(&self) -> Vec<Record> {
        let split = match &self.item.phase {
            Phase::Split(split) => split,
            Phase::Held { hold, .. } => return self.unanswered(hold),
            _ => return Vec::new(),
        };
        if split.until.is_none_or(|until| self.at < until) {
            return Vec::new();
        }
        let missing = split
            .join
            .as_ref()
            .and_then(|name| self.line.stations.get(name)?.join.as_ref())
            .map(|join| join.missing)
            .unwrap_or_default();
        if missing == Missing::Pass && split.has_arrivals() {
            return self.gather(self.item.clone());
        }
        // with nothing there is nothing to go on with, so `pass` jams as well
        vec![Record::Jammed {
            at: self.at,
            jam: Jam::Missing(split.children.len().try_into().unwrap_or(u32::MAX)),
            facts: None,
        }]
    }

    fn child_ended(&self, child: u32, end: ChildEnd) -> Vec<Record> {
        let waits = |split: &Split| split.children.contains_key(&child);
        let current = self.item.split().filter(|split| waits(split));
        if current.is_none() && !self.item.late.iter().any(waits) {
            return Vec::new();
        }
        let end = ChildEnd {
            arrivals: self.credible(child, end.arrivals),
            ..end
        };
        let mut records = vec![Record::ChildEnded {
            at: self.at,
            child,
            end,
        }];
        if current.is_some_and(|split| split.children.len() == 1) {
            let mut after = self.item.clone();
            if after.apply(&records[0]).is_ok() {
                records.extend(self.gather(after));
            }
        }
        records
    }

    /// Only what comes from the child or from below it: what a store delivers is not to be trusted
    /// to keep trees apart.
    fn credible(&self, child: u32, mut arrivals: Vec<Arrival>) -> Vec<Arrival> {
        let depth = self.item.id.path().count();
        arrivals.retain(|arrival| {
            arrival.item.root() == self.item.id.root()
                && arrival.item.path().take(depth).eq(self.item.id.path())
                && arrival.item.path().nth(depth) == Some(child)
        });
        arrivals
    }

    /// From a split to its join with what arrived there, or to the end.
    fn gather(&self, mut after: Item) -> Vec<Record> {
        let at = self.at;
        let join = after
            .split()
            .filter(|split| split.has_arrivals())
            .and_then(|split| split.join.clone());
        let mut records = vec![Record::Gathered { at, join }];
        if after.apply(&records[0]).is_err() {
            return records;
        }
        // labels of several inputs may differ: the bound of a join is looked at when all is there
        if let Phase::Ready { station, nth, .. } = &after.phase
            && let Some(bound) = self.line.stations.get(station).and_then(|s| s.visits)
            && *nth > bound
        {
            let exhausted = Jam::Exhausted(station.clone());
            let port: Name = Name::EXHAUSTED.parse().expect("a name");
            let step = Step {
                item: &after,
                ..*self
            };
            records.push(match step.leave_as_it_came(station, &port) {
                Ok(record) => record,
                Err(_) => Record::Jammed {
                    at,
                    jam: exhausted,
                    facts: None,
                },
            });
        }
        records
    }

    /// The record of leaving `station` by `port` with what it came with.
    fn leave_as_it_came(&self, station: &Name, port: &Name) -> Result<Record, Jam> {
        let payloads = self.item.inputs.iter().cloned();
        self.leave(
            station,
            payloads.map(|payload| (port.clone(), payload)).collect(),
            self.item.workspace,
        )
    }
}

impl Clear {
    fn clearing(&self) -> Clearing {
        match self {
            Self::Retry => Clearing::Retry,
            Self::Edit(payload) => {
                let mut payload = payload.clone();
                normalise(&mut payload);
                Clearing::Edit(payload)
            }
            Self::Skip(port) => Clearing::Skip { port: port.clone() },
            Self::Scrap => Clearing::Scrap,
        }
    }
}
