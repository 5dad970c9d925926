//! `andon inside-runner`, hidden: runs visits for the andon that started it, whose socket is its standard input.

/// Runs visits for the andon that started it.
#[derive(Debug, clap::Args)]
pub(super) struct Runner {}

impl Runner {
    /// Runs the command.
    ///
    /// # Errors
    /// When whoever started it is no andon.
    pub(super) fn execute(self) -> anyhow::Result<()> {
        Ok(crate::sandbox::run_inside()?)
    }
}
