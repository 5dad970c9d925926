//! Those who stand still, of whom little is in memory: whatever is asked of the line and however often it
//! ends, nobody is forgotten and no attempt is started twice.

use super::*;
use crate::{
    item::{Clear, Given, Priority},
    journal::{PhaseKind, Sqlite},
};
use std::{collections::VecDeque, time::Duration};

/// Splits, attempts that are tried again, a hold that ends by itself, and a join that does.
const ONE: &str = r#"
line = "l"
entry = "a"
[defaults]
workers = 2
queue = 30
retry = { attempts = 3, backoff = "5ms..40ms" }
[stations.a]
use = "x"
next = { pass = "work", other = "ask" }
[stations.work]
use = "x"
next = "join"
[stations.ask]
ask = { prompt = "Is it good?", choices = ["pass", "rework"], within = "60ms", otherwise = "pass" }
next = { pass = "join", rework = "work" }
[stations.join]
use = "x"
join = { of = "a", after = "200ms", missing = "jam" }
next = "done"
"#;

fn two() -> String {
    ONE.replace("\"work\"", "\"labour\"")
        .replace("stations.work", "stations.labour")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn revised(number: u64, text: &str) -> Arc<Revised> {
    Arc::new(Revised {
        number,
        line: line(text),
        components: BTreeMap::new(),
    })
}

/// A script that starts no run twice, and never ends where it is told to hang.
struct Once {
    seed: u64,
    started: Mutex<HashSet<String>>,
    hangs: Option<&'static str>,
}

impl Once {
    fn new(seed: u64, hangs: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self {
            seed,
            started: Mutex::default(),
            hangs,
        })
    }

    fn play(&self, visit: &Visit) -> Report {
        let item = visit.item.as_str().as_bytes();
        let at = [visit.nth, visit.attempt, self.seed as u32].map(u32::to_le_bytes);
        match (
            visit.station.as_str(),
            hash(&[item, at.as_flattened()]) % 12,
        ) {
            (_, 0 | 1) => retry("later"),
            (_, 2) => report(Outcome::Rejected("not for me".into())),
            ("a", 3..7) => passed(visit, &["pass", "other", "pass"]),
            ("a", 7..9) => passed(visit, &["other"]),
            _ => passed(visit, &["pass"]),
        }
    }
}

impl Runner for Once {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        let Visit {
            item,
            station,
            nth,
            attempt,
            run,
            ..
        } = &visit;
        let key = format!("{item} {station} {nth} {attempt} {}", run.number);
        let is_new = self.started.lock().expect("no panics").insert(key.clone());
        assert!(is_new, "{key} is started twice");
        let hangs = self.hangs.is_some_and(|at| **station == *at);
        let turns = hash(&[key.as_bytes()]) % 6;
        let report = self.play(&visit);
        async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            if hangs {
                std::future::pending::<()>().await;
            }
            report
        }
        .boxed()
    }

    fn parted(&self, _: &ItemId) {}
}

/// What a process begins with.
struct Life {
    change: Change,
    paused: BTreeSet<Name>,
    stopped: bool,
    runner: Arc<dyn Runner>,
}

impl Life {
    fn by(change: Change, runner: Arc<dyn Runner>) -> Self {
        Self {
            change,
            paused: BTreeSet::new(),
            stopped: false,
            runner,
        }
    }

    /// Runs while `give` goes on, and to its end where that says so; otherwise the process is gone.
    fn lead(
        self,
        journal: &Arc<dyn Journal>,
        give: impl AsyncFnOnce(Handle, Arc<Board>) -> bool,
    ) -> Option<Ending> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let board = Arc::new(Board::default());
        let conveyor = Conveyor {
            journal: journal.clone(),
            runner: self.runner,
            change: self.change,
            paused: self.paused,
            board: board.clone(),
            notify: Box::new(|_| {}),
            clock,
            stopped: self.stopped,
        };
        let (handle, orders) = Handle::new();
        let (_drain, drained) = watch::channel(false);
        let ending = runtime.block_on(async move {
            let running =
                tokio::spawn(conveyor.run_within(room(), mpsc::channel(1).1, orders, drained));
            if !give(handle, board).await {
                return None;
            }
            Some(running.await.expect("no panics").expect("it runs"))
        });
        drop(runtime);
        ending
    }
}

fn summaries(journal: &dyn Journal) -> Vec<crate::journal::Summary> {
    let all = journal.list(&Filter::default()).expect("it lists");
    all.into_iter().filter(|item| !item.phase.ended()).collect()
}

