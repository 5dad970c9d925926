//! The runner in this process: for tests, embedding, short runs, and inside a runner process.

use super::{
    Runner,
    answer::{Answer, Unfit, overrun},
    command,
    engine::Engine,
    folders::{Contents, Folders, LeaveError, Left},
    handler,
    imports::{self, Clock, Counted, Files, Out, Random, progress::Listener},
    meter::{Meter, Over, metered},
    prepared::{Entrance, Kind, PrepareError, Prepared, bounded},
    state::State,
    tape::{End, Tape},
    typed,
    way::Egress,
};
use crate::{
    catalogue::Compiled,
    digest::Digest,
    item::ItemId,
    limits::{Limit, Limits},
    line::Station,
    name::Name,
    visit::{Outcome, Report, Usage, Visit},
    workspace::Held,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::Semaphore;
use wasmtime::{
    Store,
    component::{Component, Linker, ResourceTable, ResourceTableError},
};
use wasmtime_wasi::I32Exit;

/// The longest text of a trap that is kept; what is longer is cut.
const TRAP: usize = 8 << 10;
/// What a guest may hand over in one call beside its outputs: a log line, a path, a chunk of a file.
const CALL: u64 = 4 << 20;

/// What the runner is given.
pub struct Settings {
    /// Visits at the same time, of all lines together. More wait.
    pub visits: usize,
    /// Where workspaces come from.
    pub folders: Arc<dyn Folders>,
    /// Where large bodies are kept.
    pub contents: Arc<dyn Contents>,
    /// The way out to the network.
    pub egress: Arc<dyn Egress>,
    /// Told of each progress report of a station.
    pub progress: Option<Arc<Listener>>,
}

impl Settings {
    /// Default of `visits`.
    pub const VISITS: usize = 256;
}

/// Which station of which revision of which line.
type Key = (Name, u64, Name);

/// Runs visits on the tasks that poll them, each in a fresh instance.
#[derive(Clone)]
pub struct InProcess(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    linker: Linker<State>,
    room: Semaphore,
    stations: RwLock<HashMap<Key, Arc<Prepared>>>,
    /// The code of the components that stations were made of, with those that are: of one that many
    /// stations are made of there is one.
    loaded: Mutex<HashMap<Digest, (Component, HashSet<Key>)>>,
    /// The granted folders whose content is counted.
    counted: Counted,
    folders: Arc<dyn Folders>,
    contents: Arc<dyn Contents>,
    egress: Arc<dyn Egress>,
    progress: Option<Arc<Listener>>,
}

impl InProcess {
    /// A runner with an engine of its own.
    ///
    /// # Errors
    /// When the engine cannot be made.
    pub fn new(settings: Settings) -> wasmtime::Result<Self> {
        Self::on(Engine::new(settings.visits)?, settings)
    }

    /// A runner on an engine that is there.
    pub(crate) fn on(engine: Engine, settings: Settings) -> wasmtime::Result<Self> {
        let engine = Arc::new(engine);
        Ok(Self(Arc::new(Inner {
            linker: imports::linker(engine.wasmtime())?,
            room: Semaphore::new(engine.visits()),
            engine,
            stations: RwLock::default(),
            loaded: Mutex::default(),
            counted: Counted::default(),
            folders: settings.folders,
            contents: settings.contents,
            egress: settings.egress,
            progress: settings.progress,
        })))
    }

    /// The engine, to load compiled components into.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Makes a station ready whose component has this digest, loading its code unless another station
    /// has it. Visits to it that are under way go on as they began.
    ///
    /// # Errors
    /// As [`Self::prepare`], and when the code does not load.
    pub fn prepare_cached(
        &self,
        line: &Name,
        revision: u64,
        name: &Name,
        station: &Station,
        (digest, compiled): (Digest, &Compiled),
    ) -> Result<Kind, PrepareError> {
        let mut all = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&digest).map(|(component, _)| component.clone());
        let component = match known {
            Some(component) => component,
            None => self.0.engine.load_cached(compiled).map_err(|error| {
                // It has more of something than there is for one visit.
                PrepareError::Import {
                    station: name.clone(),
                    reason: format!("{error:#}"),
                }
            })?,
        };
        let kind = self.prepare(line, revision, name, station, &component)?;
        let (_, users) = (all.entry(digest)).or_insert_with(|| (component, HashSet::new()));
        users.insert((line.clone(), revision, name.clone()));
        Ok(kind)
    }

    /// Lets the stations of a revision go. Visits to them that are under way go on as they began.
    pub fn forget(&self, line: &Name, revision: u64) {
        let theirs = |key: &Key| key.0 == *line && key.1 == revision;
        let stations = &self.0.stations;
        (stations.write().unwrap_or_else(PoisonError::into_inner)).retain(|key, _| !theirs(key));
        let mut all = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, users)| {
            users.retain(|key| !theirs(key));
            !users.is_empty()
        });
    }

    /// Makes a station ready. Visits to it that are under way go on as they began.
    ///
    /// # Errors
    /// When the component is no station, imports what is not known, or a folder is missing.
    pub fn prepare(
        &self,
        line: &Name,
        revision: u64,
        name: &Name,
        station: &Station,
        component: &Component,
    ) -> Result<Kind, PrepareError> {
        let prepared = Prepared::new(&self.0.linker, name, station, component, &self.0.counted)?;
        let kind = prepared.entrance.kind();
        let key = (line.clone(), revision, name.clone());
        self.0
            .stations
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, Arc::new(prepared));
        Ok(kind)
    }
}

