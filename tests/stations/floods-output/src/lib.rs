//! Returns a body of 16 MiB.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        Ok(Output::pass().text("x".repeat(16 << 20)).into())
    }
}

andon_station::export!(It);