fn by<T>(of: impl FnOnce(String, String) -> T) -> T {
    of("ann".into(), "as it comes".into())
}

fn clear(how: Clear) -> Event {
    by(|by, why| Event::Cleared { by, why, how })
}

fn cancel() -> Event {
    by(|by, why| Event::Cancelled { by, why })
}

fn answer(choice: &str) -> Event {
    let given = Given {
        choice: choice.into(),
        text: String::new(),
        payload: None,
    };
    by(|by, why| Event::Answered { by, why, given })
}

/// What cannot be is refused, and nothing else goes wrong.
fn refused<T>(result: Result<T, Unable>) {
    if let Err(unable @ (Unable::Failed(_) | Unable::Stopping)) = result {
        panic!("{unable}");
    }
}

struct Chance {
    seed: u64,
    turn: u64,
}

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.turn += 1;
        hash(&[&self.seed.to_le_bytes(), &self.turn.to_le_bytes()]) % bound
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let number = self.below(all.len().max(1) as u64);
        all.get(number as usize)
    }
}

fn change(number: u64) -> Change {
    let (current, from, to) = match number % 2 {
        0 => (revised(1, ONE), "labour", "work"),
        _ => (revised(2, &two()), "work", "labour"),
    };
    Change {
        moves: BTreeMap::from([(name(from), name(to))]),
        // What began on the other goes on by it.
        older: BTreeMap::from([match number % 2 {
            0 => (2, revised(2, &two())),
            _ => (1, revised(1, ONE)),
        }]),
        ..Change::to(current)
    }
}

/// Something is asked of the line by chance.
async fn something(
    line: &Handle,
    journal: &dyn Journal,
    chance: &mut Chance,
    keys: &mut u64,
    current: &mut u64,
) {
    let unfinished = summaries(journal);
    let in_phase = |phase: PhaseKind| -> Vec<ItemId> {
        let fitting = unfinished.iter().filter(|it| it.phase == phase);
        fitting.map(|it| it.item.clone()).collect()
    };
    match chance.below(16) {
        0..6 => {
            *keys += 1;
            let mut taking = Taking::plain("in", payload(&keys.to_string()));
            taking.ticket.priority = Priority::ALL[chance.below(3) as usize];
            let input = Input {
                key: keys.to_string(),
                taking,
                blobs: Vec::new(),
            };
            refused(line.submit(input).await);
        }
        6..9 => {
            let stations = ["a", "work", "labour", "join"].map(name);
            let station = chance.of(&stations).expect("one").clone();
            refused(line.pause(station, chance.below(2) == 0).await);
        }
        9 => {
            *current += 1;
            refused(line.retool(change(*current)).await);
        }
        10 => {
            let all: Vec<ItemId> = unfinished.iter().map(|it| it.item.clone()).collect();
            if let Some(item) = chance.of(&all) {
                refused(line.act(item.clone(), cancel()).await);
            }
        }
        11 | 12 => {
            if let Some(item) = chance.of(&in_phase(PhaseKind::Jammed)) {
                let how = [Clear::Retry, Clear::Scrap][chance.below(2) as usize].clone();
                refused(line.act(item.clone(), clear(how)).await);
            }
        }
        13 => {
            if let Some(item) = chance.of(&in_phase(PhaseKind::Held)) {
                let choice = ["pass", "rework", "what"][chance.below(3) as usize];
                refused(line.act(item.clone(), answer(choice)).await);
            }
        }
        14 if chance.below(3) == 0 => NOW.set(NOW.get() + 3_600_000),
        15 if chance.below(3) == 0 => NOW.set(NOW.get().saturating_sub(3_600_000)),
        _ => {}
    }
    for _ in 0..chance.below(12) {
        tokio::task::yield_now().await;
    }
}

