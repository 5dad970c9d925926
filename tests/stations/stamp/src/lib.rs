//! Adds a line with its place on the line to the body.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
        let text = inputs.one()?.text()?;
        Ok(Output::pass()
            .text(format!("{text}{} {}\n", visit.station, visit.nth))
            .into())
    }
}

andon_station::export!(It);
