//! A history: a line and what happens on it, as text that can be replayed and shortened.

use crate::{dice::Dice, plant::NAMES, world::RERUN};
use andon::conveyor::Room;
use std::{fmt, str::FromStr};

/// One happening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// `i7.0`, `i7.0.300`: an order submits the input 7 with the priority 0 (and a deadline in
    /// milliseconds). From 100 on, it is to begin at a station of its own, as what is run again does.
    Submit(u8, u8, Option<u16>),
    /// `o7`: a source offers the input 7.
    Offer(u8),
    /// `r99.12`: the line runs for 12 moments, by the dice of 99: the conveyor is polled, writes reach the
    /// disk, are acknowledged, visits end.
    Run(u16, u8),
    /// `c3.0`: the third of those that are jammed is cleared: 0 retry, 1 edit, 2 and 3 skip, 4 scrap.
    Clear(u8, u8),
    /// `a3.0`: the third of those that are held is answered: 0 `pass`, 1 `other`, 2 nonsense.
    Answer(u8, u8),
    /// `x3`: the third of all that have not ended is cancelled.
    Cancel(u8),
    /// `p0`, `u0`: the station is paused; it is resumed.
    Pause(u8, bool),
    /// `t100`, `b100`: the clock is set ahead, or back, by so many milliseconds.
    Ahead(u32),
    /// See above.
    Back(u32),
    /// `k3`: the process is gone; of what was on its way to the disk the first 3 are there.
    Crash(u8),
    /// `f3`: the disk is full after 3 more writes.
    Full(u8),
    /// `d`: the line is drained, ends, and is started again.
    Drain,
    /// `z`: the same, but nothing moves from then on, and only orders are carried out; until the next `d`,
    /// `z` or crash.
    Rest,
    /// `w2.0`: a retool to the second variant for all; `w2.30` for 30 of a hundred.
    Retool(u8, u8),
    /// `g`: everything goes on until nothing can, the clock included.
    Settle,
}

/// A whole history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// What the line, the visits and the messages are drawn from.
    pub(crate) seed: u64,
    /// Stations that were taken out of the line.
    pub(crate) without: Vec<char>,
    /// How little the conveyor keeps in memory: window, times, splits and page of its `Room`; none for what
    /// it keeps by itself.
    pub(crate) room: Option<[u8; 4]>,
    /// What happens.
    pub(crate) steps: Vec<Step>,
}

