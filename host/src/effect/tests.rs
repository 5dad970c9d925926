use super::*;
use crate::visit::Run;
use proptest::prelude::*;

fn run(number: u32, first: u32, accepted: u32) -> Run {
    Run {
        number,
        first,
        accepted,
        recorded: 0,
    }
}

/// `POST a`, `GET b`; marks behind it are flags of its grant: `!` idempotent, `~` resample. `connect x` is
/// a connection.
fn asked(call: &str) -> Asked {
    let text = call.trim_end_matches(['!', '~']);
    let connects = text.starts_with("connect");
    Asked {
        kind: match connects {
            true => EffectKind::Tcp,
            false => EffectKind::Http,
        },
        safe: text.starts_with("GET"),
        digest: Digest::of(text),
        what: text.into(),
        rule: "*".into(),
        idempotent: call.contains('!'),
        resample: call.contains('~'),
    }
}

/// An effect of a run: `1 POST a = done`; without an end it never ended. `#2` names its occurrence.
fn effect(text: &str) -> Effect {
    let (head, end) = match text.split_once(" = ") {
        Some((head, end)) => (head, Some(end)),
        None => (text, None),
    };
    let (run, call) = head.split_once(' ').unwrap();
    let (call, occurrence) = call.split_once(" #").unwrap_or((call, "1"));
    let asked = asked(call);
    let end = end.map(|end| End {
        at: 5,
        ended: match end {
            "done" => Ended::Done,
            "refused" | "failed" => Ended::Refused,
            "unknown" => Ended::Unknown,
            other => panic!("{other}"),
        },
        bytes_out: 1,
        bytes_in: 1,
        answer: matches!(end, "done" | "refused").then(|| Answered::whole(5, 200, Bytes::new())),
        failure: matches!(end, "failed" | "unknown").then_some(Failure::Broken),
    });
    Effect {
        run: run.parse().unwrap(),
        number: 1,
        at: 4,
        intent: Intent {
            kind: asked.kind,
            safe: asked.safe,
            digest: asked.digest,
            occurrence: occurrence.parse().unwrap(),
            what: asked.what,
            rule: asked.rule,
            idempotent: asked.idempotent,
            resample: asked.resample,
        },
        end,
    }
}

/// What becomes of calls, one after the other: `a call => answer of a run`, or `issue`, and how it then
/// ends.
#[track_caller]
fn check(run: Run, past: &[&str], calls: &[(&str, &str)]) {
    let mut ledger = Ledger::new(run, past.iter().map(|text| effect(text)).collect());
    for (call, expected) in calls {
        let decision = ledger.ask(asked(call));
        let (said, then) = match expected.split_once(", ") {
            Some((said, then)) => (said, Some(then)),
            None => (*expected, None),
        };
        let word = match &decision {
            Decision::Answer(effect) => format!("answer of {}", effect.run),
            Decision::Issue(slip) => format!("issue #{}", slip.intent.occurrence),
            Decision::Diverged(_) => "diverged".into(),
            Decision::Unknown(_) => "unknown".into(),
        };
        assert_eq!(word, said, "{call} in {run:?} after {past:?}: {decision:?}");
        if let (Decision::Issue(slip), Some(then)) = (&decision, then) {
            let ended = effect(&format!("9 {call} = {then}")).end.unwrap().ended;
            ledger.ended(&slip.intent, ended);
        }
    }
}

#[test]
fn the_first_run_issues_everything() {
    let calls = [
        ("GET a", "issue #1, done"),
        ("GET a", "issue #2, done"),
        ("POST b", "issue #1, done"),
        ("POST b", "issue #2"),
        ("POST b", "issue #3"),
        ("connect c", "issue #1, unknown"),
        ("connect c", "issue #2"),
    ];
    check(run(1, 1, 0), &[], &calls);
    // What was refused, or broke off, is the same call again; a second try at what broke off is none.
    check(
        run(1, 1, 0),
        &[],
        &[
            ("POST a", "issue #1, refused"),
            ("POST a", "issue #1, done"),
            ("POST a", "issue #2, unknown"),
            ("POST a", "unknown"),
            ("POST b!", "issue #1, unknown"),
            ("POST b!", "issue #1, done"),
        ],
    );
}

#[test]
fn the_same_attempt_gets_all_that_ended() {
    let past = [
        "1 GET a = done",
        "1 POST b = refused",
        "1 POST b = done",
        "1 GET a #2 = failed",
        "1 POST c~ = done",
    ];
    check(
        run(2, 1, 0),
        &past,
        &[
            ("GET a", "answer of 1"),
            ("POST b", "answer of 1"),
            ("POST b", "answer of 1"),
            ("GET a", "answer of 1"),
            ("POST c~", "answer of 1"),
            ("POST d", "issue #1, done"),
        ],
    );
    // Only what never ended leaves, and only where that does no harm.
    check(run(2, 1, 0), &["1 POST a"], &[("POST a", "unknown")]);
    check(run(2, 1, 0), &["1 POST a!"], &[("POST a!", "issue #1")]);
    check(run(2, 1, 0), &["1 connect a"], &[("connect a", "unknown")]);
    check(run(2, 1, 1), &["1 POST a"], &[("POST a", "issue #1")]);
}

