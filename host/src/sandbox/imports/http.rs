//! `wasi:http`, of WASI 0.2 and 0.3: what a guest sends goes out by the visit's way, and by no other.

use crate::{
    sandbox::{
        imports::Clock,
        state::State,
        tape::Tape,
        way::{CameAt, Egress, Failure, Patience, Refusal, Way},
    },
    visit::Visit,
};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::p2::bindings::io::error::Error as IoError;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks,
    p2::bindings::http::types::{DnsErrorPayload, ErrorCode},
};

/// What the host holds of a body that the guest writes and nobody has read yet.
const CHUNK: usize = 16 << 10;

/// Puts our own function behind `http-error-code` of WASI 0.2, by which a guest learns why a body
/// broke off: the engine's looks for an error of another type than that which its bodies end with.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |store: StoreContextMut<'_, State>, (error,): (Resource<IoError>,)| {
            let error = store.data().table.get(&error)?;
            Ok((error.downcast_ref::<Error>().map(code),))
        },
    )
}

/// The visit's way out, entered when the guest first asks for it.
pub(crate) struct Out {
    egress: Arc<dyn Egress>,
    visit: Arc<Visit>,
    tape: Arc<Tape>,
    clock: Clock,
    way: Option<Arc<dyn Way>>,
}

impl Out {
    pub(crate) fn new(
        egress: Arc<dyn Egress>,
        visit: Arc<Visit>,
        tape: Arc<Tape>,
        clock: Clock,
    ) -> Self {
        Self {
            egress,
            visit,
            tape,
            clock,
            way: None,
        }
    }

    /// The way out.
    pub(crate) fn way(&mut self) -> &Arc<dyn Way> {
        (self.way).get_or_insert_with(|| self.egress.enter(&self.visit))
    }

    /// Leaves it: bodies that end from now on were not ended by the guest.
    pub(crate) fn close(&mut self) {
        self.way = None;
    }
}

type Sent = Result<Response<WasiBody>, Error>;
/// What else the engine waits for; nothing here.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Out {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    /// The egress sets it from the URL.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Rest), Error>> + Send> {
        let patience = options.map_or_else(Patience::default, |options| Patience {
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        });
        // What breaks a guest's body off is told to the guest at the body.
        let request = request.map(|body| {
            let broken = |_| Refusal::Failed(Failure::Request);
            body.map_err(broken).boxed_unsync()
        });
        let sending = self.way().send(request, patience);
        let (tape, clock) = (self.tape.clone(), self.clock.clone());
        Box::new(async move {
            let sent: Sent = match sending.await {
                Ok(response) => {
                    if let Some(CameAt(at)) = response.extensions().get() {
                        clock.came(*at);
                    }
                    Ok(response.map(|body| {
                        body.map_err(move |refusal| told(&tape, &refusal))
                            .boxed_unsync()
                    }))
                }
                Err(refusal) => Err(told(&tape, &refusal)),
            };
            Ok((sent?, Box::new(std::future::ready(Ok(()))) as Rest))
        })
    }
}

/// What a guest is told of a refusal, which may end its visit.
fn told(tape: &Tape, refusal: &Refusal) -> Error {
    tape.refused(refusal);
    match refusal {
        Refusal::Violation(_) | Refusal::Denied(_) => Error::HttpRequestDenied,
        Refusal::Over(_) | Refusal::Diverged(_) | Refusal::Unknown(_) => {
            Error::ConnectionLimitReached
        }
        Refusal::Failed(failure) => match failure {
            Failure::Name => Error::DnsError {
                rcode: None,
                info_code: None,
            },
            Failure::Connect => Error::ConnectionRefused,
            Failure::Timeout => Error::HttpResponseTimeout,
            Failure::Tls => Error::TlsProtocolError,
            Failure::Broken => Error::ConnectionTerminated,
            Failure::Protocol => Error::HttpProtocolError,
            Failure::Request => {
                Error::InternalError(Some("the request is no HTTP that may be sent".into()))
            }
            Failure::TooLong => Error::HttpResponseBodySize(None),
        },
    }
}

/// What `told` says, in the words of WASI 0.2.
fn code(error: &Error) -> ErrorCode {
    match error {
        Error::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        Error::ConnectionLimitReached => ErrorCode::ConnectionLimitReached,
        Error::DnsError { .. } => ErrorCode::DnsError(DnsErrorPayload {
            rcode: None,
            info_code: None,
        }),
        Error::ConnectionRefused => ErrorCode::ConnectionRefused,
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::TlsProtocolError => ErrorCode::TlsProtocolError,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        other => ErrorCode::InternalError(Some(other.to_string())),
    }
}
