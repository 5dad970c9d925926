//! The messages between the host and a runner process. Plain data that borrows from the buffer it was
//! read from; what a runner says is checked in [`super::check`] before it becomes a noun.

use crate::{digest::Digest, item, limits::Limit, sandbox::way::Refusal, visit};
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// A visit, numbered by the host: never twice, whichever runner it goes to.
pub(super) type Number = u64;
/// A call of a runner's that waits for its answer.
pub(super) type Call = u64;
/// A digest's bytes.
pub(super) type Hash = [u8; 32];

/// What the host tells a runner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order<'a> {
    /// The first message: all that the runner is to know.
    #[serde(borrow)]
    Start(Start<'a>),
    /// Comes with a file: the code of the next component.
    Code,
    /// Begin a visit.
    #[serde(borrow)]
    Visit(Visit<'a>),
    /// Nobody waits for the visit any more.
    Cancel(Number),
    /// The answer to a call.
    Answer {
        /// Which.
        call: Call,
        /// What is so.
        #[serde(borrow)]
        answer: Answer<'a>,
    },
    /// Something of a stream.
    Stream {
        /// Which: the call that it belongs to.
        stream: Call,
        /// What.
        #[serde(borrow)]
        news: News<'a>,
    },
}

/// What one end of a stream tells the other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum News<'a> {
    /// The next bytes.
    Data(#[serde(borrow)] &'a Bytes),
    /// There are no more.
    End,
    /// There are no more, though there should be.
    Broken(Refusal),
    /// So many more bytes may be sent.
    Credit(u32),
    /// Nobody reads any more, for this reason where the visit is to hear of one.
    Close(Option<Refusal>),
}

/// What a runner asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer<'a> {
    /// The host could not do it.
    Failed(&'a str),
    /// The workspace is there.
    Entered {
        /// Its folder.
        #[serde(borrow)]
        workspace: &'a Bytes,
        /// Those of a join's inputs.
        #[serde(borrow)]
        joined: Vec<Option<&'a Bytes>>,
        /// What it holds, where that is known: bytes and entries.
        held: Option<(u64, u64)>,
    },
    /// What the visit made of its workspace is kept.
    Left,
    /// The station put there what cannot be kept.
    Unkept(&'a str),
    /// The bytes are kept.
    Kept(Hash),
    /// Comes with a file.
    Opened,
    /// The head of an answer.
    Sent {
        /// When it came, where that is kept.
        came: Option<visit::Millis>,
        /// The status.
        status: u16,
        /// Names and values.
        #[serde(borrow)]
        headers: Vec<(&'a str, &'a Bytes)>,
    },
    /// The addresses of a name.
    Found(Vec<IpAddr>),
    /// There is a connection.
    Connected,
    /// A call on the network came to nothing.
    Refused(Refusal),
}

/// What a runner tells the host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word<'a> {
    /// The answer to [`Order::Start`]: it is confined and its stations are ready.
    #[serde(borrow)]
    Ready(Ready<'a>),
    /// The other answer: it cannot run these stations.
    Unready {
        /// The station that is wrong; none where the process itself is.
        station: Option<u32>,
        /// Why.
        reason: &'a str,
    },
    /// A visit ended.
    Report {
        /// Which.
        visit: Number,
        /// How.
        #[serde(borrow)]
        report: Report<'a>,
    },
    /// A cancelled visit is gone.
    Gone(Number),
    /// How far a visit has come.
    Progress {
        /// Which.
        visit: Number,
        /// Steps done.
        done: u64,
        /// Of so many.
        total: u64,
        /// What the station says of it.
        note: &'a str,
    },
    /// Asks for something.
    Call {
        /// Names the answer.
        call: Call,
        /// What for.
        #[serde(borrow)]
        wish: Wish<'a>,
    },
    /// Something of a stream.
    Stream {
        /// Which: the call that it belongs to.
        stream: Call,
        /// What.
        #[serde(borrow)]
        news: News<'a>,
    },
    /// The visit leaves its way out: bodies that end from now on were not ended by the guest.
    Leave(Number),
}

/// What a runner asks the host for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Wish<'a> {
    /// The visit's workspace.
    Enter(Number),
    /// That what the visit made of its workspace is kept.
    Leave(Number),
    /// A part of bytes that are to be kept. One call's parts come one after the other with no other
    /// call's between them, and the last is answered.
    Put {
        /// The part.
        #[serde(borrow)]
        part: &'a Bytes,
        /// Whether it is the last one.
        last: bool,
    },
    /// The file of a large body.
    Open(Hash),
    /// To send a request, whose body is the stream of this call; that of the answer flows back on it.
    Send {
        /// For which visit.
        visit: Number,
        /// The method.
        method: &'a str,
        /// The whole address.
        uri: &'a str,
        /// Names and values.
        #[serde(borrow)]
        headers: Vec<(&'a str, &'a Bytes)>,
        /// For the connection, the first byte, and between two bytes.
        patience: [Option<Duration>; 3],
    },
    /// The addresses of a name.
    LookUp {
        /// For which visit.
        visit: Number,
        /// The name.
        name: &'a str,
    },
    /// A connection, which is the stream of this call.
    Connect {
        /// For which visit.
        visit: Number,
        /// Where to.
        to: SocketAddr,
    },
}

/// What a runner works with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start<'a> {
    /// Visits at the same time.
    pub(super) visits: u32,
    /// The line's name.
    pub(super) line: &'a str,
    /// Its revision.
    pub(super) revision: u64,
    /// How many [`Order::Code`] follow.
    pub(super) codes: u32,
    /// The stations; visits name them by their position.
    #[serde(borrow)]
    pub(super) stations: Vec<Station<'a>>,
    /// The folder of the workspaces.
    #[serde(borrow)]
    pub(super) root: &'a Bytes,
    /// The folder for what is of no item.
    #[serde(borrow)]
    pub(super) scratch: &'a Bytes,
}

