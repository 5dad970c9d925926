//! The grammar of `line.toml`.

use super::{
    Key, Kind, NAME, Table,
    grants::GRANTS,
    source::{NOTIFY, SINK, SOURCE},
};
use std::time::Duration;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const WORKERS: Kind = Kind::Count(1, 1_024);
const QUEUE: Kind = Kind::Count(1, 1_000_000);
const NAME_MAP_OF_TEXT: Kind = Kind::Map {
    key: "variables",
    pattern: "^[A-Za-z0-9_-]{1,64}$",
    value: &Kind::Text,
};

/// The whole file.
pub(crate) static LINE: Table = Table {
    what: "a line",
    keys: &[
        Key::new("line", Kind::Name, "The line's name.").required(),
        Key::new("entry", Kind::Name, "The station that inputs come to.").required(),
        Key::new(
            "vars",
            NAME_MAP_OF_TEXT,
            "Texts that stand for `${name}` in `config`, `args`, `env`, the `host` of `assets`, and `grants`; \
             `andon.toml` may set others. `$$` is a `$`.",
        ),
        Key::new(
            "worker",
            Kind::OneOf(&["own", "shared"]),
            "Where visits run: in `own` processes behind a second wall, or in the host's, `shared` with it. For the \
             whole line, since its stations share the processes.",
        ),
        Key::new(
            "deadline",
            Kind::Time(MILLISECOND, YEAR),
            "Within what time each item has to be through; one that is not jams.",
        ),
        Key::new(
            "defaults",
            Kind::Table(&DEFAULTS),
            "What holds for every station that does not say otherwise.",
        ),
        Key::new(
            "stations",
            Kind::Map {
                key: "stations",
                pattern: NAME,
                value: &Kind::Table(&STATION),
            },
            "The stations, by their names.",
        )
        .required(),
        Key::new(
            "sources",
            Kind::Map {
                key: "sources",
                pattern: NAME,
                value: &Kind::Table(&SOURCE),
            },
            "Where items come from by themselves: folders and times.",
        ),
        Key::new(
            "sinks",
            Kind::Map {
                key: "sinks",
                pattern: NAME,
                value: &Kind::Table(&SINK),
            },
            "Where each result goes: folders and servers.",
        ),
        Key::new(
            "notify",
            Kind::Table(&NOTIFY),
            "Who is told when an item jams or waits for an answer.",
        ),
    ],
    later: &[("ramp", "a new revision for a share of the items")],
};

/// `defaults`.
static DEFAULTS: Table = Table {
    what: "defaults",
    keys: &[
        Key::new(
            "retry",
            Kind::Table(&RETRY),
            "What happens after a failed attempt.",
        ),
        Key::new("limits", Kind::Table(&LIMITS), "What a visit may use."),
        Key::new("workers", WORKERS, "Visits at the same time. Default 4."),
        Key::new(
            "queue",
            QUEUE,
            "Waiting items before upstream stops starting visits. Default 64.",
        ),
        RATES,
        ON_VIOLATION,
    ],
    later: &[("instance", "instances that are used again")],
};

const RATES: Key = Key::new(
    "rate",
    Kind::Table(&RATE),
    "How fast a station may use the network, all its visits together. What is faster waits.",
);
const CLOCK: Key = Key::new(
    "clock",
    Kind::OneOf(&["recorded", "real"]),
    "Which time a visit is shown: that of what was recorded last, which a replay shows again (`recorded`, the default), \
     or the host's own (`real`).",
);
const ON_VIOLATION: Key = Key::new(
    "violation",
    Kind::OneOf(&["jam", "deny"]),
    "What a call on the network leads to that was not granted: the item jams (`jam`, the default), or the guest gets \
     an error (`deny`).",
);

/// `rate`.
static RATE: Table = Table {
    what: "rates",
    keys: &[
        Key::new(
            "requests",
            Kind::Pace {
                bytes: false,
                most: 1_000_000,
            },
            "Requests over HTTP. Default \"50/s\".",
        ),
        Key::new(
            "connections",
            Kind::Pace {
                bytes: false,
                most: 1_000_000,
            },
            "Connections over TCP and look-ups of names. Default \"20/s\".",
        ),
        Key::new(
            "bytes",
            Kind::Pace {
                bytes: true,
                most: 1 << 40,
            },
            "Bytes, in and out together. Default \"16MiB/s\".",
        ),
    ],
    later: &[],
};

