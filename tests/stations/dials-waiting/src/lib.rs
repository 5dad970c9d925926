//! A program of WASI 0.3 that looks up the name of its first argument, connects to its second, a
//! port, sends its standard input there and copies what comes back to its standard output.

use wasip3::{
    cli,
    sockets::{
        ip_name_lookup::resolve_addresses,
        types::{IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket},
    },
    wit_stream,
};

struct It;

impl wasip3::exports::cli::run::Guest for It {
    async fn run() -> Result<(), ()> {
        let arguments = cli::environment::get_arguments();
        let [name, port] = &arguments[arguments.len() - 2..] else {
            return Err(());
        };
        let told = match exchange(name, port.parse().map_err(drop)?).await {
            Ok(bytes) => bytes,
            Err(code) => format!("{code}\n").into_bytes(),
        };
        let (mut writer, reader) = wit_stream::new();
        let done = cli::stdout::write_via_stream(reader);
        let rest = writer.write_all(told).await;
        drop(writer);
        if !rest.is_empty() || done.await.is_err() {
            return Err(());
        }
        Ok(())
    }
}

async fn exchange(name: &str, port: u16) -> Result<Vec<u8>, String> {
    let found = resolve_addresses(name.into()).await;
    let found = found.map_err(|code| format!("{code:?}"))?;
    let address = found.into_iter().find_map(|address| match address {
        IpAddress::Ipv4(address) => Some(address),
        IpAddress::Ipv6(_) => None,
    });
    let to = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port,
        address: address.ok_or("no address of IPv4")?,
    });
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(|code| format!("{code:?}"))?;
    let connected = socket.connect(to).await;
    connected.map_err(|code| format!("{code:?}"))?;
    let (input, _) = cli::stdin::read_via_stream();
    let sent = socket.send(input);
    let (received, ended) = socket.receive();
    let bytes = received.collect().await;
    sent.await.map_err(|code| format!("{code:?}"))?;
    ended.await.map_err(|code| format!("{code:?}"))?;
    Ok(bytes)
}

wasip3::cli::command::export!(It);
