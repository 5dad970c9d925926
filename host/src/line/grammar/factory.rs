//! The grammar of `andon.toml`.

use super::{Key, Kind, Table};

/// The whole file.
pub(crate) static FACTORY: Table = Table {
    what: "a factory",
    keys: &[Key::new(
        "vars",
        Kind::Map {
            key: "variables",
            pattern: "^[A-Za-z0-9_-]{1,64}$",
            value: &Kind::Text,
        },
        "Values for the `vars` of the factory's lines.",
    )],
    later: &[
        ("ceiling", "what the operator allows at most"),
        ("secrets", "secrets"),
        ("people", "people and what they may decide"),
        ("store", "other stores than SQLite"),
        ("notify", "who is told of jams"),
        ("runners", "runners in processes of their own"),
        ("catalogue", "where stations come from"),
    ],
};
