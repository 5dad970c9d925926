//! What a station answers, checked as what it is: input from somebody who may be hostile.

use super::{folders::Contents, imports::Files};
use crate::{
    escape::shown,
    item::{Body, Labels, Payload},
    limits::{Limit, Limits},
    name::Name,
    visit::{Outcome, Output, Visit},
};
use bytes::Bytes;
use std::{
    path::{Component, Path},
    sync::Arc,
};

/// The longest path of a body's file.
const PATH: usize = 1024;
/// The longest reason that a station gives; what is longer is cut.
pub(crate) const REASON: usize = 4 << 10;

/// Why an answer is none that a station may give.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("output {0}: `{1}` is no port: {2}")]
    Port(usize, String, &'static str),
    #[error("output {0}: {1}")]
    Label(usize, crate::item::LabelProblem),
    #[error("output {0}: `{1}` is no media type: at most 255 bytes of printable ASCII are")]
    MediaType(usize, String),
    #[error("output {0}: `{1}` is no file of the workspace: {2}")]
    File(usize, String, String),
    #[error("{0}")]
    Form(String),
    #[error("over the limit `{}`", .0.key())]
    Over(Limit),
    #[error("cannot keep output {0}: {1}")]
    Keep(usize, String),
}

impl Unfit {
    /// How the attempt ends.
    pub(crate) fn outcome(self, limits: &Limits) -> Outcome {
        match self {
            Self::Over(limit) => overrun(limit, limits),
            // Not the station's doing, and likely to pass.
            Self::Keep(..) => Outcome::Retry {
                reason: self.to_string(),
                after: None,
            },
            other => Outcome::Invalid(other.to_string()),
        }
    }
}

/// The outcome of a visit that ran into a limit.
pub(crate) fn overrun(limit: Limit, limits: &Limits) -> Outcome {
    Outcome::Overrun {
        limit,
        value: limits.written(limit),
    }
}

/// A body as a station gave it.
pub(crate) enum Given {
    Bytes(Bytes),
    File(String),
}

/// Outputs that were checked, wherever they come from.
pub(crate) struct Outputs<'a> {
    limits: &'a Limits,
    bytes: u64,
    /// Of the files that are bodies, each counted as often as it is one.
    files: u64,
    outputs: Vec<Output>,
}

/// An output without its body.
pub(crate) struct Head {
    port: Name,
    content_type: String,
    labels: Labels,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            bytes: 0,
            files: 0,
            outputs: Vec::new(),
        }
    }

    /// The number of the next one, from 1.
    fn next(&self) -> usize {
        self.outputs.len() + 1
    }

    /// Counts a file that is the body of an output.
    fn files(&mut self, size: u64) -> Result<(), Unfit> {
        self.files = self.files.saturating_add(size);
        match self.files > self.limits.disk {
            true => Err(Unfit::Over(Limit::Disk)),
            false => Ok(()),
        }
    }

    /// Checks all of the next output but where its body is.
    pub(crate) fn admit<'l>(
        &mut self,
        port: &str,
        content_type: &str,
        len: u64,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
    ) -> Result<Head, Unfit> {
        let n = self.next();
        if n as u64 > self.limits.outputs {
            return Err(Unfit::Over(Limit::Outputs));
        }
        let port = port_name(n, port)?;
        if content_type.len() > 255 || !content_type.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(Unfit::MediaType(n, shown(content_type)));
        }
        let mut set = Labels::default();
        let mut size = content_type.len() as u64;
        for (count, (name, value)) in labels.into_iter().enumerate() {
            if count as u64 >= self.limits.labels {
                return Err(Unfit::Over(Limit::Labels));
            }
            size += (name.len() + value.len()) as u64;
            set.set(name, value)
                .map_err(|problem| Unfit::Label(n, problem))?;
        }
        self.bytes = self.bytes.saturating_add(size).saturating_add(len);
        if self.bytes > self.limits.output {
            return Err(Unfit::Over(Limit::Output));
        }
        let content_type = match content_type {
            "" => "application/octet-stream",
            some => some,
        };
        Ok(Head {
            port,
            content_type: content_type.into(),
            labels: set,
        })
    }

    /// Adds an output that was admitted.
    pub(crate) fn add(&mut self, head: Head, body: Body) {
        self.outputs.push(Output {
            port: head.port,
            payload: Payload {
                content_type: head.content_type,
                body,
                labels: head.labels,
            },
        });
    }

    pub(crate) fn all(self) -> Vec<Output> {
        self.outputs
    }
}

