//! Puts its output on a port that nobody wired.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        Ok(Output::to("nowhere").forward(inputs.one()?).into())
    }
}

andon_station::export!(It);
