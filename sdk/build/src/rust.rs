//! Stations in Rust: Cargo packages, alone or members of a workspace.
//!
//! The ordinary way is the target `wasm32-wasip2`. Where it is not installed but Debian's own Rust
//! for the web and its libc for WASI are, the standard library is compiled along and the result
//! adapted; the first station takes a minute then. Nothing is ever downloaded but crates.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::cache::Lock;
use crate::error::{BuildError, Doing};
use crate::record::Input;
use crate::{Job, Product, Progress, sdk, tool};

/// Where Debian's `rustc-web`, `rust-web-src` and `wasi-libc` put things.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

const INSTALL: &str = "run `rustup target add wasm32-wasip2`; where rustup cannot download, on Debian run `sudo apt-get install -y --no-install-recommends rustc-web rust-web-src wasi-libc`; in andon's repository `sdk/setup.sh` does either";

pub(crate) fn compile(job: &Job<'_>) -> Result<Product, BuildError> {
    if !job.dir.join("Cargo.toml").is_file() {
        return Err(job.unclear("there is no `Cargo.toml`", "run `cargo init`"));
    }
    let toolchain = Toolchain::find(job)?;
    let package = Package::read(job)?;
    let target = package.target(job)?;
    job.building(&toolchain.name());

    let mut cargo = cargo(job);
    toolchain.configure(&mut cargo);
    cargo.args([
        "rustc",
        "--release",
        "--message-format=json-render-diagnostics",
    ]);
    cargo.args(toolchain.arguments());
    cargo.arg("--package").arg(&package.id);
    match target.is_binary() {
        true => cargo.arg("--bin").arg(&target.name),
        false => cargo.arg("--lib"),
    };
    if package.wants_sdk() {
        let path = serde_json::Value::from(sdk::sdk_path()?.to_string_lossy()).to_string();
        cargo
            .arg("--config")
            .arg(format!("patch.crates-io.andon-station.path={path}"));
    }
    cargo.args(toolchain.linking(target));

    // Two stations may have packages of the same name. Cargo itself keeps their parts asunder, but
    // not the final file, so nobody else may build until it is read.
    let shared = job.cache.join("target.lock");
    let waiting = || {
        job.options.tell(Progress::Waiting {
            station: job.station,
        })
    };
    let _lock = Lock::take(&shared, waiting)?;
    let printed = tool::run(job, &mut cargo)?;
    let artifact = artifact(&printed, target).ok_or_else(|| BuildError::Failed {
        station: job.station.into(),
        tool: "cargo".into(),
        output: "it named no `.wasm` file among what it built".into(),
    })?;
    let wasm = fs::read(&artifact).doing("read", &artifact)?;
    let mut inputs = toolchain.inputs();
    inputs.extend(package.inputs(job));
    let rule = artifact.with_extension("d");
    let sources = tool::prerequisites(&fs::read_to_string(&rule).doing("read", &rule)?);
    inputs.extend(sources_and_manifests(sources, job, &toolchain));
    Ok(Product { wasm, inputs })
}

/// What the sources of the station and of its path dependencies are, with the manifests of these.
fn sources_and_manifests(
    sources: BTreeSet<PathBuf>,
    job: &Job<'_>,
    toolchain: &Toolchain,
) -> BTreeSet<Input> {
    let mut inputs = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for source in sources {
        // What build scripts generate lies in the cache and follows from other inputs; so does the
        // SDK, whose digest is part of the builder's.
        if source.starts_with(&job.cache) || source.starts_with(&toolchain.sysroot) {
            continue;
        }
        let mut folder = source.parent();
        while let Some(here) = folder.filter(|here| folders.insert(here.to_path_buf())) {
            let manifest = here.join("Cargo.toml");
            if manifest.is_file() {
                inputs.insert(Input::Path(manifest));
                break;
            }
            folder = here.parent();
        }
        inputs.insert(Input::Path(source));
    }
    inputs
}

