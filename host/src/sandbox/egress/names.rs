//! Looking up names: the egress' own resolver, so that the addresses which were checked are those
//! that are dialled.

use crate::sandbox::way::Failure;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::Name,
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

/// The most addresses of a name that are looked at.
const ADDRESSES: usize = 16;

/// A resolver, made with the first look-up.
pub(super) struct Names {
    servers: Vec<SocketAddr>,
    resolver: Mutex<Option<TokioResolver>>,
}

impl Names {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            resolver: Mutex::new(None),
        }
    }

    /// The addresses of a name, in the order to try them; at least one.
    pub(super) async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let resolver = self.resolver()?;
        let mut name = Name::from_ascii(name).map_err(|_| Failure::Name)?;
        // Just this name: nothing is appended to it that the system searches in.
        name.set_fqdn(true);
        let found = resolver.lookup_ip(name).await.map_err(|_| Failure::Name)?;
        let addresses: Vec<IpAddr> = found.iter().take(ADDRESSES).collect();
        if addresses.is_empty() {
            return Err(Failure::Name);
        }
        Ok(addresses)
    }

    fn resolver(&self) -> Result<TokioResolver, Failure> {
        let mut made = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some(resolver) => Ok(resolver.clone()),
            None => {
                let resolver = self.make().map_err(|error| {
                    tracing::warn!("the resolver cannot be set up: {error}");
                    Failure::Name
                })?;
                Ok(made.insert(resolver).clone())
            }
        }
    }

    fn make(&self) -> Result<TokioResolver, hickory_resolver::net::NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                NameServerConfig::new(server.ip(), true, connections)
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Always;
        builder.build()
    }
}
