//! What holds in every history: random lines, outcomes and mail.

use super::{
    histories::{answered, question},
    lines::{line, name, passed, report},
    world::World,
};
use crate::{
    item::{Clear, Event, ItemId, Phase, Record, Wants},
    limits::Limit,
    line::Line,
    visit::{Outcome, Report},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const STATIONS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Splits within splits, with a join each and with one for all, in a loop; else anything.
fn lines() -> impl Strategy<Value = Line> {
    const NESTED: [&str; 2] = [
        "a = pass:b alt:j visits=2\nb = pass:c alt:j visits=3\nc = pass:j alt:j visits=3\n\
         j = pass:done alt:a join=a after=90 missing=pass visits=2",
        "a = pass:b alt:b visits=2\nb = pass:k alt:j visits=3\nk = pass:j alt:j join=b visits=3\n\
         j = pass:done alt:a join=a visits=3",
    ];
    prop_oneof![2 => prop::sample::select(&NESTED[..]).prop_map(line), 3 => random_lines()]
}

/// A line in which anything may lead anywhere.
fn random_lines() -> impl Strategy<Value = Line> {
    let target = prop_oneof![
        8 => prop::sample::select(&STATIONS[..]),
        2 => Just("done"),
        1 => Just("scrap"),
    ];
    let station = (
        target.clone(),
        target.clone(),
        prop::option::of(target.clone()),
        prop::option::of(target),
        prop::option::weighted(
            0.4,
            (
                prop::sample::select(&STATIONS[..]),
                any::<bool>(),
                any::<bool>(),
            ),
        ),
        1..3u32,
        // some ask instead, and some of those only for a while
        prop::option::weighted(0.15, (any::<bool>(), any::<bool>())),
    );
    prop::collection::vec(station, STATIONS.len()).prop_map(|stations| {
        let mut joined = vec![];
        let text: Vec<_> = STATIONS
            .iter()
            .zip(stations)
            .map(
                |(own, (pass, risky, reject, exhausted, join, visits, ask))| {
                    let mut words = format!(
                        "{own} = pass:{risky}?risk=high,{pass} alt:{risky} odd:{pass}?never=1 \
                     visits={visits} attempts=2"
                    );
                    for (port, to) in [("reject", reject), ("exhausted", exhausted)] {
                        if let Some(to) = to {
                            words += &format!(" {port}:{to}");
                        }
                    }
                    if let Some((bounded, otherwise)) = ask {
                        words += " ask=alt+odd+pass+none";
                        if bounded {
                            words += " within=40";
                        }
                        if otherwise {
                            words += " otherwise=alt";
                        }
                    }
                    // one join at most for each station, and none for itself
                    if let Some((of, bounded, passing)) = join
                        && of != *own
                        && !joined.contains(&of)
                    {
                        joined.push(of);
                        words += &format!(" join={of}");
                        if bounded {
                            words += " after=50";
                        }
                        if passing {
                            words += " missing=pass";
                        }
                    }
                    words
                },
            )
            .collect();
        line(&text.join("\n"))
    })
}

/// What happens next, as dice that the world reads.
type Dice = Vec<(u16, u8, u8)>;

fn outcome(dice: u8) -> Report {
    match dice % 18 {
        16 => report(Outcome::Asked(question(&["pass", "alt"], dice > 127))),
        17 => report(Outcome::Diverged("POST twice".into())),
        0..=3 => passed("pass"),
        4 => passed("pass alt pass"),
        5 => passed("pass?risk=high"),
        6 => passed("alt?risk="),
        7 => passed(""),
        8 => passed("pass alt"),
        9 => passed("pass?risk=high pass alt"),
        10 => passed("odd"),
        11 => passed("nowhere"),
        12 => report(Outcome::Rejected("no".into())),
        13 => report(Outcome::Trapped("unreachable".into())),
        14 => report(Outcome::Overrun {
            limit: if dice > 127 {
                Limit::Wall
            } else {
                Limit::Memory
            },
            value: "1s".into(),
        }),
        _ => report(Outcome::Retry {
            reason: "busy".into(),
            after: None,
        }),
    }
}

fn clearing(dice: u8) -> Event {
    let how = match dice % 4 {
        0 => Clear::Retry,
        1 => Clear::Edit(super::lines::payload("edited")),
        2 => return World::skip("pass"),
        _ => Clear::Scrap,
    };
    Event::Cleared {
        by: "ann".into(),
        why: "so".into(),
        how,
    }
}

fn answer(dice: u8) -> Event {
    let choices = ["pass", "alt", "odd", "none", "zzz", ""];
    let text = if dice > 127 { "text" } else { "" };
    answered("ann", choices[usize::from(dice) % choices.len()], text)
}

/// Something that may go wrong at any time, in a running factory.
fn disturb(world: &mut World, item: u16, kind: u8, dice: u8, people: bool) {
    let ids: Vec<_> = world.items.keys().cloned().collect();
    let id = &ids[usize::from(item) % ids.len()];
    let event = match kind % 11 {
        0 => return advance(world, id, dice),
        1 => Event::Start { revision: 1 },
        2 => Event::Reported(outcome(dice)),
        3 => Event::Interrupted {
            stopped: dice.is_multiple_of(2),
        },
        8 => answer(dice),
        9 if people => Event::Cancelled {
            by: "ann".into(),
            why: "so".into(),
        },
        10 if people => Event::Relocated {
            to: (STATIONS.get(usize::from(dice) % 8)).map(|to| name(to)),
        },
        4 if people => clearing(dice),
        4 | 5 | 9 | 10 => {
            world.now += u64::from(dice);
            Event::Due
        }
        6 => {
            // mail comes in any order, and some of it twice
            if let Some(last) = world.mail.len().checked_sub(1) {
                let n = usize::from(dice) % world.mail.len();
                world.mail.swap(n, last);
                let message = world.mail[last].clone();
                if !dice.is_multiple_of(3) {
                    world.mail.pop();
                }
                world.deliver(message);
            }
            return;
        }
        _ => {
            // a restart: everything that was under way is lost, and asked for again
            world.mail.clear();
            for id in ids {
                restart(world, &id);
            }
            return;
        }
    };
    // what cannot be is refused, and changes nothing
    let before = world.items[id].clone();
    if world.event(id, event).is_err() {
        assert_eq!(world.items[id], before);
    }
}

fn restart(world: &mut World, id: &ItemId) {
    let item = world.item(id).clone();
    if let Wants::Outcome { .. } = item.wants() {
        world
            .event(id, Event::Interrupted { stopped: false })
            .unwrap();
    }
    world.mail.extend(item.spawns());
}

/// Does what the item's state calls for; whether there was anything.
fn advance(world: &mut World, id: &ItemId, dice: u8) {
    match world.item(id).wants() {
        Wants::Visit { not_before, .. } => {
            world.now = world.now.max(not_before.unwrap_or(0));
            world.event(id, Event::Start { revision: 1 }).unwrap();
            // or it is held, or has jammed
            if let Wants::Outcome { .. } = world.item(id).wants() {
                world.event(id, Event::Reported(outcome(dice))).unwrap();
            }
        }
        Wants::Outcome { .. } => {
            world.event(id, Event::Reported(outcome(dice))).unwrap();
        }
        // a time that comes by itself moves what waits for it
        Wants::Answer { until: Some(until) } => {
            world.now = world.now.max(until);
            assert!(world.event(id, Event::Due).unwrap() > 0);
        }
        Wants::Children { .. } | Wants::Answer { .. } | Wants::Clearing | Wants::Nothing => {}
    }
}

/// Runs until nothing moves any more. All that is left then waits for a person, or for the child of
/// one that does.
fn run_down(world: &mut World) {
    for round in 0..10_000u32 {
        world.deliver_all();
        let next = world.items.values().map(|(item, _)| item).find(|item| {
            matches!(
                item.wants(),
                Wants::Visit { .. } | Wants::Outcome { .. } | Wants::Answer { until: Some(_) }
            )
        });
        let Some(id) = next.map(|item| item.id.clone()) else {
            return;
        };
        // mostly straight on, so that trees stay small
        advance(
            world,
            &id,
            if round % 7 == 0 { (round / 7) as u8 } else { 0 },
        );
    }
    panic!("it goes on for ever");
}

fn check_all(world: &World, people: bool) {
    let mut spawned = 1;
    for (item, records) in world.items.values() {
        let mut ended = 0;
        let mut children = 0;
        for record in records {
            match record {
                Record::Split { children: new, .. } => children += new.len(),
                Record::ChildEnded { .. } => ended += 1,
                _ => {}
            }
        }
        // every child is somewhere, and counted once
        let waiting = item.split().map_or(0, |split| split.children.len());
        let late: usize = item.late.iter().map(|split| split.children.len()).sum();
        assert_eq!(children, ended + waiting + late);
        spawned += children;
        if !people {
            let mut visits: BTreeMap<_, u32> = BTreeMap::new();
            for (station, times) in &item.visits {
                visits.insert(station, *times);
            }
            for (station, times) in visits {
                let most = world.line.stations[station].visits.unwrap();
                assert!(times <= most, "{} at {station}: {times}", item.id);
            }
        }
        match &item.phase {
            Phase::Split(split) => {
                let alive = split.children.keys().any(|n| {
                    let child = item.id.child(*n).unwrap();
                    matches!(
                        world.item(&child).wants(),
                        Wants::Clearing | Wants::Children { .. } | Wants::Answer { .. }
                    )
                });
                assert!(alive, "{} waits for nobody", item.id);
            }
            Phase::Held { hold, .. } => assert_eq!(hold.until, None, "{}", item.id),
            Phase::Jammed { .. } | Phase::Ended { .. } => {}
            phase => panic!("{} is {phase:?}", item.id),
        }
        // arrivals are of different items: none is counted twice
        if let Phase::Ended { arrivals, .. } = &item.phase {
            let mut who: Vec<_> = arrivals.iter().map(|arrival| &arrival.item).collect();
            who.dedup();
            assert_eq!(who.len(), arrivals.len());
        }
    }
    assert_eq!(spawned, world.items.len());
}

/// What arrived at joins is what went there: none is lost on its way up, and none taken twice.
fn check_arrivals(world: &World) {
    let mut sent = 0;
    let mut taken_in = 0;
    let mut left_out = 0;
    for (item, records) in world.items.values() {
        sent += records.iter().filter(|record| is_joined(record)).count();
        let mut now = crate::item::Item::fold(item.id.clone(), &records[..1])
            .unwrap()
            .unwrap();
        for record in &records[1..] {
            let before = now.clone();
            now.apply(record).unwrap();
            if let Record::Gathered { join: Some(_), .. } = record {
                taken_in += now.inputs.len();
            }
            if let Record::ChildEnded { end, .. } = record
                && now.late != before.late
            {
                left_out += end.arrivals.len();
            }
        }
        let waiting = item.split().map_or(0, |split| split.arrivals.len());
        left_out += waiting + item.carried.len();
    }
    assert_eq!(sent, taken_in + left_out);
}

fn is_joined(record: &Record) -> bool {
    use crate::item::Destination::Join;
    matches!(
        record,
        Record::Taken { to: Join(_), .. } | Record::Moved { to: Join(_), .. }
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_ends_or_waits_for_a_person(line in lines(), dice in any_dice()) {
        let mut world = World::of(line);
        for (item, kind, dice) in dice {
            disturb(&mut world, item, kind, dice, false);
        }
        run_down(&mut world);
        check_all(&world, false);
        check_arrivals(&world);
    }

    #[test]
    fn people_may_clear_at_any_time(line in lines(), dice in any_dice()) {
        let mut world = World::of(line);
        for (item, kind, dice) in dice {
            disturb(&mut world, item, kind, dice, true);
        }
        run_down(&mut world);
        check_all(&world, true);
    }
}

fn any_dice() -> impl Strategy<Value = Dice> {
    prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>()), 0..80)
}