/// Cargo in the station's folder, with the same settings for every station, whoever calls: what is
/// set for the host's own build (another cargo may be the caller) must not leak into a guest's.
fn cargo(job: &Job<'_>) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(job.dir);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let kept = [
            "CARGO_HOME",
            "CARGO_HTTP_",
            "CARGO_NET_",
            "CARGO_REGISTR",
            "CARGO_BUILD_JOBS",
        ];
        let ours = name.starts_with("CARGO") || name.starts_with("RUSTC") || name == "RUSTFLAGS";
        if ours && !kept.iter().any(|kept| name.starts_with(kept)) {
            cargo.env_remove(&*name);
        }
    }
    cargo.env("CARGO_TARGET_DIR", job.cache.join("target"));
    // Fast and small: whole-program optimisation drops what is never called. The names of functions
    // stay, so that a trap can say where it happened.
    for (key, value) in [
        ("OPT_LEVEL", "3"),
        ("LTO", "fat"),
        ("CODEGEN_UNITS", "1"),
        ("PANIC", "abort"),
        ("DEBUG", "false"),
        ("STRIP", "debuginfo"),
        ("INCREMENTAL", "false"),
        ("OVERFLOW_CHECKS", "false"),
    ] {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    cargo
}

/// A Rust that can compile for WASI.
struct Toolchain {
    /// Of the Rust that cargo uses by itself.
    sysroot: PathBuf,
    debian: Option<Debian>,
}

struct Debian {
    linker: PathBuf,
}

impl Toolchain {
    fn find(job: &Job<'_>) -> Result<Self, BuildError> {
        if tool::on_path("cargo").is_none() {
            let hint = "see https://rustup.rs; then run `rustup target add wasm32-wasip2`";
            return Err(job.missing("Rust's `cargo`", hint));
        }
        // From the station's folder, where a `rust-toolchain.toml` may choose another one.
        let sysroot = |rustc: &str| {
            let mut command = Command::new(rustc);
            command
                .current_dir(job.dir)
                .env_remove("RUSTC")
                .args(["--print", "sysroot"]);
            tool::ask(&mut command).map(PathBuf::from)
        };
        let Some(own) = sysroot("rustc") else {
            return Err(job.missing("Rust's `rustc`", "see https://rustup.rs"));
        };
        if own.join("lib/rustlib/wasm32-wasip2/lib").is_dir() {
            return Ok(Self {
                sysroot: own,
                debian: None,
            });
        }
        let std = sysroot(DEBIAN_RUSTC)
            .map(|root| root.join("lib/rustlib/src/rust/library/std/src/lib.rs"))
            .filter(|std| std.is_file());
        let libc = Path::new(DEBIAN_LIBC).join("libc.a");
        match (std, libc.is_file(), linker(&own)) {
            (Some(_), true, Some(linker)) => Ok(Self {
                sysroot: own,
                debian: Some(Debian { linker }),
            }),
            (Some(_), true, None) => {
                let hint =
                    "run `sudo apt-get install -y lld`, or install Rust by https://rustup.rs";
                Err(job.missing("a linker for WebAssembly", hint))
            }
            _ => Err(job.missing("Rust's target `wasm32-wasip2`", INSTALL)),
        }
    }

    fn name(&self) -> String {
        match self.debian {
            None => "rustc for wasm32-wasip2".into(),
            Some(_) => "Debian's rustc for wasm32-wasip1, with its own std".into(),
        }
    }

    fn configure(&self, cargo: &mut Command) {
        let Some(debian) = &self.debian else { return };
        cargo.env("RUSTC", DEBIAN_RUSTC);
        // A released compiler builds its own std only when it is told that this is meant.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        cargo.env("CARGO_TARGET_WASM32_WASIP1_LINKER", &debian.linker);
        cargo.env(
            "RUSTFLAGS",
            format!("-Lnative={DEBIAN_LIBC} -Clink-self-contained=no"),
        );
    }

