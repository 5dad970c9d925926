//! Passes at the third attempt.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
        if visit.attempt < 3 {
            return Err(Stop::retry(format!(
                "not ready at attempt {}",
                visit.attempt
            )));
        }
        Ok(Output::pass().forward(inputs.one()?).into())
    }
}

andon_station::export!(It);
