//! What the person at the terminal is asked.

use super::print;
use rustix::{
    io::{Errno, read},
    termios::{LocalModes, OptionalActions, tcgetattr, tcgetwinsize, tcsetattr},
};
use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    thread,
};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// The rows and columns of the window that standard output is shown in; none where it does not say.
pub(super) fn window() -> Option<(usize, usize)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    let (rows, columns) = (size.ws_row.into(), size.ws_col.into());
    (rows > 0 && columns > 0).then_some((rows, columns))
}

/// Asks a question that only a plain yes answers with yes; none where nobody is there to answer.
pub(super) fn confirmed(question: &str) -> io::Result<Option<bool>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr().lock();
    write!(err, "{} [y/N] ", print::line(question))?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim().to_ascii_lowercase();
    Ok(Some(matches!(answer.as_str(), "y" | "yes")))
}

/// Reads standard input to its end, or on a terminal one line that it does not show; no more than
/// `most` bytes and one. Nothing of it stays in a buffer.
pub(super) fn hidden(prompt: &str, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    if !io::stdin().is_terminal() {
        return taken(most, false);
    }
    let before = tcgetattr(io::stdin())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    // Ctrl-C in between must not leave a terminal behind that shows nothing.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut interrupts = {
        let _entered = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    let restored = before.clone();
    thread::spawn(move || {
        runtime.block_on(interrupts.recv());
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &restored);
        std::process::exit(130);
    });
    let mut err = io::stderr().lock();
    write!(err, "{}", print::line(prompt))?;
    err.flush()?;
    tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
    let line = taken(most, true);
    tcsetattr(io::stdin(), OptionalActions::Now, &before)?;
    line
}

fn taken(most: usize, line: bool) -> io::Result<Zeroizing<Vec<u8>>> {
    // With all its room from the start: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(vec![0; most + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match read(io::stdin(), &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if line && bytes[..filled].contains(&b'\n') {
            break;
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
