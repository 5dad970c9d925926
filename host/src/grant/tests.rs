//! What holds of all grants, calls and ceilings.

use super::*;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::{collection::vec, prelude::*, sample::select};
use std::path::PathBuf;

/// Few words, so that rules and calls often are about the same.
fn segment() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "*", "%20"]), 1..4).prop_map(|parts| {
        let mut text = parts.concat();
        while text.contains("**") {
            text = text.replace("**", "*");
        }
        text
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![2 => segment(), 1 => Just("**".to_string()), 1 => Just(String::new())];
    vec(part, 1..6).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn methods() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_string()),
        vec(select(vec!["GET", "POST", "X-Y"]), 1..3).prop_map(|all| all.join(","))
    ]
    .prop_map(|text| text.to_uppercase())
}

fn authority() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a.test",
        "*.a.test",
        "b.a.test",
        "*.b.a.test",
        "a.test:8080",
        "127.0.0.1",
        "[::1]",
        "[::ffff:10.0.0.1]:8080",
    ])
}

fn rule() -> impl Strategy<Value = HttpRule> {
    let scheme = select(vec!["http", "https"]);
    (methods(), scheme, authority(), pattern()).prop_map(|(methods, scheme, host, path)| {
        let text = format!("{methods} {scheme}://{host}{path}");
        text.parse().unwrap_or_else(|bad| panic!("{text}: {bad}"))
    })
}

fn call() -> impl Strategy<Value = (String, Target)> {
    let host = select(vec![
        "a.test",
        "b.a.test",
        "c.b.a.test",
        "a.test:8080",
        "127.0.0.1",
        "0x7f.1",
        "[::1]",
        "[::ffff:a00:1]:8080",
    ]);
    let part = prop_oneof![
        4 => vec(select(vec!["a", "b", "%20", "*"]), 0..4).prop_map(|parts| parts.concat()),
        1 => select(vec!["..", "%2e", "a%2fb", "**"]).prop_map(str::to_string),
    ];
    let method = select(vec!["GET", "POST", "X-Y", "PUT"]);
    let scheme = select(vec!["http", "https"]);
    (method, scheme, host, vec(part, 0..6)).prop_map(|(method, scheme, host, path)| {
        let text = format!("{scheme}://{host}/{}?q=1", path.join("/"));
        let target = Target::parse(&text).unwrap_or_else(|bad| panic!("{text}: {bad}"));
        (method.to_string(), target)
    })
}

fn tcp_rule() -> impl Strategy<Value = TcpRule> {
    (
        select(vec!["a.test", "*.a.test", "b.a.test", "10.0.0.1", "[::1]"]),
        1u16..3,
    )
        .prop_map(|(host, port)| format!("{host}:{port}").parse().expect("a rule"))
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Ipv4Addr::from(octets).into()),
        any::<[u8; 16]>().prop_map(|octets| Ipv6Addr::from(octets).into()),
        select(vec![
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "fd00::1",
            "8.8.8.8"
        ])
        .prop_map(|text| text.parse().expect("an address")),
    ]
}

fn grants() -> impl Strategy<Value = Grants> {
    let http = (rule(), any::<bool>(), 1u64..9).prop_map(|(rule, private, max)| HttpGrant {
        private,
        max_response: max,
        ..HttpGrant::new(rule)
    });
    let tcp = (tcp_rule(), any::<bool>()).prop_map(|(rule, private)| TcpGrant {
        rule,
        private,
        idempotent: false,
    });
    let secret = (select(vec!["A", "B"]), select(vec!["x", "y"]), rule()).prop_map(
        |(name, header, r#for)| SecretGrant {
            name: name.into(),
            place: SecretPlace::Header {
                name: header.into(),
                prefix: String::new(),
            },
            r#for,
        },
    );
    let folder = select(vec!["/a", "/a/b", "/ab", "/c/d", "/"]);
    let access = select(vec![Access::Read, Access::Write]);
    let mount = (folder, access).prop_map(|(host, access)| Mount {
        host: PathBuf::from(host),
        guest: "/x".into(),
        access,
        quota: None,
        max_files: None,
    });
    (
        vec(http, 0..6),
        vec(tcp, 0..4),
        vec(secret, 0..4),
        vec(mount, 0..4),
    )
        .prop_map(|(http, tcp, secrets, fs)| Grants {
            fs,
            http,
            tcp,
            secrets,
        })
}

