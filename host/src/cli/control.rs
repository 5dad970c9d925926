//! How commands act on lines: over the socket of the daemon that runs them, or, where none does, on the
//! state folder itself. This is the one place that decides which.

use super::state::StateArg;
use crate::lines::{Control, Lines};
use anyhow::Context as _;
use std::sync::Arc;
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
        let user = || std::env::var("USER").unwrap_or_else(|_| "unknown".into());
        self.by.clone().unwrap_or_else(user)
    }
}

/// A way to act on the lines of a state folder.
pub(super) struct Acting {
    runtime: Runtime,
    control: Arc<dyn Control>,
}

impl Acting {
    /// On the state folder that is meant.
    pub(super) fn on(state: &StateArg) -> anyhow::Result<Self> {
        let folder = state.nearest()?;
        let runtime = Runtime::new().context("no threads can be started")?;
        let inside = runtime.enter();
        let control = Lines::at_rest(&folder)?;
        drop(inside);
        Ok(Self { runtime, control })
    }

    /// Waits for what something comes to.
    pub(super) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// What orders are given to.
    pub(super) fn control(&self) -> &dyn Control {
        &*self.control
    }
}
