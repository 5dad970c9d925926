//! Locks as values: what a difference means, and that what is written is what is read.

use super::*;
use crate::grant::{
    Access as GrantAccess, HttpGrant, Mount, SecretGrant, SecretPlace, Target, TcpGrant,
};
use proptest::prelude::*;
use std::time::Duration;

fn http(rule: &str) -> HttpGrant {
    HttpGrant::new(rule.parse().expect(rule))
}

fn mount(access: GrantAccess) -> Mount {
    Mount {
        host: "data".into(),
        guest: "/data".into(),
        access,
        quota: Some(1 << 20),
        max_files: Some(100),
    }
}

fn secret(r#for: &str) -> SecretGrant {
    SecretGrant {
        name: "API_TOKEN".into(),
        place: SecretPlace::Header {
            name: "authorization".into(),
            prefix: "Bearer ".into(),
        },
        r#for: r#for.parse().expect(r#for),
    }
}

fn need(what: &str) -> Need {
    Need {
        what: what.into(),
        why: "asks \"the\" service\u{1b}".into(),
    }
}

fn pin() -> Pin {
    Pin {
        r#use: "../scan".into(),
        component: Digest::of("one"),
        requires: vec![need("http GET https://a.example/v1/**")],
        assets: [("/rules".to_string(), Digest::of("rules"))].into(),
        grants: Grants {
            fs: vec![mount(GrantAccess::Write)],
            http: vec![http("GET,HEAD https://a.example/v1/**")],
            tcp: vec![TcpGrant {
                idempotent: false,
                rule: "db.internal:5432".parse().expect("a rule"),
                private: true,
            }],
            secrets: vec![secret("GET https://a.example/v1/**")],
        },
    }
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn lock(pin: Pin) -> Lock {
    Lock {
        vars: [("rules".into(), "strict".into())].into(),
        outside: [("sinks.out".into(), "folder out".into())].into(),
        stations: [(name("scan"), pin)].into(),
    }
}

/// What changes when `edit` is done to the pinned line, one line each with its effect and name.
fn told(edit: impl FnOnce(&mut Lock)) -> Vec<String> {
    let mut now = lock(pin());
    edit(&mut now);
    tell(&changes(Some(&lock(pin())), &now))
}

fn tell(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| {
            let name = change
                .exact_name()
                .map_or(String::new(), |n| format!(" [{n}]"));
            format!("{}: {change}{name}", change.effect.as_str())
        })
        .collect()
}

fn station(lock: &mut Lock) -> &mut Pin {
    lock.stations.get_mut("scan").expect("there")
}

