//! What a visit uses, and the limits that it runs into. Knows nothing of what the visit does.
//!
//! Wall time and processor time are watched from outside, by [`metered`]; memory, output and log
//! from inside, where the guest asks for them.

use super::{
    engine,
    tape::{End, Tape},
};
use crate::limits::{Limit, Limits};
use rustix::time::{ClockId, clock_gettime};
use std::{
    cell::Cell,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use wasmtime::ResourceLimiter;

/// The guest ran into a limit; travels through the engine as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the limit `{}`", .0.key())]
pub(crate) struct Over(pub(crate) Limit);

/// Counts a store's memory and tables. The engine asks it before every growth.
pub(crate) struct Meter {
    memory: Sum,
    peak: usize,
    elements: Sum,
    instances: usize,
    /// What was refused to grow at last: a trap afterwards is likely its doing.
    pub(crate) denied: Option<Limit>,
}

/// What grows and never shrinks.
struct Sum {
    most: usize,
    now: usize,
    /// By how much it grew at last: taken back where the engine then cannot.
    grown: usize,
}

impl Sum {
    fn new(most: u64) -> Self {
        Self {
            most: most.try_into().unwrap_or(usize::MAX),
            now: 0,
            grown: 0,
        }
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let by = desired.saturating_sub(current);
        let sum = self.now.saturating_add(by);
        let fits = sum <= self.most;
        self.grown = if fits { by } else { 0 };
        self.now += self.grown;
        fits
    }

    fn take_back(&mut self) {
        self.now -= std::mem::take(&mut self.grown);
    }
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: Sum::new(limits.memory),
            peak: 0,
            elements: Sum::new(limits.tables),
            instances: limits.instances.try_into().unwrap_or(usize::MAX),
            denied: None,
        }
    }

    /// The most memory at one time, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak as u64
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = self.memory.grow(current, desired);
        self.peak = self.peak.max(self.memory.now);
        if !fits {
            self.denied = Some(Limit::Memory);
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // Granted here and refused by the system, or by what the memory itself says is its most.
        self.memory.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // A single table is never larger than its place in the pool.
        let fits = desired <= engine::TABLE_ELEMENTS && self.elements.grow(current, desired);
        if !fits {
            self.denied = Some(Limit::Tables);
        }
        Ok(fits)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.elements.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        engine::TABLES_PER_VISIT as usize
    }

    fn memories(&self) -> usize {
        engine::MEMORIES_PER_VISIT as usize
    }
}

thread_local! {
    /// For how long this thread, which runs many visits, waited for the host on behalf of one.
    static STALLED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// This thread waited for the host, and no visit of it went on: that is nobody's wall time.
pub(crate) fn stalled(time: Duration) {
    STALLED.set(STALLED.get().saturating_add(time));
}

/// Runs `visit` to its end, or to the end of its time: the result, and what it used.
pub(crate) async fn metered<F: Future>(
    visit: F,
    limits: &Limits,
    tape: &Tape,
) -> (Result<F::Output, End>, Duration, Duration) {
    let started = Pulse::now();
    let mut cpu = Duration::ZERO;
    let mut metered = Metered {
        visit: pin!(visit),
        tape,
        most: limits.cpu,
        used: &mut cpu,
    };
    let left = || {
        let pulse = tape.pulse().unwrap_or(started);
        let wall = (started.left(limits.wall), Limit::Wall);
        wall.min((pulse.left(limits.heartbeat), Limit::Heartbeat))
    };
    let result = loop {
        let (time, _) = left();
        // Also one whose time is over is looked at once more: it may have ended, or have been heard of.
        if let Ok(result) = tokio::time::timeout(time, &mut metered).await {
            break result;
        }
        if time.is_zero()
            && let (Duration::ZERO, limit) = left()
        {
            break Err(End::Over(limit));
        }
    };
    (result, started.at.elapsed(), cpu)
}

/// A moment of a visit's wall time: what its thread waits for the host from there on does not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulse {
    at: Instant,
    stalled: Duration,
}

impl Pulse {
    /// This moment. To be asked for on the thread that runs the visit.
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            stalled: STALLED.get(),
        }
    }

    /// How much is left of a time that began then; nothing of one that is over.
    fn left(&self, time: Duration) -> Duration {
        let given_back = STALLED.get().saturating_sub(self.stalled);
        time.saturating_add(given_back)
            .saturating_sub(self.at.elapsed())
    }
}

/// Sums the thread's processor time over the polls of a visit. The engine returns from a poll at
/// every tick of the epoch, so that a tight loop ends here too.
struct Metered<'a, F> {
    visit: Pin<&'a mut F>,
    tape: &'a Tape,
    most: Duration,
    used: &'a mut Duration,
}

impl<F: Future> Future for Metered<'_, F> {
    type Output = Result<F::Output, End>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.tape.watched_by(cx.waker());
        let before = thread_time();
        let poll = self.visit.as_mut().poll(cx);
        let spent = thread_time().saturating_sub(before);
        *self.used += spent;
        // Streams of WASI 0.3 have no way to trap, and a guest may take an error for nothing: why it has
        // to end is seen here.
        if let Some(end) = self.tape.end() {
            return Poll::Ready(Err(end.clone()));
        }
        match poll {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending if *self.used >= self.most => Poll::Ready(Err(End::Over(Limit::Cpu))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a visit ends whose thread waited `waited` for the host, and that then sleeps for `sleeps`.
    async fn after(waited: Duration, sleeps: Duration) -> Result<(), End> {
        let limits = Limits {
            wall: Duration::from_millis(1),
            ..Limits::default()
        };
        let visit = async {
            stalled(waited);
            tokio::time::sleep(sleeps).await;
        };
        metered(visit, &limits, &Tape::new(&limits)).await.0
    }

    #[tokio::test]
    async fn silence_is_its_own_limit() {
        let limits = Limits {
            heartbeat: Duration::from_millis(1),
            ..Limits::default()
        };
        let long = Duration::from_secs(600);
        let tape = Tape::new(&limits);
        let silent = metered(tokio::time::sleep(long), &limits, &tape).await.0;
        assert_eq!(silent, Err(End::Over(Limit::Heartbeat)));
        // One that says so again and again may take longer than the silence that is borne.
        let limits = Limits {
            heartbeat: long,
            ..limits
        };
        let tape = Tape::new(&limits);
        let speaks = async {
            for _ in 0..3 {
                tape.beat(Pulse::now());
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(metered(speaks, &limits, &tape).await.0, Ok(()));
        let since = tape.pulse().expect("it reported");
        assert!(since.left(long) > Duration::ZERO);
        assert_eq!(since.left(Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_the_thread_waited_for_the_host_is_nobodys_wall_time() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(600));
        assert_eq!(after(long, short).await, Ok(()));
        // What was given back before is not given back again.
        let over = Err(End::Over(Limit::Wall));
        assert_eq!(after(Duration::ZERO, long).await, over);
        assert_eq!(after(short, long).await, over);
    }
}
