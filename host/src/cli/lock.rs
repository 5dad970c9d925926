//! `andon lock`: what changed since a line was accepted, and accepting it.

use super::{Done, print, state::FactoryArg, terminal};
use crate::{
    assembly::{Assembly, AssemblyError, lock as file},
    lock::{Change, What, changes},
};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Accept a line as it is: pin its components, assets and grants in `line.lock`
///
/// Shows what changed since it was last accepted, and asks for what is another component or asset, is
/// newly asked for by a station, or is more than was granted. Where there is a lock, the line runs only
/// as it was accepted; where there is none, it runs as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Lock {
    /// The line: its folder or `line.toml`.
    #[arg(default_value = ".")]
    line: PathBuf,
    /// Accept this change without being asked, by the name that is shown for it; once for each.
    #[arg(long, value_name = "WHAT")]
    accept: Vec<String>,
    /// Write nothing; the exit code is 1 if the lock is not there or not as the line is.
    #[arg(long, conflicts_with = "accept")]
    check: bool,
    /// Print one JSON object, and ask nothing.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    factory: FactoryArg,
}

impl Lock {
    pub(super) fn execute(self) -> anyhow::Result<Done> {
        let assembly = Assembly {
            factory: self.factory.path(),
            state: None,
            exe: std::env::current_exe()?,
            say: &print::note,
        };
        let wrong = |error: AssemblyError| match error {
            AssemblyError::Problems(problems) => Ok(super::check::wrong(&problems)),
            error => Err(error.into()),
        };
        let assembled = match assembly.assemble_unlocked(&self.line) {
            Ok(assembled) => assembled,
            Err(error) => return wrong(error),
        };
        let path = assembled.lock.as_deref().with_context(|| {
            format!(
                "`{}` is a station, and only lines have a lock\n  hint: name a line's folder or `line.toml`",
                self.line.display()
            )
        })?;
        let before = match file::read(path) {
            Ok(before) => before,
            Err(error) => return wrong(error),
        };
        let now = assembled.pinned();
        let changes = changes(before.as_ref().map(|locked| &locked.lock), &now);
        for text in &self.accept {
            if !changes.iter().any(|change| change.is_accepted_by(text)) {
                bail!(
                    "`--accept {}`: nothing that has to be accepted has this name\n  hint: `andon lock --check` shows the names",
                    print::line(text)
                );
            }
        }
        let accepted = |change: &Change| self.accept.iter().any(|t| change.is_accepted_by(t));
        let open: Vec<&Change> = changes
            .iter()
            .filter(|change| change.needs_acceptance() && !accepted(change))
            .collect();
        let same = before
            .as_ref()
            .is_some_and(|locked| locked.text == now.to_text());
        if !self.json {
            show(&changes)?;
        }
        let accepted = !self.check && (open.is_empty() || (!self.json && ask(&open)?));
        if accepted && !same {
            file::write(path, before.as_ref(), &now)?;
        }
        let shown = path.display();
        if self.json {
            print::json(&json!({
                "lock": shown.to_string(),
                "first": before.is_none(),
                "changes": changes.iter().map(about).collect::<Vec<_>>(),
                "to-accept": open.iter().filter_map(|change| change.exact_name()).collect::<Vec<_>>(),
                "written": accepted && !same,
            }))?;
        } else if same {
            print::note(&format!("`{shown}` is up to date"));
        } else if accepted {
            let stations = print::count(now.stations.len() as u64, "station");
            print::note(&format!("wrote `{shown}`: {stations}"));
        } else {
            print::note(&refused(&shown.to_string(), &open));
        }
        Ok(if accepted || same {
            Done::Well
        } else {
            Done::Wrong
        })
    }
}

/// One line a change; those that have to be accepted are marked.
fn show(changes: &[Change]) -> Result<(), print::OutputError> {
    for change in changes {
        let mark = if change.needs_acceptance() {
            "accept"
        } else {
            ""
        };
        print::text(&format!("{mark:<6} {}", print::line(&change.to_string())))?;
    }
    Ok(())
}

/// Asks whether to accept what is still open; no where nobody is there to answer.
fn ask(open: &[&Change]) -> anyhow::Result<bool> {
    let these = match open.len() {
        1 => "the change".to_string(),
        n => format!("the {n} changes"),
    };
    let answer = terminal::confirmed(&format!("accept {these} marked `accept`?"))?;
    Ok(answer == Some(true))
}

fn refused(path: &str, open: &[&Change]) -> String {
    if open.is_empty() {
        return format!("`{path}` is not as the line is\n  hint: `andon lock` writes it");
    }
    let names: Vec<String> = open
        .iter()
        .filter_map(|change| change.exact_name())
        .map(|name| format!("\n    --accept {}", quoted(&name)))
        .collect();
    let changes = print::count(open.len() as u64, "change");
    format!(
        "`{path}` was not written: {changes} to accept\n  hint: `andon lock` asks on a terminal; without one it takes them by their names:{}",
        names.concat()
    )
}

/// A text as a shell reads it back.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn about(change: &Change) -> Value {
    let mut about = json!({
        "station": change.station,
        "effect": change.effect.as_str(),
        "accept": change.exact_name(),
        "text": change.to_string(),
    });
    let (what, old, new) = match &change.what {
        What::Var { name, old, new } => {
            about["name"] = json!(name);
            ("var", json!(old), json!(new))
        }
        What::Outside { place, old, new } => {
            about["place"] = json!(place);
            ("outside", json!(old), json!(new))
        }
        What::Use { old, new } => ("use", json!(old), json!(new)),
        What::Component { old, new } => ("component", json!(old), json!(new)),
        What::Asset { guest, old, new } => {
            about["guest"] = json!(guest);
            ("asset", json!(old), json!(new))
        }
        What::Need { need, new } => {
            about["why"] = json!(need.why);
            let what = json!(need.what);
            match new {
                true => ("requires", Value::Null, what),
                false => ("requires", what, Value::Null),
            }
        }
        What::Grant { old, new } => ("grant", json!(old), json!(new)),
    };
    about["what"] = json!(what);
    about["old"] = old;
    about["new"] = new;
    about
}
