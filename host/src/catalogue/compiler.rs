//! Compiling in a child process: `andon compile`, with few rights and little to lose.
//!
//! The child gets the bytes on its standard input and writes to its standard output what
//! [`Compiler::run`] expects there: the code, then the facts of the component as JSON, then the
//! length of that JSON in four bytes, little end first.

use crate::escape;
use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// The compiler: this andon's own executable, and how much a child of it may use.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The executable, an absolute path.
    pub exe: PathBuf,
    /// What one child may use.
    pub allowance: Allowance,
}

/// How much one child may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Memory, in bytes. Default 4 GiB. Linux counts private writable memory; macOS enforces nothing.
    pub memory: u64,
    /// Processor time of all its threads. Default 600 s.
    pub cpu: Duration,
    /// Time from start to end. Default 120 s.
    pub wall: Duration,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            memory: 4 << 30,
            cpu: Duration::from_secs(600),
            wall: Duration::from_secs(120),
        }
    }
}

/// The most of what a child says that is kept, in bytes.
const SAYS: u64 = 64 << 10;

impl Compiler {
    /// Compiles `wasm` into `out`, an empty file; the text says why it does not.
    pub(super) fn run(&self, wasm: &[u8], out: &File) -> Result<(), String> {
        let Allowance { memory, cpu, wall } = self.allowance;
        let own = |error: std::io::Error| format!("the compiler cannot be started: {error}");
        // A file and no pipe: whatever the child does, nobody waits for it to read.
        let mut input = tempfile::tempfile().map_err(own)?;
        input.write_all(wasm).map_err(own)?;
        input.rewind().map_err(own)?;
        let mut child = Command::new(&self.exe)
            .arg("compile")
            .args(["--memory", &memory.to_string()])
            .args(["--cpu", &cpu.as_secs().max(1).to_string()])
            .env_clear()
            // Else the allocator takes a gigabyte before it is bounded, and none of it counts.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .stdin(input)
            .stdout(out.try_clone().map_err(own)?)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(own)?;
        let deadline = Instant::now() + wall;
        let mut stderr = child.stderr.take().expect("it is piped");
        let (send, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.by_ref().take(SAYS).read_to_end(&mut text);
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            let _ = send.send(text);
        });
        // The end of its words is the end of the child, unless it is up to something.
        let said = said.recv_timeout(wall);
        let status = loop {
            match child.try_wait().map_err(own)? {
                Some(status) => break status,
                None if Instant::now() >= deadline => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("it took longer than {wall:?}"));
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        let said = escape::block(said.trim());
        if status.success() {
            return Ok(());
        }
        Err(match status.signal() {
            // `SIGXCPU`, of Linux and macOS alike.
            Some(24) => format!("it took more than {cpu:?} of processor time"),
            Some(6) => format!(
                "it takes more than {memory} bytes of memory, or broke the compiler\n{said}"
            ),
            Some(signal) => format!("the compiler was ended by signal {signal}\n{said}"),
            // A panic of the compiler's; or there was no memory for a thread.
            None if status.code() == Some(101) => {
                format!(
                    "it broke the compiler, or takes more than {memory} bytes of memory\n{said}"
                )
            }
            None if said.is_empty() => format!("the compiler failed ({status}) and said nothing"),
            None => said,
        })
    }
}
