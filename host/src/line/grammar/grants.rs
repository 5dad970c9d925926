//! The grammar of what is granted: by a station of a line, and by the ceiling of `andon.toml`.

use super::{
    Key, Kind, Table,
    line::{HOUR, LIMITS, MILLISECOND},
};

const MAX_RESPONSE: Kind = Kind::Size(1, 1 << 40);
const TIMEOUT: Kind = Kind::Time(MILLISECOND, HOUR);
const ACCESS: Kind = Kind::OneOf(&["read", "write"]);
const PRIVATE: Key = Key::new(
    "private",
    Kind::Flag,
    "Whether the host's name may lead to private addresses. Default false.",
);
const TO: Key = Key::new(
    "to",
    Kind::Text,
    "`host:port`; the host is a name, `*.` before a name, or an address.",
);

/// `grants`.
pub(super) static GRANTS: Table = Table {
    what: "grants",
    keys: &[
        Key::new(
            "fs",
            Kind::List(&Kind::Table(&MOUNT)),
            "Folders of the host's.",
        ),
        Key::new(
            "http",
            Kind::List(&Kind::Either(&[Kind::Text, Kind::Table(&HTTP)])),
            "Calls over HTTP: rules such as `GET,HEAD https://api.example.com/v1/**`. The first that is for a call decides.",
        ),
        Key::new(
            "tcp",
            Kind::List(&Kind::Either(&[Kind::Text, Kind::Table(&TCP)])),
            "Connections over TCP: `host:port`.",
        ),
        Key::new(
            "secrets",
            Kind::List(&Kind::Table(&SECRET)),
            "Secrets, each put into calls to one destination, outside of the guest.",
        ),
    ],
    later: &[("udp", "datagrams")],
};

/// One of `grants.fs`.
static MOUNT: Table = Table {
    what: "a granted folder",
    keys: &[
        Key::new(
            "host",
            Kind::Text,
            "The folder on the host; relative to this file.",
        )
        .required(),
        Key::new("guest", Kind::Text, "Where the guest sees it.").required(),
        Key::new(
            "access",
            ACCESS,
            "`read`, or `write` for reading and writing.",
        )
        .required(),
        Key::new(
            "quota",
            Kind::Size(1, 1 << 50),
            "How many bytes the files in it may have together before a visit may write no more. For writing only.",
        ),
        Key::new(
            "max-files",
            Kind::Count(1, 100_000_000),
            "How many files, folders and links there may be in it before a visit may make no more. For writing only.",
        ),
    ],
    later: &[],
};

/// One of `grants.http`.
static HTTP: Table = Table {
    what: "a granted call",
    keys: &[
        Key::new(
            "rule",
            Kind::Text,
            "Which calls: `GET,HEAD https://api.example.com/v1/**`.",
        )
        .required(),
        PRIVATE,
        Key::new(
            "idempotent",
            Kind::Flag,
            "Whether a call may be made again of which it is not known whether it was received. Default false.",
        ),
        Key::new(
            "resample",
            Kind::Flag,
            "Whether a new attempt calls anew instead of getting the earlier answer. Default false.",
        ),
        Key::new(
            "max-response",
            MAX_RESPONSE,
            "The longest answer, unpacked. Default \"8MiB\".",
        ),
        Key::new(
            "timeout",
            TIMEOUT,
            "From the call to the end of its answer. Default \"30s\".",
        ),
    ],
    later: &[],
};

/// One of `grants.tcp`.
static TCP: Table = Table {
    what: "a granted connection",
    keys: &[
        TO.required(),
        PRIVATE,
        Key::new(
            "idempotent",
            Kind::Flag,
            "Whether a visit that runs again may connect again where it sent something before. Default false.",
        ),
    ],
    later: &[],
};

/// One of `ceiling.grants.tcp`.
static CEILING_TCP: Table = Table {
    what: "a connection of the ceiling",
    keys: &[TO.required(), PRIVATE],
    later: &[],
};

