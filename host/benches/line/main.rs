//! What a line costs: figures and ratios, printed as a table. Nothing is asserted: times differ from
//! machine to machine, and ratios are against bare wasmtime in the same run.
//!
//! `cargo bench -p andon --bench line -- [PART…] [--quick]`; the parts are those of [`PARTS`].

mod bare;
mod carry;
mod ground;
mod large;
#[path = "../server/mod.rs"]
mod server;

use bare::Bare;
use carry::{Hall, Store, Worker};
use ground::Ground;
use std::time::Duration;

/// The command's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Part = fn(&mut Table, &Sizes) -> anyhow::Result<()>;

/// What can be asked for by name, in the order in which it runs.
const PARTS: &[(&str, Part)] = &[
    ("ratio", ratio),
    ("line", line),
    ("files", files),
    ("single", single),
    ("runners", runners),
    ("process", process),
    ("start", start),
    ("load", load),
    ("waiting", waiting),
    ("effects", effects),
];

/// How much is run.
struct Sizes {
    items: usize,
    singles: usize,
    starts: usize,
    rounds: usize,
    bare: u32,
}

fn main() -> anyhow::Result<()> {
    let mut sizes = Sizes {
        items: 20_000,
        singles: 1_000,
        starts: 20,
        rounds: 5,
        bare: 20_000,
    };
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => {
                sizes = Sizes {
                    items: 2_000,
                    singles: 100,
                    starts: 5,
                    rounds: 1,
                    bare: 2_000,
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
    let mut table = Table;
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("\n{name}");
            part(&mut table, &sizes)?;
        }
    }
    Ok(())
}

/// Prints rows: what, how much, and the figure that is aimed at.
struct Table;

