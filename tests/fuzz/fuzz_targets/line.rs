//! A line file and a factory's file: any bytes are read or refused, and what is read is written and read
//! again as the same.
#![no_main]

use andon_fuzz::{
    factory::Factory,
    line::{Line, Vars, parse_bytes},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Factory::parse("andon.toml", bytes);
    if let Ok(draft) = parse_bytes("line.toml", bytes, &Vars::default()) {
        let written = draft.line.to_definition().expect("a checked line is written");
        let again = Line::from_definition(&written).expect("what was written is read");
        assert_eq!(again, draft.line);
    }
});
