//! Who may do what over the daemon's API, and which requests are not a caller's own at all: pure
//! decisions over what a request says of itself. Knows nothing of HTTP's machinery, tokens or routes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a caller may do; each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks: lines, items, logs, results, metrics.
    Viewer,
    /// Works with items and stations: submits, clears, answers, cancels, runs again, pauses.
    Operator,
    /// Changes what runs: retools and drains.
    Admin,
}

/// What is asked for; each route of the API is one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// To hear whether the daemon lives.
    Live,
    /// To see something.
    Look,
    /// To submit an input.
    Submit,
    /// To clear jams.
    Clear,
    /// To answer a hold.
    Answer,
    /// To cancel an item.
    Cancel,
    /// To run an item again.
    Rerun,
    /// To pause a station, or let it go on.
    Pause,
    /// To replace a line's revision, or to see what that would change.
    Retool,
    /// To drain the daemon.
    Drain,
}

impl Act {
    /// The least role that may; none where nobody needs to say who they are.
    pub fn least(self) -> Option<Role> {
        match self {
            Self::Live => None,
            Self::Look => Some(Role::Viewer),
            Self::Submit
            | Self::Clear
            | Self::Answer
            | Self::Cancel
            | Self::Rerun
            | Self::Pause => Some(Role::Operator),
            Self::Retool | Self::Drain => Some(Role::Admin),
        }
    }

    /// What the caller wants, as a verb.
    fn verb(self) -> &'static str {
        match self {
            Self::Live | Self::Look => "look",
            Self::Submit => "submit items",
            Self::Clear => "clear jams",
            Self::Answer => "answer holds",
            Self::Cancel => "cancel items",
            Self::Rerun => "run items again",
            Self::Pause => "pause stations",
            Self::Retool => "retool lines",
            Self::Drain => "drain the daemon",
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their name, as it is journaled.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Why a caller may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nobody known calls.
    Unknown,
    /// The role does not go so far.
    Role {
        /// Who calls.
        caller: Caller,
        /// What they want.
        act: Act,
        /// The least role that may.
        least: Role,
    },
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "a valid token is needed\n  hint: `andon token add NAME --role viewer` makes one; send it as `authorization: Bearer TOKEN`",
            ),
            Self::Role { caller, act, least } => write!(
                f,
                "`{}` is {} and may not {}\n  hint: {}{} is needed: `andon token add NAME --role {least}`",
                caller.name,
                caller.role.noun(),
                act.verb(),
                least.noun(),
                if *least == Role::Admin { "" } else { " or more" },
            ),
        }
    }
}

/// Whether somebody may do something.
///
/// # Errors
/// Why not.
pub fn permit(caller: Option<&Caller>, act: Act) -> Result<(), Denied> {
    let Some(least) = act.least() else {
        return Ok(());
    };
    match caller {
        None => Err(Denied::Unknown),
        Some(caller) if caller.role < least => Err(Denied::Role {
            caller: caller.clone(),
            act,
            least,
        }),
        Some(_) => Ok(()),
    }
}

impl Role {
    /// All of them, from the least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Viewer => "a viewer",
            Self::Operator => "an operator",
            Self::Admin => "an admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

/// The way that a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Over the socket in the state folder, which only its owner can open.
    Socket,
    /// Over TCP on loopback, which every program and every page in a browser of this machine can
    /// reach.
    Loopback {
        /// The port that it listens on.
        port: u16,
    },
}

/// What a request says of where it is meant to go and where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// The header `host`, or the authority of the address where that is in the request.
    pub host: Option<&'a str>,
    /// The header `origin`.
    pub origin: Option<&'a str>,
    /// The header `sec-fetch-site`.
    pub site: Option<&'a str>,
}

/// Why a request is not let in, whoever sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It was meant for another host: a name that somebody made to lead here.
    #[error(
        "the request is for another host\n  hint: use `127.0.0.1`, `localhost` or `[::1]` with the port of `--listen`"
    )]
    Host,
    /// A page of another site sent it.
    #[error("the request comes from a page of another site")]
    Origin,
}

/// Whether a request is meant for this daemon, and no page of another site sent it.
///
/// # Errors
/// Why it is not let in.
pub fn own(door: Door, said: Said<'_>) -> Result<(), Foreign> {
    let Door::Loopback { port } = door else {
        // No page can open it; whoever sends these was asked by one to.
        return match (said.origin, said.site) {
            (None, None | Some("none")) => Ok(()),
            _ => Err(Foreign::Origin),
        };
    };
    if !said.host.is_some_and(|host| is_here(host, port)) {
        return Err(Foreign::Host);
    }
    let origin = said.origin.is_none_or(|origin| {
        origin
            .strip_prefix("http://")
            .is_some_and(|host| is_here(host, port))
    });
    let site = matches!(said.site, None | Some("same-origin" | "none"));
    if origin && site {
        Ok(())
    } else {
        Err(Foreign::Origin)
    }
}

