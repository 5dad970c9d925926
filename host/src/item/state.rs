//! Where an item is. Knows nothing of how it got there (`fold`) nor of what comes next (`step`).

use super::{
    Arrival, Budget, Child, ChildEnd, Course, End, Hold, ItemId, Jam, Labels, Message, Payload,
    PhaseKind, Record, Seq, Summary, Ticket,
};
use crate::{digest::Digest, name::Name, visit::Millis};
use std::collections::BTreeMap;

/// An item: the fold over its records.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// How many records led here.
    pub seq: Seq,
    /// Its line.
    pub line: Name,
    /// The line's revision.
    pub revision: u64,
    /// The input's name.
    pub source: String,
    /// What it was submitted with.
    pub ticket: Ticket,
    /// When it was taken.
    pub taken: Millis,
    /// When it last changed.
    pub changed: Millis,
    /// What labels of outputs are merged over: those of the input; after a join those that the item
    /// had before its split.
    pub labels: Labels,
    /// What it carries: one payload, or all that a join collected.
    pub inputs: Vec<Payload>,
    /// The workspaces of a join's inputs, by their position.
    pub joined: Vec<Option<Digest>>,
    /// Its workspace as the last station left it.
    pub workspace: Option<Digest>,
    /// How often it, or its ancestors before it, was at each station.
    pub visits: BTreeMap<Name, u32>,
    /// The stations at which its ancestors were split, the oldest first.
    pub lineage: Vec<Name>,
    /// The highest number that a child of it has.
    pub children: u32,
    /// How many descendants it may still have; none where nobody has said so yet.
    pub budget: Option<Budget>,
    /// The station that it was at last.
    pub last: Option<Name>,
    /// The splits that it went on from without some children; what those bring is dropped.
    pub late: Vec<Split>,
    /// What its children brought for joins of its ancestors; passed up when it ends.
    pub carried: Vec<Arrival>,
    /// Where it is.
    pub phase: Phase,
}

/// The phases of an item's life.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Waits for a worker.
    Ready {
        /// At this station.
        station: Name,
        /// The how manieth visit it will be, from 1.
        nth: u32,
        /// The how manieth attempt, from 1.
        attempt: u32,
        /// Not before this time.
        not_before: Option<Millis>,
        /// What the visit has been through.
        course: Course,
    },
    /// Is at a station.
    Working {
        /// Which.
        station: Name,
        /// The how manieth visit, from 1.
        nth: u32,
        /// The how manieth attempt, from 1.
        attempt: u32,
        /// What the visit has been through.
        course: Course,
    },
    /// Waits for a person's answer.
    Held {
        /// At this station.
        station: Name,
        /// The how manieth visit, from 1.
        nth: u32,
        /// The how manieth attempt, from 1.
        attempt: u32,
        /// What the visit has been through.
        course: Course,
        /// What is asked.
        hold: Hold,
    },
    /// Waits for its children.
    Split(Split),
    /// Waits for a person to clear it.
    Jammed {
        /// The station at which it jammed.
        station: Name,
        /// The how manieth visit, from 1.
        nth: u32,
        /// The attempt that led to it.
        attempt: u32,
        /// What the visit has been through.
        course: Course,
        /// Why.
        jam: Jam,
        /// Of an item whose children are missing: what it waits for; they still count.
        split: Option<Box<Split>>,
    },
    /// Nothing more will happen to it.
    Ended {
        /// How it ended.
        end: End,
        /// What arrived on `done`.
        result: Option<Payload>,
        /// The port that it left its last station by.
        port: Option<Name>,
        /// What it, or its children, brought to joins of its ancestors.
        arrivals: Vec<Arrival>,
    },
}

/// An item's split, while it waits for the children.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The station that split it.
    pub station: Name,
    /// The how manieth visit there it was.
    pub nth: u32,
    /// When.
    pub since: Millis,
    /// The children that have not ended, by their numbers.
    pub children: BTreeMap<u32, Child>,
    /// What the others brought, as it came in.
    pub arrivals: Vec<Arrival>,
    /// Until when it waits.
    pub until: Option<Millis>,
    /// The join that collects the children.
    pub join: Option<Name>,
    /// What that join was called before a retool: children that left before it still say so.
    pub was: Vec<Name>,
    /// The workspace that every child starts with.
    pub workspace: Option<Digest>,
    /// How often the item had been at each station.
    pub visits: BTreeMap<Name, u32>,
    /// How many descendants each child may have.
    pub each: Option<Budget>,
}

impl Split {
    /// Whether anything has arrived at its own join.
    pub fn has_arrivals(&self) -> bool {
        self.arrivals.iter().any(|arrival| self.takes(arrival))
    }

