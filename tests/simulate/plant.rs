//! Random lines: stations with splits, joins, loops, questions, small queues; and what retools make of
//! them. A line is written as a `line.toml` and read by the parser, so that only lines are simulated that
//! `andon check` lets through.

use crate::dice::Dice;
use andon::{
    line::{Line, Vars, parse},
    name::Name,
};
use std::{cell::RefCell, collections::BTreeMap, collections::HashMap, fmt::Write, rc::Rc};

/// Where a port leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Done,
    Scrap,
    Station(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sort {
    Works,
    Asks {
        within: Option<u32>,
        otherwise: bool,
    },
    Joins {
        of: char,
        after: Option<u32>,
        pass: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    name: char,
    sort: Sort,
    pass: To,
    other: Option<To>,
    reject: Option<To>,
    exhausted: Option<To>,
    workers: u32,
    queue: u32,
    visits: Option<u32>,
    attempts: u32,
    /// How long its questions wait, and whether there is something to take then.
    hold: Option<(u32, bool)>,
}

/// A line before it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plant {
    places: Vec<Place>,
}

/// The names that stations of any revision may have.
pub(crate) const NAMES: [char; 8] = ['a', 'b', 'c', 'd', 'e', 'f', 'x', 'y'];

impl Plant {
    /// How many different lines there are.
    const LINES: u64 = 600;

    /// The line of a seed, without some of its stations: none where nothing is left that checks.
    pub(crate) fn of(seed: u64, without: &[char]) -> Option<Rc<Line>> {
        let (plant, _) = Self::base(seed % Self::LINES)?;
        plant.less(without).line()
    }

    /// What the retool `variant` makes of the line of a seed, and where the items of stations go that it
    /// does not have.
    pub(crate) fn retooled(
        seed: u64,
        without: &[char],
        variant: u8,
    ) -> Option<(Rc<Line>, BTreeMap<Name, Name>)> {
        let (plant, _) = Self::base(seed % Self::LINES)?;
        let plant = plant.less(without).changed(seed % Self::LINES, variant);
        let line = plant.line()?;
        let mut dice = Dice::of(&[seed % Self::LINES, u64::from(variant), 77]);
        let mut moves = BTreeMap::new();
        if variant % 5 != 4 {
            for gone in NAMES.iter().filter(|name| plant.at(**name).is_none()) {
                let to = plant.places[dice.below(plant.places.len())].name;
                moves.insert(named(*gone), named(to));
            }
        }
        Some((line, moves))
    }

    fn base(number: u64) -> Option<(Self, Rc<Line>)> {
        thread_local! {
            static KNOWN: RefCell<HashMap<u64, (Plant, Rc<Line>)>> = RefCell::default();
        }
        if let Some(known) = KNOWN.with_borrow(|known| known.get(&number).cloned()) {
            return Some(known);
        }
        let found = (0..50).find_map(|n| {
            let plant = Self::drawn(&mut Dice::of(&[number, n]));
            let line = plant.line()?;
            Some((plant, line))
        })?;
        KNOWN.with_borrow_mut(|known| known.insert(number, found.clone()));
        Some(found)
    }

    fn drawn(dice: &mut Dice) -> Self {
        let count = 2 + dice.below(5);
        let name = |i: usize| NAMES[i];
        let mut places = Vec::new();
        for i in 0..count {
            let later = |dice: &mut Dice| match count - i - 1 {
                0 => To::Done,
                left => To::Station(name(i + 1 + dice.below(left))),
            };
            let next = match i + 1 == count {
                true => To::Done,
                false => To::Station(name(i + 1)),
            };
            let pass = if dice.chance(75) { next } else { later(dice) };
            let other = match dice.below(10) {
                0..3 => Some(later(dice)),
                3 | 4 => Some(To::Done),
                5 => Some(To::Scrap),
                6 | 7 => Some(To::Station(name(dice.below(i + 1)))),
                _ => None,
            };
            let reject = dice.chance(30).then(|| match dice.chance(50) {
                true => To::Scrap,
                false => later(dice),
            });
            places.push(Place {
                name: name(i),
                sort: Sort::Works,
                pass,
                other,
                reject,
                exhausted: None,
                workers: 1 + dice.below(3) as u32,
                queue: 1 + dice.below(4) as u32,
                visits: None,
                attempts: 1 + dice.below(3) as u32,
                hold: dice
                    .chance(40)
                    .then(|| (20 + dice.below(2000) as u32, dice.chance(60))),
            });
        }
        let mut plant = Self { places };
        // what an edge goes back to bounds every loop through that edge
        for i in 0..count {
            let back = match plant.places[i].other {
                Some(To::Station(to)) => NAMES.iter().position(|name| *name == to),
                _ => None,
            };
            if let Some(to) = back.filter(|to| *to <= i) {
                let place = &mut plant.places[to];
                place.visits = Some(1 + dice.below(3) as u32);
                if dice.chance(60) {
                    place.exhausted = Some(match (to + 1 < count, dice.below(3)) {
                        (_, 0) => To::Scrap,
                        (true, 1) => To::Station(name(to + 1)),
                        _ => To::Done,
                    });
                }
            }
        }
        for i in 1..count {
            match dice.below(10) {
                0..3 => {
                    plant.places[i].sort = Sort::Joins {
                        of: name(dice.below(i)),
                        after: dice.chance(40).then(|| 20 + dice.below(500) as u32),
                        pass: dice.chance(50),
                    }
                }
                3 => {
                    plant.places[i].sort = Sort::Asks {
                        within: dice.chance(50).then(|| 20 + dice.below(2000) as u32),
                        otherwise: dice.chance(50),
                    };
                    plant.places[i].other.get_or_insert(To::Scrap);
                }
                _ => {}
            }
        }
        plant
    }

    fn at(&self, name: char) -> Option<&Place> {
        self.places.iter().find(|place| place.name == name)
    }

    /// Without some stations: what led to one leads to where that led.
    fn less(mut self, without: &[char]) -> Self {
        for gone in without {
            let Some(i) = self.places.iter().position(|place| place.name == *gone) else {
                continue;
            };
            if self.places.len() == 1 {
                break;
            }
            let place = self.places.remove(i);
            let instead = match place.pass {
                To::Station(name) if name == *gone => To::Done,
                to => to,
            };
            for place in &mut self.places {
                let ports = [
                    Some(&mut place.pass),
                    place.other.as_mut(),
                    place.reject.as_mut(),
                    place.exhausted.as_mut(),
                ];
                for to in ports.into_iter().flatten() {
                    if *to == To::Station(*gone) {
                        *to = instead;
                    }
                }
                if matches!(place.sort, Sort::Joins { of, .. } if of == *gone) {
                    place.sort = Sort::Works;
                }
            }
        }
        self
    }

    fn changed(self, number: u64, variant: u8) -> Self {
        if variant == 0 {
            return self;
        }
        // a retool that does not check is drawn again; in the end the line stays as it was
        for n in 0..8 {
            let mut dice = Dice::of(&[number, u64::from(variant), n]);
            let mut plant = self.clone();
            for _ in 0..1 + dice.below(2) {
                plant = plant.change(&mut dice);
            }
            if plant != self && plant.line().is_some() {
                return plant;
            }
        }
        self
    }

    fn change(mut self, dice: &mut Dice) -> Self {
        let i = dice.below(self.places.len());
        let at = self.places[i].name;
        match dice.below(6) {
            0 => {
                let name = NAMES[6 + dice.below(2)];
                if self.at(name).is_none() {
                    let mut place = self.places[i].clone();
                    place.name = name;
                    place.sort = Sort::Works;
                    (place.reject, place.exhausted, place.visits) = (None, None, None);
                    place.other = dice.chance(50).then_some(To::Done);
                    self.places[i].pass = To::Station(name);
                    self.places.insert(i + 1, place);
                }
            }
            1 | 2 => self = self.less(&[at]),
            3 => {
                let place = &mut self.places[i];
                place.workers = 1 + dice.below(3) as u32;
                place.queue = 1 + dice.below(4) as u32;
                place.attempts = 1 + dice.below(3) as u32;
                place.visits = place.visits.map(|_| 1 + dice.below(3) as u32);
            }
            4 => {
                let later = &self.places[i + 1..];
                let to = match later.len() {
                    0 => To::Done,
                    some => To::Station(later[dice.below(some)].name),
                };
                match dice.chance(50) {
                    true => self.places[i].pass = to,
                    false => self.places[i].other = Some(to),
                }
            }
            _ => {
                let place = &mut self.places[i];
                place.sort = match (&place.sort, i) {
                    (Sort::Works, 1..) => {
                        place.other.get_or_insert(To::Scrap);
                        Sort::Asks {
                            within: None,
                            otherwise: false,
                        }
                    }
                    _ => Sort::Works,
                };
            }
        }
        self
    }

    fn line(&self) -> Option<Rc<Line>> {
        thread_local! {
            static READ: RefCell<HashMap<String, Option<Rc<Line>>>> = RefCell::default();
        }
        let text = self.text();
        if let Some(known) = READ.with_borrow(|known| known.get(&text).cloned()) {
            return known;
        }
        let line = parse("line.toml", &text, &Vars::default());
        let line = line.ok().map(|parsed| Rc::new(parsed.line));
        READ.with_borrow_mut(|known| known.insert(text, line.clone()));
        line
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let out = &mut text;
        let entry = self.places[0].name;
        let _ = writeln!(out, "line = \"l\"\nentry = \"{entry}\"");
        for place in &self.places {
            let _ = writeln!(out, "[stations.{}]", place.name);
            let asks = matches!(place.sort, Sort::Asks { .. });
            let mut ports = vec![("pass", place.pass)];
            ports.extend(place.other.map(|to| ("other", to)));
            ports.extend(place.reject.filter(|_| !asks).map(|to| ("reject", to)));
            let bounded = place.visits.and(place.exhausted);
            ports.extend(bounded.map(|to| ("exhausted", to)));
            let ports: Vec<String> = ports
                .iter()
                .map(|(port, to)| format!("{port} = \"{}\"", to.text()))
                .collect();
            let _ = writeln!(out, "next = {{ {} }}", ports.join(", "));
            if let Some(visits) = place.visits {
                let _ = writeln!(out, "visits = {visits}");
            }
            let held = |within: u32, otherwise: bool| {
                let otherwise = if otherwise {
                    ", otherwise = \"pass\""
                } else {
                    ""
                };
                format!("within = \"{within}ms\"{otherwise}")
            };
            if let Sort::Asks { within, otherwise } = place.sort {
                let within = within.map(|within| format!(", {}", held(within, otherwise)));
                let _ = writeln!(
                    out,
                    "ask = {{ prompt = \"ok?\", choices = [\"pass\", \"other\"]{} }}",
                    within.unwrap_or_default()
                );
                continue;
            }
            let _ = writeln!(
                out,
                "use = \"x\"\nworkers = {}\nqueue = {}\nretry = {{ attempts = {}, backoff = \"5ms..40ms\" }}",
                place.workers, place.queue, place.attempts
            );
            if let Some((within, otherwise)) = place.hold {
                let _ = writeln!(out, "hold = {{ {} }}", held(within, otherwise));
            }
            if let Sort::Joins { of, after, pass } = place.sort {
                let after = after.map(|after| {
                    let missing = if pass { "pass" } else { "jam" };
                    format!(", after = \"{after}ms\", missing = \"{missing}\"")
                });
                let _ = writeln!(
                    out,
                    "join = {{ of = \"{of}\"{} }}",
                    after.unwrap_or_default()
                );
            }
        }
        text
    }
}

impl To {
    fn text(self) -> String {
        match self {
            Self::Done => "done".into(),
            Self::Scrap => "scrap".into(),
            Self::Station(name) => name.into(),
        }
    }
}

/// A station's name.
pub(crate) fn named(name: char) -> Name {
    name.to_string().parse().expect("a letter is a name")
}

/// The line of a seed as it is written, for people.
pub(crate) fn written(seed: u64, without: &[char]) -> String {
    Plant::base(seed % Plant::LINES)
        .map(|(plant, _)| plant.less(without).text())
        .unwrap_or_default()
}
