//! A server that counts what it is asked for, and answers with the number.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

/// What it does depends on the path: `/hold` waits until it is released, `/busy` and `/slow-down` turn the
/// first request down, `/hang-up` closes on the first, `/long` has a long answer.
pub(super) struct Counting {
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
}

impl Counting {
    pub(super) fn start() -> Self {
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
                // A client that is killed breaks its connections off.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// It was asked for each so often, and for nothing else.
    #[track_caller]
    pub(super) fn saw(&self, expected: &[(&str, usize)]) {
        let mut counts = BTreeMap::new();
        for (request, _) in &self.state.asked.lock().unwrap().requests {
            *counts.entry(request.clone()).or_insert(0) += 1;
        }
        let counts: Vec<(&str, usize)> = counts.iter().map(|(r, n)| (r.as_str(), *n)).collect();
        assert_eq!(counts, expected);
    }

    /// The keys that came with a request, in order.
    pub(super) fn keys(&self, request: &str) -> Vec<String> {
        let asked = self.state.asked.lock().unwrap();
        let of = asked.requests.iter().filter(|(asked, _)| asked == request);
        of.map(|(_, key)| key.clone().expect("a key")).collect()
    }

    /// How many requests it has held so far.
    pub(super) fn held(&self) -> usize {
        self.state.asked.lock().unwrap().held
    }

    /// Waits until it holds one more than `before`.
    pub(super) fn wait_for_held(&self, before: usize) {
        let asked = self.state.asked.lock().unwrap();
        let waits = |asked: &mut Asked| asked.held <= before;
        drop(self.state.news.wait_while(asked, waits).unwrap());
    }

    /// Holds nothing any more.
    pub(super) fn release(&self) {
        self.state.asked.lock().unwrap().released = true;
        self.state.news.notify_all();
    }

    /// Nobody listens any more.
    pub(super) fn stop(&self) {
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
        let number = same.count();
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
            _ => (200, number.to_string()),
        };
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{text}"
        )?;
    }
}