/// Whether this is how a server on loopback is written, with its port.
fn is_here(host: &str, port: u16) -> bool {
    /// What stands for `:80`.
    const HTTP: u16 = 80;
    let (name, given) = match host.rsplit_once(':') {
        Some((name, given)) if !given.ends_with(']') => (name, given.parse().ok()),
        _ => (host, Some(HTTP)),
    };
    given == Some(port)
        && (name == "127.0.0.1" || name == "[::1]" || name.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role) -> Caller {
        Caller {
            name: "ada".into(),
            role,
        }
    }

    #[test]
    fn each_role_may_do_all_that_lower_ones_may() {
        let acts = [
            (Act::Live, 0),
            (Act::Look, 1),
            (Act::Submit, 2),
            (Act::Clear, 2),
            (Act::Answer, 2),
            (Act::Cancel, 2),
            (Act::Rerun, 2),
            (Act::Pause, 2),
            (Act::Retool, 3),
            (Act::Drain, 3),
        ];
        for (act, least) in acts {
            let mut may = vec![permit(None, act).is_ok()];
            may.extend(Role::ALL.map(|role| permit(Some(&caller(role)), act).is_ok()));
            let expected: Vec<bool> = (0..4).map(|n| n >= least).collect();
            assert_eq!(may, expected, "{act:?}");
        }
    }

    #[test]
    fn a_denial_says_who_wants_what_and_what_is_needed() {
        let denied = permit(Some(&caller(Role::Viewer)), Act::Retool).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "`ada` is a viewer and may not retool lines\n  hint: an admin is needed: `andon token add NAME --role admin`"
        );
    }

    #[test]
    fn only_requests_for_this_host_and_from_no_other_site_are_let_in() {
        let port = Door::Loopback { port: 8080 };
        let http = Door::Loopback { port: 80 };
        type Case<'a> = (Door, [Option<&'a str>; 3], Result<(), Foreign>);
        let cases: &[Case] = &[
            (port, [Some("127.0.0.1:8080"), None, None], Ok(())),
            (port, [Some("LocalHost:8080"), None, Some("none")], Ok(())),
            (port, [Some("[::1]:8080"), None, None], Ok(())),
            (http, [Some("localhost"), None, None], Ok(())),
            (http, [Some("[::1]"), None, None], Ok(())),
            (port, [None, None, None], Err(Foreign::Host)),
            (port, [Some("localhost"), None, None], Err(Foreign::Host)),
            (port, [Some("localhost:80"), None, None], Err(Foreign::Host)),
            (
                port,
                [Some("localhost.evil.example:8080"), None, None],
                Err(Foreign::Host),
            ),
            (
                port,
                [Some("evil.example:8080"), None, None],
                Err(Foreign::Host),
            ),
            (
                port,
                [Some("127.0.0.1.:8080"), None, None],
                Err(Foreign::Host),
            ),
            (
                port,
                [Some("x@127.0.0.1:8080"), None, None],
                Err(Foreign::Host),
            ),
            (
                port,
                [Some("127.0.0.1:8080"), Some("http://localhost:8080"), None],
                Ok(()),
            ),
            (
                port,
                [
                    Some("127.0.0.1:8080"),
                    Some("http://127.0.0.1:8080"),
                    Some("same-origin"),
                ],
                Ok(()),
            ),
            (
                port,
                [Some("127.0.0.1:8080"), Some("null"), None],
                Err(Foreign::Origin),
            ),
            (
                port,
                [Some("127.0.0.1:8080"), Some("https://localhost:8080"), None],
                Err(Foreign::Origin),
            ),
            (
                port,
                [Some("127.0.0.1:8080"), Some("http://localhost:3000"), None],
                Err(Foreign::Origin),
            ),
            (
                port,
                [Some("127.0.0.1:8080"), None, Some("same-site")],
                Err(Foreign::Origin),
            ),
            (
                port,
                [Some("127.0.0.1:8080"), None, Some("cross-site")],
                Err(Foreign::Origin),
            ),
            (Door::Socket, [None, None, None], Ok(())),
            (Door::Socket, [Some("anything"), None, None], Ok(())),
            (
                Door::Socket,
                [Some("localhost"), Some("http://localhost"), None],
                Err(Foreign::Origin),
            ),
        ];
        for (door, [host, origin, site], expected) in cases {
            let said = Said {
                host: *host,
                origin: *origin,
                site: *site,
            };
            assert_eq!(own(*door, said), *expected, "{said:?}");
        }
    }
}
