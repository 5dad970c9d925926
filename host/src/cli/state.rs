//! State folders: which one a command means, and what is in it.

use crate::{
    content::Content,
    digest::Digest,
    item::{Body, ItemId, Payload},
    journal::{Journal, JournalError, sqlite::Sqlite},
    workspace::Workspaces,
};
use anyhow::Context as _;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long to wait for a state folder that another process holds.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is tried meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// Which state folder is meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StateArg {
    /// The state folder [default: `.andon` beside the line, or found upwards from here]
    #[arg(long = "state", value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// An open state folder.
pub(super) struct State {
    pub(super) folder: PathBuf,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) content: Content,
    pub(super) workspaces: Workspaces,
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

impl State {
    /// Opens a state folder for this process alone, making it where there is none.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let patience = Instant::now() + PATIENCE;
        let journal = loop {
            match Sqlite::open(folder) {
                // A process that was just killed holds its lock until it is gone.
                Err(JournalError::InUse(_)) if Instant::now() < patience => {
                    std::thread::sleep(POLL);
                }
                opened => break opened?,
            }
        };
        Self::with(folder, Arc::new(journal))
    }

    /// Opens a state folder to look at, also while another process uses it.
    pub(super) fn view(folder: &Path) -> anyhow::Result<Self> {
        let journal: Arc<dyn Journal> = Arc::new(Sqlite::open_read_only(folder)?);
        Self::with(folder, journal)
    }

    /// The bytes of a payload, wherever they are.
    pub(super) fn body(
        &self,
        payload: &Payload,
        workspace: Option<Digest>,
    ) -> anyhow::Result<Vec<u8>> {
        Ok(match &payload.body {
            Body::Inline(bytes) => bytes.to_vec(),
            Body::Stored { digest, .. } => self
                .content
                .get(digest)?
                .with_context(|| format!("blob {digest} is gone"))?
                .to_vec(),
            Body::File(path) => self
                .workspaces
                .snapshots()
                .read(workspace, path, u64::MAX)?
                .to_vec(),
        })
    }

    fn with(folder: &Path, journal: Arc<dyn Journal>) -> anyhow::Result<Self> {
        let content = Content::open(folder.join("blobs"));
        let workspaces = Workspaces::open(folder.join("work"), content.clone(), journal.clone());
        Ok(Self {
            folder: folder.into(),
            journal,
            content,
            workspaces,
        })
    }
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
