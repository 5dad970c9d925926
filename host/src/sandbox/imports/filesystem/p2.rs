//! The calls of `wasi:filesystem/types` 0.2.

mod streams;

use super::{
    Node, Open, hash,
    listing::{self, Listing},
    node, on,
    place::{Facts, How, Mode, Times},
    push, time,
};
use crate::sandbox::state::State;
use rustix::{fs::FileType, io::Errno};
use std::{collections::VecDeque, io, sync::Arc, time::SystemTime};
use streams::{FileInput, FileOutput};
use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::{clocks::wall_clock::Datetime, filesystem::types},
    },
};

type Fd = Resource<Descriptor>;
type Entries = Resource<types::DirectoryEntryStream>;

/// What the guest sees of an error, unless it is what ends the visit.
fn error(error: io::Error) -> FsError {
    match Open::over(&error) {
        Some(over) => FsError::trap(over),
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

/// Makes a call on what a descriptor stands for.
async fn call<R: Send + 'static>(
    state: &mut State,
    fd: &Fd,
    call: impl FnOnce(&Arc<Open>) -> io::Result<R> + Send + 'static,
) -> FsResult<R> {
    let open = node(state, fd).map_err(FsError::trap)?;
    on(open, call).await.map_err(error)
}

/// A folder that is being read, with what was read ahead.
struct Reading {
    open: Arc<Open>,
    listing: Option<Listing>,
    ahead: VecDeque<listing::Entry>,
}

impl types::Host for State {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<io::Error>().map(code))
    }
}