/// A station to be made ready.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Station<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// [`crate::line::Station`] as JSON: settings may be of any form.
    pub(super) definition: &'a str,
    /// Which of the codes is its component.
    pub(super) code: u32,
}

/// How a runner stands.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready<'a> {
    /// Visits that it has room for.
    pub(super) visits: u32,
    /// Each part of the wall around it, by [`super::confine::Wall::parts`].
    #[serde(borrow)]
    pub(super) wall: Vec<(&'a str, Result<&'a str, &'a str>)>,
}

/// An attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Visit<'a> {
    pub(super) number: Number,
    pub(super) station: u32,
    pub(super) item: &'a str,
    pub(super) nth: u32,
    pub(super) attempt: u32,
    pub(super) started: u64,
    pub(super) seed: Hash,
    #[serde(borrow)]
    pub(super) inputs: Vec<Payload<'a>>,
    pub(super) workspace: Option<Hash>,
    pub(super) joined: Vec<Option<Hash>>,
    pub(super) deadline: Option<u64>,
    pub(super) answers: Vec<visit::Answer>,
    pub(super) run: visit::Run,
}

/// A payload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payload<'a> {
    pub(super) content_type: &'a str,
    #[serde(borrow)]
    pub(super) body: Body<'a>,
    #[serde(borrow)]
    pub(super) labels: Vec<(&'a str, &'a str)>,
}

/// A payload's content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Body<'a> {
    Inline(#[serde(borrow)] &'a Bytes),
    Stored { digest: Hash, len: u64 },
    File(&'a str),
}

/// What came of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report<'a> {
    #[serde(borrow)]
    pub(super) outcome: Outcome<'a>,
    #[serde(borrow)]
    pub(super) log: Vec<LogLine<'a>>,
    pub(super) usage: visit::Usage,
    /// File calls that were denied, and how many more.
    #[serde(borrow)]
    pub(super) denied: Vec<(&'a str, &'a str)>,
    pub(super) denied_more: u64,
}