#[test]
fn each_difference_and_what_it_means() {
    type Edit = fn(&mut Lock);
    let edits: &[(&str, Edit)] = &[
        ("nothing", |_| {}),
        ("var", |l| {
            l.vars.insert("rules".into(), "lax".into());
        }),
        ("use", |l| station(l).r#use = "scan.wasm".into()),
        ("component", |l| station(l).component = Digest::of("two")),
        ("asset", |l| {
            station(l).assets.insert("/rules".into(), Digest::of("lax"));
        }),
        ("asset moved", |l| {
            let pin = station(l);
            let rules = pin.assets.remove("/rules").expect("there");
            pin.assets.insert("/other".into(), rules);
        }),
        ("needs more", |l| {
            station(l).requires.push(need("secret API_TOKEN"))
        }),
        ("needs less", |l| station(l).requires.clear()),
        ("another reason", |l| {
            station(l).requires[0].why = "whatever".into()
        }),
        ("fs narrower", |l| {
            station(l).grants.fs[0].access = GrantAccess::Read
        }),
        ("fs more room", |l| {
            station(l).grants.fs[0].quota = Some(2 << 20)
        }),
        ("fs no bound", |l| station(l).grants.fs[0].max_files = None),
        ("fs elsewhere", |l| {
            station(l).grants.fs[0].host = "/".into()
        }),
        ("http narrower", |l| {
            station(l).grants.http = vec![http("GET https://a.example/v1/**")];
        }),
        ("http wider", |l| {
            station(l).grants.http = vec![http("* https://a.example/v1/**")];
        }),
        ("http one more", |l| {
            station(l)
                .grants
                .http
                .push(http("GET https://b.example/**"));
        }),
        ("http none", |l| station(l).grants.http.clear()),
        ("http private", |l| station(l).grants.http[0].private = true),
        ("http idempotent", |l| {
            station(l).grants.http[0].idempotent = true
        }),
        ("http resample", |l| {
            station(l).grants.http[0].resample = true
        }),
        ("http longer", |l| {
            station(l).grants.http[0].max_response = 16 << 20
        }),
        ("http shorter", |l| {
            station(l).grants.http[0].max_response = 1 << 20
        }),
        ("http slower", |l| {
            station(l).grants.http[0].timeout = Duration::from_secs(90);
        }),
        ("tcp public", |l| station(l).grants.tcp[0].private = false),
        ("tcp port", |l| station(l).grants.tcp[0].rule.port = 1),
        ("secret narrower", |l| {
            station(l).grants.secrets = vec![secret("GET https://a.example/v1/x")];
        }),
        ("secret wider", |l| {
            station(l).grants.secrets = vec![secret("GET https://a.example/**")];
        }),
        ("secret elsewhere", |l| {
            station(l).grants.secrets[0].place = SecretPlace::Query { name: "key".into() };
        }),
        ("station new", |l| {
            l.stations.insert(name("more"), pin());
        }),
        ("station gone", |l| l.stations.clear()),
    ];
    let mut all = String::new();
    for (what, edit) in edits {
        all += &format!("{what}\n");
        for line in told(edit) {
            all += &format!("  {line}\n");
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_first_lock_asks_for_grants_and_what_is_outside_only() {
    let changes = changes(None, &lock(pin()));
    let asked: Vec<String> = changes.iter().filter_map(Change::name).collect();
    insta::assert_snapshot!(asked.join("\n"), @r#"
    sinks.out:folder out
    scan:fs write /data from data quota=1MiB max-files=100
    scan:http GET,HEAD https://a.example/v1/**
    scan:tcp db.internal:5432 private
    scan:secret API_TOKEN header=authorization prefix="Bearer " for GET https://a.example/v1/**
    "#);
    assert!(changes.len() > asked.len());
}

#[test]
fn a_change_is_accepted_by_its_own_name_only() {
    let mut now = lock(pin());
    station(&mut now).component = Digest::of("two");
    let change = &changes(Some(&lock(pin())), &now)[0];
    let digest = Digest::of("two").short();
    for text in ["scan:digest", &format!("scan:digest={digest}")] {
        assert!(change.is_accepted_by(text), "{text}");
    }
    for text in [
        "all",
        "scan",
        "digest",
        "scan:digest=",
        "scan:digest=0",
        "other:digest",
    ] {
        assert!(!change.is_accepted_by(text), "{text}");
    }
}

#[test]
fn a_lock_as_it_is_written() {
    let text = lock(pin()).to_text();
    insta::assert_snapshot!(text);
    assert_eq!(Lock::from_text(&text), Ok(lock(pin())));
}

#[test]
fn what_is_no_lock() {
    let whole = lock(pin()).to_text();
    let cases = [
        String::new(),
        "version = 2\nanything = 1\n".into(),
        "version = \"1\"\n".into(),
        "version = 1\n".into(),
        whole.replace("[vars]", "[wars]"),
        whole.replace("component = \"", "component = \"x"),
        whole.replace("GET,HEAD https", "GET,HEAD ftp"),
        whole.replace("private = true", "privat = true"),
        whole.replace("header = ", "query = \"q\", header = "),
        whole.replace("max-response = \"8MiB\"", "max-response = \"much\""),
        whole[..whole.len() / 2].into(),
    ];
    let told = cases.map(|text| {
        let error = Lock::from_text(&text).expect_err(&text);
        error.problem("line.lock", &text).to_string()
    });
    insta::assert_snapshot!(told.join("\n"));
}

/// Wherever a lock is cut short, it is no lock, or pins no more than the whole one: nothing that needs
/// acceptance gets by.
#[test]
fn a_lock_cut_short_lets_nothing_by() {
    let whole = lock(pin());
    let text = whole.to_text();
    let mut wider = whole.clone();
    station(&mut wider)
        .grants
        .http
        .push(http("GET https://b.example/**"));
    station(&mut wider).component = Digest::of("two");
    let asked = |from: &Lock| {
        let changes = changes(Some(from), &wider);
        changes.iter().filter_map(Change::name).collect::<Vec<_>>()
    };
    for end in 0..text.len() {
        if let Ok(cut) = Lock::from_text(&text[..end]) {
            for name in asked(&whole) {
                assert!(asked(&cut).contains(&name), "cut at {end}: {name}");
            }
        }
    }
}

fn rules() -> impl Strategy<Value = HttpGrant> {
    let methods = prop::sample::select(vec!["*", "GET", "GET,POST", "POST"]);
    let hosts = prop::sample::select(vec![
        "a.example",
        "*.a.example",
        "127.0.0.1",
        "b.example:8443",
    ]);
    let paths = prop::sample::select(vec!["/**", "/v1/**", "/v1/*", "/v1/x", "/"]);
    let rule = (methods, hosts, paths).prop_map(|(m, h, p)| format!("{m} https://{h}{p}"));
    let sizes = prop::sample::select(vec![1u64 << 10, 8 << 20, 12_345]);
    (rule, any::<[bool; 3]>(), sizes, 1u64..200_000).prop_map(|(rule, flags, size, timeout)| {
        let [private, idempotent, resample] = flags;
        HttpGrant {
            private,
            idempotent,
            resample,
            max_response: size,
            timeout: Duration::from_millis(timeout),
            ..http(&rule)
        }
    })
}

fn mounts() -> impl Strategy<Value = Mount> {
    let parts = (
        "[a-z \"'\\\\\u{e9}\n]{1,8}",
        any::<bool>(),
        any::<Option<u32>>(),
        any::<Option<u16>>(),
    );
    parts.prop_map(|(text, write, quota, files)| Mount {
        host: text.clone().into(),
        guest: format!("/{text}"),
        access: if write {
            GrantAccess::Write
        } else {
            GrantAccess::Read
        },
        quota: quota.map(u64::from),
        max_files: files.map(u64::from),
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(http in prop::collection::vec(rules(), 0..4), fs in prop::collection::vec(mounts(), 0..3), why in ".{0,20}") {
        let mut whole = lock(pin());
        station(&mut whole).grants = Grants { http, fs, ..Grants::default() };
        station(&mut whole).requires[0].why = why;
        let text = whole.to_text();
        let read = Lock::from_text(&text);
        prop_assert!(read.is_ok(), "{read:?}\n{text}");
        let read = read.expect("asserted");
        prop_assert_eq!(changes(Some(&read), &whole), Vec::new());
        prop_assert_eq!(changes(Some(&whole), &read), Vec::new());
        prop_assert_eq!(read.to_text(), text);
    }

    /// What passes without being accepted opens nothing that was not accepted before: no call that was not
    /// granted, and none with more than it was granted with.
    #[test]
    fn what_is_not_asked_for_was_open(before in prop::collection::vec(rules(), 0..4), now in prop::collection::vec(rules(), 0..4)) {
        let with = |http: &[HttpGrant]| {
            let mut lock = lock(pin());
            station(&mut lock).grants.http = http.to_vec();
            lock
        };
        let asked = changes(Some(&with(&before)), &with(&now));
        if asked.iter().any(Change::needs_acceptance) {
            return Ok(());
        }
        let rights = |http: &[HttpGrant]| crate::grant::Rights {
            grants: Grants { http: http.to_vec(), ..Grants::default() },
            ceiling: None,
        };
        let (before, now) = (rights(&before), rights(&now));
        for host in ["a.example", "x.a.example", "127.0.0.1", "b.example:8443"] {
            for path in ["/", "/v1/x", "/v1/y", "/v1/x/z", "/other"] {
                for method in ["GET", "POST", "PUT"] {
                    let target = Target::parse(&format!("https://{host}{path}")).expect("a URL");
                    let Ok(given) = now.http(method, &target) else { continue };
                    let was = before.http(method, &target);
                    prop_assert!(was.is_ok(), "{method} {target}");
                    let was = was.expect("asserted").grant;
                    prop_assert!(Granted::Http(was).allows(&Granted::Http(given.grant)), "{method} {target}");
                }
            }
        }
    }
}

/// The first grant that is for a call decides, so that what stands before a grant counts too.
#[test]
fn a_grant_that_stood_behind_a_narrower_one() {
    let narrow = http("GET https://a.example/v1/**");
    let wide = HttpGrant {
        private: true,
        ..http("GET https://a.example/**")
    };
    let with = |http: &[&HttpGrant]| {
        let mut lock = lock(pin());
        station(&mut lock).grants.http = http.iter().map(|grant| (*grant).clone()).collect();
        lock
    };
    let both = with(&[&narrow, &wide]);
    let cases = [
        (with(&[&narrow, &wide]), ""),
        (with(&[&narrow]), "narrows"),
        (with(&[&wide]), "narrows widens"),
        (with(&[&wide, &narrow]), "widens"),
    ];
    for (now, expected) in cases {
        let changes = changes(Some(&both), &now);
        let effects: Vec<_> = changes
            .iter()
            .map(|change| change.effect.as_str())
            .collect();
        assert_eq!(effects.join(" "), expected, "{}", tell(&changes).join("\n"));
    }
}
