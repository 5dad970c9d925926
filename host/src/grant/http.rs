//! Grants for calls over HTTP.
//!
//! ```text
//! rule    = methods " " url
//! methods = "*" | METHOD { "," METHOD }
//! url     = ("http" | "https") "://" host [ ":" port ] path
//! host    = name | "*." name | address
//! path    = { "/" segment }        segment = "**" | text with "*"
//! ```
//!
//! `*` stands for any text within a segment, also for none; `**` stands for one or more whole
//! segments. Every query is admitted.

use super::{
    path::PathPattern,
    target::{BadTarget, HostPattern, Scheme, Target},
};
use crate::problem::shown;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

/// The longest rule, in bytes.
const LONGEST: usize = 2 << 10;

/// Which methods a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Methods {
    /// All.
    Any,
    /// These, in upper case.
    Some(BTreeSet<String>),
}

impl Methods {
    /// Whether it is for this one.
    pub fn admits(&self, method: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Some(methods) => methods.contains(method),
        }
    }

    /// Whether it is for all that `other` is for.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Some(mine), Self::Some(theirs)) => mine.is_superset(theirs),
            (Self::Some(_), Self::Any) => false,
        }
    }

    /// Whether some method is one of both.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Some(mine), Self::Some(theirs)) => !mine.is_disjoint(theirs),
            _ => true,
        }
    }
}

/// Which calls a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpRule {
    /// The methods.
    pub methods: Methods,
    /// With TLS or without.
    pub scheme: Scheme,
    /// The hosts.
    pub host: HostPattern,
    /// The port.
    pub port: u16,
    path: PathPattern,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadRule {
    #[error("it does not begin with methods")]
    NoMethods,
    #[error("`{0}` is no method: upper case, such as `GET`, is, or `*` for all")]
    Method(String),
    #[error("CONNECT is never granted")]
    Connect,
    #[error("it has no `http://` or `https://`")]
    NoScheme,
    #[error("{0}")]
    Host(BadTarget),
    #[error("`{0}` is no port")]
    Port(String),
    #[error("it is longer than 2 KiB")]
    Long,
    #[error("it has no path: `/**` stands for all")]
    NoPath,
    #[error("a rule has no query and no fragment: every query of a path that fits is admitted")]
    Query,
    #[error("`**` stands for whole segments only")]
    Stars,
    #[error(
        "its path is not one that a URL could have; percent-encode it as `%20`, without `.`, `..`, and encoded slashes and dots"
    )]
    Path,
}

impl HttpRule {
    /// Reads a rule whose methods may be left out: then it is for all.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_any_method(text: &str) -> Result<Self, BadRule> {
        if text.trim_start().starts_with("http") {
            format!("* {}", text.trim_start()).parse()
        } else {
            text.parse()
        }
    }

    /// The same for one method only.
    pub fn of_method(&self, method: &str) -> Self {
        Self {
            methods: Methods::Some([method.to_string()].into()),
            ..self.clone()
        }
    }

    /// Whether a call is one of these.
    pub fn admits(&self, method: &str, target: &Target) -> bool {
        self.admits_known(method, target, target.ambiguous())
    }

    /// The same where it is known already whether the target is ambiguous.
    pub(super) fn admits_known(&self, method: &str, target: &Target, ambiguous: bool) -> bool {
        self.port == target.port
            && self.scheme == target.scheme
            && self.host.admits(&target.host)
            && self.methods.admits(method)
            && (self.path.is_all() || !ambiguous && self.path.admits(&target.path))
    }

    /// Whether every call that `other` is for is one of these. Where it cannot tell, it says no.
    pub fn covers(&self, other: &Self) -> bool {
        self.methods.covers(&other.methods)
            && self.scheme == other.scheme
            && self.port == other.port
            && self.host.covers(&other.host)
            && self.path.covers(&other.path)
    }

    /// Whether some call may be one of these and one of `other` too.
    pub fn meets(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.port == other.port
            && self.host.meets(&other.host)
            && self.methods.meets(&other.methods)
            && self.path.meets(&other.path)
    }

    /// The narrowest rule that is for this call: a `*` in its path stands for any text, since no rule can
    /// say otherwise, and an ambiguous path is one of all.
    pub fn just(method: &str, target: &Target) -> Self {
        Self {
            methods: Methods::Some([method.to_string()].into()),
            scheme: target.scheme,
            host: HostPattern::Exact(target.host.clone()),
            port: target.port,
            path: PathPattern::just(target),
        }
    }
}

impl FromStr for HttpRule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        if text.len() > LONGEST {
            return Err(BadRule::Long);
        }
        let (methods, url) = text.trim().split_once(' ').ok_or(BadRule::NoMethods)?;
        let methods = match methods {
            "*" => Methods::Any,
            list => Methods::Some(list.split(',').map(method).collect::<Result<_, _>>()?),
        };
        let url = url.trim_start();
        let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return Err(BadRule::NoScheme);
        };
        if rest.contains(['?', '#']) {
            return Err(BadRule::Query);
        }
        let slash = rest.find('/').ok_or(BadRule::NoPath)?;
        let (authority, path) = rest.split_at(slash);
        let (host, port) = split_port(authority);
        let port = match port {
            None => scheme.port(),
            Some(text) => port_of(text).ok_or_else(|| BadRule::Port(shown(text)))?,
        };
        Ok(Self {
            methods,
            scheme,
            host: host.parse().map_err(BadRule::Host)?,
            port,
            path: PathPattern::parse(path)?,
        })
    }
}

fn method(text: &str) -> Result<String, BadRule> {
    let text = text.trim();
    if text == "CONNECT" {
        return Err(BadRule::Connect);
    }
    let fits = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'));
    if fits {
        Ok(text.into())
    } else {
        Err(BadRule::Method(shown(text)))
    }
}