/// Line, ceiling, and both.
fn alone(line: &Grants, ceiling: &Grants) -> [Rights; 3] {
    let rights = |grants: &Grants, ceiling: Option<&Grants>| Rights {
        grants: grants.clone(),
        ceiling: ceiling.map(|grants| Ceiling {
            grants: grants.clone(),
            ..Ceiling::default()
        }),
    };
    [
        rights(line, None),
        rights(ceiling, None),
        rights(line, Some(ceiling)),
    ]
}

/// Whether text fits a pattern, as it is defined.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => fits(rest, text) || !text.is_empty() && fits(pattern, &text[1..]),
        ([p, rest @ ..], [t, others @ ..]) => p == t && fits(rest, others),
        _ => false,
    }
}

/// The same for paths.
fn fits_path(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], [_, others @ ..]) => {
            fits_path(rest, others) || fits_path(pattern, others)
        }
        ([p, rest @ ..], [t, others @ ..]) => {
            fits(p.as_bytes(), t.as_bytes()) && fits_path(rest, others)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn rules_are_printed_as_they_are_read(rule in rule(), tcp in tcp_rule()) {
        prop_assert_eq!(rule.to_string().parse::<HttpRule>(), Ok(rule));
        prop_assert_eq!(tcp.to_string().parse::<TcpRule>(), Ok(tcp));
    }

    #[test]
    fn targets_are_printed_as_they_are_read((_, target) in call()) {
        prop_assert_eq!(Target::parse(&target.to_string()), Ok(target));
    }

    #[test]
    fn paces_are_printed_as_they_are_read(amount in 1u64..=u64::MAX, per in select(vec![1, 60, 3600]), bytes: bool) {
        let pace = Pace { amount, per: std::time::Duration::from_secs(per) };
        prop_assert_eq!(Pace::parse(&pace.written(bytes), bytes), Ok(pace));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = text.parse::<HttpRule>();
        let _ = text.parse::<TcpRule>();
        let _ = HttpRule::of_any_method(&text);
        let _ = Target::parse(&text);
        let _ = Target::parse(&format!("http://{text}"));
        let _ = format!("GET http://a/{text}").parse::<HttpRule>();
        let _ = (Pace::parse(&text, true), Pace::parse(&text, false));
    }

    #[test]
    fn paths_fit_as_is_defined(pattern in pattern(), (_, target) in call()) {
        let rule: HttpRule = format!("* http://a{pattern}").parse().unwrap();
        let target = Target { scheme: Scheme::Http, host: Host::Name("a".into()), port: 80, ..target };
        let parts: Vec<_> = pattern.split('/').skip(1).collect();
        let path: Vec<_> = target.path.split('/').skip(1).collect();
        let fits = fits_path(&parts, &path) && (!target.ambiguous() || pattern == "/**");
        prop_assert_eq!(rule.admits("GET", &target), fits, "{} {}", pattern, target.path);
    }

    #[test]
    fn what_covers_admits_all_that_is_covered(a in rule(), b in rule(), (method, target) in call()) {
        if a.covers(&b) && b.admits(&method, &target) {
            prop_assert!(a.admits(&method, &target), "{} {} {}", a, b, target);
        }
        if a.admits(&method, &target) && b.admits(&method, &target) {
            prop_assert!(a.meets(&b) && b.meets(&a), "{} {} {}", a, b, target);
        }
        prop_assert!(a.covers(&a) && a.meets(&a));
        if a.covers(&b) {
            prop_assert!(a.meets(&b), "{} {}", a, b);
        }
    }

    #[test]
    fn the_narrowest_rule_for_a_call_admits_it((method, target) in call()) {
        prop_assert!(HttpRule::just(&method, &target).admits(&method, &target));
        let text = HttpRule::just(&method, &target).to_string();
        prop_assert!(text.parse::<HttpRule>().unwrap().admits(&method, &target), "{}", text);
    }

    /// Several methods are no more than each of them.
    #[test]
    fn a_rule_is_the_sum_of_its_parts(rule in rule(), other in rule(), (method, target) in call()) {
        let Methods::Some(methods) = &rule.methods else { return Ok(()) };
        let parts: Vec<_> = methods
            .iter()
            .map(|method| rule.of_method(method))
            .collect();
        let admitted = parts.iter().any(|part| part.admits(&method, &target));
        prop_assert_eq!(rule.admits(&method, &target), admitted);
        let single = matches!(&other.methods, Methods::Some(methods) if methods.len() == 1);
        if single {
            prop_assert_eq!(rule.covers(&other), parts.iter().any(|part| part.covers(&other)));
        }
    }

    #[test]
    fn a_ceiling_only_takes_away(
        line in grants(),
        ceiling in grants(),
        (method, target) in call(),
        address in address(),
        port in 1u16..3,
        name in select(vec!["a.test", "b.a.test", "c.b.a.test", "x.test"]),
    ) {
        let [line, ceiling, both] = alone(&line, &ceiling);
        if let Ok(given) = both.http(&method, &target) {
            let by_line = line.http(&method, &target).unwrap();
            let by_ceiling = ceiling.http(&method, &target).unwrap();
            prop_assert!(given.max_response() <= by_line.max_response().min(by_ceiling.max_response()));
            prop_assert!(given.timeout() <= by_line.timeout().min(by_ceiling.timeout()));
            if given.admit(address).is_ok() {
                prop_assert!(by_line.admit(address).is_ok() && by_ceiling.admit(address).is_ok());
            }
        } else {
            prop_assert!(line.http(&method, &target).is_err() || ceiling.http(&method, &target).is_err());
        }
        for secret in both.secrets(&method, &target) {
            prop_assert!(line.secrets(&method, &target).any(|other| other == secret));
            let allowed = &ceiling.grants.secrets;
            prop_assert!(allowed.iter().any(|other| other.name == secret.name && other.r#for.admits(&method, &target)));
        }
        for host in [Host::Name(name.into()), Host::Address(address)] {
            if let Ok(given) = both.tcp(&host, port) {
                let (by_line, by_ceiling) = (line.tcp(&host, port).unwrap(), ceiling.tcp(&host, port).unwrap());
                if given.admit(address).is_ok() {
                    prop_assert!(by_line.admit(address).is_ok() && by_ceiling.admit(address).is_ok());
                }
            }
        }
        if both.look_up(name).is_ok() {
            prop_assert!(line.look_up(name).is_ok() && ceiling.look_up(name).is_ok());
        }
        for (n, mount) in both.mounts() {
            let granted = &line.grants.fs[n];
            prop_assert!(mount.host == granted.host && mount.access <= granted.access);
            let mut entries = ceiling.grants.fs.iter();
            prop_assert!(entries.any(|entry| mount.host.starts_with(&entry.host) && mount.access <= entry.access));
        }
    }

    /// What is said of a grant as a whole holds for each of its calls.
    #[test]
    fn what_is_left_of_a_grant_is_so(line in grants(), ceiling in grants(), (method, target) in call()) {
        let [.., both] = alone(&line, &ceiling);
        let admitted = both.http(&method, &target);
        for grant in &line.http {
            if !grant.rule.admits(&method, &target) {
                continue;
            }
            match both.left_of_http(grant) {
                Left::Nothing => prop_assert!(admitted.is_err()),
                Left::Whole(_) => prop_assert!(admitted.is_ok()),
                Left::Part(_) => {}
            }
        }
        let one = HttpRule::just(&method, &target);
        if both.lacks_http(&one).is_none() {
            prop_assert!(both.http(&method, &target).is_ok());
        }
    }

    /// However an address is wrapped, it is no better than it is, and never public.
    #[test]
    fn wrapped_addresses_stay_what_they_are(octets in any::<[u8; 4]>(), prefix in 0x2001u16..0x3000) {
        let inner = Ipv4Addr::from(octets);
        let [high, low] = [u16::from_be_bytes([octets[0], octets[1]]), u16::from_be_bytes([octets[2], octets[3]])];
        let wrapped = [
            inner.to_ipv6_mapped(),
            inner.to_ipv6_compatible(),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 2, 3, 4, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 1, 2, 3, 4, !high, !low),
            Ipv6Addr::new(prefix, 0xdead, 0, 0, 0, 0x5efe, high, low),
        ];
        for address in wrapped {
            let class = address_class(address.into());
            prop_assert!(class >= AddressClass::Private, "{}", address);
            // 64:ff9b:1::/48 is never better than local; the first of the compatible ones are `::` and `::1`
            if high != 0 && address_class(inner.into()) != AddressClass::Never {
                prop_assert!(class >= address_class(inner.into()), "{}", address);
            }
        }
    }
}

/// A path of the guest's is not slow in a rule of many stars.
#[test]
fn long_paths_are_decided_quickly() {
    let rule: HttpRule = format!("GET http://a{}/end", "/**/a*a*a*b".repeat(60))
        .parse()
        .unwrap();
    let target = Target::parse(&format!("http://a{}", "/aaaa".repeat(1600))).unwrap();
    assert!(!rule.admits("GET", &target));
    let other: HttpRule = format!("GET http://a{}/end", "/**/*a*a".repeat(100))
        .parse()
        .unwrap();
    assert!(!rule.covers(&other));
    // before `end` one wants a `b` and the other an `a`
    assert!(!rule.meets(&other));
}
