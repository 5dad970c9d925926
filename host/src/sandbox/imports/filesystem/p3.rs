//! The calls of `wasi:filesystem/types` 0.3.

mod streams;

use super::{
    Node, Open, Ours, hash, node, on,
    place::{At, Facts, How, Mode, Times},
    push, time,
};
use crate::sandbox::state::State;
use rustix::{fs::FileType, io::Errno};
use std::{io, iter, sync::Arc, time::SystemTime};
use streams::{Entries, FileReader, FileWriter};
use tokio::sync::oneshot;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime_wasi::{
    filesystem::Descriptor,
    p3::{
        bindings::{clocks::system_clock::Instant, filesystem::types},
        filesystem::{FilesystemError, FilesystemResult},
    },
};

type Fd = Resource<Descriptor>;
type Ended = FutureReader<Result<(), types::ErrorCode>>;

/// What the guest sees of an error, unless it is what ends the visit.
fn error(error: io::Error) -> FilesystemError {
    match Open::over(&error) {
        Some(over) => FilesystemError::trap(over),
        None => code(&error).into(),
    }
}

fn code(error: &io::Error) -> types::ErrorCode {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::XDEV) => types::ErrorCode::CrossDevice,
        Some(Errno::DQUOT) => types::ErrorCode::Quota,
        Some(Errno::ROFS) => types::ErrorCode::ReadOnly,
        Some(Errno::TXTBSY) => types::ErrorCode::TextFileBusy,
        _ => error.into(),
    }
}

/// What a descriptor stands for.
fn at<U>(store: &Accessor<U, Ours>, fd: &Fd) -> FilesystemResult<Arc<Open>> {
    store
        .with(|mut store| node(store.get(), fd))
        .map_err(FilesystemError::trap)
}

/// Makes a call on what a descriptor stands for.
async fn call<U, R: Send + 'static>(
    store: &Accessor<U, Ours>,
    fd: &Fd,
    call: impl FnOnce(&Arc<Open>) -> io::Result<R> + Send + 'static,
) -> FilesystemResult<R> {
    on(at(store, fd)?, call).await.map_err(error)
}

impl types::Host for State {
    fn convert_error_code(&mut self, error: FilesystemError) -> wasmtime::Result<types::ErrorCode> {
        error.downcast()
    }
}

impl types::HostDescriptor for State {
    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        super::drop_node(self, &fd)
    }
}

/// Has a file take what a stream brings.
fn take<U>(
    mut store: Access<'_, U, Ours>,
    fd: &Fd,
    mut data: StreamReader<u8>,
    to: At,
) -> wasmtime::Result<Ended> {
    let (end, ended) = oneshot::channel();
    let open = node(store.get(), fd)?;
    match open.may_write() {
        Ok(()) => data.pipe(&mut store, FileWriter::new(open, to, end))?,
        Err(error) => {
            data.close(&mut store)?;
            // Nobody waits for the answer of a stream that was dropped.
            let _ = end.send(Err(code(&error)));
        }
    }
    FutureReader::new(&mut store, ended)
}

impl<U> types::HostDescriptorWithStore<U> for Ours {
    fn read_via_stream(
        mut store: Access<U, Self>,
        fd: Fd,
        offset: types::Filesize,
    ) -> wasmtime::Result<(StreamReader<u8>, Ended)> {
        let (end, ended) = oneshot::channel();
        let open = node(store.get(), &fd)?;
        let stream = if open.folder {
            let _ = end.send(Err(types::ErrorCode::IsDirectory));
            StreamReader::new(&mut store, iter::empty())?
        } else {
            StreamReader::new(&mut store, FileReader::new(open, offset, end))?
        };
        Ok((stream, FutureReader::new(&mut store, ended)?))
    }

    fn write_via_stream(
        store: Access<'_, U, Self>,
        fd: Fd,
        data: StreamReader<u8>,
        offset: types::Filesize,
    ) -> wasmtime::Result<Ended> {
        take(store, &fd, data, At::Offset(offset))
    }

