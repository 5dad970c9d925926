//! Rejects every item.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        Err(Stop::reject("not for me\u{1b}[31m"))
    }
}

andon_station::export!(It);
