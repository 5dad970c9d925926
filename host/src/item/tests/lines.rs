//! Lines in a few words, and payloads and reports to go with them.

use crate::{
    item::{Body, Labels, Payload},
    line::{Ask, Join, Line, Missing, Retry, Rule, Station, Target},
    name::Name,
    visit::{Outcome, Output, Report},
};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn payload(body: &str) -> Payload {
    Payload {
        content_type: "text/plain".into(),
        body: Body::Inline(Bytes::copy_from_slice(body.as_bytes())),
        labels: Labels::default(),
    }
}

fn rule(text: &str) -> Rule {
    let (to, when) = match text.split_once('?') {
        Some((to, when)) => (to, when),
        None => (text, ""),
    };
    Rule {
        when: when
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        to: match to {
            "done" => Target::Done,
            "scrap" => Target::Scrap,
            station => Target::Station(name(station)),
        },
    }
}

/// A station from words: `pass:b?risk=high,done` is a port with its rules, `visits=2` a bound,
/// `join=a`, `after=100` and `missing=pass` make a join, `attempts=2` is its retry; `limit=9` is the
/// limit `visits`, `children=9` that of children. `ask=ship+rework` makes the line ask there; `within=90`,
/// `otherwise=rework` and `not=submitter` are how questions are held.
fn station(words: &str) -> Station {
    let mut station = Station {
        r#use: "x".into(),
        next: BTreeMap::new(),
        config: BTreeMap::new(),
        assets: vec![],
        args: vec![],
        env: BTreeMap::new(),
        exits: BTreeMap::new(),
        workers: Station::WORKERS,
        queue: Station::QUEUE,
        ask: None,
        hold: Default::default(),
        visits: None,
        join: None,
        retry: Retry::default(),
        limits: Default::default(),
        grants: Default::default(),
        rate: Default::default(),
        violation: Default::default(),
        clock: Default::default(),
    };
    for word in words.split_whitespace() {
        if let Some((port, rules)) = word.split_once(':') {
            station
                .next
                .insert(name(port), rules.split(',').map(rule).collect());
            continue;
        }
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "visits" => station.visits = Some(value.parse().unwrap()),
            "limit" => station.limits.visits = value.parse().unwrap(),
            "children" => station.limits.children = value.parse().unwrap(),
            "attempts" => station.retry.attempts = value.parse().unwrap(),
            "ask" => {
                station.ask = Some(Ask {
                    prompt: "Ship it?".into(),
                    choices: value.split('+').map(name).collect(),
                });
            }
            "within" => {
                let within = Duration::from_millis(value.parse().unwrap());
                station.hold.within = Some(within);
            }
            "otherwise" => station.hold.otherwise = Some(value.into()),
            "not" => station.hold.not_submitter = true,
            "join" => {
                station.join = Some(Join {
                    of: name(value),
                    after: None,
                    missing: Missing::Jam,
                });
            }
            "after" => {
                let after = Duration::from_millis(value.parse().unwrap());
                station.join.as_mut().unwrap().after = Some(after);
            }
            "missing" => station.join.as_mut().unwrap().missing = Missing::Pass,
            _ => panic!("`{word}`"),
        }
    }
    station
}

/// A line from `name = words` a line; the first is its entry. `deadline 90` is the line's.
pub(crate) fn line(text: &str) -> Line {
    let deadline = text.lines().find_map(|line| line.strip_prefix("deadline "));
    let stations: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, words)| (name(key.trim()), station(words)))
        .collect();
    Line {
        name: name("line"),
        entry: stations[0].0.clone(),
        worker: None,
        deadline: deadline.map(|ms| Duration::from_millis(ms.parse().unwrap())),
        stations: stations.into_iter().collect(),
        sources: BTreeMap::new(),
        sinks: BTreeMap::new(),
        notify: Default::default(),
    }
}

pub(crate) fn report(outcome: Outcome) -> Report {
    Report::of(outcome)
}

/// Outputs from words: `pass` or `pass?risk=high&old=`.
pub(crate) fn passed(words: &str) -> Report {
    let outputs = words.split_whitespace().map(|word| {
        let (port, labels) = word.split_once('?').unwrap_or((word, ""));
        let mut payload = payload(word);
        for (k, v) in labels.split('&').filter_map(|pair| pair.split_once('=')) {
            payload.labels.set(k, v).unwrap();
        }
        Output {
            port: name(port),
            payload,
        }
    });
    report(Outcome::Passed(outputs.collect()))
}
