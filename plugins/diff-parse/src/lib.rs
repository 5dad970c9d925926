//! Splits a patch, an mbox or a mail into one item per changed file.
//!
//! `mail` finds the patches and who they are from, `patch` reads their files and hunks into what
//! `change` describes, `encoding` knows the encodings of mail and of git's paths. This module only
//! makes outputs of the result.

mod change;
mod encoding;
mod mail;
mod patch;

use andon_station::prelude::*;
use change::Change;

/// The station.
#[derive(Debug)]
pub struct DiffParse;

impl Station for DiffParse {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let input = inputs.one()?;
        let bytes = input.bytes()?;
        let mails = mail::split(&bytes);
        let mut changes: Vec<Change> = Vec::new();
        for (n, mail) in mails.iter().enumerate() {
            let found = patch::parse(&mail.body, &mail.commit).map_err(|error| {
                let from = if mails.len() > 1 {
                    format!(
                        " (mail {} of {}, `{}`)",
                        n + 1,
                        mails.len(),
                        mail.commit.subject.escape_debug()
                    )
                } else {
                    String::new()
                };
                Stop::reject(format!("{error}{from}"))
            })?;
            changes.extend(found);
        }
        if changes.is_empty() {
            return Err(Stop::reject(
                "no changed file in it; hint: a patch as `git diff` or `git format-patch` writes it is expected",
            ));
        }
        log::info!(mails = mails.len(), files = changes.len(); "parsed");
        changes.iter().map(output).collect()
    }
}

fn output(change: &Change) -> Result<Output> {
    Ok(Output::pass()
        .json(change)?
        .label_text("path", &change.file.path)
        .label("status", change.file.status.name())
        .label_text("subject", &change.commit.subject))
}

andon_station::export!(DiffParse);

#[cfg(test)]
mod tests;
