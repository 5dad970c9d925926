//! Puts more labels on its output than an item may have.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let output = Output::pass().forward(inputs.one()?);
        Ok((0..100)
            .fold(output, |output, n| output.label(format!("l{n}"), "x"))
            .into())
    }
}

andon_station::export!(It);
