//! `andon compile`, hidden: compiles what comes on standard input. andon calls itself so.

use crate::sandbox::compile::{CompileError, compile};
use anyhow::Context;
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use std::io::{ErrorKind, Read, Write};

/// Compiles the component or core module on standard input; code and facts go to standard output.
#[derive(Debug, clap::Args)]
pub(super) struct Compile {
    /// The most memory, in bytes.
    #[arg(long)]
    memory: u64,
    /// The most processor time, in seconds.
    #[arg(long)]
    cpu: u64,
}

/// Ends as where an allocation fails that nobody looks at, so that the caller sees one reason.
fn out_of_memory() -> ! {
    std::process::abort()
}

impl Compile {
    /// Runs the command.
    ///
    /// # Errors
    /// When the bytes do not compile.
    pub(super) fn execute(self) -> anyhow::Result<()> {
        self.confine().context("the compiler cannot be confined")?;
        let mut wasm = Vec::new();
        match std::io::stdin().lock().read_to_end(&mut wasm) {
            Err(error) if error.kind() == ErrorKind::OutOfMemory => out_of_memory(),
            read => drop(read?),
        }
        let code = match compile(&wasm) {
            Err(CompileError::Memory) => out_of_memory(),
            code => code?,
        };
        let facts = serde_json::to_vec(&code.facts)?;
        let mut out = std::io::stdout().lock();
        out.write_all(&code.bytes)?;
        out.write_all(&facts)?;
        out.write_all(&u32::try_from(facts.len())?.to_le_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Before a byte is read, and before there are threads: they inherit it.
    fn confine(&self) -> rustix::io::Result<()> {
        // What is compiled is hardly ever urgent, and what runs meanwhile is.
        let _ = nice(19);
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        let limits = [
            // Not the address space, of which the engine reserves more than it uses.
            (Resource::Data, self.memory, 0),
            // Warned by a signal of its own first, so that the reason can be told.
            (Resource::Cpu, self.cpu, 2),
            (Resource::Fsize, self.memory, 0),
            (Resource::Core, 0, 0),
        ];
        for (resource, limit, grace) in limits {
            let (current, maximum) = (Some(limit), Some(limit.saturating_add(grace)));
            setrlimit(resource, Rlimit { current, maximum })?;
        }
        Ok(())
    }
}
