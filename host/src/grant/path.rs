//! Patterns of paths in grants for HTTP: segments in which `*` stands for any text, and `**` for one or
//! more whole segments.

use super::{http::BadRule, target::Target};
use std::fmt;

/// A part of a path's pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Segment {
    /// `**`.
    Many,
    /// Text; `*` in it stands for any.
    One(String),
}

/// Which paths a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PathPattern(Vec<Segment>);

impl PathPattern {
    /// Reads what stands behind the host of a rule.
    pub(super) fn parse(path: &str) -> Result<Self, BadRule> {
        // What a call is matched with has gone through the same parser: a pattern that would come out of it
        // otherwise could fit nothing.
        let target = Target::parse(&format!("http://a{path}")).map_err(|_| BadRule::Path)?;
        if target.path != path || target.ambiguous() {
            return Err(BadRule::Path);
        }
        let segments = path.split('/').skip(1).map(|segment| match segment {
            "**" => Ok(Segment::Many),
            text if text.contains("**") => Err(BadRule::Stars),
            text => Ok(Segment::One(text.into())),
        });
        Ok(Self(segments.collect::<Result<_, _>>()?))
    }

    /// The narrowest pattern that this path of a call fits: a `*` in it stands for any text, since no
    /// pattern can say otherwise, and an ambiguous path is one of all.
    pub(super) fn just(target: &Target) -> Self {
        if target.ambiguous() {
            return Self(vec![Segment::Many]);
        }
        let one = |text: &str| {
            let mut one = String::with_capacity(text.len());
            for c in text.chars() {
                if c != '*' || !one.ends_with('*') {
                    one.push(c);
                }
            }
            Segment::One(one)
        };
        Self(target.path.split('/').skip(1).map(one).collect())
    }

    /// Whether every path fits.
    pub(super) fn is_all(&self) -> bool {
        self.0 == [Segment::Many]
    }

    /// Whether a path, of a call, fits. Never looks back further than to the last `**`, so that no path of
    /// a guest's is slow in any pattern, and takes no memory.
    pub(super) fn admits(&self, path: &str) -> bool {
        let pattern = &self.0;
        let mut path = path.split('/').skip(1);
        let mut p = 0;
        // Where the pattern goes on after the last `**`, and what of the path it has not taken yet.
        let mut many = None;
        while let Some(segment) = path.next() {
            match pattern.get(p) {
                Some(Segment::Many) => {
                    p += 1;
                    many = Some((p, path.clone()));
                }
                Some(Segment::One(text)) if glob(text, segment) => p += 1,
                _ => {
                    let Some((after, rest)) = &mut many else {
                        return false;
                    };
                    // It is not at its end: this segment is behind it, or in it.
                    rest.next();
                    (p, path) = (*after, rest.clone());
                }
            }
        }
        p == pattern.len()
    }

    /// Whether all paths that fit `other` fit this. Where it cannot tell, it says no.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.0, &other.0);
        let (mut m, mut t) = (0, 0);
        let mut many: Option<(usize, usize)> = None;
        while let Some(their) = theirs.get(t) {
            match (mine.get(m), their) {
                (Some(Segment::Many), _) => {
                    (m, t) = (m + 1, t + 1);
                    many = Some((m, t));
                }
                // The other's stars are taken for text: a star of ours covers them, and nothing else does.
                (Some(Segment::One(text)), Segment::One(other)) if glob(text, other) => {
                    (m, t) = (m + 1, t + 1);
                }
                _ => {
                    let Some((after, until)) = many else {
                        return false;
                    };
                    (m, t) = (after, until + 1);
                    many = Some((after, until + 1));
                }
            }
        }
        m == mine.len()
    }

    /// Whether some path fits both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.parts(), other.parts());
        meet(&mine, &theirs, |a, b| {
            let letters = |text: &str| text.bytes().map(|b| (b != b'*').then_some(b)).collect();
            let (a, b): (Vec<_>, Vec<_>) = (letters(a), letters(b));
            meet(&a, &b, |a, b| a == b)
        })
    }

    /// The segments, with `**` as one segment and, as none, any number of others.
    fn parts(&self) -> Vec<Option<&str>> {
        let mut parts = Vec::with_capacity(self.0.len() + 1);
        for segment in &self.0 {
            match segment {
                Segment::Many => parts.extend([Some("*"), None]),
                Segment::One(text) => parts.push(Some(text)),
            }
        }
        parts
    }
}

/// Whether some sequence fits two patterns, in which none stands for any number of anything.
fn meet<T>(a: &[Option<T>], b: &[Option<T>], same: impl Fn(&T, &T) -> bool) -> bool {
    // Whether the ends of the patterns from here on meet, for one row of `a` after the other from its end.
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(None), None) => below[j],
                (None, Some(None)) => row[j + 1],
                (None, Some(Some(_))) | (Some(Some(_)), None) => false,
                // Either stands for nothing more, or for what the other stands for here.
                (Some(None), Some(_)) | (Some(_), Some(None)) => below[j] || row[j + 1],
                (Some(Some(x)), Some(Some(y))) => below[j + 1] && same(x, y),
            };
        }
        below = row;
    }
    below[0]
}

/// Whether `text` fits `pattern`, in which `*` stands for any text. Never looks back further than to
/// the last star, so that no pattern makes it slow.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Many => f.write_str("/**"),
            Segment::One(text) => write!(f, "/{text}"),
        })
    }
}
