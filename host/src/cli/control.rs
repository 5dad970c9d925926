//! How commands act on lines: over the socket of the daemon that runs them, or, where none does, on the
//! state folder itself. This is the one place that decides which.

use super::{print, state::StateArg};
use crate::{
    journal::JournalError,
    lines::{Control, Done, Fault, Lines, LinesError, State},
    serve::{client::Client, user},
};
use anyhow::Context as _;
use std::{path::Path, sync::Arc};
use tokio::runtime::Runtime;

/// Who acts, as the journal keeps it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ByArg {
    /// Who does it [default: the name of the user].
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

impl ByArg {
    pub(super) fn name(&self) -> String {
        self.by.clone().unwrap_or_else(user)
    }
}

/// A way to act on the lines of a state folder.
pub(super) struct Acting {
    runtime: Runtime,
    /// The daemon that runs them, if one does.
    pub(super) daemon: Option<Client>,
    control: Arc<dyn Control>,
    /// The state folder itself, where no daemon runs.
    lines: Option<Arc<Lines>>,
}

impl Acting {
    /// On the state folder that is meant.
    pub(super) fn on(state: &StateArg) -> anyhow::Result<Self> {
        let folder = state.nearest()?;
        let runtime = Runtime::new().context("no threads can be started")?;
        let inside = runtime.enter();
        let found = runtime.block_on(daemon(&folder))?;
        let found = match found {
            Some(client) => Ok(client),
            None => match at_rest(&folder) {
                Ok(lines) => Err(lines),
                // One has just begun, and had the folder before it had its socket.
                Err(LinesError::Journal(error @ JournalError::InUse(_))) => {
                    Ok(runtime.block_on(daemon(&folder))?.ok_or(error)?)
                }
                Err(error) => return Err(error.into()),
            },
        };
        drop(inside);
        Ok(match found {
            Ok(client) => Self {
                runtime,
                control: Arc::new(client.clone()),
                daemon: Some(client),
                lines: None,
            },
            Err(lines) => Self {
                runtime,
                control: lines.clone(),
                daemon: None,
                lines: Some(lines),
            },
        })
    }

    /// Waits until all that the orders led to is durable.
    pub(super) fn end(self) -> anyhow::Result<()> {
        if let Some(lines) = &self.lines {
            self.runtime.block_on(lines.close())?;
        }
        Ok(())
    }

    /// Waits for what something comes to.
    pub(super) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// The way itself.
    pub(super) fn control(&self) -> &dyn Control {
        &*self.control
    }

    /// Gives an order, and waits for what it comes to.
    pub(super) fn act<'a, T>(
        &'a self,
        order: impl FnOnce(&'a dyn Control) -> Done<'a, T>,
    ) -> Result<T, Fault> {
        self.wait(order(&*self.control))
    }
}

/// The lines of a folder that nobody runs. Only what runs lines makes a state folder.
fn at_rest(folder: &Path) -> Result<Arc<Lines>, LinesError> {
    State::view(folder)?;
    Lines::at_rest(folder)
}

/// The daemon of a folder.
pub(super) async fn daemon(folder: &Path) -> anyhow::Result<Option<Client>> {
    Client::of(folder).await.with_context(|| {
        let folder = print::line(&folder.display().to_string());
        format!("the daemon of `{folder}` cannot be asked\n  hint: it belongs to another user; over TCP a token lets you in")
    })
}
