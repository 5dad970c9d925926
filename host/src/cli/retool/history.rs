//! By which revisions a line ran.

use super::{Done, print, said};
use crate::{journal::RetoolRecord, lines::Control, name::Name};
use serde_json::json;

/// Prints the history of a line, the oldest change first.
pub(super) async fn show(
    control: &dyn Control,
    line: &Name,
    as_json: bool,
) -> anyhow::Result<Done> {
    let history = control.history(line).await.map_err(said)?;
    if as_json {
        print::json(&json!(history))?;
        return Ok(Done::Well);
    }
    if history.retools.is_empty() {
        print::note(&format!("`{line}` was not retooled yet"));
    }
    for record in &history.retools {
        print::text(&told(record))?;
    }
    Ok(Done::Well)
}

fn told(record: &RetoolRecord) -> String {
    let by = match record.by.as_str() {
        "" => "andon",
        by => by,
    };
    let mut text = format!(
        "{}  {:<13} {} -> {}",
        print::time(record.at),
        record.kind.as_str(),
        record.from,
        record.ramp.map_or(record.current, |ramp| ramp.to),
    );
    if let Some(ramp) = record.ramp {
        text += &format!(" for {} %", ramp.percent);
    }
    text += &format!("  {}", print::line(by));
    if !record.why.is_empty() {
        text += &format!(": {}", print::line(&record.why));
    }
    let short = |digest: &Option<_>| {
        digest
            .as_ref()
            .map_or("none".into(), crate::digest::Digest::short)
    };
    for change in &record.components {
        text += &format!(
            "\n    {} {} -> {}",
            change.station,
            short(&change.old),
            short(&change.new)
        );
    }
    for name in &record.accepted {
        text += &format!("\n    accepted {}", print::line(name));
    }
    for (what, note) in &record.notes {
        text += &format!("\n    {}: {}", print::line(what), print::line(note));
    }
    text
}
