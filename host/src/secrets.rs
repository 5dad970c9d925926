//! The operator's secrets: where each of a factory's is kept, and how it gets there and out again.
//!
//! A secret is looked for in the environment (`ANDON_SECRET_NAME`), then in the system's keyring or in a
//! file of the user's, whichever it was given to. Which of the two that was stands in the file, so that
//! the keyring is asked only for what it has. Values are zeroed when they are let go of, and are in no
//! error and no debug output. Knows nothing of who may use which.

mod file;
#[cfg(target_os = "macos")]
mod keychain;
mod keyring;
#[cfg(not(target_os = "macos"))]
mod secret_tool;
mod value;

pub use keyring::{Keyring, KeyringError, system};
pub use value::{BadValue, LONGEST, SHORTEST, value};

use crate::{digest::Digest, grant::SecretGrant, line::Line};
use file::{Contents, File, Stamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// What stands before a secret's name in the environment.
pub const VARIABLE: &str = "ANDON_SECRET_";

/// A secret's value.
pub type Value = Zeroizing<String>;

/// Where a secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In an environment variable, which whoever starts andon sets.
    Environment,
    /// In the system's keyring.
    Keyring,
    /// In a file that only the user may read.
    File,
}

/// That a secret is kept somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Where.
    pub place: Place,
    /// Whether this is the one that is used; else one before it is.
    pub used: bool,
}

/// Why a secret cannot be had, kept or removed. No text has a part of one.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The user has no folder for data.
    #[error("there is no folder for secrets\n  hint: set `HOME` or `XDG_DATA_HOME`")]
    NoHome,
    /// Others could have read or changed what is kept.
    #[error("`{path}` {what}\n  hint: {hint}")]
    Exposed {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The file is not as it was written.
    #[error(
        "`{path}` is damaged: {what}\n  hint: move it away and set the secrets anew with `andon secret set`"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it, and in which line.
        what: String,
    },
    /// The system says no.
    #[error("cannot {doing} `{path}`: {reason}")]
    System {
        /// `read`, `write`, ….
        doing: &'static str,
        /// The file or folder.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
    /// The variable's value can be no secret.
    #[error("the environment variable `{variable}` holds no secret: {reason}")]
    Variable {
        /// The variable.
        variable: String,
        /// Why not.
        reason: BadValue,
    },
    /// The keyring does not do what it was asked.
    #[error("the secret `{name}` {doing} the system's keyring: {reason}\n  hint: {hint}")]
    Keyring {
        /// The secret's name.
        name: String,
        /// `is kept in`, `cannot be put into`, ….
        doing: &'static str,
        /// What it says.
        reason: KeyringError,
        /// What to do.
        hint: &'static str,
    },
}

/// Reads one variable.
type Variable = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// The environment, as far as secrets are in it.
struct Environment {
    /// The names of the secrets in it.
    names: BTreeSet<String>,
    get: Box<Variable>,
}

/// The secrets of one factory.
pub struct Secrets {
    factory: PathBuf,
    file: File,
    keyring: Arc<dyn Keyring>,
    environment: Environment,
    /// What was read last, for as long as the file is the same: an egress asks with each call.
    last: Mutex<Option<Last>>,
}

struct Last {
    stamp: Stamp,
    contents: Contents,
    /// What the keyring gave; a secret that is set anew makes the file another.
    given: BTreeMap<String, Value>,
}

/// By what a factory's secrets are found: the folder of its `andon.toml`, or that file itself where it
/// has another name; without one, the line's folder. Links are followed.
///
/// # Errors
/// When there is no such file or folder.
pub fn factory(file: Option<&Path>, folder: &Path) -> io::Result<PathBuf> {
    let Some(file) = file else {
        return folder.canonicalize();
    };
    let file = file.canonicalize()?;
    let named = file.file_name().is_some_and(|name| name == "andon.toml");
    Ok(match file.parent() {
        Some(folder) if named => folder.into(),
        _ => file,
    })
}

