//! From a line file to a line that can run: read it, find its components, compile them, check that all
//! of it fits, and make the stations ready in a sandbox.
//!
//! Everything that can be known to be wrong is found here, before an item is taken, and told at once.

pub mod assets;
mod factory;
mod folders;
mod granted;
mod kept;
pub mod lock;
mod reserved;
mod revision;

pub use assets::AssetError;
pub use factory::{file as factory_file, find as factory_of, same_file, still as factory_still};
pub use granted::note_grants;
pub(crate) use kept::seen_from;
pub use kept::{KeepError, Stock};
pub use revision::Revision;

use crate::{
    catalogue::{self, Allowance, Cache, CatalogueError, Compiled, Compiler, Component},
    content::Content,
    digest::Digest,
    factory::Factory,
    grant::{Left, Mount, Rights},
    journal::memory::Memory,
    line::{self, Draft, Line, Station, Vars, fit},
    name::Name,
    problem::{Problem, shown},
    sandbox::{
        InProcess, Own, OwnSettings, OwnStation, PrepareError, Settings, StartError,
        compile::engine_key,
        egress::{self, Terms},
    },
    workspace::Workspaces,
};
use andon_build::{Options, Progress};
use assets::Tree;
use reserved::{Reserved, resolve};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// The folder that a line is in, which is named by its file or that folder.
pub(crate) fn folder_of(line: &Path) -> &Path {
    match line.parent() {
        _ if line.is_dir() => line,
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// How to assemble.
pub struct Assembly<'a> {
    /// The factory's file; without one, the nearest `andon.toml` in the line's folder or above.
    pub factory: Option<&'a Path>,
    /// The state folder that is used; without one, `.andon` beside the line.
    pub state: Option<&'a Path>,
    /// The program whose `compile` compiles: andon itself.
    pub exe: PathBuf,
    /// Told what takes its time: `building scan`, `compiling scan`.
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// A line, checked, with all that it needs.
#[derive(Debug)]
pub struct Assembled {
    /// The line as its file has it.
    pub draft: Draft,
    /// The folder that the line's paths are relative to.
    pub folder: PathBuf,
    /// What the factory's file says.
    pub factory: Factory,
    /// Each station's component.
    pub parts: BTreeMap<Name, Part>,
    /// What each station may do, its folders resolved.
    rights: BTreeMap<Name, Rights>,
    /// The line's file; none for a station on its own.
    pub file: Option<PathBuf>,
    /// Where the line's lock is, or would be; none for a station on its own.
    pub lock: Option<PathBuf>,
    /// Of a kept revision: the line file as it is now.
    written: Option<Draft>,
    /// Each station's assets, in the order of the line file.
    assets: BTreeMap<Name, Vec<Tree>>,
    /// The values of variables that go into assets and grants.
    vars: BTreeMap<String, String>,
}

/// A station's component, compiled.
#[derive(Debug)]
pub struct Part {
    /// Its bytes and what they say.
    pub component: Component,
    /// Its code.
    pub compiled: Compiled,
    /// In which way it is a station.
    pub kind: catalogue::Kind,
}

/// Why there is no line to run.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The line, the factory file or a station is wrong; all that is, in the order of the file.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// What was named cannot be read.
    #[error("`{path}` cannot be read: {reason}\n  hint: {hint}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// What the system says.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The factory's file that bounded the line before is gone.
    #[error(
        "the factory's file `{}` is gone, which says what the line may do at most\n  hint: put it back, or say where it is now with `--factory FILE`",
        shown(&.0.display().to_string())
    )]
    NoFactory(PathBuf),
    /// Another factory's file bounded the line before.
    #[error(
        "until now the factory's file `{}` said what the line may do at most\n  hint: name it with `--factory`, or the one that says it from now on",
        shown(&.0.display().to_string())
    )]
    OtherFactory(PathBuf),
    /// A single station cannot be used.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The compiled cache has no place.
    #[error("there is no folder for compiled components\n  hint: set `HOME` or `XDG_CACHE_HOME`")]
    NoCache,
    /// The engine does not run here.
    #[error("the engine does not start: {0}")]
    Engine(String),
    /// A station cannot be made ready.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// Assets cannot be kept.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// There are no runner processes.
    #[error(transparent)]
    Runners(StartError),
}

/// What a path on the command line means.
enum Subject {
    /// A line file.
    Line(PathBuf),
    /// A station folder or a component.
    Station(PathBuf),
}