/// The outputs of one visit so far.
pub(crate) struct Answer<'a> {
    outputs: Outputs<'a>,
    pub(crate) files: &'a mut Files,
    visit: Arc<Visit>,
    contents: &'a Arc<dyn Contents>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        limits: &'a Limits,
        files: &'a mut Files,
        visit: Arc<Visit>,
        contents: &'a Arc<dyn Contents>,
    ) -> Self {
        Self {
            outputs: Outputs::new(limits),
            files,
            visit,
            contents,
        }
    }

    /// Checks an output and adds it.
    pub(crate) async fn add<'l>(
        &mut self,
        port: &str,
        content_type: &str,
        body: Given,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
    ) -> Result<(), Unfit> {
        let n = self.outputs.next();
        let len = match &body {
            Given::Bytes(bytes) => bytes.len() as u64,
            Given::File(_) => 0,
        };
        let head = self.outputs.admit(port, content_type, len, labels)?;
        let body = match body {
            Given::File(path) => {
                let checked = self.file(&path);
                let size = checked.map_err(|reason| Unfit::File(n, shown(&path), reason))?;
                // A file may go out on many outputs, and is read for each.
                self.outputs.files(size)?;
                Body::File(path)
            }
            Given::Bytes(bytes) if bytes.len() <= Body::INLINE => Body::Inline(bytes),
            Given::Bytes(bytes) => {
                let contents = self.contents.clone();
                let digest = tokio::task::spawn_blocking(move || contents.put(&bytes))
                    .await
                    .map_err(std::io::Error::from)
                    .and_then(|put| put)
                    .map_err(|error| Unfit::Keep(n, error.to_string()))?;
                Body::Stored { digest, len }
            }
        };
        self.outputs.add(head, body);
        Ok(())
    }

    /// All outputs.
    pub(crate) fn outcome(self) -> Outcome {
        Outcome::Passed(self.outputs.all())
    }

    /// Whether `path` is a regular file of the workspace, with nothing that leads out of it.
    fn file(&mut self, path: &str) -> Result<u64, String> {
        file_path(path)?;
        if self.files.entered().is_none() && self.visit.workspace.is_none() {
            return Err("its workspace is empty".into());
        }
        // A file of an earlier station may be passed on by one that touched none.
        let folder = (self.files.enter(&self.visit)).map_err(|error| error.to_string())?;
        regular_file(folder.path(), path)
    }
}

/// Whether a path may name a file of a workspace.
pub(crate) fn file_path(path: &str) -> Result<(), String> {
    let plain = |path: &Path| {
        path.components()
            .all(|part| matches!(part, Component::Normal(_)))
    };
    if path.is_empty() || path.len() > PATH || path.contains('\0') || !plain(Path::new(path)) {
        return Err("a relative path of at most 1024 bytes with no `.` or `..` is wanted".into());
    }
    Ok(())
}

/// Whether a path that may name a file of a workspace does so. Blocks.
pub(crate) fn regular_file(workspace: &Path, path: &str) -> Result<u64, String> {
    let found = cap_std::fs::Dir::open_ambient_dir(workspace, cap_std::ambient_authority())
        .and_then(|dir| dir.symlink_metadata(path));
    match found {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Err("it is no regular file".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// A port that a station may name.
pub(crate) fn port_name(n: usize, port: &str) -> Result<Name, Unfit> {
    let unfit = |reason| Err(Unfit::Port(n, shown(port), reason));
    match port.parse::<Name>() {
        Ok(name) if name == *Name::REJECT => {
            unfit("`reject` is reserved for the stop of that name")
        }
        Ok(name) if name == *Name::EXHAUSTED => unfit("`exhausted` is reserved for the host"),
        Ok(name) => Ok(name),
        Err(_) => unfit("1 to 64 of `a-z`, `0-9` and `-` are, and begin with no `-`"),
    }
}