/// `stations.<name>`.
static STATION: Table = Table {
    what: "a station",
    keys: &[
        Key::new(
            "use",
            Kind::Text,
            "Where the component comes from: a station's folder, a `.wasm` or a `.wat` file; relative to this file.",
        )
        .required_unless("ask"),
        Key::new(
            "ask",
            Kind::Table(&ASK),
            "A question that the line asks a person here, instead of a component.",
        ),
        Key::new(
            "hold",
            Kind::Table(&HOLD),
            "How questions wait for their answer that the component asks.",
        ),
        Key::new(
            "next",
            NEXT,
            "Where its ports lead: a station, `done` or `scrap`; for each port where there are more than `pass`; or a \
             list of rules.",
        )
        .required(),
        Key::new(
            "config",
            Kind::Map {
                key: "settings",
                pattern: "^.{1,256}$",
                value: &Kind::Any,
            },
            "Settings for the guest; what is no text it reads as JSON.",
        ),
        Key::new(
            "assets",
            Kind::List(&Kind::Table(&ASSET)),
            "Files and folders that are copied into the revision and seen by the guest, for reading.",
        ),
        Key::new(
            "args",
            Kind::List(&Kind::Text),
            "Arguments of a command station.",
        ),
        Key::new(
            "env",
            Kind::Map {
                key: "variables of the environment",
                pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
                value: &Kind::Text,
            },
            "Environment of a command station; nothing else is in it.",
        ),
        Key::new(
            "exits",
            Kind::Map {
                key: "exit codes",
                pattern: "^[1-9][0-9]{0,2}$",
                value: &Kind::Name,
            },
            "Which exit code of a command station leaves by which port, beside 0 (`pass`) and 75 (retry).",
        ),
        Key::new("workers", WORKERS, "Visits at the same time. Default 4."),
        Key::new(
            "queue",
            QUEUE,
            "Waiting items before upstream stops starting visits. Default 64.",
        ),
        Key::new(
            "visits",
            Kind::Count(1, 10_000),
            "How often one item may come here; then it leaves by the port `exhausted`, or jams where that is not wired.",
        ),
        Key::new(
            "join",
            Kind::Table(&JOIN),
            "Waits for all that another station split an item into.",
        ),
        Key::new("retry", Kind::Table(&RETRY), "What happens after a failed attempt."),
        Key::new("limits", Kind::Table(&LIMITS), "What a visit may use."),
        Key::new("grants", Kind::Table(&GRANTS), "What a visit is given."),
        RATES,
        ON_VIOLATION,
        CLOCK,
    ],
    later: &[
        ("instance", "instances that are used again"),
    ],
};

static NEXT: Kind = Kind::Either(&[
    Kind::Name,
    RULES,
    Kind::Map {
        key: "ports",
        pattern: NAME,
        value: &Kind::Either(&[Kind::Name, RULES]),
    },
]);

const RULES: Kind = Kind::List(&Kind::Table(&RULE));

/// One of the rules of a port.
static RULE: Table = Table {
    what: "a rule",
    keys: &[
        Key::new(
            "when",
            Kind::Map {
                key: "labels",
                pattern: "^[a-z0-9._-]{1,64}$",
                value: &Kind::Text,
            },
            "Labels that the payload has to carry with just these values.",
        ),
        Key::new("to", Kind::Name, "A station, `done` or `scrap`.").required(),
    ],
    later: &[],
};

const WITHIN: Key = Key::new(
    "within",
    Kind::Time(MILLISECOND, YEAR),
    "How long an answer is waited for; without it for ever.",
);
const NOT: Key = Key::new(
    "not",
    Kind::OneOf(&["submitter"]),
    "Who may not answer: whoever submitted the item.",
);

/// `ask`.
static ASK: Table = Table {
    what: "a question",
    keys: &[
        Key::new("prompt", Kind::Text, "What is asked; at most 4 KiB.").required(),
        Key::new(
            "choices",
            Kind::List(&Kind::Name),
            "What may be chosen: ports of the station, at most 16.",
        )
        .required(),
        WITHIN,
        Key::new(
            "otherwise",
            Kind::Name,
            "The choice that is taken after `within`; without it the item jams.",
        ),
        NOT,
    ],
    later: &[],
};

