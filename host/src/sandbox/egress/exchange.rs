//! One request and its answer: decided, sent or answered from the effect log, and ended in one of three
//! ways.

mod record;

pub use record::Exchange;
pub(super) use record::Record;

use super::{
    answer::{Answer, Bounds},
    book::Ruled,
    head,
    interim::Interim,
    passage::{Denial, Visiting, cut},
    played,
    pool::{Kept, Purpose},
    redact::Needles,
    secrets::Secrets,
    spool::Spool,
    unpack::{Packing, Unpacker},
};
use crate::{
    audit::Deed,
    digest::Digest,
    effect::{Asked, EffectKind, request_digest},
    failpoint::Point,
    grant::{BadAddress, BadTarget, Denied, Host, HttpGiven, HttpGrant, HttpRule, Scheme, Target},
    sandbox::way::{CameAt, Failure, Patience, Refusal, WayBody},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
    response::Parts, uri::PathAndQuery,
};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use record::safe;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

/// What tells a server that a request is one that it has had before.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sends a request of a guest's, if it may be sent.
pub(super) async fn call(
    visiting: Arc<Visiting>,
    request: Request<WayBody>,
    patience: Patience,
) -> Result<Response<WayBody>, Refusal> {
    visiting.count()?;
    let (mut asked, body) = request.into_parts();
    let target = Target::parse(&asked.uri.to_string()).map_err(|bad| {
        let what = self::asked(&asked.method, &asked.uri);
        visiting.deny(Deed::Http, what, unreadable(bad))
    })?;
    let what = format!("{} {}", asked.method, target.without_query());
    let outlet = visiting.outlet.clone();
    let method = asked.method.as_str();
    let given = match method {
        // A server would send back what was put in, or be made a proxy.
        "TRACE" | "CONNECT" => {
            return Err(visiting.deny(Deed::Http, what, never(method)));
        }
        _ => (outlet.terms.rights.http(method, &target)).map_err(|denied| {
            visiting.deny(Deed::Http, what.clone(), {
                not_granted(&denied, method, &target, &outlet.terms.granted_at)
            })
        })?,
    };
    let mut deadline = Instant::now() + given.timeout();
    head::outgoing(&mut asked.headers, &target).map_err(Refusal::Failed)?;
    let line = method.len() + target.path.len() + target.query.as_ref().map_or(0, String::len);
    let head_bytes = (line + head::size(&asked.headers)) as u64;
    visiting.sent(head_bytes)?;
    // In the guest's own time, and before anything is kept for it.
    let places = timeout_at(deadline, places(&visiting))
        .await
        .map_err(|_| Refusal::Failed(Failure::Timeout))?;
    let (spool, body) = timeout_at(deadline, Spool::fill(body, |bytes| visiting.sent(bytes)))
        .await
        .map_err(|_| Refusal::Failed(Failure::Timeout))??;
    head::take_length(&mut asked.headers, spool.len()).map_err(Refusal::Failed)?;
    // The end of a body may be that its guest is gone.
    if visiting.left() {
        return Err(Refusal::Failed(Failure::Broken));
    }
    let bytes_out = head_bytes + spool.len();
    timeout_at(deadline, outlet.bytes.wait(bytes_out))
        .await
        .map_err(|_| Refusal::Failed(Failure::Timeout))?;
    let url = target.to_string();
    let mut recording = None;
    if let Some(book) = &visiting.book {
        let headers = asked.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let ruled = book.ask(
            &visiting.gate,
            Asked {
                kind: EffectKind::Http,
                safe: safe(method),
                digest: request_digest(method, &url, headers, &body),
                what: cut(&what),
                rule: given.grant.rule.to_string(),
                idempotent: given.grant.idempotent,
                resample: given.grant.resample,
            },
        );
        // What it may wait for, calls of an earlier attempt, ends by itself, and is not this one's time.
        let since = Instant::now();
        let ruled = ruled.await?;
        deadline += since.elapsed();
        match ruled {
            Ruled::Answered(effect) => {
                let bytes_in = effect.end.as_ref().map_or(0, |end| end.bytes_in);
                visiting.received(bytes_in)?;
                return played::answer(*effect, book.log.content.clone()).await;
            }
            Ruled::Leaves(leaves) => {
                if !safe(method) && !asked.headers.contains_key(IDEMPOTENCY_KEY) {
                    let key = HeaderValue::try_from(leaves.key());
                    let key = key.map_err(|_| Refusal::Failed(Failure::Request))?;
                    asked.headers.insert(IDEMPOTENCY_KEY, key);
                }
                recording = Some(leaves);
            }
        }
        // The log may have been waited for.
        if visiting.left() {
            return Err(Refusal::Failed(Failure::Broken));
        }
    }
    let exchange = Exchange {
        method: method.into(),
        target: Digest::of(&url),
        status: None,
        sent: false,
        bytes_out,
        bytes_in: 0,
    };
    let record = Record {
        exchange,
        visiting: visiting.clone(),
        recording,
        what,
        rule: given.grant.rule.to_string(),
        denied: AtomicBool::new(false),
        _places: places,
    };
    let safe = record.exchange.safe();
    let sending = Sending {
        method: asked.method,
        headers: asked.headers,
        target,
        spool: Some(spool),
        patience,
        deadline,
        record,
        needles: Needles::default(),
    };
    if safe {
        return sending.run().await;
    }
    // On a task of its own, which no end of the guest's cuts off.
    match tokio::spawn(sending.run()).await {
        Ok(came) => came,
        Err(_) => Err(Refusal::Failed(Failure::Broken)),
    }
}

