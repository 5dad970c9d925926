//! Writes until nothing more fits.

use andon_station::prelude::*;
use std::{fs::File, io::Write};

struct Fill;

impl Station for Fill {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        let mut file = File::create("/workspace/words.txt")?;
        let block = vec![b'x'; 1 << 20];
        for _ in 0..1 << 20 {
            file.write_all(&block)?;
        }
        Ok(Output::pass().text("1 word\n").into())
    }
}

andon_station::export!(Fill);
