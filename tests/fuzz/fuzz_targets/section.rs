//! The manifest inside a component: any bytes are read or refused.
#![no_main]

use andon_build::manifest::extract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = extract(bytes);
    // Behind a component's head, so that sections are reached at once.
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend_from_slice(bytes);
    let _ = extract(&component);
});
