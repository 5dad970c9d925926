//! A server that counts what it is asked for, and answers with the number.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

/// What it does depends on the path: `/hold` waits until it is released, `/busy` and `/slow-down` turn the
/// first request down, `/hang-up` closes on the first, `/long` has a long answer. Below `/once/` requests
/// with a key that it knows are no further ones; it answers with the path and how many there were.
pub(crate) struct Counting {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    asked: Mutex<Asked>,
    news: Condvar,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Asked {
    /// `POST /a`, with the key that came with it.
    requests: Vec<(String, Option<String>)>,
    held: usize,
    released: bool,
    /// Connections that are served.
    open: usize,
}

impl Counting {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let all = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if all.stopped.load(SeqCst) {
                    return;
                }
                let state = all.clone();
                state.asked.lock().unwrap().open += 1;
                thread::spawn(move || {
                    // A client that is killed breaks its connections off.
                    drop(serve(stream, &state));
                    state.asked.lock().unwrap().open -= 1;
                    state.news.notify_all();
                });
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// It was asked for each so often, and for nothing else.
    #[track_caller]
    pub(crate) fn saw(&self, expected: &[(&str, usize)]) {
        let mut counts = BTreeMap::new();
        for (request, _) in &self.state.asked.lock().unwrap().requests {
            *counts.entry(request.clone()).or_insert(0) += 1;
        }
        let counts: Vec<(&str, usize)> = counts.iter().map(|(r, n)| (r.as_str(), *n)).collect();
        assert_eq!(counts, expected);
    }

    /// The keys that came with a request, in order.
    pub(crate) fn keys(&self, request: &str) -> Vec<String> {
        let asked = self.state.asked.lock().unwrap();
        let of = asked.requests.iter().filter(|(asked, _)| asked == request);
        of.map(|(_, key)| key.clone().expect("a key")).collect()
    }

    /// Every request so far with all keys that came with it, each as often as it came.
    pub(crate) fn all(&self) -> BTreeMap<String, Vec<Option<String>>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (request, key) in &self.state.asked.lock().unwrap().requests {
            all.entry(request.clone()).or_default().push(key.clone());
        }
        all
    }

    /// Waits until it has heard all that its clients, which are gone, have said.
    pub(crate) fn settled(&self) {
        // Connections are taken in their turn: when this one is answered, all before it were taken.
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.write_all(b"SETTLE /\r\n").expect("it takes it");
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("it answers");
        drop(stream);
        let asked = self.state.asked.lock().unwrap();
        let busy = |asked: &mut Asked| asked.open > 0;
        drop(self.state.news.wait_while(asked, busy).unwrap());
    }

    /// How many requests it has held so far.
    pub(crate) fn held(&self) -> usize {
        self.state.asked.lock().unwrap().held
    }

    /// Waits until it holds one more than `before`.
    pub(crate) fn wait_for_held(&self, before: usize) {
        let asked = self.state.asked.lock().unwrap();
        let waits = |asked: &mut Asked| asked.held <= before;
        drop(self.state.news.wait_while(asked, waits).unwrap());
    }

    /// Holds nothing any more.
    pub(crate) fn release(&self) {
        self.state.asked.lock().unwrap().released = true;
        self.state.news.notify_all();
    }

    /// Nobody listens any more.
    pub(crate) fn stop(&self) {
        self.state.stopped.store(true, SeqCst);
        // Wakes whoever listens, so that it sees that.
        drop(TcpStream::connect(self.address));
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }
}

fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.starts_with("SETTLE ") {
            return stream.write_all(b"s");
        }
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let request = format!("{method} {path}");
        let path = path.to_string();
        let (mut length, mut key) = (0, None);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            match &*name.to_lowercase() {
                "content-length" => length = value.parse().expect("a length"),
                "idempotency-key" => key = Some(value.to_string()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut asked = state.asked.lock().unwrap();
        asked.requests.push((request.clone(), key));
        let same = asked.requests.iter().filter(|(other, _)| *other == request);
        let keys: BTreeSet<_> = same.clone().map(|(_, key)| key).collect();
        let (number, different) = (same.count(), keys.len());
        if path == "/hold" && !asked.released {
            asked.held += 1;
            state.news.notify_all();
            asked = state
                .news
                .wait_while(asked, |asked| !asked.released)
                .unwrap();
        }
        drop(asked);
        let (status, text) = match (&*path, number) {
            ("/hang-up", 1) => return Ok(()),
            ("/busy", 1) => (503, "busy".into()),
            ("/slow-down", 1) => (429, "slow down".into()),
            ("/long", _) => (200, "x".repeat(300_000)),
            (once, _) if once.starts_with("/once/") && once.ends_with("/long") => {
                (200, format!("{once} {different} {}", "x".repeat(300_000)))
            }
            (once, _) if once.starts_with("/once/") => (200, format!("{once} {different}")),
            _ => (200, number.to_string()),
        };
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{text}"
        )?;
    }
}
