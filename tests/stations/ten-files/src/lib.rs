//! Writes ten small files.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
        for n in 0..10 {
            std::fs::write(
                format!("/workspace/{}-{n}", visit.station),
                format!("{} {n}", visit.item),
            )?;
        }
        Ok(Output::pass().forward(inputs.one()?).into())
    }
}

andon_station::export!(It);
