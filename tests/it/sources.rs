//! What a served line has to do with the world by itself: items from a folder, results into a folder and to
//! a server, and whoever is told of jams and holds.

use crate::{
    daemon::{Daemon, until},
    ground::{Ground, on_the_way},
    name_server::NameServer,
};
use hmac::{Hmac, Mac as _};
use rustix::process::Signal;
use sha2::Sha256;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, SystemTime},
};

/// What signs the calls.
const SECRET: &str = "a-secret-that-nobody-sees";

/// A POST as it came.
#[derive(Debug, Clone)]
struct Posted {
    path: String,
    headers: BTreeMap<String, String>,
    body: String,
    /// The how manieth with its key, from 0.
    nth: usize,
}

/// What is answered.
enum Answers {
    Status(u16),
    /// With other lines of the head.
    With(u16, &'static str),
    /// The connection is closed without a word.
    Nothing,
}

/// A server that counts.
struct Server {
    address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
    /// Told of each POST that was answered with 2xx.
    taken: mpsc::Receiver<Posted>,
}

impl Server {
    fn new(answers: impl Fn(&Posted) -> Answers + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let (tell, taken) = mpsc::channel();
        let (all, answers) = (posted.clone(), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, answers, tell) = (all.clone(), answers.clone(), tell.clone());
                thread::spawn(move || {
                    let Some(one) = read(&stream, &all) else {
                        return;
                    };
                    let (status, more) = match answers(&one) {
                        Answers::Status(status) => (status, ""),
                        Answers::With(status, more) => (status, more),
                        Answers::Nothing => return,
                    };
                    let head = format!("HTTP/1.1 {status} x\r\n{more}content-length: 0\r\n\r\n");
                    let _ = (&stream).write_all(head.as_bytes());
                    if (200..300).contains(&status) {
                        let _ = tell.send(one);
                    }
                });
            }
        });
        Self {
            address,
            posted,
            taken,
        }
    }

    fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("no panic").clone()
    }
}

/// One request by its length; none where it breaks off.
fn read(mut stream: &TcpStream, all: &Mutex<Vec<Posted>>) -> Option<Posted> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        more(&mut stream, &mut bytes)?;
    };
    let text = String::from_utf8(bytes[..head].to_vec()).expect("text");
    let mut lines = text.lines();
    let path = lines.next()?.strip_prefix("POST ").expect("a POST");
    let path = path.split(' ').next()?.to_string();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_string()))
        .collect();
    let length: usize = headers["content-length"].parse().expect("a number");
    while bytes.len() < head + 4 + length {
        more(&mut stream, &mut bytes)?;
    }
    let body = String::from_utf8(bytes[head + 4..].to_vec()).expect("text");
    let mut all = all.lock().expect("no panic");
    let key = headers.get("idempotency-key");
    let same = |other: &&Posted| other.headers.get("idempotency-key") == key;
    let nth = all.iter().filter(same).count();
    let posted = Posted {
        path,
        headers,
        body,
        nth,
    };
    all.push(posted.clone());
    Some(posted)
}

fn more(stream: &mut &TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut some = [0; 4096];
    let read = stream.read(&mut some).ok().filter(|read| *read > 0)?;
    bytes.extend_from_slice(&some[..read]);
    Some(())
}

impl Posted {
    /// It is signed over its time and its body, and the time is about now.
    fn is_signed(&self) {
        let (seconds, given) = self.headers["andon-signature"]
            .strip_prefix("t=")
            .and_then(|rest| rest.split_once(",v1="))
            .expect("a time and a signature");
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
        mac.update(format!("{seconds}.{}", self.body).as_bytes());
        let bytes = mac.finalize().into_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(given, hex, "{self:?}");
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        let at = Duration::from_secs(seconds.parse().expect("a number"));
        assert!(
            now >= at && now - at < Duration::from_secs(3600),
            "{self:?}"
        );
    }
}

