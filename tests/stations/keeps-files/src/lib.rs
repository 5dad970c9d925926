//! Reads the files of the workspace, and adds one for each visit.

use andon_station::prelude::*;

struct It;

impl Station for It {
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs> {
        let input = inputs.one()?;
        let mut names: Vec<String> = std::fs::read_dir("/workspace")?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<_>>()?;
        names.sort();
        let mut text = input.text()?;
        for name in &names {
            let content = std::fs::read_to_string(format!("/workspace/{name}"))?;
            text.push_str(&format!("{name}: {content}"));
        }
        let file = format!("/workspace/{}-{}", visit.station, visit.nth);
        std::fs::write(file, format!("written by attempt {}\n", visit.attempt))?;
        Ok(Output::pass().text(text).into())
    }
}

andon_station::export!(It);
