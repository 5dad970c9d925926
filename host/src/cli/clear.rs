//! `andon clear`: what a person does about a jam.

use super::{
    Done, print,
    state::{State, StateArg},
};
use crate::{
    assembly::Revision,
    conveyor::wall_clock,
    item::{self, Body, Clear as How, Event, Item, ItemId, Payload},
    journal::{Append, Filter, PhaseKind},
    line::Line,
    name::Name,
};
use anyhow::{Context as _, bail};
use std::{fs, path::PathBuf};

/// Clear jammed items, so that they go on with the next `andon run`
///
/// `retry` makes the visit again, `edit` does so with another body, `skip` lets the item leave by a
/// port with what it came with, `scrap` ends it. Who did it and why is journaled.
#[derive(Debug, clap::Args)]
pub(super) struct Clear {
    /// The item: its id, or a beginning of it that only one jammed item has.
    item: String,
    /// What to do.
    #[arg(value_enum)]
    how: Kind,
    /// The port to leave by, with `skip` [default: `pass`]
    #[arg(long)]
    port: Option<Name>,
    /// The file with the new body, with `edit`.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Why, for whoever looks later.
    #[arg(long, default_value = "")]
    why: String,
    /// Who does it [default: the name of the user].
    #[arg(long)]
    by: Option<String>,
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
        for (given, option, goes_with) in [
            (self.file.is_some(), "--file", Kind::Edit),
            (self.port.is_some(), "--port", Kind::Skip),
        ] {
            if given && self.how != goes_with {
                bail!(
                    "`{option}` goes with `{}`, not with `{}`",
                    goes_with.word(),
                    self.how.word()
                );
            }
        }
        let state = State::open(&self.state.nearest()?)?;
        let jammed = state.journal.list(&Filter {
            phases: vec![PhaseKind::Jammed],
            ..Filter::default()
        })?;
        let ids: Vec<ItemId> = jammed.into_iter().map(|summary| summary.item).collect();
        let id = match super::state::choose(&self.item, &ids) {
            Ok(id) => id,
            Err(error) => match self.item.parse() {
                Ok(id) if !state.journal.load(&id)?.is_empty() => id,
                _ if ids.iter().any(|id| id.as_str().starts_with(&self.item)) => return Err(error),
                _ => bail!(
                    "there is no jammed item `{}`\n  hint: `andon items --jammed` lists them",
                    print::line(&self.item)
                ),
            },
        };
        let item = Item::fold(id.clone(), &state.journal.load(&id)?)?
            .with_context(|| format!("there is no item `{id}`"))?;
        let how = match self.how {
            Kind::Retry => How::Retry,
            Kind::Scrap => How::Scrap,
            Kind::Skip => How::Skip(match &self.port {
                Some(port) => port.clone(),
                None => Name::PASS.parse()?,
            }),
            Kind::Edit => How::Edit(self.edited(&item, &state)?),
        };
        let definition = newest(&state, &item)?;
        let event = Event::Cleared {
            by: self.by.unwrap_or_else(user),
            why: self.why,
            how,
        };
        let records = item::step(&item, &definition, wall_clock(), event)?;
        let mut after = item.clone();
        for record in &records {
            after.apply(record)?;
        }
        let append = Append {
            item: id.clone(),
            expected: item.seq,
            messages: item::messages(&after, &records),
            records,
            blobs: Vec::new(),
            summary: after.summary(),
        };
        futures::executor::block_on(state.journal.append(append))?;
        let summary = after.summary();
        let at = summary
            .station
            .map_or_else(String::new, |station| format!(" at `{station}`"));
        print::text(&format!("{id} is {}{at}", summary.phase))?;
        Ok(Done::Well)
    }

    fn edited(&self, item: &Item, state: &State) -> anyhow::Result<Payload> {
        let file = self
            .file
            .as_ref()
            .context("`edit` needs the new body\n  hint: `--file FILE`")?;
        let bytes =
            fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
        let before = item.inputs.first().context("the item carries nothing")?;
        let body = if bytes.len() > Body::INLINE {
            Body::Stored {
                len: bytes.len() as u64,
                digest: state.content.put(&bytes)?,
            }
        } else {
            Body::Inline(bytes.into())
        };
        Ok(Payload {
            body,
            ..before.clone()
        })
    }
}

/// The user that runs this.
pub(super) fn user() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "somebody".into())
}

/// The newest revision of an item's line.
pub(super) fn newest(state: &State, item: &Item) -> anyhow::Result<Line> {
    let mut number = item.revision;
    let mut found = None;
    while let Some(definition) = state.journal.revision(&item.line, number)? {
        found = Some(definition);
        number += 1;
    }
    let definition = found
        .with_context(|| format!("revision {} of line `{}` is gone", item.revision, item.line))?;
    let revision = Revision::from_text(&definition)
        .with_context(|| format!("line `{}` cannot be read back", item.line))?;
    Ok(revision.line)
}
