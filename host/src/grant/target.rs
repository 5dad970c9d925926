//! Where a call goes: a URL, parsed once and in one way, and the patterns that grants have for its
//! host. All later decisions are over the parsed parts, never over the text.

use crate::digest::Digest;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest URL that is looked at, in bytes.
const LONGEST: usize = 8 << 10;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As it is written before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is written.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Host {
    /// A name in lower case, in ASCII, without a dot at its end.
    Name(String),
    /// A literal address.
    Address(IpAddr),
}

impl Host {
    /// Reads a host as it stands in a URL: other notations of addresses (decimal, octal, short) are
    /// read as browsers do, so that they become the address that they mean.
    ///
    /// # Errors
    /// When it is none, or is a name with a dot at its end.
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        match url::Host::parse(text).map_err(|_| BadTarget::Host)? {
            url::Host::Domain(name) if is_name(&name) => Ok(Self::Name(name)),
            url::Host::Domain(_) => Err(BadTarget::Host),
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(address.into())),
        }
    }
}

/// Whether `name` is one that DNS could hold, without a dot at its end.
fn is_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_')
                })
        })
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Which hosts a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Just this one.
    Exact(Host),
    /// Every name that ends in `.` and this one, however deep; not the name itself.
    Below(String),
}

impl HostPattern {
    /// Whether it is for this host.
    pub fn admits(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(exact), host) => exact == host,
            (Self::Below(parent), Host::Name(name)) => name
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            (Self::Below(_), Host::Address(_)) => false,
        }
    }

    /// Whether it is for every host that `other` is for.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.admits(host),
            (Self::Below(mine), Self::Below(theirs)) => {
                mine == theirs || self.admits(&Host::Name(theirs.clone()))
            }
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }

    /// Whether some host is one of both.
    pub fn meets(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The literal address that it is for.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Exact(Host::Address(address)) => Some(*address),
            _ => None,
        }
    }

    /// Whether it names just this address.
    pub fn names(&self, address: IpAddr) -> bool {
        self.address() == Some(address)
    }
}

impl FromStr for HostPattern {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        match text.strip_prefix("*.") {
            Some(parent) => match Host::parse(parent)? {
                Host::Name(name) => Ok(Self::Below(name)),
                Host::Address(_) => Err(BadTarget::Host),
            },
            None => Host::parse(text).map(Self::Exact),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Why a text is no place that a call may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadTarget {
    #[error("it is no URL")]
    Url,
    #[error("it is longer than 8 KiB")]
    Long,
    #[error("its scheme is neither `http` nor `https`")]
    Scheme,
    #[error("its host is none: a name without a dot at its end, or an address, is")]
    Host,
    #[error("it has a user or password in it")]
    User,
    #[error("it has control characters, spaces or backslashes in it")]
    Unclean,
    #[error("port 0 is none")]
    Port,
}

/// A URL that a call goes to. Two that mean the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// With TLS or without.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port, written or the scheme's.
    pub port: u16,
    /// The path: begins with `/`, has no segments `.` and `..`, percent-encoding in upper case.
    pub path: String,
    /// What stands behind `?`.
    pub query: Option<String>,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is none, or one that no call is made to.
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        if text.len() > LONGEST {
            return Err(BadTarget::Long);
        }
        // The parser would drop or turn these, and somebody else on the way might not.
        if text.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
            return Err(BadTarget::Unclean);
        }
        let url = url::Url::parse(text).map_err(|_| BadTarget::Url)?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(BadTarget::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() || userinfo(text) {
            return Err(BadTarget::User);
        }
        let host = Host::parse(url.host_str().ok_or(BadTarget::Host)?)?;
        let port = url.port_or_known_default().ok_or(BadTarget::Port)?;
        if port == 0 {
            return Err(BadTarget::Port);
        }
        Ok(Self {
            scheme,
            host,
            port,
            path: uppercased(url.path()),
            query: url.query().map(Into::into),
        })
    }

    /// Whether the path has an encoded separator or dot in it: some servers take `%2F` for `/`, so
    /// that only a grant for all paths is one for this.
    pub fn ambiguous(&self) -> bool {
        ["%2F", "%5C", "%2E", "%00"]
            .iter()
            .any(|encoded| self.path.contains(encoded))
    }