#[test]
fn a_later_attempt_repeats_nothing_that_was_done() {
    let past = ["1 GET a = done", "1 POST b = done", "1 POST c = refused"];
    check(
        run(2, 2, 0),
        &past,
        &[
            ("GET a", "issue #1, done"),
            ("POST b", "answer of 1"),
            ("POST c", "issue #1, done"),
            ("POST b", "issue #2"),
        ],
    );
    check(
        run(3, 3, 2),
        &["1 POST a = done", "2 POST b = unknown"],
        &[
            ("POST a", "answer of 1"),
            ("POST b", "issue #1"),
            ("POST c", "issue #1"),
        ],
    );
    check(
        run(2, 2, 0),
        &["1 POST a~ = done"],
        &[("POST a~", "issue #1"), ("POST b", "issue #1")],
    );
    check(
        run(3, 3, 0),
        &["1 POST a = refused", "2 POST a = done"],
        &[("POST a", "answer of 2")],
    );
}

#[test]
fn what_is_not_known_ends_the_visit() {
    for past in ["1 POST a", "1 POST a = unknown"] {
        check(run(2, 2, 0), &[past], &[("POST a", "unknown")]);
        // The line says now that it may be done twice.
        check(run(2, 2, 0), &[past], &[("POST a!", "issue #1")]);
        // A person has looked at it.
        check(run(2, 2, 1), &[past], &[("POST a", "issue #1")]);
        // Something else instead would leave it behind.
        check(run(2, 2, 0), &[past], &[("POST b", "diverged")]);
    }
    let past = ["1 connect a = unknown"];
    check(run(2, 2, 0), &past, &[("connect a", "unknown")]);
    check(run(2, 2, 0), &past, &[("connect a!", "issue #1")]);
    let past = ["1 connect a = failed"];
    check(run(2, 2, 0), &past, &[("connect a", "issue #1")]);
}

#[test]
fn another_way_than_before_ends_the_visit() {
    let past = ["1 POST a = done"];
    check(run(2, 2, 0), &past, &[("POST b", "diverged")]);
    check(run(2, 1, 0), &past, &[("POST b", "diverged")]);
    check(run(2, 2, 0), &past, &[("connect b", "diverged")]);
    check(
        run(2, 2, 0),
        &past,
        &[
            ("GET b", "issue #1"),
            ("POST a", "answer of 1"),
            ("POST b", "issue #1"),
        ],
    );
    // A person accepted what was left open by then.
    check(run(2, 2, 1), &past, &[("POST b", "issue #1")]);
    // It sees the same twice where it did it once.
    check(
        run(2, 2, 0),
        &["1 POST a = done", "1 POST b = done"],
        &[("POST a", "answer of 1"), ("POST a", "diverged")],
    );
}

#[test]
fn a_request_is_the_same_whatever_differs_each_time() {
    let digest = |method: &str, url: &str, headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(k, v)| (*k, v.as_bytes()));
        request_digest(method, url, headers, &Digest::of(body))
    };
    let plain = digest("POST", "http://a/", &[("a", "1"), ("b", "2")], "x");
    let same = [
        vec![("b", "2"), ("a", "1")],
        vec![
            ("b", "2"),
            ("date", "today"),
            ("a", "1"),
            ("traceparent", "00-1"),
        ],
        vec![
            ("b", "2"),
            ("x-b3-traceid", "1"),
            ("a", "1"),
            ("idempotency-key", "k"),
        ],
    ];
    for headers in same {
        assert_eq!(
            digest("POST", "http://a/", &headers, "x"),
            plain,
            "{headers:?}"
        );
    }
    let headers = [("a", "1"), ("b", "2")];
    let others = [
        digest("PUT", "http://a/", &headers, "x"),
        digest("POST", "http://a/?", &headers, "x"),
        digest("POST", "http://a/", &headers, "y"),
        digest("POST", "http://a/", &[("a", "12"), ("b", "")], "x"),
        digest("POST", "http://a/", &[("a", "2"), ("a", "1")], "x"),
        digest("POST", "http://a/", &[("a", "1"), ("a", "2")], "x"),
    ];
    let all: std::collections::BTreeSet<_> = others.iter().chain([&plain]).collect();
    assert_eq!(all.len(), 7);
}