/// `hold`.
static HOLD: Table = Table {
    what: "how questions are held",
    keys: &[
        WITHIN,
        Key::new(
            "otherwise",
            Kind::Text,
            "What is answered after `within`; without it the item jams.",
        ),
        NOT,
    ],
    later: &[],
};

/// `join`.
static JOIN: Table = Table {
    what: "a join",
    keys: &[
        Key::new("of", Kind::Name, "The station that splits.").required(),
        Key::new(
            "after",
            Kind::Time(MILLISECOND, YEAR),
            "How long to wait, from the split; without it for ever.",
        ),
        Key::new(
            "missing",
            Kind::OneOf(&["jam", "pass"]),
            "What happens then: `jam` (the default), or `pass` to go on with what has arrived.",
        ),
    ],
    later: &[],
};

/// `retry`.
static RETRY: Table = Table {
    what: "retries",
    keys: &[
        Key::new(
            "attempts",
            Kind::Count(1, 100),
            "Attempts of a visit, the first included. Default 3.",
        ),
        Key::new(
            "backoff",
            Kind::Backoff(MILLISECOND, DAY),
            "The wait after the first failed attempt, doubled after each, and the longest. Default \"200ms..60s\".",
        ),
    ],
    later: &[],
};

/// `limits`.
pub(super) static LIMITS: Table = Table {
    what: "limits",
    keys: &[
        Key::new(
            "wall",
            Kind::Time(MILLISECOND, WEEK),
            "Time from start to end, also while waiting. Default \"30s\".",
        ),
        Key::new(
            "heartbeat",
            Kind::Time(MILLISECOND, WEEK),
            "Time without a report of progress, of a station that reports it. Default: none.",
        ),
        Key::new(
            "cpu",
            Kind::Time(MILLISECOND, HOUR),
            "Processor time. Default \"5s\".",
        ),
        Key::new(
            "memory",
            Kind::Size(64 << 10, 4 << 30),
            "Linear memory. Default \"64MiB\".",
        ),
        Key::new(
            "tables",
            Kind::Count(1, 1_000_000),
            "Elements of all tables together. Default 100000.",
        ),
        Key::new(
            "instances",
            Kind::Count(1, 128),
            "Core instances of the component. Default 128.",
        ),
        Key::new(
            "handles",
            Kind::Count(16, 65_536),
            "Handles at one time: open files, streams, bodies, timers. Default 1024.",
        ),
        Key::new(
            "output",
            Kind::Size(1, 1 << 30),
            "Bodies, labels and media types of all outputs together. Default \"8MiB\".",
        ),
        Key::new(
            "outputs",
            Kind::Count(1, 1_000_000),
            "Number of outputs. Default 10000.",
        ),
        Key::new(
            "labels",
            Kind::Count(0, 64),
            "Labels of one output. Default 64.",
        ),
        Key::new(
            "log",
            Kind::Size(0, 1 << 30),
            "What is written to the log. Default \"64KiB\".",
        ),
        Key::new(
            "children",
            Kind::Count(1, 10_000_000),
            "Items that one input may be split into, children of children included. Default 100000.",
        ),
        Key::new(
            "visits",
            Kind::Count(1, 1_000_000),
            "Visits of one item, its ancestors' included, at all stations together. Default 1000.",
        ),
        Key::new(
            "requests",
            Kind::Count(0, 1_000_000),
            "Requests, connections and look-ups of names. Default 100.",
        ),
        Key::new(
            "sent",
            Kind::Size(0, 1 << 40),
            "Bytes sent over the network. Default \"8MiB\".",
        ),
        Key::new(
            "received",
            Kind::Size(0, 1 << 40),
            "Bytes received over the network. Default \"64MiB\".",
        ),
        Key::new(
            "disk",
            Kind::Size(0, 1 << 40),
            "Bytes of all files in the workspace. Default \"256MiB\".",
        ),
        Key::new(
            "files",
            Kind::Count(0, 100_000),
            "Files, folders and links in the workspace. Default 10000.",
        ),
    ],
    later: &[],
};

/// One of `assets`.
static ASSET: Table = Table {
    what: "an asset",
    keys: &[
        Key::new(
            "host",
            Kind::Text,
            "A file or folder on the host; relative to this file.",
        )
        .required(),
        Key::new("guest", Kind::Text, "Where the guest sees it.").required(),
    ],
    later: &[],
};
