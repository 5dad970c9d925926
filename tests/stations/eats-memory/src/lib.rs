//! Takes memory until there is none.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        loop {
            hoard.push(vec![1; 1 << 20]);
            std::hint::black_box(&hoard);
        }
    }
}

andon_station::export!(It);
