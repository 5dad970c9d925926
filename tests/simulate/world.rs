//! Runs a history: the real conveyor over the simulated disk, with the scripted runner and a clock that goes
//! as the history says, all on one thread, so that the same history always runs the same way. After every
//! moment the model says whether something was that cannot be.

mod orders;

use crate::{
    dice::Dice,
    disk::{Disk, Fault, locked},
    history::{History, Step},
    model::Model,
    plant::{NAMES, Plant, named},
    script::{Script, payload},
    store::{Kind, Store},
};
use andon::{
    conveyor::{Board, Change, Conveyor, ConveyorError, Ending, Input, Notice, Order, Revised},
    item::{Clear, Event, Given, ItemId},
    journal::{Filter, Journal},
    line::Line,
    name::Name,
    visit::Millis,
};
use futures::{FutureExt, future::BoxFuture};
use orders::Unanswered;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot, watch},
};

thread_local! {
    static NOW: Cell<Millis> = const { Cell::new(0) };
}

fn clock() -> Millis {
    NOW.get()
}

/// Where the clock begins: there is room to set it back.
const BEGINNING: Millis = 1_000_000_000;

/// Inputs from this number on are to begin at a station of their own.
pub(crate) const RERUN: u8 = 100;

/// As often the conveyor may go on by itself before it is taken to spin.
const ROUNDS: usize = 2000;

/// What a history came to.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// Every item with all its records.
    pub(crate) items: String,
    /// How many writes were there after each crash.
    pub(crate) survived: Vec<usize>,
    /// How often what happened.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

/// A process that runs the line.
struct Process {
    running: BoxFuture<'static, Result<Ending, ConveyorError>>,
    runner: Arc<Script>,
    inputs: mpsc::Sender<Input>,
    orders: mpsc::Sender<Order>,
    drain: watch::Sender<bool>,
    board: Arc<Board>,
    /// Results that were told and not handed over.
    results: Arc<Mutex<Vec<ItemId>>>,
    runtime: Runtime,
}

struct World<'a> {
    history: &'a History,
    line: Name,
    model: Arc<Mutex<Model>>,
    disk: Arc<Disk>,
    store: Store,
    process: Option<Process>,
    /// It was polled.
    begun: bool,
    /// It came to look at the clock.
    looks: bool,
    /// It was told to end.
    ending: bool,
    at_rest: bool,
    /// What comes after the end: whether it is at rest then.
    next_at_rest: bool,
    change: Change,
    asked: Option<Change>,
    paused: BTreeSet<Name>,
    open: Vec<Unanswered>,
    /// Items that were said to be new.
    fresh: BTreeSet<ItemId>,
    words: u32,
    fault: Option<Fault>,
}

/// Runs a history over a store.
///
/// # Errors
/// What cannot be.
pub(crate) fn run(
    history: &History,
    kind: Kind,
    script: Option<Vec<usize>>,
    fault: Option<Fault>,
    look: bool,
) -> Result<Came, String> {
    let Some(line) = Plant::of(history.seed, &history.without) else {
        return Ok(Came::default());
    };
    NOW.set(BEGINNING);
    let model = Arc::new(Mutex::new(Model::default()));
    let (store, journal) = Store::new(kind, script);
    let first = revised(1, &line);
    locked(&model).revisions.insert(1, first.clone());
    let mut world = World {
        history,
        line: line.name.clone(),
        disk: Arc::new(Disk::new(
            journal,
            line.name.clone(),
            model.clone(),
            history.seed,
            fault,
        )),
        model,
        store,
        process: None,
        begun: false,
        looks: false,
        ending: false,
        at_rest: false,
        next_at_rest: false,
        change: Change::to(first),
        asked: None,
        paused: BTreeSet::new(),
        open: Vec::new(),
        fresh: BTreeSet::new(),
        words: 0,
        fault,
    };
    world.start(false)?;
    for step in &history.steps {
        world.step(step)?;
    }
    world.finish()?;
    let items = if look { world.items()? } else { String::new() };
    let seen = std::mem::take(&mut locked(&world.model).seen);
    Ok(Came {
        items,
        survived: world.store.survived,
        seen,
    })
}

fn revised(number: u64, line: &Line) -> Arc<Revised> {
    Arc::new(Revised {
        number,
        line: line.clone(),
        components: BTreeMap::new(),
    })
}

