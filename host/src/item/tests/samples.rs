//! Records for stores to keep: one of each kind, every field filled in.

use super::lines::{name, payload};
use crate::{
    digest::Digest,
    item::{
        Arrival, Asker, Budget, Child, ChildEnd, Clearing, Destination, End, Facts, Hold, ItemId,
        Jam, Priority, Record, Shares, Ticket,
    },
    limits::Limit,
    visit::{Answer, LogLine, Question, Usage},
};
use std::collections::BTreeMap;

pub(crate) fn one_of_each_kind() -> Vec<Record> {
    let facts = Facts {
        usage: Usage {
            wall_us: 7,
            cpu_us: 5,
            memory: 1 << 40,
        },
        log: vec![LogLine {
            level: "stderr".into(),
            message: "tab\tand \u{1b}[31mcolour".into(),
            fields: vec![("k".into(), "v".into())],
        }],
        reason: Some("not mine".into()),
    };
    let workspace = Some(Digest::of("files"));
    let visits = BTreeMap::from([(name("a"), 3)]);
    let mut labelled = payload("hello");
    labelled.labels.set("risk", "high").unwrap();
    let at = 1_700_000_000_000;
    let jam = Jam::Overrun {
        limit: Limit::Memory,
        value: "64MiB".into(),
    };
    vec![
        Record::Taken {
            at,
            line: name("line"),
            revision: 3,
            source: "0003-fix.patch".into(),
            to: Destination::Nowhere(jam.clone()),
            payload: labelled.clone(),
            workspace,
            lineage: vec![name("a")],
            visits: visits.clone(),
            budget: None,
            ticket: Ticket::default(),
        },
        Record::Started { at, revision: 0 },
        Record::Interrupted { at, stopped: false },
        Record::Recalled {
            at,
            why: "its grants narrow".into(),
        },
        Record::Moved {
            at,
            port: name("pass"),
            to: Destination::Join(name("j")),
            payload: labelled.clone(),
            workspace,
            facts: facts.clone(),
        },
        Record::Split {
            at,
            children: vec![Child {
                n: 1,
                port: name("leak"),
                to: Destination::Scrap,
                payload: labelled.clone(),
            }],
            workspace,
            join: Some(name("j")),
            until: Some(at + 1),
            shares: None,
            facts: facts.clone(),
        },
        Record::Finished {
            at,
            facts: facts.clone(),
        },
        Record::Failed {
            at,
            reason: "busy".into(),
            again: at + 200,
            facts: facts.clone(),
        },
        Record::Jammed {
            at,
            jam,
            facts: Some(facts),
        },
        Record::ChildEnded {
            at,
            child: 1,
            end: ChildEnd {
                end: End::Joined,
                arrivals: vec![Arrival {
                    item: ItemId::input(b"0123456789abcdef", "line", "a")
                        .child(1)
                        .unwrap(),
                    join: name("j"),
                    payload: labelled.clone(),
                    workspace,
                    visits,
                    also: Default::default(),
                }],
                unused: 0,
            },
        },
        Record::Gathered {
            at,
            join: Some(name("j")),
        },
        Record::Cleared {
            at,
            by: "ann".into(),
            why: "it is fine".into(),
            how: Clearing::Edit(labelled),
        },
        Record::Asked {
            at,
            hold: Box::new(Hold {
                question: Question {
                    id: "ship".into(),
                    prompt: "Ship it?".into(),
                    choices: vec!["yes".into(), "no".into()],
                    free_text: true,
                },
                asker: Asker::Station,
                payload: Digest::of("files"),
                until: Some(at + 1),
                otherwise: Some("no".into()),
                not_submitter: true,
            }),
            facts: None,
        },
        Record::Answered {
            answer: Answer {
                question: "ship".into(),
                choice: "yes".into(),
                text: "but slowly".into(),
                by: "ann".into(),
                at,
            },
            why: "it is fine".into(),
        },
        Record::Cancelled {
            at,
            by: "ann".into(),
            why: "not wanted".into(),
        },
        Record::Relocated { at, to: name("b") },
        Record::Erased {
            at,
            by: "ann".into(),
            why: "asked to".into(),
        },
    ]
}

/// Those of them to which facts were added later, with these: once for each time that some were added.
pub(crate) fn with_later_facts() -> Vec<Record> {
    let of = |left| Budget { left, of: 9 };
    let mut budgets = one_of_each_kind();
    budgets.retain_mut(|record| {
        match record {
            Record::Taken { budget, .. } => *budget = Some(of(3)),
            Record::Split { shares, .. } => {
                *shares = Some(Shares {
                    own: of(2),
                    each: of(1),
                });
            }
            Record::ChildEnded { end, .. } => end.unused = 1,
            _ => return false,
        }
        true
    });
    let mut tickets = one_of_each_kind();
    tickets.retain_mut(|record| {
        match record {
            Record::Taken { ticket, .. } => {
                *ticket = Ticket {
                    by: Some("ann".into()),
                    priority: Priority::High,
                    deadline: Some(9),
                    rerun: Some(ItemId::input(b"0123456789abcdef", "line", "b")),
                    ..Ticket::default()
                };
            }
            Record::Started { revision, .. } => *revision = 4,
            Record::Interrupted { stopped, .. } => *stopped = true,
            Record::Asked { facts, .. } => *facts = Some(Facts::default()),
            _ => return false,
        }
        true
    });
    budgets.into_iter().chain(tickets).collect()
}