/// Where components and assets come from.
enum From<'a> {
    /// From where the line file says.
    Files,
    /// From the state folder, these components.
    Kept(Stock<'a>, &'a BTreeMap<Name, Digest>),
}

impl Assembly<'_> {
    /// Assembles the line at `path`: a `line.toml`, or its folder; or a station folder or component,
    /// which becomes a line of its own with every port leading to `done`. A line that has a lock is held
    /// to it.
    ///
    /// # Errors
    /// All that is wrong with it; where that is nothing, all that the lock does not admit.
    pub fn assemble(&self, path: &Path) -> Result<Assembled, AssemblyError> {
        self.assemble_unlocked(path)?.held_to_its_lock()
    }

    /// The same without a look at the lock: to show what has changed, and to accept it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn assemble_unlocked(&self, path: &Path) -> Result<Assembled, AssemblyError> {
        match subject(path)? {
            Subject::Line(file) => self.line(&file),
            Subject::Station(path) => self.station(&path),
        }
    }

    fn line(&self, file: &Path) -> Result<Assembled, AssemblyError> {
        let bytes = fs::read(file)
            .map_err(|e| unreadable(file, &e, "a line is a `line.toml` or its folder"))?;
        let folder = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let factory = factory::find(self.factory, &folder)?;
        let draft = line::parse_bytes(&here(file).display().to_string(), &bytes, &factory.vars)
            .map_err(AssemblyError::Problems)?;
        let vars = lock::vars(&bytes, &factory.vars);
        let assembled = self.complete(draft, Some(file.into()), folder, factory, From::Files)?;
        Ok(Assembled { vars, ..assembled })
    }

    fn station(&self, path: &Path) -> Result<Assembled, AssemblyError> {
        let component = self.resolve(path)?;
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
            .to_lowercase();
        let name = match &component.manifest {
            Some(manifest) => manifest.name.clone(),
            None if Name::fits(&stem) => stem,
            None => "station".into(),
        };
        let mut ports: Vec<&str> = component
            .manifest
            .iter()
            .flat_map(|manifest| manifest.ports.keys().map(String::as_str))
            .collect();
        if ports.is_empty() {
            ports.push(Name::PASS);
        }
        let next: Vec<String> = ports
            .iter()
            .map(|port| format!("{port} = \"done\""))
            .collect();
        let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let text = format!(
            "line = \"{name}\"\nentry = \"{name}\"\n[stations.{name}]\nuse = {}\nnext = {{ {} }}\n",
            toml::Value::String(absolute.display().to_string()),
            next.join(", ")
        );
        let draft = line::parse(&path.display().to_string(), &text, &Vars::default())
            .map_err(AssemblyError::Problems)?;
        let folder = match path.parent() {
            Some(parent) if !path.is_dir() && !parent.as_os_str().is_empty() => {
                parent.to_path_buf()
            }
            _ if path.is_dir() => path.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let factory = factory::find(self.factory, &folder)?;
        self.complete(draft, None, folder, factory, From::Files)
    }

    /// Finds, compiles and checks all that a line names.
    fn complete(
        &self,
        mut draft: Draft,
        file: Option<PathBuf>,
        folder: PathBuf,
        factory: Factory,
        from: From<'_>,
    ) -> Result<Assembled, AssemblyError> {
        let place = Cache::default_folder().ok_or(AssemblyError::NoCache)?;
        let key = engine_key().map_err(|e| AssemblyError::Engine(e.to_string()))?;
        let cache = Cache::open(
            &place,
            &key,
            Compiler {
                exe: self.exe.clone(),
                allowance: Allowance::default(),
            },
        )?;
        let mut problems = line::lower(&mut draft, &factory);
        let mut parts = BTreeMap::new();
        let mut assets = BTreeMap::new();
        let mut rights = BTreeMap::new();
        let reserved = Reserved::new(&draft, file.as_deref(), &folder, self.state, &factory);
        // Side by side: loading is mostly reading and hashing.
        let found = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            // where the line asks there is no component
            let components = draft.line.stations.iter();
            for (name, station) in components.filter(|(_, station)| station.ask.is_none()) {
                let (cache, found, folder, from) = (&cache, &found, &folder, &from);
                scope.spawn(move || {
                    let part = self.part(here(&folder.join(&station.r#use)), name, from, cache);
                    found
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((name.clone(), part));
                });
            }
        });
        for (name, part) in found
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            match part {
                Ok(part) => {
                    parts.insert(name, part);
                }
                Err(error) => problems.push(told(
                    &draft,
                    &format!("stations.{name}.use"),
                    &error.to_string(),
                )),
            }
        }
        for (name, station) in &draft.line.stations {
            let mut trees = Vec::new();
            for (i, asset) in station.assets.iter().enumerate() {
                let place = format!("stations.{name}.assets.{i}.host");
                let tree = match &from {
                    From::Kept(stock, _) => Tree::kept(&stock.shelf(), &asset.host),
                    From::Files => {
                        if let Some(problem) = reserved.asset(&draft, &place, asset, &factory) {
                            problems.push(problem);
                            continue;
                        }
                        Tree::read(here(&folder.join(&asset.host)))
                    }
                };
                match tree {
                    Ok(tree) => trees.push(tree),
                    Err(error) => problems.push(told(&draft, &place, &error.to_string())),
                }
            }
            assets.insert(name.clone(), trees);
            for (i, mount) in station.grants.fs.iter().enumerate() {
                let host = folder.join(&mount.host);
                let host = here(&host);
                let place = format!("stations.{name}.grants.fs.{i}.host");
                let before = &station.grants.fs[..i];
                problems.extend(reserved::twice(&draft, &place, &folder, mount, before));
                if let Some(problem) = reserved.mount(&draft, &place, &mount.host, mount.access) {
                    problems.push(problem);
                } else if !host.is_dir() {
                    let message = format!("`{}` is no folder", shown(&host.display().to_string()));
                    problems.push(
                        draft
                            .problem(&place, message)
                            .hint("make it, or name another"),
                    );
                }
            }
            let mut grants = station.grants.clone();
            for mount in &mut grants.fs {
                mount.host = resolve(&folder.join(&mount.host));
            }
            let ceiling = factory.ceiling.clone();
            rights.insert(name.clone(), Rights { grants, ceiling });
        }
        problems.extend(folders::check(&draft, &folder, &reserved, &factory));
        let known = parts
            .iter()
            .map(|(name, part)| (name.clone(), part.known(rights[name].clone())))
            .collect();
        problems.extend(fit::fit(&draft, &factory, &known));
        if problems.is_empty() {
            return Ok(Assembled {
                draft,
                folder,
                factory,
                parts,
                rights,
                lock: file.as_deref().map(|file| lock::beside(here(file))),
                file,
                written: None,
                assets,
                vars: BTreeMap::new(),
            });
        }
        problems.sort();
        problems.dedup();
        Err(AssemblyError::Problems(problems))
    }

    fn part(
        &self,
        path: &Path,
        name: &Name,
        from: &From<'_>,
        cache: &Cache,
    ) -> Result<Part, CatalogueError> {
        let component = match from {
            From::Files => self.resolve(path)?,
            From::Kept(stock, components) => {
                // One that was not kept is as good as gone.
                let digest = components.get(name).copied();
                let digest = digest.unwrap_or_else(|| Digest::of([]));
                let bytes = stock
                    .content
                    .get(&digest)
                    .map_err(|error| CatalogueError::System {
                        doing: error.doing,
                        path: error.path,
                        reason: error.reason,
                    })?;
                catalogue::kept(path, digest, bytes)?
            }
        };
        let compiled = cache.get(&component, &|| (self.say)(&format!("compiling {name}")))?;
        let kind = compiled
            .facts()
            .kind()
            .map_err(|reason| CatalogueError::Another {
                path: path.into(),
                reason: reason.to_string(),
            })?;
        Ok(Part {
            component,
            compiled,
            kind,
        })
    }

    fn resolve(&self, path: &Path) -> Result<Component, CatalogueError> {
        catalogue::resolve(
            path,
            &Options {
                progress: Some(&|progress| tell(progress, self.say)),
                force: false,
            },
        )
    }
}

