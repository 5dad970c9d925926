//! Bodies of requests: read to their end before anything is sent, so that a guest that ends does not
//! leave half a request behind.

use crate::{
    digest::Digest,
    sandbox::way::{Failure, Refusal, WayBody},
};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::task::{JoinHandle, spawn_blocking};

/// What is kept in memory; more goes to a file that has no name.
const MEMORY: usize = 64 << 10;
/// How much is read of the file at a time.
const PIECE: usize = 64 << 10;

/// A body that was read to its end.
#[derive(Debug)]
pub(super) enum Spool {
    /// A short one.
    Memory(Bytes),
    /// A long one: the file, how much of it is left, and the piece that is being read.
    File {
        file: Option<File>,
        left: u64,
        reading: Option<JoinHandle<io::Result<(File, Bytes)>>>,
    },
}

impl Spool {
    /// Reads a body, and its digest. `count` is told of each piece and may end it.
    pub(super) async fn fill(
        mut body: WayBody,
        count: impl Fn(u64) -> Result<(), Refusal>,
    ) -> Result<(Self, Digest), Refusal> {
        let mut hasher = blake3::Hasher::new();
        let mut memory = BytesMut::new();
        let mut file: Option<(File, u64)> = None;
        while let Some(frame) = body.frame().await {
            // Trailers are not sent on.
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            count(data.len() as u64)?;
            if file.is_none() && memory.is_empty() && data.len() <= MEMORY && body.is_end_stream() {
                let digest = Digest::of(&data);
                return Ok((Self::Memory(data), digest));
            }
            hasher.update(&data);
            memory.extend_from_slice(&data);
            if memory.len() > MEMORY {
                file = Some(written(file, memory.split().freeze()).await?);
            }
        }
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        let spool = match file {
            None => Self::Memory(memory.freeze()),
            Some(_) => {
                let (mut file, left) = written(file, memory.freeze()).await?;
                file.rewind().map_err(broken)?;
                Self::File {
                    file: Some(file),
                    left,
                    reading: None,
                }
            }
        };
        Ok((spool, digest))
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { left, .. } => *left,
        }
    }

    /// The same once more, where it is in memory.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Memory(bytes) => Some(Self::Memory(bytes.clone())),
            Self::File { .. } => None,
        }
    }
}

/// Appends to the file, which is made where there is none.
async fn written(file: Option<(File, u64)>, bytes: Bytes) -> Result<(File, u64), Refusal> {
    let write = move || {
        let (mut file, len) = match file {
            Some(file) => file,
            None => (tempfile::tempfile()?, 0),
        };
        file.write_all(&bytes)?;
        Ok((file, len + bytes.len() as u64))
    };
    let written = spawn_blocking(write).await.map_err(io::Error::from);
    written.and_then(|result| result).map_err(broken)
}

fn broken(error: io::Error) -> Refusal {
    tracing::warn!("the body of a request cannot be kept: {error}");
    Refusal::Failed(Failure::Broken)
}

impl Body for Spool {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File {
                file,
                left,
                reading,
            } => {
                if *left == 0 {
                    return Poll::Ready(None);
                }
                let piece = reading.get_or_insert_with(|| {
                    let (file, size) = (file.take(), PIECE.min(*left as usize));
                    spawn_blocking(move || {
                        let mut file = file.ok_or(io::ErrorKind::UnexpectedEof)?;
                        let mut piece = vec![0; size];
                        file.read_exact(&mut piece)?;
                        Ok((file, piece.into()))
                    })
                });
                let read = ready!(Pin::new(piece).poll(cx));
                *reading = None;
                let (open, piece) = read.map_err(io::Error::from).and_then(|read| read)?;
                *file = Some(open);
                *left -= piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
