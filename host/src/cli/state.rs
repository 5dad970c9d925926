//! Which state folder, which item and which factory a command means.

pub(super) use crate::lines::State;

use crate::{
    item::ItemId,
    journal::{JournalError, sqlite::Sqlite},
};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Which state folder is meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StateArg {
    /// The state folder [default: `.andon` beside the line, or found upwards from here]
    #[arg(long = "state", value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl StateArg {
    /// The folder that was named.
    pub(super) fn path(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The folder of a line in `beside`.
    pub(super) fn of_line(&self, beside: &Path) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.clone(),
            None if beside == Path::new(".") => ".andon".into(),
            None => beside.join(".andon"),
        }
    }

    /// What other commands need to be told to find `folder`: nothing where they find it themselves.
    pub(super) fn words(&self, folder: &Path) -> String {
        let found = std::env::current_dir().is_ok_and(|here| {
            std::fs::canonicalize(folder).is_ok_and(|folder| folder == here.join(".andon"))
        });
        if found {
            String::new()
        } else {
            format!(" --state {}", folder.display())
        }
    }

    /// The folder for commands that name no line: the one given, or the nearest `.andon` upwards.
    pub(super) fn nearest(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let here = std::env::current_dir().context("the current folder cannot be found")?;
        here.ancestors()
            .map(|folder| folder.join(".andon"))
            .find(|folder| Sqlite::is_in(folder))
            .with_context(|| {
                format!(
                    "there is no state folder `.andon` in `{}` or above\n  hint: go to the line's folder, or name one with `--state DIR`",
                    here.display()
                )
            })
    }
}

/// Opens a state folder that there is for this process alone.
pub(super) fn alone(folder: &Path) -> anyhow::Result<State> {
    State::view(folder)?;
    State::open(folder).map_err(|error| match error {
        JournalError::InUse(_) => {
            anyhow::Error::from(error).context("this needs the state folder for itself")
        }
        other => other.into(),
    })
}

/// The item that a person means: by its id, or a beginning that only one of `ids` has.
pub(super) fn choose(text: &str, ids: &[ItemId]) -> anyhow::Result<ItemId> {
    if let Some(id) = ids.iter().find(|id| id.as_str() == text) {
        return Ok(id.clone());
    }
    let mut fitting = ids
        .iter()
        .filter(|id| !text.is_empty() && id.as_str().starts_with(text));
    match (fitting.next(), fitting.count()) {
        (Some(id), 0) => Ok(id.clone()),
        (Some(_), more) => anyhow::bail!(
            "{} items begin with `{}`\n  hint: give more of the id",
            more + 1,
            super::print::line(text)
        ),
        (None, _) => anyhow::bail!(
            "there is no item `{}`\n  hint: `andon items` lists them",
            super::print::line(text)
        ),
    }
}

/// Which factory file is meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct FactoryArg {
    /// The factory's file [default: the nearest `andon.toml` in the line's folder or above]
    #[arg(long = "factory", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl FactoryArg {
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}
