//! Stations in C: programs that read stdin and write stdout, compiled by Zig, which has a C compiler
//! and a libc for WASI in one.
//!
//! `*.c` beside `station.toml` and in `src` are one program; headers are found relative to both.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{BuildError, Doing};
use crate::record::Input;
use crate::{Job, Product, tool};

/// Must be the version that `sdk/setup.sh` installs.
const ZIGLANG: &str = "0.15.2";

/// The sources of the station in `dir`, relative to it and sorted.
pub(crate) fn sources(dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    for folder in ["", "src"] {
        let folder = Path::new(folder);
        let path = dir.join(folder);
        if !path.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&path).doing("read", &path)? {
            let name = PathBuf::from(entry.doing("read", &path)?.file_name());
            if name.extension().is_some_and(|ext| ext == "c") {
                found.push(folder.join(name));
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn compile(job: &Job<'_>) -> Result<Product, BuildError> {
    let sources = sources(job.dir)?;
    if sources.is_empty() {
        let what = "there is no `*.c` beside `station.toml` or in `src`";
        return Err(job.unclear(what, "add the program, or change `[build] language`"));
    }
    let zig = Zig::find(job)?;
    job.building(&format!("zig {}", zig.version));
    let scratch = tempfile::tempdir_in(&job.cache).doing("create a folder in", &job.cache)?;
    let mut inputs = BTreeSet::from([
        Input::Names(job.dir.to_owned()),
        Input::Names(job.dir.join("src")),
        Input::Path(zig.identity.clone()),
    ]);
    let mut objects = Vec::new();
    for (i, source) in sources.iter().enumerate() {
        let object = scratch.path().join(format!("{i}.o"));
        let rule = scratch.path().join(format!("{i}.d"));
        let mut cc = zig.cc(job);
        cc.args(["-c", "-I.", "-Isrc", "-MMD", "-MF"])
            .arg(&rule)
            .arg("-o")
            .arg(&object)
            .arg(source);
        tool::run(job, &mut cc)?;
        let text = fs::read_to_string(&rule).doing("read", &rule)?;
        let files = tool::prerequisites(&text).into_iter();
        inputs.extend(files.map(|file| Input::Path(job.dir.join(file))));
        objects.push(object);
    }
    let program = scratch.path().join("program.wasm");
    tool::run(
        job,
        zig.cc(job).args(&objects).arg("-s").arg("-o").arg(&program),
    )?;
    Ok(Product {
        wasm: fs::read(&program).doing("read", &program)?,
        inputs,
    })
}

/// A Zig toolchain, by whichever way it came onto the machine.
struct Zig {
    program: PathBuf,
    arguments: &'static [&'static str],
    version: String,
    /// A file that changes when the toolchain does.
    identity: PathBuf,
}

impl Zig {
    fn find(job: &Job<'_>) -> Result<Self, BuildError> {
        let venv = job
            .cache
            .join(format!("tools/ziglang-{ZIGLANG}/bin/python"));
        let candidates: [(Option<PathBuf>, &[&str]); 3] = [
            (tool::on_path("zig"), &[]),
            (tool::on_path("python3"), &["-m", "ziglang"]),
            (
                Some(venv).filter(|python| python.is_file()),
                &["-m", "ziglang"],
            ),
        ];
        for (program, arguments) in candidates {
            let Some(program) = program else { continue };
            let asked = tool::ask(Command::new(&program).args(arguments).arg("version"));
            if let Some(version) = asked {
                let identity = program.canonicalize().unwrap_or_else(|_| program.clone());
                return Ok(Self {
                    program,
                    arguments,
                    version,
                    identity,
                });
            }
        }
        let hint = format!(
            "install Zig from https://ziglang.org/download, or run `pip install ziglang=={ZIGLANG}`; in andon's repository `sdk/setup.sh` does it"
        );
        Err(job.missing("Zig, the C compiler for WebAssembly,", &hint))
    }

    fn cc(&self, job: &Job<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(job.dir).args(self.arguments);
        command.args(["cc", "-target", "wasm32-wasi", "-Os"]);
        command.env("ZIG_GLOBAL_CACHE_DIR", job.cache.join("zig"));
        command.env("ZIG_LOCAL_CACHE_DIR", job.cache.join("zig"));
        command
    }
}
