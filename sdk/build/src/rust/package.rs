//! The station's package as cargo sees it: what it makes, and what it is made from.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::{BuildError, Doing};
use crate::record::Input;
use crate::{Job, cache, tool};

use super::cargo;

/// A package as `cargo metadata` describes it.
#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) id: String,
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
    default_run: Option<String>,
    #[serde(skip)]
    workspace: PathBuf,
    /// Names of all packages in the workspace's folder that it is made of.
    #[serde(skip)]
    inside: BTreeSet<String>,
}

#[derive(Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    kind: Vec<String>,
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    source: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

impl Metadata {
    /// What cargo says of a package's workspace, without a look at the registry.
    fn of(job: &Job<'_>, manifest: &Path) -> Result<Self, BuildError> {
        let mut command = cargo(job);
        command.args(["metadata", "--no-deps", "--format-version=1"]);
        command.arg("--manifest-path").arg(manifest);
        let printed = tool::run(job, &mut command)?;
        serde_json::from_str(&printed).map_err(|error| BuildError::Failed {
            station: job.station.into(),
            tool: "cargo metadata".into(),
            output: error.to_string(),
        })
    }

    /// Names of the workspace's packages, and of those in its folder that they depend on.
    fn inside(&self, job: &Job<'_>) -> Result<BTreeSet<String>, BuildError> {
        let mut names = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut next = Vec::new();
        let mut add = |packages: &[Package], next: &mut Vec<PathBuf>| {
            for package in packages {
                names.insert(package.name.clone());
                seen.insert(package.manifest_path.clone());
            }
            let dependencies = packages.iter().flat_map(|package| &package.dependencies);
            let manifests =
                dependencies.filter_map(|it| Some(it.path.as_ref()?.join("Cargo.toml")));
            let inside = |path: &PathBuf| path.starts_with(&self.workspace_root);
            next.extend(manifests.filter(|path| inside(path) && seen.insert(path.clone())));
        };
        add(&self.packages, &mut next);
        while let Some(manifest) = next.pop() {
            add(&Self::of(job, &manifest)?.packages, &mut next);
        }
        Ok(names)
    }
}

impl Package {
    pub(super) fn read(job: &Job<'_>) -> Result<Self, BuildError> {
        let metadata = Metadata::of(job, &job.dir.join("Cargo.toml"))?;
        let inside = metadata.inside(job)?;
        let here = job.dir.join("Cargo.toml");
        let mut packages = metadata.packages.into_iter();
        let mut package = packages
            .find(|package| {
                package
                    .manifest_path
                    .canonicalize()
                    .is_ok_and(|path| path == here)
            })
            .ok_or_else(|| {
                job.unclear(
                    "its `Cargo.toml` has no package, only a workspace",
                    "put `station.toml` into the folder of the package",
                )
            })?;
        (package.workspace, package.inside) = (metadata.workspace_root, inside);
        Ok(package)
    }

    /// A `cdylib` is a typed station, a single binary a command.
    pub(super) fn target(&self, job: &Job<'_>) -> Result<&Target, BuildError> {
        let library = self
            .targets
            .iter()
            .find(|t| t.crate_types.iter().any(|kind| kind == "cdylib"));
        if let Some(library) = library {
            return Ok(library);
        }
        let binaries: Vec<_> = self.targets.iter().filter(|t| t.is_binary()).collect();
        let chosen = binaries
            .iter()
            .find(|t| Some(&t.name) == self.default_run.as_ref());
        match (binaries.as_slice(), chosen) {
            (_, Some(chosen)) => Ok(chosen),
            ([only], None) => Ok(only),
            ([], None) => Err(job.unclear(
                format!(
                    "the package `{}` has neither a `cdylib` nor a binary",
                    self.name
                ),
                "for a typed station write `[lib] crate-type = [\"cdylib\"]` in its `Cargo.toml`",
            )),
            (_, None) => Err(job.unclear(
                format!("the package `{}` has several binaries", self.name),
                "name one of them as `default-run` in its `Cargo.toml`",
            )),
        }
    }

    /// Whether it asks the registry for the SDK, which is not there.
    pub(super) fn wants_sdk(&self) -> bool {
        self.dependencies.iter().any(|dependency| {
            let registry = |source: &String| source.contains("crates.io-index");
            dependency.name == "andon-station" && dependency.source.as_ref().is_some_and(registry)
        })
    }

    /// Has what another workspace made of packages with these names removed from the cache. Cargo tells
    /// packages apart by their names and where they are in their workspace, and takes sources that are
    /// older than what it made last for unchanged: the second of two such would get the first one's code.
    /// `clean` removes packages of this workspace; nobody else may build meanwhile.
    pub(super) fn take_over(&self, job: &Job<'_>, clean: &mut Command) -> Result<(), BuildError> {
        let owners = job.cache.join("owners");
        fs::create_dir_all(&owners).doing("create", &owners)?;
        // Another folder may come to be in its place.
        let about = fs::metadata(&self.workspace).doing("open", &self.workspace)?;
        let place = self.workspace.display();
        let me = format!("{place}\n{} {}\n", about.dev(), about.ino());
        let others: Vec<&String> = (self.inside.iter())
            .filter(|name| fs::read_to_string(owners.join(name)).ok().as_ref() != Some(&me))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        clean.arg("--quiet");
        for name in &others {
            clean.arg("--package").arg(name);
        }
        tool::run(job, clean)?;
        for name in others {
            cache::write_whole(&owners.join(name), me.as_bytes())?;
        }
        Ok(())
    }

    /// What cargo looks at besides sources.
    pub(super) fn inputs(&self, job: &Job<'_>) -> BTreeSet<Input> {
        let mut inputs = BTreeSet::from([
            Input::Path(job.dir.join("Cargo.toml")),
            Input::Path(job.dir.join("build.rs")),
            Input::Names(job.dir.join("src")),
            Input::Names(job.dir.join("src/bin")),
            Input::Path(self.workspace.join("Cargo.toml")),
            Input::Written(self.workspace.join("Cargo.lock")),
        ]);
        for folder in job.dir.ancestors() {
            for name in [
                "rust-toolchain",
                "rust-toolchain.toml",
                ".cargo/config",
                ".cargo/config.toml",
            ] {
                inputs.insert(Input::Path(folder.join(name)));
            }
            inputs.insert(Input::Path(folder.join("Cargo.toml")));
        }
        inputs
    }
}

impl Target {
    pub(super) fn is_binary(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }
}