    fn arguments(&self) -> &'static [&'static str] {
        match self.debian {
            None => &["--target=wasm32-wasip2"],
            Some(_) => &["--target=wasm32-wasip1", "-Zbuild-std=std,panic_abort"],
        }
    }

    /// The start-up code, which Debian's Rust does not add by itself.
    fn linking(&self, target: &Target) -> Vec<String> {
        let start = if target.is_binary() {
            "crt1-command.o"
        } else {
            "crt1-reactor.o"
        };
        match self.debian {
            None => Vec::new(),
            Some(_) => vec!["--".into(), format!("-Clink-arg={DEBIAN_LIBC}/{start}")],
        }
    }

    /// Files that change when the toolchain does.
    fn inputs(&self) -> BTreeSet<Input> {
        let mut files = vec![self.sysroot.join("bin/rustc")];
        match &self.debian {
            None => files.push(
                self.sysroot
                    .join("lib/rustlib/multirust-channel-manifest.toml"),
            ),
            Some(debian) => {
                files.push(DEBIAN_RUSTC.into());
                files.push(Path::new(DEBIAN_LIBC).join("libc.a"));
                files.push(debian.linker.clone());
            }
        }
        let home = |name: &str, folder: &str| {
            let set = env::var_os(name).map(PathBuf::from);
            set.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(folder)))
        };
        files.extend(home("RUSTUP_HOME", ".rustup").map(|rustup| rustup.join("settings.toml")));
        files.extend(home("CARGO_HOME", ".cargo").map(|cargo| cargo.join("config.toml")));
        files.into_iter().map(Input::Path).collect()
    }
}

/// The linker that comes with the user's Rust, else LLVM's under one of Debian's names.
fn linker(sysroot: &Path) -> Option<PathBuf> {
    let hosts = fs::read_dir(sysroot.join("lib/rustlib"))
        .into_iter()
        .flatten()
        .flatten();
    let bundled = hosts.map(|host| host.path().join("bin/rust-lld"));
    let named = ["wasm-ld".to_owned()]
        .into_iter()
        .chain((14..=30).rev().map(|n| format!("wasm-ld-{n}")));
    bundled
        .filter(|lld| lld.is_file())
        .chain(named.filter_map(|name| tool::on_path(&name)))
        .next()
}

/// A package as `cargo metadata` describes it.
#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
    default_run: Option<String>,
    #[serde(skip)]
    workspace: PathBuf,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

impl Package {
    fn read(job: &Job<'_>) -> Result<Self, BuildError> {
        let mut command = cargo(job);
        command.args(["metadata", "--no-deps", "--format-version=1"]);
        let printed = tool::run(job, &mut command)?;
        let failed = |output| BuildError::Failed {
            station: job.station.into(),
            tool: "cargo metadata".into(),
            output,
        };
        let metadata: Metadata =
            serde_json::from_str(&printed).map_err(|e| failed(e.to_string()))?;
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
        package.workspace = metadata.workspace_root;
        Ok(package)
    }

    /// A `cdylib` is a typed station, a single binary a command.
    fn target(&self, job: &Job<'_>) -> Result<&Target, BuildError> {
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
    fn wants_sdk(&self) -> bool {
        self.dependencies.iter().any(|dependency| {
            let registry = |source: &String| source.contains("crates.io-index");
            dependency.name == "andon-station" && dependency.source.as_ref().is_some_and(registry)
        })
    }

    /// What cargo looks at besides sources.
    fn inputs(&self, job: &Job<'_>) -> BTreeSet<Input> {
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
    fn is_binary(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The file that cargo says it made of `target`.
fn artifact(printed: &str, target: &Target) -> Option<PathBuf> {
    let messages = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let ours = messages
        .filter(|m| m.reason == "compiler-artifact")
        .filter(|message| {
            let made = message.target.as_ref();
            made.is_some_and(|made| made.name == target.name && made.kind == target.kind)
        });
    let files = ours.flat_map(|message| message.filenames);
    files
        .filter(|file| file.extension().is_some_and(|ext| ext == "wasm"))
        .last()
}
