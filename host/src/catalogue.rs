//! The catalogue: where stations come from, what their bytes say of themselves, and the compiled cache.
//!
//! Bytes are read once and named by their digest; what is known of them is read from these bytes alone,
//! never by running them. Compiling is left to a child process. Knows no engine: compiled code is a
//! verified file that the sandbox loads.

mod cache;
mod compiler;
mod facts;
mod kind;

pub use cache::{Cache, Compiled, Verified};
pub use compiler::{Allowance, Compiler};
pub use facts::{Facts, Format};
pub use kind::{Kind, OtherWorld, Wasi};

use crate::{digest::Digest, escape};
use andon_build::{BuildError, Options, manifest::Manifest};
use bytes::Bytes;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// A station's bytes and what they say. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Component {
    /// The file that they were read from; for a station folder the component that was built.
    pub source: PathBuf,
    /// Of the file's bytes.
    pub digest: Digest,
    /// The file's length in bytes.
    pub size: u64,
    /// The file's bytes.
    pub file: Bytes,
    /// A component or core module; where the file is text, what the text says.
    pub wasm: Bytes,
    /// What it imports and exports. Of a core module these are the module's own names.
    pub facts: Facts,
    /// What the station says of itself, if it does.
    pub manifest: Option<Manifest>,
    /// Whether a station folder had to be built for it.
    pub rebuilt: bool,
}

/// The largest file of WebAssembly, in bytes: 256 MiB.
pub const LARGEST: u64 = 256 << 20;
/// The largest file of WebAssembly text, in bytes: 16 MiB.
pub const LARGEST_TEXT: u64 = 16 << 20;

/// Why there is no station where one was expected.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Nothing is there.
    #[error(
        "`{}` does not exist\n  hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file", .0.display()
    )]
    Missing(PathBuf),
    /// It is neither a folder nor a file.
    #[error("`{}` is neither a folder nor a file", .0.display())]
    Special(PathBuf),
    /// A file over the limit.
    #[error("`{}` is larger than {most} bytes, the most that a station may have", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
    /// Bytes that are no WebAssembly.
    #[error("`{}` is neither WebAssembly nor its text format: {reason}\n  hint: a station is a folder with a `station.toml`, or a `.wasm` or `.wat` file", .path.display())]
    NotWasm {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; where in the text.
        reason: String,
    },
    /// It begins like WebAssembly and does not go on so.
    #[error("`{}` is damaged or cut short: {reason}\n  hint: build it, or copy it, once more", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which byte.
        reason: String,
    },
    /// It is fit for something else.
    #[error("`{}`: {reason}", .path.display())]
    Another {
        /// The file.
        path: PathBuf,
        /// What it exports instead.
        reason: String,
    },
    /// What it says of itself cannot be understood.
    #[error("`{}`: {reason}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The station folder does not build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The state folder does not have a component that it kept.
    #[error(
        "the component {} of `{}` is {what} in the state folder\n  hint: retool the line from its file, or take the state folder back from a backup",
        .digest.short(), .path.display()
    )]
    Unkept {
        /// The component.
        digest: Digest,
        /// What the line names.
        path: PathBuf,
        /// `missing` or `damaged`.
        what: &'static str,
    },
    /// It does not compile.
    #[error("`{}` does not compile: {reason}", .path.display())]
    Compile {
        /// The file.
        path: PathBuf,
        /// What the compiler says; escaped.
        reason: String,
    },
    /// The system says no.
    #[error("cannot {doing} `{}`: {reason}", .path.display())]
    System {
        /// `read`, `create`, ….
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// There is no place for compiled code.
    #[error(
        "cannot {doing} `{}`, where compiled stations are kept: {reason}\n  hint: free it, or let `XDG_CACHE_HOME` name a folder that andon may write to",
        .path.display()
    )]
    Cache {
        /// `create`, `open`, ….
        doing: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl CatalogueError {
    pub(self) fn cache<E: Into<io::Error>>(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self::Cache {
            doing,
            path: path.into(),
            reason: error.into().to_string(),
        }
    }

    pub(self) fn system<E: Into<io::Error>>(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self::System {
            doing,
            path: path.into(),
            reason: error.into().to_string(),
        }
    }
}

/// The station that `use_` names: a station folder, which is built if something in it changed, or a
/// file of WebAssembly or its text. `options` are the build's.
///
/// # Errors
/// When there is none, it does not build, or its bytes are none that could be a station.
pub fn resolve(use_: &Path, options: &Options<'_>) -> Result<Component, CatalogueError> {
    match std::fs::metadata(use_) {
        Ok(found) if found.is_dir() => {
            let built = andon_build::build(use_, options)?;
            read(&built.component).map(|component| Component {
                rebuilt: built.rebuilt,
                ..component
            })
        }
        Ok(found) if found.is_file() => read(use_),
        Ok(_) => Err(CatalogueError::Special(use_.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CatalogueError::Missing(use_.into()))
        }
        Err(error) => Err(CatalogueError::system("read", use_)(error)),
    }
}

/// The station in a file. The bytes are read once: what is checked is what is run.
fn read(path: &Path) -> Result<Component, CatalogueError> {
    let fail = || CatalogueError::system("read", path);
    let too_large = |most| CatalogueError::TooLarge {
        path: path.into(),
        most,
    };
    let file = File::open(path).map_err(fail())?;
    let expected = file.metadata().map_err(fail())?.len();
    if expected > LARGEST {
        return Err(too_large(LARGEST));
    }
    let mut bytes = Vec::with_capacity(expected as usize);
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(fail())?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large(LARGEST));
    }
    let digest = Digest::of(&bytes);
    understand(path, digest, bytes.into())
}

