//! Which Rust compiles for WASI on this machine, and how it has to be called.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::package::Target;
use crate::error::BuildError;
use crate::record::Input;
use crate::{Job, tool};

/// Where Debian's `rustc-web`, `rust-web-src` and `wasi-libc` put things.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

const INSTALL: &str = "run `rustup target add wasm32-wasip2`; where rustup cannot download, on Debian run `sudo apt-get install -y --no-install-recommends rustc-web rust-web-src wasi-libc`; in andon's repository `sdk/setup.sh` does either";

/// A Rust that can compile for WASI.
pub(super) struct Toolchain {
    /// Of the Rust that cargo uses by itself.
    pub(super) sysroot: PathBuf,
    debian: Option<Debian>,
}

struct Debian {
    linker: PathBuf,
}

impl Toolchain {
    pub(super) fn find(job: &Job<'_>) -> Result<Self, BuildError> {
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

    pub(super) fn name(&self) -> String {
        match self.debian {
            None => "rustc for wasm32-wasip2".into(),
            Some(_) => "Debian's rustc for wasm32-wasip1, with its own std".into(),
        }
    }

    pub(super) fn configure(&self, cargo: &mut Command) {
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

    pub(super) fn target(&self) -> &'static str {
        match self.debian {
            None => "--target=wasm32-wasip2",
            Some(_) => "--target=wasm32-wasip1",
        }
    }

    pub(super) fn arguments(&self) -> &'static [&'static str] {
        match self.debian {
            None => &[],
            Some(_) => &["-Zbuild-std=std,panic_abort"],
        }
    }

    /// The start-up code, which Debian's Rust does not add by itself.
    pub(super) fn linking(&self, target: &Target) -> Vec<String> {
        let start = if target.is_binary() {
            "crt1-command.o"
        } else {
            "crt1-reactor.o"
        };
        if self.debian.is_none() {
            return Vec::new();
        }
        let mut arguments = vec!["--".into(), format!("-Clink-arg={DEBIAN_LIBC}/{start}")];
        if target.is_binary() {
            // Debian's libc takes the adapter's memory for its own unless they share the allocator.
            arguments.push("-Clink-arg=--export=realloc".into());
        }
        arguments
    }

    /// Files that change when the toolchain does.
    pub(super) fn inputs(&self) -> BTreeSet<Input> {
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
