//! What is no longer as it was accepted, and whether somebody has to accept it.

use super::{Granted, Lock, Need, Pin};
use crate::{digest::Digest, escape::line as escaped, name::Name};
use std::{collections::BTreeSet, fmt};

/// One thing that is not as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of which station; none for a variable, and for what the line has outside.
    pub station: Option<Name>,
    /// What.
    pub what: What,
    /// What that means.
    pub effect: Effect,
}

/// What a change means for whoever accepted the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Something else stands where something accepted stood.
    Replaces,
    /// More is open, asked for or there than was accepted.
    Widens,
    /// Less is.
    Narrows,
    /// Neither: another name for the same, or what nobody has accepted before and nobody has to.
    Neutral,
}

/// What changed. `old` is none where it is new, `new` where it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A variable's value.
    Var {
        /// Its name.
        name: String,
        /// Its value then.
        old: Option<String>,
        /// Its value now.
        new: Option<String>,
    },
    /// Where the station comes from.
    Use {
        /// Then.
        old: String,
        /// Now.
        new: String,
    },
    /// Its component.
    Component {
        /// Then; none for a new station.
        old: Option<Digest>,
        /// Now; none where the station is gone.
        new: Option<Digest>,
    },
    /// An asset.
    Asset {
        /// Where the guest sees it.
        guest: String,
        /// Then.
        old: Option<Digest>,
        /// Now.
        new: Option<Digest>,
    },
    /// What the manifest asks for.
    Need {
        /// What, and why.
        need: Need,
        /// Whether it is new; else it is gone.
        new: bool,
    },
    /// What the line has outside of its stations, as [`super::outside`] writes it.
    Outside {
        /// Its place in the line file: `sinks.hook`.
        place: String,
        /// Then.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
    /// A grant, as [`Granted`] writes it.
    Grant {
        /// Then.
        old: Option<String>,
        /// Now.
        new: Option<String>,
    },
}

/// All that changed from what was accepted to what is so `now`, station by station. Without a lock
/// nothing was accepted before: then everything is new, and only grants and what the line has outside have
/// to be accepted.
pub fn changes(locked: Option<&Lock>, now: &Lock) -> Vec<Change> {
    let nothing = Lock::default();
    let before = locked.unwrap_or(&nothing);
    let mut changes = Vec::new();
    let names: BTreeSet<&String> = before.vars.keys().chain(now.vars.keys()).collect();
    for name in names {
        let (old, new) = (before.vars.get(name), now.vars.get(name));
        if old != new {
            changes.push(Change {
                station: None,
                what: What::Var {
                    name: name.clone(),
                    old: old.cloned(),
                    new: new.cloned(),
                },
                effect: Effect::Neutral,
            });
        }
    }
    let places: BTreeSet<&String> = before.outside.keys().chain(now.outside.keys()).collect();
    for place in places {
        let (old, new) = (before.outside.get(place), now.outside.get(place));
        if old != new {
            changes.push(Change {
                station: None,
                what: What::Outside {
                    place: place.clone(),
                    old: old.cloned(),
                    new: new.cloned(),
                },
                effect: match new {
                    Some(_) => Effect::Widens,
                    None => Effect::Narrows,
                },
            });
        }
    }
    let names: BTreeSet<&Name> = before.stations.keys().chain(now.stations.keys()).collect();
    for name in names {
        let mut add = |what: What, effect: Effect| {
            let effect = match (effect, &what) {
                (Effect::Widens, What::Grant { .. }) => Effect::Widens,
                _ if locked.is_none() => Effect::Neutral,
                _ => effect,
            };
            let station = Some(name.clone());
            changes.push(Change {
                station,
                what,
                effect,
            });
        };
        match (before.stations.get(name), now.stations.get(name)) {
            (Some(old), Some(new)) => station(Some(old), new, &mut add),
            (None, Some(new)) => station(None, new, &mut add),
            (Some(old), None) => add(
                What::Component {
                    old: Some(old.component),
                    new: None,
                },
                Effect::Narrows,
            ),
            (None, None) => {}
        }
    }
    changes
}

