//! Passes its input on as it is: what a visit costs at least.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        Ok(Output::pass().forward(inputs.one()?).into())
    }
}

andon_station::export!(It);
