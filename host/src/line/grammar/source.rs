//! The grammar of `sources`, `sinks` and `notify`.

use super::{Key, Kind, Table, line::YEAR};
use std::time::Duration;

const TEXT_LABELS: Kind = Kind::Map {
    key: "labels",
    pattern: "^[a-z0-9._-]{1,64}$",
    value: &Kind::Text,
};
const SECRET: Key = Key::new(
    "secret",
    Kind::Text,
    "The secret that each call is signed with, by its name: 1 to 64 of `A-Z0-9_`.",
);
const PRIVATE: Key = Key::new(
    "private",
    Kind::Flag,
    "Whether the server may stand in a private network; then also `http://`. Default false.",
);

/// `sources.<name>`.
pub(super) static SOURCE: Table = Table {
    what: "a source",
    keys: &[
        Key::new(
            "folder",
            Kind::Text,
            "A folder that is watched: each file that is put into it becomes an item; relative to this file.",
        ),
        Key::new(
            "done",
            Kind::Text,
            "Where a file goes that was taken; without it, it is removed. Relative to this file.",
        ),
        Key::new(
            "pattern",
            Kind::Text,
            "Which names of files are taken: `*` stands for any text, `?` for any character. Default: all that do not begin with a dot.",
        ),
        Key::new(
            "settle",
            Kind::Time(Duration::ZERO, Duration::from_secs(60 * 60)),
            "For how long a file has to be unchanged before it is taken. Default \"2s\".",
        ),
        Key::new(
            "cron",
            Kind::Text,
            "When an item is submitted: minute, hour, day, month, day of the week; seconds may stand before them.",
        ),
        Key::new(
            "zone",
            Kind::Text,
            "The time zone of `cron`, such as \"Europe/Berlin\". Default \"UTC\".",
        ),
        Key::new(
            "missed",
            Kind::OneOf(&["last", "all", "skip"]),
            "What happens to runs whose time went by while andon did not run: the `last` is made up for (the default), `all` are, or none (`skip`).",
        ),
        Key::new(
            "overlap",
            Kind::OneOf(&["skip", "queue"]),
            "What happens while the run before is not through: the new one is left out (`skip`, the default) or submitted all the same (`queue`).",
        ),
        Key::new(
            "payload",
            Kind::Text,
            "What a run submits. Default: nothing.",
        ),
        Key::new(
            "type",
            Kind::Text,
            "The media type of `payload`. Default \"text/plain\".",
        ),
        Key::new("labels", TEXT_LABELS, "The labels of the source's items."),
        Key::new(
            "priority",
            Kind::OneOf(&["high", "normal", "low"]),
            "How urgent its items are. Default \"normal\".",
        ),
        Key::new(
            "deadline",
            Kind::Time(Duration::from_millis(1), YEAR),
            "How long an item has to be through, from when it is taken. Default: for ever.",
        ),
    ],
    later: &[],
};

/// `sinks.<name>`.
pub(super) static SINK: Table = Table {
    what: "a sink",
    keys: &[
        Key::new(
            "folder",
            Kind::Text,
            "A folder that gets each result as a file; relative to this file.",
        ),
        Key::new(
            "webhook",
            Kind::Text,
            "A URL that gets each result as a POST: `https://…`.",
        ),
        SECRET,
        PRIVATE,
        Key::new(
            "within",
            Kind::Time(Duration::from_secs(1), YEAR),
            "For how long a result is tried to be delivered. Default \"24h\".",
        ),
    ],
    later: &[],
};

/// `notify`.
pub(super) static NOTIFY: Table = Table {
    what: "whom to notify",
    keys: &[
        Key::new(
            "jam",
            TOLD,
            "Who is told that items jammed: a URL, or `{ command = [\"…\"] }`.",
        ),
        Key::new(
            "hold",
            TOLD,
            "Who is told that items wait for an answer: the same.",
        ),
    ],
    later: &[],
};

const TOLD: Kind = Kind::Either(&[Kind::Text, Kind::Table(&RECEIVER)]);

/// `notify.jam` and `notify.hold`.
static RECEIVER: Table = Table {
    what: "who is notified",
    keys: &[
        Key::new(
            "webhook",
            Kind::Text,
            "A URL that gets a POST: `https://…`.",
        ),
        SECRET,
        PRIVATE,
        Key::new(
            "command",
            Kind::List(&Kind::Text),
            "A program on this host and its arguments; it gets JSON on its standard input.",
        ),
    ],
    later: &[],
};
