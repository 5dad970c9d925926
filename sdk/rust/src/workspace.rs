//! The item's own directory, which every station on its way sees at `/workspace`.
//!
//! `std::fs` works there as anywhere; this adds the relative paths that bodies are named by.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind};
use std::path::PathBuf;

use crate::host;

/// Where the workspace is: `/workspace`, or what a test has set.
pub fn root() -> PathBuf {
    host::workspace()
}

/// The place of `relative` in the workspace. An error (which `?` makes a reject) if it is absolute,
/// empty, or has parts that are empty, `.` or `..`.
pub fn path(relative: &str) -> io::Result<PathBuf> {
    if relative
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
        || relative.contains('\0')
    {
        let why = format!(
            "`{}` is no relative path of the workspace",
            relative.escape_debug()
        );
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    Ok(root().join(relative))
}

/// Creates the file `relative`, and the folders above it, and truncates it if it is there.
///
/// ```no_run
/// # use andon_station::prelude::*;
/// use std::io::Write;
/// # fn main() -> Result<()> {
/// let mut page = workspace::create("report/index.html")?;
/// writeln!(page, "<h1>large</h1>")?;
/// page.flush()?;
/// let output = Output::pass().file("text/html", "report/index.html");
/// # Ok(()) }
/// ```
pub fn create(relative: &str) -> io::Result<BufWriter<File>> {
    let path = path(relative)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    Ok(BufWriter::new(File::create(path)?))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, Write};

    use super::*;
    use crate::{Body, Output, Stop, testing::Host};

    #[test]
    fn a_file_is_a_body() {
        let folder = std::env::temp_dir().join(format!("andon-workspace-{}", std::process::id()));
        let _host = Host::start().workspace(&folder);
        let mut file = create("deep/down/list.json").unwrap();
        file.write_all(b"[1,\n2]").unwrap();
        file.flush().unwrap();
        let payload = Output::pass()
            .file("application/json", "deep/down/list.json")
            .payload;
        assert_eq!(payload.json::<Vec<u8>>(), Ok(vec![1, 2]));
        assert_eq!(payload.text().unwrap(), "[1,\n2]");
        assert_eq!(payload.open().unwrap().lines().count(), 2);
        std::fs::remove_dir_all(&folder).unwrap();
        let Err(Stop::Retry { reason, .. }) = payload.bytes() else {
            panic!("a file that is gone may come back")
        };
        assert!(
            reason.starts_with("body `deep/down/list.json` in the workspace: "),
            "{reason}"
        );
        assert_eq!(payload.body, Body::File("deep/down/list.json".into()));
    }

    #[test]
    fn nothing_is_created_outside() {
        for path in ["../x", "/tmp/x", "a/../../x", "", "a\0"] {
            assert_eq!(
                create(path).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{path:?}"
            );
        }
    }
}
