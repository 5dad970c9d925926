//! The streams of WASI 0.3 that read and write files and read folders.

use super::{
    super::{
        Open,
        listing::{self, Listing},
        place::At,
    },
    code, descriptor_type,
};
use bytes::BytesMut;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;
use wasmtime::{
    StoreContextMut,
    component::{Destination, Source, StreamConsumer, StreamProducer, StreamResult, VecBuffer},
};
use wasmtime_wasi::{
    p3::bindings::filesystem::types::{DirectoryEntry, ErrorCode},
    runtime::{AbortOnDropJoinHandle, spawn_blocking},
};

/// Bytes that are read or taken at a time where the guest gives no buffer of its own.
const CHUNK: usize = 8 << 10;

/// Where the guest learns how a stream ended: well, unless it is told otherwise.
struct End(Option<oneshot::Sender<Result<(), ErrorCode>>>);

impl End {
    /// Nothing more comes. What ended the visit is no error of the guest's.
    fn with(&mut self, result: io::Result<()>) -> wasmtime::Result<StreamResult> {
        let result = match result {
            Err(error) => match Open::over(&error) {
                Some(over) => return Err(over.into()),
                None => Err(code(&error)),
            },
            Ok(()) => Ok(()),
        };
        if let Some(end) = self.0.take() {
            // Whoever dropped the future does not want to know.
            let _ = end.send(result);
        }
        Ok(StreamResult::Dropped)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            let _ = end.send(Ok(()));
        }
    }
}

/// A call on a thread of its own, which cannot be called off once it runs.
struct Task<T>(Option<AbortOnDropJoinHandle<T>>);

impl<T: Send + 'static> Task<T> {
    /// What came of the call, which is begun where none is under way.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        begin: impl FnOnce() -> AbortOnDropJoinHandle<T>,
    ) -> Poll<T> {
        let done = ready!(Pin::new(self.0.get_or_insert_with(begin)).poll(cx));
        self.0 = None;
        Poll::Ready(done)
    }
}

/// What a guest that gives up waiting is told; what is under way is for the next time.
fn unless_given_up<T>(poll: Poll<T>, finish: bool) -> Poll<Option<T>> {
    match poll {
        Poll::Pending if finish => Poll::Ready(None),
        poll => poll.map(Some),
    }
}

/// Reads a file from some place on.
pub(super) struct FileReader {
    open: Arc<Open>,
    offset: u64,
    task: Task<io::Result<BytesMut>>,
    end: End,
}

impl FileReader {
    pub(super) fn new(
        open: Arc<Open>,
        offset: u64,
        end: oneshot::Sender<Result<(), ErrorCode>>,
    ) -> Self {
        Self {
            open,
            offset,
            task: Task(None),
            end: End(Some(end)),
        }
    }
}

impl<D> StreamProducer<D> for FileReader {
    type Item = u8;
    type Buffer = BytesMut;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut to: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let me = &mut *self;
        if me.open.quick() {
            let mut to = to.as_direct(store, CHUNK);
            if to.remaining().is_empty() {
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            return Poll::Ready(match me.open.read_at(to.remaining(), me.offset) {
                Ok(0) => me.end.with(Ok(())),
                Ok(n) => {
                    to.mark_written(n);
                    me.offset += n as u64;
                    Ok(StreamResult::Completed)
                }
                Err(error) => me.end.with(Err(error)),
            });
        }
        let (open, offset) = (&me.open, me.offset);
        let read = me.task.poll(cx, || {
            let (open, mut bytes) = (open.clone(), to.take_buffer());
            bytes.resize(CHUNK, 0);
            spawn_blocking(move || {
                let n = open.read_at(&mut bytes, offset)?;
                bytes.truncate(n);
                Ok(bytes)
            })
        });
        let read = ready!(unless_given_up(read, finish));
        Poll::Ready(match read {
            None => Ok(StreamResult::Cancelled),
            Some(Ok(bytes)) if bytes.is_empty() => me.end.with(Ok(())),
            Some(Ok(bytes)) => {
                me.offset += bytes.len() as u64;
                to.set_buffer(bytes);
                Ok(StreamResult::Completed)
            }
            Some(Err(error)) => me.end.with(Err(error)),
        })
    }
}

