//! Reports progress twice, and then nothing more for a day.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, _: Inputs) -> Result<Outputs> {
        progress::report(1, 3, "so far so good");
        progress::report(2, 3, "nearly\u{1b}[31m there");
        std::thread::sleep(std::time::Duration::from_secs(86_400));
        Ok(Outputs::none())
    }
}

andon_station::export!(It);
