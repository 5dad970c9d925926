//! The wall that a runner process builds around itself before it loads a component: what is left to
//! somebody who gets out of the engine.
//!
//! Best effort: what the system does not have is named, and the host says so at the start.

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod seccomp;

use rustix::{
    fd::OwnedFd,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::path::PathBuf;

/// The parts of the wall, in the order in which they are named.
pub(super) const PARTS: [&str; 3] = ["landlock", "seccomp", "rlimits"];

/// What the process may still reach.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Folders to read and write, whole.
    pub(super) write: Vec<PathBuf>,
    /// Folders and files to read.
    pub(super) read: Vec<PathBuf>,
    /// Open files that are opened once more, by what they are and not by a name.
    pub(super) again: Vec<OwnedFd>,
}

/// A part of the wall: how it stands, or why it does not.
pub(super) type Part = (&'static str, Result<String, String>);

/// Builds the wall. To be called before there are threads: they inherit it.
pub(super) fn confine(reach: &Reach) -> Vec<Part> {
    let limits = limit();
    #[cfg(target_os = "linux")]
    let (files, calls) = (landlock::restrict(reach), seccomp::restrict());
    #[cfg(not(target_os = "linux"))]
    let (files, calls) = {
        let _ = reach;
        let missing = || Err("this system has none".to_string());
        (missing(), missing())
    };
    let [landlock, seccomp, rlimits] = PARTS;
    vec![(landlock, files), (seccomp, calls), (rlimits, limits)]
}

/// Ends the time in which code may be made: what was loaded is all that will ever run.
pub(super) fn seal() -> Result<(), String> {
    #[cfg(target_os = "linux")]
    seccomp::seal()?;
    Ok(())
}

/// Not limited are the address space (the engine reserves 4 GiB for each memory, and what a guest gets
/// of it is metered), the number of processes (it counts all of the user's; seccomp admits none), and
/// the processor time of the process, which outlives all visits.
fn limit() -> Result<String, String> {
    // As many descriptors as the visits of one process may have handles.
    const FILES: u64 = 1 << 17;
    let set = |resource, most: u64| {
        let now = getrlimit(resource);
        let most = now.maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )
        .map_err(|errno| errno.to_string())
    };
    set(Resource::Core, 0)?;
    set(Resource::Memlock, 0)?;
    set(Resource::Nofile, FILES)?;
    #[cfg(target_os = "linux")]
    for resource in [Resource::Msgqueue, Resource::Rtprio] {
        set(resource, 0)?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    Ok(String::new())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{
        fs,
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        path::Path,
        process::{Command, Stdio},
    };

    /// Set in the process that walls itself in.
    const INSIDE: &str = "ANDON_TEST_CONFINED";

    /// One line for each thing that is tried: what, and whether it worked.
    fn attempts(folder: &Path) -> Vec<(&'static str, bool)> {
        let at = |name: &str| folder.join(name);
        let outside = at("outside/secret");
        vec![
            ("read a system file", fs::read("/etc/passwd").is_ok()),
            ("list the root", fs::read_dir("/").is_ok()),
            ("read beside the workspaces", fs::read(&outside).is_ok()),
            (
                "write beside the workspaces",
                fs::write(at("outside/new"), "x").is_ok(),
            ),
            (
                "follow a link out of the workspaces",
                fs::read(at("work/link")).is_ok(),
            ),
            (
                "link a file into the workspaces",
                fs::hard_link(&outside, at("work/hard")).is_ok(),
            ),
            (
                "write in the workspaces",
                fs::write(at("work/a"), "x").is_ok(),
            ),
            (
                "move within the workspaces",
                fs::create_dir(at("work/b")).is_ok()
                    && fs::rename(at("work/a"), at("work/b/a")).is_ok(),
            ),
            ("read a granted folder", fs::read(at("data/a")).is_ok()),
            (
                "write in a folder granted to read",
                fs::write(at("data/b"), "x").is_ok(),
            ),
            ("run a program", Command::new("/bin/true").status().is_ok()),
            ("listen", TcpListener::bind("127.0.0.1:0").is_ok()),
            ("connect", TcpStream::connect("127.0.0.1:1").is_ok()),
            ("make a socket", UnixStream::pair().is_ok()),
            (
                "signal another process",
                rustix::process::getppid()
                    .is_some_and(|parent| rustix::process::test_kill_process(parent).is_ok()),
            ),
            (
                "start a thread",
                std::thread::Builder::new().spawn(|| ()).is_ok(),
            ),
            ("make code", makes_code()),
        ]
    }

    fn makes_code() -> bool {
        let text = "(component (core module (func (export \"f\"))))";
        let wasm = wat::parse_str(text).unwrap();
        wasmtime::component::Component::new(&wasmtime::Engine::default(), wasm).is_ok()
    }

    /// Does nothing but in a process of its own, where the test below has it run.
    #[test]
    fn inside() {
        let Some(folder) = std::env::var_os(INSIDE) else {
            return;
        };
        let folder = Path::new(&folder);
        let reach = Reach {
            write: vec![folder.join("work")],
            read: vec![folder.join("data")],
            again: Vec::new(),
        };
        let wall = confine(&reach);
        seal().unwrap();
        let mut told = String::new();
        for (part, how) in wall {
            told += &format!("{part}: {}\n", how.is_ok());
        }
        for (what, works) in attempts(folder) {
            told += &format!("{what}: {works}\n");
        }
        fs::write(folder.join("work/told"), told).unwrap();
    }

    #[test]
    fn the_wall_stands() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["work", "data", "outside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("data/a"), "x").unwrap();
        fs::write(folder.path().join("outside/secret"), "x").unwrap();
        let link = folder.path().join("work/link");
        std::os::unix::fs::symlink("../outside/secret", link).unwrap();
        for (what, works) in attempts(folder.path()) {
            let fails = matches!(what, "connect");
            assert_eq!(works, !fails, "without the wall: {what}");
        }
        for made in ["outside/new", "work/hard", "work/b/a", "data/b"] {
            fs::remove_file(folder.path().join(made)).unwrap();
        }
        fs::remove_dir(folder.path().join("work/b")).unwrap();

        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sandbox::own::confine::tests::inside"])
            .env(INSIDE, folder.path())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        let told = fs::read_to_string(folder.path().join("work/told")).unwrap();
        let expected = "\
landlock: true
seccomp: true
rlimits: true
read a system file: false
list the root: false
read beside the workspaces: false
write beside the workspaces: false
follow a link out of the workspaces: false
link a file into the workspaces: false
write in the workspaces: true
move within the workspaces: true
read a granted folder: true
write in a folder granted to read: false
run a program: false
listen: false
connect: false
make a socket: false
signal another process: false
start a thread: true
make code: false
";
        assert_eq!(told, expected);
    }
}
