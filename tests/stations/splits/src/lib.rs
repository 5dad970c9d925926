//! Gives one output for each line of the body.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let text = inputs.one()?.text()?;
        Ok(text
            .lines()
            .map(|line| Output::pass().text(format!("{line}\n")))
            .collect())
    }
}

andon_station::export!(It);