fn station(old: Option<&Pin>, new: &Pin, add: &mut impl FnMut(What, Effect)) {
    if let Some(old) = old.filter(|old| old.r#use != new.r#use) {
        let (old, new) = (old.r#use.clone(), new.r#use.clone());
        add(What::Use { old, new }, Effect::Neutral);
    }
    let before = old.map(|old| old.component);
    if before != Some(new.component) {
        let effect = match before {
            Some(_) => Effect::Replaces,
            None => Effect::Widens,
        };
        let what = What::Component {
            old: before,
            new: Some(new.component),
        };
        add(what, effect);
    }
    let empty = Pin {
        r#use: String::new(),
        component: new.component,
        requires: Vec::new(),
        assets: Default::default(),
        grants: Default::default(),
    };
    let old = old.unwrap_or(&empty);
    assets(old, new, add);
    needs(old, new, add);
    grants(old, new, add);
}

fn assets(old: &Pin, new: &Pin, add: &mut impl FnMut(What, Effect)) {
    let places: BTreeSet<&String> = old.assets.keys().chain(new.assets.keys()).collect();
    for guest in places {
        let (old, new) = (old.assets.get(guest), new.assets.get(guest));
        let effect = match (old, new) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => Effect::Replaces,
            (None, _) => Effect::Widens,
            (_, None) => Effect::Narrows,
        };
        let what = What::Asset {
            guest: guest.clone(),
            old: old.copied(),
            new: new.copied(),
        };
        add(what, effect);
    }
}

fn needs(old: &Pin, new: &Pin, add: &mut impl FnMut(What, Effect)) {
    for (mine, others, new) in [(old, new, false), (new, old, true)] {
        // Only another reason for the same need is no other need.
        let known = |need: &Need| others.requires.iter().any(|other| other.what == need.what);
        for need in mine.requires.iter().filter(|need| !known(need)) {
            let effect = if new { Effect::Widens } else { Effect::Narrows };
            let need = need.clone();
            add(What::Need { need, new }, effect);
        }
    }
}

fn grants(old: &Pin, new: &Pin, add: &mut impl FnMut(What, Effect)) {
    let (before, now) = (Granted::all(&old.grants), Granted::all(&new.grants));
    for grant in before.iter().filter(|grant| !now.contains(grant)) {
        if !now.iter().any(|other| other.replaces(grant)) {
            let old = Some(grant.to_string());
            add(What::Grant { old, new: None }, Effect::Narrows);
        }
    }
    for (n, grant) in now.iter().enumerate() {
        let (old, effect) = match within(&before, &now, n) {
            Err(old) => (old, Effect::Widens),
            Ok(()) if before.contains(grant) => continue,
            Ok(()) => {
                let replaced = before.iter().find(|other| grant.replaces(other));
                (replaced.copied(), Effect::Narrows)
            }
        };
        let what = What::Grant {
            old: old.map(|old| old.to_string()),
            new: Some(grant.to_string()),
        };
        add(what, effect);
    }
}

/// Whether the `n`th grant opens nothing that was not open `before`; else the grant that it goes
/// beyond, where there is one. The first grant that is for a call decides: one that was always there
/// opens more when a narrower one before it has gone.
fn within<'g>(
    before: &[Granted<'g>],
    now: &[Granted<'_>],
    n: usize,
) -> Result<(), Option<Granted<'g>>> {
    let grant = &now[n];
    for old in before.iter().filter(|old| old.meets(grant)) {
        let decided = now[..n].iter().any(|earlier| earlier.reaches(old));
        if !decided && !old.allows(grant) {
            return Err(Some(*old));
        }
        if old.reaches(grant) {
            return Ok(());
        }
    }
    Err(None)
}

impl Effect {
    /// As programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replaces => "replaces",
            Self::Widens => "widens",
            Self::Narrows => "narrows",
            Self::Neutral => "neutral",
        }
    }
}

impl Change {
    /// Whether somebody has to accept it before the line runs.
    pub fn needs_acceptance(&self) -> bool {
        matches!(self.effect, Effect::Replaces | Effect::Widens)
    }