fn stamps(outside: &str) -> String {
    format!(
        "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nnext = \"done\"\n{outside}"
    )
}

/// Puts files into the watched folder, each whole at once.
fn put(ground: &Ground, names: impl Iterator<Item = usize>) {
    for n in names {
        ground.write(&format!("new/{n}"), format!("{n}\n"));
        fs::create_dir_all(ground.path("in")).expect("made");
        let to = ground.path(&format!("in/{n}.txt"));
        fs::rename(ground.path(&format!("new/{n}")), to).expect("renamed");
    }
}

/// The daemon with the secret in its environment.
fn serve(ground: &Ground) -> Daemon {
    let mut command = ground.command(&["serve", "."]);
    command.env("ANDON_SECRET_HOOK", SECRET);
    Daemon::of(command)
}

/// The bodies of the files in a folder, hidden ones left out, in order.
fn bodies(ground: &Ground, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(ground.path(folder)) else {
        return Vec::new();
    };
    let mut all: Vec<String> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    all.sort();
    all
}

#[test]
fn each_file_once_in_and_each_result_out_through_kills() {
    const FILES: usize = 60;
    let server = Server::new(|posted| {
        let n: usize = posted
            .body
            .split('\n')
            .next()
            .unwrap_or_default()
            .parse()
            .expect("ours");
        match (n % 5, posted.nth) {
            // Taken, and the word of it lost.
            (1, 0) => Answers::Nothing,
            (2, 0) => Answers::Status(500),
            (3, 0) => Answers::With(429, "retry-after: 1\r\n"),
            (4, 0) => {
                thread::sleep(Duration::from_millis(20));
                Answers::Status(204)
            }
            _ => Answers::Status(200),
        }
    });
    let ground = Ground::new();
    ground.line(&stamps(&format!(
        "[sources.in]\nfolder = \"in\"\nsettle = \"0s\"\n[sinks.out]\nfolder = \"out\"\n\
         [sinks.hook]\nwebhook = \"http://{}/hook?token=t\"\nprivate = true\nsecret = \"HOOK\"\n",
        server.address
    )));
    put(&ground, 0..20);
    let mut taken = BTreeSet::new();
    for round in 0..3 {
        let daemon = serve(&ground);
        put(&ground, 20 + round * 10..30 + round * 10);
        for _ in 0..5 {
            taken.insert(server.taken.recv().expect("it goes on").body);
        }
        daemon.signal(Signal::KILL);
        drop(daemon);
    }
    let daemon = serve(&ground);
    put(&ground, 50..FILES);
    while taken.len() < FILES {
        taken.insert(server.taken.recv().expect("it goes on").body);
    }
    let mut expected: Vec<String> = (0..FILES).map(|n| format!("{n}\ns 1\n")).collect();
    expected.sort();
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), expected);
    // What both sinks have is said to be delivered; a file is there before that.
    let items = ["items", "--phase", "done", "--json"];
    let items = ground.command(&items).output().expect("it runs");
    let items: Vec<String> = String::from_utf8(items.stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|item| item["item"].as_str().expect("an id").to_string())
        .collect();
    assert_eq!(items.len(), FILES);
    for item in &items {
        until(&ground, &["show", item], |came| {
            came.stdout.matches("has it since").count() == 2
        });
    }
    daemon.signal(Signal::TERM);
    let (status, said) = daemon.ended();
    assert!(status.success(), "{said}");
    assert_eq!(bodies(&ground, "out"), expected);
    assert!(bodies(&ground, "in").is_empty());
    let all = server.posted();
    let mut keys = BTreeMap::new();
    for posted in &all {
        posted.is_signed();
        assert_eq!(posted.path, "/hook?token=t");
        let item = &posted.headers["andon-item"];
        assert!(items.contains(item), "{posted:?}");
        let key = &posted.headers["idempotency-key"];
        assert_eq!(*key, format!("{item}.hook"));
        assert_eq!(posted.headers["andon-line"], "l");
        // The same result is under the same key whenever it comes.
        assert_eq!(
            keys.entry(key.clone()).or_insert(&posted.body),
            &&posted.body
        );
    }
    assert_eq!(keys.len(), FILES);
    let audit = ground.andon(&["audit"]).well();
    assert!(audit.contains("sinks.hook"), "{audit}");
    ground.holds_nothing_of(".andon", SECRET);
    assert!(
        !said.contains(SECRET) && !said.contains("token=t"),
        "{said}"
    );
    // Nothing is owed any more.
    let before = all.len();
    let daemon = serve(&ground);
    put(&ground, FILES..=FILES);
    server.taken.recv().expect("it goes on");
    ground.andon(&["drain", "--within", "60s"]).well();
    assert!(daemon.ended().0.success());
    let after = server.posted().split_off(before);
    assert!(after.iter().all(|p| p.body == "60\ns 1\n"), "{after:?}");
}

