//! `wasi:filesystem/types`, 0.2 and 0.3: our own, over the same calls on places.
//!
//! What the guest holds are numbers of nodes in the visit's table, so both versions and every stream
//! go through [`Open`], where rights are checked, room is counted and denials are noted. Folders that
//! the guest was promised are made real at the first call that uses one.

mod denials;
mod listing;
mod p2;
mod p3;
mod place;
mod room;

pub(crate) use denials::Denials;
pub(crate) use place::{Open, Place};
pub(crate) use room::{Bound, Counted, Room, Shared, Then, User};

use super::preopens::{self, Promise};
use crate::sandbox::state::State;
use rustix::io::Errno;
use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::{
    filesystem::Descriptor, p2::bindings::filesystem::types as old,
    p3::bindings::filesystem::types as new, runtime::spawn_blocking,
};

/// Bytes that are read or taken at a time.
const CHUNK: usize = 64 << 10;

/// What a descriptor of the guest's stands for.
enum Node {
    /// A folder that the guest was told of and has not used yet.
    Promised(Promise),
    Open(Arc<Open>),
}

/// Says that the imports of this module stand on a visit's state.
struct Ours;

impl HasData for Ours {
    type Data<'a> = &'a mut State;
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    old::add_to_linker::<State, Ours>(linker, |state| state)?;
    new::add_to_linker::<State, Ours>(linker, |state| state)
}

/// Tells the guest of a folder.
pub(super) fn promise(
    table: &mut ResourceTable,
    promise: Promise,
) -> Result<Resource<Descriptor>, ResourceTableError> {
    push(table, Node::Promised(promise))
}

fn push(table: &mut ResourceTable, node: Node) -> Result<Resource<Descriptor>, ResourceTableError> {
    Ok(Resource::new_own(table.push(node)?.rep()))
}

fn drop_node(state: &mut State, descriptor: &Resource<Descriptor>) -> wasmtime::Result<()> {
    let node = Resource::<Node>::new_own(descriptor.rep());
    state.table.delete(node)?;
    Ok(())
}

/// Whether the descriptor is a folder that is not used yet.
fn is_promised(state: &State, descriptor: &Resource<Descriptor>) -> wasmtime::Result<bool> {
    let node = state
        .table
        .get(&Resource::<Node>::new_borrow(descriptor.rep()))?;
    Ok(matches!(node, Node::Promised(_)))
}

/// What the descriptor stands for. An error ends the visit: the host cannot give what it promised.
fn node(state: &mut State, descriptor: &Resource<Descriptor>) -> wasmtime::Result<Arc<Open>> {
    let place = Resource::<Node>::new_borrow(descriptor.rep());
    let promise = match state.table.get(&place)? {
        Node::Open(open) => return Ok(open.clone()),
        Node::Promised(promise) => *promise,
    };
    let open = preopens::keep(state, promise)?;
    *state.table.get_mut(&place)? = Node::Open(open.clone());
    Ok(open)
}

/// Makes a call that blocks, where it holds nobody up.
async fn on<R: Send + 'static>(
    open: Arc<Open>,
    call: impl FnOnce(&Arc<Open>) -> R + Send + 'static,
) -> R {
    if open.quick() {
        call(&open)
    } else {
        spawn_blocking(move || call(&open)).await
    }
}

/// A time that is no number of seconds before or after 1970.
fn time(seconds: i64, nanoseconds: u32) -> io::Result<SystemTime> {
    let overflow = || io::Error::from(Errno::OVERFLOW);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    (time.and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds.into()))))
        .ok_or_else(overflow)
}

/// A number that two names of one file share, and that tells nothing of the host.
fn hash(facts: &place::Facts) -> (u64, u64) {
    let (device, inode) = facts.id;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&device.to_le_bytes());
    hasher.update(&inode.to_le_bytes());
    let bytes = hasher.finalize();
    let part = |from: usize| {
        let part = bytes.as_bytes()[from..from + 8].try_into();
        u64::from_le_bytes(part.expect("eight bytes"))
    };
    (part(0), part(8))
}
