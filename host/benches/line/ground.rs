//! Folders with lines and inputs in them, and `andon run` as a process.

use super::large;
use anyhow::Context as _;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Bytes of a body.
pub(super) const BODY: usize = 1024;

const ZEROS: &str = match std::str::from_utf8(&[b'0'; BODY]) {
    Ok(zeros) => zeros,
    Err(_) => "",
};

/// A folder with a `line.toml`, on a disk and not in memory.
pub(super) struct Ground {
    folder: TempDir,
}

/// What a run of the command came to.
pub(super) struct Ran {
    /// From its start to its end.
    pub(super) wall: Duration,
    /// The most memory that was resident at one time, in bytes; asked every millisecond.
    pub(super) peak: u64,
    /// By how much the state folder grew, in bytes.
    pub(super) grown: u64,
}

/// Threads of the scheduler: as many as the command itself has.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, Into::into)
}

/// The text of input `n`: a JSON string of [`BODY`] bytes.
pub(super) fn body(n: usize) -> String {
    let mut text = String::with_capacity(BODY);
    text.push('"');
    text.push_str(ZEROS);
    let digits = n.to_string();
    text.truncate(BODY - 1 - digits.len());
    text.push_str(&digits);
    text.push('"');
    text
}

impl Ground {
    /// A line of three of the test stations of this name.
    pub(super) fn three(station: &str) -> anyhow::Result<Self> {
        let path = stations().join(station);
        Self::chain(&[("first", &path), ("second", &path), ("third", &path)])
    }

    /// A line of one station.
    pub(super) fn one(station: &str) -> anyhow::Result<Self> {
        Self::chain(&[("only", &stations().join(station))])
    }

    /// A line of one station that does what its input says: a `POST` to a server.
    pub(super) fn posts(server: SocketAddr) -> anyhow::Result<Self> {
        let ground = Self::one("acts")?;
        let file = ground.path().join("line.toml");
        let text = fs::read_to_string(&file)?
            + &format!(
                "rate = {{ requests = \"1000000/s\", connections = \"1000000/s\", bytes = \"4GiB/s\" }}\n\
                 grants.http = [{{ rule = \"POST http://{server}/**\", private = true }}]\n"
            );
        fs::write(file, text)?;
        fs::write(ground.path().join("server"), server.to_string())?;
        Ok(ground)
    }

    /// A line of ten stations, one of them as large as CPython.
    pub(super) fn ten() -> anyhow::Result<Self> {
        let names = [
            "pass-on",
            "stamp",
            "ten-files",
            "keeps-files",
            "rejects",
            "sleeps",
            "splits",
            "traps",
            "loops",
        ];
        let large = large::component()?;
        let paths: Vec<_> = names.iter().map(|name| stations().join(name)).collect();
        let mut all: Vec<_> = names
            .iter()
            .zip(&paths)
            .map(|(name, path)| (*name, path.as_path()))
            .collect();
        all.push(("large", &large));
        Self::chain(&all)
    }

    fn chain(all: &[(&str, &Path)]) -> anyhow::Result<Self> {
        let mut text = format!("line = \"bench\"\nentry = \"{}\"\n", all[0].0);
        for (i, (name, path)) in all.iter().enumerate() {
            let next = all.get(i + 1).map_or("done", |(next, _)| next);
            text += &format!(
                "[stations.{name}]\nuse = {path:?}\nnext = \"{next}\"\nworkers = 32\nqueue = 128\n"
            );
        }
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        fs::write(folder.path().join("line.toml"), text)?;
        Ok(Self { folder })
    }

    /// The line's folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file of so many inputs.
    pub(super) fn json_lines(&self, items: usize) -> anyhow::Result<PathBuf> {
        let path = self.path().join(format!("in-{items}.jsonl"));
        let lines: String = (0..items).map(|n| body(n) + "\n").collect();
        fs::write(&path, lines)?;
        Ok(path)
    }

    /// A folder of so many inputs.
    pub(super) fn folder(&self, items: usize) -> anyhow::Result<PathBuf> {
        let path = self.path().join(format!("in-{items}"));
        fs::create_dir(&path)?;
        for n in 0..items {
            fs::write(path.join(format!("{n}.json")), body(n))?;
        }
        Ok(path)
    }

    /// Runs the command to its end.
    pub(super) fn andon_run(&self, inputs: &[&Path], state: &str) -> anyhow::Result<Ran> {
        self.spawn(inputs, state, &[])
    }

    /// The same with inputs that were taken before.
    pub(super) fn andon_run_again(&self, inputs: &[&Path], state: &str) -> anyhow::Result<Ran> {
        self.spawn(inputs, state, &["--again"])
    }

    fn spawn(&self, inputs: &[&Path], state: &str, more: &[&str]) -> anyhow::Result<Ran> {
        let items = inputs.iter().map(|input| input.display().to_string());
        let named: String = items.collect::<Vec<_>>().join(" ");
        let state = self.path().join(format!(
            "state {state} {:016x}",
            blake3::hash(named.as_bytes()).as_bytes()[0]
        ));
        let before = size(&state);
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_andon"))
            .arg("run")
            .arg(self.path())
            .args(inputs)
            .arg("--state")
            .arg(&state)
            .args(["--quiet", "--json"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("the command starts")?;
        let status_file = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            peak = peak.max(high_water(&status_file).unwrap_or(0));
            std::thread::sleep(Duration::from_millis(1));
        };
        let wall = started.elapsed();
        anyhow::ensure!(status.success(), "`andon run` ended with {status}");
        Ok(Ran {
            wall,
            peak,
            grown: size(&state).saturating_sub(before),
        })
    }
}

fn stations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/stations")
}

/// `VmHWM` of a process, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The bytes of all files in a folder and below.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}
