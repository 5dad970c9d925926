//! A station.toml: any text is read or refused, and what is read is embedded and found again.
#![no_main]

use andon_build::manifest::{Manifest, embed, extract};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

/// The smallest component.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

fuzz_target!(|text: &str| {
    // No folder: a schema that names a file is refused.
    let Ok(manifest) = Manifest::from_toml(text, Path::new("/dev/null")) else {
        return;
    };
    if let Ok(component) = embed(EMPTY, &manifest) {
        assert_eq!(extract(&component).expect("what was embedded is found"), Some(manifest));
    }
});
