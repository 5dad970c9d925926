//! Stations that do harm: each fails alone and for the stated reason, other items of the same line get
//! through, and memory, threads and file handles of the host come back.

mod components;
mod hall;
mod output;

use hall::{Figures, Hall, alone};

/// Something that a station tries.
pub(crate) struct Attack {
    /// In `tests/stations/`.
    pub(crate) station: &'static str,
    /// More keys of its table in the line file; `SELF` is the station's own name on the line.
    settings: &'static str,
    /// What has to stand in the reason of the jam.
    reason: &'static str,
    /// As many items jam.
    jams: usize,
}

const fn attack(station: &'static str, settings: &'static str, reason: &'static str) -> Attack {
    Attack {
        station,
        settings,
        reason,
        jams: 1,
    }
}

impl Attack {
    const fn jams(mut self, number: usize) -> Self {
        self.jams = number;
        self
    }
}

const CPU: (&str, &str) = (
    "limits = { cpu = \"50ms\" }",
    "over the limit `cpu` of 50ms",
);
const WALL: (&str, &str) = (
    "limits = { wall = \"50ms\" }",
    "over the limit `wall` of 50ms",
);
const HANDLES: (&str, &str) = ("", "over the limit `handles` of 1024");

/// One line runs them all.
pub(crate) const ATTACKS: &[Attack] = &[
    // Time, in a loop or in host calls, as each kind of station.
    attack("loops", CPU.0, CPU.1),
    attack("spins.wat", CPU.0, CPU.1),
    attack("spins-async.wat", CPU.0, CPU.1),
    attack("spins-handler.wat", CPU.0, CPU.1),
    attack("storms.wat", CPU.0, CPU.1),
    attack("boasts", CPU.0, CPU.1),
    attack("sleeps", WALL.0, WALL.1),
    attack("parks.wat", WALL.0, WALL.1),
    attack("parks-async.wat", WALL.0, WALL.1),
    // The guest's own memory.
    attack("recurses.wat", "", "call stack exhausted"),
    attack(
        "eats-memory",
        "limits = { memory = \"16MiB\" }",
        "over the limit `memory` of 16MiB",
    ),
    attack(
        "grows-memories.wat",
        "limits = { memory = \"4MiB\" }",
        "over the limit `memory` of 4MiB",
    ),
    attack("grows-tables.wat", "", "over the limit `tables` of 100000"),
    attack(
        "many-instances.wat",
        "",
        "over the limit `instances` of 128",
    ),
    // The host's memory.
    attack("hoards-timers.wat", HANDLES.0, HANDLES.1),
    attack("hoards-resources.wat", HANDLES.0, HANDLES.1),
    attack("hoards-streams.wat", HANDLES.0, HANDLES.1),
    attack("hoards-tasks.wat", HANDLES.0, HANDLES.1),
    attack("polls-millions.wat", "", "over the limit `output` of 8MiB"),
    attack(
        "draws.wat",
        "",
        "asked for 18446744073709551615 random bytes at once",
    ),
    attack(
        "traps-in-realloc.wat",
        "",
        "wasm `unreachable` instruction executed",
    ),
    attack(
        "wild-realloc.wat",
        "",
        "realloc return: beyond end of memory",
    ),
    // What it writes.
    attack(
        "floods-log",
        "limits = { log = \"16KiB\" }",
        "over the limit `log` of 16KiB",
    ),
    attack(
        "floods-stdout",
        "limits = { log = \"16KiB\" }",
        "over the limit `log` of 16KiB",
    ),
    attack(
        "floods-output",
        "limits = { output = \"1MiB\" }",
        "over the limit `output` of 1MiB",
    ),
    attack("floods-labels", "", "over the limit `labels` of 64"),
    attack("floods-outputs", "", "over the limit `outputs` of 10000"),
    attack("shouts", "", "rejected: aaaa"),
    attack("traps", "", "every attempt failed"),
    attack("wrong-port", "", "nowhere"),
    attack(
        "asks",
        "config = { how = \"long\" }",
        "a question's prompt is 1 to 4096 bytes",
    ),
    attack(
        "falls-silent",
        "limits = { wall = \"1h\", heartbeat = \"100ms\" }",
        "over the limit `heartbeat` of 100ms",
    ),
    // What it makes of the line: a split bomb, and a rework loop that the line file does not bound.
    attack(
        "bombs",
        "visits = 10000\nlimits = { children = 50 }\nnext = \"SELF\"",
        "over the limit `children` of 50, of which 3 are left to this item",
    )
    .jams(10),
    attack(
        "pass-on",
        "visits = 10000\nlimits = { visits = 20 }\nnext = \"SELF\"",
        "over the limit `visits` of 20",
    ),
];

#[test]
fn each_attack_fails_alone_and_leaves_nothing() {
    alone(
        "hostile::each_attack_fails_alone_and_leaves_nothing",
        || {
            let hall = Hall::of(ATTACKS);
            let running = hall.run();
            // Once to have everything made that is kept.
            for attack in ATTACKS {
                running.fails(attack);
            }
            let before = Figures::now();
            for attack in ATTACKS {
                running.fails(attack);
                before.come_back(attack.station);
            }
        },
    );
}

/// Sixty-four visits that wait for ever hold no thread: other items of the line go on meanwhile.
#[test]
fn parked_stations_do_not_stop_the_line() {
    alone("hostile::parked_stations_do_not_stop_the_line", || {
        let parks = [
            attack("parks.wat", "workers = 64\nlimits = { wall = \"1h\" }", ""),
            attack(
                "parks-async.wat",
                "workers = 64\nlimits = { wall = \"1h\" }",
                "",
            ),
        ];
        let hall = Hall::of(&parks);
        drop(hall.run());
        let before = Figures::now();
        let running = hall.run();
        for attack in &parks {
            running.parks(attack, 64);
        }
        for _ in 0..10 {
            running.good();
        }
        drop(running);
        before.come_back("64 and 64 parked visits");
    });
}