/// The turn of a request by its station's pace, and its places among those under way.
async fn places(visiting: &Visiting) -> [OwnedSemaphorePermit; 2] {
    let outlet = &visiting.outlet;
    outlet.requests.wait(1).await;
    let place = async |of: &Arc<Semaphore>| {
        let place = of.clone().acquire_owned().await;
        place.expect("nobody closes it")
    };
    [
        place(&outlet.under_way).await,
        place(&visiting.gate.under_way).await,
    ]
}

/// A request that may be sent, as far as its URL tells.
struct Sending {
    method: Method,
    headers: HeaderMap,
    target: Target,
    spool: Option<Spool>,
    patience: Patience,
    deadline: Instant,
    record: Record,
    /// The secrets that were put in.
    needles: Needles,
}

impl Sending {
    async fn run(mut self) -> Result<Response<WayBody>, Refusal> {
        let deadline = self.deadline;
        let came = timeout_at(deadline, self.exchange()).await;
        match came.unwrap_or(Err(Refusal::Failed(Failure::Timeout))) {
            Ok((response, kept)) => self.answer(response, kept),
            Err(refusal) => Err(self.record.refused(refusal)),
        }
    }

    /// Everything up to the head of the answer.
    async fn exchange(&mut self) -> Result<(Response<Incoming>, Kept), Refusal> {
        let visiting = self.record.visiting.clone();
        let outlet = &visiting.outlet;
        let rights = &outlet.terms.rights;
        let method = self.method.as_str();
        let secrets = Secrets::find(&visiting.gate.means.vault, rights, method, &self.target)
            .await
            .map_err(|denial| self.deny(denial))?;
        let given = self.given()?;
        let position = |grant: &HttpGrant| std::ptr::eq(grant, given.grant);
        let purpose = Purpose {
            scheme: self.target.scheme,
            host: self.target.host.clone(),
            port: self.target.port,
            grant: rights.grants.http.iter().position(position).unwrap_or(0),
            secrets: secrets.names().map(Into::into).collect(),
        };
        let addresses = self.addresses(&given).await?;
        let allowed = visiting.entry(
            Deed::Http,
            true,
            &self.record.what,
            Some(self.record.rule.clone()),
            None,
        );
        let used = secrets.names().map(|name| {
            let what = format!("{name} → {}", self.target.without_query());
            visiting.entry(Deed::Secret, true, &what, None, None)
        });
        visiting.note([allowed].into_iter().chain(used).collect());
        let addresses = addresses?;
        let kept = outlet.pool.take(&purpose, &addresses);
        let path = secrets.put(&self.target, &mut self.headers);
        let path = path.map_err(|denial| self.deny(denial))?;
        self.needles = secrets.needles();
        drop(secrets);
        let mut request = self.request(Bytes::from_owner(path))?;
        let intent = (self.record.recording.as_mut()).map(|recording| recording.intend());
        let durable = async {
            match intent {
                Some(intent) => {
                    intent.await.map_err(Refusal::Failed)?;
                    Point::Intended.reached();
                    Ok(())
                }
                None => Ok(()),
            }
        };
        let fresh = match kept {
            Some(kept) => {
                durable.await?;
                match self.send(kept, request).await? {
                    Sent::Answered(response, kept) => return Ok((response, kept)),
                    Sent::Not(again) => request = again,
                }
                self.open(purpose, &addresses).await?
            }
            // Both take their time.
            None => tokio::try_join!(self.open(purpose, &addresses), durable)?.0,
        };
        match self.send(fresh, request).await? {
            Sent::Answered(response, kept) => Ok((response, kept)),
            Sent::Not(_) => Err(Refusal::Failed(Failure::Broken)),
        }
    }

