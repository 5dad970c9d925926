//! Never ends, and calls nobody who could stop it.

use andon_station::prelude::*;
use std::hint::black_box;

struct Spin;

impl Station for Spin {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        let mut words = 0u64;
        while black_box(words) != u64::MAX {
            words = black_box(words).wrapping_add(2);
        }
        Ok(Output::pass().text(format!("{words} words\n")).into())
    }
}

andon_station::export!(Spin);