impl World<'_> {
    fn fault(&self) -> Result<(), String> {
        match locked(&self.model).fault.take() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn saw(&self, what: &'static str) {
        locked(&self.model).saw(what);
    }

    /// A process begins with what the journal has and what is kept of the line.
    fn start(&mut self, stopped: bool) -> Result<(), String> {
        // a retool is kept before it is carried out
        if let Some(asked) = self.asked.take() {
            self.change = asked;
        }
        self.open.clear();
        let mut model = locked(&self.model);
        model.at_rest = self.at_rest;
        model.jumped_back = false;
        let needed: BTreeSet<u64> = (model.items.values())
            .filter(|known| !known.has_ended())
            .filter_map(|known| known.began)
            .collect();
        let running = |number: u64| {
            let ramp = self.change.ramp.as_ref().map(|ramp| ramp.to.number);
            number == self.change.current.number || Some(number) == ramp
        };
        let older = model.revisions.iter();
        self.change.older = older
            .filter(|(number, _)| needed.contains(number) && !running(**number))
            .map(|(number, revised)| (*number, revised.clone()))
            .collect();
        model.runs = vec![self.change.clone()];
        model.paused = self.paused.clone();
        let undelivered = self
            .disk
            .undelivered(&self.line)
            .map_err(|e| e.to_string())?;
        model.owed(&undelivered);
        drop(model);
        drop(self.disk.delivered(undelivered));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| e.to_string())?;
        let (inputs, taken) = mpsc::channel(64);
        let (orders, given) = mpsc::channel(256);
        let (drain, drained) = watch::channel(self.at_rest);
        let runner = Arc::new(Script::new(self.history.seed, self.model.clone()));
        let results: Arc<Mutex<Vec<ItemId>>> = Arc::default();
        let board = Arc::new(Board::new(&self.change.current.line));
        let (model, told) = (self.model.clone(), results.clone());
        let conveyor = Conveyor {
            journal: self.disk.clone(),
            runner: runner.clone(),
            change: self.change.clone(),
            paused: self.paused.clone(),
            board: board.clone(),
            notify: Box::new(move |notice| {
                locked(&model).noticed(&notice);
                if let Notice::Ended { item } = notice
                    && item.result().is_some()
                {
                    locked(&told).push(item.id);
                }
            }),
            clock,
            stopped,
        };
        (self.begun, self.looks, self.ending) = (false, false, false);
        self.process = Some(Process {
            running: conveyor
                .run_within(self.history.room(), taken, given, drained)
                .boxed(),
            runner,
            inputs,
            orders,
            drain,
            board,
            results,
            runtime,
        });
        self.fault()
    }

    /// The process is gone, and what it had in memory.
    fn kill(&mut self) {
        self.open.clear();
        self.process = None;
        let mut model = locked(&self.model);
        model.fault = None;
    }

    fn crash(&mut self, keep: u8) -> Result<(), String> {
        self.fault()?;
        self.kill();
        self.saw("a crash");
        locked(&self.model).crashing = true;
        let store = &mut self.store;
        self.disk
            .crash(|journal, works| store.crashed(journal, works, keep));
        let mut model = locked(&self.model);
        model.crashing = false;
        model.crashed(&*self.disk.inner());
        drop(model);
        self.fault()?;
        self.at_rest = false;
        self.start(false)
    }

    /// Lets the conveyor go on until it waits for something.
    fn poll(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            let before = {
                let mut model = locked(&self.model);
                model.now = clock();
                model.moved
            };
            let Some(process) = &mut self.process else {
                return Ok(());
            };
            if !self.looks {
                locked(&self.model).began(clock());
            }
            // An order that does nothing, so that the conveyor looks at the clock.
            let nobody: Name = "nobody".parse().expect("a name");
            let nudge = Order::Pause(nobody, true, oneshot::channel().0);
            let _ = process.orders.try_send(nudge);
            let polled = {
                let _entered = process.runtime.enter();
                let mut context = Context::from_waker(Waker::noop());
                let running = &mut process.running;
                catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(&mut context)))
            };
            self.begun = true;
            let polled = polled.map_err(|_| "the conveyor panicked".to_string())?;
            if let Poll::Ready(ended) = polled {
                self.fault()?;
                return self.ended(ended);
            }
            process.runtime.block_on(tokio::task::yield_now());
            if process.orders.capacity() == process.orders.max_capacity() {
                self.looks = true;
                locked(&self.model).looked(clock());
            }
            let results = std::mem::take(&mut *locked(&process.results));
            if !results.is_empty() {
                drop(self.disk.delivered(results));
            }
            self.answers()?;
            self.fault()?;
            if locked(&self.model).moved == before {
                return Ok(());
            }
        }
        Err("the conveyor does not come to rest".into())
    }

    /// The process ended by itself.
    fn ended(&mut self, ended: Result<Ending, ConveyorError>) -> Result<(), String> {
        let was_at_rest = self.at_rest;
        self.process = None;
        self.open.clear();
        match ended {
            Err(ConveyorError::Journal(error)) if error.is_full() && self.disk.has_failed() => {
                self.disk.empty();
                self.saw("a full disk");
                let mut model = locked(&self.model);
                model.crashed(&*self.disk.inner());
                drop(model);
                self.fault()?;
                self.start(true)
            }
            Ok(Ending::Drained) if self.ending || was_at_rest => {
                let model = locked(&self.model);
                let works = model
                    .items
                    .iter()
                    .find(|(_, known)| matches!(known.at, crate::known::At::Works));
                if let Some((item, _)) = works.filter(|_| !was_at_rest) {
                    return Err(format!("it is drained, and item `{item}` is at work"));
                }
                drop(model);
                self.saw(if was_at_rest {
                    "an end of a rest"
                } else {
                    "a drain"
                });
                self.disk.write(100_000);
                self.disk.acknowledge(100_000);
                let model = self.model.clone();
                locked(&model).crashed(&*self.disk.inner());
                self.fault()?;
                self.at_rest = self.next_at_rest;
                self.start(false)
            }
            other => Err(format!("the conveyor ends: {other:?}")),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        use crate::known::At;
        let by = || "a person".to_string();
        match *step {
            Step::Submit(key, priority, within) => {
                let input = self.input(key, priority, within);
                let item = ItemId::input(&self.disk.factory(), &self.line, &input.key);
                let (reply, answer) = oneshot::channel();
                self.order(
                    Order::Submit(Box::new(input), reply),
                    Unanswered::Submit(item, answer),
                );
            }
            Step::Offer(key) => {
                let input = self.input(key, 1, None);
                if let Some(process) = self.process.as_ref().filter(|_| !self.at_rest) {
                    let _ = process.inputs.try_send(input);
                }
            }
            Step::Run(seed, moments) => {
                let mut dice = Dice::of(&[self.history.seed, u64::from(seed), 2]);
                for _ in 0..moments {
                    self.moment(&mut dice)?;
                }
            }
            Step::Clear(which, how) => {
                let jammed =
                    |known: &crate::known::Known| matches!(known.at, At::Jammed | At::Stuck { .. });
                if let Some(item) = self.picked(which, jammed) {
                    let port = |port: &str| port.parse().expect("a name");
                    let how = match how {
                        0 => Clear::Retry,
                        1 => Clear::Edit(payload("edited".into())),
                        2 => Clear::Skip(port("pass")),
                        3 => Clear::Skip(port("other")),
                        _ => Clear::Scrap,
                    };
                    self.act(item, |why| Event::Cleared { by: by(), why, how });
                }
            }
            Step::Answer(which, what) => {
                let held = |known: &crate::known::Known| matches!(known.at, At::Held { .. });
                if let Some(item) = self.picked(which, held) {
                    let given = Given {
                        choice: ["pass", "other", "nonsense"][usize::from(what) % 3].into(),
                        text: String::new(),
                        payload: None,
                    };
                    self.act(item, |why| Event::Answered {
                        by: by(),
                        why,
                        given,
                    });
                }
            }
            Step::Cancel(which) => {
                if let Some(item) = self.picked(which, |known| !known.has_ended()) {
                    self.act(item, |why| Event::Cancelled { by: by(), why });
                }
            }
            Step::Pause(station, paused) => {
                let station = named(NAMES[usize::from(station) % NAMES.len()]);
                let (reply, answer) = oneshot::channel();
                if self.fault == Some(Fault::Deaf) && paused {
                    let _ = reply.send(Ok(()));
                    self.open.push(Unanswered::Pause(station, paused, answer));
                } else {
                    self.order(
                        Order::Pause(station.clone(), paused, reply),
                        Unanswered::Pause(station, paused, answer),
                    );
                }
                self.tell_paused();
            }
            Step::Ahead(ms) => self.goes_on(Millis::from(ms)),
            Step::Back(ms) => {
                NOW.set(clock().saturating_sub(Millis::from(ms)));
                locked(&self.model).jumped_back = true;
            }
            Step::Crash(keep) => self.crash(keep)?,
            Step::Full(room) => self.disk.fill(room),
            Step::Drain => self.drain(false)?,
            Step::Rest => self.drain(!self.at_rest)?,
            Step::Retool(variant, share) => self.retool(variant, share),
            Step::Settle => {
                self.settle()?;
                self.look()?;
            }
        }
        Ok(())
    }

    /// Time passes, as the clock shows it.
    fn goes_on(&self, ms: Millis) {
        NOW.set(clock() + ms);
        locked(&self.model).steady += ms;
    }

    /// One moment, whatever it is.
    fn moment(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.goes_on(1);
        match dice.below(100) {
            0..35 => return self.poll(),
            35..60 => self.disk.write(1 + dice.below(4)),
            60..82 => self.disk.acknowledge(1 + dice.below(3)),
            _ => {
                if let Some(process) = &self.process {
                    process.runner.end(dice.next() as usize);
                    process.runtime.block_on(tokio::task::yield_now());
                }
            }
        }
        self.fault()
    }

    /// The line ends in order, and begins again.
    fn drain(&mut self, next_at_rest: bool) -> Result<(), String> {
        // a process that has not begun would begin at rest
        while !self.begun {
            self.poll()?;
        }
        self.next_at_rest = next_at_rest;
        self.ending = true;
        if let Some(process) = &mut self.process {
            match self.at_rest {
                false => drop(process.drain.send(true)),
                true => process.orders = mpsc::channel(1).0,
            }
        }
        // until it has ended, `ending` stays
        for _ in 0..ROUNDS {
            self.poll()?;
            if !self.ending {
                return Ok(());
            }
            self.pass()?;
        }
        Err("the line does not end when it is drained".into())
    }

    /// Everything that is on its way arrives, and every visit ends.
    fn pass(&mut self) -> Result<(), String> {
        self.disk.write(self.disk.unwritten());
        self.disk.acknowledge(100_000);
        if let Some(process) = &self.process {
            for _ in 0..process.runner.under_way() {
                process.runner.end(0);
            }
            process.runtime.block_on(tokio::task::yield_now());
        }
        self.fault()
    }

    /// Everything goes on until nothing can, the clock included.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS {
            let before = locked(&self.model).moved;
            self.poll()?;
            self.pass()?;
            self.poll()?;
            let works = self
                .process
                .as_ref()
                .is_some_and(|it| it.runner.under_way() > 0);
            if works || !self.disk.is_still() || locked(&self.model).moved != before {
                continue;
            }
            let mut model = locked(&self.model);
            model.now = clock();
            model.waits_too_long()?;
            let latest = model.latest().filter(|_| !self.at_rest);
            drop(model);
            match latest {
                Some(latest) => self.goes_on(latest + 1 - clock()),
                None => return Ok(()),
            }
        }
        let items = &locked(&self.model).items;
        Err(format!(
            "the line does not come to rest: it is {}, {items:?}",
            clock()
        ))
    }

    /// Nothing moves: whether that is right.
    fn look(&mut self) -> Result<(), String> {
        self.fault()?;
        let model = locked(&self.model);
        model.rests()?;
        if !self.open.is_empty() {
            return Err(format!("{} orders are not answered", self.open.len()));
        }
        if let Some(process) = &self.process {
            let mut expected = model.counts();
            for (station, counts) in process.board.counts() {
                let expected = expected.remove(&station).unwrap_or_default();
                let shown = [counts.waiting, counts.working, counts.held, counts.jammed];
                if shown != expected {
                    return Err(format!(
                        "the board shows {shown:?} at `{station}`, and there are {expected:?}"
                    ));
                }
            }
            if !expected.is_empty() {
                return Err(format!("the board does not show {expected:?}"));
            }
        }
        let entry = &self.change.current.line.entry;
        if let Some(process) = &self.process
            && process.inputs.capacity() < process.inputs.max_capacity()
            && !self.at_rest
            && !model.kept_back(entry)
            && self.paused.is_empty()
        {
            return Err("inputs wait, and there is room".into());
        }
        Ok(())
    }

    /// Nobody gives anything any more, and nothing can move: then the line ends by itself.
    fn close(&mut self) -> Result<(), String> {
        if let Some(process) = &mut self.process {
            process.inputs = mpsc::channel(1).0;
            process.orders = mpsc::channel(1).0;
        }
        for _ in 0..ROUNDS {
            let Some(process) = &mut self.process else {
                return self.fault();
            };
            let polled = {
                let _entered = process.runtime.enter();
                let mut context = Context::from_waker(Waker::noop());
                process.running.as_mut().poll(&mut context)
            };
            match polled {
                Poll::Ready(Ok(Ending::Idle)) => self.process = None,
                Poll::Ready(other) => return Err(format!("the conveyor ends: {other:?}")),
                Poll::Pending => self.pass()?,
            }
        }
        let items = &locked(&self.model).items;
        Err(format!(
            "nothing can move, and the line does not end: {items:?}"
        ))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.settle()?;
        self.disk.spare();
        self.look()?;
        if self.at_rest {
            self.drain(false)?;
            self.settle()?;
            self.look()?;
        }
        // a line that has inputs which it has no room for does not end
        let offered = |process: &Process| process.inputs.capacity() < process.inputs.max_capacity();
        let offered = self.process.as_ref().is_some_and(offered);
        if self.history.seed.is_multiple_of(3) && !offered {
            self.close()?;
            self.start(false)?;
        }
        for station in self.paused.clone() {
            let (reply, answer) = oneshot::channel();
            self.order(
                Order::Pause(station.clone(), false, reply),
                Unanswered::Pause(station, false, answer),
            );
        }
        self.tell_paused();
        self.settle()?;
        // stations that the line does not have any more are of no account
        let line = self.change.clone();
        self.paused.retain(|station| {
            let ramp = line.ramp.as_ref();
            line.current.line.stations.contains_key(station)
                || ramp.is_some_and(|ramp| ramp.to.line.stations.contains_key(station))
        });
        if !self.paused.is_empty() {
            return Err(format!("{:?} are still paused", self.paused));
        }
        self.look()?;
        let left = |known: &crate::known::Known| !known.has_ended();
        while let Some(item) = self.picked(0, left) {
            self.act(item.clone(), |why| Event::Cancelled {
                by: "a person".into(),
                why,
            });
            self.settle()?;
            self.look()?;
            let model = locked(&self.model);
            if model.items.get(&item).is_some_and(left) {
                return Err(format!("item `{item}` is cancelled and has not ended"));
            }
            let tree = model
                .items
                .iter()
                .find(|(id, known)| id.root() == item && left(known));
            if let Some((id, known)) = tree.filter(|_| item.parent().is_none()) {
                return Err(format!(
                    "the tree of `{item}` is cancelled, and `{id}` is {known:?}"
                ));
            }
        }
        self.close()?;
        self.disk.write(self.disk.unwritten());
        let undelivered = self
            .disk
            .undelivered(&self.line)
            .map_err(|e| e.to_string())?;
        locked(&self.model).owed(&undelivered);
        if !undelivered.is_empty() {
            return Err(format!("nobody got the results {undelivered:?}"));
        }
        self.fault()
    }

    /// Every item, as it is kept.
    fn items(&self) -> Result<String, String> {
        let journal = self.disk.inner();
        let wrong = journal.integrity().map_err(|e| e.to_string())?;
        let verified = journal.verify(None).map_err(|e| e.to_string())?;
        if !wrong.is_empty() || verified.is_err() {
            return Err(format!("the store is damaged: {wrong:?} {verified:?}"));
        }
        let mut text = String::new();
        let mut all = journal
            .list(&Filter::default())
            .map_err(|e| e.to_string())?;
        all.sort_by(|a, b| a.item.cmp(&b.item));
        for summary in all {
            let records = journal.load(&summary.item).map_err(|e| e.to_string())?;
            text += &format!("{summary:?} {records:?}\n");
        }
        Ok(text)
    }
}
