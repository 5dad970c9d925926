//! `wasi:clocks`, 0.2 and 0.3: the guest's own time.
//!
//! It begins when the attempt was started, advances by a tick with each reading and by its length with
//! each sleep, and an answer that is kept in the effect log moves it to when it came. A sleep really
//! waits, except up to what a replay has yet to come to. So a visit that is run again reads the same
//! times. Only where the line says `clock = "real"` is the host's own time shown.

use crate::{line::Clocking, sandbox::state::State, visit::Millis};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
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
pub(crate) struct Clock(Arc<Time>);

struct Time {
    now: AtomicU64,
    /// Sleeps up to here were slept before.
    recorded: u64,
    /// Where the host's own time is shown: when it was read first, by both of its clocks.
    real: Option<(Instant, u64)>,
}

fn nanoseconds(at: Millis) -> u64 {
    at.saturating_mul(1_000_000)
}

impl Clock {
    /// The time of a run that began at `started`, of an attempt of which the last thing was recorded at
    /// `recorded`.
    pub(crate) fn new(clocking: Clocking, started: Millis, recorded: Millis) -> Self {
        let since = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let real = (clocking == Clocking::Real).then(|| {
            let now = since().map_or(0, |since| since.as_nanos());
            (Instant::now(), u64::try_from(now).unwrap_or(u64::MAX))
        });
        Self(Arc::new(Time {
            now: AtomicU64::new(nanoseconds(started)),
            recorded: nanoseconds(recorded),
            real,
        }))
    }

    /// The time now, and a tick on.
    fn read(&self) -> u64 {
        self.real()
            .unwrap_or_else(|| self.0.now.fetch_add(TICK, Ordering::Relaxed))
    }

    /// The time, without a tick.
    fn peek(&self) -> u64 {
        self.real()
            .unwrap_or_else(|| self.0.now.load(Ordering::Relaxed))
    }

    /// The host's own time; it does not jump while the visit lasts.
    fn real(&self) -> Option<u64> {
        let (since, then) = self.0.real?;
        let passed = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Some(then.saturating_add(passed))
    }

    fn advance_to(&self, time: u64) {
        self.0.now.fetch_max(time, Ordering::Relaxed);
    }

    /// An answer came, now or when it was recorded.
    pub(crate) fn came(&self, at: Millis) {
        self.advance_to(nanoseconds(at));
    }

    /// A sleep from now to `until`.
    fn sleep(&self, until: u64) -> Sleep {
        let slept = match self.0.real {
            Some(_) => 0,
            None => self.0.recorded,
        };
        let length = Duration::from_nanos(until.saturating_sub(self.peek().max(slept)));
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
