//! The one gate of the API: who calls, and whether they may. Only then their body is read. It decides
//! nothing itself: [`crate::role`] does. A handler behind it has a caller and a whole body.

use super::{bodies::Room, failure::Failure, tokens::Known};
use crate::{
    conveyor::wall_clock,
    lines::{Fault, FaultKind},
    role::{self, Act, Caller, Door, Foreign, Role, Said},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// The header by which the owner of the state folder says whom they act for.
pub(super) const BY: &str = "andon-by";
/// The longest such name, in bytes.
const NAME: usize = 256;

/// The most connections over which one caller with a token calls at a time: the others have room beside it.
const EACH: usize = 64;
/// In how many seconds a caller with too many connections tries again.
const AGAIN: u64 = 5;

/// How many connections each caller has, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<String, usize>>>);

impl Seats {
    /// For one connection, over which nobody has called yet.
    pub(super) fn seat(&self) -> Seat {
        Seat {
            seats: self.clone(),
            taken: Arc::default(),
        }
    }

    fn take(&self, name: &str) -> Option<Taken> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = all.get(name).copied().unwrap_or_default();
        if has >= EACH {
            return None;
        }
        all.insert(name.into(), has + 1);
        Some(Taken {
            seats: self.clone(),
            name: name.into(),
        })
    }
}

/// The seat of one connection, of whoever called over it last.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    seats: Seats,
    taken: Arc<Mutex<Option<Taken>>>,
}

impl Seat {
    /// Whether the caller has the seat now: not where they have as many others as there may be.
    fn is_of(&self, name: &str) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.as_ref().is_some_and(|taken| taken.name == name) {
            return true;
        }
        let Some(other) = self.seats.take(name) else {
            return false;
        };
        *taken = Some(other);
        true
    }
}

/// A seat that is taken, until it is dropped.
#[derive(Debug)]
struct Taken {
    seats: Seats,
    name: String,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut all = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(&self.name).copied() {
            Some(has @ 2..) => all.insert(self.name.clone(), has - 1),
            _ => all.remove(&self.name),
        };
    }
}

/// Where a connection came in; in the extensions of each of its requests.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// By which way.
    pub(super) door: Door,
    /// Who it is, where the way itself says so.
    pub(super) name: Option<Arc<str>>,
    /// Set once somebody known called over this connection: it is no more in the way of others than
    /// theirs are.
    pub(super) known: Arc<AtomicBool>,
    /// Its seat among those of whoever calls over it with a token.
    pub(super) seat: Seat,
    /// How long a body may take to arrive.
    pub(super) patience: Duration,
    /// Where bodies have room.
    pub(super) room: Room,
}

/// Lets in only what is meant for this daemon, and finds out who calls.
pub(super) async fn enter(
    State(known): State<Arc<Known>>,
    mut request: Request,
    next: Next,
) -> Response {
    match identify(&known, &request) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

fn identify(known: &Known, request: &Request) -> Result<Option<Caller>, Failure> {
    let Some(peer) = request.extensions().get::<Peer>() else {
        return Err(Fault::internal("the connection has no peer").into());
    };
    let headers = request.headers();
    let host = one(headers, &header::HOST)?;
    let authority = request.uri().authority().map(|a| a.as_str());
    let said = Said {
        // Where the address itself names a host, that is what was asked for.
        host: authority.or(host),
        origin: one(headers, &header::ORIGIN)?,
        site: one(headers, &HeaderName::from_static("sec-fetch-site"))?,
    };
    role::own(peer.door, said)?;
    if let Some(name) = &peer.name {
        return Ok(Some(Caller {
            name: in_whose_name(headers)?.unwrap_or_else(|| name.to_string()),
            role: Role::Admin,
        }));
    }
    let Some(given) = one(headers, &header::AUTHORIZATION)? else {
        return Ok(None);
    };
    let token = given
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let caller = match token {
        Some(token) => known.caller(token, wall_clock()),
        None => Ok(None),
    };
    match caller {
        Ok(Some(caller)) => {
            if !peer.seat.is_of(&caller.name) {
                return Err(crowded(&caller.name).into());
            }
            peer.known.store(true, Relaxed);
            Ok(Some(caller))
        }
        Ok(None) => Err(role::Denied::Unknown.into()),
        Err(error) => {
            tracing::error!("nobody is let in over TCP: {error}");
            Err(
                Fault::internal("the daemon's tokens cannot be read\n  hint: its log says why")
                    .into(),
            )
        }
    }
}

/// What a caller is told who has too many connections.
fn crowded(name: &str) -> Fault {
    Fault {
        retry_after: Some(AGAIN),
        ..Fault::of(
            FaultKind::Full,
            format!(
                "`{name}` has {EACH} connections already\n  hint: close some, or ask several things over one"
            ),
        )
    }
}

/// Whom the owner of the state folder acts for, where it is somebody else.
fn in_whose_name(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(given) = headers.get(BY) else {
        return Ok(None);
    };
    match std::str::from_utf8(given.as_bytes()) {
        Ok(name) if (1..=NAME).contains(&name.len()) => Ok(Some(name.into())),
        _ => Err(Fault::invalid(format!("`{BY}` is no name of 1 to {NAME} bytes")).into()),
    }
}

/// A header that comes once at most.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Fault::invalid(format!("the header `{name}` comes twice")).into());
    }
    let text = first.map(|value| value.to_str()).transpose();
    text.map_err(|_| match *name == header::HOST {
        true => Foreign::Host.into(),
        false => Fault::invalid(format!("the header `{name}` is no text")).into(),
    })
}

/// Lets a request through to its handler if its caller may do this; with its whole body then. Of who only
/// looks, no body is read.
pub(super) async fn pass(act: Act, request: Request, next: Next) -> Response {
    if let Err(denied) = role::permit(request.extensions().get::<Caller>(), act) {
        return Failure::from(denied).into_response();
    }
    let (parts, body) = request.into_parts();
    let body = match (act, parts.extensions.get::<Peer>()) {
        (Act::Live | Act::Look, _) | (_, None) => Body::empty(),
        (_, Some(peer)) => match peer.room.read(body, peer.patience).await {
            Ok(bytes) => Body::from(bytes),
            Err(failure) => return failure.into_response(),
        },
    };
    next.run(Request::from_parts(parts, body)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_room_for_others() {
        let seats = Seats::default();
        let mut all: Vec<_> = (0..EACH).map(|_| seats.seat()).collect();
        assert!(all.iter().all(|seat| seat.is_of("ada")));
        assert!(all.iter().all(|seat| seat.is_of("ada")), "they stay theirs");
        let late = seats.seat();
        assert!(!late.is_of("ada"));
        assert!(late.is_of("bob"));
        assert!(!late.is_of("ada"), "as long as the others are there");
        all.pop();
        assert!(late.is_of("ada"));
        assert!(!seats.seat().is_of("ada"));
        drop((all, late));
        let left = seats.0.lock().expect("no panic").len();
        assert_eq!(left, 0);
    }
}
