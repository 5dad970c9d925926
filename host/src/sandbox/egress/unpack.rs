//! Answers that come packed, unpacked piece by piece: no piece becomes longer than its bound, and no
//! answer longer than what is left of it.

use crate::sandbox::way::Failure;
use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use std::io::{self, Write};

/// How much is unpacked at a time: it becomes a thousand times as much at most.
const PIECE: usize = 1 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    None,
    Gzip,
    Deflate,
    /// In a way that is not known here.
    Other,
}

impl Packing {
    /// What the head of an answer says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut all = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = all.next() else {
            return Self::None;
        };
        let name = value.as_bytes().trim_ascii().to_ascii_lowercase();
        match (&name[..], all.next()) {
            (_, Some(_)) => Self::Other,
            (b"gzip" | b"x-gzip", None) => Self::Gzip,
            (b"deflate", None) => Self::Deflate,
            (b"identity" | b"", None) => Self::None,
            _ => Self::Other,
        }
    }
}

/// Unpacks one body.
pub(super) enum Unpacker {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// With the header that it ought to have.
    Zlib(ZlibDecoder<Vec<u8>>),
    /// Without it, as some servers send it.
    Raw(DeflateDecoder<Vec<u8>>),
    /// Which of the two, the first byte tells.
    Deflate,
}

impl Unpacker {
    /// An unpacker for what can be unpacked.
    pub(super) fn new(packing: Packing) -> Option<Self> {
        match packing {
            Packing::Gzip => Some(Self::Gzip(MultiGzDecoder::new(Vec::new()))),
            Packing::Deflate => Some(Self::Deflate),
            Packing::None | Packing::Other => None,
        }
    }

    /// Unpacks the beginning of `packed`, and takes it off.
    pub(super) fn next(&mut self, packed: &mut Bytes) -> Result<Vec<u8>, Failure> {
        let piece = packed.split_to(PIECE.min(packed.len()));
        if let (Self::Deflate, Some(first)) = (&*self, piece.first()) {
            *self = match first & 0xf {
                8 => Self::Zlib(ZlibDecoder::new(Vec::new())),
                _ => Self::Raw(DeflateDecoder::new(Vec::new())),
            };
        }
        let unpacked = match self {
            Self::Gzip(decoder) => write(decoder, &piece).map(|()| decoder.get_mut()),
            Self::Zlib(decoder) => write(decoder, &piece).map(|()| decoder.get_mut()),
            Self::Raw(decoder) => write(decoder, &piece).map(|()| decoder.get_mut()),
            Self::Deflate => return Ok(Vec::new()),
        };
        unpacked.map(std::mem::take).map_err(|_| Failure::Protocol)
    }

    /// What is left when all has come; an error where it was cut off.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, Failure> {
        let rest = match std::mem::replace(self, Self::Deflate) {
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zlib(decoder) => decoder.finish(),
            Self::Raw(decoder) => decoder.finish(),
            Self::Deflate => Ok(Vec::new()),
        };
        rest.map_err(|_| Failure::Protocol)
    }
}

fn write(decoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    decoder.write_all(piece)?;
    decoder.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    fn unpacked(packing: Packing, packed: Vec<u8>, piece: usize) -> Result<Vec<u8>, Failure> {
        let mut unpacker = Unpacker::new(packing).unwrap();
        let mut out = Vec::new();
        for piece in packed.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            while !piece.is_empty() {
                let unpacked = unpacker.next(&mut piece)?;
                assert!(unpacked.len() <= PIECE * 1100, "{}", unpacked.len());
                out.extend(unpacked);
            }
        }
        out.extend(unpacker.finish()?);
        Ok(out)
    }

    #[test]
    fn what_is_packed_is_unpacked_in_bounded_pieces() {
        let text = [&[b'x'; 3 << 20][..], b"the end"].concat();
        let level = Compression::best();
        let gzip = {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        };
        let zlib = {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        };
        let raw = {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        };
        for (packing, packed) in [
            (Packing::Gzip, &gzip),
            (Packing::Deflate, &zlib),
            (Packing::Deflate, &raw),
        ] {
            for piece in [1, 7, 100_000] {
                let out = unpacked(packing, packed.clone(), piece);
                assert!(out.as_deref() == Ok(&text), "{packing:?} {piece}");
            }
            let cut = packed[..packed.len() / 2].to_vec();
            assert_eq!(unpacked(packing, cut, 1000), Err(Failure::Protocol));
        }
        let noise = b"no gzip at all".to_vec();
        assert_eq!(unpacked(Packing::Gzip, noise, 5), Err(Failure::Protocol));
    }
}
