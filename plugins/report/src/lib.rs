//! Joins the changed files of a patch into one Markdown report.
//!
//! `change` is what is read of each file, `page` how the report looks, `escape` makes hostile text
//! harmless. This module reads the inputs and sets the labels.

mod change;
mod escape;
mod page;

use andon_station::prelude::*;
use change::{Change, Commit};

/// The station.
#[derive(Debug)]
pub struct Report;

impl Station for Report {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        if inputs.is_empty() {
            return Err(Stop::reject("there is nothing to report on"));
        }
        let mut changes = Vec::with_capacity(inputs.len());
        for (n, input) in inputs.iter().enumerate() {
            let change: Change = input.json().map_err(|stop| match stop {
                Stop::Reject(why) => {
                    Stop::reject(format!("input {} of {}: {why}", n + 1, inputs.len()))
                }
                other => other,
            })?;
            changes.push(change);
        }
        let commits = by_commit(&changes);
        let leaks: usize = changes.iter().map(|change| change.findings.len()).sum();
        let mut output = Output::pass()
            .bytes("text/markdown", page::page(&commits))
            .label("leaks", leaks.to_string())
            // these were of one file, and the report is of all
            .unlabel("path")
            .unlabel("status");
        output = match highest(&changes) {
            Some(level) => output.label("risk", level),
            None => output.unlabel("risk"),
        };
        output = match commits.as_slice() {
            [(commit, _)] => output.label_text("subject", &commit.subject),
            _ => output.unlabel("subject"),
        };
        log::info!(files = changes.len(), commits = commits.len(), leaks = leaks; "reported");
        Ok(output.into())
    }
}

/// The commits in the order of the patch, each with its files: those of most risk first.
fn by_commit(changes: &[Change]) -> Vec<(&Commit, Vec<&Change>)> {
    let mut commits: Vec<(&Commit, Vec<&Change>)> = Vec::new();
    for change in changes {
        // the files of a commit come one after the other
        match commits.last_mut() {
            Some((commit, files)) if *commit == &change.commit => files.push(change),
            _ => commits.push((&change.commit, vec![change])),
        }
    }
    for (_, files) in &mut commits {
        files.sort_by(|a, b| {
            b.score()
                .cmp(&a.score())
                .then_with(|| a.file.path.cmp(&b.file.path))
        });
    }
    commits
}

/// The highest level of risk; none if nothing was scored.
fn highest(changes: &[Change]) -> Option<&'static str> {
    let levels: Vec<&str> = changes
        .iter()
        .filter_map(|change| Some(change.risk.as_ref()?.level.as_str()))
        .collect();
    match levels.as_slice() {
        [] => None,
        levels if levels.contains(&"high") => Some("high"),
        _ => Some("low"),
    }
}

andon_station::export!(Report);

#[cfg(test)]
mod tests;
