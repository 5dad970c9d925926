//! What stands behind the imports of one visit. Made anew for each, so everything that costs is made
//! when the guest first asks for it.

use super::{
    imports::{Clock, Files, Out, Random, progress::Listener, stdio::Sink},
    meter::Meter,
    prepared::{Kind, Prepared},
    tape::{Channel, Tape},
};
use crate::visit::Visit;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The fields of a request or response; a handler's response may carry all labels that there are.
const FIELDS: usize = 128 << 10;
/// The same for requests that are sent: as long as heads usually may be at most.
const SENT_FIELDS: usize = 32 << 10;
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
    pub(crate) out: Out,
}

impl State {
    /// The limits of what the guest does with HTTP.
    pub(crate) fn http_limits(prepared: &Prepared) -> WasiHttpCtx {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(match prepared.entrance.kind() {
            Kind::Handler => FIELDS,
            Kind::Typed | Kind::Command if prepared.station.grants.http.is_empty() => UNREAD_FIELDS,
            Kind::Typed | Kind::Command => SENT_FIELDS,
        });
        http
    }

    /// The start of a context in which everything is closed: no environment, no input, no network.
    /// What the guest writes to its standard outputs goes to the log.
    pub(crate) fn closed(tape: &Arc<Tape>) -> WasiCtxBuilder {
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
            .initial_cwd(super::imports::WORKSPACE);
        wasi
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self
            .wasi
            .get_or_insert_with(|| Box::new(Self::closed(&self.tape).build()));
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
            hooks: &mut self.out,
        }
    }
}