    fn append_via_stream(
        store: Access<'_, U, Self>,
        fd: Fd,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<Ended> {
        take(store, &fd, data, At::End)
    }

    async fn advise(
        store: &Accessor<U, Self>,
        fd: Fd,
        _: types::Filesize,
        _: types::Filesize,
        _: types::Advice,
    ) -> FilesystemResult<()> {
        // The host reads ahead as it thinks best; advice of a guest's costs it nothing.
        call(store, &fd, |open| open.plain().map(|_| ())).await
    }

    async fn sync_data(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<()> {
        call(store, &fd, |open| open.file.sync_data()).await
    }

    async fn get_flags(
        store: &Accessor<U, Self>,
        fd: Fd,
    ) -> FilesystemResult<types::DescriptorFlags> {
        let open = at(store, &fd)?;
        let mut flags = types::DescriptorFlags::empty();
        if open.mode.read {
            flags |= types::DescriptorFlags::READ;
        }
        if open.mode.write {
            flags |= if open.folder {
                types::DescriptorFlags::MUTATE_DIRECTORY
            } else {
                types::DescriptorFlags::WRITE
            };
        }
        Ok(flags)
    }

    async fn get_type(
        store: &Accessor<U, Self>,
        fd: Fd,
    ) -> FilesystemResult<types::DescriptorType> {
        let promised = store.with(|mut store| super::is_promised(store.get(), &fd));
        if promised.map_err(FilesystemError::trap)? || at(store, &fd)?.folder {
            return Ok(types::DescriptorType::Directory);
        }
        Ok(types::DescriptorType::RegularFile)
    }

    async fn set_size(
        store: &Accessor<U, Self>,
        fd: Fd,
        size: types::Filesize,
    ) -> FilesystemResult<()> {
        call(store, &fd, move |open| open.set_size(size)).await
    }

    async fn set_times(
        store: &Accessor<U, Self>,
        fd: Fd,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FilesystemResult<()> {
        let times = times(accessed, modified).map_err(error)?;
        call(store, &fd, move |open| open.set_times(times)).await
    }

    fn read_directory(
        mut store: Access<'_, U, Self>,
        fd: Fd,
    ) -> wasmtime::Result<(StreamReader<types::DirectoryEntry>, Ended)> {
        let (end, ended) = oneshot::channel();
        let open = node(store.get(), &fd)?;
        let stream = if open.folder {
            StreamReader::new(&mut store, Entries::new(open, end))?
        } else {
            let _ = end.send(Err(types::ErrorCode::NotDirectory));
            StreamReader::new(&mut store, iter::empty())?
        };
        Ok((stream, FutureReader::new(&mut store, ended)?))
    }

    async fn sync(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<()> {
        call(store, &fd, |open| open.file.sync_all()).await
    }

    async fn create_directory_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        call(store, &fd, move |open| open.create_folder(&path)).await
    }

    async fn stat(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<types::DescriptorStat> {
        let facts = call(store, &fd, |open| open.facts()).await?;
        Ok(stat(&facts))
    }

    async fn stat_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FilesystemResult<types::DescriptorStat> {
        let facts = call(store, &fd, move |open| open.facts_at(&path, follow(flags))).await?;
        Ok(stat(&facts))
    }

    async fn set_times_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FilesystemResult<()> {
        let times = times(accessed, modified).map_err(error)?;
        let follow = follow(flags);
        call(store, &fd, move |open| {
            open.set_times_at(&path, follow, times)
        })
        .await
    }

    async fn link_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: types::PathFlags,
        old: String,
        to: Fd,
        new: String,
    ) -> FilesystemResult<()> {
        let to = at(store, &to)?;
        let follow = follow(flags);
        call(store, &fd, move |open| open.link(follow, &old, &to, &new)).await
    }

    async fn open_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        mode: types::DescriptorFlags,
    ) -> FilesystemResult<Fd> {
        use types::{DescriptorFlags as Flags, OpenFlags};
        let synced =
            Flags::FILE_INTEGRITY_SYNC | Flags::DATA_INTEGRITY_SYNC | Flags::REQUESTED_WRITE_SYNC;
        if mode.intersects(synced) {
            return Err(types::ErrorCode::Unsupported.into());
        }
        let how = How {
            follow: follow(flags),
            create: open.contains(OpenFlags::CREATE),
            exclusive: open.contains(OpenFlags::EXCLUSIVE),
            truncate: open.contains(OpenFlags::TRUNCATE),
            folder: open.contains(OpenFlags::DIRECTORY),
            mode: Mode {
                read: mode.contains(Flags::READ),
                write: mode.contains(Flags::WRITE),
            },
        };
        let opened = call(store, &fd, move |open| open.open_at(&path, how)).await?;
        let opened = Node::Open(Arc::new(opened));
        store
            .with(|mut store| push(&mut store.get().table, opened))
            .map_err(FilesystemError::trap)
    }

    async fn readlink_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<String> {
        call(store, &fd, move |open| open.read_link(&path)).await
    }

    async fn remove_directory_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        call(store, &fd, move |open| open.remove_folder(&path)).await
    }

    async fn rename_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        old: String,
        to: Fd,
        new: String,
    ) -> FilesystemResult<()> {
        let to = at(store, &to)?;
        call(store, &fd, move |open| open.rename(&old, &to, &new)).await
    }