    /// Whether this is for its own join, and not for one of an ancestor.
    pub fn takes(&self, arrival: &Arrival) -> bool {
        self.join.as_ref() == Some(&arrival.join) || self.was.contains(&arrival.join)
    }
}

/// What a state calls for. Recovery carries it out, as does running; in both, [`Item::spawns`] is
/// sent as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wants {
    /// An attempt at a station.
    Visit {
        /// Which.
        station: Name,
        /// The how manieth visit.
        nth: u32,
        /// The how manieth attempt.
        attempt: u32,
        /// Not before this time.
        not_before: Option<Millis>,
    },
    /// An attempt is under way. If it is not in this process, the host has ended during it, and
    /// [`super::Event::Interrupted`] is due.
    Outcome {
        /// Where.
        station: Name,
        /// The how manieth visit.
        nth: u32,
        /// The how manieth attempt.
        attempt: u32,
    },
    /// The ends of its children, and [`super::Event::Due`] when the time is over.
    Children {
        /// Until when.
        until: Option<Millis>,
    },
    /// A person's answer, and [`super::Event::Due`] when the time is over.
    Answer {
        /// Until when.
        until: Option<Millis>,
    },
    /// A person.
    Clearing,
    /// Nothing: it has ended.
    Nothing,
}

impl Item {
    /// What it brought to `done`.
    pub fn result(&self) -> Option<&Payload> {
        match &self.phase {
            Phase::Ended { result, .. } => result.as_ref(),
            _ => None,
        }
    }

    /// What the item's state calls for.
    pub fn wants(&self) -> Wants {
        match &self.phase {
            Phase::Ready {
                station,
                nth,
                attempt,
                not_before,
                ..
            } => Wants::Visit {
                station: station.clone(),
                nth: *nth,
                attempt: *attempt,
                not_before: *not_before,
            },
            Phase::Working {
                station,
                nth,
                attempt,
                ..
            } => Wants::Outcome {
                station: station.clone(),
                nth: *nth,
                attempt: *attempt,
            },
            Phase::Split(split) => Wants::Children { until: split.until },
            Phase::Held { hold, .. } => Wants::Answer { until: hold.until },
            Phase::Jammed { .. } => Wants::Clearing,
            Phase::Ended { .. } => Wants::Nothing,
        }
    }

    /// The children that have not ended, as messages that make them: sent again after a restart,
    /// since it is not known which of them got theirs.
    pub fn spawns(&self) -> Vec<Message> {
        self.late
            .iter()
            .chain(self.split())
            .flat_map(|split| self.spawns_of(split))
            .collect()
    }

    /// The messages that make the children of one split.
    pub(super) fn spawns_of<'a>(&'a self, split: &'a Split) -> impl Iterator<Item = Message> + 'a {
        let mut lineage = self.lineage.clone();
        lineage.push(split.station.clone());
        split.children.values().filter_map(move |child| {
            Some(Message::Spawn {
                child: self.id.child(child.n)?,
                taken: Box::new(Record::Taken {
                    at: split.since,
                    line: self.line.clone(),
                    revision: self.revision,
                    source: self.source.clone(),
                    to: child.to.clone(),
                    payload: child.payload.clone(),
                    workspace: split.workspace,
                    lineage: lineage.clone(),
                    visits: split.visits.clone(),
                    budget: split.each,
                    ticket: self.ticket.clone(),
                }),
            })
        })
    }

    /// The split whose children it waits for.
    pub fn split(&self) -> Option<&Split> {
        match &self.phase {
            Phase::Split(split) => Some(split),
            Phase::Jammed { split, .. } => split.as_deref(),
            _ => None,
        }
    }

    /// What an item that has ended tells its parent. Sent again when the parent asks by spawning it
    /// once more. None of an item that has not ended, or has no parent.
    pub fn farewell(&self) -> Option<Message> {
        let Phase::Ended { end, arrivals, .. } = &self.phase else {
            return None;
        };
        let (parent, child) = self.id.parent()?;
        Some(Message::ChildEnded {
            parent,
            child,
            end: ChildEnd {
                end: *end,
                arrivals: arrivals.clone(),
                unused: self.budget.map_or(0, |budget| budget.left),
            },
        })
    }

    /// The visits that it, and its ancestors before it, had so far, at all stations together.
    pub fn all_visits(&self) -> u64 {
        self.visits.values().map(|&times| u64::from(times)).sum()
    }

    /// The station it is at; none of an item that waits for its children or has ended.
    pub fn station(&self) -> Option<&Name> {
        match &self.phase {
            Phase::Ready { station, .. }
            | Phase::Working { station, .. }
            | Phase::Held { station, .. }
            | Phase::Jammed { station, .. } => Some(station),
            Phase::Split(_) | Phase::Ended { .. } => None,
        }
    }

