//! Connections over TCP, and the look-ups of names for them.
//!
//! A guest connects to addresses, and its line grants names. So what a look-up answered is kept for the
//! visit: an address is admitted where a grant names it, or where it is the pinned answer for a name
//! whose grant has the port. A name is asked for once in a visit, whatever it leads to later.

use super::{
    book::Ruled,
    passage::{Denial, Visiting, cut},
    recording::{Counts, Recording},
};
use crate::{
    audit::Deed,
    effect::{Asked, EffectKind, Ended, connection_digest},
    grant::{BadAddress, Denied, Host, TcpGiven, TcpRule},
    sandbox::way::{Connection, Failure, Refusal},
};
use futures::future::BoxFuture;
use std::{
    collections::BTreeMap,
    io, mem,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep, timeout},
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(30);

/// What the look-ups of a visit answered: the addresses of each name that may be dialled.
#[derive(Default)]
pub(super) struct Pins(Mutex<BTreeMap<String, Vec<IpAddr>>>);

impl Pins {
    /// The answer for a name.
    fn of(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.lock().get(name).cloned()
    }

    /// Keeps an answer. Where two were asked for at the same time, the first one stays.
    fn keep(&self, name: &str, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        self.lock().entry(name.into()).or_insert(addresses).clone()
    }

