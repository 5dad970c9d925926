//! The grammar of `station.toml`, for editors; andon-build reads that file.

use super::{Key, Kind, NAME, Table};

const TYPES: Kind = Kind::List(&Kind::Text);
const SCHEMA: Kind = Kind::Either(&[
    Kind::Text,
    Kind::Map {
        key: "keywords of JSON Schema",
        pattern: "",
        value: &Kind::Any,
    },
]);

/// The whole file.
pub(crate) static MANIFEST: Table = Table {
    what: "a station's manifest",
    keys: &[
        Key::new("name", Kind::Name, "The station's name.").required(),
        Key::new("version", Kind::Text, "As semver has it: `1.2.3`.").required(),
        Key::new("description", Kind::Text, "One line for people.").required(),
        Key::new("build", Kind::Table(&BUILD), "How it is built."),
        Key::new("inputs", Kind::Table(&INPUTS), "What payloads it takes."),
        Key::new(
            "ports",
            Kind::Map {
                key: "ports",
                pattern: NAME,
                value: &Kind::Table(&PORT),
            },
            "The ports it may name.",
        ),
        Key::new(
            "requires",
            Kind::Table(&REQUIRES),
            "What it needs to be granted.",
        ),
        Key::new(
            "config",
            Kind::Map {
                key: "settings",
                pattern: "",
                value: &Kind::Table(&CONFIG),
            },
            "The configuration it knows.",
        ),
    ],
    later: &[],
};

static BUILD: Table = Table {
    what: "how to build",
    keys: &[Key::new(
        "language",
        Kind::OneOf(&["rust", "c"]),
        "The language, where the folder does not tell.",
    )],
    later: &[],
};

static INPUTS: Table = Table {
    what: "inputs",
    keys: &[
        Key::new(
            "types",
            TYPES,
            "Media types without parameters; `text/*` and `*/*` are allowed.",
        ),
        Key::new(
            "schema",
            SCHEMA,
            "A JSON Schema that a JSON body keeps, or the file that has it.",
        ),
    ],
    later: &[],
};

static PORT: Table = Table {
    what: "a port",
    keys: &[
        Key::new("description", Kind::Text, "What leaves here, for people."),
        Key::new(
            "types",
            TYPES,
            "Media types without parameters; `text/*` and `*/*` are allowed.",
        ),
        Key::new(
            "schema",
            SCHEMA,
            "A JSON Schema that a JSON body keeps, or the file that has it.",
        ),
    ],
    later: &[],
};

static REQUIRES: Table = Table {
    what: "what is required",
    keys: &[
        Key::new("fs", Kind::List(&Kind::Table(&FS)), "Folders."),
        Key::new("http", Kind::List(&Kind::Table(&HTTP)), "Addresses."),
        Key::new("tcp", Kind::List(&Kind::Table(&TCP)), "Connections."),
        Key::new("secrets", Kind::List(&Kind::Table(&SECRET)), "Secrets."),
    ],
    later: &[],
};

const WHY: Key = Key::new("why", Kind::Text, "Why, for the person who grants it.").required();

const OPTIONAL: Key = Key::new(
    "optional",
    Kind::Flag,
    "Whether the station also works without it.",
);

static FS: Table = Table {
    what: "a folder",
    keys: &[
        Key::new("guest", Kind::Text, "Where the station looks for it.").required(),
        Key::new(
            "access",
            Kind::OneOf(&["read", "write"]),
            "`read`, or `write` for reading and writing.",
        )
        .required(),
        WHY,
        OPTIONAL,
    ],
    later: &[],
};

static HTTP: Table = Table {
    what: "an address",
    keys: &[
        Key::new(
            "rule",
            Kind::Text,
            "Such as `GET https://api.example.com/v1/**`.",
        )
        .required(),
        WHY,
        OPTIONAL,
    ],
    later: &[],
};

static TCP: Table = Table {
    what: "a connection",
    keys: &[
        Key::new("to", Kind::Text, "Such as `db.internal:5432`.").required(),
        WHY,
        OPTIONAL,
    ],
    later: &[],
};

static SECRET: Table = Table {
    what: "a secret",
    keys: &[
        Key::new("name", Kind::Text, "1 to 64 of `A-Z0-9_`.").required(),
        WHY,
        OPTIONAL,
    ],
    later: &[],
};

static CONFIG: Table = Table {
    what: "a setting",
    keys: &[
        Key::new(
            "type",
            Kind::OneOf(&["string", "number", "integer", "boolean", "json"]),
            "What its values are.",
        )
        .required(),
        Key::new("description", Kind::Text, "What it does, for people."),
        Key::new(
            "default",
            Kind::Any,
            "What the station takes where the line says nothing.",
        ),
        Key::new("required", Kind::Flag, "Whether a line has to set it."),
    ],
    later: &[],
};