/// Says what a build is doing: what takes its time, not what its tools print.
pub fn tell(progress: Progress<'_>, say: &dyn Fn(&str)) {
    match progress {
        Progress::Building { station, with, .. } => say(&format!("building {station} ({with})")),
        Progress::Waiting { station } => say(&format!("waiting for another build of {station}")),
        Progress::Line(_) => {}
    }
}

impl Part {
    fn known(&self, rights: Rights) -> fit::Known {
        fit::Known {
            rights,
            kind: match self.kind {
                catalogue::Kind::Typed | catalogue::Kind::TypedAsync => fit::Kind::Typed,
                catalogue::Kind::Command(_) => fit::Kind::Command,
                catalogue::Kind::Handler(_) => fit::Kind::Handler,
            },
            manifest: self.component.manifest.clone(),
            reports: (self.compiled.facts().imports.iter())
                .any(|import| import.starts_with("andon:station/progress")),
            imports_unknown: self
                .compiled
                .facts()
                .unknown_imports()
                .into_iter()
                .map(Into::into)
                .collect(),
        }
    }
}

impl Assembled {
    /// What a station of the line may do: what the line grants it and the ceiling admits, its folders
    /// resolved. Nothing where the line has no such station.
    pub fn rights(&self, station: &Name) -> Rights {
        self.rights.get(station).cloned().unwrap_or_default()
    }