impl types::HostDescriptor for State {
    async fn advise(
        &mut self,
        fd: Fd,
        _: types::Filesize,
        _: types::Filesize,
        _: types::Advice,
    ) -> FsResult<()> {
        // The host reads ahead as it thinks best; advice of a guest's costs it nothing.
        call(self, &fd, |open| open.plain().map(|_| ())).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        call(self, &fd, |open| open.file.sync_data()).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<types::DescriptorFlags> {
        let open = node(self, &fd).map_err(FsError::trap)?;
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

    async fn get_type(&mut self, fd: Fd) -> FsResult<types::DescriptorType> {
        // The adapter of WASI 0.1 asks this of each folder at the start.
        if super::is_promised(self, &fd).map_err(FsError::trap)? {
            return Ok(types::DescriptorType::Directory);
        }
        let open = node(self, &fd).map_err(FsError::trap)?;
        Ok(if open.folder {
            types::DescriptorType::Directory
        } else {
            types::DescriptorType::RegularFile
        })
    }

    async fn set_size(&mut self, fd: Fd, size: types::Filesize) -> FsResult<()> {
        call(self, &fd, move |open| open.set_size(size)).await
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let times = times(accessed, modified).map_err(error)?;
        call(self, &fd, move |open| open.set_times(times)).await
    }

    async fn read(
        &mut self,
        fd: Fd,
        len: types::Filesize,
        offset: types::Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(super::CHUNK);
        call(self, &fd, move |open| {
            let mut bytes = vec![0; len];
            let read = open.read_at(&mut bytes, offset)?;
            bytes.truncate(read);
            Ok((bytes, read == 0))
        })
        .await
    }

    async fn write(
        &mut self,
        fd: Fd,
        bytes: Vec<u8>,
        offset: types::Filesize,
    ) -> FsResult<types::Filesize> {
        let at = super::place::At::Offset(offset);
        call(self, &fd, move |open| Ok(open.write(&bytes, at)? as u64)).await
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Entries> {
        let open = node(self, &fd).map_err(FsError::trap)?;
        let listing = on(open.clone(), Listing::of).await.map_err(error)?;
        let reading = Reading {
            open,
            listing: Some(listing),
            ahead: VecDeque::new(),
        };
        let reading = self.table.push(reading)?;
        Ok(Resource::new_own(reading.rep()))
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        call(self, &fd, |open| open.file.sync_all()).await
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        call(self, &fd, move |open| open.create_folder(&path)).await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<types::DescriptorStat> {
        let facts = call(self, &fd, |open| open.facts()).await?;
        Ok(stat(&facts))
    }

    async fn stat_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        let facts = call(self, &fd, move |open| open.facts_at(&path, follow(flags))).await?;
        Ok(stat(&facts))
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let times = times(accessed, modified).map_err(error)?;
        let follow = follow(flags);
        call(self, &fd, move |open| {
            open.set_times_at(&path, follow, times)
        })
        .await
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        old: String,
        to: Fd,
        new: String,
    ) -> FsResult<()> {
        let to = node(self, &to).map_err(FsError::trap)?;
        let follow = follow(flags);
        call(self, &fd, move |open| open.link(follow, &old, &to, &new)).await
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        mode: types::DescriptorFlags,
    ) -> FsResult<Fd> {
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
        let opened = call(self, &fd, move |open| open.open_at(&path, how)).await?;
        Ok(push(&mut self.table, Node::Open(Arc::new(opened)))?)
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        super::drop_node(self, &fd)
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        call(self, &fd, move |open| open.read_link(&path)).await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        call(self, &fd, move |open| open.remove_folder(&path)).await
    }

    async fn rename_at(&mut self, fd: Fd, old: String, to: Fd, new: String) -> FsResult<()> {
        let to = node(self, &to).map_err(FsError::trap)?;
        call(self, &fd, move |open| open.rename(&old, &to, &new)).await
    }

    async fn symlink_at(&mut self, fd: Fd, target: String, path: String) -> FsResult<()> {
        call(self, &fd, move |open| open.link_to(&target, &path)).await
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        call(self, &fd, move |open| open.unlink(&path)).await
    }

    fn read_via_stream(
        &mut self,
        fd: Fd,
        offset: types::Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let open = node(self, &fd).map_err(FsError::trap)?;
        if open.folder {
            return Err(types::ErrorCode::IsDirectory.into());
        }
        let stream: DynInputStream = Box::new(FileInput::new(open, offset));
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Fd,
        offset: types::Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let open = node(self, &fd).map_err(FsError::trap)?;
        open.may_write().map_err(error)?;
        let stream: DynOutputStream = Box::new(FileOutput::new(open, Some(offset)));
        Ok(self.table.push(stream)?)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let open = node(self, &fd).map_err(FsError::trap)?;
        open.may_write().map_err(error)?;
        let stream: DynOutputStream = Box::new(FileOutput::new(open, None));
        Ok(self.table.push(stream)?)
    }

    async fn is_same_object(&mut self, fd: Fd, other: Fd) -> wasmtime::Result<bool> {
        let (one, other) = (node(self, &fd)?, node(self, &other)?);
        let (one, other) = (on(one, |o| o.facts()).await, on(other, |o| o.facts()).await);
        Ok(matches!((one, other), (Ok(one), Ok(other)) if one.id == other.id))
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<types::MetadataHashValue> {
        let facts = call(self, &fd, |open| open.facts()).await?;
        let (lower, upper) = hash(&facts);
        Ok(types::MetadataHashValue { lower, upper })
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        let facts = call(self, &fd, move |open| open.facts_at(&path, follow(flags))).await?;
        let (lower, upper) = hash(&facts);
        Ok(types::MetadataHashValue { lower, upper })
    }
}

impl types::HostDirectoryEntryStream for State {
    async fn read_directory_entry(
        &mut self,
        stream: Entries,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        let place = Resource::<Reading>::new_borrow(stream.rep());
        let reading = self.table.get_mut(&place)?;
        if reading.ahead.is_empty()
            && let Some(mut listing) = reading.listing.take()
        {
            let open = reading.open.clone();
            let (listing, batch) = on(open, move |_| {
                let batch = listing.batch();
                (listing, batch)
            })
            .await;
            let reading = self.table.get_mut(&place)?;
            if !batch.is_empty() {
                reading.listing = Some(listing);
            }
            reading.ahead = batch.into();
        }
        match self.table.get_mut(&place)?.ahead.pop_front() {
            None => Ok(None),
            Some(Ok((kind, name))) => Ok(Some(types::DirectoryEntry {
                type_: descriptor_type(kind),
                name,
            })),
            Some(Err(failed)) => Err(error(failed)),
        }
    }

    fn drop(&mut self, stream: Entries) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Reading>::new_own(stream.rep()))?;
        Ok(())
    }
}

fn follow(flags: types::PathFlags) -> bool {
    flags.contains(types::PathFlags::SYMLINK_FOLLOW)
}

fn times(accessed: types::NewTimestamp, modified: types::NewTimestamp) -> io::Result<Times> {
    let of = |time_: types::NewTimestamp| match time_ {
        types::NewTimestamp::NoChange => Ok(None),
        types::NewTimestamp::Now => Ok(Some(SystemTime::now())),
        types::NewTimestamp::Timestamp(at) => {
            let seconds = i64::try_from(at.seconds).map_err(|_| Errno::OVERFLOW)?;
            time(seconds, at.nanoseconds).map(Some)
        }
    };
    Ok(Times {
        accessed: of(accessed)?,
        modified: of(modified)?,
    })
}

fn stat(facts: &Facts) -> types::DescriptorStat {
    // Times before 1970 have no place in 0.2.
    let time = |(seconds, nanoseconds): (i64, u32)| {
        let seconds = u64::try_from(seconds).ok()?;
        Some(Datetime {
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
        FileType::Unknown => Type::Unknown,
    }
}
