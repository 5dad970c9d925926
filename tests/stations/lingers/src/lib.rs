//! Says in `/gate` that it is there, and waits for the file `/gate/open`: whoever runs it decides
//! when the visit ends.

use andon_station::prelude::*;
use std::{path::Path, thread, time::Duration};

struct It;

impl Station for It {
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
        std::fs::write(format!("/gate/{}", visit.item), "")?;
        while !Path::new("/gate/open").exists() {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Output::pass().forward(inputs.one()?).into())
    }
}

andon_station::export!(It);
