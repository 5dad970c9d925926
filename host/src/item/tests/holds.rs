//! Histories with questions, deadlines, cancellations and retools.

use super::{
    histories::{answered, check, play, run},
    lines::{self, name, payload, report},
    world::World,
};
use crate::{
    item::{Course, Event, Given, ItemId, Phase, PhaseKind, Refused, Taking, Ticket},
    visit::Outcome,
};

#[test]
fn what_the_line_asks() {
    let line = "a = pass:b\nb = ship:done rework:a drop:scrap ask=ship+rework+drop visits=2";
    check(
        line,
        ":pass->ready b 1/1
         :=ship->item `ITEM` is not held but waiting
         :start->held at b: Ship it?
         :start->item `ITEM` cannot begin an attempt: it is held
         :crash->item `ITEM` cannot begin an attempt: it is held
         :+skip ship->item `ITEM` is not jammed but held
         :=no->`no` cannot be chosen for item `ITEM`: choose one of `ship`, `rework`, `drop`
         :=: whatever->`` cannot be chosen for item `ITEM`: choose one of `ship`, `rework`, `drop`
         :=rework: too long->ready a 2/1
         :=ship->item `ITEM` is not held but waiting
         :pass->ready b 2/1
         :start->held at b: Ship it?
         :=rework->ready a 3/1
         :pass->jammed at b: it may not come to `b` again, and the port `exhausted` does not lead on",
    );
    check(
        line,
        ":pass->ready b 1/1\n:start->held at b: Ship it?\n:@900000->held at b: Ship it?\n:=drop->scrapped",
    );
    // a line that asks first
    check(
        "a = pass:done ask=pass",
        ":start->held at a: Ship it?\n:=pass->done with a result",
    );
    // an answer that leads nowhere is refused, and may be given otherwise
    check(
        "a = ship:done odd:b?never=1 ask=ship+odd+gone\nb = pass:done",
        ":start->held at a: Ship it?
         :=odd->`odd` cannot be chosen for item `ITEM`: no rule of the port `odd` fits the labels
         :=gone->`gone` cannot be chosen for item `ITEM`: invalid answer: the port `gone` of `a` is not wired (`odd`, `ship` are)
         :=ship->done with a result",
    );
}

#[test]
fn what_nobody_answers() {
    let line = "a = ship:done rework:b odd:b?never=1 ask=ship+rework+odd within=100";
    let b = "b = pass:done";
    check(
        &format!("{line} otherwise=rework\n{b}"),
        ":start->held at a: Ship it?
         :@99->held at a: Ship it?
         :@100->ready b 1/1
         :=ship->item `ITEM` is not held but waiting",
    );
    check(
        &format!("{line}\n{b}"),
        ":start->held at a: Ship it?
         :@100->jammed at a: nobody answered in time
         :+retry->ready a 1/1
         :start->held at a: Ship it?
         :@199->held at a: Ship it?
         :=ship->done with a result",
    );
    check(
        &format!("{line} otherwise=odd\n{b}"),
        ":start->held at a: Ship it?
         :@100->jammed at a: no rule of the port `odd` fits the labels
         :+skip ship->done with a result",
    );
    // an answer that comes before the timer does, but too late
    let mut world = World::new(&format!("{line}\n{b}"));
    let id = world.root.clone();
    play(&mut world, &id, "start").unwrap();
    world.now = 100;
    assert!(matches!(
        world.event(&id, answered("ann", "ship", "")),
        Err(Refused::Over { .. })
    ));
}