    /// The station it is at, the how manieth visit there, and the how manieth attempt.
    pub fn attempt(&self) -> Option<(&Name, u32, u32)> {
        match &self.phase {
            Phase::Ready {
                station,
                nth,
                attempt,
                ..
            }
            | Phase::Working {
                station,
                nth,
                attempt,
                ..
            }
            | Phase::Held {
                station,
                nth,
                attempt,
                ..
            }
            | Phase::Jammed {
                station,
                nth,
                attempt,
                ..
            } => Some((station, *nth, *attempt)),
            Phase::Split(_) | Phase::Ended { .. } => None,
        }
    }

    /// The revision on which an attempt began that is not over.
    pub fn began(&self) -> Option<u64> {
        match &self.phase {
            Phase::Ready { course, .. }
            | Phase::Working { course, .. }
            | Phase::Held { course, .. } => course.began.map(|began| began.revision),
            Phase::Split(_) | Phase::Jammed { .. } | Phase::Ended { .. } => None,
        }
    }

    /// The time that it waits for: of its next attempt, of the end of a join's patience, of an answer.
    pub fn due(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Ready { not_before, .. } => *not_before,
            Phase::Split(split) => split.until,
            Phase::Held { hold, .. } => hold.until,
            _ => None,
        }
    }

    /// What an answer is given for; none where it is not held.
    pub fn asks(&self) -> Option<Digest> {
        match &self.phase {
            Phase::Held { hold, .. } => Some(hold.payload),
            _ => None,
        }
    }

    /// The digest of what it carries, and of the question that it is asked now: the same answer, sent once
    /// more, does not answer the next question.
    pub fn asked(&self, at: Millis) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("andon 2026 what an answer is for");
        hasher.update(self.carries().as_bytes());
        hasher.update(&at.to_le_bytes());
        // Several may be asked at the same time: each of them is a record of its own.
        hasher.update(&self.seq.to_le_bytes());
        Digest::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The digest of all that it carries: payloads with their labels, and its workspace.
    pub fn carries(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("andon 2026 what an item carries");
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        // every list begins with its length, and every body with its kind: no two things read the same
        part(&(self.inputs.len() as u64).to_le_bytes());
        for payload in &self.inputs {
            part(payload.content_type.as_bytes());
            match &payload.body {
                super::Body::Inline(bytes) => {
                    part(b"bytes");
                    part(Digest::of(bytes).as_bytes());
                }
                super::Body::Stored { digest, .. } => {
                    part(b"bytes");
                    part(digest.as_bytes());
                }
                super::Body::File(path) => {
                    part(b"file");
                    part(path.as_bytes());
                }
            }
            part(&(payload.labels.iter().count() as u64).to_le_bytes());
            for (name, value) in payload.labels.iter() {
                part(name.as_bytes());
                part(value.as_bytes());
            }
        }
        for workspace in [&self.workspace].into_iter().chain(&self.joined) {
            part(
                workspace
                    .as_ref()
                    .map_or(&[][..], |digest| digest.as_bytes()),
            );
        }
        Digest::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The phase as listings name it.
    pub fn kind(&self) -> PhaseKind {
        match &self.phase {
            Phase::Ready { .. } => PhaseKind::Waiting,
            Phase::Working { .. } => PhaseKind::Working,
            Phase::Split(_) => PhaseKind::Split,
            Phase::Held { .. } => PhaseKind::Held,
            Phase::Jammed { .. } => PhaseKind::Jammed,
            Phase::Ended { end, .. } => match end {
                End::Done => PhaseKind::Done,
                End::Scrapped => PhaseKind::Scrapped,
                End::Joined => PhaseKind::Joined,
            },
        }
    }

    /// What listings show of it.
    pub fn summary(&self) -> Summary {
        let reason = match &self.phase {
            Phase::Jammed { jam, .. } => Some(shortened(jam.to_string())),
            Phase::Held { hold, .. } => Some(shortened(hold.question.prompt.clone())),
            _ => None,
        };
        Summary {
            item: self.id.clone(),
            line: self.line.clone(),
            revision: self.revision,
            source: self.source.clone(),
            phase: self.kind(),
            station: self.station().or(self.last.as_ref()).cloned(),
            result: matches!(
                &self.phase,
                Phase::Ended {
                    result: Some(_),
                    ..
                }
            ),
            reason,
            priority: self.ticket.priority,
            due: self.due(),
            // Of those before revisions were recorded it is not known.
            began: self.began().filter(|revision| *revision > 0),
            taken: self.taken,
            changed: self.changed,
        }
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > Summary::REASON {
        text.truncate(text.floor_char_boundary(Summary::REASON - '…'.len_utf8()));
        text.push('…');
    }
    text
}
