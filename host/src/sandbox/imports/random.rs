//! `wasi:random`, 0.2 and 0.3: one stream of bytes that the visit's seed determines.
//!
//! The stream is BLAKE3's extendable output under the seed as the key. Each call takes the next
//! bytes of it, so that an attempt that is run again sees the same ones.

use crate::sandbox::state::State;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::{p2, p3};

/// The most bytes of one call; wasi-libc asks for far fewer at a time.
const MOST: u64 = 1 << 20;

/// A visit's randomness.
pub(crate) struct Random {
    seed: [u8; 32],
    stream: Option<blake3::OutputReader>,
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, stream: None }
    }

    fn bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        wasmtime::ensure!(
            len <= MOST,
            "asked for {len} random bytes at once; {MOST} are the most"
        );
        let mut bytes = vec![0; usize::try_from(len)?];
        self.fill(&mut bytes);
        Ok(bytes)
    }

    fn u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        let seed = &self.seed;
        self.stream
            .get_or_insert_with(|| blake3::Hasher::new_keyed(seed).finalize_xof())
            .fill(bytes);
    }
}

struct HasRandom;

impl HasData for HasRandom {
    type Data<'a> = &'a mut Random;
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    fn random(state: &mut State) -> &mut Random {
        &mut state.random
    }
    use p2::bindings::random as old;
    use p3::bindings::random as new;
    old::random::add_to_linker::<_, HasRandom>(linker, random)?;
    old::insecure::add_to_linker::<_, HasRandom>(linker, random)?;
    old::insecure_seed::add_to_linker::<_, HasRandom>(linker, random)?;
    new::random::add_to_linker::<_, HasRandom>(linker, random)?;
    new::insecure::add_to_linker::<_, HasRandom>(linker, random)?;
    new::insecure_seed::add_to_linker::<_, HasRandom>(linker, random)?;
    Ok(())
}

impl p2::bindings::random::random::Host for Random {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.u64())
    }
}

impl p2::bindings::random::insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.u64())
    }
}

impl p2::bindings::random::insecure_seed::Host for Random {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.u64(), self.u64()))
    }
}

impl p3::bindings::random::random::Host for Random {
    // 0.3 lets a host give fewer bytes than were asked for.
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len.min(MOST))
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.u64())
    }
}

impl p3::bindings::random::insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len.min(MOST))
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.u64())
    }
}

impl p3::bindings::random::insecure_seed::Host for Random {
    fn get_insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.u64(), self.u64()))
    }
}