#[test]
fn what_a_station_asks() {
    let line = "a = pass:done attempts=2";
    check(
        line,
        ":!ask->held at a: Really?
         :=maybe->`maybe` cannot be chosen for item `ITEM`: choose one of `yes`, `no`
         :=yes: words->item `ITEM` takes a choice and no text
         :=yes->ready a 1/1
         :!ask text->held at a: Really?
         :=->`` cannot be chosen for item `ITEM`: it asks for text, `--text TEXT`
         :=: words->ready a 1/1
         :!retry->ready a 1/2
         :!ask->held at a: Really?
         :=no->ready a 1/2
         :pass->done with a result",
    );
    let otherwise = format!("{line} within=100 otherwise=yes");
    check(
        &otherwise,
        ":!ask->held at a: Really?\n:@100->ready a 1/1\n:!ask text->held at a: Really?\n:@200->ready a 1/1",
    );
    check(
        &format!("{line} within=100 otherwise=late"),
        ":!ask->jammed at a: invalid answer: it asks, and the line's `otherwise` `late` is none of its choices
         :+retry->ready a 1/1",
    );
    // the answer is given to the attempt that asked, and `otherwise` is a choice only where it is one
    let mut world = World::new(&otherwise);
    let id = world.root.clone();
    for (what, now, choice, text, by) in [
        ("!ask", 0, "no", "", "ann"),
        ("!ask", 100, "yes", "", ""),
        ("!ask text", 200, "", "yes", ""),
    ] {
        play(&mut world, &id, what).unwrap();
        let answer = if now == 0 {
            "=no".into()
        } else {
            format!("@{now}")
        };
        play(&mut world, &id, &answer).unwrap();
        let Phase::Ready { course, .. } = &world.item(&id).phase else {
            panic!("it goes on")
        };
        let last = course.answers.last().unwrap();
        assert_eq!((&*last.choice, &*last.text, &*last.by), (choice, text, by));
        assert_eq!(course.began.unwrap().run, 1);
    }
    let course = |world: &World| match &world.item(&id).phase {
        Phase::Ready { course, .. } => course.clone(),
        phase => panic!("{phase:?}"),
    };
    assert_eq!(course(&world).answers.len(), 3);
    // with another payload the answers are void
    play(&mut world, &id, "!invalid").unwrap();
    play(&mut world, &id, "+retry").unwrap();
    assert_eq!(
        (course(&world).answers.len(), course(&world).accepted),
        (3, 0)
    );
    play(&mut world, &id, "!invalid").unwrap();
    play(&mut world, &id, "+edit new").unwrap();
    assert!(course(&world).answers.is_empty());
}

#[test]
fn a_station_that_asks_for_ever() {
    let mut world = World::new("a = pass:done");
    let id = world.root.clone();
    for _ in 0..Course::ANSWERS {
        play(&mut world, &id, "!ask").unwrap();
        play(&mut world, &id, "=yes").unwrap();
    }
    play(&mut world, &id, "!ask").unwrap();
    let says = "jammed at a: invalid answer: it asks again, after 64 answers";
    assert_eq!(world.tell(&id), says);
}

#[test]
fn who_may_answer() {
    let line = || lines::line("a = pass:done ask=pass not=submitter");
    let ticket = |by: Option<&str>| Ticket {
        by: by.map(Into::into),
        ..Ticket::default()
    };
    let submitted = |by| {
        let taking = Taking {
            ticket: ticket(by),
            ..Taking::plain("input", payload("input"))
        };
        World::with(line(), taking)
    };
    run(
        submitted(Some("ann")),
        ":start->held at a: Ship it?
         :=pass by ann->`ann` submitted or edited item `ITEM`, and the line lets somebody else answer
         :=pass by bob->done with a result",
    );
    run(
        submitted(None),
        ":start->held at a: Ship it?
         :=pass->nobody knows who submitted item `ITEM`, and the line lets only somebody else answer
         :cancel->scrapped",
    );
    // who may not answer may not go on without an answer either, and an answer is for one question only
    let line = || lines::line("a = pass:done ask=pass within=100 not=submitter");
    let mut world = World::with(
        line(),
        Taking {
            ticket: ticket(Some("ann")),
            ..Taking::plain("input", payload("input"))
        },
    );
    let id = world.root.clone();
    let mut asks = Vec::new();
    for time in [100, 200] {
        play(&mut world, &id, "start").unwrap();
        asks.push(world.item(&id).asks());
        play(&mut world, &id, &format!("@{time}")).unwrap();
        assert_eq!(world.tell(&id), "jammed at a: nobody answered in time");
        let refused = play(&mut world, &id, "+skip pass").unwrap_err();
        assert!(matches!(refused, Refused::Submitter { .. }), "{refused}");
        play(&mut world, &id, "+retry").unwrap();
    }
    assert_ne!(asks[0], asks[1]);
    // who edits has a part in it, as who submitted what is run again
    let line = || lines::line("a = pass:b\nb = pass:done ask=pass not=submitter");
    let run_again = |ticket: Ticket| {
        let id = ItemId::input(b"0123456789abcdef", "line", "before");
        let taking = Taking {
            ticket: ticket.again(id, "bob".into()),
            ..Taking::plain("input", payload("input"))
        };
        World::with(line(), taking)
    };
    let to_the_hold = ":!reject->jammed at a: rejected: not mine
         :+edit new->ready a 1/1
         :pass->ready b 1/1
         :start->held at b: Ship it?";
    let refused = |who: &str| {
        format!(
            ":=pass by {who}->`{who}` submitted or edited item `ITEM`, and the line lets somebody else answer"
        )
    };
    let (ann, bob, eve) = (refused("ann"), refused("bob"), refused("eve"));
    run(
        run_again(ticket(Some("eve"))),
        &format!("{to_the_hold}\n{ann}\n{bob}\n{eve}\n:=pass by dan->done with a result"),
    );
    run(
        run_again(ticket(None)),
        &format!(
            "{to_the_hold}\n{bob}\n:=pass by dan->nobody knows who submitted item `ITEM`, and the line lets only somebody else answer"
        ),
    );
    let twice = ticket(None).again(
        ItemId::input(b"0123456789abcdef", "line", "1"),
        "eve".into(),
    );
    run(
        run_again(twice),
        &format!(
            ":pass->ready b 1/1\n:start->held at b: Ship it?\n{eve}\n:=pass by dan->nobody knows who submitted item `ITEM`, and the line lets only somebody else answer"
        ),
    );
    // through a split and its join as well
    let line = "a = pass:b other:j\nb = pass:j\nj = pass:done join=a ask=pass not=submitter";
    let taking = Taking {
        ticket: ticket(Some("bob")),
        ..Taking::plain("input", payload("input"))
    };
    run(
        World::with(lines::line(line), taking),
        &format!(
            ":pass other->split 1
             1:!reject->jammed at b: rejected: not mine
             1:+edit new->ready b 1/1
             1:pass->joined
             :start->held at j: Ship it? x2
             {ann}
             :=pass by dan->done x2"
        ),
    );
    // an answer is for what was looked at, and nothing in it is without end
    let mut world = submitted(Some("ann"));
    let id = world.root.clone();
    play(&mut world, &id, "start").unwrap();
    let Phase::Held { hold, .. } = &world.item(&id).phase else {
        panic!("it is held")
    };
    let seen = hold.payload;
    let mut answer = |by: &str, why: &str, text: &str, payload| {
        let given = Given {
            choice: "pass".into(),
            text: text.into(),
            payload: Some(payload),
        };
        let event = Event::Answered {
            by: by.into(),
            why: why.into(),
            given,
        };
        world.event(&id, event).map_err(|refused| {
            let text = refused.to_string();
            text.lines().next().unwrap().replace(id.as_str(), "ITEM")
        })
    };
    let long = "x".repeat(5000);
    let other = crate::digest::Digest::of("other");
    for (by, why, text, payload, says) in [
        (
            "",
            "",
            "",
            seen,
            "`by` has 0 bytes, and 1 to 128 are allowed",
        ),
        (
            &*long,
            "",
            "",
            seen,
            "`by` has 5000 bytes, and 1 to 128 are allowed",
        ),
        (
            "bob",
            &*long,
            "",
            seen,
            "`why` has 5000 bytes, and 0 to 4096 are allowed",
        ),
        (
            "bob",
            "",
            &*long,
            seen,
            "`text` has 5000 bytes, and 0 to 4096 are allowed",
        ),
        (
            "bob",
            "",
            "",
            other,
            "item `ITEM` has changed since the answer was given",
        ),
    ] {
        assert_eq!(answer(by, why, text, payload), Err(says.into()));
    }
    assert_eq!(answer("bob", "", "", seen), Ok(2));
}

