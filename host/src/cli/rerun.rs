//! `andon rerun`: an item once more, from some station on.

use super::{
    Done,
    control::{Acting, ByArg},
    print,
    state::StateArg,
    submit::{Urgency, moment},
};
use crate::{lines::Rerun as Order, name::Name};

/// Run an item again from a station on
///
/// A new item begins there with the payload and the workspace that the old one had when it last came
/// there. The old one stays as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Rerun {
    /// The item: its id, or a beginning of it that no other has.
    item: String,
    /// The station to begin at; the item has been there.
    #[arg(long)]
    from: Name,
    /// What makes it the same order when it comes again.
    #[arg(long)]
    key: Option<String>,
    /// How urgent the new item is [default: as the old one]
    #[arg(long, value_enum)]
    priority: Option<Urgency>,
    /// When it has to be through: `2h` from now, or `2026-01-31T09:05:00Z`.
    #[arg(long, value_name = "WHEN")]
    deadline: Option<String>,
    #[command(flatten)]
    by: ByArg,
    #[command(flatten)]
    state: StateArg,
}

impl Rerun {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let order = Order {
            from: self.from,
            key: self.key,
            priority: self.priority.map(Into::into),
            deadline: moment(self.deadline.as_deref())?,
        };
        let by = self.by.name();
        let acting = Acting::on(&self.state)?;
        let submission = acting.act(|control| control.rerun(&by, &self.item, order))?;
        acting.end()?;
        print::text(submission.item.as_str())?;
        if submission.known {
            print::note("it was run again before with this key");
        }
        Ok(Done::Well)
    }
}