    /// The names that led to an address.
    fn names(&self, address: IpAddr) -> Vec<String> {
        let pins = self.lock();
        let names = pins.iter().filter(|(_, all)| all.contains(&address));
        names.map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks a name up that a connection is granted to. Nobody is asked for any other: the question alone
/// would be a message.
pub(super) async fn look_up(visiting: Arc<Visiting>, name: String) -> Result<Vec<IpAddr>, Refusal> {
    visiting.count()?;
    let host = Host::parse(&name).map_err(|_| Refusal::Failed(Failure::Name))?;
    let name = match &host {
        Host::Address(address) => return Ok(vec![*address]),
        Host::Name(name) => name.clone(),
    };
    let what = format!("look up {name}");
    let outlet = visiting.outlet.clone();
    let terms = &outlet.terms;
    if let Err(denied) = terms.rights.look_up(&name) {
        let granted_at = &terms.granted_at;
        let denial = not_granted(&denied, &format!("{name}:PORT"), granted_at);
        return Err(visiting.deny(Deed::LookUp, what, denial));
    }
    if (visiting.book.as_ref()).is_some_and(|book| book.log.played.is_some()) {
        return Err(Refusal::Diverged(format!(
            "it looks up `{name}`, which is not recorded, and nothing leaves in a replay"
        )));
    }
    if let Some(pinned) = visiting.pins.of(&name) {
        return Ok(pinned);
    }
    outlet.connections.wait(1).await;
    let found = visiting.gate.names.look_up(&name).await;
    let found = found.map_err(Refusal::Failed)?;
    // An address that one of the ports is granted with may be known; whether it may be dialled at
    // another is asked for then.
    let granted: Vec<TcpGiven<'_>> = (terms.rights.grants.tcp.iter())
        .filter_map(|grant| terms.rights.tcp(&host, grant.rule.port).ok())
        .collect();
    let mut bad = None;
    let mut admitted = found;
    admitted.retain(|address| {
        granted.iter().any(|given| match given.admit(*address) {
            Ok(()) => true,
            Err(reason) => {
                bad.get_or_insert((reason, given.grant.rule.clone()));
                false
            }
        })
    });
    if let Some((bad, rule)) = bad
        && admitted.is_empty()
    {
        return Err(visiting.deny(Deed::LookUp, what, bad_address(bad, &rule, &host, terms)));
    }
    let rule = granted.first().map(|given| given.grant.rule.to_string());
    visiting.note(vec![visiting.entry(Deed::LookUp, true, &what, rule, None)]);
    Ok(visiting.pins.keep(&name, admitted))
}

/// Connects to an address that is granted, or that a granted name led to in this visit.
pub(super) async fn connect(
    visiting: Arc<Visiting>,
    to: SocketAddr,
) -> Result<Box<dyn Connection>, Refusal> {
    visiting.count()?;
    // Just address and port: where an interface or a flow is named as well, it is the guest's word.
    let to = SocketAddr::new(to.ip(), to.port());
    let Granted {
        what,
        place,
        rule,
        idempotent,
    } = decide(&visiting, to).map_err(|(what, denial)| visiting.deny(Deed::Tcp, what, denial))?;
    let outlet = visiting.outlet.clone();
    outlet.connections.wait(1).await;
    let mut intent = Recorded::Not;
    if let Some(book) = &visiting.book {
        let asked = Asked {
            kind: EffectKind::Tcp,
            safe: false,
            digest: connection_digest(&place),
            what: cut(&what),
            rule: rule.clone(),
            idempotent,
            resample: false,
        };
        match book.ask(&visiting.gate, asked).await? {
            Ruled::Leaves(recording) => intent = Recorded::Unsaid(recording),
            // Its bytes are not kept.
            Ruled::Answered(_) => return Err(Refusal::Failed(Failure::Broken)),
        }
    }
    let dialled = timeout(CONNECT, visiting.gate.dialler.connect(&[to])).await;
    let dialled = dialled.unwrap_or(Err(Failure::Timeout));
    let failed = dialled
        .as_ref()
        .err()
        .map(|failure| format!("came to nothing: {failure:?}"));
    let entry = visiting.entry(Deed::Tcp, true, &what, Some(rule.clone()), failed);
    visiting.note(vec![entry]);
    let (stream, _) = dialled.map_err(|failure| {
        intent.failed(failure);
        Refusal::Failed(failure)
    })?;
    Ok(Box::new(Counted {
        stream,
        intent,
        visiting,
        what,
        rule,
        sent: 0,
        received: 0,
        read_pause: Pause::default(),
        write_pause: Pause::default(),
    }))
}

/// A connection that may be made.
struct Granted {
    what: String,
    /// The name, or the address, and the port.
    place: String,
    rule: String,
    idempotent: bool,
}

/// What is connected to, by which rule; or what was tried, and why it is denied.
fn decide(visiting: &Visiting, to: SocketAddr) -> Result<Granted, (String, Denial)> {
    let terms = &visiting.outlet.terms;
    let (address, port) = (to.ip(), to.port());
    let names = visiting.pins.names(address);
    let named = |name: &String| (Host::Name(name.clone()), format!("connect {name}:{port}"));
    let mut hosts: Vec<(Host, String)> = names.iter().map(named).collect();
    hosts.push((Host::Address(address), format!("connect {to}")));
    // The refusal that tells the most: an address that is not open before a name without the port
    // before an address that nothing leads to.
    let mut refused: Option<(String, Denial)> = None;
    let mut near = false;
    for (host, what) in hosts {
        match terms.rights.tcp(&host, port) {
            Ok(given) => match given.admit(address) {
                Ok(()) => {
                    let place = format!("{host}:{port}");
                    let what = match host {
                        Host::Name(_) => format!("{what} at {address}"),
                        Host::Address(_) => what,
                    };
                    return Ok(Granted {
                        what,
                        place,
                        rule: given.grant.rule.to_string(),
                        idempotent: given.grant.idempotent,
                    });
                }
                Err(bad) if !near => {
                    near = true;
                    let denial = bad_address(bad, &given.grant.rule, &host, terms);
                    refused = Some((what, denial));
                }
                Err(_) => {}
            },
            Err(denied) if refused.is_none() => {
                let rule = match &host {
                    Host::Name(name) => format!("{name}:{port}"),
                    Host::Address(_) => to.to_string(),
                };
                refused = Some((what, not_granted(&denied, &rule, &terms.granted_at)));
            }
            Err(_) => {}
        }
    }
    Err(refused.expect("the address itself was asked for"))
}

fn not_granted(denied: &Denied, rule: &str, granted_at: &str) -> Denial {
    let (near, hint) = match denied {
        Denied::Ceiling(near) => (
            Some(near.clone()),
            format!("`tcp = [\"{rule}\"]` in the ceiling of `andon.toml` admits it"),
        ),
        Denied::NotGranted | Denied::Address(_) => (
            None,
            format!("`grants.tcp = [\"{rule}\"]` at {granted_at} grants it"),
        ),
    };
    Denial {
        rule: near,
        why: denied.to_string(),
        hint,
    }
}

fn bad_address(bad: BadAddress, rule: &TcpRule, host: &Host, terms: &super::Terms) -> Denial {
    let hint = match bad {
        BadAddress::Private(_) => format!(
            "`{{ to = \"{rule}\", private = true }}` in `grants.tcp` at {} opens it",
            terms.granted_at
        ),
        BadAddress::Local(_) | BadAddress::Never(_) => format!("see what `{host}` leads to"),
    };
    let why = match host {
        Host::Name(name) => format!("`{name}` leads to an address that is not open: {bad}"),
        Host::Address(_) => bad.to_string(),
    };
    Denial {
        rule: Some(rule.to_string()),
        why,
        hint,
    }
}

/// What the effect log knows of a connection: the first byte leaves when that something leaves is durable.
enum Recorded {
    /// There is no log.
    Not,
    Unsaid(Box<Recording>),
    Waits(Box<Recording>, BoxFuture<'static, Result<(), Failure>>),
    Said(Box<Recording>),
    /// It could not be said.
    Failed(Box<Recording>),
}

impl Recorded {
    fn failed(&mut self, failure: Failure) {
        if let Self::Unsaid(recording) = self {
            recording.failed(failure);
        }
    }

    /// Waits until a byte may leave.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        loop {
            *self = match mem::replace(self, Self::Not) {
                Self::Unsaid(mut recording) => {
                    let said = Box::pin(recording.intend());
                    Self::Waits(recording, said)
                }
                Self::Waits(recording, mut said) => match said.as_mut().poll(cx) {
                    Poll::Pending => {
                        *self = Self::Waits(recording, said);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => Self::Said(recording),
                    Poll::Ready(Err(_)) => Self::Failed(recording),
                },
                done => {
                    let failed = matches!(done, Self::Failed(_));
                    *self = done;
                    return Poll::Ready(match failed {
                        true => Err(Refusal::Failed(Failure::Broken)),
                        false => Ok(()),
                    });
                }
            };
        }
    }

    fn over(&mut self, sent: u64, received: u64) {
        let recording = match self {
            Self::Not => return,
            Self::Unsaid(recording)
            | Self::Waits(recording, _)
            | Self::Said(recording)
            | Self::Failed(recording) => recording,
        };
        let ended = match sent {
            0 => Ended::Refused,
            _ => Ended::Unknown,
        };
        let (bytes_out, bytes_in) = (sent, received);
        recording.closed(
            ended,
            Counts {
                bytes_out,
                bytes_in,
            },
        );
    }
}

/// A connection whose bytes are counted and paced.
struct Counted {
    stream: TcpStream,
    intent: Recorded,
    visiting: Arc<Visiting>,
    what: String,
    rule: String,
    sent: u64,
    received: u64,
    /// While the station is over its pace. One a direction, since each is polled by a task of its own.
    read_pause: Pause,
    write_pause: Pause,
}

/// Keeps one direction at its station's pace.
#[derive(Default)]
struct Pause(Option<Pin<Box<Sleep>>>);

impl Pause {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.0 {
            ready!(sleep.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }

    /// After so many bytes.
    fn after(&mut self, bytes: u64, visiting: &Visiting) {
        let wait = visiting.outlet.bytes.take(bytes);
        if !wait.is_zero() {
            self.0 = Some(Box::pin(sleep(wait)));
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.read_pause.poll(cx));
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let bytes = (buffer.filled().len() - before) as u64;
        this.received += bytes;
        this.read_pause.after(bytes, &this.visiting);
        Poll::Ready(this.visiting.received(bytes).map_err(io::Error::other))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_pause.poll(cx));
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this.intent.poll(cx)).map_err(io::Error::other)?;
        // Counted before it leaves, so that the last byte of the limit is the last that does.
        let most = this.visiting.may_send(bytes.len() as u64);
        let most = most.map_err(io::Error::other)?;
        let part = usize::try_from(most).unwrap_or(bytes.len());
        let wrote = Pin::new(&mut this.stream).poll_write(cx, &bytes[..part]);
        let sent = match &wrote {
            Poll::Ready(Ok(sent)) => *sent as u64,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        this.visiting.did_not_send(most - sent);
        this.sent += sent;
        this.write_pause.after(sent, &this.visiting);
        wrote
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.intent.over(self.sent, self.received);
        let rule = Some(mem::take(&mut self.rule));
        let why = format!(
            "closed: {} bytes out, {} bytes in",
            self.sent, self.received
        );
        let entry = (self.visiting).entry(Deed::Tcp, true, &self.what, rule, Some(why));
        self.visiting.note(vec![entry]);
    }
}

#[cfg(test)]
mod tests;