#[test]
fn a_deadline_goes_by() {
    let line =
        "deadline 100\na = pass:b attempts=9\nb = ship:done ask=ship within=30 otherwise=ship";
    check(
        line,
        ":@99->ready a 1/1
         :pass->ready b 1/1
         :@100->ready b 1/1
         :start->jammed at b: its deadline went by
         :+retry->ready b 1/1
         :start->held at b: Ship it?
         :@130->done with a result",
    );
    // a hold ends with it, whatever the line would take otherwise
    check(
        line,
        ":@80->ready a 1/1
         :pass->ready b 1/1
         :start->held at b: Ship it?
         :@99->held at b: Ship it?
         :@110->jammed at b: its deadline went by
         :+skip ship->done with a result",
    );
    // and no wait for another attempt goes past it
    let mut world = World::new(line);
    let id = world.root.clone();
    play(&mut world, &id, "!retry").unwrap();
    assert_eq!(world.item(&id).due(), Some(100));
    world.now = 250;
    let late = play(&mut world, &id, "start");
    assert_eq!(
        (late, world.tell(&id)),
        (Ok(()), "jammed at a: its deadline went by".into())
    );
    // what was submitted with an earlier one keeps that
    for (own, due) in [(None, 100), (Some(7), 7), (Some(700), 100)] {
        let ticket = Ticket {
            deadline: own,
            ..Ticket::default()
        };
        let taking = Taking {
            ticket,
            ..Taking::plain("input", payload("input"))
        };
        let world = World::with(lines::line(line), taking);
        assert_eq!(world.item(&world.root).ticket.deadline, Some(due));
    }
}

