//! The scripted runner: what a visit comes to is a pure function of the visit, and when it ends is for the
//! history to say.

use crate::{
    dice::{Dice, number},
    disk::locked,
    model::Model,
};
use andon::{
    item::{Body, ItemId, Labels, Payload},
    limits::Limit,
    name::Name,
    sandbox::Runner,
    visit::{Outcome, Output, Question, Report, Violation, Visit},
};
use bytes::Bytes;
use futures::{FutureExt, channel::oneshot, future::BoxFuture};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// The visits under way, each with how it is told to end.
type Visits = Arc<Mutex<Vec<(ItemId, oneshot::Sender<()>)>>>;

/// Runs visits when it is told to.
pub(crate) struct Script {
    seed: u64,
    model: Arc<Mutex<Model>>,
    under: Visits,
}

impl Script {
    pub(crate) fn new(seed: u64, model: Arc<Mutex<Model>>) -> Self {
        Self {
            seed,
            model,
            under: Arc::default(),
        }
    }

    /// How many visits are under way.
    pub(crate) fn under_way(&self) -> usize {
        locked(&self.under).len()
    }

    /// Lets one of them end.
    pub(crate) fn end(&self, which: usize) {
        let mut under = locked(&self.under);
        if !under.is_empty() {
            let which = which % under.len();
            let (_, end) = under.remove(which);
            let _ = end.send(());
        }
    }
}

/// A visit that is under way until this is dropped.
struct UnderWay {
    item: ItemId,
    model: Arc<Mutex<Model>>,
    under: Visits,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.under).retain(|(item, _)| *item != self.item);
        locked(&self.model).left(&self.item);
    }
}

impl Runner for Script {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        locked(&self.model).visited(&visit);
        let (end, ended) = oneshot::channel();
        let under_way = UnderWay {
            item: visit.item.clone(),
            model: self.model.clone(),
            under: self.under.clone(),
        };
        locked(&self.under).push((visit.item.clone(), end));
        let ports = {
            let model = locked(&self.model);
            let revised = model.revisions.get(&visit.revision);
            let station = revised.and_then(|revised| revised.line.stations.get(&visit.station));
            let wired = station.into_iter().flat_map(|station| station.next.keys());
            let wired = wired.filter(|port| **port != *Name::REJECT && **port != *Name::EXHAUSTED);
            wired.cloned().collect::<Vec<Name>>()
        };
        let outcome = outcome(self.seed, &visit, &ports);
        async move {
            let _under_way = under_way;
            let _ = ended.await;
            Report::of(outcome)
        }
        .boxed()
    }

    fn parted(&self, item: &ItemId) {
        locked(&self.model).parted(item);
    }
}

pub(crate) fn payload(text: String) -> Payload {
    Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(Bytes::from(text)),
        labels: Labels::default(),
    }
}

/// What a visit comes to.
fn outcome(seed: u64, visit: &Visit, ports: &[Name]) -> Outcome {
    let mut dice = Dice::of(&[
        seed,
        number(visit.item.as_str()),
        number(&visit.station),
        u64::from(visit.nth),
        u64::from(visit.attempt),
    ]);
    let outputs = |ports: Vec<Name>| {
        let outputs = ports.into_iter().enumerate().map(|(n, port)| Output {
            port,
            payload: payload(format!("{} {} {n}", visit.item, visit.station)),
        });
        Outcome::Passed(outputs.collect())
    };
    let pass = || vec![Name::PASS.parse().expect("a name")];
    let kind = dice.below(100);
    let one = |dice: &mut Dice| match ports.len() {
        0 => pass(),
        number => vec![ports[dice.below(number)].clone()],
    };
    match kind {
        0..45 => outputs(pass()),
        45..60 => outputs(one(&mut dice)),
        // splits nest no deeper than this, so that a history has an end
        60..76 if visit.item.path().count() < 2 => {
            let width = 2 + dice.below(2);
            outputs((0..width).flat_map(|_| one(&mut dice)).collect())
        }
        60..79 => outputs(one(&mut dice)),
        79..82 => outputs(Vec::new()),
        82..88 => Outcome::Retry {
            reason: "not yet".into(),
            after: dice
                .chance(30)
                .then(|| Duration::from_millis(dice.next() % 200)),
        },
        88..91 => Outcome::Trapped("unreachable".into()),
        91..93 => Outcome::Rejected("not for me".into()),
        93..97 if visit.answers.len() <= dice.below(2) => Outcome::Asked(Question {
            id: "q".into(),
            prompt: "well?".into(),
            choices: vec!["pass".into(), "other".into()],
            free_text: dice.chance(50),
        }),
        93..97 => outputs(one(&mut dice)),
        97 => Outcome::Overrun {
            limit: Limit::Wall,
            value: "30s".into(),
        },
        98 if visit.run.number == 1 => Outcome::Recalled("another revision".into()),
        98 => Outcome::Invalid("nonsense".into()),
        _ => Outcome::Violation(Violation {
            what: "GET https://example.com/".into(),
            why: "nothing grants it".into(),
            hint: "grant it".into(),
        }),
    }
}