impl Runner for InProcess {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        let inner = self.0.clone();
        Box::pin(async move { inner.visit(visit).await })
    }

    fn parted(&self, item: &ItemId) {
        self.0.folders.parted(item);
    }
}

impl Inner {
    async fn visit(&self, visit: Visit) -> Report {
        let key = (visit.line.clone(), visit.revision, visit.station.clone());
        let prepared = self
            .stations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let Some(prepared) = prepared else {
            return Report::not_made(format!(
                "station `{}` of line `{}`, revision {}, was not made ready",
                key.2, key.0, key.1
            ));
        };
        let Ok(_room) = self.room.acquire().await else {
            return Report::not_made("the runner is closed".into());
        };
        let _running = self.engine.running();
        self.attempt(prepared, visit).await
    }

    async fn attempt(&self, prepared: Arc<Prepared>, visit: Visit) -> Report {
        let limits = prepared.station.limits.clone();
        let tape = Arc::new(Tape::new(&limits));
        let mut store = self.store(&prepared, visit, &tape);
        let run = self.run(&mut store, &prepared);
        let (result, wall, cpu) = metered(run, &limits, &tape).await;
        let mut state = store.into_data();
        // First of all: what still leaves after this was whole before.
        state.out.close();
        let mut outcome = match result {
            Err(end) => stopped(end, &limits),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => ended(&error, &state, &limits),
        };
        let mut left = Left::default();
        if matches!(outcome, Outcome::Passed(_)) {
            let most = Held {
                bytes: limits.disk,
                entries: limits.files,
            };
            match state.files.leave(most).await {
                Ok(changes) => left = changes,
                Err(LeaveError::Station(reason)) => outcome = Outcome::Invalid(reason),
                Err(LeaveError::Host(error)) => {
                    outcome = Outcome::Retry {
                        reason: format!("cannot keep the workspace: {error}"),
                        after: None,
                    };
                }
            }
        }
        let (denied, denied_more) = state.files.denials.take();
        Report {
            outcome,
            log: tape.take_log(),
            usage: Usage {
                wall_us: micros(wall),
                cpu_us: micros(cpu),
                memory: state.meter.peak(),
            },
            workspace: left.workspace,
            blobs: left.blobs,
            denied,
            denied_more,
        }
    }

    fn store(&self, prepared: &Arc<Prepared>, visit: Visit, tape: &Arc<Tape>) -> Store<State> {
        let limits = &prepared.station.limits;
        let mut table = ResourceTable::new();
        let handles = usize::try_from(limits.handles).unwrap_or(usize::MAX);
        table.set_max_capacity(handles);
        let visit = Arc::new(visit);
        let clock = Clock::new(prepared.station.clock, visit.started, visit.run.recorded);
        let mut store = Store::new(
            self.engine.wasmtime(),
            State {
                table,
                meter: Meter::new(limits),
                tape: tape.clone(),
                clock: clock.clone(),
                random: Random::new(visit.seed),
                files: Files::new(self.folders.clone()),
                progress: self.progress.clone(),
                out: Out::new(
                    self.egress.clone(),
                    visit.clone(),
                    tape.clone(),
                    clock.clone(),
                ),
                visit,
                prepared: prepared.clone(),
                wasi: None,
                http: State::http_limits(prepared),
            },
        );
        store.limiter(|state| &mut state.meter);
        // One tick, then the guest gives way: the meter looks, and other visits have their turn.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        // What the host copies out of the guest for one call: lists, strings, and all outputs at once.
        // Every element of a list counts with the size that it has in the host.
        let call = limits.output.saturating_add(CALL);
        store.set_hostcall_fuel(usize::try_from(call).unwrap_or(usize::MAX));
        // The host keeps three tables for a guest, each of which it can fill by itself: what stands
        // behind imports (above), the handles of all instances, and, in WASI 0.3, tasks, streams and
        // futures with what waits for them.
        store.set_max_component_handles(handles);
        if let Some(tasks) = store.concurrent_resource_table() {
            tasks.set_max_capacity(handles);
        }
        store
    }

