//! Look-ups of names.

use super::Fault;
use crate::{
    grant::Host,
    sandbox::{tape::Tape, way::Way},
};
use futures::{FutureExt as _, future::BoxFuture};
use std::{net::IpAddr, sync::Arc};

/// The longest name that there is, in bytes.
const LONGEST: usize = 255;

/// Looks a name up. A literal address, in whatever notation, is its own answer, and nobody is asked.
pub(super) fn look_up(
    name: &str,
    way: &dyn Way,
    tape: &Arc<Tape>,
) -> Result<BoxFuture<'static, Result<Vec<IpAddr>, Fault>>, Fault> {
    if name.len() > LONGEST {
        return Err(Fault::Argument);
    }
    // Without the brackets that a URL has around it.
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(std::future::ready(Ok(vec![address])).boxed());
    }
    match Host::parse(name).map_err(|_| Fault::Argument)? {
        Host::Address(address) => Ok(std::future::ready(Ok(vec![address])).boxed()),
        Host::Name(name) => {
            let (answer, tape) = (way.look_up(name), tape.clone());
            Ok(async move { answer.await.map_err(|refusal| Fault::of(refusal, &tape)) }.boxed())
        }
    }
}
