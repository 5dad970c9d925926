//! What the trait promises of sources.

use super::*;

suite![what_a_source_keeps_replaces_what_it_kept];

fn what_a_source_keeps_replaces_what_it_kept(journal: &dyn Journal) {
    let kept = |line: &str, source: &str| journal.source(&name(line), &name(source)).unwrap();
    let keep = |line: &str, source: &str, state: &str| {
        block_on(journal.keep_source(&name(line), &name(source), state)).unwrap();
    };
    assert_eq!(kept("line", "a"), None);
    keep("line", "a", "1");
    keep("line", "b", "2");
    keep("other", "a", "3");
    keep("line", "a", "4");
    assert_eq!(kept("line", "a").as_deref(), Some("4"));
    assert_eq!(kept("line", "b").as_deref(), Some("2"));
    assert_eq!(kept("other", "a").as_deref(), Some("3"));
    assert_eq!(kept("other", "b"), None);
}
