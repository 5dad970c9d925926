//! Takes memory until there is none.

use andon_station::prelude::*;

struct Hoard;

impl Station for Hoard {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        loop {
            words.push(vec![words.len() as u8; 1 << 20]);
            if words.len() > 1 << 20 {
                return Ok(Output::pass().text("many words\n").into());
            }
        }
    }
}

andon_station::export!(Hoard);
