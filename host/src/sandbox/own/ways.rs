//! The network for a visit that runs in another process: each call goes by the visit's own way out, as
//! it would from here.

use super::{
    Host,
    channel::bad,
    link::Link,
    stream::Outgoing,
    wire::{Answer, Call, Number, Wish},
};
use crate::{
    sandbox::way::{CameAt, Failure, Patience, Refusal, Way},
    visit::Outcome,
};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt as _;
use serde_bytes::Bytes;
use std::{io, sync::Arc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const BROKEN: Refusal = Refusal::Failed(Failure::Broken);

/// Begins a call on the network.
pub(super) fn run(
    link: &Arc<Link>,
    host: &Arc<Host>,
    call: Call,
    wish: Wish<'_>,
) -> io::Result<()> {
    match wish {
        Wish::Send {
            visit,
            method,
            uri,
            headers,
            patience: [connect, first_byte, between_bytes],
        } => {
            let Some(way) = way(link, host, call, visit)? else {
                return Ok(());
            };
            let request = request(method, uri, headers)?;
            let patience = Patience {
                connect,
                first_byte,
                between_bytes,
            };
            let (incoming, mut outgoing) = link.streams.open(call, visit, link.clone())?;
            let sending = way.send(request.map(|()| incoming.boxed_unsync()), patience);
            let (link, host) = (link.clone(), host.clone());
            tokio::spawn(async move {
                match unless_left(&mut outgoing, sending).await {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        let headers = head.headers.iter();
                        let came = head.extensions.get::<CameAt>();
                        let answer = Answer::Sent {
                            came: came.map(|CameAt(at)| *at),
                            status: head.status.as_u16(),
                            headers: headers
                                .map(|(name, value)| (name.as_str(), Bytes::new(value.as_bytes())))
                                .collect(),
                        };
                        link.answer(call, answer, None);
                        pass_on(&host, &link, visit, body, outgoing).await;
                    }
                    Err(refusal) => {
                        refuse(&host, &link, visit, &refusal);
                        link.answer(call, Answer::Refused(refusal), None);
                    }
                }
            });
        }
        Wish::LookUp { visit, name } => {
            let Some(way) = way(link, host, call, visit)? else {
                return Ok(());
            };
            let looking = way.look_up(name.into());
            let (link, host) = (link.clone(), host.clone());
            tokio::spawn(async move {
                match looking.await {
                    Ok(addresses) => link.answer(call, Answer::Found(addresses), None),
                    Err(refusal) => {
                        refuse(&host, &link, visit, &refusal);
                        link.answer(call, Answer::Refused(refusal), None);
                    }
                }
            });
        }
        Wish::Connect { visit, to } => {
            let Some(way) = way(link, host, call, visit)? else {
                return Ok(());
            };
            let connecting = way.connect(to);
            let (mut incoming, mut outgoing) = link.streams.open(call, visit, link.clone())?;
            let (link, host) = (link.clone(), host.clone());
            tokio::spawn(async move {
                let connection = match unless_left(&mut outgoing, connecting).await {
                    Ok(connection) => connection,
                    Err(refusal) => {
                        refuse(&host, &link, visit, &refusal);
                        link.answer(call, Answer::Refused(refusal), None);
                        return;
                    }
                };
                link.answer(call, Answer::Connected, None);
                let (mut read, mut write) = tokio::io::split(connection);
                let there = async {
                    let copied = tokio::io::copy(&mut incoming, &mut write).await;
                    let refusal = copied.as_ref().err().and_then(refusal_of);
                    if let Some(refusal) = refusal {
                        refuse(&host, &link, visit, &refusal);
                        incoming.refuse(refusal);
                    }
                    // What breaks off here is seen by whoever reads.
                    let _ = write.shutdown().await;
                };
                let back = async {
                    let mut buffer = bytes::BytesMut::with_capacity(16 << 10);
                    loop {
                        let read = tokio::select! {
                            biased;
                            read = read.read_buf(&mut buffer) => read,
                            () = outgoing.closed() => return,
                        };
                        match read {
                            Ok(0) => return outgoing.end(Ok(())),
                            Ok(_) => {}
                            Err(error) => {
                                let refusal = refusal_of(&error).unwrap_or(BROKEN);
                                refuse(&host, &link, visit, &refusal);
                                return outgoing.end(Err(&refusal));
                            }
                        }
                        if !outgoing.send(buffer.split().freeze()).await {
                            return;
                        }
                        buffer.reserve(16 << 10);
                    }
                };
                tokio::join!(there, back);
            });
        }
        Wish::Enter(_) | Wish::Leave(_) | Wish::Put { .. } | Wish::Open(_) => {
            return Err(bad("no call on the network".into()));
        }
    }
    Ok(())
}

