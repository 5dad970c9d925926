//! Processes that end at every failpoint, and at random times: `ANDON_CRASH_SEED` makes the random ones
//! others, `ANDON_CRASH_RUNS` says how many there are.

use super::works::{Came, How, Kill, Works};
use andon::failpoint::Point;
use std::{collections::BTreeSet, env, time::Duration};

/// How often a process may come to a point before it ends there, at most.
const TIMES: u32 = 6;
/// The same for commits, of which there are many.
const COMMITS: u32 = 14;
/// Kills at random times of each way to carry the line.
const RUNS: u32 = 100;

/// Ends processes at every one of these points: the first time that they come there, the second, ….
fn at_points(how: How, points: &[Point]) {
    let mut wrong = BTreeSet::new();
    for point in points {
        let most = match point {
            Point::CommitBegins | Point::CommitWritten | Point::Committed => COMMITS,
            _ => TIMES,
        };
        for n in 1..=most {
            let worker = if n % 2 == 0 { "own" } else { "shared" };
            let works = Works::new(how, worker);
            let changes = [Point::ChangeBegins, Point::ChangeKept, Point::ChangeMade];
            let retool = changes.contains(point).then_some(2);
            let came = works.turn(Kill::At(*point, n), retool);
            works.ends_well(&format!(
                "{how:?} that ends at `{}` the {n}. time",
                point.name()
            ));
            if came != Came::Killed {
                // It does not come there as often.
                if n == 1 {
                    wrong.insert(point.name());
                }
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "no process came to {wrong:?}");
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
    at_points(How::Run, &ALL);
}

#[test]
fn a_daemon_may_end_at_every_point() {
    at_points(How::Serve, &ALL);
}

#[test]
fn a_daemon_may_end_where_only_daemons_come() {
    let only: Vec<Point> = Point::ALL
        .into_iter()
        .filter(|point| !ALL.contains(point))
        .collect();
    assert_eq!(only.len(), 6);
    at_points(How::Serve, &only);
}

fn number(name: &str, default: u32) -> u32 {
    let given = env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// Kills at random times, several to a line.
fn at_random(how: How, longest: Duration) {
    let seed = number("ANDON_CRASH_SEED", 2026);
    let mut random = (u64::from(seed) << 8) | 1 | (how as u64) << 1;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut left = number("ANDON_CRASH_RUNS", RUNS);
    let mut works_made = 0;
    while left > 0 {
        works_made += 1;
        let works = Works::new(how, if draw(2) == 0 { "own" } else { "shared" });
        for turn in 0..6.min(left) {
            left -= 1;
            let moment = Duration::from_micros(draw(longest.as_micros() as u64));
            let retool = (how == How::Serve && draw(3) == 0).then_some(2 + turn % 2);
            if works.turn(Kill::After(moment), retool) == Came::Done {
                break;
            }
        }
        works.ends_well(&format!("{how:?} number {works_made} of the seed {seed}"));
    }
}

#[test]
fn a_run_may_end_at_any_moment() {
    at_random(How::Run, Duration::from_millis(600));
}

#[test]
fn a_daemon_may_end_at_any_moment() {
    at_random(How::Serve, Duration::from_millis(900));
}
