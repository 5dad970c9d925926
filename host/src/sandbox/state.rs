//! What stands behind the imports of one visit. Made anew for each, so everything that costs is made
//! when the guest first asks for it.

use super::{
    imports::{Clock, Files, Random, progress::Listener, stdio::Sink},
    meter::Meter,
    prepared::{Kind, Prepared},
    tape::{Channel, Tape},
};
use crate::visit::Visit;
use http::Request;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

/// Handles that a guest may hold at one time: open files, streams, bodies. Behind each the host keeps
/// something, so together with [`CHUNK`] this bounds what a guest makes it keep.
pub(crate) const HANDLES: usize = 1_024;
/// What the host holds of a body that the guest writes and nobody has read yet.
const CHUNK: usize = 16 << 10;
/// The fields of a request or response; a handler's response may carry all labels that there are.
const FIELDS: usize = 128 << 10;
/// The same where nobody will read them.
const UNREAD_FIELDS: usize = 4 << 10;

/// A visit's own state in its store.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) visit: Arc<Visit>,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) meter: Meter,
    pub(crate) tape: Arc<Tape>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) files: Files,
    pub(crate) progress: Option<Arc<Listener>>,
    /// What a command is given; none for the other kinds, which get a closed context if they ask.
    pub(crate) wasi: Option<Box<WasiCtx>>,
    pub(crate) http: WasiHttpCtx,
    pub(crate) no_way_out: NoWayOut,
}

impl State {
    /// The limits of what the guest does with HTTP.
    pub(crate) fn http_limits(kind: Kind) -> WasiHttpCtx {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(match kind {
            Kind::Handler => FIELDS,
            Kind::Typed | Kind::Command => UNREAD_FIELDS,
        });
        http
    }

    /// The start of a context in which everything is closed: no environment, no input, no network.
    /// What the guest writes to its standard outputs goes to the log.
    pub(crate) fn closed(prepared: &Prepared, tape: &Arc<Tape>) -> WasiCtxBuilder {
        let sink = |channel| Sink {
            tape: tape.clone(),
            channel,
        };
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(sink(Channel::Stdout))
            .stderr(sink(Channel::Stderr))
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .initial_cwd(super::imports::WORKSPACE)
            .allow_blocking_current_thread(prepared.quick_files);
        wasi
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self
            .wasi
            .get_or_insert_with(|| Box::new(Self::closed(&self.prepared, &self.tape).build()));
        WasiCtxView {
            ctx,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.no_way_out,
        }
    }
}

/// Refuses every request that a guest sends.
pub(crate) struct NoWayOut;

impl WasiHttpHooks for NoWayOut {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    #[allow(clippy::type_complexity, reason = "the trait's")]
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<
        dyn Future<
                Output = Result<
                    (
                        http::Response<WasiBody>,
                        Box<dyn Future<Output = Result<(), HttpError>> + Send>,
                    ),
                    HttpError,
                >,
            > + Send,
    > {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }
}
