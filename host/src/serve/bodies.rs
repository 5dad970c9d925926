//! Bodies of requests: read to their end, within their size and their time, into the room that all who
//! come by one door share. Knows nothing of who they are.

use super::failure::Failure;
use crate::lines::{Fault, FaultKind};
use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::StatusCode,
};
use http_body_util::BodyExt as _;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// The largest body, in bytes: that of the largest input.
pub(super) const LARGEST: usize = 64 << 20;
/// As many KiB of bodies share the room, beside the one that has the spare room.
const SHARED: usize = 3 * LARGEST / 1024;

/// Room for the bodies that come by one door, taken as their bytes come and given back with them.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// In KiB.
    shared: Arc<Semaphore>,
    /// Has room for one body of any size: when all the shared room is taken, one after the other comes to
    /// its end there, and none waits for another that waits.
    spare: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::new(Semaphore::new(SHARED)),
            spare: Arc::new(Semaphore::new(1)),
        }
    }

    /// A whole body, which keeps its room for as long as its bytes are there.
    ///
    /// # Errors
    /// When it is too large, does not end, or takes too long, to come or to find room.
    pub(super) async fn read(&self, mut body: Body, patience: Duration) -> Result<Bytes, Failure> {
        if body.size_hint().lower() > LARGEST as u64 {
            return Err(too_large());
        }
        let until = Instant::now() + patience;
        let mut kept = Kept {
            bytes: Vec::new(),
            place: Place::None,
        };
        loop {
            let frame = match timeout_at(until, body.frame()).await {
                Ok(None) => return Ok(Bytes::from_owner(kept)),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    return Err(Fault::invalid("the body came to no end").into());
                }
                Err(_) => return Err(late(patience)),
            };
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let len = kept.bytes.len() + bytes.len();
            if len > LARGEST {
                return Err(too_large());
            }
            let more = self.more(kept.place, len.div_ceil(1024));
            kept.place = match timeout_at(until, more).await {
                Ok(place) => place,
                Err(_) => return Err(no_room()),
            };
            kept.bytes.extend_from_slice(&bytes);
        }
    }

    /// The place of a body that has grown to so many KiB.
    async fn more(&self, place: Place, kib: usize) -> Place {
        let has = match &place {
            Place::Spare(_) => return place,
            Place::Shared(permit) => permit.num_permits(),
            Place::None => 0,
        };
        let Some(needed @ 1..) = kib.checked_sub(has) else {
            return place;
        };
        let shared = self.shared.clone().acquire_many_owned(needed as u32);
        tokio::select! {
            biased;
            Ok(more) = shared => Place::Shared(match place {
                Place::Shared(mut permit) => {
                    permit.merge(more);
                    permit
                }
                _ => more,
            }),
            // What it had of the shared room is others' then.
            Ok(spare) = self.spare.clone().acquire_owned() => Place::Spare(spare),
            else => place,
        }
    }
}

/// A body in its place.
struct Kept {
    bytes: Vec<u8>,
    place: Place,
}

/// Which room a body has.
enum Place {
    None,
    Shared(OwnedSemaphorePermit),
    Spare(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit),
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn late(patience: Duration) -> Failure {
    Failure::new(
        StatusCode::REQUEST_TIMEOUT,
        FaultKind::Invalid,
        format!(
            "the body did not arrive within {} s",
            patience.as_secs_f32()
        ),
    )
}

fn no_room() -> Failure {
    Fault {
        retry_after: Some(1),
        ..Fault::of(
            FaultKind::Unavailable,
            "other bodies take all the room now\n  hint: send it again later",
        )
    }
    .into()
}

fn too_large() -> Failure {
    Failure::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        FaultKind::Invalid,
        format!(
            "the body is larger than {} MiB\n  hint: send it as several requests, or let the line grant the station a folder (`grants.fs`) and send the name of a file there",
            LARGEST >> 20
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    async fn read(room: &Room, len: usize) -> Result<Bytes, Failure> {
        let body = Body::from(vec![b'x'; len]);
        room.read(body, Duration::from_millis(20)).await
    }

    #[tokio::test]
    async fn room_is_shared_and_given_back_with_the_bytes() {
        let room = Room::new();
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(read(&room, LARGEST).await.expect("there is room"));
        }
        assert_eq!(read(&room, 1).await, Err(no_room()));
        // The one in the spare room makes way as well.
        for taken in [3, 0] {
            drop(all.remove(taken));
            all.push(read(&room, LARGEST).await.expect("there is room again"));
        }
        assert_eq!(read(&room, 1).await, Err(no_room()));
        assert_eq!(read(&room, 0).await, Ok(Bytes::new()));
        drop(all);
        assert_eq!(room.shared.available_permits(), SHARED);
        assert_eq!(read(&room, LARGEST + 1).await, Err(too_large()));
        assert_eq!(room.shared.available_permits(), SHARED);
    }

    #[tokio::test]
    async fn bodies_that_share_all_the_room_come_to_their_ends_all_the_same() {
        let room = Room::new();
        let (one, two) = (
            Bytes::from(vec![b'x'; 40 * MIB]),
            Bytes::from(vec![b'y'; 24 * MIB]),
        );
        let bodies = (0..8).map(|_| {
            let pieces = [one.clone(), two.clone()].map(Ok::<_, std::io::Error>);
            let pieces = futures::stream::iter(pieces);
            // Each has its first piece before any has its second.
            let slow = futures::StreamExt::then(pieces, async |piece| {
                tokio::task::yield_now().await;
                piece
            });
            let room = &room;
            async move {
                let read = room.read(Body::from_stream(slow), Duration::from_secs(60));
                read.await.map(|bytes| bytes.len())
            }
        });
        let lengths = futures::future::join_all(bodies).await;
        assert_eq!(lengths, vec![Ok(LARGEST); 8]);
    }
}
