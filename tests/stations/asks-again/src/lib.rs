//! Asks again after each answer, for ever.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(visit: &Visit, _: Inputs) -> Result<Outputs> {
        let again = Question::new(format!("again-{}", visit.answers.len()), "Again?");
        Err(Stop::ask(again.choices(["pass"])))
    }
}

andon_station::export!(It);
