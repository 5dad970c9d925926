//! The simulation: random histories of random lines, run by the real conveyor under a seed, over a simulated
//! disk, and held against a reference model after every moment. `README.md` beside this says how to run it.

mod dice;
mod disk;
mod history;
mod known;
mod model;
mod plant;
mod script;
mod shorten;
mod store;
mod world;

use andon::item::Record;
use disk::Fault;
use history::History;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use store::Kind;
use world::Came;

/// How many histories `cargo test` runs.
const HISTORIES: u64 = 10_000;

/// One of so many runs over both stores, and another one twice: all records have to be the same.
const BOTH: u64 = 33;

/// What has to happen in so many histories, beside every kind of record.
const HAPPENINGS: [&str; 23] = [
    "a crash",
    "a drain",
    "a full disk",
    "a pause",
    "a reading of a queue",
    "a reading of times",
    "a refusal",
    "a retool",
    "a retool that cannot be",
    "a retool that moves items",
    "an end of a rest",
    "an input that is known",
    "an input without room",
    "jam: deadline",
    "jam: exhausted",
    "jam: homeless",
    "jam: host-crash",
    "jam: invalid",
    "jam: missing",
    "jam: rejected",
    "jam: retries",
    "jam: unanswered",
    "jam: violation",
];

/// What was found once, and is mended.
const MENDED: [&str; 8] = [
    // the clock was set back while a hold that was due was read back
    "717 -a -c -e -f -x -y -d -b i4.1.311 r61539.14 r22766.14 r39370.12 t45 r52672.7 r23351.1 \
     r56322.12 r33166.5 t191 r35174.10 b1910",
    // an input came again when it had ended and that was not durable
    "1185 -b -c -d -e -f -x -y -a i0.1 r34734.3 i0.2",
    // one that was less urgent was started while a window was read back
    "115 -e -f -x -y o0 r43996.4 i1.0 r49481.4 i3.2 r63544.3 r42117.4 r6785.3 r3570.24 r33178.8 k18 \
     r12936.8",
    // a ramp that begins at another station took inputs without end
    "986 -d -e -f -x -y o0 i1.1 o2 o3 r59670.1 r42312.4 r61079.2 k17 r65141.4 w7.94 o5",
    // the line asked where its ramp works: there were visits without workers
    "5053055 -d -f -x -y i0.2 o1 r10489.8 d r15762.10 r32777.7 w5.0 r39711.1 w4.78 r4228.1 k5",
    // the clock was set back while those were read whose time had come
    "1305 -d -e -f -x -y -a -c -b =3.0.2.1 i3.1 r65088.9 r42960.16 b35470",
    // and while there was no time yet that anybody waited for
    "2961 -e -f -x -y -a -d o0 r24302.3 r37760.1 d r19853.3 b35862 r11070.3",
    // a ramp has no station where the line asks: nobody could answer
    "3332 -d -e -f -x -y i106.0 w1.37",
];

/// Within so many seeds every fault that is made on purpose has to be found.
const FOUND_WITHIN: u64 = 3000;

/// Which stores histories run on.
#[derive(Clone, Copy, PartialEq)]
enum Stores {
    /// Memory, and a share of them both.
    Share,
    Memory,
    Sqlite,
}