/// One of `grants.secrets`.
static SECRET: Table = Table {
    what: "a granted secret",
    keys: &[
        Key::new("name", Kind::Text, "Its name: 1 to 64 of `A-Z0-9_`.").required(),
        Key::new(
            "header",
            Kind::Text,
            "The header that it is put into, in lower case.",
        ),
        Key::new(
            "prefix",
            Kind::Text,
            "What stands before it in the header. Default \"Bearer \" in `authorization`, nothing elsewhere.",
        ),
        Key::new(
            "query",
            Kind::Text,
            "The parameter of the query that it is put into, instead of a header.",
        ),
        Key::new(
            "for",
            Kind::Text,
            "Which calls it is put into: `https://api.example.com/v1/**`, with methods before it or for all.",
        )
        .required(),
    ],
    later: &[],
};

/// `ceiling` of a factory.
pub(super) static CEILING: Table = Table {
    what: "a ceiling",
    keys: &[
        Key::new(
            "limits",
            Kind::Table(&LIMITS),
            "The most that a line may set; its defaults are lowered to it. What is not named here is not bounded.",
        ),
        Key::new(
            "grants",
            Kind::Table(&CEILING_GRANTS),
            "The most that lines may grant. What is not named here is closed.",
        ),
        Key::new(
            "notify",
            Kind::Table(&CEILING_NOTIFY),
            "How lines may tell of jams and holds. What is not named here is closed.",
        ),
    ],
    later: &[],
};

/// `ceiling.notify`.
static CEILING_NOTIFY: Table = Table {
    what: "the ceiling's notices",
    keys: &[Key::new(
        "commands",
        Kind::Flag,
        "Whether `notify` of a line may name programs on this host. Default false.",
    )],
    later: &[],
};

/// `ceiling.grants`.
static CEILING_GRANTS: Table = Table {
    what: "the ceiling's grants",
    keys: &[
        Key::new(
            "fs",
            Kind::List(&Kind::Table(&CEILING_MOUNT)),
            "Folders of the host's that, or folders in which, lines may grant.",
        ),
        Key::new(
            "http",
            Kind::List(&Kind::Either(&[Kind::Text, Kind::Table(&CEILING_HTTP)])),
            "Calls over HTTP: rules such as `GET,HEAD https://api.example.com/v1/**`.",
        ),
        Key::new(
            "tcp",
            Kind::List(&Kind::Either(&[Kind::Text, Kind::Table(&CEILING_TCP)])),
            "Connections over TCP: `host:port`.",
        ),
        Key::new(
            "secrets",
            Kind::List(&Kind::Table(&CEILING_SECRET)),
            "Secrets, and the calls that they may be put into.",
        ),
    ],
    later: &[("udp", "datagrams")],
};

/// One of `ceiling.grants.fs`.
static CEILING_MOUNT: Table = Table {
    what: "a folder of the ceiling",
    keys: &[
        Key::new(
            "host",
            Kind::Text,
            "The folder on the host; relative to this file.",
        )
        .required(),
        Key::new(
            "access",
            ACCESS,
            "`read`, or `write` for reading and writing.",
        )
        .required(),
    ],
    later: &[],
};

/// One of `ceiling.grants.http`.
static CEILING_HTTP: Table = Table {
    what: "a call of the ceiling",
    keys: &[
        Key::new(
            "rule",
            Kind::Text,
            "Which calls: `GET,HEAD https://api.example.com/v1/**`.",
        )
        .required(),
        PRIVATE,
        Key::new(
            "max-response",
            MAX_RESPONSE,
            "The longest answer that a line may allow. Default: any.",
        ),
        Key::new(
            "timeout",
            TIMEOUT,
            "The longest time that a line may allow. Default: any.",
        ),
    ],
    later: &[],
};

/// One of `ceiling.grants.secrets`.
static CEILING_SECRET: Table = Table {
    what: "a secret of the ceiling",
    keys: &[
        Key::new("name", Kind::Text, "Its name: 1 to 64 of `A-Z0-9_`.").required(),
        Key::new(
            "for",
            Kind::Text,
            "Which calls it may be put into: `https://api.example.com/v1/**`, with methods before it or for all.",
        )
        .required(),
    ],
    later: &[],
};
