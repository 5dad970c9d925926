//! Calls over `wasi:http` 0.2, one at a time.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

use crate::http::{Error, Request, Response};

/// How much is handed over at once: what `blocking-write-and-flush` takes at most.
const CHUNK: usize = 4096;

pub(crate) fn http(request: Request) -> Result<Response, Error> {
    let url = Url::parse(&request.url)?;
    let headers: Vec<_> = (request.headers.iter())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()))
        .collect();
    let headers = Fields::from_list(&headers)
        .map_err(|why| Error::Request(format!("its headers are refused: {why:?}")))?;
    let outgoing = OutgoingRequest::new(headers);
    let set = [
        outgoing.set_method(&method(&request.method)),
        outgoing.set_scheme(Some(&url.scheme)),
        outgoing.set_authority(Some(url.authority)),
        outgoing.set_path_with_query(Some(&url.path)),
    ];
    if set.contains(&Err(())) {
        let Request { method, url, .. } = &request;
        return Err(Error::Request(format!("`{method} {url}` is malformed")));
    }
    let options = RequestOptions::new();
    if let Some(timeout) = request.timeout {
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // A host that knows no such limit has its own.
        let _ = options.set_first_byte_timeout(Some(nanos));
    }
    let body = outgoing
        .body()
        .map_err(|()| Error::Failed("the request has no body".into()))?;
    let answer = handle(outgoing, Some(options)).map_err(|code| why(&code))?;
    if let Err(error) = write(body, &request.body) {
        // The answer knows more of why.
        return Err(match answer.get() {
            Some(Ok(Err(code))) => why(&code),
            _ => error,
        });
    }
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => read(response),
        Some(Ok(Err(code))) => Err(why(&code)),
        Some(Err(())) | None => Err(Error::Failed("there is no answer".into())),
    }
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), Error> {
    let broken = || Error::Failed("the request could not be written".into());
    let stream = body.write().map_err(|()| broken())?;
    for chunk in bytes.chunks(CHUNK) {
        stream
            .blocking_write_and_flush(chunk)
            .map_err(|_| broken())?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| why(&code))
}

fn read(response: IncomingResponse) -> Result<Response, Error> {
    let status = response.status();
    let headers = (response.headers().entries().into_iter())
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let broken = || Error::Failed("the answer broke off".into());
    let incoming = response.consume().map_err(|()| broken())?;
    let stream = incoming.stream().map_err(|()| broken())?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => body.extend_from_slice(&bytes),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(code.as_ref().map_or_else(broken, why));
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    Ok(Response {
        status,
        headers,
        body,
    })
}

fn why(code: &ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Error::Denied,
        ErrorCode::ConnectionTimeout
        | ErrorCode::DnsTimeout
        | ErrorCode::HttpResponseTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout => Error::Timeout,
        ErrorCode::HttpResponseBodySize(_) => Error::TooLong,
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestHeaderSectionSize(_) => Error::Request(format!("{code:?}")),
        other => Error::Failed(format!("{other:?}")),
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.into()),
    }
}

/// The parts that `wasi:http` wants; what is in them is the host's to judge.
struct Url<'u> {
    scheme: Scheme,
    authority: &'u str,
    path: String,
}

impl<'u> Url<'u> {
    fn parse(url: &'u str) -> Result<Self, Error> {
        let bad = || Error::Request(format!("`{url}` is no http or https URL"));
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(bad()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = match path.starts_with('/') {
            true => path.to_string(),
            false => format!("/{path}"),
        };
        Ok(Self {
            scheme,
            authority,
            path,
        })
    }
}
