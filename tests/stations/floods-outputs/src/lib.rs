//! Gives more outputs than it may.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        Ok((0..20_000).map(|_| Output::pass().text("")).collect())
    }
}

andon_station::export!(It);
