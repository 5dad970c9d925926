//! `wasi:filesystem/types`, 0.2 and 0.3: wasmtime's own, with what it leaves to the host.
//!
//! The folders that the guest was promised are made real at the first call that uses one. In folders
//! of the host's, only regular files and folders are opened: opening a pipe or a device waits for
//! somebody else, or does something.

use super::preopens::{is_promised, keep_promises};
use crate::sandbox::state::State;
use wasmtime::{
    StoreContextMut,
    component::{Accessor, Linker, Resource},
};
use wasmtime_wasi::{
    filesystem::{Descriptor, WasiFilesystem, WasiFilesystemCtxView, WasiFilesystemView as _},
    p2::{self, bindings::filesystem::types as old},
    p3::{bindings::filesystem::types as new, filesystem::FilesystemError},
};

fn files(state: &mut State) -> WasiFilesystemCtxView<'_> {
    keep_promises(state);
    state.filesystem()
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    old::add_to_linker::<State, WasiFilesystem>(linker, files)?;
    new::add_to_linker::<State, WasiFilesystem>(linker, files)?;
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    // The adapter of WASI 0.1 asks this of each folder at the start.
    types.func_wrap_async(
        "[method]descriptor.get-type",
        |mut store: StoreContextMut<'_, State>, (descriptor,): (Resource<Descriptor>,)| {
            Box::new(async move {
                if is_promised(store.data(), &descriptor) {
                    return Ok((Ok(old::DescriptorType::Directory),));
                }
                let mut view = files(store.data_mut());
                let found = old::HostDescriptor::get_type(&mut view, descriptor).await;
                Ok((result(found)?,))
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, State>,
         (descriptor, follow, path, how, flags): (
            Resource<Descriptor>,
            old::PathFlags,
            String,
            old::OpenFlags,
            old::DescriptorFlags,
        )| {
            Box::new(async move {
                let quick = store.data().prepared.quick_files;
                let mut view = files(store.data_mut());
                if !quick {
                    let borrowed = Resource::new_borrow(descriptor.rep());
                    let stat =
                        old::HostDescriptor::stat_at(&mut view, borrowed, follow, path.clone())
                            .await;
                    if let Ok(stat) = stat
                        && !plain(stat.type_)
                    {
                        return Ok((Err(old::ErrorCode::NotPermitted),));
                    }
                }
                let opened =
                    old::HostDescriptor::open_at(&mut view, descriptor, follow, path, how, flags)
                        .await;
                Ok((result(opened)?,))
            })
        },
    )?;
    let mut types = linker.instance("wasi:filesystem/types@0.3.0")?;
    types.func_wrap_concurrent(
        "[method]descriptor.open-at",
        |accessor: &Accessor<State>,
         (descriptor, follow, path, how, flags): (
            Resource<Descriptor>,
            new::PathFlags,
            String,
            new::OpenFlags,
            new::DescriptorFlags,
        )| {
            Box::pin(async move {
                let quick = accessor.with(|mut store| store.data_mut().prepared.quick_files);
                let accessor = &accessor.with_getter::<WasiFilesystem>(files);
                if !quick {
                    let borrowed = Resource::new_borrow(descriptor.rep());
                    let stat = <WasiFilesystem as new::HostDescriptorWithStore<State>>::stat_at(
                        accessor,
                        borrowed,
                        follow,
                        path.clone(),
                    )
                    .await;
                    if let Ok(stat) = stat
                        && !plain_new(&stat.type_)
                    {
                        return Ok((Err(new::ErrorCode::NotPermitted),));
                    }
                }
                let opened = <WasiFilesystem as new::HostDescriptorWithStore<State>>::open_at(
                    accessor, descriptor, follow, path, how, flags,
                )
                .await;
                Ok((match opened {
                    Ok(opened) => Ok(opened),
                    Err(error) => Err(FilesystemError::downcast(error)?),
                },))
            })
        },
    )?;
    Ok(())
}

fn plain(kind: old::DescriptorType) -> bool {
    use old::DescriptorType as Type;
    matches!(
        kind,
        Type::RegularFile | Type::Directory | Type::SymbolicLink
    )
}

fn plain_new(kind: &new::DescriptorType) -> bool {
    use new::DescriptorType as Type;
    matches!(
        kind,
        Type::RegularFile | Type::Directory | Type::SymbolicLink
    )
}

/// What the guest sees, apart from what ends it.
fn result<T>(found: p2::FsResult<T>) -> wasmtime::Result<Result<T, old::ErrorCode>> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}
