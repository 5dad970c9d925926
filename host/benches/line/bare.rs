//! The same component without andon: a fresh instance of a pre-linked component, one call, gone. The
//! engine is the runner's, with its pool and its epochs; the WASI context is a closed one.

use super::{carry::Hall, ground};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use wasmtime::{
    Engine, Store,
    component::{HasSelf, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

#[allow(missing_docs, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "station",
        imports: { default: trappable },
        exports: { default: async },
    });
}

use bindings::{
    StationPre,
    andon::station::{log, progress, work},
    wasi::config::store,
};

/// A station to be called bare.
pub(super) struct Bare {
    engine: Engine,
    pre: Arc<StationPre<State>>,
    told: work::Visit,
    inputs: Vec<work::Payload>,
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl log::Host for State {
    fn write(
        &mut self,
        _: log::Level,
        _: String,
        _: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl progress::Host for State {
    fn report(&mut self, _: u64, _: u64, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl store::Host for State {
    fn get(&mut self, _: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        Ok(Ok(None))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        Ok(Ok(Vec::new()))
    }
}

impl Bare {
    /// The first station of a line.
    pub(super) fn new(hall: &Hall) -> anyhow::Result<Self> {
        let runner = hall.runner()?;
        let part = &hall.assembled.parts.values().next();
        let part = part.ok_or_else(|| anyhow::anyhow!("a line has a station"))?;
        let linked = || {
            let component = runner.engine().load_cached(&part.compiled)?;
            let engine = runner.engine().wasmtime().clone();
            let mut linker = Linker::<State>::new(&engine);
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
            progress::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
            store::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
            Ok((
                engine,
                Arc::new(StationPre::new(linker.instantiate_pre(&component)?)?),
            ))
        };
        let (engine, pre) =
            linked().map_err(|error: wasmtime::Error| anyhow::anyhow!("{error:#}"))?;
        Ok(Self {
            engine,
            pre,
            told: work::Visit {
                item: "abcdefghijklmnop".into(),
                root: "abcdefghijklmnop".into(),
                line: "bench".into(),
                revision: 1,
                station: "first".into(),
                nth: 1,
                attempt: 1,
                deadline: None,
                answers: Vec::new(),
            },
            inputs: vec![work::Payload {
                content_type: "application/json".into(),
                body: work::Body::Bytes(ground::body(0).into_bytes()),
                labels: Vec::new(),
            }],
        })
    }

    /// One visit after the other on one thread: the processor time of one.
    pub(super) fn visit(&self, visits: u32) -> anyhow::Result<Duration> {
        let runtime = super::carry::runtime(1)?;
        let started = thread_time();
        runtime
            .block_on(async {
                for _ in 0..visits {
                    self.call().await?;
                }
                Ok(())
            })
            .map_err(|error: wasmtime::Error| anyhow::anyhow!("{error:#}"))?;
        Ok((thread_time() - started) / visits)
    }

    /// So many visits on each of two threads: the time of all.
    pub(super) fn visits_on_two_threads(&self, visits: u32) -> anyhow::Result<Duration> {
        let started = Instant::now();
        thread::scope(|scope| {
            let threads = [0; 2].map(|_| scope.spawn(|| self.visit(visits)));
            for thread in threads {
                thread.join().expect("no panic")?;
            }
            Ok(started.elapsed())
        })
    }

    async fn call(&self) -> wasmtime::Result<()> {
        let state = State {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&self.engine, state);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let station = self.pre.instantiate_async(&mut store).await?;
        let said = station
            .andon_station_process()
            .call_run(&mut store, &self.told, &self.inputs)
            .await?;
        match said {
            Ok(outputs) if outputs.len() == 1 => Ok(()),
            said => Err(wasmtime::Error::msg(format!("the station said {said:?}"))),
        }
    }
}

/// Processor time of this thread so far.
pub(super) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
