//! A station of `tests/stations/` that no test runs does not compile: the list of the stations comes
//! from `host/build.rs`, and each has to be an attack in `hostile.rs` or to stand here.

use crate::{ground::root, hostile::ATTACKS};
use andon::{
    grant::Grants,
    limits::{Limit, Limits},
};

/// Stations that are no attacks, or whose attack has a test of its own, with the file that runs them.
const TESTED: &[(&str, &str)] = &[
    ("acts", "tests/it/effects.rs"),
    ("answers", "tests/it/kinds/handler.rs"),
    ("asks-again", "tests/it/holds.rs"),
    ("does", "tests/it/kinds/typed.rs"),
    ("flaky", "tests/it/run.rs"),
    ("joins", "tests/it/run.rs"),
    ("keeps-files", "tests/it/crash.rs"),
    ("lingers", "tests/it/bad_input/operate.rs"),
    ("rejects", "tests/it/run.rs"),
    ("splits", "tests/it/run.rs"),
    ("stamp", "tests/it/run.rs"),
    ("misleads", "tests/it/misleading.rs"),
    ("dials", "tests/it/sockets.rs"),
    ("dials-waiting", "tests/it/sockets.rs"),
    ("touches", "tests/it/files.rs"),
    ("touches-async", "tests/it/files.rs"),
    ("calls", "tests/it/egress.rs"),
    ("calls-waiting", "tests/it/egress/guests.rs"),
    ("tells", "tests/it/kinds/command.rs"),
    ("ten-files", "host/benches/line/main.rs"),
    ("waits", "tests/it/kinds/waiting.rs"),
    ("waits-handler", "tests/it/kinds/waiting.rs"),
    ("waits-program", "tests/it/kinds/waiting.rs"),
];

const fn is_tested(station: &str) -> bool {
    let mut n = 0;
    while n < ATTACKS.len() {
        if same(ATTACKS[n].station, station) {
            return true;
        }
        n += 1;
    }
    let mut n = 0;
    while n < TESTED.len() {
        if same(TESTED[n].0, station) {
            return true;
        }
        n += 1;
    }
    false
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut n = 0;
    while n < one.len() && n < other.len() && one[n] == other[n] {
        n += 1;
    }
    n == one.len() && n == other.len()
}

include!(concat!(env!("OUT_DIR"), "/stations.rs"));

#[test]
fn the_tests_named_here_are_there() {
    for (station, file) in TESTED {
        let text = std::fs::read_to_string(root().join(file)).expect(file);
        let named = [format!("@{station}"), format!("\"{station}\"")];
        assert!(
            named.iter().any(|name| text.contains(name)),
            "{file} does not run `{station}`"
        );
    }
    let named = TESTED.iter().map(|(station, _)| station);
    for station in named.chain(ATTACKS.iter().map(|attack| &attack.station)) {
        assert!(
            STATIONS.contains(station),
            "tests/stations/{station} is not there"
        );
    }
}

/// `host/LIMITS.md` has a row for each limit, with its default, and for each grant; the stations that it
/// names are there.
#[test]
fn the_page_of_limits_is_complete() {
    let text = std::fs::read_to_string(root().join("host/LIMITS.md")).expect("the page");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let limits = Limits::default();
    for limit in Limit::ALL {
        let (key, default) = (format!("`{}`", limit.key()), limits.written(*limit));
        let row = rows.iter().find(|row| row[0] == key && row[1] == default);
        assert!(
            row.and_then(|row| row.last())
                .is_some_and(|who| who.contains('`')),
            "LIMITS.md has no row for {key} with its default {default} and a station that tries it"
        );
    }
    let grants = serde_json::to_value(Grants::default()).expect("it is data");
    for grant in grants.as_object().expect("a table").keys() {
        let key = format!("`{grant}`");
        let row = rows.iter().find(|row| row[0] == key);
        assert!(
            row.and_then(|row| row.last())
                .is_some_and(|who| who.contains('`')),
            "LIMITS.md has no row for the grant {key} with a station that tries it"
        );
    }
    let tries = rows.iter().filter_map(|row| row.last());
    for station in tries.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        assert!(
            STATIONS.contains(&station),
            "LIMITS.md names tests/stations/{station}, which is not there"
        );
    }
}
