//! The streams of WASI 0.2 that read and write files.

use super::super::{CHUNK, Open, on, place::At};
use bytes::{Bytes, BytesMut};
use std::{io, mem, sync::Arc};
use wasmtime_wasi::{
    async_trait,
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
    runtime::{AbortOnDropJoinHandle, spawn_blocking},
};

/// What an error is to the guest, unless it is what ends the visit.
fn failed(error: io::Error) -> StreamError {
    match Open::over(&error) {
        Some(over) => StreamError::Trap(over.into()),
        None => StreamError::LastOperationFailed(error.into()),
    }
}

/// Reads a file from some place on.
pub(super) struct FileInput {
    open: Arc<Open>,
    offset: u64,
    state: Reading,
}

enum Reading {
    Idle,
    Busy(AbortOnDropJoinHandle<io::Result<Bytes>>),
    Here(Bytes),
    Failed(io::Error),
    Ended,
}

impl From<io::Result<Bytes>> for Reading {
    fn from(read: io::Result<Bytes>) -> Self {
        match read {
            Ok(bytes) if bytes.is_empty() => Self::Ended,
            Ok(bytes) => Self::Here(bytes),
            Err(error) => Self::Failed(error),
        }
    }
}

fn read(open: &Open, offset: u64, size: usize) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(size.min(CHUNK));
    let n = open.read_at(&mut bytes, offset)?;
    bytes.truncate(n);
    Ok(bytes.freeze())
}

impl FileInput {
    pub(super) fn new(open: Arc<Open>, offset: u64) -> Self {
        Self {
            open,
            offset,
            state: Reading::Idle,
        }
    }

    /// Begins to read, if nothing is under way.
    fn begin(&mut self, size: usize) {
        if !matches!(self.state, Reading::Idle) {
            return;
        }
        let (open, offset) = (self.open.clone(), self.offset);
        self.state = if open.quick() {
            read(&open, offset, size).into()
        } else {
            Reading::Busy(spawn_blocking(move || read(&open, offset, size)))
        };
    }

    async fn settle(&mut self) {
        if let Reading::Busy(task) = &mut self.state {
            self.state = task.await.into();
        }
    }
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size > 0 {
            self.begin(size);
        }
        match &mut self.state {
            Reading::Idle | Reading::Busy(_) => Ok(Bytes::new()),
            Reading::Here(bytes) => {
                let part = bytes.split_to(bytes.len().min(size));
                if bytes.is_empty() {
                    self.state = Reading::Idle;
                }
                self.offset += part.len() as u64;
                Ok(part)
            }
            Reading::Ended => Err(StreamError::Closed),
            Reading::Failed(_) => match mem::replace(&mut self.state, Reading::Ended) {
                Reading::Failed(error) => Err(failed(error)),
                _ => Err(StreamError::Closed),
            },
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.settle().await;
        if size > 0 {
            self.begin(size);
            self.settle().await;
        }
        self.read(size)
    }

    async fn cancel(&mut self) {
        if let Reading::Busy(task) = mem::replace(&mut self.state, Reading::Ended) {
            // Whoever drops many streams waits for each, so that they do not pile up.
            task.cancel().await;
        }
    }
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {
        self.begin(4 << 10);
        self.settle().await;
    }
}

/// Writes a file from some place on, or at its end.
pub(super) struct FileOutput {
    open: Arc<Open>,
    /// None: at its end.
    offset: Option<u64>,
    state: Writing,
}

enum Writing {
    Ready,
    Busy(AbortOnDropJoinHandle<(io::Result<()>, u64)>),
    Failed(io::Error),
    Ended,
}

/// Writes all of it: what came of it, and how many bytes were written.
fn write(open: &Open, mut bytes: &[u8], offset: Option<u64>) -> (io::Result<()>, u64) {
    let mut written = 0;
    while !bytes.is_empty() {
        let at = match offset {
            Some(offset) => At::Offset(offset.saturating_add(written)),
            None => At::End,
        };
        match open.write(bytes, at) {
            Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), written),
            Ok(n) => {
                bytes = &bytes[n..];
                written += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), written),
        }
    }
    (Ok(()), written)
}

impl FileOutput {
    pub(super) fn new(open: Arc<Open>, offset: Option<u64>) -> Self {
        Self {
            open,
            offset,
            state: Writing::Ready,
        }
    }

    fn wrote(&mut self, (result, bytes): (io::Result<()>, u64)) {
        if let Some(offset) = &mut self.offset {
            *offset = offset.saturating_add(bytes);
        }
        self.state = match result {
            Ok(()) => Writing::Ready,
            Err(error) => Writing::Failed(error),
        };
    }

    /// An error that has not been told yet; afterwards the stream is closed.
    fn told(&mut self) -> StreamResult<()> {
        match self.state {
            Writing::Ready | Writing::Busy(_) => Ok(()),
            Writing::Ended => Err(StreamError::Closed),
            Writing::Failed(_) => match mem::replace(&mut self.state, Writing::Ended) {
                Writing::Failed(error) => Err(failed(error)),
                _ => Err(StreamError::Closed),
            },
        }
    }
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.state {
            Writing::Ready => {}
            Writing::Ended => return Err(StreamError::Closed),
            Writing::Busy(_) | Writing::Failed(_) => {
                return Err(StreamError::trap("written to without asking `check-write`"));
            }
        }
        let (open, offset) = (self.open.clone(), self.offset);
        if open.quick() {
            self.wrote(write(&open, &bytes, offset));
            // A limit ends the visit here, not when the guest next asks.
            if let Writing::Failed(error) = &self.state
                && Open::over(error).is_some()
            {
                return self.told();
            }
        } else {
            let task = spawn_blocking(move || write(&open, &bytes, offset));
            self.state = Writing::Busy(task);
        }
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.ready().await;
        self.told()?;
        let offset = self.offset;
        let written = on(self.open.clone(), move |open| write(open, &bytes, offset)).await;
        self.wrote(written);
        self.told()
    }

    fn flush(&mut self) -> StreamResult<()> {
        // Nothing is held back.
        self.told()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.told()?;
        Ok(match self.state {
            Writing::Ready => CHUNK,
            _ => 0,
        })
    }

    async fn cancel(&mut self) {
        if let Writing::Busy(task) = mem::replace(&mut self.state, Writing::Ended) {
            task.cancel().await;
        }
    }
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {
        if let Writing::Busy(task) = &mut self.state {
            let written = task.await;
            self.wrote(written);
        }
    }
}
