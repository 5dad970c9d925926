//! The engine and its settings: one place, since a component loads only into the settings it was
//! compiled with.
//!
//! [`config`] is what changes compiled code. [`Engine`] adds what only matters for running: the pool
//! of instances and the thread that ticks.

use crate::catalogue::{Compiled, Verified};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use wasmtime::{
    Config, Enabled, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::Component,
};

/// Linear memories that one visit may have. Toolchains make one; adapters and composed components
/// a few.
pub(crate) const MEMORIES_PER_VISIT: u32 = 8;
/// Tables that one visit may have.
pub(crate) const TABLES_PER_VISIT: u32 = 32;
/// The most elements of one table. CPython's function table has some 10,000.
pub(crate) const TABLE_ELEMENTS: usize = 65_536;
/// Core instances that one visit may have, whatever its `limits.instances` says: each is some
/// kilobytes of the host's. CPython's component has some 30.
const INSTANCES_PER_VISIT: u32 = 1_024;
/// The guest's stack. wasmtime's own default, named since `Config` and [`STACK`] have to fit.
const WASM_STACK: usize = 512 << 10;
/// The guest's stack and that of the host calls it makes, behind a guard page: a guest that fills its
/// part traps before host code can run out of it.
const STACK: usize = 2 << 20;
/// Frames that the text of a trap tells of: a deep recursion is no long text.
const FRAMES: NonZeroUsize = NonZeroUsize::new(20).expect("20");
/// How often a running guest gives way, and is measured.
const TICK: Duration = Duration::from_millis(2);
/// Ticks without a visit after which the ticker sleeps.
const IDLE_TICKS: u32 = 64;

/// What changes compiled code; the same for compiling and for running.
pub fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    // 64-bit memories need bounds checks and nothing that stations are built with needs them.
    config.wasm_memory64(false);
    // What no toolchain emits is code of the host's that only a hostile guest would reach: pages of
    // one byte, stacks to switch, wide integers, threads and debugging aids of the component model.
    // (Threads, garbage collection and exceptions are not even built in.)
    config.wasm_custom_page_sizes(false);
    config.wasm_stack_switching(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_component_model_threading(false);
    config.wasm_component_model_error_context(false);
    config.max_wasm_stack(WASM_STACK);
    config.async_stack_size(STACK);
    config.wasm_backtrace_max_frames(Some(FRAMES));
    // The same inputs give the same outputs on every machine: replays compare them bit by bit.
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(true);
    config.relaxed_simd_deterministic(true);
    // Every tick of the epoch yields, so that a tight loop can be metered and stopped.
    config.epoch_interruption(true);
    // A memory's whole reach is reserved and its end guarded: no load or store is checked in code.
    config.memory_reservation(4 << 30);
    config
}

/// A wasmtime engine with a pool of instances, and a thread that ticks while visits run.
pub struct Engine {
    engine: wasmtime::Engine,
    ticker: Arc<Ticker>,
    thread: thread::Thread,
    visits: usize,
}

/// An engine that has no thread yet.
pub(crate) struct Still {
    engine: wasmtime::Engine,
    visits: usize,
}

impl Still {
    /// See [`Engine::new`].
    pub(crate) fn new(visits: usize) -> wasmtime::Result<Self> {
        let mut visits = visits.clamp(1, 4096);
        let engine = loop {
            let mut config = config();
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(visits)));
            match wasmtime::Engine::new(&config) {
                Ok(engine) => break engine,
                Err(error) if visits == 1 => return Err(error),
                Err(_) => visits /= 2,
            }
        };
        Ok(Self { engine, visits })
    }

    /// Starts the thread that ticks.
    pub(crate) fn start(self) -> wasmtime::Result<Engine> {
        let Self { engine, visits } = self;
        let ticker = Arc::new(Ticker::default());
        let thread = thread::Builder::new()
            .name("andon-epoch".into())
            .spawn({
                let (ticker, engine) = (ticker.clone(), engine.weak());
                move || ticker.run(&engine)
            })?
            .thread()
            .clone();
        Ok(Engine {
            engine,
            ticker,
            thread,
            visits,
        })
    }
}

impl Engine {
    /// An engine with room for at most `visits` at the same time; for fewer where the machine does
    /// not give as much address space.
    ///
    /// # Errors
    /// When the engine cannot be made at all.
    pub fn new(visits: usize) -> wasmtime::Result<Self> {
        Still::new(visits)?.start()
    }

