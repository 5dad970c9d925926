//! `andon clear`: what a person does about jams.

use super::{
    Done,
    answer::say,
    control::{Acting, ByArg},
    print,
    state::StateArg,
};
use crate::{
    lines::{Clear as One, ClearAll, Given, How},
    name::Name,
};
use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use std::{fs, path::PathBuf};

/// Clear jammed items, so that they go on
///
/// `retry` makes the visit again, `edit` does so with another body, `skip` lets the item leave by a
/// port with what it came with, `scrap` ends it. Who did it and why is journaled. Without a daemon they go
/// on with the next `andon run` or `andon serve`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "andon clear [OPTIONS] <ITEM> <HOW>\n       andon clear [OPTIONS] --all <HOW>"
)]
pub(super) struct Clear {
    /// The item: its id, or a beginning of it that only one jammed item has.
    #[arg(value_name = "ITEM")]
    first: String,
    /// What to do: `retry`, `edit`, `skip` or `scrap`.
    #[arg(value_name = "HOW", required_unless_present = "all")]
    second: Option<String>,
    /// Clear all jams, or those that the next three options leave.
    #[arg(long)]
    all: bool,
    /// Only of this line, with `--all`.
    #[arg(long, requires = "all")]
    line: Option<Name>,
    /// Only at this station, with `--all`.
    #[arg(long, requires = "all")]
    station: Option<Name>,
    /// Only those whose reason contains this, with `--all`.
    #[arg(long, requires = "all", value_name = "TEXT")]
    reason: Option<String>,
    /// The port to leave by, with `skip` [default: `pass`]
    #[arg(long)]
    port: Option<Name>,
    /// The file with the new body, with `edit`.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Why, for whoever looks later.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    by: ByArg,
    #[command(flatten)]
    state: StateArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Retry,
    Edit,
    Skip,
    Scrap,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Edit => "edit",
            Self::Skip => "skip",
            Self::Scrap => "scrap",
        }
    }
}

impl Clear {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let (item, word) = match (&self.second, self.all) {
            (Some(word), false) => (Some(&self.first), word),
            (None, true) => (None, &self.first),
            _ => bail!(
                "`--all` clears many items, and none is named with it\n  hint: `andon clear --all retry`"
            ),
        };
        let kind = Kind::from_str(word, false).map_err(|_| {
            let word = print::line(word);
            anyhow::anyhow!(
                "`{word}` is no way to clear\n  hint: `retry`, `edit`, `skip` and `scrap` are"
            )
        })?;
        for (given, option, goes_with) in [
            (self.file.is_some(), "--file", Kind::Edit),
            (self.port.is_some(), "--port", Kind::Skip),
        ] {
            if given && kind != goes_with {
                bail!(
                    "`{option}` goes with `{}`, not with `{}`",
                    goes_with.word(),
                    kind.word()
                );
            }
        }
        let how = match kind {
            Kind::Retry => How::Retry,
            Kind::Scrap => How::Scrap,
            Kind::Skip => How::Skip {
                port: self.port.clone(),
            },
            Kind::Edit => How::Edit {
                body: self.edited()?,
            },
        };
        let (by, why) = (self.by.name(), self.why.clone());
        let acting = Acting::on(&self.state)?;
        let Some(item) = item else {
            let clear = ClearAll {
                line: self.line,
                station: self.station,
                reason: self.reason,
                how,
                why,
            };
            let all = acting.act(|control| control.clear_all(&by, clear))?;
            acting.end()?;
            for summary in &all.cleared {
                say(summary)?;
            }
            for left in &all.left {
                print::note(&format!("{}: {}", left.item, left.why));
            }
            if all.cleared.is_empty() && all.left.is_empty() {
                print::note("no jams");
            }
            return Ok(match all.left.is_empty() {
                true => Done::Well,
                false => Done::Wrong,
            });
        };
        let summary = acting.act(|control| control.clear(&by, item, One { how, why }))?;
        acting.end()?;
        say(&summary)?;
        Ok(Done::Well)
    }

    fn edited(&self) -> anyhow::Result<Given> {
        let file = self
            .file
            .as_ref()
            .context("`edit` needs the new body\n  hint: `--file FILE`")?;
        let bytes =
            fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
        Ok(Given::of(&bytes))
    }
}
