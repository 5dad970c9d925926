//! Joins all inputs into one body.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let mut all = String::new();
        for input in inputs {
            all.push_str(&input.text()?);
        }
        Ok(Output::pass().text(all).into())
    }
}

andon_station::export!(It);