    /// The addresses to dial: those of the host that the grant opens. The inner failure is one of a
    /// call that was allowed.
    async fn addresses(
        &self,
        given: &HttpGiven<'_>,
    ) -> Result<Result<Vec<SocketAddr>, Refusal>, Refusal> {
        let found = match &self.target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => match self.record.visiting.gate.names.look_up(name).await {
                Ok(found) => found,
                Err(failure) => return Ok(Err(Refusal::Failed(failure))),
            },
        };
        let mut bad = None;
        let admitted = |address: &IpAddr| match given.admit(*address) {
            Ok(()) => true,
            Err(reason) => {
                bad.get_or_insert(reason);
                false
            }
        };
        let admitted: Vec<IpAddr> = found.into_iter().filter(admitted).collect();
        match bad {
            Some(bad) if admitted.is_empty() => Err(self.deny(self.bad_address(bad))),
            _ => Ok(Ok(admitted
                .into_iter()
                .map(|address| SocketAddr::new(address, self.target.port))
                .collect())),
        }
    }

    /// What the grant lets it do, which was found before.
    fn given(&self) -> Result<HttpGiven<'_>, Refusal> {
        let rights = &self.record.visiting.outlet.terms.rights;
        let given = rights.http(self.method.as_str(), &self.target);
        given.map_err(|_| Refusal::Failed(Failure::Request))
    }

    fn deny(&self, denial: Denial) -> Refusal {
        let what = self.record.what.clone();
        self.record.denied.store(true, Relaxed);
        self.record.visiting.deny(Deed::Http, what, denial)
    }

    fn bad_address(&self, bad: BadAddress) -> Denial {
        let rule = &self.record.rule;
        let granted_at = &self.record.visiting.outlet.terms.granted_at;
        let hint = match bad {
            BadAddress::Private(_) => {
                format!("`private = true` on the grant `{rule}` at {granted_at} opens it")
            }
            BadAddress::Local(_) | BadAddress::Never(_) => {
                format!("see what `{}` leads to", self.target.host)
            }
        };
        let why = match &self.target.host {
            Host::Name(name) => format!("`{name}` leads to an address that is not open: {bad}"),
            Host::Address(_) => bad.to_string(),
        };
        Denial {
            rule: Some(rule.clone()),
            why,
            hint,
        }
    }

    fn request(&mut self, path: Bytes) -> Result<Request<Spool>, Refusal> {
        let bad = Refusal::Failed(Failure::Request);
        let path = PathAndQuery::from_maybe_shared(path);
        let mut request = Request::new(self.spool.take().ok_or(bad.clone())?);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(path.map_err(|_| bad)?);
        *request.headers_mut() = std::mem::take(&mut self.headers);
        Ok(request)
    }

    async fn open(&self, purpose: Purpose, addresses: &[SocketAddr]) -> Result<Kept, Refusal> {
        let dialler = &self.record.visiting.gate.dialler;
        let open = async {
            let (connection, address) = dialler.connect(addresses).await?;
            let sender = match self.target.scheme {
                Scheme::Http => speak(connection).await?,
                Scheme::Https => {
                    speak(dialler.secure(&self.target.host, connection).await?).await?
                }
            };
            Ok(Kept {
                purpose,
                address,
                sender,
            })
        };
        let patience = self.patience.connect.unwrap_or(Duration::MAX);
        let opened = timeout(patience, open)
            .await
            .unwrap_or(Err(Failure::Timeout));
        opened.map_err(Refusal::Failed)
    }

    async fn send(&mut self, mut kept: Kept, mut request: Request<Spool>) -> Result<Sent, Refusal> {
        if kept.sender.ready().await.is_err() {
            return Ok(Sent::Not(request));
        }
        // A server may close a kept connection just when it is used: what changes nothing is asked
        // for again.
        let again = match self.record.exchange.safe() {
            true => again(&request),
            false => None,
        };
        self.record.exchange.sent = true;
        let mut interim = Interim::count(&mut request, self.record.visiting.clone());
        let patience = self.patience.first_byte.unwrap_or(Duration::MAX);
        Point::Sending.reached();
        let answered = tokio::select! {
            biased;
            over = interim.over() => return Err(over),
            answered = timeout(patience, kept.sender.try_send_request(request)) => answered,
        };
        self.record.exchange.bytes_in += interim.bytes();
        match answered.map_err(|_| Refusal::Failed(Failure::Timeout))? {
            Ok(response) => Ok(Sent::Answered(response, kept)),
            Err(mut error) => match error.take_message() {
                Some(request) => {
                    self.record.exchange.sent = false;
                    Ok(Sent::Not(request))
                }
                None => match again {
                    Some(again) if broke(error.error()) => Ok(Sent::Not(again)),
                    _ => Err(Refusal::Failed(failure(error.error()))),
                },
            },
        }
    }

    /// What the guest gets of an answer.
    fn answer(
        mut self,
        response: Response<Incoming>,
        kept: Kept,
    ) -> Result<Response<WayBody>, Refusal> {
        Point::Answered.reached();
        let (mut parts, body) = response.into_parts();
        let (most, unpacker) = match self.admit(&mut parts) {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(self.record.refused(refusal)),
        };
        if let Some(recording) = &mut self.record.recording {
            let at = recording.answered(parts.status.as_u16(), &parts.headers);
            parts.extensions.insert(CameAt(at));
        }
        let answer = Answer::new(
            body,
            kept,
            self.record,
            Bounds {
                most,
                deadline: self.deadline,
                between: self.patience.between_bytes,
            },
            unpacker,
            self.needles,
        );
        Ok(Response::from_parts(parts, answer.boxed_unsync()))
    }

    /// The head of an answer as the guest may have it: how long its body may be, and what unpacks it.
    fn admit(&mut self, parts: &mut Parts) -> Result<(u64, Option<Unpacker>), Refusal> {
        let failed = |failure| Err(Refusal::Failed(failure));
        // Nothing was upgraded, so nothing can have been switched.
        if parts.status.is_informational() {
            return failed(Failure::Protocol);
        }
        self.record.exchange.status = Some(parts.status.as_u16());
        let bytes = head::size(&parts.headers) as u64;
        self.record.exchange.bytes_in += bytes;
        self.record.visiting.received(bytes)?;
        let bare = self.method == Method::HEAD
            || matches!(
                parts.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        head::strip(&mut parts.headers);
        let headers = &mut parts.headers;
        let packing = match bare {
            true => Packing::None,
            false => Packing::of(headers),
        };
        let most = self.given()?.max_response();
        let length = (headers.get(header::CONTENT_LENGTH))
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let unpacker = Unpacker::new(packing);
        if !bare && unpacker.is_none() && length.is_some_and(|length| length > most) {
            return failed(Failure::TooLong);
        }
        if unpacker.is_some() {
            headers.remove(header::CONTENT_ENCODING);
            headers.remove(header::CONTENT_LENGTH);
        }
        if !self.needles.is_empty() {
            // What cannot be looked through is not passed on; nor is a part of something.
            if packing == Packing::Other || parts.status == StatusCode::PARTIAL_CONTENT {
                return failed(Failure::Protocol);
            }
            headers.remove(header::CONTENT_LENGTH);
            redact(headers, &self.needles);
        }
        Ok((most, unpacker))
    }
}