    /// The visits that it has room for.
    pub fn visits(&self) -> usize {
        self.visits
    }

    /// Loads a component that was compiled with [`config`] by this very version.
    ///
    /// # Errors
    /// When the bytes were compiled by another version or with other settings.
    ///
    /// # Safety
    /// The bytes are machine code that will be run as it is: they have to come from this engine's own
    /// compiler, unchanged. The compiled cache proves it by a keyed hash over exactly these bytes.
    #[allow(unsafe_code, reason = "passes the caller's proof on")]
    pub unsafe fn load(&self, compiled: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the caller vouches for the bytes.
        unsafe { Component::deserialize(&self.engine, compiled) }
    }

    /// Loads a component from the compiled cache.
    ///
    /// # Errors
    /// When it was compiled by another version or with other settings.
    pub fn load_cached(&self, compiled: &Compiled) -> wasmtime::Result<Component> {
        self.load_verified(compiled.verified())
    }

    /// Loads a component from a file that was verified.
    ///
    /// # Errors
    /// When it was compiled by another version or with other settings.
    #[allow(
        unsafe_code,
        reason = "compiled code has to be trusted at one place; this is it"
    )]
    pub(crate) fn load_verified(&self, code: &Verified) -> wasmtime::Result<Component> {
        // SAFETY: a `Verified` exists only after the cache found the keyed hash of just this open file
        // right; the file is private to this user, is never written again once it has its name, and its
        // path here leads to the open file itself, whatever has been put under its name since.
        unsafe { Component::deserialize_file(&self.engine, code.path()) }
    }

    /// What it stands on.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Has the epoch tick for as long as the guard lives.
    pub(crate) fn running(self: &Arc<Self>) -> Running {
        self.ticker.running.fetch_add(1, Ordering::SeqCst);
        if self.ticker.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(self.clone())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.ticker.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A visit is running.
pub(crate) struct Running(Arc<Engine>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ticker.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Ticker {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

impl Ticker {
    fn run(&self, engine: &EngineWeak) {
        let mut idle = 0;
        while !self.stop.load(Ordering::SeqCst) {
            thread::park_timeout(TICK);
            let Some(engine) = engine.upgrade() else {
                return;
            };
            engine.increment_epoch();
            drop(engine);
            if self.running.load(Ordering::SeqCst) > 0 {
                idle = 0;
                continue;
            }
            idle += 1;
            if idle >= IDLE_TICKS {
                idle = 0;
                self.asleep.store(true, Ordering::SeqCst);
                // A visit that began before `asleep` was set has seen it false and wakes nobody.
                while self.running.load(Ordering::SeqCst) == 0
                    && self.asleep.load(Ordering::SeqCst)
                    && !self.stop.load(Ordering::SeqCst)
                {
                    thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
            }
        }
    }
}

/// A pool in which `visits` of the largest kind fit, so that it never refuses one.
fn pool(visits: usize) -> PoolingAllocationConfig {
    let visits = u32::try_from(visits).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(visits);
    pool.total_stacks(visits.saturating_mul(4)); // a task of WASI 0.3 has a stack of its own
    pool.total_core_instances(visits.saturating_mul(INSTANCES_PER_VISIT));
    pool.max_core_instances_per_component(INSTANCES_PER_VISIT);
    pool.total_memories(visits.saturating_mul(MEMORIES_PER_VISIT));
    pool.max_memories_per_component(MEMORIES_PER_VISIT);
    pool.total_tables(visits.saturating_mul(TABLES_PER_VISIT));
    pool.max_tables_per_component(TABLES_PER_VISIT);
    pool.max_tables_per_module(16);
    pool.max_core_instance_size(4 << 20);
    pool.max_component_instance_size(4 << 20);
    pool.table_elements(TABLE_ELEMENTS);
    // Reservation only; what a visit gets is `limits.memory`.
    pool.max_memory_size(4 << 30);
    // With the kernel's help, only the pages that a visit touched are reset, and stay resident:
    // this halves the cost of a fresh instance. Without it every byte would be cleared, so not many.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
        pool.linear_memory_keep_resident(4 << 20);
        pool.table_keep_resident(256 << 10);
    } else {
        pool.linear_memory_keep_resident(64 << 10);
        pool.table_keep_resident(16 << 10);
    }
    pool
}
