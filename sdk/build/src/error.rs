//! Why a station could not be built.

use std::io;
use std::path::{Path, PathBuf};

use crate::adapt::AdaptError;
use crate::manifest::{ManifestError, Problem};

/// Why a station could not be built. The messages are complete, with hints, over several lines.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder is no station's.
    #[error("`{}` is not a station: it has no `station.toml`\n  hint: `andon new station NAME` makes one", .0.display())]
    NotAStation(PathBuf),
    /// The `station.toml` is wrong.
    #[error("{}", listed(.file, .problems))]
    Manifest {
        /// The file.
        file: PathBuf,
        /// All that is wrong with it, in the order of the text.
        problems: Vec<Problem>,
    },
    /// The folder has nothing that could be built, or more than one thing.
    #[error("`{}` cannot be built: {what}\n  hint: {hint}", .dir.display())]
    Unclear {
        /// The station's folder.
        dir: PathBuf,
        /// What is missing or ambiguous.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Something is not installed on this machine.
    #[error("{what} is not installed, which `{station}` needs to be built\n  hint: {hint}")]
    Missing {
        /// The station's name.
        station: String,
        /// What is not there.
        what: String,
        /// The commands that install it, the ordinary one first.
        hint: String,
    },
    /// The compiler refused, or could not run.
    #[error("`{station}` does not build: `{tool}` failed\n{output}")]
    Failed {
        /// The station's name.
        station: String,
        /// What was run.
        tool: String,
        /// What it said.
        output: String,
    },
    /// The compiler's output is no component and cannot be made into one.
    #[error("`{station}` builds, but not to a component: {cause}")]
    Adapt {
        /// The station's name.
        station: String,
        /// Why; its text is part of the message.
        cause: AdaptError,
    },
    /// The manifest does not go into the component.
    #[error("`{station}`: {cause}")]
    Embed {
        /// The station's name.
        station: String,
        /// Why; its text is part of the message.
        cause: ManifestError,
    },
    /// A file or folder could not be used.
    #[error("cannot {act} `{}`: {cause}", .path.display())]
    Io {
        /// What was tried: `read`, `write`.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why; its text is part of the message.
        cause: io::Error,
    },
    /// Neither `ANDON_BUILD_CACHE`, `XDG_CACHE_HOME` nor `HOME` is set.
    #[error(
        "there is no cache folder\n  hint: set `ANDON_BUILD_CACHE` to a folder that may be written"
    )]
    NoCache,
}

fn listed(file: &Path, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|p| format!("{}:{p}", file.display()))
        .collect();
    lines.join("\n")
}

/// Says what was being done when a file could not be used.
pub(crate) trait Doing<T> {
    fn doing(self, act: &'static str, path: &Path) -> Result<T, BuildError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, act: &'static str, path: &Path) -> Result<T, BuildError> {
        self.map_err(|cause| BuildError::Io {
            act,
            path: path.to_owned(),
            cause,
        })
    }
}
