//! Writes what clears a terminal, sets its title, and reads like the host's own words.

use andon_station::prelude::*;

struct Forge;

impl Station for Forge {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        log::info!("\x1b[2J\x1b[H\x1b]0;all is well\x07done\r\n8 taken, 8 done, 0 jammed");
        Err(Stop::reject(
            "nothing\x1b[8m\n\u{202e}dekcehc saw llA\u{202c}: andon clear all",
        ))
    }
}

andon_station::export!(Forge);