impl Secrets {
    /// Where the files with secrets are: `$XDG_DATA_HOME/andon/secrets`, or the same below
    /// `~/.local/share`. Nothing of it may ever be granted.
    pub fn default_folder() -> Option<PathBuf> {
        let set = |name| env::var_os(name).map(PathBuf::from);
        set("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".local/share")))
            .map(|data| data.join("andon/secrets"))
    }

    /// The secrets of a factory, see [`factory()`], with the system's keyring. Touches neither yet.
    ///
    /// # Errors
    /// When the user has no folder for data.
    pub fn of(factory: &Path) -> Result<Self, SecretsError> {
        let folder = Self::default_folder().ok_or(SecretsError::NoHome)?;
        let names = env::vars_os()
            .filter_map(|(name, _)| Some(name.to_str()?.strip_prefix(VARIABLE)?.to_owned()))
            .filter(|name| SecretGrant::is_name(name))
            .collect();
        let get = Box::new(|name: &str| env::var_os(name));
        let environment = Environment { names, get };
        Ok(Self::with(&folder, factory, system(), environment))
    }

    fn with(
        folder: &Path,
        factory: &Path,
        keyring: Arc<dyn Keyring>,
        environment: Environment,
    ) -> Self {
        let name = Digest::of(factory.as_os_str().as_encoded_bytes()).to_string();
        Self {
            factory: factory.into(),
            file: File::new(folder, &name, factory),
            keyring,
            environment,
            last: Mutex::default(),
        }
    }

    /// The secret of this name; none where there is none. Blocks while the keyring is asked.
    ///
    /// # Errors
    /// When it is kept somewhere and cannot be had.
    pub fn get(&self, name: &str) -> Result<Option<Value>, SecretsError> {
        if let Some(value) = self.variable(name)? {
            return Ok(Some(value));
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((file, stamp)) = self.file.open()? else {
            *last = None;
            return Ok(None);
        };
        if last.as_ref().is_none_or(|last| last.stamp != stamp) {
            *last = Some(Last {
                stamp,
                contents: self.file.read(file)?,
                given: BTreeMap::new(),
            });
        }
        let Some(Last {
            contents, given, ..
        }) = last.as_mut()
        else {
            return Ok(None);
        };
        match contents.get(name) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => {
                if let Some(value) = given.get(name) {
                    return Ok(Some(value.clone()));
                }
                let failed = |reason| SecretsError::Keyring {
                    name: name.into(),
                    doing: "is kept in",
                    reason,
                    hint: "unlock the keyring, or set the secret anew with `andon secret set`",
                };
                let value = self.keyring.get(&self.key(), name).map_err(failed)?;
                if let Some(value) = &value {
                    given.insert(name.into(), value.clone());
                }
                Ok(value)
            }
        }
    }

    /// All secrets, by name, and where each is kept. Asks no keyring.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kept(&self) -> Result<Vec<Kept>, SecretsError> {
        let mut kept: Vec<Kept> = (self.environment.names.iter())
            .map(|name| Kept {
                name: name.clone(),
                place: Place::Environment,
                used: true,
            })
            .collect();
        if let Some((file, _)) = self.file.open()? {
            let contents = self.file.read(file)?;
            kept.extend(contents.entries().map(|(name, value)| Kept {
                name: name.into(),
                place: match value {
                    Some(_) => Place::File,
                    None => Place::Keyring,
                },
                used: !self.environment.names.contains(name),
            }));
        }
        kept.sort_by(|a, b| (&a.name, a.place).cmp(&(&b.name, b.place)));
        Ok(kept)
    }

    /// Keeps a secret, in `place`; without one in the keyring where one answers, else in the file. What
    /// was kept under the name is replaced. Says where it is now.
    ///
    /// # Errors
    /// When it cannot be kept there. What was kept before is then kept still.
    pub fn set(
        &self,
        name: &str,
        value: &Value,
        place: Option<Place>,
    ) -> Result<Place, SecretsError> {
        let failed = |reason| SecretsError::Keyring {
            name: name.into(),
            doing: "cannot be put into",
            reason,
            hint: "`--in file` keeps it in a file that only you may read",
        };
        let place = match place {
            Some(Place::File) => Place::File,
            asked => match self.keyring.set(&self.key(), name, value) {
                Ok(()) => Place::Keyring,
                Err(KeyringError::Absent(_)) if asked.is_none() => Place::File,
                Err(reason) => return Err(failed(reason)),
            },
        };
        let kept = match place {
            Place::File => Some(value),
            Place::Keyring | Place::Environment => None,
        };
        let before = self.file.change(|contents| {
            let before = contents.get(name);
            (contents.with(name, kept), before)
        })?;
        if before == Some(None) && place == Place::File {
            // It is used no more; a keyring that does not answer now keeps what nobody asks for.
            let _ = self.keyring.remove(&self.key(), name);
        }
        Ok(place)
    }

    /// Removes a secret from where it is kept, but for the environment; none where it is nowhere.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<Option<Place>, SecretsError> {
        let Some((file, _)) = self.file.open()? else {
            return Ok(None);
        };
        let place = match self.file.read(file)?.get(name) {
            None => return Ok(None),
            Some(Some(_)) => Place::File,
            Some(None) => {
                let failed = |reason| SecretsError::Keyring {
                    name: name.into(),
                    doing: "cannot be removed from",
                    reason,
                    hint: "unlock the keyring and try again",
                };
                self.keyring.remove(&self.key(), name).map_err(failed)?;
                Place::Keyring
            }
        };
        self.file.change(|contents| (contents.without(name), ()))?;
        Ok(Some(place))
    }

    /// The secrets that stations of a line are granted, or that its webhooks are signed with, and that are
    /// kept nowhere; with the stations, and the places of the webhooks.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn missing(&self, line: &Line) -> Result<BTreeMap<String, Vec<String>>, SecretsError> {
        let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (station, definition) in &line.stations {
            let names: BTreeSet<&String> = (definition.grants.secrets.iter())
                .map(|grant| &grant.name)
                .collect();
            for name in names {
                missing
                    .entry(name.clone())
                    .or_default()
                    .push(station.to_string());
            }
        }
        for (place, webhook) in line.webhooks() {
            if let Some(name) = &webhook.secret {
                missing.entry(name.clone()).or_default().push(place);
            }
        }
        if !missing.is_empty() {
            for kept in self.kept()? {
                missing.remove(&kept.name);
            }
        }
        Ok(missing)
    }

    /// The file in which secrets are, or would be.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The name of the factory in the keyring.
    fn key(&self) -> String {
        self.factory.to_string_lossy().into_owned()
    }

    fn variable(&self, name: &str) -> Result<Option<Value>, SecretsError> {
        if !self.environment.names.contains(name) {
            return Ok(None);
        }
        let variable = format!("{VARIABLE}{name}");
        let Some(set) = (self.environment.get)(&variable) else {
            return Ok(None);
        };
        let bytes = Zeroizing::new(set.into_encoded_bytes());
        match value(bytes) {
            Ok(value) => Ok(Some(value)),
            Err(reason) => Err(SecretsError::Variable { variable, reason }),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("factory", &self.factory)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// As programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Keyring => "keyring",
            Self::File => "file",
        }
    }
}

#[cfg(test)]
mod tests;
