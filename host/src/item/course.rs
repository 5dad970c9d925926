//! What a visit has been through so far: which runs it had, on which revision its attempt began, what
//! was answered. The effect log and a resumed attempt go by it.

use crate::visit::{Answer, Millis, Run};

/// The course of a visit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    /// How often it was started, by any attempt.
    pub runs: u32,
    /// When, on which revision and with which run the attempt began that is under way or is to be gone
    /// on with; none where the next start begins a new one.
    pub began: Option<Began>,
    /// Up to which run a person accepted what was left open, by clearing a jam that told of it.
    pub accepted: u32,
    /// How often the host ended during this visit.
    pub interruptions: u32,
    /// What was answered.
    pub answers: Vec<Answer>,
}

/// The beginning of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Began {
    /// When.
    pub at: Millis,
    /// On which revision of the line; 0 in records of before that was kept.
    pub revision: u64,
    /// The number of its first run.
    pub run: u32,
}

impl Course {
    /// The most answers that a visit is given: one that goes on asking jams.
    pub const ANSWERS: usize = 64;

    /// The course after one more start.
    pub(super) fn started(&self, at: Millis, revision: u64) -> Self {
        let runs = self.runs.saturating_add(1);
        let fresh = Began {
            at,
            revision,
            run: runs,
        };
        Self {
            runs,
            began: self.began.or(Some(fresh)),
            ..self.clone()
        }
    }

    /// The next start begins a new attempt.
    pub(super) fn ended(&self) -> Self {
        Self {
            began: None,
            ..self.clone()
        }
    }

    /// A person sends the item into the visit again, who accepts what it left open or did not know of it.
    pub(super) fn cleared(&self, accepts: bool) -> Self {
        let accepted = match accepts {
            true => self.runs,
            false => self.accepted,
        };
        Self {
            accepted,
            interruptions: 0,
            ..self.ended()
        }
    }

    /// The run that is under way, for the effect log. `recorded` is when the last effect was recorded
    /// that a replay comes to, 0 if none.
    pub fn run(&self, recorded: Millis) -> Run {
        let answered = self.answers.last().map_or(0, |answer| answer.at);
        Run {
            number: self.runs,
            first: self.began.map_or(self.runs, |began| began.run),
            accepted: self.accepted,
            recorded: recorded.max(answered),
        }
    }
}
