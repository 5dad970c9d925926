//! `andon check`: everything that can be known to be wrong with a line before it runs.

use super::{Done, print, state::FactoryArg};
use crate::{
    assembly::{Assembly, AssemblyError},
    problem::Problem,
};
use serde_json::json;
use std::path::PathBuf;

/// Check a line: its file, its stations, and whether they fit together
///
/// Prints every problem at once as `file:line:column`. A line that passes does not fail for a reason
/// that could have been known.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The line: its folder or `line.toml`; or a station folder or component.
    #[arg(default_value = ".")]
    line: PathBuf,
    /// Print one JSON object with all problems.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    factory: FactoryArg,
}

impl Check {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let assembly = Assembly {
            factory: self.factory.path(),
            exe: std::env::current_exe()?,
            say: &|text| eprintln!("{text}"),
        };
        let checked = assembly
            .assemble(&self.line)
            .and_then(|assembled| assembled.link().map(|()| assembled));
        let problems = match &checked {
            Ok(_) => &[][..],
            Err(AssemblyError::Problems(problems)) => problems,
            Err(_) => return Err(checked.map(|_| ()).unwrap_err().into()),
        };
        if self.json {
            print::json(&json!({ "ok": problems.is_empty(), "problems": problems }))?;
            return Ok(if problems.is_empty() {
                Done::Well
            } else {
                Done::Wrong
            });
        }
        match &checked {
            Ok(assembled) => {
                let line = &assembled.draft.line;
                let stations = line.stations.len();
                let s = if stations == 1 { "" } else { "s" };
                print::text(&format!(
                    "line `{}` is fine: {stations} station{s}",
                    line.name
                ))?;
                Ok(Done::Well)
            }
            Err(_) => Ok(wrong(problems)),
        }
    }
}

/// Prints problems.
pub(super) fn wrong(problems: &[Problem]) -> Done {
    for problem in problems {
        eprintln!("{}", print::block(&print::plain(&problem.to_string())));
    }
    let s = if problems.len() == 1 { "" } else { "s" };
    eprintln!("{} problem{s}", problems.len());
    Done::Wrong
}
