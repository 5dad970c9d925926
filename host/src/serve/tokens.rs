//! Tokens of people and programs that call over TCP: a file in the state folder that only its owner may
//! read, replaced as a whole. It has the hashes of tokens, never the tokens.

use crate::{
    digest::Digest,
    escape::shown,
    role::{Caller, Role},
    visit::Millis,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rustix::{
    fs::{FlockOperation, Mode, OFlags, Stat, flock, fstat, open},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The file in the state folder.
const FILE: &str = "tokens.json";
/// Held by whoever changes the file.
const LOCK: &str = "tokens.lock";
/// The format that is written.
const VERSION: u32 = 1;
/// The most bytes of the file.
const LARGEST: u64 = 4 << 20;
/// What every token begins with, so that it is known for one wherever it turns up.
const PREFIX: &str = "andon_";
/// How many random bytes a token has.
const RANDOM: usize = 32;

/// A token, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose it is.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The hash of the token.
    pub hash: Digest,
    /// When it was made.
    pub made: Millis,
    /// When it ends; none where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Millis>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    tokens: Vec<Token>,
}

/// What went wrong with tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is none.
    #[error(
        "`{}` is no name for a token\n  hint: a name is 1 to 64 of letters, digits, `.`, `_`, `@` and `-`",
        shown(.0)
    )]
    Name(String),
    /// There is one of that name.
    #[error(
        "there is a token of `{0}` already\n  hint: `andon token revoke {0}` ends it, or give this one another name"
    )]
    Taken(String),
    /// There is none of that name.
    #[error("there is no token of `{}`\n  hint: `andon token list` lists them", shown(.0))]
    Missing(String),
    /// The file gives others rights.
    #[error("`{}` is open to others\n  hint: `chmod 600 {}`", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// The file cannot be understood.
    #[error("`{}` is damaged: {reason}\n  hint: remove it and make new tokens", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system says no.
    #[error("cannot {doing} `{}`: {reason}", path.display())]
    System {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// The tokens of a state folder.
#[derive(Debug, Clone)]
pub struct Tokens {
    folder: PathBuf,
}

/// Which file it is: a replaced one is another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64, u64);

impl Stamp {
    fn of(stat: &Stat) -> Self {
        #[allow(clippy::unnecessary_cast, reason = "their widths differ by system")]
        Self(
            stat.st_dev as u64,
            stat.st_ino as u64,
            stat.st_size as i64,
            stat.st_mtime as i64,
            stat.st_mtime_nsec as u64,
        )
    }
}

impl Tokens {
    /// Those of a state folder.
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Makes a token and keeps its hash: the token, which nobody can read again.
    ///
    /// # Errors
    /// When the name is none or is taken by a token that has not expired, or the file cannot be
    /// changed.
    pub fn add(
        &self,
        name: &str,
        role: Role,
        now: Millis,
        expires: Option<Millis>,
    ) -> Result<String, TokenError> {
        if !is_name(name) {
            return Err(TokenError::Name(name.into()));
        }
        let token = random().map_err(|error| TokenError::System {
            doing: "draw from",
            path: "/dev/urandom".into(),
            reason: error,
        })?;
        let hash = Digest::of(&token);
        self.change(|tokens| {
            tokens.retain(|token| token.name != name || !expired(token, now));
            if tokens.iter().any(|token| token.name == name) {
                return Err(TokenError::Taken(name.into()));
            }
            tokens.push(Token {
                name: name.into(),
                role,
                hash,
                made: now,
                expires,
            });
            Ok(())
        })?;
        Ok(token)
    }

    /// Ends a token: a daemon that runs refuses it from then on.
    ///
    /// # Errors
    /// When there is none of that name, or the file cannot be changed.
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|token| token.name != name);
            match tokens.len() < before {
                true => Ok(()),
                false => Err(TokenError::Missing(name.into())),
            }
        })
    }

    /// All tokens, in the order in which they were made.
    ///
    /// # Errors
    /// When the file cannot be read, or others can.
    pub fn list(&self) -> Result<Vec<Token>, TokenError> {
        Ok(match self.open()? {
            Some((file, _)) => self.read(file)?,
            None => Vec::new(),
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn system(&self, doing: &'static str, reason: impl Into<io::Error>) -> TokenError {
        TokenError::System {
            doing,
            path: self.path(),
            reason: reason.into(),
        }
    }

    fn open(&self) -> Result<Option<(File, Stamp)>, TokenError> {
        // Not blocking: a pipe in its place would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match open(self.path(), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.system("open", error)),
        };
        let stat = fstat(&file).map_err(|error| self.system("read", error))?;
        if Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
            return Err(TokenError::Exposed(self.path()));
        }
        Ok(Some((file.into(), Stamp::of(&stat))))
    }

    fn read(&self, file: File) -> Result<Vec<Token>, TokenError> {
        let damaged = |reason: String| TokenError::Damaged {
            path: self.path(),
            reason,
        };
        let mut text = Vec::new();
        file.take(LARGEST + 1)
            .read_to_end(&mut text)
            .map_err(|error| self.system("read", error))?;
        if text.len() as u64 > LARGEST {
            return Err(damaged(format!("it is larger than {LARGEST} bytes")));
        }
        let kept: Kept = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if kept.version != VERSION {
            return Err(damaged(format!("it has the format {}", kept.version)));
        }
        Ok(kept.tokens)
    }

    /// Replaces the file by what `change` makes of it, with no other writer in between.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.folder.join(LOCK))
            .map_err(|error| self.system("lock", error))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| self.system("lock", error))?;
        let mut tokens = self.list()?;
        change(&mut tokens)?;
        let kept = Kept {
            version: VERSION,
            tokens,
        };
        self.replace(&kept)
            .map_err(|error| self.system("write", error))
    }

    fn replace(&self, kept: &Kept) -> io::Result<()> {
        let new = self.folder.join(format!("{FILE}.new"));
        // What a crash left behind; nobody else is writing.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut text = serde_json::to_vec_pretty(kept)?;
        text.push(b'\n');
        let written = File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&new, self.path()));
        if let Err(error) = written {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        File::open(&self.folder)?.sync_all()
    }
}

