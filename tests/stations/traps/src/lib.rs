//! Panics.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        panic!("this station is broken");
    }
}

andon_station::export!(It);