/// Host and port of `host:port`; the colons of `[::1]` are the host's own.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A port as it is written: a number from 1, without zeros before it.
pub(super) fn port_of(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port > 0 && port.to_string() == text).then_some(port)
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.methods {
            Methods::Any => f.write_str("*")?,
            Methods::Some(methods) => {
                let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
                f.write_str(&methods.join(","))?;
            }
        }
        write!(f, " {}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}", self.path)
    }
}

impl Serialize for HttpRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HttpRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Calls over HTTP that a station may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpGrant {
    /// Which.
    pub rule: HttpRule,
    /// Whether the host's name may lead to private addresses.
    #[serde(default)]
    pub private: bool,
    /// Whether a call may be made again of which it is not known whether it was received.
    #[serde(default)]
    pub idempotent: bool,
    /// Whether a new attempt of a visit calls anew instead of getting the earlier answer.
    #[serde(default)]
    pub resample: bool,
    /// The longest answer, in bytes, unpacked.
    pub max_response: u64,
    /// From the call to the end of its answer.
    pub timeout: Duration,
}

impl HttpGrant {
    /// Default of `max_response`: 8 MiB.
    pub const MAX_RESPONSE: u64 = 8 << 20;
    /// Default of `timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// A grant with all defaults.
    pub fn new(rule: HttpRule) -> Self {
        Self {
            rule,
            private: false,
            idempotent: false,
            resample: false,
            max_response: Self::MAX_RESPONSE,
            timeout: Self::TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> HttpRule {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn rules_and_the_calls_they_are_for() {
        let cases: &[(&str, &str, bool)] = &[
            (
                "GET https://a.example/v1/**",
                "GET https://a.example/v1/x/y?q",
                true,
            ),
            (
                "GET https://a.example/v1/**",
                "GET https://a.example/v1/",
                true,
            ),
            (
                "GET https://a.example/v1/**",
                "GET https://a.example/v1",
                false,
            ),
            (
                "GET https://a.example/v1/**",
                "GET https://a.example/v1/../v2",
                false,
            ),
            (
                "GET https://a.example/v1/**",
                "GET https://a.example/v1/%2e%2e/v2",
                false,
            ),
            (
                "GET https://a.example/v1/**",
                "GET https://a.example/v1/..%2fv2",
                false,
            ),
            (
                "GET https://a.example/**",
                "GET https://a.example/a%2fb",
                true,
            ),
            (
                "GET https://a.example/v1/**",
                "POST https://a.example/v1/x",
                false,
            ),
            (
                "GET https://a.example/v1/**",
                "GET http://a.example/v1/x",
                false,
            ),
            (
                "GET https://a.example/v1/**",
                "GET https://a.example:8443/v1/x",
                false,
            ),
            (
                "GET,HEAD https://*.example/x",
                "HEAD https://a.b.example/x",
                true,
            ),
            ("GET https://*.example/x", "GET https://example/x", false),
            ("* http://127.0.0.1:80/*", "PATCH http://0x7f000001/x", true),
            ("* http://127.0.0.1/*", "GET http://127.0.0.1/x/y", false),
            (
                "GET https://a/r/*/i-*.json",
                "GET https://a/r/q/i-7.json",
                true,
            ),
            (
                "GET https://a/r/*/i-*.json",
                "GET https://a/r/q/i-7.xml",
                false,
            ),
            ("GET https://a/**/end", "GET https://a/x/y/end", true),
            ("GET https://a/**/end", "GET https://a/end", false),
            ("GET https://a/", "GET https://a", true),
        ];
        for (pattern, call, admitted) in cases {
            let (method, url) = call.split_once(' ').expect("two");
            let target = Target::parse(url).expect(url);
            assert_eq!(
                rule(pattern).admits(method, &target),
                *admitted,
                "{pattern} {call}"
            );
            if *admitted && !target.ambiguous() {
                assert!(rule(pattern).covers(&HttpRule::just(method, &target)));
            }
        }
    }

    #[test]
    fn rules_cover_rules() {
        let cases = [
            ("* https://a/**", "GET,POST https://a/v1/*", true),
            ("GET https://a/**", "* https://a/x", false),
            ("GET https://*.a/**", "GET https://b.a/**/x", true),
            ("GET https://a/*", "GET https://a/**", false),
            ("GET https://a/**/x", "GET https://a/**", false),
            ("GET https://a/**", "GET https://a/**/x", true),
            ("GET https://a/a*", "GET https://a/*b", false),
            ("GET https://a/a*", "GET https://a/ab*", true),
        ];
        for (mine, theirs, covered) in cases {
            assert_eq!(rule(mine).covers(&rule(theirs)), covered, "{mine} {theirs}");
        }
    }

    #[test]
    fn bad_rules_say_why() {
        let cases = [
            ("https://a/", BadRule::NoMethods),
            ("get https://a/", BadRule::Method("get".into())),
            ("CONNECT https://a/", BadRule::Connect),
            ("GET a/", BadRule::NoScheme),
            ("GET https://a", BadRule::NoPath),
            ("GET https://a/?x", BadRule::Query),
            ("GET https://a/x**", BadRule::Stars),
            ("GET https://a/../x", BadRule::Path),
            ("GET https://a:0/", BadRule::Port("0".into())),
            ("GET https://*/x", BadRule::Host(BadTarget::Host)),
            ("GET https://u@a/x", BadRule::Host(BadTarget::Host)),
        ];
        for (text, problem) in cases {
            assert_eq!(text.parse::<HttpRule>(), Err(problem), "{text}");
        }
    }
}
