//! Stations that speak TCP, on a real line and over real sockets on loopback; and what they try that
//! they were not granted. `localhost` is the name that every machine knows without asking anybody.

use crate::{
    ground::{Came, Ground, in_both_workers},
    name_server::NameServer,
};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

in_both_workers! {
    a_granted_connection_is_spoken_over
    an_address_may_be_granted_itself
    what_is_not_granted_jams_and_says_what_would_grant_it
    servers_and_datagrams_are_closed
    streams_end_at_their_limits
    parked_reads_do_not_stop_the_line
    wasi_03_goes_by_the_same_way
    names_that_are_not_granted_are_not_asked_for
}

/// A server on loopback. Each connection is served on a thread, and counted for as long as it is.
struct Server {
    port: u16,
    open: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
}

impl Server {
    fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let server = Self {
            port: listener.local_addr().expect("an address").port(),
            open: Arc::default(),
            served: Arc::default(),
        };
        let (open, served) = (server.open.clone(), server.served.clone());
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                open.fetch_add(1, Ordering::SeqCst);
                served.fetch_add(1, Ordering::SeqCst);
                let (serve, open) = (serve.clone(), open.clone());
                thread::spawn(move || {
                    serve(stream);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    /// Answers each line with itself, in capitals.
    fn shouting() -> Self {
        Self::new(|stream| {
            let mut out = stream.try_clone().expect("a second handle");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if writeln!(out, "{}", line.to_uppercase()).is_err() {
                    break;
                }
            }
        })
    }

    /// Sends without end.
    fn endless() -> Self {
        Self::new(|mut stream| while stream.write_all(&[b'x'; 65536]).is_ok() {})
    }

    /// Says nothing, and waits until the other end goes.
    fn silent() -> Self {
        Self::new(|mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        })
    }

