//! A small HTTP server and a small server of names, on loopback.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinHandle,
};

/// What a server answers to every request.
pub(super) enum Answers {
    /// The request itself.
    Echo,
    Raw(String),
    Bytes(Vec<u8>),
    /// A body that never ends.
    Endless,
    /// Nothing, for ever.
    Silence,
    /// Nothing; it closes the connection.
    Hangup,
}

/// A server that says what it was told to say.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    pub(super) async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (answers, noted) = (Arc::new(answers), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                noted.connections.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream, answers.clone(), noted.clone()));
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// The requests that came, whole.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Nobody listens any more.
    pub(super) async fn stop(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Answers>, seen: Arc<Seen>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        seen.requests.lock().unwrap().push(request.clone());
        let answer = match &*answers {
            Answers::Echo => {
                let length = request.len();
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{request}").into_bytes()
            }
            Answers::Raw(text) => text.clone().into_bytes(),
            Answers::Bytes(bytes) => bytes.clone(),
            Answers::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while stream.write_all(&[b'x'; 16 << 10]).await.is_ok() {}
                return;
            }
            Answers::Silence => std::future::pending().await,
            Answers::Hangup => return,
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// One request with its body, by its length.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(buffer);
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text[..head]
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let whole = head + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                let request = buffer.drain(..whole).collect();
                return String::from_utf8(request).ok();
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// A server of names. `|` stands between what is said the first time and the times after.
pub(super) struct Names {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Names {
    pub(super) async fn start(names: &[(&str, &[&str])]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let names: HashMap<String, Vec<Vec<IpAddr>>> = (names.iter())
            .map(|(name, said)| {
                let times = said.split(|word| *word == "|");
                let times = times.map(|said| said.iter().map(|ip| ip.parse().unwrap()).collect());
                (name.to_string(), times.collect())
            })
            .collect();
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let counted = asked.clone();
        tokio::spawn(async move {
            let mut packet = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                if let Some(answer) = answer(&packet[..length], &names, &counted) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Self { address, asked }
    }

    /// How often the addresses of a name were asked for.
    pub(super) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

/// Answers a query (RFC 1035): the header, the question as it came, a record for each address.
fn answer(
    query: &[u8],
    names: &HashMap<String, Vec<Vec<IpAddr>>>,
    asked: &Mutex<HashMap<String, usize>>,
) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    let question = &query[12..at + 4];
    // Both kinds of address are asked for at once: the older one counts.
    let times = {
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(name.clone()).or_default();
        *times += usize::from(kind == 1);
        (*times).max(1) - 1
    };
    let said = names.get(&name);
    let addresses = said.map(|said| &said[times.min(said.len() - 1)]);
    let records: Vec<Vec<u8>> = (addresses.into_iter().flatten())
        .filter_map(|address| match (address, kind) {
            (IpAddr::V4(address), 1) => Some(address.octets().to_vec()),
            (IpAddr::V6(address), 28) => Some(address.octets().to_vec()),
            _ => None,
        })
        .collect();
    let code = if said.is_some() { 0 } else { 3 };
    let count = u16::try_from(records.len()).ok()?.to_be_bytes();
    let mut packet = Vec::new();
    packet.extend_from_slice(&query[..2]);
    packet.extend_from_slice(&[0x85, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    packet.extend_from_slice(question);
    for record in records {
        // The name as a pointer to the question; no time to live.
        packet.extend_from_slice(&[0xc0, 12]);
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, record.len() as u8]);
        packet.extend_from_slice(&record);
    }
    Some(packet)
}
