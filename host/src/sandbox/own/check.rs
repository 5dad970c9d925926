//! What a runner says, held against what an honest one would say. The host believes nothing else: a
//! station may have taken the process over.

use super::{
    channel::bad,
    wire::{self, Hash},
};
use crate::{
    digest::Digest,
    item::Body,
    limits::Limits,
    sandbox::{
        answer::{Outputs, file_path, overrun},
        prepared::bounded,
        tape,
    },
    visit::{DeniedFile, LogLine, Outcome, Output, Report, Violation},
};
use bytes::Bytes;
use std::io;

/// The longest text of an outcome; an honest runner cuts it before.
const TEXT: usize = 16 << 10;

/// The report of a visit under these limits. `kept` says whether the runner has handed over the content
/// under a digest, of this length.
///
/// # Errors
/// When an honest runner would never have said it.
pub(super) fn report(
    said: wire::Report<'_>,
    limits: &Limits,
    mut kept: impl FnMut(&Digest, u64) -> bool,
) -> io::Result<Report> {
    let text = |text: &str| bounded(text, TEXT);
    let outcome = match said.outcome {
        wire::Outcome::Passed(said) => Outcome::Passed(outputs(said, limits, &mut kept)?),
        wire::Outcome::Retry { reason, after } => Outcome::Retry {
            reason: text(reason),
            after,
        },
        wire::Outcome::Rejected(reason) => Outcome::Rejected(text(reason)),
        wire::Outcome::Trapped(reason) => Outcome::Trapped(text(reason)),
        wire::Outcome::Overrun(limit) => overrun(limit, limits),
        wire::Outcome::Violation { what, why, hint } => Outcome::Violation(Violation {
            what: text(what),
            why: text(why),
            hint: text(hint),
        }),
        wire::Outcome::Invalid(what) => Outcome::Invalid(text(what)),
        wire::Outcome::Diverged(what) => Outcome::Diverged(text(what)),
        wire::Outcome::Unknown(what) => Outcome::UnknownOutcome(text(what)),
        wire::Outcome::Asked(question) => match question.checked() {
            Ok(question) => Outcome::Asked(question),
            Err(reason) => Outcome::Invalid(reason),
        },
    };
    Ok(Report {
        outcome,
        log: log(said.log, limits)?,
        usage: said.usage,
        workspace: None,
        blobs: Vec::new(),
        denied: denied(said.denied)?,
        denied_more: said.denied_more,
    })
}

fn denied(said: Vec<(&str, &str)>) -> io::Result<Vec<DeniedFile>> {
    // As many as a visit tells of, each as long as it tells.
    if said.len() > 32 || said.iter().any(|(what, why)| what.len() + why.len() > TEXT) {
        return Err(bad("more denied calls than a visit tells of".into()));
    }
    let denied = said.into_iter().map(|(what, why)| DeniedFile {
        what: what.into(),
        why: why.into(),
    });
    Ok(denied.collect())
}

fn outputs(
    said: Vec<wire::Output<'_>>,
    limits: &Limits,
    kept: &mut impl FnMut(&Digest, u64) -> bool,
) -> io::Result<Vec<Output>> {
    let mut outputs = Outputs::new(limits);
    for wire::Output { port, payload } in said {
        let len = match &payload.body {
            wire::Body::Inline(bytes) if bytes.len() <= Body::INLINE => bytes.len() as u64,
            wire::Body::Inline(_) => return Err(bad("a body that is too large to be sent".into())),
            wire::Body::Stored { len, .. } => *len,
            wire::Body::File(_) => 0,
        };
        let head = outputs
            .admit(port, payload.content_type, len, payload.labels)
            .map_err(|unfit| bad(unfit.to_string()))?;
        let body = match payload.body {
            wire::Body::Inline(bytes) => Body::Inline(Bytes::copy_from_slice(bytes)),
            wire::Body::Stored { digest, len } => stored(digest, len, kept)?,
            wire::Body::File(path) => {
                file_path(path).map_err(bad)?;
                Body::File(path.into())
            }
        };
        outputs.add(head, body);
    }
    Ok(outputs.all())
}

