//! Connections over TCP, and the look-ups of names for them.

use super::passage::{Denial, Visiting};
use crate::{
    audit::Deed,
    sandbox::way::{Connection, Refusal},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Looks a name up.
pub(super) async fn look_up(visiting: Arc<Visiting>, name: String) -> Result<Vec<IpAddr>, Refusal> {
    visiting.count()?;
    Err(visiting.deny(Deed::LookUp, format!("look up {name}"), closed()))
}

/// Connects.
pub(super) async fn connect(
    visiting: Arc<Visiting>,
    to: SocketAddr,
) -> Result<Box<dyn Connection>, Refusal> {
    visiting.count()?;
    Err(visiting.deny(Deed::Tcp, format!("connect {to}"), closed()))
}

fn closed() -> Denial {
    Denial {
        rule: None,
        why: "this andon makes no connections over TCP".into(),
        hint: "use a server that speaks HTTP".into(),
    }
}