/// Brings everything to its end.
async fn to_the_end(line: Handle, journal: &dyn Journal, seed: u64) {
    for turn in 0.. {
        for station in ["a", "work", "labour", "join"] {
            refused(line.pause(name(station), false).await);
        }
        let unfinished = summaries(journal);
        if unfinished.is_empty() {
            break;
        }
        assert!(
            turn < 3000,
            "seed {seed}: nothing moves of {unfinished:#?} by {:?}",
            ROOM.get()
        );
        for it in &unfinished {
            let event = match it.phase {
                PhaseKind::Jammed if it.item.parent().is_some() => clear(Clear::Scrap),
                PhaseKind::Jammed => cancel(),
                PhaseKind::Held if turn > 20 => answer("pass"),
                _ => continue,
            };
            refused(line.act(it.item.clone(), event).await);
        }
        if turn % 100 == 99 {
            NOW.set(NOW.get() + 3_600_000);
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

fn through_anything(seed: u64, journal: &mut dyn FnMut() -> Arc<dyn Journal>) {
    tight(1 + seed % 3 + 4 * (seed % 7));
    NOW.set(10_000_000);
    let mut chance = Chance { seed, turn: 0 };
    let (mut keys, mut current) = (0, 0);
    let runner = Once::new(seed, None);
    let mut kept = journal();
    for life in 0..4 {
        let lives = Life {
            stopped: chance.below(2) == 0,
            paused: BTreeSet::from([name("work"), name("join")]),
            ..Life::by(change(current), runner.clone())
        };
        let is_last = life == 3;
        let (chance, keys, current, journal_) = (&mut chance, &mut keys, &mut current, &kept);
        let ending = lives.lead(&kept, async |line, board| {
            for _ in 0..40 {
                something(&line, &**journal_, chance, keys, current).await;
            }
            if is_last {
                to_the_end(line, &**journal_, seed).await;
                for (station, now) in board.counts() {
                    let left = (now.waiting, now.working, now.held, now.jammed);
                    assert_eq!(left, (0, 0, 0, 0), "`{station}`, seed {seed}");
                }
            }
            is_last
        });
        assert_eq!(ending, is_last.then_some(Ending::Idle));
        // What a process had in memory dies with it.
        while kept
            .messages(&name("l"))
            .now_or_never()
            .is_some_and(|it| !it.is_empty())
        {}
        if !is_last {
            drop(std::mem::replace(&mut kept, Arc::new(Memory::new())));
            kept = journal();
        }
    }
    let all = kept.list(&Filter::default()).expect("it lists");
    assert!(all.len() > 10 && all.iter().all(|it| it.phase.ended()));
}

#[test]
fn nobody_is_forgotten_and_nothing_started_twice() {
    for seed in 0..120 {
        let journal: Arc<dyn Journal> = Arc::new(Memory::unruly(seed));
        through_anything(seed, &mut || journal.clone());
    }
}

/// Where what was handed over can be read only later.
#[test]
fn nor_on_a_disk() {
    for seed in 0..3 {
        let folder = tempfile::tempdir().expect("a folder");
        through_anything(seed, &mut || {
            // What a loss of power would take is not looked at here, and waiting for the disk takes long.
            let quick = Sqlite::open_with(folder.path(), |connection| {
                connection.execute_batch("PRAGMA synchronous = OFF")
            });
            Arc::new(quick.expect("it opens"))
        });
    }
}

const PLAIN: &str = "line = 'l'\nentry = 'a'\n[defaults]\nworkers = 1\nqueue = 500\n[stations.a]\nuse = 'x'\n\
     next = 'b'\n[stations.b]\nuse = 'x'\nnext = 'done'\n";

/// Far more wait than fit into a window, before and after a new start: those that are urgent go first,
/// otherwise those that came first.
#[test]
fn a_long_queue_is_worked_off_in_its_order() {
    for n in 1..8 {
        tight(n);
        NOW.set(0);
        let journal: Arc<dyn Journal> = Arc::new(Memory::new());
        let order = Arc::new(Mutex::new(Vec::new()));
        let runner = Script::new({
            let order = order.clone();
            move |visit| {
                if visit.station == *"a" {
                    order.lock().expect("no panics").push(visit.item.clone());
                }
                passed(visit, &["pass"])
            }
        });
        let life = || Life {
            paused: BTreeSet::from([name("a")]),
            ..Life::by(Change::to(revised(1, PLAIN)), runner.clone())
        };
        let mut expected: [VecDeque<ItemId>; 3] = Default::default();
        life().lead(&journal, async |line, _| {
            for n in 0..120u64 {
                let mut taking = Taking::plain("in", payload("x"));
                let priority = hash(&[&n.to_le_bytes()]) as usize % 3;
                taking.ticket.priority = Priority::ALL[priority];
                let input = Input {
                    key: n.to_string(),
                    taking,
                    blobs: Vec::new(),
                };
                let taken = line.submit(input).await.expect("there is room");
                expected[priority].push_back(taken.item);
            }
            false
        });
        let expected: Vec<ItemId> = expected.into_iter().flatten().collect();
        life().lead(&journal, async |line, board| {
            // As soon as an order is carried out, it has begun.
            line.pause(name("a"), true).await.expect("it is there");
            let (_, counts) = board.counts().next().expect("a station");
            assert_eq!(counts.waiting, 120);
            line.pause(name("a"), false).await.expect("it goes on");
            true
        });
        let order = order.lock().expect("no panics");
        assert_eq!(order.len(), 120, "{:?}", ROOM.get());
        // While a window is filled, the next less urgent one may go.
        if ROOM.get().is_none() {
            assert_eq!(*order, expected);
        }
        for (priority, of) in Priority::ALL.into_iter().zip([0usize, 1, 2]) {
            let is_of = |item: &&ItemId| {
                let summary = journal.list(&Filter {
                    root: Some((*item).clone()),
                    ..Filter::default()
                });
                summary.expect("it lists")[0].priority == Priority::ALL[of]
            };
            let (came, went): (Vec<_>, Vec<_>) = (
                expected.iter().filter(is_of).collect(),
                order.iter().filter(is_of).collect(),
            );
            assert_eq!(came, went, "{priority:?}");
        }
    }
}

/// The clock goes back by a year while items wait for their next attempt, most of them not in memory.
#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    for n in 1..12 {
        tight(n);
        NOW.set(400 * 24 * 3_600_000);
        let journal: Arc<dyn Journal> = Arc::new(Memory::new());
        let text = PLAIN.replace(
            "queue",
            "retry = { attempts = 2, backoff = '30s..60s' }\nqueue",
        );
        let runner = Script::new(|visit| match visit.attempt {
            1 => retry("not yet"),
            _ => passed(visit, &["pass"]),
        });
        let life = Life::by(Change::to(revised(1, &text)), runner);
        let ending = life.lead(&journal, async |line, board| {
            for n in 0..12 {
                let input = Input {
                    key: n.to_string(),
                    taking: Taking::plain("in", payload("x")),
                    blobs: Vec::new(),
                };
                line.submit(input).await.expect("there is room");
            }
            let failed = || board.counts().map(|(_, now)| now.failed).sum::<u64>();
            while failed() < 12 {
                tokio::task::yield_now().await;
            }
            NOW.set(NOW.get() - 365 * 24 * 3_600_000);
            // The next look at the clock.
            line.pause(name("b"), false).await.expect("it is there");
            NOW.set(NOW.get() + 60_000);
            line.pause(name("b"), false).await.expect("it is there");
            let ended = || summaries(&*journal).is_empty();
            for _ in 0..4000 {
                if ended() {
                    return true;
                }
                NOW.set(NOW.get() + 30);
                line.pause(name("b"), false).await.expect("it is there");
            }
            panic!("{:#?} by {:?}", summaries(&*journal), ROOM.get());
        });
        assert_eq!(ending, Some(Ending::Idle));
    }
}

/// A host that stops in order ends visits that are not to blame; and a visit that began on an older
/// revision goes on by it.
#[test]
fn what_was_stopped_goes_on_as_it_began() {
    for n in 1..4 {
        tight(n);
        let journal: Arc<dyn Journal> = Arc::new(Memory::new());
        for life in 0..5 {
            let hangs = Life {
                stopped: true,
                ..Life::by(Change::to(revised(1, PLAIN)), Arc::new(HangsAt("b")))
            };
            hangs.lead(&journal, async |line, board| {
                if life == 0 {
                    let input = Input {
                        key: "1".into(),
                        taking: Taking::plain("in", payload("x")),
                        blobs: Vec::new(),
                    };
                    line.submit(input).await.expect("there is room");
                }
                while board
                    .counts()
                    .all(|(at, now)| at != *"b" || now.working == 0)
                {
                    tokio::task::yield_now().await;
                }
                // Until it is really under way again.
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                false
            });
            while journal.messages(&name("l")).now_or_never().is_some() {}
        }
        let other = PLAIN
            .replace("'b'", "'c'")
            .replace("stations.b", "stations.c");
        let change = Change {
            older: BTreeMap::from([(1, revised(1, PLAIN))]),
            ..Change::to(revised(2, &other))
        };
        let runner = Script::new(|visit| {
            assert_eq!((visit.revision, visit.station.as_str()), (1, "b"));
            assert_eq!(visit.run.number, 6);
            passed(visit, &["pass"])
        });
        let last = Life {
            stopped: true,
            ..Life::by(change, runner)
        };
        assert_eq!(last.lead(&journal, async |_, _| true), Some(Ending::Idle));
        assert!(summaries(&*journal).is_empty());
    }
}

/// Never comes back from one station.
struct HangsAt(&'static str);

impl Runner for HangsAt {
    fn visit(&self, visit: Visit) -> BoxFuture<'static, Report> {
        let hangs = visit.station == *self.0;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            passed(&visit, &["pass"])
        }
        .boxed()
    }

    fn parted(&self, _: &ItemId) {}
}

