//! `andon cancel`: takes an item from its line.

use super::{
    Done,
    answer::say,
    control::{Acting, ByArg},
    state::StateArg,
};
use crate::lines::Because;

/// Take an item, and all that was split from it, from its line
///
/// It ends as scrapped. A visit under way ends first, and what comes of it is dropped.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    /// The item: its id, or a beginning of it that no other unfinished item has.
    item: String,
    /// Why, for whoever looks later.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    by: ByArg,
    #[command(flatten)]
    state: StateArg,
}

impl Cancel {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let by = self.by.name();
        let why = Because { why: self.why };
        let acting = Acting::on(&self.state)?;
        let summary = acting.act(|control| control.cancel(&by, &self.item, why))?;
        acting.end()?;
        say(&summary)?;
        Ok(Done::Well)
    }
}
