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
            state: None,
            exe: std::env::current_exe()?,
            say: &print::note,
        };
        let checked = assembly
            .assemble(&self.line)
            .and_then(|assembled| assembled.link().map(|()| assembled));
        let problems = match &checked {
            Ok(_) => &[][..],
            Err(AssemblyError::Problems(problems)) => problems,
            Err(_) => return Err(checked.map(|_| ()).unwrap_err().into()),
        };
        if let Ok(assembled) = &checked {
            super::secret::note_missing(assembled, &self.factory);
        }
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
                let stations = print::count(line.stations.len() as u64, "station");
                print::text(&format!("line `{}` is fine: {stations}", line.name))?;
                Ok(Done::Well)
            }
            Err(_) => Ok(wrong(problems)),
        }
    }
}

/// Prints problems.
pub(super) fn wrong(problems: &[Problem]) -> Done {
    for problem in problems {
        print::note(&print::plain(&problem.to_string()));
    }
    print::note(&print::count(problems.len() as u64, "problem"));
    Done::Wrong
}
