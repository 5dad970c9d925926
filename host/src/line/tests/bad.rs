//! Files that are wrong, each with all that is said of it.

use super::*;

/// Two stations that are right, for files whose fault is elsewhere.
const REST: &str = "
[stations.a]
use = 'a'
next = 'b'
[stations.b]
use = 'b'
next = 'done'
";

/// Stations in short: `name: settings`, one a line, each with a `use` of its own.
fn stations(head: &str, stations: &[(&str, &str)]) -> String {
    let mut text = format!("line = 'x'\nentry = 'a'\n{head}\n");
    for (name, settings) in stations {
        let _ = writeln!(text, "[stations.{name}]\nuse = '{name}'\n{settings}");
    }
    text
}

fn all(files: &[(&str, String)]) -> String {
    let mut report = String::new();
    for (title, text) in files {
        let problems = match parse("line.toml", text, &Vars::default()) {
            Ok(_) => "nothing\n".into(),
            Err(problems) => told(&problems),
        };
        let _ = writeln!(report, "== {title}\n{problems}");
    }
    report
}

#[test]
fn syntax() {
    let head = |text: &str| format!("line = 'x'\nentry = 'a'\n{text}\n{REST}");
    let report = all(&[
        ("empty", String::new()),
        ("not toml", "this is no toml\n".into()),
        ("yaml", "line: review\nstations:\n  - parse\n".into()),
        ("text not closed", head("vars = { a = \"b }")),
        ("control character", "line = \"a\u{1}b\"\n".into()),
        (
            "an inline table extended by a table",
            stations(
                "",
                &[(
                    "a",
                    "next = { pass = 'done' }\n[stations.a.next]\nleak = 'done'",
                )],
            ),
        ),
        (
            "an inline table extended by a key",
            stations(
                "",
                &[(
                    "a",
                    "limits = { wall = '1s' }\nlimits.cpu = '1s'\nnext = 'done'",
                )],
            ),
        ),
        (
            "a list extended by a table",
            stations(
                "",
                &[(
                    "a",
                    "next = 'done'\nassets = []\n[[stations.a.assets]]\nhost = 'x'\nguest = '/x'",
                )],
            ),
        ),
        (
            "a key twice",
            stations("", &[("a", "next = 'done'\nnext = 'scrap'")]),
        ),
        (
            "two stations of one name",
            stations("", &[("a", "next = 'done'"), ("a", "next = 'done'")]),
        ),
        (
            "too deep",
            format!("line = {}{}", "[".repeat(500), "]".repeat(500)),
        ),
        ("too deep a key", format!("a{} = 1", ".a".repeat(500))),
        ("too long", "#".repeat(600 << 10)),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn questions() {
    let asks = |settings: &str| {
        format!(
            "line = 'x'\nentry = 'a'\n[stations.a]\n{settings}\n[stations.b]\nuse = 'b'\nnext = 'done'\n"
        )
    };
    let report = all(&[
        ("nothing at all", asks("next = 'b'")),
        ("nothing said", asks("ask = {}\nnext = 'b'")),
        (
            "a question and its choices",
            asks("ask = { prompt = ' ', choices = [] }\nnext = 'b'"),
        ),
        (
            "too much of both",
            asks(&format!(
                "ask = {{ prompt = '{}', choices = [{}] }}\nnext = 'b'",
                "x".repeat(5000),
                (0..17).map(|n| format!("'p{n}', ")).collect::<String>()
            )),
        ),
        (
            "choices that are no ports",
            asks("ask = { prompt = 'Go?', choices = ['pass', 'pass', 'Ship it', 3] }\nnext = 'b'"),
        ),
        (
            "ports and choices that differ",
            asks(
                "ask = { prompt = 'Go?', choices = ['pass', 'ship', 'exhausted'] }\nvisits = 1\n\
                next = { pass = 'b', rework = 'a', exhausted = 'b' }",
            ),
        ),
        (
            "what is taken otherwise",
            asks(
                "ask = { prompt = 'Go?', choices = ['pass'], within = '1d', otherwise = 'pas' }\nnext = 'b'",
            ),
        ),
        (
            "otherwise, but when",
            asks(
                "ask = { prompt = 'Go?', choices = ['pass'], otherwise = 'pass', not = 'me', who = 'x' }\nnext = 'b'",
            ),
        ),
        (
            "what is for components",
            asks(
                "ask = { prompt = 'Go?', choices = ['pass'] }\nnext = 'b'\nuse = 'a'\nconfig = { a = 1 }\n\
                args = ['x']\nenv = { A = 'x' }\nexits = { 1 = 'pass' }\nworkers = 2\nqueue = 2\njoin = { of = 'b' }\n\
                retry = { attempts = 2 }\nlimits = { wall = '1s', visits = 3 }\nhold = { within = '1s' }\n\
                grants.tcp = ['a:1']\nrate.requests = '1/s'\nviolation = 'deny'\nassets = [{ host = 'x', guest = '/x' }]",
            ),
        ),
        (
            "how a component's questions are held",
            asks(
                "use = 'a'\nnext = 'b'\nhold = { otherwise = \"\\u001b\", within = 'soon', not = ['submitter'] }",
            ),
        ),
        (
            "held without end, and not at all",
            asks("use = 'a'\nnext = 'b'\nhold = { otherwise = 'no' }\nlimits.heartbeat = '0s'"),
        ),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn keys() {
    let report = all(&[
        ("unknown keys at every level", "lines = 'x'\nentry = 'a'\nzzz = 1\n\
            [default]\n[defaults]\nworker_count = 1\nretry = { attempt = 1 }\nlimits = { walls = '1s', color = 2 }\n\
            [stations.a]\nuse = 'a'\nnxt = 'done'\nnext = [{ wen = {}, to = 'b' }]\n\
            join = { off = 'a' }\ngrants = { files = [] }\ngrants.fs = [{ hst = 'a' }]\nassets = [{ path = 'x' }]\n".into()),
        ("later keys", "line = 'x'\nentry = 'a'\n\
            ramp = {}\n\
            [stations.a]\nuse = 'oci://example.com/x'\nnext = 'b'\ngrants.udp = ['x:53']\ninstance = 'warm'\n\
            [stations.b]\nuse = 'scan@1.2.0'\nask = { prompt = 'Ship it?' }\nnext = 'c'\n\
            [stations.c]\nuse = 'tool.py'\nnext = 'done'\n".into()),
        ("missing keys", "[stations.a]\n[stations.b]\nuse = 'b'\nnext = [{ when = { a = 'b' } }]\njoin = {}\n\
            assets = [{ }]\ngrants.fs = [{ host = 'x' }]\n".into()),
        ("bad names", "line = 'Review it'\nentry = ''\n[stations.'A b']\nuse = 'a'\nnext = { Pass = 'b', 'a.b' = 'X' }\n".into()),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn values() {
    let report = all(&[
        (
            "kinds",
            "line = 1\nentry = ['a']\nvars = 3\nstations = 'none'\ndefaults = []\n".into(),
        ),
        (
            "kinds in a station",
            stations(
                "",
                &[(
                    "a",
                    "next = 7\nconfig = 1\nassets = {}\nargs = 'x'\nenv = []\nexits = 1\nworkers = 'many'\n\
            queue = 1.5\nvisits = true\njoin = 'b'\nretry = 3\nlimits = 1\ngrants = 'all'",
                )],
            ),
        ),
        (
            "ranges",
            stations(
                "[defaults]\nworkers = 0\nqueue = 1_000_001\nretry = { attempts = 0, backoff = '1m..1s' }\n\
            limits = { wall = '0s', cpu = '2h', memory = '1KiB', output = 0, log = -1, outputs = 0 }",
                &[(
                    "a",
                    "next = 'done'\nvisits = 0\nworkers = 99999999999999999999\nlimits = { memory = '64 Mibs', wall = 5, cpu = 'soon', output = '99999999TiB' }\n\
             retry.backoff = '1s'",
                )],
            ),
        ),
        (
            "config",
            stations(
                "",
                &[(
                    "a",
                    "next = 'done'\nconfig = { a = nan, b = inf, c = 9223372036854775808, '' = 1, deep = [{ x = nan }] }",
                )],
            ),
        ),
        (
            "exits",
            stations(
                "",
                &[(
                    "a",
                    "next = 'done'\nexits = { 0 = 'pass', 75 = 'pass', 256 = 'pass', -1 = 'pass', 01 = 'pass', x = 'pass', 2 = 'odd', 3 = 'reject', 4 = 'exhausted', 5 = 'No' }",
                )],
            ),
        ),
        (
            "variables",
            stations(
                "[vars]\nrules = 'r'\n'a b' = 'x'\nnested = '${rules}'\n",
                &[(
                    "a",
                    "next = 'done'\nargs = ['${rule}', '${rules', '$${rules}', '$', '${}']\nconfig = { deep = [{ x = \"\\u0041 ${zzz}\" }] }\n\
             assets = [{ host = '${none}', guest = '/a' }]\ngrants.fs = [{ host = '', guest = '/b', access = 'all' }]\nenv = { A = '${b}' }",
                )],
            ),
        ),
        (
            "a use that is no path",
            stations("", &[("a", "next = 'done'")]).replace("use = 'a'", "use = '${x}'"),
        ),
        (
            "an empty use",
            stations("", &[("a", "next = 'done'")]).replace("use = 'a'", "use = ''"),
        ),
        (
            "arguments and environment",
            stations(
                "",
                &[(
                    "a",
                    "next = 'done'\nargs = [\"a\\u0000\"]\nenv = { '1A' = 'x', 'A=B' = 'x', ANDON_X = 'x', OK = \"\\u0000\" }",
                )],
            ),
        ),
        (
            "guest paths",
            stations(
                "",
                &[(
                    "a",
                    "next = 'done'\n\
            assets = [{ host = 'x', guest = 'rules' }, { host = 'x', guest = '/' }, { host = 'x', guest = '/a/../b' }, { host = 'x', guest = '/workspace/a' }, { host = 'x', guest = '/data/x' }]\n\
            grants.fs = [{ host = 'x', guest = '/item', access = 'read' }, { host = 'x', guest = '/data', access = 'read' }, { host = 'x', guest = '/data/x', access = 'write' }]",
                )],
            ),
        ),
        (
            "terminal tricks",
            stations(
                "",
                &[("a", "next = \"\\u001b[31mred\\u202e\"\n\"\\u001b]0;x\" = 1")],
            ),
        ),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn sources_and_sinks() {
    let with = |text: &str| format!("line = 'x'\nentry = 'a'\n{text}\n{REST}");
    let report = all(&[
        (
            "sources",
            with(
                "sources.A = { folder = 'in' }\nsources.none = {}\nsources.both = { folder = 'in', cron = '0 2 * * *' }\n\
             sources.files = { folder = \"a\\n\", zone = 'UTC', payload = 'x', pattern = 'a/b', settle = '2h' }\n\
             sources.times = { cron = '0 2 * * *', done = 'x', settle = '1s', pattern = '*', deadline = '0s' }\n\
             sources.labels = { folder = 'in', labels = { A = 'x', a = '', scheduled = 'x', b = '${c}' }, priority = 'top' }",
            ),
        ),
        (
            "schedules",
            with(
                "sources.a = { cron = 'at two' }\nsources.b = { cron = '0 2 * *' }\nsources.c = { cron = '61 2 * * *' }\n\
             sources.d = { cron = '0 2 31 2 *' }\nsources.e = { cron = '0 2 * * *', zone = 'Berlin' }\n\
             sources.f = { cron = '0 2 * * *', missed = 'first', overlap = 'drop', type = 'text', payload = 1 }\n\
             sources.g = { cron = 2, zone = 2 }",
            ),
        ),
        (
            "sinks",
            with(
                "sinks.none = {}\nsinks.both = { folder = 'out', webhook = 'https://a.example/' }\n\
             sinks.folder = { folder = 'out', secret = 'KEY', private = true, within = '0s' }\n\
             sinks.a = { webhook = 'a.example' }\nsinks.b = { webhook = 'http://a.example/?token=1' }\n\
             sinks.c = { webhook = 'http://93.184.216.34/', private = true }\nsinks.d = { webhook = 'https://u:p@a.example/' }\n\
             sinks.e = { webhook = 'https://0.0.0.0/' }\nsinks.f = { webhook = 'https://a.example/', secret = 'key' }\n\
             sinks.g = { webhook = 'http://127.0.0.1:1/' }",
            ),
        ),
        (
            "notify",
            with(
                "notify = { jam = { command = [] }, hold = { webhook = 'https://a.example/', command = ['x'] } }",
            ),
        ),
        (
            "notify",
            with("notify = { jam = {}, hold = { command = ['x', 1], private = true } }"),
        ),
        (
            "notify",
            with("notify = { jam = 'http://a.example/', hold = ['x'], done = 'x' }"),
        ),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn wiring() {
    let report = all(&[
        ("no stations", "line = 'x'\nentry = 'a'\n[stations]\n".into()),
        ("unknown stations", stations("", &[("a", "next = { pass = 'bb', low = [{ when = { x = 'y' }, to = 'zzz' }, { to = 'dne' }] }\njoin = { of = 'c' }"), ("bbb", "next = 'done'")]).replace("entry = 'a'", "entry = 'aa'")),
        ("reserved names", stations("", &[("a", "next = 'done'"), ("done", "next = 'done'"), ("scrap", "next = 'done'")])),
        ("nothing leads there", stations("", &[("a", "next = 'done'"), ("b", "next = 'c'"), ("c", "next = 'done'")])),
        ("no port", stations("", &[("a", "next = {}")])),
        ("an empty list of rules", stations("", &[("a", "next = []")])),
        ("rules", stations("", &[("a", "next = { pass = [{ to = 'done' }, { to = 'scrap' }], low = [{ when = { a = 'b' }, to = 'done' }], high = [{ when = { a = 'b' }, to = 'done' }, { when = { a = 'b' }, to = 'scrap' }, { to = 'done' }] }")])),
        ("labels of rules", stations("", &[("a", "next = [{ when = { A = 'b', c = '', d = 1 }, to = 'scrap' }, { to = 'done' }]")])),
        ("exhausted without visits", stations("", &[("a", "next = { pass = 'done', exhausted = 'scrap' }")])),
        ("a loop without a bound", stations("", &[("a", "next = 'b'"), ("b", "next = { pass = 'c', back = 'a' }"), ("c", "next = { pass = 'done', again = 'c' }")])),
        ("a loop with a bound", stations("", &[("a", "next = 'b'"), ("b", "next = { pass = 'done', back = 'a' }\nvisits = 3")])),
        ("a loop beside a bound one", stations("", &[("a", "next = 'b'"), ("b", "next = { pass = 'a', on = 'c' }\nvisits = 3"), ("c", "next = { pass = 'd' }"), ("d", "next = { pass = 'c', on = 'done' }")])),
        ("a join of itself", stations("", &[("a", "next = 'b'"), ("b", "next = 'done'\njoin = { of = 'b' }")])),
        ("a join of what does not lead to it", stations("", &[("a", "next = { pass = 'b', low = 'c' }"), ("b", "next = 'done'\njoin = { of = 'c' }"), ("c", "next = 'done'")])),
        ("a join of what was never split", stations("", &[("a", "next = { pass = 'b', low = 'c' }"), ("b", "next = 'c'"), ("c", "next = 'done'\njoin = { of = 'b' }")])),
        ("a join at the entry", stations("", &[("a", "next = 'b'\njoin = { of = 'b' }"), ("b", "next = { pass = 'done', back = 'a' }\nvisits = 2")])),
        ("two joins of one", stations("", &[("a", "next = 'b'"), ("b", "next = 'c'\njoin = { of = 'a' }"), ("c", "next = 'done'\njoin = { of = 'a' }")])),
        ("missing without after", stations("", &[("a", "next = 'b'"), ("b", "next = 'done'\njoin = { of = 'a', missing = 'pass' }")])),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn grants() {
    let of = |settings: &str| stations("", &[("a", &format!("next = 'done'\n{settings}"))]);
    let report = all(&[
        ("kinds", of("grants = { http = 'all', tcp = [1], secrets = ['X'], fs = ['/'] }\nrate = '5/s'\nviolation = 'stop'")),
        ("keys", of(
            "grants.http = [{ url = 'https://a/', methods = 'GET' }]\ngrants.tcp = [{ host = 'a', port = 1 }]\n\
             grants.secrets = [{}]\nrate = { request = '1/s' }",
        )),
        ("paces", of("rate = { requests = '1MiB/s', connections = '0/s', bytes = '16MiB/d' }")),
        ("paces too fast", of("rate = { requests = '1000001/s', bytes = '2TiB/s' }")),
        ("rules", of(
            "grants.http = ['https://a/**', 'get https://a/**', 'GET a/**', 'GET https://a', 'GET https://a/?q=1', 'GET https://*/**', \
             'GET https://a.b./x', 'CONNECT https://a/**', 'GET https://a/x**', 'GET https://a:0/', 'GET https://a/../b', \
             \"\\u001b[31m https://a/\", { rule = 'GET' }, { rule = 7, private = 'yes', timeout = '2d', max-response = 0 }]",
        )),
        ("connections", of(
            "grants.tcp = ['a', 'a:0', 'a:99999', '*:80', 'https://a:443', 'a b:1', '[::1]', { to = 'a' }, { to = 'a:1', private = 1 }]",
        )),
        ("addresses of no machine", of(
            "grants.http = ['GET http://0.0.0.0/**', 'GET http://[ff02::1]/**', 'GET http://10.0.0.1/**']\ngrants.tcp = ['255.255.255.255:1', '127.0.0.1:1']",
        )),
        ("secrets", of(
            "grants.http = ['* https://a/**']\ngrants.secrets = [\n\
             { name = 'token', header = 'authorization', for = 'https://a/**' },\n\
             { name = 'A', for = 'https://a/**' },\n\
             { name = 'A', header = 'x', query = 'x', for = 'https://a/**' },\n\
             { name = 'A', header = 'Authorization', for = 'https://a/**' },\n\
             { name = 'A', header = 'host', for = 'https://a/**' },\n\
             { name = 'A', header = 'transfer-encoding', for = 'https://a/**' },\n\
             { name = 'A', header = 'x', prefix = \"a\\r\\nb\", for = 'https://a/**' },\n\
             { name = 'A', query = 'a&b', for = 'https://a/**' },\n\
             { name = 'A', query = 'key', prefix = 'x', for = 'https://a/**' },\n\
             { name = 'A', header = 'x', for = 'a.example' },\n\
             { name = 'A', header = 'x' },\n]",
        )),
        ("secrets without a call", of(
            "grants.http = ['GET https://a/v1/**', 'GET https://*.b.example/**']\ngrants.secrets = [\n\
             { name = 'A', header = 'x', for = 'https://a/v1/**' },\n\
             { name = 'B', header = 'y', for = 'https://a/v2/**' },\n\
             { name = 'C', header = 'z', for = 'POST https://a/v1/x' },\n\
             { name = 'D', header = 'w', for = 'https://api.b.example/**' },\n\
             { name = 'E', header = 'v', for = 'http://a/**' },\n]",
        )),
        ("twice", of(
            "grants.http = ['GET https://a/**', { rule = 'GET https://a/x', private = true }, 'GET https://a/**', 'POST https://a/x']\n\
             grants.tcp = ['*.a:1', 'b:1', 'x.a:1', 'B:1', 'b:2']\n\
             grants.secrets = [{ name = 'A', header = 'x', for = 'https://a/**' }, { name = 'B', header = 'x', for = 'GET https://a/**' }, \
             { name = 'A', query = 'x', for = 'https://a/**' }]",
        )),
        ("variables", of(
            "grants.http = ['GET https://${host}/**']\ngrants.tcp = ['${db}:1']\ngrants.secrets = [{ name = 'A', header = 'x', for = 'https://${host}/**' }]",
        )),
        ("quotas", of(
            "grants.fs = [{ host = 'x', guest = '/a', access = 'read', quota = '1MiB', max-files = 3 }, \
             { host = 'x', guest = '/b', access = 'write', quota = 0, max-files = 0 }]",
        )),
        ("worker", "line = 'x'\nentry = 'a'\nworker = 'mine'\n[defaults]\nworker = 'own'\n[stations.a]\nuse = 'a'\nnext = 'done'\nworker = 'own'\n".into()),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn factories() {
    let files: [&[u8]; 7] = [
        b"[vars]\na = 1\nb = '${a}'\n",
        b"var = 'x'\n[people]\n",
        b"vars = {",
        b"\xef\xbb\xbf[vars]\na = 'x'\n",
        b"[network]\nresolvers = ['localhost:53', '127.0.0.1:0', '::1', '[::1]:53', 7]\nresolver = 1\n",
        b"[ceiling]\nlimits = { wall = '1y', visit = 1 }\ngrant = {}\n[ceiling.grants]\nudp = []\n\
          fs = [{ host = 'a', guest = '/a', access = 'all' }, 'x']\nhttp = ['GET https://${host}/**', { rule = 'GET https://a/**', idempotent = true }]\n\
          tcp = ['a']\nsecrets = [{ name = 'a', for = 'b', header = 'x' }]\n",
        b"[ceiling.grants]\nhttp = ['* https://a/**', { rule = 'GET https://a/x', private = true }]\ntcp = ['a:1', 'A:1']\n\
          secrets = [{ name = 'A', for = 'https://a/**' }, { name = 'B', for = 'https://a/**' }, { name = 'A', for = 'GET https://a/x' }]\n",
    ];
    let mut report = String::new();
    for bytes in files {
        match Factory::parse("andon.toml", bytes) {
            Ok(factory) => {
                let _ = writeln!(report, "== {:?}", factory.vars);
            }
            Err(problems) => {
                let _ = writeln!(report, "==\n{}", told(&problems));
            }
        }
    }
    insta::assert_snapshot!(report);
}

/// A long file on one line is read in a time that grows with its length only.
#[test]
fn very_many_keys() {
    let keys = (0..30_000).fold(String::new(), |mut text, n| {
        let _ = write!(text, "k{n}=1,");
        text
    });
    let text = stations("", &[("a", &format!("next = 'done'\nconfig = {{{keys}}}"))]);
    assert_eq!(
        good(&text, &Vars::default()).line.stations["a"]
            .config
            .len(),
        30_000
    );
}

/// A file with very many faults is told in a bounded time and length.
#[test]
fn very_many_problems() {
    let text = (0..20_000).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "k{n}=1");
        text
    });
    let problems = parse("line.toml", &text, &Vars::default()).unwrap_err();
    assert!(problems.len() < 210);
    assert!(problems.last().unwrap().message.contains("more problems"));
}