#[test]
fn receivers_that_do_not_take_results_hold_up_nothing() {
    let server = Server::new(|posted| match &*posted.path {
        "/gone" => Answers::Status(410),
        "/away" => Answers::With(302, "location: /elsewhere\r\n"),
        _ => Answers::Status(503),
    });
    let names = NameServer::new(&[&[std::net::Ipv4Addr::new(10, 0, 0, 1)]]);
    let ground = Ground::new();
    let hook = |name: &str, path: &str| {
        let url = format!("http://{}/{path}", server.address);
        format!("[sinks.{name}]\nwebhook = \"{url}\"\nprivate = true\n")
    };
    ground.write(
        "andon.toml",
        format!("[network]\nresolvers = [\"{}\"]\n", names.address),
    );
    ground
        .line(&stamps(&format!(
            "{}{}{}[sinks.inside]\nwebhook = \"https://inside.test/x\"\n[sinks.out]\nfolder = \"out\"\n\
             [sinks.unsigned]\nwebhook = \"http://{}/unsigned\"\nprivate = true\nsecret = \"NONE\"\n",
            hook("gone", "gone"),
            hook("away", "away"),
            hook("busy", "busy"),
            server.address
        )))
        .write("a.txt", "a\n");
    let mut daemon = serve(&ground);
    let submit = ["submit", "l", "a.txt", "--wait", "60s"];
    assert_eq!(ground.andon(&submit).well(), "a\ns 1\n");
    let mut said: Vec<String> = (0..5).map(|_| daemon.hears("sink `")).collect();
    said.sort();
    let items = ground
        .command(&["items", "--json"])
        .output()
        .expect("it runs");
    let item: serde_json::Value = serde_json::from_slice(&items.stdout).expect("one item");
    let item = item["item"].as_str().expect("an id").to_string();
    let shown = until(&ground, &["show", &item], |came| {
        came.stdout.matches("sink     `").count() == 6
    });
    let said = said.concat().replace(&item, "ITEM");
    let shown: Vec<&str> = (shown.stdout.lines())
        .filter(|line| line.starts_with("sink "))
        .collect();
    let plain = |line: &str| {
        // Times, and how often it was tried by now.
        let line = line.replace(" attempts", " attempt");
        let mut words: Vec<String> = line.split(' ').map(Into::into).collect();
        for word in &mut words {
            let figures = word.starts_with(|c: char| c.is_ascii_digit());
            if figures && !word.starts_with("10.") && word.parse::<u16>().map_or(true, |n| n < 100)
            {
                *word = "N".into();
            }
        }
        words.join(" ")
    };
    let shown: Vec<String> = shown.into_iter().map(plain).collect();
    insta::assert_snapshot!(format!("{said}--\n{}", shown.join("\n")));
    assert_eq!(bodies(&ground, "out"), ["a\ns 1\n"]);
    let asked: BTreeSet<String> = server.posted().into_iter().map(|p| p.path).collect();
    assert_eq!(asked, ["/away", "/busy", "/gone"].map(String::from).into());
    let denied = ground.andon(&["audit", "--denied"]).well();
    assert!(
        denied.contains("inside.test") && denied.contains("unsigned"),
        "{denied}"
    );
}