/// The tokens as a daemon knows them: read again when the file is another.
#[derive(Debug)]
pub struct Known {
    tokens: Tokens,
    seen: Mutex<(Option<Stamp>, Arc<[Token]>)>,
}

impl Known {
    /// Those of a state folder.
    pub fn of(folder: &Path) -> Self {
        Self {
            tokens: Tokens::of(folder),
            seen: Mutex::new((None, Arc::new([]))),
        }
    }

    /// Who has this token; none where nobody has.
    ///
    /// # Errors
    /// When the file cannot be read: nobody is let in then.
    pub fn caller(&self, token: &str, now: Millis) -> Result<Option<Caller>, TokenError> {
        let hash = blake3::hash(token.as_bytes());
        let mut caller = None;
        for token in self.current()?.iter() {
            // Compared in constant time, and all of them, so that the time tells nothing.
            let fits = blake3::Hash::from_bytes(*token.hash.as_bytes()) == hash;
            if fits && !expired(token, now) {
                caller = Some(Caller {
                    name: token.name.clone(),
                    role: token.role,
                });
            }
        }
        Ok(caller)
    }

    fn current(&self) -> Result<Arc<[Token]>, TokenError> {
        // What is kept is whole whoever panicked.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.tokens.open()?;
        let stamp = found.as_ref().map(|(_, stamp)| stamp);
        if stamp != seen.0.as_ref() {
            *seen = match found {
                Some((file, stamp)) => (Some(stamp), self.tokens.read(file)?.into()),
                None => (None, Arc::new([])),
            };
        }
        Ok(seen.1.clone())
    }
}

/// Whether a token is over at `now`.
pub fn expired(token: &Token, now: Millis) -> bool {
    token.expires.is_some_and(|at| at <= now)
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-'))
}

fn random() -> io::Result<String> {
    let mut bytes = [0; RANDOM];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_lets_in_until_it_expires_or_is_revoked() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = Tokens::of(folder.path());
        let known = Known::of(folder.path());
        let caller = |token: &str, now| {
            known
                .caller(token, now)
                .expect("readable")
                .map(|caller| (caller.name, caller.role))
        };
        assert_eq!(caller("andon_x", 0), None);
        let ada = tokens.add("ada", Role::Operator, 10, None).expect("added");
        let bot = tokens
            .add("bot@ci", Role::Viewer, 10, Some(20))
            .expect("added");
        assert_eq!(caller(&ada, 10), Some(("ada".into(), Role::Operator)));
        assert_eq!(caller(&bot, 19), Some(("bot@ci".into(), Role::Viewer)));
        assert_eq!(caller(&bot, 20), None);
        assert_eq!(caller(&ada[..ada.len() - 1], 10), None);
        assert_eq!(caller("", 10), None);
        let again = tokens.add("ada", Role::Admin, 11, None);
        assert!(matches!(again, Err(TokenError::Taken(_))));
        tokens
            .add("bot@ci", Role::Viewer, 20, None)
            .expect("the one before is over");
        tokens.revoke("ada").expect("revoked");
        assert_eq!(caller(&ada, 11), None);
        let again = tokens.revoke("ada");
        assert!(matches!(again, Err(TokenError::Missing(_))));
        for name in ["", "a b", "a\nb", "ü", &"a".repeat(65)] {
            let added = tokens.add(name, Role::Viewer, 0, None);
            assert!(matches!(added, Err(TokenError::Name(_))), "{name:?}");
        }
        let text = fs::read_to_string(tokens.path()).expect("readable");
        assert!(!text.contains(&ada) && !text.contains(&bot));
        let mode = fs::metadata(tokens.path()).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn nobody_is_let_in_by_a_file_that_others_may_have_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = Tokens::of(folder.path());
        let known = Known::of(folder.path());
        let ada = tokens.add("ada", Role::Admin, 0, None).expect("added");
        assert!(known.caller(&ada, 0).expect("readable").is_some());
        let open = fs::Permissions::from_mode(0o622);
        fs::set_permissions(tokens.path(), open).expect("changed");
        assert!(matches!(known.caller(&ada, 0), Err(TokenError::Exposed(_))));
        fs::remove_file(tokens.path()).expect("removed");
        assert!(known.caller(&ada, 0).expect("readable").is_none());
        for damaged in ["", "{}", "{\"version\":2,\"tokens\":[]}", "\u{0}"] {
            fs::write(tokens.path(), damaged).expect("written");
            let own = fs::Permissions::from_mode(0o600);
            fs::set_permissions(tokens.path(), own).expect("changed");
            assert!(matches!(
                known.caller(&ada, 0),
                Err(TokenError::Damaged { .. })
            ));
        }
    }
}
