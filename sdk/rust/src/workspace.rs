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