    /// The line that runs, with its assets copied below `shelf` and every path absolute.
    fn placed(&self, shelf: &Path) -> Result<Line, AssetError> {
        let mut line = self.draft.line.clone();
        folders::resolved(&mut line, &self.folder);
        for (name, station) in &mut line.stations {
            let trees = self.assets.get(name).map_or(&[][..], Vec::as_slice);
            for (asset, tree) in station.assets.iter_mut().zip(trees) {
                asset.host = tree.keep(shelf)?;
            }
            station.grants.fs = self.rights[name].mounts().map(|(_, mount)| mount).collect();
        }
        Ok(line)
    }

    /// What the journal is to keep of the line in this state folder. Copies nothing.
    pub fn revision(&self, state: &Path) -> Revision {
        let mut kept = self.draft.line.clone();
        for (name, station) in &mut kept.stations {
            let trees = self.assets.get(name).map_or(&[][..], Vec::as_slice);
            for (asset, tree) in station.assets.iter_mut().zip(trees) {
                // The state folder may be moved: what is kept names only the content.
                asset.host = tree.name();
            }
            let as_written = |(n, mount): (usize, Mount)| Mount {
                host: station.grants.fs[n].host.clone(),
                ..mount
            };
            station.grants.fs = self.rights[name].mounts().map(as_written).collect();
        }
        let components = self
            .parts
            .iter()
            .map(|(name, part)| (name.clone(), part.component.digest))
            .collect();
        let file = self.file.as_ref().and_then(|file| file.file_name());
        Revision {
            line: kept,
            folder: kept::seen_from(state, &self.folder),
            file: file.map(PathBuf::from),
            components,
        }
    }

    /// Links every station in a sandbox of its own that runs nothing: what a check does.
    ///
    /// # Errors
    /// When a component does not load or link.
    pub fn link(&self) -> Result<(), AssemblyError> {
        // Stores touch the disk with the first visit, and there is none.
        let content = Content::open(&self.folder);
        let workspaces = Workspaces::open(&self.folder, content.clone(), Arc::new(Memory::new()));
        let settings = Settings {
            visits: 1,
            folders: Arc::new(workspaces),
            contents: Arc::new(content),
            egress: Arc::new(egress::Closed),
            progress: None,
        };
        let sandbox = InProcess::new(settings).map_err(|e| AssemblyError::Engine(e.to_string()))?;
        let mut line = self.draft.line.clone();
        for (name, station) in &mut line.stations {
            for asset in &mut station.assets {
                asset.host = self.folder.join(&asset.host);
            }
            station.grants.fs = self.rights[name].mounts().map(|(_, mount)| mount).collect();
        }
        self.prepare(&sandbox, &line, 1)
    }

    /// `line` without the grants of which the ceiling leaves nothing.
    pub fn left(&self, line: &Line) -> Line {
        let mut line = line.clone();
        for (name, station) in &mut line.stations {
            let rights = self.rights(name);
            let some = |left: Left| !matches!(left, Left::Nothing);
            let grants = &mut station.grants;
            grants.http.retain(|grant| some(rights.left_of_http(grant)));
            grants.tcp.retain(|grant| some(rights.left_of_tcp(grant)));
            grants
                .secrets
                .retain(|grant| some(rights.left_of_secret(grant)));
        }
        line
    }

