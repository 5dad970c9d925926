//! Prints without end.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        loop {
            println!("and another line");
        }
    }
}

andon_station::export!(It);
