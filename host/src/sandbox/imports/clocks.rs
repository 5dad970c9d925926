//! `wasi:clocks`, 0.2 and 0.3: the guest's own time.
//!
//! It begins when the attempt was started, advances by a tick with each reading and by its length
//! with each sleep. A sleep really waits; the host's own time is never shown. So a visit that is run
//! again reads the same times.

use crate::{sandbox::state::State, visit::Millis};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    p2::{self, DynPollable, Pollable, subscribe},
    p3,
};

/// How far a reading advances the time, and the resolution that the guest is told: 1 µs.
const TICK: u64 = 1_000;

/// A visit's time, in nanoseconds since 1970. Both the wall clock and the monotonic clock show it.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn new(started: Millis) -> Self {
        Self(Arc::new(AtomicU64::new(started.saturating_mul(1_000_000))))
    }

    /// The time now, and a tick on.
    fn read(&self) -> u64 {
        self.0.fetch_add(TICK, Ordering::Relaxed)
    }

    /// The time, without a tick.
    fn peek(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn advance_to(&self, time: u64) {
        self.0.fetch_max(time, Ordering::Relaxed);
    }

    /// A sleep from now to `until`.
    fn sleep(&self, until: u64) -> Sleep {
        let length = Duration::from_nanos(until.saturating_sub(self.peek()));
        Sleep {
            clock: self.clone(),
            until,
            real: tokio::time::Instant::now().checked_add(length),
            yielded: false,
        }
    }
}

/// A sleep under way.
struct Sleep {
    clock: Clock,
    until: u64,
    /// When it ends for the host; none where that cannot be told any more.
    real: Option<tokio::time::Instant>,
    yielded: bool,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        match self.real {
            None => std::future::pending().await,
            Some(real) if real > tokio::time::Instant::now() => {
                tokio::time::sleep_until(real).await;
            }
            // A guest that polls without waiting gives others their turn once.
            Some(_) if !self.yielded => {
                self.yielded = true;
                tokio::task::yield_now().await;
            }
            Some(_) => {}
        }
        self.clock.advance_to(self.until);
    }
}

struct HasClock;

impl HasData for HasClock {
    type Data<'a> = View<'a>;
}

struct View<'a> {
    clock: &'a Clock,
    table: &'a mut ResourceTable,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    fn view(state: &mut State) -> View<'_> {
        View {
            clock: &state.clock,
            table: &mut state.table,
        }
    }
    use p2::bindings::clocks as old;
    use p3::bindings::clocks as new;
    old::wall_clock::add_to_linker::<_, HasClock>(linker, view)?;
    old::monotonic_clock::add_to_linker::<_, HasClock>(linker, view)?;
    new::types::add_to_linker::<_, HasClock>(linker, view)?;
    new::system_clock::add_to_linker::<_, HasClock>(linker, view)?;
    new::monotonic_clock::add_to_linker::<_, HasClock>(linker, view)?;
    Ok(())
}

fn parts(nanoseconds: u64) -> (u64, u32) {
    let time = Duration::from_nanos(nanoseconds);
    (time.as_secs(), time.subsec_nanos())
}

impl p2::bindings::clocks::wall_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<p2::bindings::clocks::wall_clock::Datetime> {
        let (seconds, nanoseconds) = parts(self.clock.read());
        Ok(p2::bindings::clocks::wall_clock::Datetime {
            seconds,
            nanoseconds,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<p2::bindings::clocks::wall_clock::Datetime> {
        let (seconds, nanoseconds) = parts(TICK);
        Ok(p2::bindings::clocks::wall_clock::Datetime {
            seconds,
            nanoseconds,
        })
    }
}

impl p2::bindings::clocks::monotonic_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(TICK)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let sleep = self.table.push(self.clock.sleep(when))?;
        subscribe(self.table, sleep)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.clock.peek().saturating_add(duration);
        self.subscribe_instant(when)
    }
}

impl p3::bindings::clocks::types::Host for View<'_> {}

impl p3::bindings::clocks::system_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<p3::bindings::clocks::system_clock::Instant> {
        let (seconds, nanoseconds) = parts(self.clock.read());
        Ok(p3::bindings::clocks::system_clock::Instant {
            seconds: seconds.try_into()?,
            nanoseconds,
        })
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(TICK)
    }
}

impl p3::bindings::clocks::monotonic_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(TICK)
    }
}

impl<U> p3::bindings::clocks::monotonic_clock::HostWithStore<U> for HasClock {
    async fn wait_until(store: &Accessor<U, Self>, when: u64) -> wasmtime::Result<()> {
        let mut sleep = store.with(|mut view| view.get().clock.sleep(when));
        sleep.ready().await;
        Ok(())
    }

    async fn wait_for(store: &Accessor<U, Self>, duration: u64) -> wasmtime::Result<()> {
        let mut sleep = store.with(|mut view| {
            let clock = view.get().clock;
            clock.sleep(clock.peek().saturating_add(duration))
        });
        sleep.ready().await;
        Ok(())
    }
}
