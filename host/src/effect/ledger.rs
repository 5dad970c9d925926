//! What is recorded of a visit's effects, and what its present run has asked for so far.

use super::{Effect, EffectKind, Ended, Intent};
use crate::{digest::Digest, visit::Run};
use std::collections::HashMap;

/// A call that a guest asks for, already permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are those of `Intent`")]
pub struct Asked {
    pub kind: EffectKind,
    pub safe: bool,
    pub digest: Digest,
    pub what: String,
    pub rule: String,
    pub idempotent: bool,
    pub resample: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is answered as it was before.
    Answer(Box<Effect>),
    /// It leaves. [`Ledger::ended`] is to be told how it ended.
    Issue(Slip),
    /// The visit ends: it does what it did not do before, and has left out what it did. The text says
    /// what.
    Diverged(String),
    /// The visit ends: nobody knows whether this was done before. The text says what.
    Unknown(String),
}

/// A call that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    /// Its number among those of the run, from 1.
    pub number: u32,
    /// What is to be kept of it before it leaves.
    pub intent: Intent,
}

/// The effects of a visit in one of its runs.
#[derive(Debug, Default)]
pub struct Ledger {
    run: Run,
    /// Of earlier runs, in their order; and whether this one was answered by it.
    past: Vec<(Effect, bool)>,
    /// How each occurrence stands that this run asked for.
    asked: HashMap<(Digest, u32), Stand>,
    issued: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    UnderWay,
    Ended(Ended),
}

impl Ledger {
    /// The ledger of a run. `past` is what is recorded of the visit, in the order of runs and numbers.
    pub fn new(run: Run, past: Vec<Effect>) -> Self {
        let earlier = past.into_iter().filter(|effect| effect.run < run.number);
        Self {
            run,
            past: earlier.map(|effect| (effect, false)).collect(),
            ..Self::default()
        }
    }

    /// Decides on a call.
    ///
    /// In the attempt that is run again, everything that ended is answered as it was. In a later attempt,
    /// what was done and is unsafe is; the rest leaves. Nothing leaves of which nobody knows whether it
    /// was done already, and nothing new that is unsafe while something else was not come to again.
    pub fn ask(&mut self, asked: Asked) -> Decision {
        let occurrence = self.occurrence(&asked);
        let slot = (asked.digest, occurrence);
        let same = |effect: &Effect| {
            effect.intent.digest == asked.digest && effect.intent.occurrence == occurrence
        };
        if let Some(at) = self.again(&asked, same) {
            let (effect, answered) = &mut self.past[at];
            *answered = true;
            let ended = effect.end.as_ref().map_or(Ended::Unknown, |end| end.ended);
            self.asked.insert(slot, Stand::Ended(ended));
            return Decision::Answer(Box::new(effect.clone()));
        }
        if !asked.safe {
            let counts = |effect: &&Effect| effect.run > self.run.accepted && same(effect);
            let before = self.past.iter().map(|(effect, _)| effect).filter(counts);
            // What was done and cannot be answered is no better than what is not known.
            let binds = |effect: &&Effect| effect.open() || (effect.done() && !asked.resample);
            let open = before.clone().find(binds);
            let here = self.asked.get(&slot) == Some(&Stand::Ended(Ended::Unknown));
            if (open.is_some() || here) && !asked.idempotent {
                let run = open.map_or(self.run.number, |effect| effect.run);
                return Decision::Unknown(format!(
                    "`{}` was sent in run {run} of the visit, and nobody knows whether it arrived",
                    asked.what
                ));
            }
            if before.count() == 0
                && !self.asked.contains_key(&slot)
                && let Some(left_out) = self.left_out()
            {
                return Decision::Diverged(format!(
                    "it asks for `{}`, which it did not do before, and has not come to `{}` of run {} again",
                    asked.what, left_out.intent.what, left_out.run
                ));
            }
        }
        self.asked.insert(slot, Stand::UnderWay);
        self.issued += 1;
        Decision::Issue(Slip {
            number: self.issued,
            intent: Intent {
                kind: asked.kind,
                safe: asked.safe,
                digest: asked.digest,
                occurrence,
                what: asked.what,
                rule: asked.rule,
                idempotent: asked.idempotent,
                resample: asked.resample,
            },
        })
    }

    /// A call that left has ended.
    pub fn ended(&mut self, intent: &Intent, ended: Ended) {
        let slot = (intent.digest, intent.occurrence);
        self.asked.insert(slot, Stand::Ended(ended));
    }

    /// What is recorded of earlier runs and this run was not answered by, nor has asked for in any other
    /// way, with what is unsafe in it.
    pub fn left_out(&self) -> Option<&Effect> {
        let missing = |(effect, answered): &&(Effect, bool)| {
            let intent = &effect.intent;
            let binds =
                (effect.done() && !intent.resample) || (effect.open() && !intent.idempotent);
            let slot = (intent.digest, intent.occurrence);
            !intent.safe
                && binds
                && effect.run > self.run.accepted
                && !answered
                && !self.asked.contains_key(&slot)
        };
        self.past.iter().find(missing).map(|(effect, _)| effect)
    }

    /// Which occurrence is asked for: the first that is neither under way nor done. What was refused, or
    /// broke off, is the same call when it is made again; connections are each their own.
    fn occurrence(&self, asked: &Asked) -> u32 {
        let free = |stand: &Stand| match stand {
            Stand::UnderWay | Stand::Ended(Ended::Done) => false,
            Stand::Ended(Ended::Refused | Ended::Unknown) => asked.kind == EffectKind::Http,
        };
        let mut occurrence = 1;
        while let Some(stand) = self.asked.get(&(asked.digest, occurrence))
            && !free(stand)
        {
            occurrence += 1;
        }
        occurrence
    }

    /// Which of the past the call is answered by.
    fn again(&self, asked: &Asked, same: impl Fn(&Effect) -> bool) -> Option<usize> {
        if asked.kind == EffectKind::Tcp {
            return None;
        }
        let usable = |(effect, answered): &(Effect, bool)| {
            let end = effect.end.as_ref();
            let told = end.is_some_and(|end| end.answer.is_some() || end.failure.is_some());
            told && !answered && same(effect)
        };
        let of_attempt = |entry: &(Effect, bool)| usable(entry) && entry.0.run >= self.run.first;
        let of_earlier = |entry: &(Effect, bool)| usable(entry) && entry.0.done();
        let first = self.past.iter().position(of_attempt);
        first.or_else(|| match asked.safe || asked.resample {
            true => None,
            false => self.past.iter().rposition(of_earlier),
        })
    }
}