/// What is asked on many items waits in the journal only, and falls due all the same.
#[test]
fn holds_and_joins_fall_due_that_are_not_in_memory() {
    for n in 1..8 {
        tight(n);
        NOW.set(0);
        let journal: Arc<dyn Journal> = Arc::new(Memory::unruly(n));
        let runner = Script::new(|visit| match visit.station.as_str() {
            "a" => passed(visit, &["pass", "other"]),
            // It comes to its join never.
            "work" => report(Outcome::Rejected("no".into())),
            _ => passed(visit, &["pass"]),
        });
        let text = ONE.replace("missing = \"jam\"", "missing = \"pass\"");
        let life = Life::by(Change::to(revised(1, &text)), runner);
        let ending = life.lead(&journal, async |line, _| {
            for n in 0..10 {
                let input = Input {
                    key: n.to_string(),
                    taking: Taking::plain("in", payload("x")),
                    blobs: Vec::new(),
                };
                line.submit(input).await.expect("there is room");
            }
            for _ in 0..4000 {
                let left = summaries(&*journal);
                if left.iter().all(|it| it.phase == PhaseKind::Jammed) {
                    return true;
                }
                NOW.set(NOW.get() + 5);
                line.pause(name("a"), false).await.expect("it is there");
            }
            panic!("{:#?} by {:?}", summaries(&*journal), ROOM.get());
        });
        assert_eq!(ending, Some(Ending::Idle));
        let left = summaries(&*journal);
        assert!(left.iter().all(|it| it.phase == PhaseKind::Jammed) && left.len() >= 10);
    }
}