/// The station whose bytes were kept under this digest, and which the line then found at `source`.
///
/// # Errors
/// When they are not those bytes any more.
pub fn kept(
    source: &Path,
    digest: Digest,
    bytes: Option<Bytes>,
) -> Result<Component, CatalogueError> {
    let gone = |what| CatalogueError::Unkept {
        digest,
        path: source.into(),
        what,
    };
    let bytes = bytes.ok_or_else(|| gone("missing"))?;
    if Digest::of(&bytes) != digest {
        return Err(gone("damaged"));
    }
    understand(source, digest, bytes)
}

/// What the bytes of a file say.
fn understand(path: &Path, digest: Digest, file: Bytes) -> Result<Component, CatalogueError> {
    let size = file.len() as u64;
    let wasm = if file.starts_with(b"\0asm") {
        file.clone()
    } else {
        if size > LARGEST_TEXT && std::str::from_utf8(&file).is_ok() {
            return Err(CatalogueError::TooLarge {
                path: path.into(),
                most: LARGEST_TEXT,
            });
        }
        let wasm = parse_text(&file).map_err(|reason| CatalogueError::NotWasm {
            path: path.into(),
            reason,
        })?;
        wasm.into()
    };
    let facts = Facts::of(&wasm).map_err(|reason| CatalogueError::Broken {
        path: path.into(),
        reason,
    })?;
    let manifest =
        andon_build::manifest::extract(&wasm).map_err(|error| CatalogueError::Manifest {
            path: path.into(),
            reason: short(&error.to_string()),
        })?;
    Ok(Component {
        source: path.into(),
        digest,
        size,
        file,
        wasm,
        facts,
        manifest,
        rebuilt: false,
    })
}

fn parse_text(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("no WebAssembly header, and no UTF-8 ({error})"))?;
    if text.trim().is_empty() {
        return Err("there is nothing in it".into());
    }
    match wat::parse_str(text) {
        Ok(wasm) => Ok(wasm),
        Err(error) => Err(escape::block(&on_one_line(&error.to_string()))),
    }
}

/// The beginning of a text in which there may be names of the component's own, of any length.
fn short(text: &str) -> String {
    const MOST: usize = 400;
    let mut text = escape::block(text);
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

/// What the text's parser says: the reason, then its place below an arrow, then a picture of it.
fn on_one_line(error: &str) -> String {
    let mut lines = error.lines();
    let reason = lines.next().unwrap_or_default();
    match lines.next().and_then(|line| line.split_once("<anon>:")) {
        Some((_, place)) => format!("{reason} at {place}"),
        None => reason.into(),
    }
}

#[cfg(test)]
mod tests;
