//! What the ceiling leaves of what a line grants, as a whole: for checks before anything runs and for
//! people. A call is decided by itself, see [`Rights::http`].

use super::{
    Access, Ceiling, Grants, HttpGrant, HttpRule, Methods, Mount, Rights, SecretGrant, TcpGrant,
    TcpRule,
};

/// What the ceiling leaves of a grant; entries of it by their number from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// All: there is no ceiling, or this entry of it admits all.
    Whole(Option<usize>),
    /// What these entries admit of it.
    Part(Vec<usize>),
    /// Nothing.
    Nothing,
}

/// Who does not give what a station needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The line does not grant it.
    Line,
    /// The line grants it, and the ceiling does not admit it.
    Ceiling,
}

impl Left {
    fn of<T>(entries: &[T], whole: impl Fn(&T) -> bool, meets: impl Fn(&T) -> bool) -> Self {
        let met: Vec<usize> = (0..entries.len()).filter(|n| meets(&entries[*n])).collect();
        match met.first() {
            None => Self::Nothing,
            // the first that is for a call decides, also where a later one is wider
            Some(first) if whole(&entries[*first]) => Self::Whole(Some(*first)),
            Some(_) => Self::Part(met),
        }
    }
}

impl Ceiling {
    /// What is left of a folder, its host and those of the ceiling resolved: the entry that admits it and
    /// how far it is open then.
    pub fn mount(&self, mount: &Mount) -> Option<(usize, Access)> {
        let around = self.grants.fs.iter().enumerate();
        around
            .filter(|(_, entry)| mount.host.starts_with(&entry.host))
            .map(|(n, entry)| (n, entry.access.min(mount.access)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
    }
}

impl Rights {
    /// The folders that are mounted, each with its number in the line: those that lie in one of the
    /// ceiling's, no further open than that one is.
    pub fn mounts(&self) -> impl Iterator<Item = (usize, Mount)> {
        self.grants
            .fs
            .iter()
            .enumerate()
            .filter_map(|(n, mount)| match &self.ceiling {
                None => Some((n, mount.clone())),
                Some(ceiling) => {
                    let (_, access) = ceiling.mount(mount)?;
                    let mut mount = mount.clone();
                    if access < mount.access {
                        (mount.access, mount.quota, mount.max_files) = (access, None, None);
                    }
                    Some((n, mount))
                }
            })
    }

    /// What the ceiling leaves of a folder.
    pub fn left_of_mount(&self, mount: &Mount) -> Left {
        match &self.ceiling {
            None => Left::Whole(None),
            Some(ceiling) => match ceiling.mount(mount) {
                None => Left::Nothing,
                Some((n, access)) if access == mount.access => Left::Whole(Some(n)),
                Some((n, _)) => Left::Part(vec![n]),
            },
        }
    }

    /// What the ceiling leaves of calls over HTTP.
    pub fn left_of_http(&self, grant: &HttpGrant) -> Left {
        let Some(ceiling) = &self.ceiling else {
            return Left::Whole(None);
        };
        let whole = |entry: &HttpGrant| {
            entry.rule.covers(&grant.rule)
                && (entry.private || !grant.private)
                && entry.max_response >= grant.max_response
                && entry.timeout >= grant.timeout
        };
        let meets = |entry: &HttpGrant| entry.rule.meets(&grant.rule);
        Left::of(&ceiling.grants.http, whole, meets)
    }

    /// What the ceiling leaves of connections over TCP.
    pub fn left_of_tcp(&self, grant: &TcpGrant) -> Left {
        let Some(ceiling) = &self.ceiling else {
            return Left::Whole(None);
        };
        let whole =
            |entry: &TcpGrant| entry.rule.covers(&grant.rule) && (entry.private || !grant.private);
        let meets = |entry: &TcpGrant| entry.rule.meets(&grant.rule);
        Left::of(&ceiling.grants.tcp, whole, meets)
    }

    /// What the ceiling leaves of a secret.
    pub fn left_of_secret(&self, grant: &SecretGrant) -> Left {
        let Some(ceiling) = &self.ceiling else {
            return Left::Whole(None);
        };
        let whole = |entry: &SecretGrant| entry.r#for.covers(&grant.r#for);
        let meets =
            |entry: &SecretGrant| entry.name == grant.name && entry.r#for.meets(&grant.r#for);
        let left = Left::of(&ceiling.grants.secrets, whole, meets);
        // For secrets any entry decides, not the first: one that admits all leaves all.
        match left {
            Left::Part(entries) => {
                let all = entries.iter().find(|n| whole(&ceiling.grants.secrets[**n]));
                match all {
                    Some(n) => Left::Whole(Some(*n)),
                    None => Left::Part(entries),
                }
            }
            left => left,
        }
    }

    /// Who does not give all calls of `rule`, if anybody does not.
    pub fn lacks_http(&self, rule: &HttpRule) -> Option<Lack> {
        self.lacks(|grants| match &rule.methods {
            Methods::Any => grants.http.iter().any(|grant| grant.rule.covers(rule)),
            Methods::Some(methods) => methods.iter().all(|method| {
                let one = rule.of_method(method);
                grants.http.iter().any(|grant| grant.rule.covers(&one))
            }),
        })
    }

    /// Who does not give all connections of `rule`, if anybody does not.
    pub fn lacks_tcp(&self, rule: &TcpRule) -> Option<Lack> {
        self.lacks(|grants| grants.tcp.iter().any(|grant| grant.rule.covers(rule)))
    }

    /// Who does not give a secret of this name to any destination, if anybody does not.
    pub fn lacks_secret(&self, name: &str) -> Option<Lack> {
        let mut granted = self.grants.secrets.iter().filter(|s| s.name == name);
        if granted.clone().next().is_none() {
            return Some(Lack::Line);
        }
        let left = granted.any(|grant| self.left_of_secret(grant) != Left::Nothing);
        (!left).then_some(Lack::Ceiling)
    }

    fn lacks(&self, gives: impl Fn(&Grants) -> bool) -> Option<Lack> {
        if !gives(&self.grants) {
            return Some(Lack::Line);
        }
        match &self.ceiling {
            Some(ceiling) if !gives(&ceiling.grants) => Some(Lack::Ceiling),
            _ => None,
        }
    }
}
