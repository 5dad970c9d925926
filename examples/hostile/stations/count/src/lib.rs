//! What all the others say that they are.

use andon_station::prelude::*;

struct Count;

impl Station for Count {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let words = inputs.one()?.text()?.split_whitespace().count();
        Ok(Output::pass().text(format!("{words} words\n")).into())
    }
}

andon_station::export!(Count);
