//! Looks for files that are not its own: passwords, the host's journal, other items, and links to them.

use andon_station::prelude::*;
use std::{env, fs, path::Path};

struct Snoop;

impl Station for Snoop {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        let mut found = 0;
        for path in [
            "/etc/passwd",
            "/workspace/../../../../etc/passwd",
            "/workspace/../journal.sqlite",
            "/proc/self/environ",
        ] {
            found += usize::from(fs::read(path).is_ok());
        }
        #[allow(deprecated, reason = "the one way to make a link that WASI has")]
        let _ = fs::soft_link("../../../../../../../etc/passwd", "/workspace/innocent.txt");
        found += usize::from(fs::read(Path::new("/workspace/innocent.txt")).is_ok());
        found += env::vars().count() + env::args().count();
        Ok(Output::pass()
            .text(format!("{found} things that are not mine\n"))
            .into())
    }
}

andon_station::export!(Snoop);