    /// Host and port as the header `Host` has them: the port only where it is not the scheme's.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Path and query as a request line has them.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Without its path and query, for where these may be a secret: the path is told by its digest.
    pub fn without_path(&self) -> String {
        let mut text = format!("{}://{}/", self.scheme.as_str(), self.authority());
        if self.path != "/" {
            text += &format!("… path={}", Digest::of(&self.path).short());
        }
        text
    }

    /// Without its query, which may hold what nobody else should read: for messages and the audit.
    pub fn without_query(&self) -> String {
        format!(
            "{}://{}{}",
            self.scheme.as_str(),
            self.authority(),
            self.path
        )
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_query())?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

/// An empty user part (`https://@host/`) leaves no trace in the parsed URL.
fn userinfo(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

/// The path with its percent-encoded bytes in upper case: two ways to write the same become one.
fn uppercased(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let end = rest.ceil_char_boundary((at + 3).min(rest.len()));
        out.push_str(&rest[at..end].to_ascii_uppercase());
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The IPv4 address that an IPv6 address stands for, where it is mapped, translated or tunnelled.
pub(super) fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        // mapped ::ffff:0:0/96 (RFC 4291), compatible ::/96, translated ::ffff:0:0:0/96 (RFC 2765)
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            Some(of(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(of(high, low)),
        // NAT64, the well-known prefix (RFC 6052)
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        // 6to4 (RFC 3056)
        [0x2002, high, low, ..] => Some(of(high, low)),
        // ISATAP (RFC 5214)
        [.., 0 | 0x200, 0x5efe, high, low] => Some(of(high, low)),
        // Teredo (RFC 4380): the client's address, its bits turned
        [0x2001, 0, .., high, low] => Some(of(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_by_its_digest() {
        let told = |url| Target::parse(url).expect(url).without_path();
        assert_eq!(told("https://hooks.example"), "https://hooks.example/");
        assert_eq!(
            told("http://10.0.0.7:8080/x?token=1"),
            "http://10.0.0.7:8080/… path=56d37ce63387"
        );
    }

    #[test]
    fn urls_are_read_in_one_way() {
        let same = [
            ("https://API.Example.com", "https://api.example.com/"),
            (
                "https://api.example.com:443/a/../b",
                "https://api.example.com/b",
            ),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0177.0.0.1/x", "http://127.0.0.1/x"),
            ("http://0x7f.1:8080/?q=1", "http://127.0.0.1:8080/?q=1"),
            ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:127.0.0.1]/"),
            ("https://a.example/%2e%2e/b", "https://a.example/b"),
            ("https://a.example/x%2fy", "https://a.example/x%2Fy"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ];
        for (text, read) in same {
            let target = Target::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(target.to_string(), read, "{text}");
            assert_eq!(Target::parse(read).as_ref(), Ok(&target), "{text}");
        }
        let bad = [
            ("", BadTarget::Url),
            ("ftp://a.example/", BadTarget::Scheme),
            ("https://user@a.example/", BadTarget::User),
            ("https://@a.example/", BadTarget::User),
            ("https://a.example\\@b.example/", BadTarget::Unclean),
            ("https://a.example/\r\nHost: b", BadTarget::Unclean),
            ("https://a.example./", BadTarget::Host),
            ("https://a..example/", BadTarget::Host),
            ("https://a.example:0/", BadTarget::Port),
            ("https:///x y", BadTarget::Unclean),
        ];
        for (text, problem) in bad {
            assert_eq!(Target::parse(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn patterns_of_hosts() {
        let pattern = |text: &str| text.parse::<HostPattern>().expect(text);
        let host = |text: &str| Host::parse(text).expect(text);
        assert!(pattern("*.example.com").admits(&host("a.b.example.com")));
        for other in [
            "example.com",
            "xexample.com",
            "a.example.com.evil.org",
            "10.0.0.1",
        ] {
            assert!(!pattern("*.example.com").admits(&host(other)), "{other}");
        }
        assert!(pattern("127.1").names(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(pattern("*.example.com").covers(&pattern("*.a.example.com")));
        assert!(!pattern("*.a.example.com").covers(&pattern("*.example.com")));
        assert!(!pattern("a.example.com").covers(&pattern("*.example.com")));
        for bad in ["*", "*.", "*.10.0.0.1", "a.*.com", "", "a b", "a.com."] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