impl Table {
    fn row(&mut self, what: &str, figure: impl std::fmt::Display, aim: &str) {
        let aim = if aim.is_empty() {
            String::new()
        } else {
            format!("  (aim: {aim})")
        };
        println!("  {what:<62} {figure:>16}{aim}");
    }
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn rate(number: usize, time: Duration) -> String {
    format!("{:.0}/s", number as f64 / time.as_secs_f64())
}

fn times(one: Duration, other: Duration) -> String {
    format!("{:.2}x", one.as_secs_f64() / other.as_secs_f64())
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn median<T: Ord + Copy>(of: &mut [T]) -> T {
    of.sort();
    of[of.len() / 2]
}

/// A visit through conveyor, runner and journal in memory against the same component called bare, all
/// on one thread that never waits. Compared is processor time, which other programs disturb little;
/// rounds alternate, and medians are taken.
fn ratio(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::three("pass-on")?;
    let hall = Hall::new(&ground)?;
    let bare = Bare::new(&hall)?;
    let (mut bares, mut memories, mut runners) = (Vec::new(), Vec::new(), Vec::new());
    let (mut pairs, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        bares.push(bare.visit(sizes.bare)?);
        runners.push(hall.alone(sizes.bare)?);
        pairs.push(bare.visits_on_two_threads(sizes.bare)? / (2 * sizes.bare));
        let run = hall.run(sizes.items / 4, Store::Memory, 2, Worker::Shared)?;
        busy.push(run.wall / run.visits);
        let run = hall.run(sizes.items / 4, Store::Memory, 1, Worker::Shared)?;
        memories.push(run.cpu / run.visits);
    }
    let (bare, runner, memory) = (
        median(&mut bares),
        median(&mut runners),
        median(&mut memories),
    );
    table.row("bare wasmtime, processor time of a visit", micros(bare), "");
    table.row("the runner alone", micros(runner), "");
    table.row("conveyor, runner, journal in memory", micros(memory), "");
    table.row("the runner against bare", times(runner, bare), "");
    table.row(
        "conveyor, runner, journal in memory against bare",
        times(memory, bare),
        "1.3x",
    );
    let (pair, busy) = (median(&mut pairs), median(&mut busy));
    table.row(
        "bare wasmtime on two threads, time a visit",
        micros(pair),
        "",
    );
    table.row(
        "conveyor, runner, journal in memory on two threads",
        micros(busy),
        "",
    );
    table.row("the one against the other", times(busy, pair), "");
    Ok(())
}

/// Three stations on SQLite, in this process.
fn line(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::three("pass-on")?;
    let hall = Hall::new(&ground)?;
    let bare = Bare::new(&hall)?;
    let one = bare.visit(sizes.bare)?;
    let two = bare.visits_on_two_threads(sizes.bare)?;
    let mut runs = Vec::new();
    for _ in 0..sizes.rounds.min(3) {
        let run = hall.run(
            sizes.items,
            Store::Sqlite,
            ground::threads(),
            Worker::Shared,
        )?;
        runs.push((run.wall, run.cpu, run.grown, run.visits));
    }
    let (wall, cpu, grown, visits) = median(&mut runs);
    table.row(
        "visits a second, SQLite",
        rate(visits as usize, wall),
        "15,000/s on two cores",
    );
    table.row(
        "bare wasmtime on two threads",
        rate(2 * sizes.bare as usize, two),
        "",
    );
    table.row(
        "time of a visit against bare wasmtime on two threads",
        times(wall / visits, two / (2 * sizes.bare)),
        "",
    );
    table.row("processor time of a visit", micros(cpu / visits), "");
    table.row(
        "the same against bare wasmtime on one thread",
        times(cpu / visits, one),
        "",
    );
    table.row(
        "the state folder grows by, a visit",
        format!("{} B", grown / u64::from(visits)),
        "4,096 B",
    );
    Ok(())
}

/// The same where each visit writes ten small files.
fn files(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::three("ten-files")?;
    let hall = Hall::new(&ground)?;
    let run = hall.run(
        sizes.items / 10,
        Store::Sqlite,
        ground::threads(),
        Worker::Shared,
    )?;
    table.row(
        "visits a second that write ten files each, SQLite",
        rate(run.visits as usize, run.wall),
        "",
    );
    table.row(
        "processor time of a visit",
        micros(run.cpu / run.visits),
        "",
    );
    table.row(
        "the state folder grows by, a visit",
        format!("{} B", run.grown / u64::from(run.visits)),
        "",
    );
    Ok(())
}

/// One item at a time through three stations, from its input to the notice of its durable end.
fn single(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::three("pass-on")?;
    let hall = Hall::new(&ground)?;
    let mut all = hall.one_by_one(sizes.singles, ground::threads(), Worker::Shared)?;
    all.sort();
    let share = |of: usize| millis(all[all.len() * of / 100]);
    table.row("one item through three stations, p50", share(50), "3 ms");
    table.row("the same, p99", share(99), "");
    Ok(())
}

/// Runner processes against the threads of this process, in turns.
fn runners(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::three("pass-on")?;
    let hall = Hall::new(&ground)?;
    let workers = [Worker::Shared, Worker::Own(ground::threads())];
    for (store, name) in [(Store::Memory, "in memory"), (Store::Sqlite, "SQLite")] {
        let mut walls = [Vec::new(), Vec::new()];
        let mut processor = Vec::new();
        for _ in 0..sizes.rounds.min(3) {
            for (worker, walls) in workers.iter().zip(&mut walls) {
                let run = hall.run(sizes.items, store, ground::threads(), *worker)?;
                walls.push(run.wall);
                if *worker != Worker::Shared {
                    processor.push(run.cpu / run.visits);
                }
            }
        }
        let [shared, own] = walls.map(|mut walls| median(&mut walls));
        let visits = 3 * sizes.items;
        let what = format!("three stations, journal {name}: visits a second");
        table.row(&format!("{what}, shared"), rate(visits, shared), "");
        table.row(&format!("{what}, own"), rate(visits, own), "");
        table.row("own against shared", times(shared, own), "1.2x");
        table.row(
            "processor time of the host for a visit, own",
            micros(median(&mut processor)),
            "",
        );
    }
    let middle = |mut all: Vec<Duration>| median(&mut all);
    let [shared, own] = [0, 1].map(|n| hall.visits(sizes.singles as u32, workers[n]).map(middle));
    let (shared, own) = (shared?, own?);
    table.row("one visit, shared, p50", micros(shared), "");
    table.row("one visit, own, p50", micros(own), "");
    table.row("own against shared", times(own, shared), "1.5x");
    let single = |n: usize| hall.one_by_one(sizes.singles, ground::threads(), workers[n]);
    let (shared, own) = (middle(single(0)?), middle(single(1)?));
    table.row(
        "one item through three stations, shared, p50",
        millis(shared),
        "",
    );
    table.row("the same, own, p50", millis(own), "");
    table.row("own against shared", times(own, shared), "1.5x");
    let (mut starts, mut words) = (Vec::new(), String::new());
    for _ in 0..sizes.starts {
        let (start, described) = hall.start_own()?;
        starts.push(start);
        words = described;
    }
    table.row(
        "a runner process is ready after",
        millis(median(&mut starts)),
        "20 ms",
    );
    println!("  {words}");
    Ok(())
}

/// The start of a line before which many items wait, and what it keeps of them in memory.
fn waiting(table: &mut Table, _: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::three("pass-on")?;
    let hall = Hall::new(&ground)?;
    for items in [1_000, 100_000] {
        let started = hall.start_before(items)?;
        let what = format!("{items} items wait: ");
        table.row(&format!("{what}start"), millis(started.start), "1 s");
        table.row(
            &format!("{what}until the first has ended"),
            millis(started.first),
            "",
        );
        table.row(
            &format!("{what}memory more than before"),
            mib(started.grown),
            "flat",
        );
    }
    Ok(())
}

/// Visits that make one HTTP request each, which is journaled before it leaves and when it was answered,
/// against the same with the effect log off; in turns.
fn effects(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::posts(server::start())?;
    let hall = Hall::new(&ground)?;
    let items = sizes.items / 4;
    let (mut on, mut off, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        let without = hall.calls(items, false)?.wall;
        let with = hall.calls(items, true)?.wall;
        ratios.push((without.as_secs_f64() / with.as_secs_f64() * 1e4) as u64);
        off.push(without);
        on.push(with);
    }
    table.row(
        "visits a second with one POST, the log off",
        rate(items, median(&mut off)),
        "",
    );
    table.row("the same, journaled", rate(items, median(&mut on)), "");
    table.row(
        "journaled against the log off",
        format!("{:.2}x", median(&mut ratios) as f64 / 1e4),
        "0.6x",
    );
    Ok(())
}

/// `andon run` as a process, with its inputs and results.
fn process(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::three("pass-on")?;
    for items in [sizes.items / 10, sizes.items] {
        let lines = ground.json_lines(items)?;
        let folder = ground.folder(items)?;
        for (name, input) in [("a .jsonl", &lines), ("a folder", &folder)] {
            let run = ground.andon_run(&[input.as_path()], name)?;
            let what = format!("`andon run`, {items} items of {name}");
            table.row(
                &format!("{what}: visits a second"),
                rate(3 * items, run.wall),
                "",
            );
            table.row(&format!("{what}: peak memory"), mib(run.peak), "150 MiB");
            table.row(
                &format!("{what}: state, a visit"),
                format!("{} B", run.grown / (3 * items as u64)),
                "4,096 B",
            );
            let again = ground.andon_run(&[input.as_path()], name)?;
            table.row(&format!("{what}: all taken before"), millis(again.wall), "");
        }
    }
    Ok(())
}

/// The whole process for one item through one station.
fn start(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::one("pass-on")?;
    let input = ground.json_lines(1)?;
    let mut fresh = Vec::new();
    let mut kept = Vec::new();
    ground.andon_run(&[&input], "warm")?;
    for n in 0..sizes.starts {
        fresh.push(ground.andon_run(&[&input], &format!("state {n}"))?.wall);
        kept.push(ground.andon_run_again(&[&input], "warm")?.wall);
    }
    table.row(
        "`andon run` of one item, one station: new state folder",
        millis(median(&mut fresh)),
        "60 ms",
    );
    table.row(
        "the same in a state folder that is there",
        millis(median(&mut kept)),
        "60 ms",
    );
    Ok(())
}

/// Ten stations, one as large as CPython, from the compiled cache.
fn load(table: &mut Table, sizes: &Sizes) -> anyhow::Result<()> {
    let ground = Ground::ten()?;
    let (mut assembling, mut preparing) = (Vec::new(), Vec::new());
    let mut largest = 0;
    for _ in 0..sizes.starts.max(2) {
        let loaded = carry::load(&ground)?;
        assembling.push(loaded.assembling);
        preparing.push(loaded.preparing);
        largest = loaded.largest;
    }
    let (assembling, preparing) = (median(&mut assembling), median(&mut preparing));
    table.row(
        "the largest of ten stations, compiled",
        mib(largest),
        "30 MiB",
    );
    table.row(
        "the line is read, found and checked in",
        millis(assembling),
        "",
    );
    table.row(
        "ten stations are loaded and linked in",
        millis(preparing),
        "",
    );
    table.row("both", millis(assembling + preparing), "100 ms");
    Ok(())
}
