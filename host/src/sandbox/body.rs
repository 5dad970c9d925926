//! The bodies of a visit's inputs, read piece by piece from where they are.

use super::{folders::Contents, state::State};
use crate::{digest::Digest, item::Body};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    sync::Arc,
};

/// The bodies of some payloads, one after the other.
#[derive(Default)]
pub(crate) struct Source(VecDeque<Piece>);

enum Piece {
    Memory(Bytes),
    File(File),
}

impl Source {
    /// The bodies of all of the visit's inputs.
    pub(crate) async fn of(state: &mut State, contents: &Arc<dyn Contents>) -> io::Result<Self> {
        let visit = state.visit.clone();
        let mut pieces = VecDeque::with_capacity(visit.inputs.len());
        for (n, input) in visit.inputs.iter().enumerate() {
            pieces.push_back(match &input.body {
                Body::Inline(bytes) => Piece::Memory(bytes.clone()),
                Body::Stored { digest, .. } => Piece::File(open(contents, digest).await?),
                Body::File(path) => Piece::File(workspace_file(state, n, path)?),
            });
        }
        Ok(Self(pieces))
    }

    /// The next bytes, at most `most` of them; none at the end.
    pub(crate) fn next(&mut self, most: usize) -> io::Result<Bytes> {
        while let Some(piece) = self.0.front_mut() {
            let bytes = match piece {
                Piece::Memory(bytes) => bytes.split_to(most.min(bytes.len())),
                Piece::File(file) => {
                    let mut buffer = vec![0; most];
                    let read = file.read(&mut buffer)?;
                    buffer.truncate(read);
                    buffer.into()
                }
            };
            if !bytes.is_empty() || most == 0 {
                return Ok(bytes);
            }
            self.0.pop_front();
        }
        Ok(Bytes::new())
    }
}

/// Reads a large body whole.
pub(crate) async fn read(
    contents: &Arc<dyn Contents>,
    digest: &Digest,
) -> wasmtime::Result<Vec<u8>> {
    let (contents, digest) = (contents.clone(), *digest);
    let read = move || {
        let mut bytes = Vec::new();
        contents.open(&digest)?.read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    Ok(tokio::task::spawn_blocking(read).await??)
}

async fn open(contents: &Arc<dyn Contents>, digest: &Digest) -> io::Result<File> {
    let (contents, digest) = (contents.clone(), *digest);
    tokio::task::spawn_blocking(move || contents.open(&digest)).await?
}

/// A file of the workspace that the `n`-th input came with: at a join each has its own.
fn workspace_file(state: &mut State, n: usize, path: &str) -> io::Result<File> {
    let is_join = !state.visit.joined.is_empty();
    let folder = state.files.enter(&state.visit)?;
    let joined = folder.joined().get(n).copied().flatten();
    let home = match joined {
        Some(joined) => joined,
        None if is_join => return Err(io::Error::other(format!("input {n} has no workspace"))),
        None => folder.path(),
    };
    let dir = cap_std::fs::Dir::open_ambient_dir(home, cap_std::ambient_authority())?;
    if !dir.symlink_metadata(path)?.is_file() {
        return Err(io::Error::other(format!(
            "`{}` is no regular file of the workspace",
            crate::escape::shown(path)
        )));
    }
    Ok(dir.open(path)?.into_std())
}
