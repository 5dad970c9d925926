//! `andon diff`: what a station changed of an item, in its payload and in its workspace.

use super::{
    Done, inputs, print,
    state::{State, StateArg, choose},
};
use crate::{
    assembly::Revision,
    digest::Digest,
    item::{Destination, Item, ItemId, Payload, Record},
    journal::Filter,
    line::Line,
    name::Name,
    workspace::{Change, Entry},
};
use anyhow::Context as _;
use similar::TextDiff;

/// Show what each station changed of an item: payload and workspace
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// The item: its id, or the beginning of one.
    item: String,
    /// Only what this station changed.
    station: Option<Name>,
    #[command(flatten)]
    state: StateArg,
}

/// An item between two visits.
#[derive(Clone)]
struct Moment {
    payload: Payload,
    workspace: Option<Digest>,
}

impl Diff {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let state = State::view(&self.state.nearest()?)?;
        let all: Vec<ItemId> = state
            .journal
            .list(&Filter::default())?
            .into_iter()
            .map(|s| s.item)
            .collect();
        let id = choose(&self.item, &all)?;
        let records = state.journal.load(&id)?;
        if let (Some(wanted), Some(item)) = (&self.station, Item::fold(id.clone(), &records)?) {
            let line = newest(&state, &item)?;
            if !line.stations.contains_key(wanted) && !item.visits.contains_key(wanted) {
                return Err(super::explain::unknown(&line, wanted));
            }
        }
        let mut changes = 0;
        let mut item: Option<Item> = None;
        for record in &records {
            let before = item
                .as_ref()
                .map(|item| (at(item), item.station().cloned()));
            match &mut item {
                Some(item) => item.apply(record)?,
                None => item = Item::fold(id.clone(), std::slice::from_ref(record))?,
            }
            let (Some(after), Some((Some(before), Some(station)))) = (&item, before) else {
                continue;
            };
            if self
                .station
                .as_ref()
                .is_some_and(|wanted| *wanted != station)
            {
                continue;
            }
            for (port, after) in outcomes(record, after) {
                changes += 1;
                print::text(&format!("== {station} → {port}"))?;
                show(&state, &before, &after)?;
            }
        }
        if changes == 0 {
            print::note(&format!(
                "nothing was put out by {}",
                self.station
                    .as_ref()
                    .map_or("any station".into(), |s| format!("`{s}`"))
            ));
        }
        Ok(Done::Well)
    }
}

fn at(item: &Item) -> Option<Moment> {
    Some(Moment {
        payload: item.inputs.first()?.clone(),
        workspace: item.workspace,
    })
}

/// What a record put out: one payload, or one for each child.
fn outcomes(record: &Record, after: &Item) -> Vec<(String, Moment)> {
    match record {
        Record::Moved {
            port,
            to,
            payload,
            workspace,
            ..
        } => {
            let to = if let Destination::Station(name) | Destination::Join(name) = to {
                name.as_str()
            } else {
                "end"
            };
            vec![(
                format!("{port} ({to})"),
                Moment {
                    payload: payload.clone(),
                    workspace: *workspace,
                },
            )]
        }
        Record::Split {
            children,
            workspace,
            ..
        } => children
            .iter()
            .map(|child| {
                let name = after
                    .id
                    .child(child.n)
                    .map_or_else(String::new, |id| id.to_string());
                let moment = Moment {
                    payload: child.payload.clone(),
                    workspace: *workspace,
                };
                (format!("{} ({name})", child.port), moment)
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn show(state: &State, before: &Moment, after: &Moment) -> anyhow::Result<()> {
    if before.payload.content_type != after.payload.content_type {
        print::text(&format!(
            "-content-type: {}\n+content-type: {}",
            print::line(&before.payload.content_type),
            print::line(&after.payload.content_type)
        ))?;
    }
    for (name, value) in before.payload.labels.iter() {
        if after.payload.labels.get(name) != Some(value) {
            print::text(&format!(
                "-label {}: {}",
                print::line(name),
                print::line(value)
            ))?;
        }
    }
    for (name, value) in after.payload.labels.iter() {
        if before.payload.labels.get(name) != Some(value) {
            print::text(&format!(
                "+label {}: {}",
                print::line(name),
                print::line(value)
            ))?;
        }
    }
    let body = |moment: &Moment| state.body(&moment.payload, moment.workspace);
    texts("body", &body(before)?, &body(after)?)?;
    let snapshots = state.workspaces.snapshots();
    for change in snapshots.diff(before.workspace, after.workspace)? {
        print::text(&format!(
            "{} /workspace/{}",
            sign(&change),
            print::line(&change.path)
        ))?;
        let read = |entry: &Option<Entry>| match entry {
            Some(Entry::File { digest, len, .. }) if *len <= inputs::MOST => {
                snapshots.blob(digest).map(|b| b.to_vec())
            }
            _ => Ok(Vec::new()),
        };
        texts(&change.path, &read(&change.before)?, &read(&change.after)?)?;
    }
    Ok(())
}

fn texts(name: &str, before: &[u8], after: &[u8]) -> anyhow::Result<()> {
    if before == after {
        return Ok(());
    }
    match (std::str::from_utf8(before), std::str::from_utf8(after)) {
        (Ok(before), Ok(after)) => {
            let (before, after) = (
                print::block(&laid_out(before)),
                print::block(&laid_out(after)),
            );
            let name = print::line(name);
            let diff = TextDiff::from_lines(&before, &after);
            let text = diff
                .unified_diff()
                .context_radius(2)
                .header(&name, &name)
                .to_string();
            print::text(text.trim_end())?;
        }
        _ => print::text(&format!(
            "{}: {} → {} of bytes",
            print::line(name),
            print::size(before.len() as u64),
            print::size(after.len() as u64)
        ))?,
    }
    Ok(())
}

fn sign(change: &Change) -> char {
    match (&change.before, &change.after) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    }
}

/// JSON on one line is laid out, so that a difference is seen where it is.
fn laid_out(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => {
            serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.into()) + "\n"
        }
        _ => text.into(),
    }
}

/// The newest revision of an item's line.
fn newest(state: &State, item: &Item) -> anyhow::Result<Line> {
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