/// How an attempt ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome<'a> {
    #[serde(borrow)]
    Passed(Vec<Output<'a>>),
    Retry {
        reason: &'a str,
        after: Option<Duration>,
    },
    Rejected(&'a str),
    Trapped(&'a str),
    Overrun(Limit),
    Violation {
        what: &'a str,
        why: &'a str,
        hint: &'a str,
    },
    Invalid(&'a str),
    Asked(visit::Question),
    Diverged(&'a str),
    Unknown(&'a str),
}

/// A payload on a port.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Output<'a> {
    pub(super) port: &'a str,
    #[serde(borrow)]
    pub(super) payload: Payload<'a>,
}

/// One line of an item's log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LogLine<'a> {
    pub(super) level: &'a str,
    pub(super) message: &'a str,
    #[serde(borrow)]
    pub(super) fields: Vec<(&'a str, &'a str)>,
}

impl<'a> From<&'a item::Payload> for Payload<'a> {
    fn from(payload: &'a item::Payload) -> Self {
        Self {
            content_type: &payload.content_type,
            body: match &payload.body {
                item::Body::Inline(bytes) => Body::Inline(Bytes::new(bytes)),
                item::Body::Stored { digest, len } => Body::Stored {
                    digest: *digest.as_bytes(),
                    len: *len,
                },
                item::Body::File(path) => Body::File(path),
            },
            labels: payload.labels.iter().collect(),
        }
    }
}

impl<'a> Visit<'a> {
    pub(super) fn of(number: Number, station: u32, visit: &'a visit::Visit) -> Self {
        let hash = |digest: &Option<Digest>| digest.map(|digest| *digest.as_bytes());
        Self {
            number,
            station,
            item: visit.item.as_str(),
            nth: visit.nth,
            attempt: visit.attempt,
            started: visit.started,
            seed: visit.seed,
            inputs: visit.inputs.iter().map(Payload::from).collect(),
            workspace: hash(&visit.workspace),
            joined: visit.joined.iter().map(hash).collect(),
            deadline: visit.deadline,
            answers: visit.answers.clone(),
            run: visit.run,
        }
    }
}

impl<'a> From<&'a visit::Report> for Report<'a> {
    fn from(report: &'a visit::Report) -> Self {
        use visit::Outcome as Of;
        Self {
            outcome: match &report.outcome {
                Of::Passed(outputs) => Outcome::Passed(
                    outputs
                        .iter()
                        .map(|output| Output {
                            port: &output.port,
                            payload: Payload::from(&output.payload),
                        })
                        .collect(),
                ),
                Of::Retry { reason, after } => Outcome::Retry {
                    reason,
                    after: *after,
                },
                Of::Rejected(reason) => Outcome::Rejected(reason),
                Of::Trapped(reason) => Outcome::Trapped(reason),
                Of::Overrun { limit, .. } => Outcome::Overrun(*limit),
                Of::Violation(violation) => Outcome::Violation {
                    what: &violation.what,
                    why: &violation.why,
                    hint: &violation.hint,
                },
                Of::Invalid(what) => Outcome::Invalid(what),
                // Only the host recalls, and not through a process.
                Of::Recalled(reason) => Outcome::Retry {
                    reason,
                    after: None,
                },
                Of::Asked(question) => Outcome::Asked(question.clone()),
                Of::Diverged(what) => Outcome::Diverged(what),
                Of::UnknownOutcome(what) => Outcome::Unknown(what),
            },
            log: report
                .log
                .iter()
                .map(|line| LogLine {
                    level: &line.level,
                    message: &line.message,
                    fields: line
                        .fields
                        .iter()
                        .map(|(k, v)| (k.as_str(), v.as_str()))
                        .collect(),
                })
                .collect(),
            usage: report.usage,
            denied: report
                .denied
                .iter()
                .map(|denied| (denied.what.as_str(), denied.why.as_str()))
                .collect(),
            denied_more: report.denied_more,
        }
    }
}
