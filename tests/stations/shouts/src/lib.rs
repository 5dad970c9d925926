//! Rejects with a reason of a megabyte.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        Err(Stop::reject("a".repeat(1 << 20)))
    }
}

andon_station::export!(It);
