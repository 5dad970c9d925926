//! Secrets on their way into a call: found in the vault, put in, and forgotten.

use super::{passage::Denial, redact::Needles};
use crate::{
    grant::{Rights, SecretGrant, SecretPlace, Target},
    sandbox::way::Vault,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{fmt::Write as _, sync::Arc};
use zeroize::Zeroizing;

/// A secret and where it goes.
type Granted = (SecretGrant, Zeroizing<String>);

/// The secrets of one call.
#[derive(Default)]
pub(super) struct Secrets {
    /// Those that are put in.
    put: Vec<Granted>,
    /// The station's others: a server may well tell in one answer what it got with another call.
    others: Vec<Granted>,
}

impl Secrets {
    /// Finds those that are for a call, and the station's others.
    pub(super) async fn find(
        vault: &Arc<dyn Vault>,
        rights: &Rights,
        method: &str,
        target: &Target,
    ) -> Result<Self, Denial> {
        if rights.grants.secrets.is_empty() {
            return Ok(Self::default());
        }
        let put: Vec<SecretGrant> = rights.secrets(method, target).cloned().collect();
        let all = rights.grants.secrets.iter();
        let others: Vec<SecretGrant> = all.filter(|g| !put.contains(g)).cloned().collect();
        let vault = vault.clone();
        let found = tokio::task::spawn_blocking(move || {
            let find = |grant: SecretGrant| match vault.secret(&grant.name) {
                Ok(value) => Ok((grant, value.unwrap_or_default())),
                Err(error) => Err(unreadable(&grant.name, &error)),
            };
            let all = |grants: Vec<SecretGrant>| {
                let found = grants.into_iter().map(find);
                found.collect::<Result<Vec<Granted>, Denial>>()
            };
            let (put, others) = (all(put)?, all(others)?);
            match put.iter().find(|(_, value)| value.is_empty()) {
                Some((grant, _)) => Err(missing(&grant.name)),
                None => Ok(Self { put, others }),
            }
        });
        match found.await {
            Ok(found) => found,
            Err(error) => Err(unreadable("", &error.into())),
        }
    }

    /// The names of those that are put in.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.put.iter().map(|(grant, _)| grant.name.as_str())
    }

    /// Whether there is nothing to put in and nothing to look for.
    fn is_empty(&self) -> bool {
        self.put.is_empty() && self.others.is_empty()
    }

    /// What to look for in the answer.
    pub(super) fn needles(&self) -> Needles {
        Needles::new(self.put.iter().chain(&self.others).map(|(grant, value)| {
            let prefix = match &grant.place {
                SecretPlace::Header { prefix, .. } => prefix.as_str(),
                SecretPlace::Query { .. } => "",
            };
            (grant.name.as_str(), prefix, value.as_str())
        }))
    }

    /// Puts them in, in place of what the guest put there: the path and query to send.
    pub(super) fn put(
        &self,
        target: &Target,
        headers: &mut HeaderMap,
    ) -> Result<Zeroizing<Vec<u8>>, Denial> {
        if !self.is_empty() {
            // An answer in parts would have the secret in parts.
            headers.remove(header::RANGE);
            headers.remove(header::IF_RANGE);
        }
        let mut query = target.query.clone().map(Zeroizing::new);
        for (grant, value) in &self.put {
            match &grant.place {
                SecretPlace::Header { name, prefix } => {
                    let text = Zeroizing::new(format!("{prefix}{}", value.as_str()).into_bytes());
                    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(text));
                    let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), value) else {
                        return Err(unfit(&grant.name));
                    };
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
                SecretPlace::Query { name } => {
                    let mut all = Zeroizing::new(String::new());
                    for pair in query.iter().flat_map(|query| query.split('&')) {
                        let of = url::form_urlencoded::parse(pair.as_bytes()).next();
                        if of.is_none_or(|(other, _)| other != name.as_str()) {
                            all.push_str(pair);
                            all.push('&');
                        }
                    }
                    encode(&mut all, name);
                    all.push('=');
                    encode(&mut all, value);
                    query = Some(all);
                }
            }
        }
        let mut path = Zeroizing::new(target.path.clone().into_bytes());
        if let Some(query) = query {
            path.push(b'?');
            path.extend_from_slice(query.as_bytes());
        }
        Ok(path)
    }
}

/// Percent-encodes all but letters, digits and what is never encoded.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a string does not fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
}

fn missing(name: &str) -> Denial {
    Denial {
        rule: None,
        why: format!("the secret `{name}` that goes with it is not set"),
        hint: format!("`andon secret set {name}` sets it"),
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> Denial {
    Denial {
        rule: None,
        why: format!("the secret `{name}` that goes with it cannot be read: {error}"),
        hint: "`andon secret list` tells where secrets are kept".into(),
    }
}

fn unfit(name: &str) -> Denial {
    Denial {
        rule: None,
        why: format!("the secret `{name}` is nothing that a header may hold"),
        hint: format!("`andon secret set {name}` sets another, without line breaks"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(place: SecretPlace, value: &str, url: &str) -> (String, HeaderMap) {
        let grant = SecretGrant {
            name: "KEY".into(),
            place,
            r#for: "* http://a/**".parse().unwrap(),
        };
        let secrets = Secrets {
            put: vec![(grant, Zeroizing::new(value.into()))],
            others: Vec::new(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("the guest's"));
        headers.insert("range", HeaderValue::from_static("bytes=0-3"));
        let Ok(path) = secrets.put(&Target::parse(url).unwrap(), &mut headers) else {
            return ("denied".into(), headers);
        };
        (String::from_utf8(path.to_vec()).unwrap(), headers)
    }

    #[test]
    fn secrets_take_the_place_of_what_the_guest_put_there() {
        let bearer = || SecretPlace::Header {
            name: "authorization".into(),
            prefix: "Bearer ".into(),
        };
        let (path, headers) = put(bearer(), "s3cr3t", "http://a/x?q=1");
        assert_eq!(path, "/x?q=1");
        assert_eq!(headers.get_all("authorization").iter().count(), 1);
        assert_eq!(headers["authorization"], "Bearer s3cr3t");
        assert!(!format!("{headers:?}").contains("s3cr3t"));
        assert!(!headers.contains_key("range"));
        assert_eq!(put(bearer(), "two\nlines", "http://a/x").0, "denied");

        let query = |url: &str| put(SecretPlace::Query { name: "key".into() }, "a/b c", url).0;
        assert_eq!(query("http://a/x"), "/x?key=a%2Fb%20c");
        assert_eq!(
            query("http://a/x?q=1&key=mine&%6bey=mine&keys=2"),
            "/x?q=1&keys=2&key=a%2Fb%20c"
        );
    }
}