#[test]
fn somebody_is_told_of_jams_and_holds() {
    let server = Server::new(|_| Answers::Status(200));
    let ground = Ground::new();
    ground
        .line(&format!(
            "line = \"l\"\nentry = \"q\"\n[stations.q]\nask = {{ prompt = \"Well?\", choices = [\"pass\"] }}\nnext = \"s\"\n\
             [stations.s]\nuse = \"@rejects\"\nnext = \"done\"\n\
             [notify]\nhold = {{ webhook = \"http://{}/held\", private = true, secret = \"HOOK\" }}\n\
             jam = {{ command = [\"/bin/sh\", \"-c\", \"env > environment; cat > told.new; mv told.new told.json\"] }}\n",
            server.address
        ))
        .write("a.txt", "a\n");
    let _daemon = serve(&ground);
    ground.andon(&["submit", "l", "a.txt"]).well();
    let held = server.taken.recv().expect("it is told");
    held.is_signed();
    assert_eq!(held.path, "/held");
    let held: serde_json::Value = serde_json::from_str(&held.body).expect("JSON");
    let item = held["items"][0]["item"].as_str().expect("an id");
    assert_eq!(
        (&held["kind"], &held["count"], &held["items"][0]["station"]),
        (&"hold".into(), &1.into(), &"q".into())
    );
    ground.andon(&["answer", item, "pass"]).well();
    let told = loop {
        match fs::read(ground.path("told.json")) {
            Ok(told) => break told,
            Err(_) => thread::yield_now(),
        }
    };
    let jam: serde_json::Value = serde_json::from_slice(&told).expect("JSON");
    assert_eq!((&jam["kind"], &jam["line"]), (&"jam".into(), &"l".into()));
    assert_eq!(jam["items"][0]["item"], item);
    let environment = fs::read_to_string(ground.path("environment")).expect("written");
    assert!(!environment.contains(SECRET), "{environment}");
}