/// Takes secrets out of the head of an answer.
fn redact(headers: &mut HeaderMap, needles: &Needles) {
    let named: Vec<HeaderName> = headers
        .keys()
        .filter(|name| needles.in_name(name.as_str()))
        .cloned()
        .collect();
    for name in named {
        headers.remove(name);
    }
    for value in headers.values_mut() {
        if let Some(clean) = needles.redacted(value.as_bytes()) {
            *value = HeaderValue::try_from(clean)
                .unwrap_or_else(|_| HeaderValue::from_static("[redacted]"));
        }
    }
}

/// What came of sending.
enum Sent {
    Answered(Response<Incoming>, Kept),
    /// Nothing of it, or nothing that matters, reached the server.
    Not(Request<Spool>),
}

/// The same request once more.
fn again(request: &Request<Spool>) -> Option<Request<Spool>> {
    let mut again = Request::new(request.body().again()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

async fn speak<T>(connection: T) -> Result<http1::SendRequest<Spool>, Failure>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(head::BYTES)
        .max_header_size(head::BYTES)
        .max_headers(head::HEADERS)
        .handshake(TokioIo::new(connection))
        .await
        .map_err(|_| Failure::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!("a connection ended: {error}");
        }
    });
    Ok(sender)
}

/// Whether the connection broke off before a word of an answer.
fn broke(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}