#[test]
fn a_key_is_that_of_one_call_of_one_visit_of_one_factory() {
    let visit = |key: &str, station: &str, nth| VisitKey {
        item: ItemId::input(&[0; 16], "l", key),
        station: station.parse().unwrap(),
        nth,
    };
    let key = |factory: u8, visit: &VisitKey, call: &str, occurrence| {
        idempotency_key(&[factory; 16], visit, &Digest::of(call), occurrence)
    };
    let one = visit("a", "s", 1);
    assert_eq!(key(0, &one, "x", 1), key(0, &one, "x", 1));
    let all = [
        key(0, &one, "x", 1),
        key(1, &one, "x", 1),
        key(0, &one, "y", 1),
        key(0, &one, "x", 2),
        key(0, &visit("a", "s", 2), "x", 1),
        key(0, &visit("a", "t", 1), "x", 1),
        key(0, &visit("b", "s", 1), "x", 1),
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}

/// What the world does with a call.
#[derive(Debug, Clone, Copy)]
enum Luck {
    /// All is well.
    Well,
    /// The server does nothing.
    Refuses,
    /// The server does it, or not, and the connection breaks.
    Breaks(bool),
    /// The host ends: before the intent is kept, after it with the call made or not, after the end.
    Dies(u8),
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        4 => Just(Luck::Well),
        1 => Just(Luck::Refuses),
        1 => any::<bool>().prop_map(Luck::Breaks),
        1 => (0u8..4).prop_map(Luck::Dies),
    ]
}

/// How a run of the program ended.
#[derive(Debug, PartialEq)]
enum Over {
    Passed,
    Stopped,
    Died,
    Jammed(Decision),
}

/// Calls one after the other, each made again once where it was refused; stops at what fails.
fn execute(
    ledger: &mut Ledger,
    run: u32,
    program: &[String],
    luck: &mut impl Iterator<Item = Luck>,
    log: &mut Vec<Effect>,
    done: &mut Vec<String>,
) -> Over {
    for call in program {
        let mut tries = 0;
        loop {
            let end = match ledger.ask(asked(call)) {
                Decision::Answer(effect) => effect.end.unwrap().ended,
                Decision::Issue(slip) => {
                    let luck = luck.next().unwrap_or(Luck::Well);
                    if matches!(luck, Luck::Dies(0)) {
                        return Over::Died;
                    }
                    let mut effect = effect(&format!("{run} {call} #{}", slip.intent.occurrence));
                    effect.number = slip.number;
                    let acts = matches!(luck, Luck::Well | Luck::Breaks(true) | Luck::Dies(2 | 3));
                    if acts && !effect.intent.safe {
                        done.push(call.clone());
                    }
                    let ended = match luck {
                        Luck::Dies(1 | 2) => {
                            if !effect.intent.safe {
                                log.push(effect);
                            }
                            return Over::Died;
                        }
                        Luck::Refuses => "refused",
                        Luck::Breaks(_) => "unknown",
                        Luck::Well | Luck::Dies(_) => "done",
                    };
                    let text = format!("{run} {call} = {ended}");
                    effect.end = self::effect(&text).end;
                    let ended = effect.end.as_ref().unwrap().ended;
                    ledger.ended(&effect.intent, ended);
                    log.push(effect);
                    if matches!(luck, Luck::Dies(_)) {
                        return Over::Died;
                    }
                    ended
                }
                jam => return Over::Jammed(jam),
            };
            match end {
                Ended::Done => break,
                Ended::Refused if tries == 0 => tries += 1,
                Ended::Refused | Ended::Unknown => return Over::Stopped,
            }
        }
    }
    Over::Passed
}

proptest! {
    /// Whatever the world does: a program that does the same each time does nothing unsafe twice, never
    /// diverges, and where it is stopped for good, nobody can know whether something was done.
    #[test]
    fn nothing_unsafe_is_done_twice(
        program in prop::collection::vec(prop::sample::select(vec![
            "GET a", "POST a", "POST b", "POST c", "PUT a",
        ]), 1..8),
        luck in prop::collection::vec(luck(), 0..24),
    ) {
        let program: Vec<String> = program.into_iter().map(Into::into).collect();
        let mut luck = luck.into_iter();
        let (mut log, mut done) = (Vec::new(), Vec::new());
        let (mut number, mut first) = (0, 1);
        loop {
            number += 1;
            let mut ledger = Ledger::new(run(number, first, 0), log.clone());
            let over = execute(&mut ledger, number, &program, &mut luck, &mut log, &mut done);
            match over {
                Over::Passed => {
                    let unsafe_ones: Vec<_> =
                        program.iter().filter(|call| !call.starts_with("GET")).cloned().collect();
                    prop_assert_eq!(&done, &unsafe_ones);
                    prop_assert_eq!(ledger.left_out(), None);
                    break;
                }
                Over::Jammed(Decision::Unknown(_)) => {
                    let open = log.iter().any(|effect| !effect.intent.safe && effect.open());
                    prop_assert!(open);
                    break;
                }
                Over::Jammed(other) => prop_assert!(false, "{other:?} after {log:?}"),
                Over::Stopped => first = number + 1,
                Over::Died => {}
            }
            for call in &program {
                let asked = program.iter().filter(|other| *other == call).count();
                prop_assert!(done.iter().filter(|other| *other == call).count() <= asked);
            }
        }
    }
}