fn stored(digest: Hash, len: u64, kept: &mut impl FnMut(&Digest, u64) -> bool) -> io::Result<Body> {
    let digest = Digest::from_bytes(digest);
    if kept(&digest, len) {
        Ok(Body::Stored { digest, len })
    } else {
        Err(bad("a body that was never handed over".into()))
    }
}

fn log(said: Vec<wire::LogLine<'_>>, limits: &Limits) -> io::Result<Vec<LogLine>> {
    let mut bytes = 0;
    let mut log = Vec::with_capacity(said.len());
    for line in said {
        if !tape::LEVELS.contains(&line.level) {
            return Err(bad("a log line of no level".into()));
        }
        let line = LogLine {
            level: line.level.into(),
            message: line.message.into(),
            fields: (line.fields.into_iter())
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        };
        bytes += tape::cost(&line);
        if bytes > limits.log {
            return Err(bad("a log that is over its limit".into()));
        }
        log.push(line);
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Limit, visit::Usage};

    fn passed<'a>(port: &'a str, content_type: &'a str, body: wire::Body<'a>) -> wire::Outcome<'a> {
        wire::Outcome::Passed(vec![wire::Output {
            port,
            payload: wire::Payload {
                content_type,
                body,
                labels: Vec::new(),
            },
        }])
    }

    fn inline(bytes: &[u8]) -> wire::Body<'_> {
        wire::Body::Inline(serde_bytes::Bytes::new(bytes))
    }

    fn check(outcome: wire::Outcome<'_>, log: Vec<wire::LogLine<'_>>) -> io::Result<Report> {
        let usage = Usage::default();
        let said = wire::Report {
            outcome,
            log,
            usage,
            denied: Vec::new(),
            denied_more: 0,
        };
        let limits = Limits {
            output: 100 << 10,
            outputs: 1,
            log: 100,
            ..Limits::default()
        };
        report(said, &limits, |digest, len| {
            *digest == Digest::from_bytes([7; 32]) && len == 70_000
        })
    }

    #[test]
    fn what_an_honest_runner_says_is_taken() {
        let stored = wire::Body::Stored {
            digest: [7; 32],
            len: 70_000,
        };
        let good = [
            passed("pass", "text/plain", inline(b"well")),
            passed("pass", "text/plain", stored),
            passed("pass", "text/plain", wire::Body::File("a/b")),
            wire::Outcome::Overrun(Limit::Memory),
        ];
        for outcome in good {
            let said = format!("{outcome:?}");
            assert!(check(outcome, Vec::new()).is_ok(), "{said}");
        }
    }

    #[test]
    fn what_no_honest_runner_says_is_an_error() {
        let large = vec![0; Body::INLINE + 1];
        let stored = |digest, len| wire::Body::Stored { digest, len };
        let line = |level, message| wire::LogLine {
            level,
            message,
            fields: Vec::new(),
        };
        let long = "x".repeat(100);
        let fine = || passed("pass", "", inline(b""));
        let two = match (fine(), fine()) {
            (wire::Outcome::Passed(mut one), wire::Outcome::Passed(other)) => {
                one.extend(other);
                wire::Outcome::Passed(one)
            }
            _ => unreachable!("both passed"),
        };
        let bad = [
            (passed("reject", "", inline(b"")), Vec::new()),
            (passed("exhausted", "", inline(b"")), Vec::new()),
            (passed("No Port", "", inline(b"")), Vec::new()),
            (passed("pass", "text\n", inline(b"")), Vec::new()),
            (passed("pass", "", inline(&large)), Vec::new()),
            (passed("pass", "", stored([8; 32], 70_000)), Vec::new()),
            (passed("pass", "", stored([7; 32], 70_001)), Vec::new()),
            (passed("pass", "", wire::Body::File("../a")), Vec::new()),
            (
                passed("pass", "", wire::Body::File("/etc/passwd")),
                Vec::new(),
            ),
            (two, Vec::new()),
            (fine(), vec![line("shout", "x")]),
            (fine(), vec![line("info", &long)]),
        ];
        for (outcome, log) in bad {
            let said = format!("{outcome:?} {log:?}");
            assert!(check(outcome, log).is_err(), "{said}");
        }
    }
}
