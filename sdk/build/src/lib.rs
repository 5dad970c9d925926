//! Turns a station folder of any language into one WebAssembly component.
//!
//! ```no_run
//! let built = andon_build::build("plugins/report".as_ref(), &andon_build::Options::default())?;
//! println!("{}", built.component.display());
//! # Ok::<(), andon_build::BuildError>(())
//! ```
//!
//! A station folder has a `station.toml` ([`manifest`]) beside its sources. Each language is one module
//! that compiles the sources to wasm and names what it looked at; [`mod@adapt`] makes components of core
//! modules, and the manifest goes into a custom section. Knows nothing of lines, and no engine.

pub mod adapt;
mod c;
mod cache;
mod error;
pub mod manifest;
mod record;
mod rust;
mod sdk;
mod tool;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use adapt::{AdaptError, adapt};
pub use error::BuildError;
pub use sdk::sdk_path;

use cache::Lock;
use error::Doing;
use manifest::{Language, Manifest, StationFile};
use record::{Input, Record};

/// How to build. The default builds what has changed and says nothing.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Told what goes on, on the calling thread. Never called when nothing has to be built.
    pub progress: Option<&'a dyn Fn(Progress<'_>)>,
    /// Builds even when nothing has changed.
    pub force: bool,
}

/// What goes on during a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The station is built now.
    Building {
        /// Its name.
        station: &'a str,
        /// What it is written in.
        language: Language,
        /// What with, for people: `rustc for wasm32-wasip2`.
        with: &'a str,
    },
    /// Another process builds; this one goes on when it is through.
    Waiting {
        /// The station's name.
        station: &'a str,
    },
    /// A line that the compiler wrote.
    Line(&'a str),
}

/// A component that is up to date.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The file, `DIR/.andon/NAME.wasm`.
    pub component: PathBuf,
    /// What is embedded in it.
    pub manifest: Manifest,
    /// What it was built from.
    pub language: Language,
    /// Whether it had to be built.
    pub rebuilt: bool,
}

/// Builds the station in `dir` if anything that it is built from has changed.
///
/// May be called from several threads and processes at once. The component appears whole or not at
/// all; after an error the previous one is still there, and is not fresh.
pub fn build(dir: &Path, options: &Options<'_>) -> Result<Built, BuildError> {
    let file = dir.join("station.toml");
    let began = SystemTime::now();
    if !file.is_file() {
        return Err(BuildError::NotAStation(dir.to_owned()));
    }
    let text = fs::read_to_string(&file).doing("read", &file)?;
    let station = StationFile::from_toml(&text, dir).map_err(|problems| BuildError::Manifest {
        file: file.clone(),
        problems,
    })?;
    let language = match station.language {
        Some(language) => language,
        None => guess(dir)?,
    };

    let manifest = station.manifest;
    let shelf = dir.join(".andon");
    let component = shelf.join(format!("{}.wasm", manifest.name));
    let record = shelf.join(format!("{}.build.json", manifest.name));
    let built = |rebuilt| Built {
        component: component.clone(),
        manifest: manifest.clone(),
        language,
        rebuilt,
    };
    if !options.force && Record::is_fresh(&record, &component) {
        return Ok(built(false));
    }
    make_shelf(&shelf)?;
    let lock = shelf.join(format!("{}.lock", manifest.name));
    let _lock = Lock::take(&lock, || {
        options.tell(Progress::Waiting {
            station: &manifest.name,
        });
    })?;
    // Whoever had the lock may have built what was wanted here.
    if !options.force && Record::is_fresh(&record, &component) {
        return Ok(built(false));
    }

    let job = Job {
        dir: &dir.canonicalize().doing("open", dir)?,
        station: &manifest.name,
        language,
        cache: cache::folder()?,
        options,
    };
    let mut product = match language {
        Language::Rust => rust::compile(&job)?,
        Language::C => c::compile(&job)?,
    };
    let adapted = adapt(&product.wasm).map_err(|cause| BuildError::Adapt {
        station: manifest.name.clone(),
        cause,
    })?;
    let whole = manifest::embed(&adapted, &manifest).map_err(|cause| BuildError::Embed {
        station: manifest.name.clone(),
        cause,
    })?;
    cache::write_whole(&component, &whole)?;
    product
        .inputs
        .insert(Input::Path(job.dir.join("station.toml")));
    for schema in station.files {
        product
            .inputs
            .insert(Input::Path(schema.canonicalize().unwrap_or(schema)));
    }
    Record::of(&component, product.inputs, began).save(&record)?;
    Ok(built(true))
}

/// One build, as a language sees it.
struct Job<'a> {
    /// The station's folder, absolute.
    dir: &'a Path,
    station: &'a str,
    language: Language,
    /// The folder that all stations share.
    cache: PathBuf,
    options: &'a Options<'a>,
}

/// What a language made.
struct Product {
    /// A component, or a core module that [`adapt()`] takes.
    wasm: Vec<u8>,
    /// What has to stay as it is for the product to stay as it is, the toolchain included.
    inputs: BTreeSet<Input>,
}

impl Options<'_> {
    fn tell(&self, progress: Progress<'_>) {
        if let Some(tell) = self.progress {
            tell(progress);
        }
    }
}

impl Job<'_> {
    fn building(&self, with: &str) {
        let (station, language) = (self.station, self.language);
        self.options.tell(Progress::Building {
            station,
            language,
            with,
        });
    }

    fn unclear(&self, what: impl Into<String>, hint: impl Into<String>) -> BuildError {
        BuildError::Unclear {
            dir: self.dir.to_owned(),
            what: what.into(),
            hint: hint.into(),
        }
    }

    fn missing(&self, what: &str, hint: &str) -> BuildError {
        let station = self.station.to_owned();
        BuildError::Missing {
            station,
            what: what.into(),
            hint: hint.into(),
        }
    }
}

fn guess(dir: &Path) -> Result<Language, BuildError> {
    if dir.join("Cargo.toml").is_file() {
        return Ok(Language::Rust);
    }
    if !c::sources(dir)?.is_empty() {
        return Ok(Language::C);
    }
    let names = Language::ALL
        .map(|language| format!("`{language}`"))
        .join(" or ");
    Err(BuildError::Unclear {
        dir: dir.to_owned(),
        what: "there is neither a `Cargo.toml` nor a `*.c` beside `station.toml`".into(),
        hint: format!("add the sources; languages known so far are {names}"),
    })
}

/// What is built is no part of the sources, so version control is told to leave it alone.
fn make_shelf(shelf: &Path) -> Result<(), BuildError> {
    if !shelf.is_dir() {
        fs::create_dir_all(shelf).doing("create", shelf)?;
        cache::write_whole(&shelf.join(".gitignore"), b"*\n")?;
    }
    Ok(())
}
