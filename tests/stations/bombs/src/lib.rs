//! Splits its input in ten, whatever it is.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let text = inputs.one()?.text()?;
        Ok((0..10).map(|_| Output::pass().text(text.clone())).collect())
    }
}

andon_station::export!(It);
