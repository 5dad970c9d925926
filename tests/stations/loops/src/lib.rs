//! Never ends.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let mut n = inputs.len() as u64;
        loop {
            n = std::hint::black_box(n.wrapping_mul(31));
        }
    }
}

andon_station::export!(It);
