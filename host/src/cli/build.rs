//! `andon build`: a station folder becomes one component.

use super::{Done, print};
use andon_build::Options;
use serde_json::json;
use std::path::PathBuf;

/// Build a station folder into one component with its manifest inside
#[derive(Debug, clap::Args)]
pub(super) struct Build {
    /// The folder with the `station.toml`.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Build even if nothing has changed.
    #[arg(long)]
    force: bool,
    /// Print a JSON object instead of the component's path.
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let built = andon_build::build(
            &self.dir,
            &Options {
                progress: Some(&super::state::tell),
                force: self.force,
            },
        )?;
        if self.json {
            print::json(&json!({ "component": built.component, "rebuilt": built.rebuilt }))?;
        } else {
            if !built.rebuilt {
                eprintln!("nothing has changed");
            }
            print::text(&built.component.display().to_string())?;
        }
        Ok(Done::Well)
    }
}