pub(super) fn failure(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::Protocol
    } else {
        Failure::Broken
    }
}

/// What was asked for, where it is no URL that could be read.
pub(super) fn asked(method: &Method, uri: &Uri) -> String {
    let text = uri.to_string();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    format!("{method} {text}")
}

fn unreadable(bad: BadTarget) -> Denial {
    Denial {
        rule: None,
        why: format!("no call is made to such a URL: {bad}"),
        hint: "write it as `https://host/path`".into(),
    }
}

fn never(method: &str) -> Denial {
    Denial {
        rule: None,
        why: format!("`{method}` is never let through"),
        hint: "use another method".into(),
    }
}

fn not_granted(denied: &Denied, method: &str, target: &Target, granted_at: &str) -> Denial {
    let rule = HttpRule::just(method, target);
    let hint = match denied {
        Denied::NotGranted | Denied::Address(_) => {
            format!("`grants.http = [\"{rule}\"]` at {granted_at} grants it")
        }
        Denied::Ceiling(_) => {
            format!("`http = [\"{rule}\"]` in the ceiling of `andon.toml` admits it")
        }
    };
    Denial {
        rule: match denied {
            Denied::Ceiling(rule) => Some(rule.clone()),
            Denied::NotGranted | Denied::Address(_) => None,
        },
        why: denied.to_string(),
        hint,
    }
}