/// Writes a file from some place on, or at its end.
pub(super) struct FileWriter {
    open: Arc<Open>,
    to: At,
    task: Task<io::Result<usize>>,
    end: End,
}

impl FileWriter {
    pub(super) fn new(
        open: Arc<Open>,
        to: At,
        end: oneshot::Sender<Result<(), ErrorCode>>,
    ) -> Self {
        Self {
            open,
            to,
            task: Task(None),
            end: End(Some(end)),
        }
    }

    fn wrote(&mut self, n: usize) {
        if let At::Offset(offset) = &mut self.to {
            *offset = offset.saturating_add(n as u64);
        }
    }
}

impl<D> StreamConsumer<D> for FileWriter {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        from: Source<'_, Self::Item>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let me = &mut *self;
        let mut from = from.as_direct(store);
        let written = if me.open.quick() {
            me.open.write(from.remaining(), me.to)
        } else {
            let (open, to) = (&me.open, me.to);
            // Also whoever gives up has to know how much was taken, so there is no way but to wait.
            ready!(me.task.poll(cx, || {
                let bytes = from.remaining();
                let bytes = bytes[..bytes.len().min(CHUNK)].to_vec();
                let open = open.clone();
                spawn_blocking(move || open.write(&bytes, to))
            }))
        };
        Poll::Ready(match written {
            Ok(n) => {
                from.mark_read(n);
                me.wrote(n);
                Ok(StreamResult::Completed)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(StreamResult::Completed),
            Err(error) => me.end.with(Err(error)),
        })
    }
}

/// Reads a folder, a batch at a time.
pub(super) struct Entries {
    open: Arc<Open>,
    /// None until the first entry is asked for, and while a batch is read.
    listing: Option<Listing>,
    task: Task<io::Result<(Listing, Vec<listing::Entry>)>>,
    end: End,
}

impl Entries {
    pub(super) fn new(open: Arc<Open>, end: oneshot::Sender<Result<(), ErrorCode>>) -> Self {
        Self {
            open,
            listing: None,
            task: Task(None),
            end: End(Some(end)),
        }
    }
}

/// The next batch of a listing, which is begun where there is none.
fn next(open: &Arc<Open>, listing: Option<Listing>) -> io::Result<(Listing, Vec<listing::Entry>)> {
    let mut listing = match listing {
        Some(listing) => listing,
        None => Listing::of(open)?,
    };
    let batch = listing.batch();
    Ok((listing, batch))
}

impl<D> StreamProducer<D> for Entries {
    type Item = DirectoryEntry;
    type Buffer = VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut to: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // A read of nothing asks whether there may be something.
        if to.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let me = &mut *self;
        let read = if me.open.quick() {
            next(&me.open, me.listing.take())
        } else {
            let (open, listing) = (&me.open, &mut me.listing);
            let read = me.task.poll(cx, || {
                let (open, listing) = (open.clone(), listing.take());
                spawn_blocking(move || next(&open, listing))
            });
            match ready!(unless_given_up(read, finish)) {
                Some(read) => read,
                None => return Poll::Ready(Ok(StreamResult::Cancelled)),
            }
        };
        let (listing, batch) = match read {
            Ok(read) => read,
            Err(error) => return Poll::Ready(me.end.with(Err(error))),
        };
        if batch.is_empty() {
            return Poll::Ready(me.end.with(Ok(())));
        }
        me.listing = Some(listing);
        let mut entries = Vec::with_capacity(batch.len());
        for entry in batch {
            match entry {
                Ok((kind, name)) => entries.push(DirectoryEntry {
                    type_: descriptor_type(kind),
                    name,
                }),
                Err(error) => {
                    // This stream has no place for an error but its end.
                    to.set_buffer(entries.into());
                    return Poll::Ready(me.end.with(Err(error)));
                }
            }
        }
        to.set_buffer(entries.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
