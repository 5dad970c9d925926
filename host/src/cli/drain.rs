//! `andon drain`: the end of a daemon.

use super::{
    Done,
    control::{ByArg, daemon},
    print,
    state::StateArg,
    submit::time,
};
use crate::lines::{Control as _, FaultKind};
use anyhow::Context as _;
use std::time::Duration;

/// Let the daemon end what is under way, and end
///
/// It takes nothing any more. Visits that are not over in time are stopped, and taken up again by the
/// next start. Waits until the daemon has ended.
#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// How long visits under way may take to end.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    within: Duration,
    #[command(flatten)]
    by: ByArg,
    #[command(flatten)]
    state: StateArg,
}

/// How often it is looked whether the daemon has ended.
const POLL: Duration = Duration::from_millis(50);

impl Drain {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let folder = self.state.nearest()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no threads can be started")?;
        runtime.block_on(async {
            let Some(client) = daemon(&folder).await? else {
                print::note("no daemon runs here");
                return Ok(Done::Well);
            };
            client.drain(&self.by.name(), self.within).await?;
            loop {
                match client.status(None).await {
                    Err(fault) if fault.kind == FaultKind::Unavailable => break,
                    _ => tokio::time::sleep(POLL).await,
                }
            }
            print::note("the daemon has ended");
            Ok(Done::Well)
        })
    }
}
