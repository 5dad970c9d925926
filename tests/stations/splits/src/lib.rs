//! Gives one output for each line of the body, with the line as a label too.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let text = inputs.one()?.text()?;
        Ok(text
            .lines()
            .map(|line| {
                Output::pass()
                    .text(format!("{line}\n"))
                    .label_text("line", line)
            })
            .collect())
    }
}

andon_station::export!(It);