    /// What the egress has to know of the stations of `line`.
    pub fn terms(&self, line: &Line) -> Vec<(Name, Terms)> {
        let known = |(name, station): (&Name, &Station)| {
            let part = self.parts.get(name)?;
            let draft = self.written.as_ref().unwrap_or(&self.draft);
            let place = draft.place(&format!("stations.{name}.grants"));
            let file = self
                .file
                .as_ref()
                .map(|file| here(file).display().to_string());
            let terms = Terms {
                rights: self.rights(name),
                rate: station.rate.clone(),
                limits: station.limits.clone(),
                violation: station.violation,
                component: part.component.digest,
                granted_at: match (place.line, file) {
                    (0, Some(file)) => file,
                    _ => format!("{}:{}", draft.file, place.line),
                },
            };
            Some((name.clone(), terms))
        };
        line.stations.iter().filter_map(known).collect()
    }

    /// Makes the stations of `line`, this line's `revision`, ready in a sandbox.
    ///
    /// # Errors
    /// When a component does not load or link.
    pub fn prepare(
        &self,
        sandbox: &InProcess,
        line: &Line,
        revision: u64,
    ) -> Result<(), AssemblyError> {
        let mut problems = Vec::new();
        for (name, station) in &line.stations {
            let Some(part) = self.parts.get(name) else {
                continue;
            };
            // Stations of one component share its code, and with it the pool's warm instances.
            let code = (part.component.digest, &part.compiled);
            if let Err(error) = sandbox.prepare_cached(&line.name, revision, name, station, code) {
                problems.push(told(
                    &self.draft,
                    &format!("stations.{name}.use"),
                    &error.to_string(),
                ));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(AssemblyError::Problems(problems))
        }
    }

    /// Starts runner processes for `line`, this line's `revision`. To be called in a runtime.
    ///
    /// # Errors
    /// When they do not start, or a component does not load or link.
    pub fn start(
        &self,
        settings: OwnSettings,
        line: &Line,
        revision: u64,
    ) -> Result<Own, AssemblyError> {
        let mut stations = Vec::new();
        for (name, station) in &line.stations {
            let Some(part) = self.parts.get(name) else {
                continue;
            };
            let code = part.compiled.verified().try_clone();
            stations.push(OwnStation {
                name: name.clone(),
                station: station.clone(),
                code: code.map_err(|error| AssemblyError::Runners(error.into()))?,
            });
        }
        Own::start(settings, &line.name, revision, stations).map_err(|error| match error {
            StartError::Station { station, reason } => AssemblyError::Problems(vec![told(
                &self.draft,
                &format!("stations.{station}.use"),
                &reason,
            )]),
            error => AssemblyError::Runners(error),
        })
    }
}

/// The path without a `./` that nobody wrote.
fn here(path: &Path) -> &Path {
    match path.strip_prefix(".") {
        Ok(rest) if !rest.as_os_str().is_empty() => rest,
        _ => path,
    }
}

/// Looks whether there is something that could be assembled, before anything is made for it.
///
/// # Errors
/// When there is nothing, or nothing of the kind.
pub fn look(path: &Path) -> Result<(), AssemblyError> {
    subject(path).map(drop)
}

fn subject(path: &Path) -> Result<Subject, AssemblyError> {
    let hint =
        "name a line (its folder or `line.toml`), a station folder, or a `.wasm` or `.wat` file";
    let about = fs::metadata(path).map_err(|e| unreadable(path, &e, hint))?;
    if about.is_dir() {
        let (line, station) = (path.join("line.toml"), path.join("station.toml"));
        return match (line.is_file(), station.is_file()) {
            (true, _) => Ok(Subject::Line(line)),
            (false, true) => Ok(Subject::Station(path.into())),
            (false, false) => Err(AssemblyError::Unreadable {
                path: path.display().to_string(),
                reason: "there is neither a `line.toml` nor a `station.toml` in it".into(),
                hint: hint.into(),
            }),
        };
    }
    Ok(match path.extension().and_then(|e| e.to_str()) {
        Some("toml") => Subject::Line(path.into()),
        _ => Subject::Station(path.into()),
    })
}

fn unreadable(path: &Path, error: &std::io::Error, hint: &str) -> AssemblyError {
    AssemblyError::Unreadable {
        path: path.display().to_string(),
        reason: error.to_string(),
        hint: hint.into(),
    }
}

/// An error as a problem at its place, its hint kept apart.
fn told(draft: &Draft, place: &str, text: &str) -> Problem {
    match text.split_once("\n  hint: ") {
        Some((message, hint)) => draft.problem(place, message).hint(hint),
        None => draft.problem(place, text),
    }
}
