//! Deciding on a request: a URL is parsed and matched with 64 grants and as many of the ceiling, of which
//! the last ones fit. Prints the time of each step; asserts nothing.

use andon::grant::{Ceiling, Grants, HttpGrant, HttpRule, Rights, Target};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: usize = 9;
const CALLS: u32 = 200_000;
const URL: &str = "https://api63.example.com/v1/projects/42/items?page=7";

fn main() {
    let grants = |more: &str| Grants {
        http: (0..64)
            .map(|n| {
                let rule = format!("GET,POST https://api{n}.example.com/v1/projects/*/{more}");
                HttpGrant::new(rule.parse::<HttpRule>().expect("a rule"))
            })
            .collect(),
        ..Grants::default()
    };
    let rights = Rights {
        grants: grants("items"),
        ceiling: Some(Ceiling {
            grants: grants("**"),
            ..Ceiling::default()
        }),
    };
    let target = Target::parse(URL).expect("a URL");
    let parse = median(|| {
        black_box(Target::parse(black_box(URL)).expect("a URL"));
    });
    let decide = median(|| {
        black_box(
            rights
                .http(black_box("GET"), black_box(&target))
                .expect("granted"),
        );
    });
    println!("parse a URL                                {parse:>10.0?}");
    println!("decide, 64 grants and a ceiling of 64      {decide:>10.0?}");
}

/// The median of some rounds, of one call.
fn median(mut call: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..CALLS {
                call();
            }
            started.elapsed() / CALLS
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}
