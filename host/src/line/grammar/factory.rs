//! The grammar of `andon.toml`.

use super::{Key, Kind, Table, grants::CEILING};
use std::time::Duration;

/// The whole file.
pub(crate) static FACTORY: Table = Table {
    what: "a factory",
    keys: &[
        Key::new(
            "vars",
            Kind::Map {
                key: "variables",
                pattern: "^[A-Za-z0-9_-]{1,64}$",
                value: &Kind::Text,
            },
            "Values for the `vars` of the factory's lines.",
        ),
        Key::new(
            "ceiling",
            Kind::Table(&CEILING),
            "What lines may grant at most; without it, anything.",
        ),
        Key::new(
            "network",
            Kind::Table(&NETWORK),
            "How stations reach the network.",
        ),
        Key::new(
            "retention",
            Kind::Table(&RETENTION),
            "How long what has ended is kept; without it, for ever.",
        ),
    ],
    later: &[
        ("secrets", "secrets"),
        ("people", "people and what they may decide"),
        ("store", "other stores than SQLite"),
        ("notify", "who is told of jams"),
        ("runners", "runners in processes of their own"),
        ("catalogue", "where stations come from"),
    ],
};

/// `network`.
static NETWORK: Table = Table {
    what: "the network",
    keys: &[Key::new(
        "resolvers",
        Kind::List(&Kind::Text),
        "Servers that are asked for addresses of names, as `address:port`, instead of the system's.",
    )],
    later: &[],
};

/// `retention`.
static RETENTION: Table = Table {
    what: "retention",
    keys: &[
        Key::new(
            "finished",
            KEPT,
            "How long after its end an input is kept, with all that was split from it.",
        ),
        Key::new(
            "most",
            Kind::Count(1, u32::MAX as u64),
            "How many ended inputs of each line are kept, the newest.",
        ),
        Key::new(
            "unfetched",
            KEPT,
            "How long a result is kept that nobody fetched and no sink has; without it, for ever.",
        ),
        Key::new(
            "known",
            KEPT,
            "How long an input that is gone is still known, so that it is not taken once more [365d].",
        ),
    ],
    later: &[],
};

/// From a second to a hundred years.
const KEPT: Kind = Kind::Time(Duration::from_secs(1), Duration::from_secs(3_155_760_000));