#[test]
fn items_that_are_cancelled() {
    let line = "a = pass:b\nb = pass:j\nj = pass:done join=a";
    check(
        line,
        ":cancel->scrapped\n:cancel->item `ITEM` has ended: it is scrapped",
    );
    check(
        line,
        ":pass->ready b 1/1\n:start->working b 1/1\n:cancel->scrapped",
    );
    // its children are for whoever cancels; what they still bring is taken in and dropped
    check(
        line,
        ":pass pass->split 1,2
         1:pass->joined
         :cancel->scrapped
         2:pass->joined
         :?->scrapped",
    );
    // one of several that a join waits for
    check(
        line,
        ":pass pass->split 1,2
         1:pass->joined
         2:cancel->scrapped
         :?->ready j 1/1",
    );
    check(
        "a = pass:done ask=pass attempts=1\nb = pass:done",
        ":start->held at a: Ship it?\n:cancel->scrapped",
    );
    // it gives back what it did not use, and no more when its own children end after it
    let budget = |world: &World, path: &str| world.item(&world.id(path)).budget.unwrap().left;
    let mut world = World::new("a = pass:a children=20");
    let play = |world: &mut World, path: &str, what: &str| {
        let id = world.id(path);
        play(world, &id, what).unwrap();
        world.deliver_all();
    };
    play(&mut world, "", "pass pass");
    play(&mut world, "1", "pass pass");
    let before = budget(&world, "");
    let own = budget(&world, "1");
    play(&mut world, "1", "cancel");
    assert_eq!(budget(&world, ""), before + own);
    play(&mut world, "1.1", "-");
    assert_eq!(budget(&world, ""), before + own);
}

#[test]
fn a_retool_sends_items_elsewhere() {
    let line = "a = pass:b\nb = pass:done ask=pass visits=1\nc = pass:done";
    check(
        line,
        ":to c->ready c 1/1\n:to zzz->the line `line` has no station `zzz` to send item `ITEM` to",
    );
    check(
        line,
        ":to nowhere->jammed at a: the line has no station `a` any more
         :to nowhere->item `ITEM` cannot be sent to another station: it is jammed
         :to c->ready c 1/1
         :start->working c 1/1
         :to a->item `ITEM` cannot be sent to another station: it is working",
    );
    check(
        line,
        ":pass->ready b 1/1\n:start->held at b: Ship it?\n:to nowhere->jammed at b: the line has no station `b` any more\n:to c->ready c 1/1",
    );
    check(
        line,
        ":pass->ready b 1/1\n:start->held at b: Ship it?\n:to c->ready c 1/1\n:pass->done with a result",
    );
    // a join that goes by another name: what left before it is taken in all the same
    let mut world = World::new("a = pass:b\nb = pass:j\nj = pass:done join=a after=100");
    let root = world.root.clone();
    play(&mut world, &root, "pass pass pass").unwrap();
    world.deliver_all();
    let (one, two, three) = (world.id("1"), world.id("2"), world.id("3"));
    play(&mut world, &one, "pass").unwrap();
    world.deliver_all();
    play(&mut world, &two, "pass").unwrap();
    world.line = lines::line("a = pass:b\nb = pass:k\nk = pass:done join=a");
    world
        .event(
            &root,
            Event::Relocated {
                to: Some(name("k")),
            },
        )
        .unwrap();
    world.deliver_all();
    play(&mut world, &three, "pass").unwrap();
    world.deliver_all();
    assert_eq!(world.tell(&root), "ready k 1/1 x3");
    // children without a join have no station to be sent to
    check(
        "a = pass:b\nb = pass:done",
        ":pass pass->split 1,2\n:to b->item `ITEM` cannot be sent to another station: it is split",
    );
    // run again from a station that the line does not have
    let taking = Taking {
        from: Some(name("gone")),
        ..Taking::plain("input", payload("input"))
    };
    run(
        World::with(lines::line(line), taking),
        ":?->jammed at gone: the line has no station `gone` any more
         :+retry->item `ITEM` is at the station `gone`, which the line `line` does not have
         :to a->ready a 1/1",
    );
}

#[test]
fn only_a_jam_that_tells_of_it_accepts_what_was_left_open() {
    let unknown = || Event::Reported(report(Outcome::UnknownOutcome("POST".into())));
    for (unknown, accepted) in [(None, 0), (Some(unknown()), 1)] {
        let line = lines::line("a = pass:done");
        let mut world = World::with(line, Taking::plain("input", payload("input")));
        let id = world.root.clone();
        match unknown {
            Some(unknown) => {
                play(&mut world, &id, "start").unwrap();
                world.event(&id, unknown).unwrap();
            }
            None => {
                for _ in 0..3 {
                    play(&mut world, &id, "crash").unwrap();
                }
            }
        }
        assert_eq!(world.item(&id).kind(), PhaseKind::Jammed);
        play(&mut world, &id, "+retry").unwrap();
        let Phase::Ready { course, .. } = &world.item(&id).phase else {
            panic!("it waits")
        };
        assert_eq!(course.accepted, accepted);
    }
}
