//! A visit in a fresh instance through the runner, against bare wasmtime: the same component, engine,
//! linker and context, on one thread. Between the two stands bare wasmtime with all limits that a visit has
//! (memory and tables counted, handles, host calls, wall time, the thread's processor time at every poll):
//! what limits cost by themselves. Prints the time of each and the ratios; asserts nothing.

#![allow(missing_docs, reason = "generated bindings")]

use andon::{
    digest::Digest,
    grant::Grants,
    item::{Body, ItemId, Labels, Payload},
    limits::Limits,
    line::{Retry, Station},
    sandbox::{Contents, Folder, Folders, InProcess, Runner, Settings, egress},
    visit::{Outcome, Visit},
};
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use wasmtime::{
    Store, StoreLimits, StoreLimitsBuilder,
    component::{Component, HasSelf, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

mod bare {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "station",
        imports: { default: trappable },
        exports: { default: async },
    });
}

use bare::andon::station::{log, progress, work};
use bare::wasi::config::store;

/// The command's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VISITS: u32 = 20_000;
const ROUNDS: usize = 7;

struct Nothing;

impl Folders for Nothing {
    fn enter(&self, _: &Visit) -> io::Result<Box<dyn Folder>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Contents for Nothing {
    fn put(&self, _: &[u8]) -> io::Result<Digest> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(&self, _: &Digest) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
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

fn component() -> Vec<u8> {
    let mut module = wat::parse_str(include_str!("echo.wat")).expect("a module");
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir("../wit").expect("the interface");
    let world = resolve
        .select_world(&[package], Some("station"))
        .expect("a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("a component")
}

fn visit() -> Visit {
    Visit {
        item: ItemId::input(&[0; 16], "line", "input"),
        line: "line".parse().expect("a name"),
        revision: 1,
        station: "echo".parse().expect("a name"),
        nth: 1,
        attempt: 1,
        started: 1_700_000_000_000,
        seed: [7; 32],
        inputs: vec![Payload {
            content_type: "text/plain".into(),
            body: Body::Inline(Bytes::from(vec![b'x'; 1024])),
            labels: Labels::default(),
        }],
        workspace: None,
        joined: Vec::new(),
        deadline: None,
        answers: Vec::new(),
        run: andon::visit::Run::default(),
    }
}

fn station() -> Station {
    Station {
        r#use: PathBuf::new(),
        next: BTreeMap::new(),
        config: BTreeMap::new(),
        assets: Vec::new(),
        args: Vec::new(),
        env: BTreeMap::new(),
        exits: BTreeMap::new(),
        workers: Station::WORKERS,
        queue: Station::QUEUE,
        ask: None,
        hold: Default::default(),
        visits: None,
        join: None,
        retry: Retry::default(),
        limits: Limits::default(),
        grants: Grants::default(),
        rate: Default::default(),
        violation: Default::default(),
        clock: Default::default(),
    }
}

fn main() -> wasmtime::Result<()> {
    assert!(Path::new("../wit").exists(), "run by `cargo bench`");
    let runner = InProcess::new(Settings {
        visits: Settings::VISITS,
        folders: Arc::new(Nothing),
        contents: Arc::new(Nothing),
        egress: Arc::new(egress::Closed),
        progress: None,
    })?;
    let engine = runner.engine().wasmtime().clone();
    let component = Component::new(&engine, component())?;
    let visit = visit();
    runner
        .prepare(&visit.line, 1, &visit.station, &station(), &component)
        .expect("a station");

    let mut linker = Linker::<State>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    progress::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    store::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    let pre = bare::StationPre::new(linker.instantiate_pre(&component)?)?;
    let told = work::Visit {
        item: visit.item.to_string(),
        root: visit.item.to_string(),
        line: visit.line.to_string(),
        revision: 1,
        station: visit.station.to_string(),
        nth: 1,
        attempt: 1,
        deadline: None,
        answers: Vec::new(),
    };
    let inputs = [work::Payload {
        content_type: "text/plain".into(),
        body: work::Body::Bytes(vec![b'x'; 1024]),
        labels: Vec::new(),
    }];

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let call = async |limited: bool| {
        let mut table = ResourceTable::new();
        if limited {
            table.set_max_capacity(1_024);
        }
        let limits = StoreLimitsBuilder::new()
            .memory_size(64 << 20)
            .table_elements(100_000)
            .instances(128)
            .build();
        let state = State {
            wasi: WasiCtx::builder().build(),
            table,
            limits,
        };
        let mut store = Store::new(&engine, state);
        if limited {
            store.limiter(|state| &mut state.limits);
            store.set_hostcall_fuel(12 << 20);
            store.set_max_component_handles(1_024);
        }
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let station = pre.instantiate_async(&mut store).await?;
        let said = station
            .andon_station_process()
            .call_run(&mut store, &told, &inputs)
            .await?;
        assert_eq!(said.expect("outputs").len(), 1);
        Ok::<_, wasmtime::Error>(())
    };
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let bare = runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..VISITS {
                call(false).await?;
            }
            Ok::<_, wasmtime::Error>(started.elapsed() / VISITS)
        })?;
        let limited = runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..VISITS {
                let mut call = std::pin::pin!(call(true));
                let metered = std::future::poll_fn(|cx| {
                    let before = clock_gettime(ClockId::ThreadCPUTime);
                    let poll = call.as_mut().poll(cx);
                    std::hint::black_box((before, clock_gettime(ClockId::ThreadCPUTime)));
                    poll
                });
                let wall = Duration::from_secs(30);
                tokio::time::timeout(wall, metered)
                    .await
                    .expect("in time")?;
            }
            Ok::<_, wasmtime::Error>(started.elapsed() / VISITS)
        })?;
        let andon = runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..VISITS {
                let report = runner.visit(visit.clone()).await;
                assert!(matches!(report.outcome, Outcome::Passed(_)), "{report:?}");
            }
            started.elapsed() / VISITS
        });
        println!(
            "bare {}, with limits {}, andon {}",
            micros(bare),
            micros(limited),
            micros(andon)
        );
        for (ratios, time) in ratios.iter_mut().zip([limited, andon]) {
            ratios.push(time.as_secs_f64() / bare.as_secs_f64());
        }
    }
    for (mut ratios, what) in ratios.into_iter().zip(["with limits", "andon"]) {
        ratios.sort_by(f64::total_cmp);
        println!("{what} against bare, median {:.2}", ratios[ROUNDS / 2]);
    }
    Ok(())
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
