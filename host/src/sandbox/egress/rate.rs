//! How fast a station uses the network: a token bucket for all its visits. What comes too early
//! waits, in the order in which it came.

use crate::grant::Pace;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A pace that is kept.
pub(super) struct Paced {
    bucket: Mutex<Bucket>,
    began: Instant,
}

impl Paced {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            bucket: Mutex::new(Bucket::new(pace)),
            began: Instant::now(),
        }
    }

    /// Waits for the turn of `amount`. Who gives up waiting gives its turn back.
    pub(super) async fn wait(&self, amount: u64) {
        let wait = self.take(amount);
        if !wait.is_zero() {
            let turn = Turn {
                paced: self,
                amount,
            };
            tokio::time::sleep(wait).await;
            std::mem::forget(turn);
        }
    }

    /// Takes `amount` that cannot be given back: how long to wait before more is taken.
    pub(super) fn take(&self, amount: u64) -> Duration {
        let now = self.began.elapsed();
        self.bucket().take(now, amount)
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that is waited for.
struct Turn<'p> {
    paced: &'p Paced,
    amount: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.paced.bucket().give_back(self.amount);
    }
}

/// The bucket itself. Times are since it was made.
struct Bucket {
    pace: Pace,
    /// When it will be full again; it holds as much as one `per` brings.
    full: u128,
}

impl Bucket {
    fn new(pace: Pace) -> Self {
        Self { pace, full: 0 }
    }

    fn take(&mut self, now: Duration, amount: u64) -> Duration {
        let now = now.as_nanos();
        self.full = self.full.max(now) + self.cost(amount);
        let wait = self.full.saturating_sub(now + self.pace.per.as_nanos());
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    fn give_back(&mut self, amount: u64) {
        self.full = self.full.saturating_sub(self.cost(amount));
    }

    /// The time that brings `amount`, in nanoseconds.
    fn cost(&self, amount: u64) -> u128 {
        self.pace.per.as_nanos() * u128::from(amount) / u128::from(self.pace.amount.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_pace_through() {
        let mut bucket = Bucket::new(Pace::a_second(10));
        let at = Duration::from_millis;
        let waits: Vec<_> = (0..12).map(|_| bucket.take(at(0), 1)).collect();
        assert!(waits[..10].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[10..], [at(100), at(200)]);
        // Who went away leaves room.
        bucket.give_back(1);
        assert_eq!(bucket.take(at(0), 1), at(200));
        // Idle time fills it to the brim and not further.
        assert_eq!(bucket.take(at(60_000), 10), at(0));
        assert_eq!(bucket.take(at(60_000), 5), at(500));
        // More than it holds comes at once, and then is waited for.
        assert_eq!(bucket.take(at(120_000), 30), at(2_000));
        assert_eq!(bucket.take(at(122_000), 1), at(100));
    }
}
