//! Uses sockets of WASI 0.2 as the lines of its input say, and tells what came of it in its body.

use andon_station::prelude::*;
use std::net::{IpAddr, SocketAddr};
use wasip2::{
    io::streams::{InputStream, OutputStream, StreamError},
    sockets::{
        instance_network::instance_network,
        ip_name_lookup::resolve_addresses,
        network::{
            ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
            Ipv6SocketAddress,
        },
        tcp::{ShutdownType, TcpSocket},
        tcp_create_socket::create_tcp_socket,
        udp_create_socket::create_udp_socket,
    },
};

struct It;

impl Station for It {
    fn run(_: &Visit, inputs: Inputs) -> Result<Outputs> {
        let script = inputs.one()?.text()?.to_string();
        let mut told = String::new();
        let mut found = Vec::new();
        let mut open: Vec<Connection> = Vec::new();
        for line in script.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let came = match (word, open.last()) {
                ("look", _) => look_up(rest).map(|all| {
                    found = all;
                    format!("{found:?}")
                }),
                // The port of the first address that was found, or a whole address.
                ("connect", _) => {
                    let to = match rest.parse() {
                        Ok(port) => SocketAddr::new(found[0], port),
                        Err(_) => rest.parse().expect("an address"),
                    };
                    connect(to).map(|connection| {
                        let told = connection.told();
                        open.push(connection);
                        told
                    })
                }
                ("say", Some(connection)) => connection.say(format!("{rest}\n").as_bytes()),
                ("flood", Some(connection)) => {
                    connection.say(&vec![b'x'; rest.parse().expect("a number")])
                }
                ("hear", Some(connection)) => connection.hear(b'\n'),
                ("drain", Some(connection)) => connection.drain(),
                ("shut", Some(connection)) => {
                    (connection.socket.shutdown(ShutdownType::Send)).map(|()| "shut".into())
                }
                ("hang-up", _) => {
                    drop(open.pop());
                    Ok("hung up".into())
                }
                ("listen", _) => listen().map(|()| "listens".into()),
                ("udp", _) => create_udp_socket(IpAddressFamily::Ipv4).map(|_| "made".into()),
                _ => return Err(Stop::reject(format!("`{line}` cannot be done here"))),
            };
            let came = came.unwrap_or_else(|code| code.name().into());
            told.push_str(&format!("{word}: {came}\n"));
        }
        Ok(Output::pass().text(told).into())
    }
}

fn look_up(name: &str) -> Result<Vec<IpAddr>, ErrorCode> {
    let answer = resolve_addresses(&instance_network(), name)?;
    let mut found = Vec::new();
    loop {
        match answer.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => found.push([a, b, c, d].into()),
            Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                found.push([a, b, c, d, e, f, g, h].into());
            }
            Ok(None) => return Ok(found),
            Err(ErrorCode::WouldBlock) => answer.subscribe().block(),
            Err(code) => return Err(code),
        }
    }
}

/// Fields are dropped in their order: streams before their socket.
struct Connection {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

fn connect(to: SocketAddr) -> Result<Connection, ErrorCode> {
    let family = match to {
        SocketAddr::V4(_) => IpAddressFamily::Ipv4,
        SocketAddr::V6(_) => IpAddressFamily::Ipv6,
    };
    let socket = create_tcp_socket(family)?;
    socket.start_connect(&instance_network(), raw(to))?;
    loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            came => {
                return came.map(|(input, output)| Connection {
                    input,
                    output,
                    socket,
                });
            }
        }
    }
}

fn listen() -> Result<(), ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    let any = raw(([0, 0, 0, 0], 0).into());
    socket.start_bind(&instance_network(), any)?;
    socket.finish_bind()?;
    socket.start_listen()?;
    socket.finish_listen()
}

fn raw(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port: v4.port(),
                address: (a, b, c, d),
            })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            })
        }
    }
}

impl Connection {
    fn told(&self) -> String {
        match self.socket.local_address() {
            Ok(IpSocketAddress::Ipv4(own)) => format!("from {:?}:{}", own.address, own.port),
            other => format!("from {other:?}"),
        }
    }

    fn say(&self, bytes: &[u8]) -> Result<String, ErrorCode> {
        for piece in bytes.chunks(4096) {
            if let Err(error) = self.output.blocking_write_and_flush(piece) {
                return Ok(ended(error));
            }
        }
        Ok("said".into())
    }

    fn hear(&self, end: u8) -> Result<String, ErrorCode> {
        let mut heard = Vec::new();
        while heard.last() != Some(&end) {
            match self.input.blocking_read(1) {
                Ok(bytes) => heard.extend(bytes),
                Err(error) => return Ok(ended(error)),
            }
        }
        Ok(String::from_utf8_lossy(&heard).trim_end().into())
    }

    fn drain(&self) -> Result<String, ErrorCode> {
        let mut drained = 0;
        loop {
            match self.input.blocking_read(65536) {
                Ok(bytes) => drained += bytes.len(),
                Err(StreamError::Closed) => return Ok(format!("{drained} bytes")),
                Err(error) => return Ok(ended(error)),
            }
        }
    }
}

fn ended(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".into(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}

andon_station::export!(It);
