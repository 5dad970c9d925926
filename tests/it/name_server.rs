//! A name server on loopback that knows every name, and remembers what it was asked.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

/// The server; it goes on until the tests end.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// `answers` are given one after the other, the last one again and again.
    pub(crate) fn new(answers: &[&[Ipv4Addr]]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let server = Self {
            address: socket.local_addr().expect("an address"),
            asked: Arc::default(),
        };
        let asked = server.asked.clone();
        let mut answers: Vec<Vec<Ipv4Addr>> = answers.iter().map(|all| all.to_vec()).collect();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let (name, question) = question(&buffer[..length]);
                let mut addresses = Vec::new();
                if question.ends_with(&[0, 1, 0, 1]) {
                    asked.lock().expect("no panic").push(name);
                    addresses = answers[0].clone();
                    if answers.len() > 1 {
                        answers.remove(0);
                    }
                }
                let answer = answer(&buffer[..2], question, &addresses);
                let _ = socket.send_to(&answer, from);
            }
        });
        server
    }

    /// The names that it was asked for the addresses of, since this was last asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }
}

/// The name that a message asks for, and the bytes of its question.
fn question(message: &[u8]) -> (String, &[u8]) {
    let (mut name, mut at) = (String::new(), 12);
    while message[at] > 0 {
        let label = &message[at + 1..=at + usize::from(message[at])];
        name += &format!("{}.", String::from_utf8_lossy(label));
        at += label.len() + 1;
    }
    (name, &message[12..at + 5])
}

/// An answer that nobody may keep.
fn answer(id: &[u8], question: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let count = u8::try_from(addresses.len()).expect("few");
    let mut answer = id.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    for address in addresses {
        // The name of the question, type A, class IN, for no time.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}
