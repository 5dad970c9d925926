//! What it costs to keep lines running: retools under load, the way from a save to the first item, a daemon
//! before many items that wait, and one with many lines that do nothing. Figures and ratios, printed as a
//! table; nothing is asserted.
//!
//! `cargo bench -p andon --bench serve -- [PART…] [--quick]`; the parts are those of [`PARTS`].

mod hall;
mod idle;
mod retool;
mod waiting;
mod watch;

use std::{fmt::Display, time::Duration};

type Part = fn(&Sizes) -> anyhow::Result<()>;

/// What can be asked for by name, in the order in which it runs.
const PARTS: &[(&str, Part)] = &[
    ("retool", retool::under_load),
    ("watch", watch::saves),
    ("waiting", waiting::start),
    ("idle", idle::lines),
];

/// How much is run.
struct Sizes {
    /// Of load, each without retools and with.
    rounds: usize,
    /// Each of so many seconds.
    seconds: u64,
    /// Retools between two revisions that are ready.
    retools: usize,
    saves: usize,
    waiting: usize,
    lines: usize,
}

fn main() -> anyhow::Result<()> {
    let mut sizes = Sizes {
        rounds: 5,
        seconds: 10,
        retools: 300,
        saves: 20,
        waiting: 100_000,
        lines: 1_000,
    };
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => {
                sizes = Sizes {
                    rounds: 1,
                    seconds: 3,
                    retools: 30,
                    saves: 3,
                    waiting: 5_000,
                    lines: 20,
                }
            }
            // Given by `cargo bench` to every benchmark.
            "--bench" => {}
            name if PARTS.iter().any(|(part, _)| *part == name) => wanted.push(argument),
            other => {
                let parts: Vec<_> = PARTS.iter().map(|(part, _)| *part).collect();
                anyhow::bail!("there is no part `{other}`: {} are there", parts.join(", "));
            }
        }
    }
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("\n{name}");
            part(&sizes)?;
        }
    }
    Ok(())
}

/// Prints a row: what, how much, and the figure that is aimed at.
fn row(what: &str, figure: impl Display, aim: &str) {
    let aim = match aim {
        "" => String::new(),
        aim => format!("  (aim: {aim})"),
    };
    println!("  {what:<66} {figure:>12}{aim}");
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// So many of a hundred are at most this; the largest where there are few.
fn share(of: &mut [Duration], percent: usize) -> Duration {
    of.sort();
    of.get(of.len() * percent / 100)
        .or(of.last())
        .copied()
        .unwrap_or_default()
}
