//! The one gate of the API: who calls, whether they may, and their body within bounds. It decides
//! nothing itself: [`crate::role`] does. A handler behind it has a caller and a whole body.

use super::{failure::Failure, tokens::Known};
use crate::{
    conveyor::wall_clock,
    lines::{Fault, FaultKind},
    role::{self, Act, Caller, Door, Foreign, Role, Said},
};
use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// The largest body, in bytes: that of the largest input.
pub(super) const LARGEST: usize = 64 << 20;
/// As many KiB of bodies are in memory at one time; more of them wait.
const BODIES: usize = 4 * LARGEST / 1024;

/// The header by which the owner of the state folder says whom they act for.
pub(super) const BY: &str = "andon-by";
/// The longest such name, in bytes.
const NAME: usize = 256;

/// Room for bodies, in KiB.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(BODIES));

/// Where a connection came in; in the extensions of each of its requests.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// By which way.
    pub(super) door: Door,
    /// Who it is, where the way itself says so.
    pub(super) name: Option<Arc<str>>,
    /// How long a body may take to arrive.
    pub(super) patience: Duration,
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
        Ok(Some(caller)) => Ok(Some(caller)),
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

/// Lets a request through to its handler if its caller may do this; with its whole body then.
pub(super) async fn pass(act: Act, request: Request, next: Next) -> Response {
    if let Err(denied) = role::permit(request.extensions().get::<Caller>(), act) {
        return Failure::from(denied).into_response();
    }
    let (parts, body) = request.into_parts();
    let patience = parts.extensions.get::<Peer>().map(|peer| peer.patience);
    let hint = body.size_hint();
    let size = hint.upper().unwrap_or(LARGEST as u64);
    if hint.lower() > LARGEST as u64 {
        return too_large().into_response();
    }
    let kib = size.min(LARGEST as u64).div_ceil(1024) as u32;
    // It is never closed.
    let _room = ROOM.acquire_many(kib).await;
    match whole(body, patience.unwrap_or_default()).await {
        Ok(bytes) => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
        Err(failure) => failure.into_response(),
    }
}

async fn whole(body: Body, patience: Duration) -> Result<Bytes, Failure> {
    match timeout(patience, Limited::new(body, LARGEST).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Fault::invalid("the body came to no end").into()),
        Err(_) => Err(Failure::new(
            StatusCode::REQUEST_TIMEOUT,
            FaultKind::Invalid,
            format!(
                "the body did not arrive within {} s",
                patience.as_secs_f32()
            ),
        )),
    }
}

fn too_large() -> Failure {
    Failure::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        FaultKind::Invalid,
        format!(
            "the body is larger than {} MiB\n  hint: split it, or grant its folder to the station and pass its name",
            LARGEST >> 20
        ),
    )
}
