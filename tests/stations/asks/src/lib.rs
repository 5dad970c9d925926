//! Asks a question.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        let question = Question::new("ship", "Ship it?").choices(["pass"]);
        Err(Stop::ask(question))
    }
}

andon_station::export!(It);
