//! `andon completions`: scripts for shells.

use super::Done;
use clap_complete::Shell;

/// Print a completion script for a shell
///
/// For bash: `andon completions bash > ~/.local/share/bash-completion/completions/andon`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "andon", &mut script);
        super::print::data(&script)?;
        Ok(Done::Well)
    }
}
