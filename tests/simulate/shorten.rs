//! Shortens a history that fails: drops happenings, stations and moments as long as it still fails.

use crate::{
    history::{History, Step},
    plant::NAMES,
};

/// The most histories that are tried.
const TRIES: usize = 1500;

/// The shortest that was found, with what cannot be in it.
pub(crate) fn shorten(
    history: &History,
    why: String,
    fails: &dyn Fn(&History) -> Option<String>,
) -> (History, String) {
    let mut search = Search {
        best: history.clone(),
        why,
        fails,
        left: TRIES,
    };
    loop {
        let before = search.best.clone();
        search.drop_steps();
        search.drop_stations();
        search.drop_room();
        search.drop_moments();
        if search.best == before || search.left == 0 {
            return (search.best, search.why);
        }
    }
}

struct Search<'a> {
    best: History,
    why: String,
    fails: &'a dyn Fn(&History) -> Option<String>,
    left: usize,
}

impl Search<'_> {
    fn tries(&mut self, history: History) -> bool {
        if self.left == 0 || history == self.best {
            return false;
        }
        self.left -= 1;
        let Some(why) = (self.fails)(&history) else {
            return false;
        };
        if kind(&why) != kind(&self.why) {
            return false;
        }
        (self.best, self.why) = (history, why);
        true
    }

    fn drop_steps(&mut self) {
        let mut chunk = self.best.steps.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let mut shorter = self.best.clone();
                let end = (at + chunk).min(shorter.steps.len());
                shorter.steps.drain(at..end);
                if !self.tries(shorter) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    fn drop_stations(&mut self) {
        for name in NAMES {
            if !self.best.without.contains(&name) {
                let mut shorter = self.best.clone();
                shorter.without.push(name);
                self.tries(shorter);
            }
        }
    }

    fn drop_room(&mut self) {
        if self.best.room.is_some() {
            let mut shorter = self.best.clone();
            shorter.room = None;
            self.tries(shorter);
        }
    }

    fn drop_moments(&mut self) {
        for at in 0..self.best.steps.len() {
            while let Step::Run(seed, moments) = self.best.steps[at]
                && moments > 1
            {
                let fewer = [moments / 2, moments - 1].into_iter().any(|moments| {
                    let mut shorter = self.best.clone();
                    shorter.steps[at] = Step::Run(seed, moments);
                    self.tries(shorter)
                });
                if !fewer {
                    break;
                }
            }
        }
    }
}

/// What sort of fault it is: without names and numbers.
fn kind(why: &str) -> String {
    let outside = why.split('`').step_by(2);
    let text: String = outside.collect();
    let text = text.chars().filter(|letter| !letter.is_ascii_digit());
    text.take(24).collect()
}
