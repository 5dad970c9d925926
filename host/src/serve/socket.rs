//! The socket in the state folder: made so that only its owner can open it, found by commands.

use rustix::{
    fs::{Mode, chmod},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
};
use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, net::UnixListener},
    path::{Path, PathBuf},
};

/// The socket's name in the state folder.
const NAME: &str = "serve.sock";
/// How many callers may wait to be let in.
const WAITING: i32 = 128;

/// What went wrong with the socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The system takes no such long path.
    #[error("the path of the socket `{}` is too long for a socket\n  hint: go to a folder nearer to it, or name a shorter one with `--state DIR`", .0.display())]
    Long(PathBuf),
    /// There is something else in its place.
    #[error("`{}` is no socket\n  hint: move it away", .0.display())]
    NoSocket(PathBuf),
    /// The system says no.
    #[error("cannot {doing} the socket `{}`: {reason}", path.display())]
    System {
        /// What was tried.
        doing: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// The socket of a state folder, whether it is there or not.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The socket, for as long as the daemon lives.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
}

impl Socket {
    /// Makes the socket, in place of one that a dead daemon left. Whoever calls holds the state
    /// folder's lock, so no living daemon has it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(folder: &Path) -> Result<(Self, UnixListener), SocketError> {
        let path = path(folder);
        let failed = |doing: &'static str| {
            let path = path.clone();
            move |error: io::Error| SocketError::System {
                doing,
                path,
                reason: error,
            }
        };
        let address = address(&path)?;
        match fs::symlink_metadata(&path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(SocketError::NoSocket(path));
            }
            Ok(_) => fs::remove_file(&path).map_err(failed("replace"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at")(error)),
        }
        #[cfg(target_os = "linux")]
        let flags = SocketFlags::CLOEXEC;
        #[cfg(not(target_os = "linux"))]
        let flags = SocketFlags::empty();
        let made = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|error| failed("make")(error.into()))?;
        bind(&made, &address).map_err(|error| failed("make")(error.into()))?;
        let kept = Self { path: path.clone() };
        // Nobody can open it before it listens.
        chmod(&path, Mode::RUSR | Mode::WUSR).map_err(|error| failed("close")(error.into()))?;
        listen(&made, WAITING).map_err(|error| failed("listen on")(error.into()))?;
        let listener = UnixListener::from(made);
        (listener.set_nonblocking(true)).map_err(failed("listen on"))?;
        Ok((kept, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays is replaced by the next daemon.
        let _ = fs::remove_file(&self.path);
    }
}

/// The address of a socket.
fn address(path: &Path) -> Result<SocketAddrUnix, SocketError> {
    SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => SocketError::Long(path.into()),
        error => SocketError::System {
            doing: "name",
            path: path.into(),
            reason: error.into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{fs::PermissionsExt as _, net::UnixStream};

    #[test]
    fn only_its_owner_opens_it_and_what_a_dead_daemon_left_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, listener) = Socket::make(folder.path()).expect("made");
        let mode = fs::metadata(path(folder.path())).expect("there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        UnixStream::connect(path(folder.path())).expect("it listens");
        drop(listener);
        std::mem::forget(first);
        UnixStream::connect(path(folder.path())).expect_err("nobody listens");
        let (second, _listener) = Socket::make(folder.path()).expect("made again");
        UnixStream::connect(path(folder.path())).expect("it listens");
        drop(second);
        assert!(!path(folder.path()).exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone_and_long_paths_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(path(folder.path()), "mine").expect("written");
        let made = Socket::make(folder.path()).map(drop);
        assert!(matches!(made, Err(SocketError::NoSocket(_))));
        let deep = folder.path().join("d".repeat(120));
        fs::create_dir(&deep).expect("made");
        let made = Socket::make(&deep).map(drop);
        assert!(matches!(made, Err(SocketError::Long(_))));
    }
}