#[test]
fn what_a_line_has_outside_is_accepted_by_name() {
    let ground = Ground::new();
    ground.line(&stamps(""));
    ground.andon(&["lock"]).well();
    let command = "[notify]\njam = { command = [\"true\"] }\n";
    let hook = "[sinks.hook]\nwebhook = \"https://hooks.example.com/x?t=1\"\nsecret = \"HOOK\"\n";
    ground.line(&stamps(&format!("{hook}{command}")));
    let said = |came: crate::ground::Came| {
        let lines: Vec<&str> = came
            .stderr
            .lines()
            .filter(|line| !on_the_way(line))
            .collect();
        format!("{:?}\n{}{}\n", came.code, came.stdout, lines.join("\n"))
    };
    let mut all = said(ground.andon(&["check"]));
    let check = ground.andon(&["lock", "--check"]);
    // What a query says nobody is told; the name has its digest.
    let named = check
        .stderr
        .lines()
        .find(|line| line.contains("sinks.hook:"));
    let hook = named
        .and_then(|line| line.split('\'').nth(1))
        .expect("a name")
        .to_string();
    all += &said(check);
    let accept = [
        "lock",
        "--accept",
        "notify.jam:command \"true\"",
        "--accept",
        &hook,
    ];
    all += &said(ground.andon(&accept));
    insta::assert_snapshot!(all);
    // A line that runs takes it by the same names.
    fs::remove_file(ground.path("line.lock")).expect("it is there");
    ground.line(&stamps(""));
    let _daemon = serve(&ground);
    ground.line(&stamps(command));
    let refused = ground.andon(&["retool", "l", "--yes"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("--accept 'notify.jam:command \"true\"'"),
        "{refused:?}"
    );
    let accept = [
        "retool",
        "l",
        "--yes",
        "--accept",
        "notify.jam:command \"true\"",
    ];
    ground.andon(&accept).well();
}

#[test]
fn a_retool_changes_what_a_line_has_outside() {
    let server = Server::new(|_| Answers::Status(200));
    let ground = Ground::new();
    let line = |n: u32, hook: &str| {
        stamps(&format!(
            "[sources.in]\nfolder = \"in{n}\"\nsettle = \"0s\"\n[sinks.out]\nfolder = \"out{n}\"\n{hook}"
        ))
        .replace("use = \"@stamp\"", if n == 1 { "use = \"@stamp\"" } else { "use = \"@rejects\"" })
    };
    let put = |folder: &str, name: &str| {
        ground.write(&format!("new/{name}"), format!("{name}\n"));
        fs::create_dir_all(ground.path(folder)).expect("made");
        let to = ground.path(&format!("{folder}/{name}"));
        fs::rename(ground.path(&format!("new/{name}")), to).expect("renamed");
    };
    let comes = |folder: &str, bodies_there: &[&str]| {
        while bodies(&ground, folder) != bodies_there {
            thread::yield_now();
        }
    };
    let retool = |more: &[&str]| ground.andon(&[&["retool", "l", "--yes"], more].concat());
    /// Takes what a retool asks for, by the names that it shows.
    fn accepted(
        came: &crate::ground::Came,
        retool: impl Fn(&[&str]) -> crate::ground::Came,
    ) -> Vec<String> {
        assert_eq!(came.code, Some(1), "{came:?}");
        let names = came
            .stderr
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--accept '"));
        let names: Vec<String> = names
            .map(|name| name.trim_end_matches('\'').to_string())
            .collect();
        let accept: Vec<&str> = names.iter().flat_map(|name| ["--accept", name]).collect();
        // None of them is left out.
        let short = retool(&accept[2..]);
        assert_eq!(short.code, Some(1), "{short:?}");
        let came = retool(&accept);
        assert_eq!(came.code, Some(0), "{came:?}");
        names
    }
    ground.line(&line(1, ""));
    let _daemon = serve(&ground);
    put("in1", "a");
    comes("out1", &["a\ns 1\n"]);
    // Others for all of it, and somebody who is told of jams.
    let hook = format!(
        "[notify]\njam = {{ webhook = \"http://{}/jam\", private = true, secret = \"HOOK\" }}\n",
        server.address
    );
    ground.line(&line(2, &hook));
    let names = accepted(&retool(&[]), retool);
    let port = server.address.port().to_string();
    assert_eq!(
        names
            .iter()
            .map(|name| name.replace(&port, "PORT"))
            .collect::<Vec<_>>(),
        [
            "notify.jam:webhook http://127.0.0.1:PORT/… path=d394e11d4e2b private signed=HOOK",
            "sinks.out:folder out2",
            "sources.in:folder in2",
        ]
    );
    put("in1", "b");
    put("in2", "c");
    let told = server.taken.recv().expect("it is told");
    assert!(told.body.contains("\"count\":1"), "{told:?}");
    let item = serde_json::from_str::<serde_json::Value>(&told.body).expect("JSON");
    let item = item["items"][0]["item"]
        .as_str()
        .expect("an id")
        .to_string();
    ground.andon(&["clear", &item, "skip"]).well();
    comes("out2", &["c\n"]);
    assert_eq!(bodies(&ground, "in1"), ["b\n"]);
    // And back: that opens what is not open any more.
    let back = |more: &[&str]| retool(&[&["--to", "1"], more].concat());
    assert_eq!(
        accepted(&back(&[]), back),
        ["sinks.out:folder out1", "sources.in:folder in1"]
    );
    comes("out1", &["a\ns 1\n", "b\ns 1\n"]);
    assert_eq!(bodies(&ground, "out2"), ["c\n"]);
}

#[test]
fn a_result_on_its_way_holds_up_neither_another_line_nor_the_end() {
    // Whoever gets no answer waits for half a minute.
    let (answer, answered) = mpsc::channel::<()>();
    let answered = Mutex::new(answered);
    let (come, came) = mpsc::channel();
    let server = Server::new(move |_| {
        come.send(()).expect("somebody listens");
        // Until the test says so, or is over.
        let _ = answered.lock().expect("no panic").recv();
        Answers::Status(200)
    });
    let ground = Ground::new();
    let named = |name: &str, outside: &str| {
        stamps(outside).replace("line = \"l\"", &format!("line = \"{name}\""))
    };
    let line = |name: &str, text: &str| {
        ground.line(text);
        fs::create_dir_all(ground.path(name)).expect("made");
        let to = ground.path(&format!("{name}/line.toml"));
        fs::rename(ground.path("line.toml"), to).expect("renamed");
    };
    let hook = format!(
        "[sinks.hook]\nwebhook = \"http://{}/x\"\nprivate = true\n",
        server.address
    );
    line("slow", &named("slow", &hook));
    line("other", &named("other", ""));
    ground.write("a.txt", "a\n").write("b.txt", "b\n");
    let daemon = Daemon::start(&ground, &["slow", "other", "--state", ".andon"]);
    let submit = |line: &str, file: &str| {
        ground
            .andon(&["submit", line, file, "--wait", "60s"])
            .well();
    };
    submit("slow", "a.txt");
    came.recv().expect("it is called");
    // What ends with this revision is on its way.
    line("slow", &named("slow", &format!("{hook}within = \"1h\"\n")));
    ground.andon(&["retool", "slow", "--yes"]).well();
    line("other", &named("other", "[sinks.out]\nfolder = \"out\"\n"));
    let accept = [
        "retool",
        "other",
        "--yes",
        "--accept",
        "sinks.out:folder out",
    ];
    ground.andon(&accept).well();
    submit("other", "b.txt");
    while bodies(&ground, "other/out") != ["b\ns 1\n"] {
        thread::yield_now();
    }
    // It was not given up meanwhile, and is taken as it is.
    answer.send(()).expect("it waits");
    let item = |line: &str| {
        let items = ground
            .command(&["items", "--line", line, "--json"])
            .output();
        let items = String::from_utf8(items.expect("it runs").stdout).expect("text");
        let mut items = items
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        items
            .next_back()
            .map(|item| item["item"].as_str().expect("an id").to_string())
            .expect("one")
    };
    until(&ground, &["show", &item("slow")], |came| {
        came.stdout.contains("has it since")
    });
    assert_eq!(server.posted().len(), 1);
    // The next one is never answered: the end does not wait for it longer than it may.
    ground.write("c.txt", "c\n");
    let id = ground
        .command(&["submit", "slow", "c.txt"])
        .output()
        .expect("it runs");
    let id = String::from_utf8(id.stdout)
        .expect("text")
        .trim()
        .to_string();
    came.recv().expect("it is called");
    ground.andon(&["drain", "--within", "1ms"]).well();
    assert!(daemon.ended().0.success());
    // Had its time come to an end, that would be kept.
    let shown = ground.andon(&["show", &id]).well();
    assert!(!shown.contains("`hook`"), "{shown}");
}

#[test]
fn a_single_run_says_what_it_leaves_out() {
    let ground = Ground::new();
    ground
        .line(&stamps("[sinks.out]\nfolder = \"out\"\n"))
        .write("a.txt", "a\n");
    let came = ground.andon(&["run", ".", "a.txt"]);
    assert!(
        came.stderr.contains("`andon serve` starts them"),
        "{came:?}"
    );
    assert_eq!(came.well(), "a\ns 1\n");
    assert!(!ground.path("out").exists());
}
