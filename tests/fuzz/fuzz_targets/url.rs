//! Where a call goes: two ways to write the same are one, and nothing of the text gets into a request.
#![no_main]

use andon_fuzz::grant::{HttpRule, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(target) = Target::parse(text) else {
        return;
    };
    assert_eq!(Target::parse(&target.to_string()).as_ref(), Ok(&target));
    let said = format!("{}{}", target.authority(), target.path_and_query());
    assert!(said.bytes().all(|b| (0x21..0x7f).contains(&b)), "{said}");
    assert!(!target.authority().contains(['@', '/', '?', '#']));
    assert!(target.path.split('/').all(|part| part != "." && part != ".."));
    if !target.ambiguous() {
        assert!(HttpRule::just("GET", &target).admits("GET", &target), "{target}");
    }
});
