//! What a visit uses, and the limits that it runs into. Knows nothing of what the visit does.
//!
//! Wall time and processor time are watched from outside, by [`metered`]; memory, output and log
//! from inside, where the guest asks for them.

use super::tape::{End, Tape};
use crate::limits::{Limit, Limits};
use rustix::time::{ClockId, clock_gettime};
use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use wasmtime::ResourceLimiter;

/// Elements of all tables together: pointers of 8 bytes that the guest may make the host keep.
const TABLE_ELEMENTS: usize = 1_000_000;
/// Instances, tables and memories of one component: far above what toolchains make (CPython: some 30
/// instances), and within what the engine's pool has for each visit.
const INSTANCES: usize = 1_000;

/// The guest ran into a limit; travels through the engine as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the limit `{}`", .0.key())]
pub(crate) struct Over(pub(crate) Limit);

/// Counts a store's memory. The engine asks it before every growth.
pub(crate) struct Meter {
    most: usize,
    now: usize,
    peak: usize,
    asked: usize,
    elements: usize,
    /// Whether a growth was refused: a trap afterwards is likely its doing.
    pub(crate) denied: bool,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most: usize::try_from(limits.memory).unwrap_or(usize::MAX),
            now: 0,
            peak: 0,
            asked: 0,
            elements: 0,
            denied: false,
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
        self.asked = desired.saturating_sub(current);
        let sum = self.now.saturating_add(self.asked);
        if sum > self.most {
            self.denied = true;
            self.asked = 0;
            return Ok(false);
        }
        self.now = sum;
        self.peak = self.peak.max(sum);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // Granted here and refused by the system; what was refused here was never added.
        self.now -= std::mem::take(&mut self.asked);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let sum = self.elements + desired.saturating_sub(current);
        let fits = sum <= TABLE_ELEMENTS;
        if fits {
            self.elements = sum;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        super::engine::MEMORIES_PER_VISIT
    }
}

/// Runs `visit` to its end, or to the end of its time: the result, and what it used.
pub(crate) async fn metered<F: Future>(
    visit: F,
    limits: &Limits,
    tape: &Tape,
) -> (Result<F::Output, End>, Duration, Duration) {
    let started = Instant::now();
    let mut cpu = Duration::ZERO;
    let metered = Metered {
        visit: pin!(visit),
        tape,
        most: limits.cpu,
        used: &mut cpu,
    };
    let result = match tokio::time::timeout(limits.wall, metered).await {
        Ok(result) => result,
        Err(_) => Err(End::Over(Limit::Wall)),
    };
    (result, started.elapsed(), cpu)
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