impl History {
    /// The history of a seed.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut dice = Dice::of(&[seed, 1]);
        let mut steps = Vec::new();
        // what this history is about: some never crash, some are never retooled
        let (crashes, retools, people, clocks) = (
            dice.chance(60),
            dice.chance(50),
            dice.chance(70),
            dice.chance(60),
        );
        let number = 8 + dice.below(22);
        // in some the host ends again and again, before visits do
        let storm = crashes && seed.is_multiple_of(16);
        let mut key = 0;
        for n in 0..number {
            let byte = |dice: &mut Dice, bound: usize| dice.below(bound) as u8;
            let kind = if n < 3 { 0 } else { dice.below(100) };
            match kind {
                0..20 => {
                    // sometimes one that there is already
                    let this = if dice.chance(85) {
                        key
                    } else {
                        byte(&mut dice, 8)
                    };
                    key = key.max(this + 1);
                    steps.push(if dice.chance(25) {
                        Step::Offer(this)
                    } else {
                        let this = match dice.chance(12) {
                            true => RERUN + byte(&mut dice, 16),
                            false => this,
                        };
                        let deadline = dice.chance(8).then(|| 5 + dice.below(400) as u16);
                        Step::Submit(this, byte(&mut dice, 3), deadline)
                    });
                }
                20..42 => {}
                42..54 if people => steps.push(Step::Clear(byte(&mut dice, 8), byte(&mut dice, 5))),
                54..62 if people => {
                    steps.push(Step::Answer(byte(&mut dice, 8), byte(&mut dice, 3)));
                }
                62..65 if people => steps.push(Step::Cancel(byte(&mut dice, 12))),
                65..70 if people => {
                    steps.push(Step::Pause(byte(&mut dice, NAMES.len()), dice.chance(60)));
                }
                70..74 if clocks => steps.push(Step::Ahead(dice.below(300) as u32)),
                74 if clocks => steps.push(Step::Ahead(100_000)),
                75 if clocks => steps.push(Step::Back(dice.below(50_000) as u32)),
                76..84 if crashes => steps.push(Step::Crash(byte(&mut dice, 20))),
                84 | 85 if crashes => steps.push(Step::Full(byte(&mut dice, 6))),
                86 | 87 => steps.push(Step::Drain),
                88 if people => steps.push(Step::Rest),
                89..95 if retools => {
                    let share = if dice.chance(35) {
                        1 + byte(&mut dice, 99)
                    } else {
                        0
                    };
                    steps.push(Step::Retool(byte(&mut dice, 9), share));
                }
                95 | 96 => steps.push(Step::Settle),
                _ => {}
            }
            if storm && n > 3 && dice.chance(60) {
                steps.push(Step::Crash(byte(&mut dice, 20)));
                steps.push(Step::Run(dice.next() as u16, 1 + byte(&mut dice, 5)));
                continue;
            }
            let moments = [5, 16, 50][dice.below(3)];
            let moments = dice.below(moments) as u8;
            steps.push(Step::Run(dice.next() as u16, moments));
        }
        let mut dice = Dice::of(&[seed, 5]);
        let room = dice.chance(60).then(|| {
            let [window, times, splits, page] = [3, 3, 2, 2].map(|bound| dice.below(bound) as u8);
            [1 + window, times, 1 + splits, 1 + page]
        });
        Self {
            seed,
            without: Vec::new(),
            room,
            steps,
        }
    }

    /// How much the conveyor keeps in memory.
    pub(crate) fn room(&self) -> Room {
        self.room.map_or_else(Room::default, |room| {
            let [window, times, splits, page] = room.map(usize::from);
            Room {
                window,
                times,
                splits,
                page,
            }
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit(key, priority, None) => write!(f, "i{key}.{priority}"),
            Self::Submit(key, priority, Some(until)) => write!(f, "i{key}.{priority}.{until}"),
            Self::Offer(key) => write!(f, "o{key}"),
            Self::Run(seed, moments) => write!(f, "r{seed}.{moments}"),
            Self::Clear(which, how) => write!(f, "c{which}.{how}"),
            Self::Answer(which, what) => write!(f, "a{which}.{what}"),
            Self::Cancel(which) => write!(f, "x{which}"),
            Self::Pause(station, true) => write!(f, "p{station}"),
            Self::Pause(station, false) => write!(f, "u{station}"),
            Self::Ahead(ms) => write!(f, "t{ms}"),
            Self::Back(ms) => write!(f, "b{ms}"),
            Self::Crash(keep) => write!(f, "k{keep}"),
            Self::Full(room) => write!(f, "f{room}"),
            Self::Drain => f.write_str("d"),
            Self::Rest => f.write_str("z"),
            Self::Retool(variant, share) => write!(f, "w{variant}.{share}"),
            Self::Settle => f.write_str("g"),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        for station in &self.without {
            write!(f, " -{station}")?;
        }
        if let Some([window, times, splits, page]) = self.room {
            write!(f, " ={window}.{times}.{splits}.{page}")?;
        }
        for step in &self.steps {
            write!(f, " {step}")?;
        }
        Ok(())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no happening");
        let (kind, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
        let numbers: Result<Vec<u32>, _> = rest
            .split('.')
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect();
        let numbers = numbers.map_err(|_| wrong())?;
        let byte = |n: usize| -> Result<u8, String> {
            let number = numbers.get(n).copied().ok_or_else(wrong)?;
            number.try_into().map_err(|_| wrong())
        };
        let short = |n: usize| -> Result<u16, String> {
            let number = numbers.get(n).copied().ok_or_else(wrong)?;
            number.try_into().map_err(|_| wrong())
        };
        let long = || numbers.first().copied().ok_or_else(wrong);
        Ok(match kind {
            "i" if numbers.len() == 3 => Self::Submit(byte(0)?, byte(1)?, Some(short(2)?)),
            "i" => Self::Submit(byte(0)?, byte(1)?, None),
            "o" => Self::Offer(byte(0)?),
            "r" => Self::Run(short(0)?, byte(1)?),
            "c" => Self::Clear(byte(0)?, byte(1)?),
            "a" => Self::Answer(byte(0)?, byte(1)?),
            "x" => Self::Cancel(byte(0)?),
            "p" => Self::Pause(byte(0)?, true),
            "u" => Self::Pause(byte(0)?, false),
            "t" => Self::Ahead(long()?),
            "b" => Self::Back(long()?),
            "k" => Self::Crash(byte(0)?),
            "f" => Self::Full(byte(0)?),
            "d" => Self::Drain,
            "z" => Self::Rest,
            "w" => Self::Retool(byte(0)?, byte(1)?),
            "g" => Self::Settle,
            _ => return Err(wrong()),
        })
    }
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let seed = words.next().unwrap_or_default();
        let seed = seed.parse().map_err(|_| format!("`{seed}` is no seed"))?;
        let mut history = Self {
            seed,
            without: Vec::new(),
            room: None,
            steps: Vec::new(),
        };
        for word in words {
            if let Some(station) = word.strip_prefix('-') {
                history.without.extend(station.chars());
            } else if let Some(room) = word.strip_prefix('=') {
                history.room = Some(read_room(room)?);
            } else {
                history.steps.push(word.parse()?);
            }
        }
        Ok(history)
    }
}

fn read_room(text: &str) -> Result<[u8; 4], String> {
    let parts: Result<Vec<u8>, _> = text.split('.').map(str::parse).collect();
    match parts.as_deref() {
        Ok(&[window, times, splits, page]) if [window, splits, page].iter().all(|it| *it > 0) => {
            Ok([window, times, splits, page])
        }
        _ => Err(format!("`={text}` is no room")),
    }
}
