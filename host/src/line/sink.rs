//! Where a line's results go, and who is told when an item needs a person.

use crate::grant::{
    AddressClass, BadAddress, Ceiling, Grants, HttpGiven, HttpGrant, HttpRule, Rights, Scheme,
    SecretGrant, SecretPlace, Target, address_class,
};
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// Where the results of a line go: all of them to each of its sinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sink {
    /// Where.
    pub to: To,
    /// For how long a result is tried to be delivered.
    pub within: Duration,
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// Into a folder, each a file; relative to the line file until the line is resolved.
    Folder(PathBuf),
    /// To a server, each a POST.
    Webhook(Webhook),
}

/// A server that gets POSTs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its URL.
    pub target: Target,
    /// The secret that they are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whether it may stand in a private network.
    #[serde(default)]
    pub private: bool,
}

/// Who is told of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Of items that jam.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jam: Option<Told>,
    /// Of items that wait for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Told>,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// A server.
    Webhook(Webhook),
    /// A program of the operator's on this host, with its arguments. It is no guest: it runs with the
    /// rights of andon itself.
    Command(Vec<String>),
}

/// Why a webhook's address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReceiver {
    /// It may not be dialled at all.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// It is of the internet, and what is sent would be read on the way.
    #[error("`{0}` is no private address, and nothing is sent there without TLS")]
    Clear(IpAddr),
}

impl Sink {
    /// Default of `within`.
    pub const WITHIN: Duration = Duration::from_secs(24 * 60 * 60);
}

impl Notify {
    /// Whether nobody is told of anything.
    pub fn is_none(&self) -> bool {
        self.jam.is_none() && self.hold.is_none()
    }

    /// Each kind with who is told of it.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Told)> {
        [("jam", &self.jam), ("hold", &self.hold)]
            .into_iter()
            .filter_map(|(kind, told)| Some((kind, told.as_ref()?)))
    }
}

impl Webhook {
    /// The largest result that is sent to a server, in bytes.
    pub const MOST: u64 = 64 << 20;
    /// From the call to the head of its answer.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// The header with the signature.
    pub const SIGNATURE: &str = "andon-signature";

    /// What it is given: just this call, with its secret, below what the operator allows.
    pub fn rights(&self, ceiling: Option<&Ceiling>) -> Rights {
        let rule = HttpRule::just("POST", &self.target);
        let secret = self.secret.iter().map(|name| SecretGrant {
            name: name.clone(),
            place: SecretPlace::Header {
                name: Self::SIGNATURE.into(),
                prefix: String::new(),
            },
            r#for: rule.clone(),
        });
        Rights {
            grants: Grants {
                secrets: secret.collect(),
                http: vec![HttpGrant {
                    private: self.private,
                    timeout: Self::TIMEOUT,
                    ..HttpGrant::new(rule)
                }],
                ..Grants::default()
            },
            ceiling: ceiling.cloned(),
        }
    }

    /// Whether an address, that the URL's host led to, may be dialled.
    ///
    /// # Errors
    /// When it may not.
    pub fn admit(&self, given: &HttpGiven<'_>, address: IpAddr) -> Result<(), BadReceiver> {
        given.admit(address)?;
        if self.target.scheme == Scheme::Http && address_class(address) == AddressClass::Public {
            return Err(BadReceiver::Clear(address));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_webhook_may_dial() {
        let admitted = |url: &str, private: bool, address: &str| {
            let webhook = Webhook {
                target: Target::parse(url).expect(url),
                secret: None,
                private,
            };
            let rights = webhook.rights(None);
            let given = rights.http("POST", &webhook.target).expect("granted");
            let address = address.parse().expect("an address");
            webhook.admit(&given, address).is_ok()
        };
        let (public, own, cloud) = ("93.184.216.34", "10.0.0.7", "169.254.169.254");
        let name = "https://hooks.example/x?token=1";
        assert!(admitted(name, false, public));
        assert!(!admitted(name, false, own));
        assert!(admitted(name, true, own));
        assert!(!admitted(name, true, cloud));
        let clear = "http://hooks.example/x";
        assert!(!admitted(clear, true, public));
        assert!(admitted(clear, true, own));
        assert!(!admitted(clear, true, cloud));
        assert!(admitted("https://10.0.0.7/", false, own));
    }

    #[test]
    fn the_ceiling_bounds_a_webhook_and_its_secret() {
        let webhook = Webhook {
            target: Target::parse("https://hooks.example/x").expect("a URL"),
            secret: Some("KEY".into()),
            private: false,
        };
        let target = &webhook.target;
        let below = |http: &[&str], secrets: &[(&str, &str)]| {
            let ceiling = Ceiling {
                grants: Grants {
                    http: (http.iter())
                        .map(|rule| HttpGrant::new(rule.parse().expect("a rule")))
                        .collect(),
                    secrets: (secrets.iter())
                        .map(|(name, rule)| SecretGrant {
                            name: (*name).into(),
                            place: SecretPlace::Query {
                                name: String::new(),
                            },
                            r#for: HttpRule::of_any_method(rule).expect("a rule"),
                        })
                        .collect(),
                    ..Grants::default()
                },
                ..Ceiling::default()
            };
            let rights = webhook.rights(Some(&ceiling));
            let called = rights.http("POST", target).is_ok();
            (called, rights.secrets("POST", target).count())
        };
        let all = "https://hooks.example/**";
        assert_eq!(below(&[], &[]), (false, 0));
        assert_eq!(below(&["POST https://hooks.example/**"], &[]), (true, 0));
        assert_eq!(
            below(&["* https://hooks.example/**"], &[("KEY", all)]),
            (true, 1)
        );
        assert_eq!(
            below(&["GET https://hooks.example/**"], &[("OTHER", all)]),
            (false, 0)
        );
    }
}
