//! A daemon under test: `andon serve` as a process, what it says, and who asks it over TCP.

use crate::ground::{Came, Ground};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
};

/// A daemon; killed with the test where it has not ended.
pub(crate) struct Daemon {
    child: Child,
    said: BufReader<ChildStderr>,
    /// Where it is reached over TCP.
    address: String,
}

impl Daemon {
    /// One that serves.
    pub(crate) fn start(ground: &Ground, arguments: &[&str]) -> Self {
        Self::of(ground.command(&[&["serve"], arguments].concat()))
    }

    /// The same of a command that is made ready.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let said = BufReader::new(child.stderr.take().expect("piped"));
        let mut daemon = Self {
            child,
            said,
            address: String::new(),
        };
        let serving = daemon.hears("serving");
        if let Some((_, address)) = serving.trim_end().split_once("http://") {
            daemon.address = address.into();
        }
        daemon
    }

    /// The next line of its log that has this in it.
    pub(crate) fn hears(&mut self, what: &str) -> String {
        hears(&mut self.said, what)
    }

    pub(crate) fn pid(&self) -> Pid {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.expect("a process")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it can be signalled");
    }

    /// Where it is reached over TCP.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What it came to, and what it said at last.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("readable");
        (self.child.wait().expect("it ends"), rest)
    }

    /// What comes back of a request over TCP: status and body.
    pub(crate) fn ask(&self, request: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let text = format!(
            "{request} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(text.as_bytes()).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.expect("a status"), body.into())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line of a process's log that has this in it.
pub(crate) fn hears(said: &mut impl BufRead, what: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        let read = said.read_line(&mut line).expect("readable");
        assert!(read > 0, "it ended without `{what}`:\n{all}");
        if line.contains(what) {
            return line;
        }
        all.push_str(&line);
    }
}

/// Asks until it is so; the daemon does what it was told on its own time.
pub(crate) fn until(ground: &Ground, arguments: &[&str], fits: impl Fn(&Came) -> bool) -> Came {
    loop {
        let came = ground.andon(arguments);
        if fits(&came) {
            return came;
        }
        std::thread::yield_now();
    }
}
