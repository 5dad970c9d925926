//! The heads of requests and answers: what goes from one side to the other, and what is only between
//! two of them.

use crate::{grant::Target, sandbox::way::Failure};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The most headers of a request, and of an answer.
pub(super) const HEADERS: usize = 128;
/// The longest head, in bytes.
pub(super) const BYTES: usize = 64 << 10;
/// About as long as the line before an answer's headers.
pub(super) const STATUS: u64 = 16;
/// What answers may be packed in: what can be unpacked here.
const PACKED: HeaderValue = HeaderValue::from_static("gzip, deflate");
const PLAIN: HeaderValue = HeaderValue::from_static("identity");

/// What concerns only a connection and not the request on it, beside what `Connection` names.
const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("proxy-authentication-info"),
];

/// Makes the headers of a request those that are sent to `target`. Where its body is long, where it
/// goes and how it is framed is said by us alone.
pub(super) fn outgoing(headers: &mut HeaderMap, target: &Target) -> Result<(), Failure> {
    let authority = target.authority();
    let other = |host: &HeaderValue| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    if headers.get_all(header::HOST).iter().any(other) {
        return Err(Failure::Request);
    }
    strip(headers);
    // The body is whole before it is sent: there is nothing to wait for.
    headers.remove(header::EXPECT);
    let host = HeaderValue::try_from(authority).map_err(|_| Failure::Request)?;
    headers.insert(header::HOST, host);
    // A part of something packed cannot be unpacked.
    let part = headers.contains_key(header::RANGE);
    let packed = if part { PLAIN } else { PACKED };
    headers.insert(header::ACCEPT_ENCODING, packed);
    if headers.len() > HEADERS || size(headers) > BYTES {
        return Err(Failure::Request);
    }
    Ok(())
}

/// Takes out the length that the guest gave, which has to be that of its body.
pub(super) fn take_length(headers: &mut HeaderMap, length: u64) -> Result<(), Failure> {
    let said = |value: &HeaderValue| value.to_str().ok().and_then(|text| text.parse().ok());
    let mut all = headers.get_all(header::CONTENT_LENGTH).iter();
    if all.any(|value| said(value) != Some(length)) {
        return Err(Failure::Request);
    }
    headers.remove(header::CONTENT_LENGTH);
    Ok(())
}

/// Takes out what concerns only the connection.
pub(super) fn strip(headers: &mut HeaderMap) {
    let mut named = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        let names = value.as_bytes().split(|b| *b == b',');
        named.extend(names.filter_map(|name| HeaderName::try_from(name.trim_ascii()).ok()));
    }
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// About as many bytes as they are on the way.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let sizes = headers.iter().map(|(k, v)| k.as_str().len() + v.len() + 4);
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn sent(all: &[(&str, &str)]) -> Result<String, Failure> {
        let target = Target::parse("http://a.example:8080/x").unwrap();
        let mut headers = headers(all);
        take_length(&mut headers, 5)?;
        outgoing(&mut headers, &target)?;
        let mut lines: Vec<_> = (headers.iter())
            .map(|(k, v)| format!("{k}: {}", v.to_str().unwrap()))
            .collect();
        lines.sort();
        Ok(lines.join("\n"))
    }

    #[test]
    fn only_what_is_for_the_server_is_sent() {
        let plain = "accept-encoding: gzip, deflate\nhost: a.example:8080";
        let same: &[&[(&str, &str)]] = &[
            &[],
            &[("host", "A.example:8080")],
            &[("content-length", "5"), ("content-length", "5")],
            &[
                ("connection", "close, X-Hop"),
                ("x-hop", "1"),
                ("keep-alive", "9"),
            ],
            &[
                ("transfer-encoding", "chunked"),
                ("te", "trailers"),
                ("trailer", "x"),
            ],
            &[
                ("proxy-authorization", "Basic eA=="),
                ("proxy-connection", "x"),
            ],
            &[
                ("upgrade", "h2c"),
                ("http2-settings", "x"),
                ("expect", "100-continue"),
            ],
            &[("accept-encoding", "br"), ("accept-encoding", "zstd")],
        ];
        for all in same {
            assert_eq!(sent(all).as_deref(), Ok(plain), "{all:?}");
        }
        let kept = format!("{plain}\nx-own: 1\nx-own: 2");
        assert_eq!(sent(&[("x-own", "1"), ("x-own", "2")]), Ok(kept));
        let part = "accept-encoding: identity\nhost: a.example:8080\nrange: bytes=0-1";
        assert_eq!(sent(&[("range", "bytes=0-1")]).as_deref(), Ok(part));
        let long = "x".repeat(BYTES);
        for all in [
            [("host", "b.example")],
            [("host", "a.example")],
            [("content-length", "6")],
            [("content-length", "5, 5")],
            [("x-long", long.as_str())],
        ] {
            assert_eq!(sent(&all), Err(Failure::Request), "{:?}", all[0].0);
        }
    }
}