    /// The name by which it is accepted, such as `scan:digest` or
    /// `scan:http GET https://api.example.com/**`; none where nobody has to.
    pub fn name(&self) -> Option<String> {
        if !self.needs_acceptance() {
            return None;
        }
        if let What::Outside { place, new, .. } = &self.what {
            return Some(format!("{}:{}", escaped(place), escaped(new.as_ref()?)));
        }
        let station = self.station.as_ref()?;
        let name = match &self.what {
            What::Component { .. } => "digest".into(),
            What::Asset { guest, .. } => format!("asset {}", escaped(guest)),
            What::Need { need, .. } => format!("requires {}", escaped(&need.what)),
            What::Grant { new, .. } => new.clone()?,
            What::Var { .. } | What::Use { .. } | What::Outside { .. } => return None,
        };
        Some(format!("{station}:{name}"))
    }

    /// The same with the new digest behind it, where there is one: `scan:digest=9f86d081884c`. It accepts
    /// what was seen, and not what came after.
    pub fn exact_name(&self) -> Option<String> {
        let name = self.name()?;
        Some(match &self.what {
            What::Component { new: Some(new), .. } | What::Asset { new: Some(new), .. } => {
                format!("{name}={}", new.short())
            }
            _ => name,
        })
    }

    /// Whether `text` accepts it, in the one form or the other.
    pub fn is_accepted_by(&self, text: &str) -> bool {
        let is = |name: Option<String>| name.is_some_and(|name| name == text);
        is(self.name()) || is(self.exact_name())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let station = self.station.as_ref().map_or("", Name::as_str);
        match &self.what {
            What::Var { name, old, new } => match (old, new) {
                (Some(old), Some(new)) => write!(
                    f,
                    "the variable `{name}` is `{}`, accepted was `{}`",
                    escaped(new),
                    escaped(old)
                ),
                (None, Some(new)) => write!(f, "the variable `{name}` is `{}`", escaped(new)),
                (_, None) => write!(f, "the variable `{name}` goes into nothing any more"),
            },
            What::Outside { place, old, new } => {
                let place = escaped(place);
                match (old, new) {
                    (Some(old), Some(new)) => write!(
                        f,
                        "`{place}` is `{}`, accepted was `{}`",
                        escaped(new),
                        escaped(old)
                    ),
                    (None, Some(new)) => {
                        write!(f, "`{place}` is `{}`, which is new", escaped(new))
                    }
                    (_, None) => write!(f, "`{place}` is gone"),
                }
            }
            What::Use { old, new } => write!(
                f,
                "`{station}` uses `{}`, accepted was `{}`",
                escaped(new),
                escaped(old)
            ),
            What::Component { old, new } => match (old, new) {
                (Some(old), Some(new)) => write!(
                    f,
                    "the component of `{station}` is {}, accepted was {}",
                    new.short(),
                    old.short()
                ),
                (None, Some(new)) => {
                    write!(f, "`{station}` is new; its component is {}", new.short())
                }
                (_, None) => write!(f, "`{station}` is gone"),
            },
            What::Asset { guest, old, new } => {
                let guest = escaped(guest);
                match (old, new) {
                    (Some(old), Some(new)) => write!(
                        f,
                        "the asset `{guest}` of `{station}` is {}, accepted was {}",
                        new.short(),
                        old.short()
                    ),
                    (None, Some(new)) => write!(
                        f,
                        "the asset `{guest}` of `{station}` is new; it is {}",
                        new.short()
                    ),
                    (_, None) => write!(f, "the asset `{guest}` of `{station}` is gone"),
                }
            }
            What::Need { need, new } => {
                let what = escaped(&need.what);
                match new {
                    true => write!(
                        f,
                        "`{station}` asks for `{what}`, which is new: {}",
                        escaped(&need.why)
                    ),
                    false => write!(f, "`{station}` no longer asks for `{what}`"),
                }
            }
            What::Grant { old, new } => match (old, new) {
                (Some(old), Some(new)) => {
                    write!(f, "`{station}` is granted `{new}`, accepted was `{old}`")
                }
                (None, Some(new)) if self.needs_acceptance() => {
                    write!(f, "`{station}` is granted `{new}`, which is new")
                }
                (None, Some(new)) => write!(f, "`{station}` is granted only `{new}`"),
                (_, None) => write!(
                    f,
                    "`{station}` is no longer granted `{}`",
                    old.as_deref().unwrap_or_default()
                ),
            },
        }
    }
}
