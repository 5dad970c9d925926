//! Sleeps for a day.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        std::thread::sleep(std::time::Duration::from_secs(86_400));
        Ok(Outputs::none())
    }
}

andon_station::export!(It);
