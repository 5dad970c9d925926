//! Why lines cannot be opened, started or ended.

use super::Fault;
use crate::{
    assembly::{AssemblyError, KeepError},
    conveyor::ConveyorError,
    journal::JournalError,
    name::Name,
    secrets::SecretsError,
};

/// Why lines cannot be opened or started, or ended before their time.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LinesError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Conveyor(#[from] ConveyorError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("signals cannot be heard: {0}")]
    Signals(std::io::Error),
    #[error("`{path}` cannot be found: {reason}")]
    Factory { path: String, reason: String },
    #[error(
        "lines of this state folder are under different factories, `{one}` and `{other}`\n  hint: `--factory FILE` says which one holds for the state folder"
    )]
    Factories { one: String, other: String },
    #[error("line `{line}` cannot be written down: {reason}")]
    Unwritable { line: Name, reason: String },
    #[error("revision {revision} of line `{line}` {reason}")]
    Unreadable {
        line: Name,
        revision: u64,
        reason: String,
    },
    #[error("line `{0}` runs already\n  hint: `andon retool {0}` replaces what runs")]
    Running(Name),
    #[error("there is no line `{0}` here\n  hint: `andon status` lists them")]
    NoLine(Name),
    #[error("the lines are stopping")]
    Stopping,
    #[error("the conveyor of line `{0}` stopped unexpectedly")]
    Lost(Name),
}

impl From<LinesError> for Fault {
    fn from(error: LinesError) -> Self {
        let message = error.to_string();
        match error {
            LinesError::NoLine(_) => Self::not_found(message),
            LinesError::Running(_) => Self::conflict(message),
            LinesError::Assembly(AssemblyError::Problems(_)) => Self::invalid(message),
            LinesError::Assembly(AssemblyError::NoFactory(_) | AssemblyError::OtherFactory(_)) => {
                Self::conflict(message)
            }
            LinesError::Stopping => Self::of(super::FaultKind::Unavailable, message),
            _ => Self::internal(message),
        }
    }
}
