//! The way out of a visit, as a runner process sees it: the host's, over the socket.

use super::{Link, calls::Answered};
use crate::{
    sandbox::{
        own::{
            stream::{Both, Incoming, Outgoing, Tell},
            wire::{Call, News, Number, Wish, Word},
        },
        way::{CameAt, Connection, Egress, Failure, Patience, Refusal, Way, WayBody},
    },
    visit::Visit,
};
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_bytes::Bytes;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

const BROKEN: Refusal = Refusal::Failed(Failure::Broken);

impl Egress for Arc<Link> {
    fn enter(&self, visit: &Arc<Visit>) -> Arc<dyn Way> {
        Arc::new(Out {
            link: self.clone(),
            // Where the visit is over, the host knows nothing of it and refuses.
            visit: self.number(visit).unwrap_or(Number::MAX),
        })
    }
}

impl Tell for Link {
    fn tell(&self, stream: Call, news: News<'_>) {
        let said = self.say(&Word::Stream { stream, news });
        debug_assert!(said.is_ok(), "parts are short");
    }
}

struct Out {
    link: Arc<Link>,
    visit: Number,
}

impl Drop for Out {
    fn drop(&mut self) {
        // Bodies that end after this were not ended by the guest.
        let said = self.link.say(&Word::Leave(self.visit));
        debug_assert!(said.is_ok(), "it is short");
    }
}

impl Out {
    /// Both directions of a call that begins.
    fn open(&self) -> io::Result<(Call, Incoming, Outgoing)> {
        let call = self.link.calls.number();
        let (incoming, outgoing) = (self.link.streams).open(call, self.visit, self.link.clone())?;
        Ok((call, incoming, outgoing))
    }

    fn ask(
        &self,
        call: Call,
        wish: Wish<'_>,
    ) -> impl Future<Output = Result<Answered, Refusal>> + use<> {
        let answer = self.link.calls.expect(call);
        let said = self.link.say(&Word::Call { call, wish });
        async move {
            said.map_err(|_| BROKEN)?;
            match answer.await {
                Ok(Answered::Refused(refusal)) => Err(refusal),
                Ok(Answered::Failed(_)) | Err(_) => Err(BROKEN),
                Ok(answer) => Ok(answer),
            }
        }
    }
}

impl Way for Out {
    fn send(
        &self,
        request: Request<WayBody>,
        patience: Patience,
    ) -> BoxFuture<'static, Result<Response<WayBody>, Refusal>> {
        let (head, body) = request.into_parts();
        let Ok((call, incoming, outgoing)) = self.open() else {
            return Box::pin(async { Err(BROKEN) });
        };
        let uri = head.uri.to_string();
        let headers = head.headers.iter();
        let asked = self.ask(
            call,
            Wish::Send {
                visit: self.visit,
                method: head.method.as_str(),
                uri: &uri,
                headers: headers
                    .map(|(name, value)| (name.as_str(), Bytes::new(value.as_bytes())))
                    .collect(),
                patience: [
                    patience.connect,
                    patience.first_byte,
                    patience.between_bytes,
                ],
            },
        );
        tokio::spawn(give(body, outgoing));
        Box::pin(async move {
            let Answered::Sent(came, status, headers) = asked.await? else {
                return Err(BROKEN);
            };
            let mut response = Response::new(incoming.boxed_unsync());
            *response.status_mut() = StatusCode::from_u16(status).map_err(|_| BROKEN)?;
            if let Some(at) = came {
                response.extensions_mut().insert(CameAt(at));
            }
            for (name, value) in headers {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BROKEN)?;
                let value = HeaderValue::from_bytes(&value).map_err(|_| BROKEN)?;
                response.headers_mut().append(name, value);
            }
            Ok(response)
        })
    }

    fn look_up(&self, name: String) -> BoxFuture<'static, Result<Vec<IpAddr>, Refusal>> {
        let visit = self.visit;
        let call = self.link.calls.number();
        let asked = self.ask(call, Wish::LookUp { visit, name: &name });
        Box::pin(async move {
            match asked.await? {
                Answered::Found(addresses) => Ok(addresses),
                _ => Err(BROKEN),
            }
        })
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, Result<Box<dyn Connection>, Refusal>> {
        let Ok((call, incoming, outgoing)) = self.open() else {
            return Box::pin(async { Err(BROKEN) });
        };
        let visit = self.visit;
        let asked = self.ask(call, Wish::Connect { visit, to });
        Box::pin(async move {
            match asked.await? {
                Answered::Connected => {
                    Ok(Box::new(Both(incoming, outgoing)) as Box<dyn Connection>)
                }
                _ => Err(BROKEN),
            }
        })
    }
}

/// Sends a body to its end.
async fn give(mut body: WayBody, mut outgoing: Outgoing) {
    loop {
        match body.frame().await {
            None => return outgoing.end(Ok(())),
            Some(Err(refusal)) => return outgoing.end(Err(&refusal)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data()
                    && !outgoing.send(data).await
                {
                    return outgoing.end(Ok(()));
                }
            }
        }
    }
}
