//! Rules of grants: what is read is written and read again as the same, and covers itself.
#![no_main]

use andon_fuzz::grant::{HttpRule, Pace, Target, TcpRule};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (one, other, url) = input;
    let rule: Result<HttpRule, _> = one.parse();
    if let Ok(rule) = &rule {
        assert_eq!(rule.to_string().parse().as_ref(), Ok(rule));
        assert!(rule.covers(rule), "{rule}");
        if let (Ok(other), Ok(target)) = (other.parse::<HttpRule>(), Target::parse(url))
            && rule.covers(&other)
            && other.admits("GET", &target)
        {
            assert!(rule.admits("GET", &target), "{rule} covers {other}, and {target} gets between");
        }
    }
    if let Ok(rule) = one.parse::<TcpRule>() {
        assert_eq!(rule.to_string().parse(), Ok(rule));
    }
    for bytes in [false, true] {
        if let Ok(pace) = Pace::parse(one, bytes) {
            assert_eq!(Pace::parse(&pace.written(bytes), bytes), Ok(pace));
        }
    }
});