/// The visit's way out, entered when it is first asked for. What still calls when its visit is over is
/// answered that nothing comes of it.
fn way(link: &Link, host: &Host, call: Call, visit: Number) -> io::Result<Option<Arc<dyn Way>>> {
    let mut hall = host.hall();
    if !hall.pool.has(visit) {
        drop(hall);
        link.answer(call, Answer::Refused(BROKEN), None);
        return Ok(None);
    }
    let flight = hall.pool.running(visit, link.slot);
    let flight = flight.ok_or_else(|| bad("a call of a visit that it does not run".into()))?;
    let visit = flight.visit.clone();
    let way = flight.way.get_or_insert_with(|| host.egress.enter(&visit));
    Ok(Some(way.clone()))
}

/// What a call comes to, unless the guest does not wait for it any more.
async fn unless_left<T>(
    outgoing: &mut Outgoing,
    call: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::select! {
        biased;
        came = call => came,
        () = outgoing.closed() => Err(BROKEN),
    }
}

/// The visit asks for nothing more, and ends no body any more.
pub(super) fn leave(link: &Link, host: &Host, visit: Number) {
    let way = (host.hall().pool.running(visit, link.slot)).and_then(|flight| flight.way.take());
    drop(way);
}

/// What ends a visit ends it whatever its process says.
fn refuse(host: &Host, link: &Link, visit: Number, refusal: &Refusal) {
    if let Some(flight) = host.hall().pool.running(visit, link.slot) {
        let limits = &host.stations[flight.station as usize].station.limits;
        let end = match refusal {
            Refusal::Violation(violation) => Outcome::Violation(violation.clone()),
            Refusal::Over(limit) => crate::sandbox::answer::overrun(*limit, limits),
            Refusal::Diverged(what) => Outcome::Diverged(what.clone()),
            Refusal::Unknown(what) => Outcome::UnknownOutcome(what.clone()),
            Refusal::Denied(_) | Refusal::Failed(_) => return,
        };
        flight.ends.get_or_insert(end);
    }
}

/// Why the egress ended a connection, where it did.
fn refusal_of(error: &io::Error) -> Option<Refusal> {
    error.get_ref()?.downcast_ref().cloned()
}

/// The head of a request; what an engine has let through is one.
fn request(method: &str, uri: &str, headers: Vec<(&str, &Bytes)>) -> io::Result<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() =
        Method::from_bytes(method.as_bytes()).map_err(|_| bad("no method".into()))?;
    *request.uri_mut() = uri.parse::<Uri>().map_err(|_| bad("no address".into()))?;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("no header".into()))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| bad("no header".into()))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// Sends the body of an answer until its end, or until nobody reads it any more.
async fn pass_on(
    host: &Host,
    link: &Link,
    visit: Number,
    mut body: crate::sandbox::way::WayBody,
    mut outgoing: Outgoing,
) {
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = outgoing.closed() => return,
        };
        match frame {
            None => return outgoing.end(Ok(())),
            Some(Err(refusal)) => {
                refuse(host, link, visit, &refusal);
                return outgoing.end(Err(&refusal));
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !outgoing.send(data).await
                {
                    return;
                }
            }
        }
    }
}