struct Args {
    first: u64,
    histories: u64,
    minutes: Option<f64>,
    stores: Stores,
    replay: Option<History>,
    /// Whether faults are made on purpose.
    proves: bool,
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(Some(args)) => args,
        Ok(None) => return ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(2);
        }
    };
    // what panics is told as what cannot be
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let text = format!("{} at {}", said(panic.payload()), place.unwrap_or_default());
        PANICKED.with_borrow_mut(|last| *last = text);
    }));
    if let Some(history) = &args.replay {
        return match fails(history, args.stores, None) {
            Some(why) => told(history, &why),
            None => {
                println!("nothing is wrong with this history");
                ExitCode::SUCCESS
            }
        };
    }
    if args.proves
        && let Err(wrong) = nothing_comes_back().and_then(|()| every_fault_is_found())
    {
        println!("{wrong}");
        return ExitCode::FAILURE;
    }
    let began = Instant::now();
    let (run, seen, failed) = simulate(&args);
    let seconds = began.elapsed().as_secs_f64();
    println!("{run} histories in {seconds:.1} s, with");
    for (what, times) in &seen {
        println!("{times:>9} {what}");
    }
    match failed {
        None => {
            // nobody erases anything here
            let kinds = Record::KINDS.iter().filter(|kind| **kind != "erased");
            let never = kinds.chain(&HAPPENINGS);
            let never: Vec<_> = never.filter(|what| !seen.contains_key(**what)).collect();
            if run >= HISTORIES && !never.is_empty() {
                println!("there is never {never:?}");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Some((history, why)) => {
            println!("seed {}: {why}", history.seed);
            println!("{} happenings: {history}", history.steps.len());
            let again = |history: &History| fails(history, args.stores, None);
            let (short, why) = shorten::shorten(&history, why, &again);
            told(&short, &why)
        }
    }
}

thread_local! {
    static PANICKED: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

fn said(payload: &dyn std::any::Any) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".into())
}

fn told(history: &History, why: &str) -> ExitCode {
    println!("\n{why}");
    println!(
        "\non this line:\n{}",
        plant::written(history.seed, &history.without)
    );
    println!("replay it: cargo test -p andon --test simulate -- --replay '{history}'");
    ExitCode::FAILURE
}

/// How often what happened.
type Seen = BTreeMap<&'static str, u64>;

/// Runs histories until they are through, the time is over, or one fails.
fn simulate(args: &Args) -> (u64, Seen, Option<(History, String)>) {
    let next = AtomicU64::new(args.first);
    let seen: Mutex<Seen> = Mutex::default();
    let run = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let failed: Mutex<Option<(History, String)>> = Mutex::new(None);
    let until = args
        .minutes
        .map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let seed = next.fetch_add(1, Relaxed);
                    let through = match until {
                        Some(until) => Instant::now() >= until,
                        None => seed - args.first >= args.histories,
                    };
                    if through {
                        return;
                    }
                    let history = History::drawn(seed);
                    match attempt(&history, args.stores, None) {
                        Ok(came) => {
                            run.fetch_add(1, Relaxed);
                            let mut seen = seen.lock().expect("nobody panics with it");
                            for (what, times) in came.seen {
                                *seen.entry(what).or_default() += times;
                            }
                        }
                        Err(why) => {
                            over.store(true, Relaxed);
                            let mut failed = failed.lock().expect("nobody panics with it");
                            if failed.as_ref().is_none_or(|(other, _)| other.seed > seed) {
                                *failed = Some((history, why));
                            }
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    let seen = seen.into_inner().expect("nobody panics with it");
    (run.into_inner(), seen, failed)
}

fn fails(history: &History, stores: Stores, fault: Option<Fault>) -> Option<String> {
    attempt(history, stores, fault).err()
}

fn attempt(history: &History, stores: Stores, fault: Option<Fault>) -> Result<Came, String> {
    let run = |kind, script, look| {
        let run = || world::run(history, kind, script, fault, look);
        catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(PANICKED.with_borrow(|text| format!("a panic: {text}"))))
    };
    let same = |one: &Came, other: Came, stores: [&str; 2]| match one.items == other.items {
        true => Ok(other),
        false => Err(difference(stores, &one.items, &other.items)),
    };
    match (stores, history.seed % BOTH) {
        (Stores::Share, 0) => {
            let sqlite = run(Kind::Sqlite, None, true).map_err(|why| format!("SQLite: {why}"))?;
            let memory = run(Kind::Memory, Some(sqlite.survived.clone()), true)?;
            same(&sqlite, memory, ["SQLite", "memory"])
        }
        (Stores::Share, 1) => {
            let once = run(Kind::Memory, None, true)?;
            let again = run(Kind::Memory, None, true)?;
            same(&once, again, ["once", "again"])
        }
        (Stores::Sqlite, _) => run(Kind::Sqlite, None, true),
        (Stores::Share | Stores::Memory, _) => run(Kind::Memory, None, false),
    }
}

fn difference([this, that]: [&str; 2], one: &str, other: &str) -> String {
    let mut lines = one.lines().zip(other.lines());
    match lines.find(|(one, other)| one != other) {
        Some((one, other)) => format!("two runs differ\n  {this}: {one}\n  {that}: {other}"),
        None => format!(
            "{this} has {} items, {that} {}",
            one.lines().count(),
            other.lines().count()
        ),
    }
}

fn nothing_comes_back() -> Result<(), String> {
    for text in MENDED {
        let history: History = text.parse()?;
        if let Some(why) = fails(&history, Stores::Memory, None) {
            return Err(format!("{why}\n  it comes back in: {text}"));
        }
    }
    Ok(())
}

/// The machine itself: each fault is found, its history shortened, and the text of that fails as well.
fn every_fault_is_found() -> Result<(), String> {
    for fault in Fault::ALL {
        let found = (0..FOUND_WITHIN).find_map(|seed| {
            let history = History::drawn(seed);
            let why = fails(&history, Stores::Memory, Some(fault))?;
            Some((history, why))
        });
        let Some((history, why)) = found else {
            return Err(format!(
                "a disk that is {fault:?} is not found in {FOUND_WITHIN} histories"
            ));
        };
        let again = |history: &History| fails(history, Stores::Memory, Some(fault));
        let (short, why) = shorten::shorten(&history, why, &again);
        let text = short.to_string();
        let read: History = text.parse()?;
        if read != short || again(&read).is_none() {
            return Err(format!(
                "{fault:?}: `{text}` does not fail when it is read back"
            ));
        }
        if fails(&read, Stores::Memory, None).is_some() {
            return Err(format!("{fault:?}: `{text}` fails without it as well"));
        }
        println!(
            "{fault:?}: found with the seed {}, {} happenings, shortened to {}: {text}\n  {}",
            history.seed,
            history.steps.len(),
            short.steps.len(),
            why.lines().next().unwrap_or_default()
        );
    }
    Ok(())
}

fn args() -> Result<Option<Args>, String> {
    let mut args = Args {
        first: 0,
        histories: HISTORIES,
        minutes: None,
        stores: Stores::Share,
        replay: None,
        proves: true,
    };
    let mut words = std::env::args().skip(1);
    let mut filtered = false;
    let mut meant = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number"));
        match word.as_str() {
            "--seed" => (args.first, args.histories) = (number(value()?)?, 1),
            "--first" => args.first = number(value()?)?,
            "--histories" => args.histories = number(value()?)?,
            "--minutes" => {
                let text = value()?;
                let minutes: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
                args.minutes = Some(minutes);
            }
            "--store" => {
                args.stores = match value()?.as_str() {
                    "memory" => Stores::Memory,
                    "sqlite" => Stores::Sqlite,
                    "both" => Stores::Share,
                    other => {
                        return Err(format!(
                            "`{other}` is no store\n  hint: memory, sqlite or both"
                        ));
                    }
                };
            }
            "--replay" => args.replay = Some(value()?.parse()?),
            // what the test harness of cargo knows
            "--list" => return Ok(None),
            option if option.starts_with('-') => continue,
            filter => {
                filtered = true;
                meant |= "simulate".contains(filter);
                continue;
            }
        }
        args.proves = false;
    }
    // a filter for other tests
    Ok((!filtered || meant).then_some(args))
}
