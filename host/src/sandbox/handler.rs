//! Handler stations: any `wasi:http/incoming-handler` of WASI 0.2 or `wasi:http/handler` of 0.3.
//!
//! The item is a POST to `/`: its media type and body are the request's, its labels are
//! `andon-label-…` headers, where it is stands in `andon-…` ones. The response's status says how the
//! visit ended, its body is the new body, `andon-port` and `andon-label-…` headers name port and
//! labels.

use super::{
    answer::{Answer, Given, REASON, Unfit},
    body::Source,
    folders::Contents,
    prepared::bounded,
    state::State,
};
use crate::{limits::Limit, name::Name, visit::Outcome};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;
use wasmtime::{Store, component::ResourceTable};
use wasmtime_wasi_http::{
    Error as HttpError, WasiBody, WasiHttpView as _,
    p2::bindings::{ProxyPre, http::types::Scheme},
    p3,
    p3::bindings::ServicePre,
};

/// How many bytes of a body are read at a time.
const CHUNK: usize = 64 << 10;
/// The start of the header of a label.
const LABEL: &str = "andon-label-";

/// Calls a handler of WASI 0.2.
pub(crate) async fn call(
    store: &mut Store<State>,
    pre: &ProxyPre<State>,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<Result<Response<Bytes>, Unfit>> {
    let request = match request(store.data_mut(), contents).await? {
        Ok(request) => request,
        Err(unfit) => return Ok(Err(unfit)),
    };
    let most = store.data().prepared.station.limits.output;
    let (send, receive) = oneshot::channel();
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(Scheme::Http, request)?;
    let out = view.new_response_outparam(send)?;
    let proxy = pre.instantiate_async(&mut *store).await?;
    let call = async {
        let called = proxy
            .wasi_http_incoming_handler()
            .call_handle(&mut *store, request, out)
            .await;
        // What the guest kept without ending it ends here: nobody waits for it, and nothing of it is
        // taken for whole.
        store.data_mut().out.close();
        store.data_mut().table = ResourceTable::new();
        called
    };
    // The body is read while the guest writes it.
    let answer = async {
        match receive.await {
            Ok(Ok(response)) => collect(response, most).await,
            Ok(Err(code)) => Err(Unfit::Form(format!(
                "the station answered with the error {code:?}"
            ))),
            Err(_) => Err(Unfit::Form("the station gave no response".into())),
        }
    };
    let (called, answer) = tokio::join!(call, answer);
    called?;
    Ok(answer)
}

/// Calls a handler of WASI 0.3.
pub(crate) async fn call_async(
    store: &mut Store<State>,
    pre: &ServicePre<State>,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<Result<Response<Bytes>, Unfit>> {
    let request = match request(store.data_mut(), contents).await? {
        Ok(request) => request,
        Err(unfit) => return Ok(Err(unfit)),
    };
    let most = store.data().prepared.station.limits.output;
    let (request, sent) = p3::Request::from_http(store.data_mut().http().hooks, request);
    let service = pre.instantiate_async(&mut *store).await?;
    store
        .run_concurrent(async |accessor| {
            let answer = async {
                let response = match service.handle(accessor, request).await? {
                    Ok(response) => response,
                    Err(code) => {
                        return Ok(Err(Unfit::Form(format!(
                            "the station answered with the error {code:?}"
                        ))));
                    }
                };
                let response =
                    accessor.with(|store| response.into_http(store, async { Ok(()) }))?;
                Ok(collect(response, most).await)
            };
            // Whether the guest read the request to its end is its own affair.
            let sent = async {
                let _ = sent.await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                answer = answer => answer,
                () = sent => unreachable!("it is pending for ever"),
            }
        })
        .await?
}

async fn request(
    state: &mut State,
    contents: &Arc<dyn Contents>,
) -> wasmtime::Result<Result<Request<WasiBody>, Unfit>> {
    let visit = state.visit.clone();
    let [input] = &visit.inputs[..] else {
        return Ok(Err(Unfit::Form(format!(
            "a handler takes one payload at a time, and the join collected {}\n  hint: collect with a typed or a command station",
            visit.inputs.len()
        ))));
    };
    let source = Source::of(state, contents).await?;
    let body = StreamBody::new(futures::stream::unfold(
        source,
        async |mut source| match source.next(CHUNK) {
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => Some((Ok(Frame::data(bytes)), source)),
            Err(error) => {
                let error = HttpError::InternalError(Some(error.to_string()));
                Some((Err(error), Source::default()))
            }
        },
    ));
    let mut request = Request::post("http://andon/")
        .header(header::HOST, "andon")
        .header(header::CONTENT_TYPE, &input.content_type)
        .header("andon-item", visit.item.as_str())
        .header("andon-root", visit.item.root().as_str())
        .header("andon-line", &*visit.line)
        .header("andon-revision", visit.revision)
        .header("andon-station", &*visit.station)
        .header("andon-nth", visit.nth)
        .header("andon-attempt", visit.attempt)
        .body(body.boxed_unsync())?;
    for (name, value) in input.labels.iter() {
        let name = HeaderName::try_from(format!("{LABEL}{name}"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())?;
        request.headers_mut().insert(name, value);
    }
    Ok(Ok(request))
}

/// Reads a response, of at most `most` bytes.
async fn collect(response: Response<WasiBody>, most: u64) -> Result<Response<Bytes>, Unfit> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Unfit::Form(format!("the response broke off: {error:?}")))?;
        if let Some(data) = frame.data_ref() {
            if (bytes.len() + data.len()) as u64 > most {
                return Err(Unfit::Over(Limit::Output));
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(Response::from_parts(head, bytes.into()))
}

/// What the response says.
pub(crate) async fn judge(
    response: Response<Bytes>,
    mut answer: Answer<'_>,
) -> Result<Outcome, Unfit> {
    let (head, body) = response.into_parts();
    let reason = || {
        let text = String::from_utf8_lossy(&body[..body.len().min(REASON)]);
        let said = text.lines().map(str::trim).find(|line| !line.is_empty());
        match said {
            Some(line) => format!("{}: {}", head.status, bounded(line, REASON)),
            None => head.status.to_string(),
        }
    };
    match head.status {
        status if status.is_success() => {}
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE => {
            return Ok(Outcome::Retry {
                reason: reason(),
                after: retry_after(&head.headers),
            });
        }
        status if status.is_client_error() => return Ok(Outcome::Rejected(reason())),
        status if status.is_server_error() => {
            return Ok(Outcome::Retry {
                reason: reason(),
                after: None,
            });
        }
        status => {
            return Err(Unfit::Form(format!(
                "the station answered with status {status}: 2xx, 4xx and 5xx are answers"
            )));
        }
    }
    let text = |name: &HeaderName, value: &HeaderValue| {
        let text = String::from_utf8(value.as_bytes().to_vec());
        text.map_err(|_| Unfit::Form(format!("header `{name}` of the response is no UTF-8")))
    };
    let named = |name: HeaderName, default: &str| match head.headers.get(&name) {
        Some(value) => text(&name, value),
        None => Ok(default.into()),
    };
    let port = named(HeaderName::from_static("andon-port"), Name::PASS)?;
    let media = named(header::CONTENT_TYPE, "")?;
    let mut labels = Vec::new();
    for (name, value) in &head.headers {
        if let Some(label) = name.as_str().strip_prefix(LABEL) {
            labels.push((label, text(name, value)?));
        }
    }
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
    answer
        .add(&port, &media, Given::Bytes(body), labels)
        .await?;
    Ok(answer.outcome())
}

/// The seconds of a Retry-After. A date in it would be of a clock that the guest does not have.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
