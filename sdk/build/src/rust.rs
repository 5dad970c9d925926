//! Stations in Rust: Cargo packages, alone or members of a workspace.
//!
//! The ordinary way is the target `wasm32-wasip2`. Where it is not installed but Debian's own Rust
//! for the web and its libc for WASI are, the standard library is compiled along and the result
//! adapted; the first station takes a minute then. Nothing is ever downloaded but crates.

mod package;
mod toolchain;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::cache::Lock;
use crate::error::{BuildError, Doing};
use crate::record::Input;
use crate::{Job, Product, Progress, sdk, tool};

use package::{Package, Target};
use toolchain::Toolchain;

pub(crate) fn compile(job: &Job<'_>) -> Result<Product, BuildError> {
    if !job.dir.join("Cargo.toml").is_file() {
        return Err(job.unclear("there is no `Cargo.toml`", "run `cargo init`"));
    }
    let toolchain = Toolchain::find(job)?;
    let package = Package::read(job)?;
    let target = package.target(job)?;
    job.building(&toolchain.name());

    let sdk = package.wants_sdk().then(sdk::sdk_path).transpose()?;
    let cargo = |word: &str| {
        let mut cargo = cargo(job);
        toolchain.configure(&mut cargo);
        cargo.args([word, "--release", toolchain.target()]);
        if let Some(sdk) = &sdk {
            let path = serde_json::Value::from(sdk.to_string_lossy()).to_string();
            cargo
                .arg("--config")
                .arg(format!("patch.crates-io.andon-station.path={path}"));
        }
        cargo
    };
    let mut clean = cargo("clean");
    let mut cargo = cargo("rustc");
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.args(toolchain.arguments());
    cargo.arg("--package").arg(&package.id);
    match target.is_binary() {
        true => cargo.arg("--bin").arg(&target.name),
        // Alone: where a package also asks for an `rlib`, cargo would leave out the optimisation over
        // the whole program, and compile the standard library another time.
        false => cargo.args(["--lib", "--crate-type=cdylib"]),
    };
    cargo.args(toolchain.linking(target));

    // Two stations may have packages of the same name, and cargo makes one file of both: nobody else
    // may build until it is read.
    let shared = job.cache.join("target.lock");
    let waiting = || {
        job.options.tell(Progress::Waiting {
            station: job.station,
        })
    };
    let _lock = Lock::take(&shared, waiting)?;
    package.take_over(job, &mut clean)?;
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
    let ours = messages.filter(|message| {
        let made = message
            .target
            .as_ref()
            .is_some_and(|made| made.name == target.name);
        message.reason == "compiler-artifact" && made
    });
    let mut files = ours.flat_map(|message| message.filenames);
    files.rfind(|file| file.extension().is_some_and(|ext| ext == "wasm"))
}
