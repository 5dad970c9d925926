//! Processes that end at every failpoint, and at random times: `ANDON_CRASH_SEED` makes the random ones
//! others, `ANDON_CRASH_RUNS` says how many of each sort there are.

use super::works::{Came, How, Kill, Works};
use andon::failpoint::Point;
use std::{
    collections::BTreeSet,
    env,
    panic::resume_unwind,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// How often a process may come to a point before it ends there, at most.
const TIMES: u32 = 6;
/// So many times each one of them, and then one of several: of commits there are many.
const EACH: u32 = 12;
/// Kills at random times of each way to carry the line.
const RUNS: u32 = 100;
/// At least so many processes end at points: of a run, of a daemon, and of a daemon where no run comes.
const ENDED: [u32; 3] = [80, 80, 12];

// With what is asked for nowhere, as many processes are killed in all.
const _: () = assert!(super::KILLS + ENDED[0] + ENDED[1] + ENDED[2] + 2 * RUNS >= 300);

/// Lines that are carried side by side: each mostly waits, for the disk and for processes to start.
const SIDE_BY_SIDE: usize = 4;

/// Has several at work until there is nothing more to do; a panic of one is that of all.
fn side_by_side(work: impl Fn() + Sync) {
    thread::scope(|scope| {
        let hands: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(&work)).collect();
        for hand in hands {
            hand.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// Ends processes at every one of these points: the first time that they come there, the second, ….
fn at_points(how: How, points: &[Point], least: u32) {
    let points = Mutex::new(points.iter());
    let never = Mutex::new(BTreeSet::new());
    let ended = AtomicU32::new(0);
    side_by_side(|| {
        loop {
            let point = points.lock().unwrap().next();
            let Some(point) = point else { return };
            let times = at_point(how, *point);
            ended.fetch_add(times, Relaxed);
            if times == 0 {
                never.lock().unwrap().insert(point.name());
            }
        }
    });
    let never = never.into_inner().unwrap();
    assert!(never.is_empty(), "no process came to {never:?}");
    let ended = ended.into_inner();
    println!("{ended} processes ended at points");
    assert!(ended >= least, "only {ended} processes ended at points");
}

/// How many processes ended at one point.
fn at_point(how: How, point: Point) -> u32 {
    let most = match point {
        Point::CommitBegins | Point::CommitWritten | Point::Committed => u32::MAX,
        _ => TIMES,
    };
    let (mut n, mut ended) = (1, 0);
    while n <= most {
        let worker = if n % 2 == 0 { "own" } else { "shared" };
        let works = Works::new(how, worker);
        let changes = [Point::ChangeBegins, Point::ChangeKept, Point::ChangeMade];
        let retool = changes.contains(&point).then_some(2);
        let came = works.turn(Kill::At(point, n), retool);
        works.ends_well(&format!(
            "{how:?} that ends at `{}` the {n}. time",
            point.name()
        ));
        if came != Came::Killed {
            // It does not come there as often.
            break;
        }
        ended += 1;
        n += (n / EACH) * 2 + 1;
    }
    ended
}

/// Where whatever carries a line comes.
const ALL: [Point; 12] = [
    Point::CommitBegins,
    Point::CommitWritten,
    Point::Committed,
    Point::BlobWritten,
    Point::BlobKept,
    Point::Intending,
    Point::Intended,
    Point::Sending,
    Point::Answered,
    Point::EffectEnded,
    Point::ResultWritten,
    Point::ResultGiven,
];

#[test]
fn a_run_may_end_at_every_point() {
    at_points(How::Run, &ALL, ENDED[0]);
}

#[test]
fn a_daemon_may_end_at_every_point() {
    at_points(How::Serve, &ALL, ENDED[1]);
}

#[test]
fn a_daemon_may_end_where_only_daemons_come() {
    let only: Vec<Point> = Point::ALL
        .into_iter()
        .filter(|point| !ALL.contains(point))
        .collect();
    assert_eq!(only.len(), 6);
    at_points(How::Serve, &only, ENDED[2]);
}

/// A number of the environment.
pub(super) fn number(name: &str, default: u32) -> u32 {
    let given = env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// The seed of what is drawn, said where a test fails.
pub(super) fn seed() -> u32 {
    let seed = number("ANDON_CRASH_SEED", 2026);
    println!("drawn with ANDON_CRASH_SEED={seed}");
    seed
}

/// Numbers that come anew from the same seed: an xorshift.
pub(super) struct Random(u64);

impl Random {
    /// Those of the nth line that is drawn from a seed.
    pub(super) fn of(seed: u32, n: u32) -> Self {
        let mixed = (u64::from(seed) << 32 | u64::from(n)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = Self(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1);
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Kills at random times, several to a line; the log of the journal is torn in between, now and then.
fn at_random(how: How, longest: Duration) {
    let (seed, runs) = (seed(), number("ANDON_CRASH_RUNS", RUNS));
    let (lines, killed) = (AtomicU32::new(0), AtomicU32::new(0));
    side_by_side(|| {
        while killed.load(Relaxed) < runs {
            let n = lines.fetch_add(1, Relaxed);
            let mut random = Random::of(seed, 2 * n + how as u32);
            let about = format!("{how:?} number {n} of the seed {seed}");
            let worker = ["own", "shared"][random.below(2) as usize];
            let works = Works::new(how, worker);
            for turn in 0..6 {
                let moment = Duration::from_micros(random.below(longest.as_micros() as u64));
                let retool = (how == How::Serve && random.below(3) == 0).then_some(2 + turn % 2);
                let came = works.turn(Kill::After(moment), retool);
                if came == Came::Done {
                    break;
                }
                killed.fetch_add(u32::from(came == Came::Killed), Relaxed);
                if random.below(2) == 0 {
                    works.tear(&mut random);
                }
            }
            works.ends_well(&about);
        }
    });
    println!(
        "{} kills of {} lines",
        killed.into_inner(),
        lines.into_inner()
    );
}

#[test]
fn a_run_may_end_at_any_moment() {
    at_random(How::Run, Duration::from_millis(600));
}

#[test]
fn a_daemon_may_end_at_any_moment() {
    at_random(How::Serve, Duration::from_millis(900));
}