    /// Waits until nobody is connected any more; the test's own time limit is its bound.
    fn come_back(&self) {
        while self.open.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

/// Runs items at a station `s`, each with a script of its own.
fn run(worker: &'static str, settings: &str, scripts: &[&str]) -> Came {
    run_on(&Ground::with_worker(worker), settings, scripts)
}

fn run_on(ground: &Ground, settings: &str, scripts: &[&str]) -> Came {
    ground.line(&format!(
        r#"
line = "l"
entry = "s"
[defaults]
retry = {{ attempts = 1 }}
[stations.s]
use = "@dials"
{settings}
next = "done"
"#
    ));
    let names: Vec<String> = (0..scripts.len()).map(|n| format!("{n}.txt")).collect();
    let mut arguments = vec!["run", "."];
    for (name, script) in names.iter().zip(scripts) {
        ground.write(name, script);
        arguments.push(name);
    }
    arguments.push("-q");
    ground.andon(&arguments)
}

fn granted(port: u16) -> String {
    format!("grants.tcp = [{{ to = \"localhost:{port}\", private = true }}]")
}

#[track_caller]
fn passes(worker: &'static str, settings: &str, script: &str) -> String {
    run(worker, settings, &[script]).well()
}

/// Why an item jams, while another one at the same station gets through.
#[track_caller]
fn jams(worker: &'static str, settings: &str, script: &str) -> String {
    let came = run(worker, settings, &[script, "udp"]);
    assert_eq!(came.code, Some(2), "{}", came.whole());
    assert_eq!(came.stdout, "udp: access-denied\n", "{}", came.whole());
    came.stderr
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

fn a_granted_connection_is_spoken_over(worker: &'static str) {
    let server = Server::shouting();
    let port = server.port;
    let script = format!("look localhost\nconnect {port}\nsay hello\nhear\nshut\ndrain\nhang-up\n");
    let told = passes(worker, &granted(port), &script);
    let told = told.split_once('\n').expect("lines");
    holds(told.0, &["look: ", "127.0.0.1"]);
    assert_eq!(
        told.1,
        "connect: from (0, 0, 0, 0):0\nsay: said\nhear: HELLO\nshut: shut\ndrain: 0 bytes\nhang-up: hung up\n"
    );
    server.come_back();
    assert_eq!(server.served(), 1);
}

fn an_address_may_be_granted_itself(worker: &'static str) {
    let server = Server::shouting();
    let port = server.port;
    let settings = format!("grants.tcp = [\"127.0.0.1:{port}\"]");
    let told = passes(
        worker,
        &settings,
        &format!("connect 127.0.0.1:{port}\nsay a\nhear\n"),
    );
    holds(&told, &["hear: A\n"]);
}

fn what_is_not_granted_jams_and_says_what_would_grant_it(worker: &'static str) {
    let server = Server::shouting();
    let port = server.port;
    let other = Server::silent();
    let public = format!("grants.tcp = [\"localhost:{port}\"]");
    let all = [
        // another port of a granted name
        (
            granted(port),
            format!("look localhost\nconnect {}\n", other.port),
            vec![format!("grants.tcp = [\"localhost:{}\"]", other.port)],
        ),
        // a name
        (
            granted(port),
            "look secret.attacker.example\n".into(),
            vec![
                "look up secret.attacker.example".into(),
                "grants.tcp".into(),
            ],
        ),
        // an address that nobody looked up, in the ways that it can be written
        (
            granted(port),
            format!("connect 127.0.0.1:{port}\n"),
            vec![format!("grants.tcp = [\"127.0.0.1:{port}\"]")],
        ),
        (
            granted(port),
            format!("look localhost\nconnect [::ffff:127.0.0.1]:{port}\n"),
            vec![format!("[::ffff:127.0.0.1]:{port}")],
        ),
        (
            granted(port),
            format!("look 0x7f.1\nconnect {port}\n"),
            vec![format!("connect 127.0.0.1:{port}")],
        ),
        (
            granted(port),
            "connect 169.254.169.254:80\n".into(),
            vec!["169.254.169.254:80".into()],
        ),
        // a granted name that leads to this machine
        (
            public,
            "look localhost\n".into(),
            vec![
                "`localhost` leads to an address".into(),
                "private = true".into(),
            ],
        ),
    ];
    for (settings, script, reasons) in all {
        let jam = jams(worker, &settings, &script);
        let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        holds(&jam, &reasons);
        holds(&jam, &["line.toml:"]);
        // The guest does not see that it was denied, and cannot go on.
        let denied = format!("violation = \"deny\"\n{settings}");
        holds(&passes(worker, &denied, &script), &["access-denied"]);
    }
    assert_eq!((server.served(), other.served()), (0, 0));
}

fn servers_and_datagrams_are_closed(worker: &'static str) {
    let told = passes(worker, "", "udp\nlisten\n");
    assert_eq!(told, "udp: access-denied\nlisten: access-denied\n");
}

fn streams_end_at_their_limits(worker: &'static str) {
    let server = Server::endless();
    let settings = |limits: &str, port| format!("limits = {{ {limits} }}\n{}", granted(port));
    let script = format!("look localhost\nconnect {}\ndrain\n", server.port);
    let jam = jams(
        worker,
        &settings("received = \"1MiB\"", server.port),
        &script,
    );
    holds(&jam, &["over the limit `received` of 1MiB"]);
    server.come_back();

    let server = Server::silent();
    let script = format!("look localhost\nconnect {}\nflood 2000000\n", server.port);
    let jam = jams(worker, &settings("sent = \"1MiB\"", server.port), &script);
    holds(&jam, &["over the limit `sent` of 1MiB"]);
    server.come_back();

    let again = "connect 127.0.0.1\n".replace("127.0.0.1", &server.port.to_string());
    let script = format!("look localhost\n{}", again.repeat(8));
    let jam = jams(worker, &settings("requests = 5", server.port), &script);
    holds(&jam, &["over the limit `requests` of 5"]);
    server.come_back();
}

/// Sixty-four visits that wait for a server that says nothing hold no thread.
fn parked_reads_do_not_stop_the_line(worker: &'static str) {
    let server = Server::silent();
    let script = format!("look localhost\nconnect {}\nhear\n", server.port);
    let mut scripts = vec![script.as_str(); 64];
    scripts.push("udp\n");
    let settings = format!(
        "workers = 65\nrate = {{ connections = \"1000/s\" }}\nlimits = {{ wall = \"5s\" }}\n{}",
        granted(server.port)
    );
    let came = run(worker, &settings, &scripts);
    assert_eq!(came.code, Some(2), "{}", came.whole());
    assert_eq!(came.stdout, "udp: access-denied\n");
    let over = came.stderr.matches("over the limit `wall` of 5s").count();
    assert_eq!(over, 64, "{}", came.whole());
    server.come_back();
}

fn wasi_03_goes_by_the_same_way(worker: &'static str) {
    let run = |settings: &str, arguments: &str| {
        let ground = Ground::with_worker(worker);
        ground
            .line(&format!(
                "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@dials-waiting\"\nargs = [{arguments}]\nnext = \"done\"\nretry = {{ attempts = 1 }}\n{settings}\n"
            ))
            .write("in.txt", "hello\nthere\n");
        ground.andon(&["run", ".", "in.txt", "-q"])
    };
    let server = Server::shouting();
    let localhost = format!("\"localhost\", \"{}\"", server.port);
    assert_eq!(
        run(&granted(server.port), &localhost).well(),
        "HELLO\nTHERE\n"
    );
    server.come_back();

    let jam = run("", &localhost);
    assert_eq!(jam.code, Some(2), "{}", jam.whole());
    holds(&jam.stderr, &["look up localhost", "grants.tcp"]);
    let denied = run("violation = \"deny\"", &localhost).well();
    holds(&denied, &["AccessDenied"]);

    let endless = Server::endless();
    let settings = format!("limits.received = \"1MiB\"\n{}", granted(endless.port));
    let jam = run(&settings, &format!("\"localhost\", \"{}\"", endless.port));
    holds(&jam.stderr, &["over the limit `received` of 1MiB"]);
    endless.come_back();
}

/// A look-up is a message to whoever owns the name: the question alone must not leave.
fn names_that_are_not_granted_are_not_asked_for(worker: &'static str) {
    let names = NameServer::new(&[&[Ipv4Addr::LOCALHOST], &[Ipv4Addr::new(127, 0, 0, 2)]]);
    let server = Server::shouting();
    let ground = Ground::with_worker(worker);
    let factory = format!("[network]\nresolvers = [\"{}\"]\n", names.address);
    ground.write("andon.toml", factory);
    let settings = format!(
        "violation = \"deny\"\ngrants.tcp = [{{ to = \"db.test:{}\", private = true }}]",
        server.port
    );
    let script = format!(
        "look secret.attacker.example\nlook db.test\nlook db.test\nconnect {}\nsay a\nhear\n",
        server.port
    );
    let told = run_on(&ground, &settings, &[&script]).well();
    // The second look-up has the first one's answer, wherever the name leads to by now.
    assert_eq!(
        told,
        "look: access-denied\nlook: [127.0.0.1]\nlook: [127.0.0.1]\n\
         connect: from (0, 0, 0, 0):0\nsay: said\nhear: A\n"
    );
    assert_eq!(names.asked(), ["db.test."]);
}