    async fn symlink_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        target: String,
        path: String,
    ) -> FilesystemResult<()> {
        call(store, &fd, move |open| open.link_to(&target, &path)).await
    }

    async fn unlink_file_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        call(store, &fd, move |open| open.unlink(&path)).await
    }

    async fn is_same_object(
        store: &Accessor<U, Self>,
        fd: Fd,
        other: Fd,
    ) -> wasmtime::Result<bool> {
        let (one, other) = store.with(|mut store| {
            let state = store.get();
            wasmtime::error::Ok((node(state, &fd)?, node(state, &other)?))
        })?;
        let (one, other) = (on(one, |o| o.facts()).await, on(other, |o| o.facts()).await);
        Ok(matches!((one, other), (Ok(one), Ok(other)) if one.id == other.id))
    }

    async fn metadata_hash(
        store: &Accessor<U, Self>,
        fd: Fd,
    ) -> FilesystemResult<types::MetadataHashValue> {
        let facts = call(store, &fd, |open| open.facts()).await?;
        let (lower, upper) = hash(&facts);
        Ok(types::MetadataHashValue { lower, upper })
    }

    async fn metadata_hash_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FilesystemResult<types::MetadataHashValue> {
        let facts = call(store, &fd, move |open| open.facts_at(&path, follow(flags))).await?;
        let (lower, upper) = hash(&facts);
        Ok(types::MetadataHashValue { lower, upper })
    }
}

fn follow(flags: types::PathFlags) -> bool {
    flags.contains(types::PathFlags::SYMLINK_FOLLOW)
}

fn times(accessed: types::NewTimestamp, modified: types::NewTimestamp) -> io::Result<Times> {
    let of = |time_: types::NewTimestamp| match time_ {
        types::NewTimestamp::NoChange => Ok(None),
        types::NewTimestamp::Now => Ok(Some(SystemTime::now())),
        types::NewTimestamp::Timestamp(at) => time(at.seconds, at.nanoseconds).map(Some),
    };
    Ok(Times {
        accessed: of(accessed)?,
        modified: of(modified)?,
    })
}

fn stat(facts: &Facts) -> types::DescriptorStat {
    let time = |(seconds, nanoseconds)| {
        Some(Instant {
            seconds,
            nanoseconds,
        })
    };
    types::DescriptorStat {
        type_: descriptor_type(facts.kind),
        link_count: facts.links,
        size: facts.size,
        data_access_timestamp: time(facts.accessed),
        data_modification_timestamp: time(facts.modified),
        status_change_timestamp: time(facts.changed),
    }
}

fn descriptor_type(kind: FileType) -> types::DescriptorType {
    use types::DescriptorType as Type;
    match kind {
        FileType::RegularFile => Type::RegularFile,
        FileType::Directory => Type::Directory,
        FileType::Symlink => Type::SymbolicLink,
        FileType::Fifo => Type::Fifo,
        FileType::Socket => Type::Socket,
        FileType::CharacterDevice => Type::CharacterDevice,
        FileType::BlockDevice => Type::BlockDevice,
        FileType::Unknown => Type::Other(None),
    }
}
