//! The honest beginning: a copy of the patch for each station that the label `to` names.

use andon_station::prelude::*;

const STATIONS: [&str; 7] = ["count", "leak", "snoop", "fill", "hoard", "spin", "forge"];

struct Fan;

impl Station for Fan {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let patch = inputs.one()?;
        let copies = STATIONS.map(|to| Output::pass().forward(patch.clone()).label("to", to));
        Ok(copies.into_iter().collect())
    }
}

andon_station::export!(Fan);