/// An answer is waited for until a time of day: a clock that is set back makes that later, one that is set
/// ahead ends it, and what was answered meanwhile stays so.
#[test]
fn holds_go_by_the_clock_as_it_is() {
    const HOUR: Millis = 3_600_000;
    let text = "line = 'l'\nentry = 'q'\n[stations.q]\n\
                ask = { prompt = 'Well?', choices = ['pass', 'late'], within = '1h', otherwise = 'late' }\n\
                next = { pass = 'done', late = 'scrap' }\n";
    for n in 1..8 {
        tight(n);
        NOW.set(400 * 24 * HOUR);
        let journal: Arc<dyn Journal> = Arc::new(Memory::new());
        let runner = Script::new(|visit| passed(visit, &["pass"]));
        let life = Life::by(Change::to(revised(1, text)), runner);
        let ending = life.lead(&journal, async |line, _| {
            for n in 0..6 {
                let input = Input {
                    key: n.to_string(),
                    taking: Taking::plain("in", payload("x")),
                    blobs: Vec::new(),
                };
                line.submit(input).await.expect("there is room");
            }
            let pause = || line.pause(name("q"), false);
            let held = |number: usize| {
                let left = summaries(&*journal);
                left.len() == number && left.iter().all(|it| it.phase == PhaseKind::Held)
            };
            while !held(6) {
                pause().await.expect("it is there");
            }
            let held_until = NOW.get() + HOUR;
            // Set back by a day, nobody is late for a day and an hour.
            NOW.set(NOW.get() - 24 * HOUR);
            for _ in 0..20 {
                pause().await.expect("it is there");
                NOW.set(NOW.get() + HOUR);
                assert!(held(6));
            }
            let first = summaries(&*journal).remove(0).item;
            let answered = line.act(first, answer("pass")).await;
            answered.expect("it is in time");
            assert!(held(5));
            // Set ahead, the rest is over at once, and an answer comes too late.
            let last = summaries(&*journal).remove(0).item;
            NOW.set(held_until + 365 * 24 * HOUR);
            let late = line.act(last, answer("pass")).await;
            assert!(late.is_err(), "{late:?}");
            for _ in 0..4000 {
                if held(0) {
                    return true;
                }
                pause().await.expect("it is there");
            }
            panic!("{:#?} by {:?}", summaries(&*journal), ROOM.get());
        });
        assert_eq!(ending, Some(Ending::Idle));
    }
}
