//! Frames on a socket: what is to be written is gathered and written at once, what has come is read at
//! once and taken apart where it lies. Knows nothing of what the messages say.
//!
//! A frame is its length (4 bytes, little end first) and so many bytes of postcard. Open files travel
//! beside the bytes, in the order of the frames that say they come with one.

use postcard::ser_flavors::Flavor;
use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
};

/// Bytes before each frame.
const HEAD: usize = 4;
/// What is read at once; the socket's own buffer is not larger.
const READ: usize = 256 << 10;
/// More than what visits that begin at once come with.
const FULL: usize = 32 << 20;
/// Files that wait to be written.
const FILES: usize = 64;
/// A buffer that was once larger is given back.
const KEPT: usize = 1 << 20;

/// What is to be written.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// Files, each by where its frame begins.
    files: VecDeque<(usize, OwnedFd)>,
}

struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

impl Outbox {
    /// Adds a message.
    ///
    /// # Errors
    /// When it is longer than 4 GiB, which no frame can say.
    pub(super) fn push(&mut self, message: &impl Serialize) -> io::Result<()> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD]);
        let written = postcard::serialize_with_flavor(message, Append(&mut self.bytes))
            .map_err(io::Error::other)
            .and_then(|()| {
                u32::try_from(self.bytes.len() - at - HEAD).map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::FileTooLarge,
                        "a message of more than 4 GiB cannot be sent",
                    )
                })
            });
        match written {
            Ok(len) => {
                self.bytes[at..at + HEAD].copy_from_slice(&len.to_le_bytes());
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(at);
                Err(error)
            }
        }
    }

    /// The same with a file that goes along.
    pub(super) fn push_with(&mut self, message: &impl Serialize, file: OwnedFd) -> io::Result<()> {
        let at = self.bytes.len();
        self.push(message)?;
        self.files.push_back((at, file));
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether so much waits to be written that the other end is not to cause more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.written > FULL || self.files.len() > FILES
    }

    /// Writes all of it, or what the socket takes: whether all is written.
    pub(super) fn write(&mut self, socket: impl AsFd) -> io::Result<bool> {
        while self.written < self.bytes.len() {
            let with = self
                .files
                .front()
                .filter(|(at, _)| *at == self.written)
                .is_some();
            let until = self.files.get(usize::from(with));
            let until = until.map_or(self.bytes.len(), |(at, _)| *at);
            let bytes = [IoSlice::new(&self.bytes[self.written..until])];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let file = self
                .files
                .front()
                .filter(|_| with)
                .map(|(_, file)| [file.as_fd()]);
            if let Some(file) = &file {
                control.push(SendAncillaryMessage::ScmRights(file));
            }
            match sendmsg(&socket, &bytes, &mut control, SendFlags::NOSIGNAL) {
                Ok(n) => {
                    self.written += n;
                    if with {
                        self.files.pop_front();
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.written = 0;
        Ok(true)
    }
}

/// What has come and was not taken yet.
pub(super) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The longest frame.
    most: usize,
    files: VecDeque<OwnedFd>,
    takes_files: bool,
    /// The other end went without reading all that it was sent.
    unread: bool,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// There is something, and there may be more.
    Some,
    /// There is nothing for now.
    Nothing,
    /// The other end is closed.
    End,
}

impl Inbox {
    /// One that takes no files: those that come are closed.
    pub(super) fn new(most: usize) -> Self {
        Self {
            buffer: vec![0; READ],
            start: 0,
            end: 0,
            most,
            files: VecDeque::new(),
            takes_files: false,
            unread: false,
        }
    }

    /// Whether the other end is gone and did not read all that was written to it, where the system tells.
    pub(super) fn is_unread(&self) -> bool {
        self.unread
    }

    /// One that takes files.
    pub(super) fn with_files(most: usize) -> Self {
        Self {
            takes_files: true,
            ..Self::new(most)
        }
    }

    /// Reads once.
    pub(super) fn read(&mut self, socket: impl AsFd) -> io::Result<Read> {
        self.make_room();
        let full = self.buffer.len();
        let mut into = [IoSliceMut::new(&mut self.buffer[self.end..full])];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut control = match self.takes_files {
            true => RecvAncillaryBuffer::new(&mut space),
            false => RecvAncillaryBuffer::default(),
        };
        #[cfg(target_os = "linux")]
        let flags = RecvFlags::CMSG_CLOEXEC;
        #[cfg(not(target_os = "linux"))]
        let flags = RecvFlags::empty();
        let got = loop {
            match recvmsg(&socket, &mut into, &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(Read::Nothing),
                Err(Errno::CONNRESET) => {
                    self.unread = true;
                    return Ok(Read::End);
                }
                got => break got?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        self.end += got.bytes;
        Ok(match got.bytes {
            0 => Read::End,
            _ => Read::Some,
        })
    }

    /// The next message, where all of it is there.
    ///
    /// # Errors
    /// When a frame is longer than it may be, or is no message.
    pub(super) fn next<'a, T: Deserialize<'a>>(&'a mut self) -> io::Result<Option<T>> {
        let Some(len) = self.frame() else {
            return Ok(None);
        };
        if len > self.most {
            return Err(bad(format!(
                "a message of {len} bytes; {} are the most",
                self.most
            )));
        }
        let from = self.start + HEAD;
        if self.end < from + len {
            return Ok(None);
        }
        self.start = from + len;
        postcard::from_bytes(&self.buffer[from..from + len])
            .map(Some)
            .map_err(|error| bad(format!("no message: {error}")))
    }

    /// Whether a message, or something longer than one, is there whole.
    pub(super) fn has_next(&self) -> bool {
        let whole = |len| len > self.most || self.end - self.start >= HEAD + len;
        self.frame().is_some_and(whole)
    }

    /// The file of the message that said it comes with one.
    pub(super) fn file(&mut self) -> io::Result<OwnedFd> {
        self.files
            .pop_front()
            .ok_or_else(|| bad("a message without its file".into()))
    }

    fn frame(&self) -> Option<usize> {
        let head = self.buffer[self.start..self.end].first_chunk::<HEAD>()?;
        Some(u32::from_le_bytes(*head) as usize)
    }

    /// Room for what is missing of the frame that has begun, and for some more.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT {
                self.buffer = vec![0; READ];
            }
        }
        let wanted = match self.frame() {
            Some(len) if len <= self.most => HEAD + len,
            _ => HEAD,
        };
        let missing = wanted.saturating_sub(self.end - self.start);
        if self.buffer.len() - self.end >= missing.max(READ / 4) {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let whole = wanted.max(READ);
        if self.buffer.len() < whole {
            self.buffer.resize(whole, 0);
        }
    }
}

/// The other end said what it may not say.
pub(super) fn bad(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
