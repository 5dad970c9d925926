//! `andon build`: a station folder becomes one component.

use super::{Done, print};
use crate::assembly;
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
                progress: Some(&|progress| assembly::tell(progress, &print::note)),
                force: self.force,
            },
        )?;
        if self.json {
            print::json(
                &json!({ "component": built.component.display().to_string(), "rebuilt": built.rebuilt }),
            )?;
        } else {
            if !built.rebuilt {
                print::note("nothing has changed");
            }
            let path = built.component.as_os_str().as_encoded_bytes();
            print::data(&[path, b"\n"].concat())?;
        }
        Ok(Done::Well)
    }
}
