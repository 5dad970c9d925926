//! Dialling: a connection to one of the addresses that were checked, and TLS over it.

use crate::{grant::Host, sandbox::way::Failure};
use futures::{StreamExt as _, stream::FuturesUnordered};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// How long one address is tried before the next is, beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// Dials, with what this machine trusts.
#[derive(Default)]
pub(super) struct Dialler {
    tls: OnceCell<TlsConnector>,
}

impl Dialler {
    /// A connection to the first of `addresses` that answers, and which one that is.
    pub(super) async fn connect(
        &self,
        addresses: &[SocketAddr],
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let mut rest = addresses.iter().copied();
        let mut tries = FuturesUnordered::new();
        loop {
            let next = rest.next();
            match next {
                Some(address) => tries.push(dial(address)),
                None if tries.is_empty() => return Err(Failure::Connect),
                None => {}
            }
            let head_start = async {
                match next {
                    Some(_) => tokio::time::sleep(HEAD_START).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                tried = tries.next() => match tried {
                    Some(Ok(connected)) => return Ok(connected),
                    Some(Err(error)) => tracing::debug!("no connection: {error}"),
                    None => {}
                },
                () = head_start => {}
            }
        }
    }

    /// TLS over a connection to `host`, whose certificate has to be for it.
    pub(super) async fn secure(
        &self,
        host: &Host,
        connection: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Failure::Tls)?,
            Host::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let tls = self.tls.get_or_try_init(trusting).await?;
        tls.connect(name, connection).await.map_err(|error| {
            tracing::debug!("no TLS with `{host}`: {error}");
            Failure::Tls
        })
    }
}

async fn dial(address: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    Ok((connection, address))
}

/// Reads what this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` may name it.
async fn trusting() -> Result<TlsConnector, Failure> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let loaded = loaded.await.map_err(|_| Failure::Tls)?;
    for error in loaded.errors {
        tracing::warn!("certificates that this machine trusts cannot be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Failure::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
