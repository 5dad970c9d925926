//! `andon answer`: what a person says to a question.

use super::{
    Done,
    control::{Acting, ByArg},
    print,
    state::StateArg,
};
use crate::{digest::Digest, item::Summary, lines::GiveAnswer};

/// Answer what an item is held for
///
/// `andon items --held` lists the questions. Who answered, when and why is journaled; the answer is for
/// what the item carries, and is refused when that has changed.
#[derive(Debug, clap::Args)]
pub(super) struct Answer {
    /// The item: its id, or a beginning of it that only one held item has.
    item: String,
    /// One of the choices; may be left out where text is asked for.
    choice: Option<String>,
    /// What else there is to say.
    #[arg(long)]
    text: Option<String>,
    /// What the item carried when you looked at it, as `andon show ITEM` prints it: an answer for
    /// anything else is refused.
    #[arg(long = "for", value_name = "DIGEST")]
    payload: Option<Digest>,
    /// Why, for whoever looks later.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    by: ByArg,
    #[command(flatten)]
    state: StateArg,
}

impl Answer {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        if self.choice.is_none() && self.text.is_none() {
            anyhow::bail!(
                "nothing is answered\n  hint: `andon answer {} CHOICE`, or `--text TEXT`",
                print::line(&self.item)
            );
        }
        let answer = GiveAnswer {
            choice: self.choice.unwrap_or_default(),
            text: self.text.unwrap_or_default(),
            payload: self.payload,
            why: self.why,
        };
        let by = self.by.name();
        let acting = Acting::on(&self.state)?;
        let summary = acting.act(|control| control.answer(&by, &self.item, answer))?;
        acting.end()?;
        say(&summary)?;
        Ok(Done::Well)
    }
}

/// Where an item is, in words.
pub(super) fn say(summary: &Summary) -> Result<(), print::OutputError> {
    let at = summary
        .station
        .as_ref()
        .map_or_else(String::new, |station| format!(" at `{station}`"));
    print::text(&format!("{} is {}{at}", summary.item, summary.phase))
}
