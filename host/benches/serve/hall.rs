//! Folders with lines in them, daemons that run these, and what a process uses.

use andon::{
    lines::{Control as _, Given, Submit},
    name::Name,
    serve::client::Client,
};
use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A folder with a state folder and lines, on a disk and not in memory.
pub(super) struct Hall {
    folder: TempDir,
    component: Vec<u8>,
    /// How many components were made.
    made: u64,
}

impl Hall {
    pub(super) fn new() -> anyhow::Result<Self> {
        let station = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/stations/pass-on");
        let built = andon_build::build(&station, &andon_build::Options::default())?;
        let hall = Self {
            folder: TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?,
            component: fs::read(built.component)?,
            made: 0,
        };
        fs::write(hall.path("plain.wasm"), &hall.component)?;
        Ok(hall)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The file of a line of three stations in a folder of its own; the second is `middle`.
    pub(super) fn line(&self, name: &str, middle: &str, queue: usize) -> anyhow::Result<PathBuf> {
        let folder = self.path(name);
        fs::create_dir_all(&folder)?;
        let mut text = format!("line = \"{name}\"\nentry = \"first\"\n");
        for (station, component, next) in [
            ("first", "plain.wasm", "second"),
            ("second", middle, "third"),
            ("third", "plain.wasm", "done"),
        ] {
            text += &format!(
                "[stations.{station}]\nuse = {:?}\nnext = \"{next}\"\nworkers = 8\nqueue = {queue}\n",
                self.path(component)
            );
        }
        let file = folder.join("line.toml");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Saves a Rust station's component as one that nobody has seen: in one step, as builds do it.
    pub(super) fn save(&mut self, name: &str) -> anyhow::Result<Instant> {
        self.made += 1;
        let mut bytes = self.component.clone();
        // A custom section of another content, which is what a change of the source is to the host.
        let content = [&[5][..], b"bench", &self.made.to_le_bytes()].concat();
        bytes.extend_from_slice(&[0, u8::try_from(content.len())?]);
        bytes.extend_from_slice(&content);
        let new = self.path("new.wasm");
        fs::write(&new, bytes)?;
        let saved = Instant::now();
        fs::rename(new, self.path(name))?;
        Ok(saved)
    }

    fn andon(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_andon"));
        command
            .args(arguments)
            .arg("--state")
            .arg(self.state())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let status = self.andon(arguments).status()?;
        anyhow::ensure!(status.success(), "{arguments:?} ended with {status}");
        Ok(())
    }

    /// Starts a command that goes on until it is dropped.
    pub(super) fn start(&self, arguments: &[&str]) -> anyhow::Result<Process> {
        let log = fs::File::create(self.path(&format!("{}.log", arguments[0])))?;
        Ok(Process(self.andon(arguments).stderr(log).spawn()?))
    }

    /// Starts a daemon: it, how to speak to it, and how long it took until it answered for so many lines.
    pub(super) fn serve(
        &self,
        runtime: &Runtime,
        lines: &[String],
    ) -> anyhow::Result<(Process, Client, Duration)> {
        let started = Instant::now();
        let arguments: Vec<&str> = (["serve"].into_iter())
            .chain(lines.iter().map(String::as_str))
            .collect();
        let mut process = self.start(&arguments)?;
        loop {
            if let Some(status) = process.0.try_wait()? {
                let log = fs::read_to_string(self.path("serve.log"))?;
                anyhow::bail!("the daemon ended with {status}: {log}");
            }
            if let Ok(Some(client)) = runtime.block_on(Client::of(&self.state()))
                && runtime.block_on(client.status(None)).is_ok()
            {
                return Ok((process, client, started.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// An input of one line.
pub(super) fn input(line: &Name, n: usize) -> Submit {
    Submit {
        line: line.clone(),
        key: Some(n.to_string()),
        source: Some(n.to_string()),
        content_type: Some("text/plain".into()),
        body: Given::Text("x".repeat(256)),
        labels: Default::default(),
        priority: Default::default(),
        deadline: None,
    }
}

/// A process; ended with this.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Memory that resides, in bytes: all of it, and what is its own.
    pub(super) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let of = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let line = line.with_context(|| format!("the system tells `{name}`"))?;
            let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
            Ok(kib << 10)
        };
        Ok((of("VmRSS:")?, of("RssAnon:")?))
    }

    /// Processor time so far, in ticks of a hundredth of a second.
    pub(super) fn ticks(&self) -> anyhow::Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("a name in brackets")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
    }
}

pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}
