//! The grammar of `andon.toml`.

use super::{Key, Kind, Table, grants::CEILING};

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
