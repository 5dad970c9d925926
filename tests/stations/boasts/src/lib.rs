//! Reports progress without end.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        let note = "n".repeat(1 << 16);
        loop {
            progress::report(1, 2, &note);
        }
    }
}

andon_station::export!(It);