    fn answer<'a>(&'a self, store: &'a mut Store<State>, limits: &'a Limits) -> Answer<'a> {
        let state = store.data_mut();
        Answer::new(
            limits,
            &mut state.files,
            state.visit.clone(),
            &self.contents,
        )
    }

    async fn run(
        &self,
        store: &mut Store<State>,
        prepared: &Prepared,
    ) -> wasmtime::Result<Outcome> {
        let limits = &prepared.station.limits;
        let contents = &self.contents;
        // All but the most usual kind are boxed: the future of a visit is as large as the largest that
        // stands in it, and is moved about.
        let judged = match &prepared.entrance {
            Entrance::Typed(pre) => {
                let said = typed::call(store, pre, contents).await?;
                typed::judge(said, self.answer(store, limits)).await
            }
            Entrance::TypedAsync(pre) => {
                let said = Box::pin(typed::call_async(store, pre, contents)).await?;
                typed::judge(said, self.answer(store, limits)).await
            }
            Entrance::Command(pre) => {
                let code = Box::pin(command::call(store, pre, contents)).await?;
                Box::pin(self.judge_code(store, prepared, code)).await
            }
            Entrance::CommandAsync(pre) => {
                let code = Box::pin(command::call_async(store, pre, contents)).await?;
                Box::pin(self.judge_code(store, prepared, code)).await
            }
            Entrance::Handler(pre) => {
                let response = Box::pin(handler::call(store, pre, contents)).await?;
                Box::pin(self.judge_response(store, prepared, response)).await
            }
            Entrance::HandlerAsync(pre) => {
                let response = Box::pin(handler::call_async(store, pre, contents)).await?;
                Box::pin(self.judge_response(store, prepared, response)).await
            }
        };
        Ok(judged.unwrap_or_else(|unfit| unfit.outcome(limits)))
    }

    async fn judge_code(
        &self,
        store: &mut Store<State>,
        prepared: &Prepared,
        code: i32,
    ) -> Result<Outcome, Unfit> {
        let state = store.data();
        let (visit, tape) = (state.visit.clone(), state.tape.clone());
        let answer = self.answer(store, &prepared.station.limits);
        command::judge(code, &prepared.station, &visit, &tape, answer).await
    }

    async fn judge_response(
        &self,
        store: &mut Store<State>,
        prepared: &Prepared,
        response: Result<Response<Bytes>, Unfit>,
    ) -> Result<Outcome, Unfit> {
        let answer = self.answer(store, &prepared.station.limits);
        handler::judge(response?, answer).await
    }
}

/// The outcome of a visit that the host ended.
fn stopped(end: End, limits: &Limits) -> Outcome {
    match end {
        End::Over(limit) => overrun(limit, limits),
        End::Violation(violation) => Outcome::Violation(violation),
        End::Diverged(what) => Outcome::Diverged(what),
        End::Unknown(what) => Outcome::UnknownOutcome(what),
    }
}

/// How a visit ended that the engine calls an error.
fn ended(error: &wasmtime::Error, state: &State, limits: &Limits) -> Outcome {
    if let Some(Over(limit)) = error.downcast_ref() {
        return overrun(*limit, limits);
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Outcome::Trapped(format!("the station ended itself with exit code {code}"));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return withheld(error);
    }
    if let Some(limit) = state.meter.denied.or_else(|| engines(error)) {
        return overrun(limit, limits);
    }
    Outcome::Trapped(bounded(&format!("{error:?}"), TRAP))
}

/// The limit that the engine itself enforces and tells of.
fn engines(error: &wasmtime::Error) -> Option<Limit> {
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Some(Limit::Handles);
    }
    // The other errors are private to it: the text is all there is to know them by. Stations of the
    // tests run into each of them.
    let texts = [
        (
            "fuel allocated for hostcalls has been exhausted",
            Limit::Output,
        ),
        ("store handle limit exceeded", Limit::Handles),
        ("instance count too high", Limit::Instances),
    ];
    let said = error.root_cause().to_string();
    let known = texts.into_iter().find(|(text, _)| said.contains(text));
    known.map(|(_, limit)| limit)
}

/// The outcome of a visit that the host could not give what it was promised.
fn withheld(error: &io::Error) -> Outcome {
    Outcome::Retry {
        reason: format!("the host could not give the visit what it needs: {error}"),
        after: None,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
