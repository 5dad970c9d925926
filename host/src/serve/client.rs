//! The other side of the socket: orders to a daemon, as [`Control`] has them.

use super::{
    gate::BY,
    routes::{Accepted, Drain},
    socket,
};
use crate::lines::{
    Because, Clear, ClearAll, ClearedAll, Control, Done, Fault, FaultKind, GiveAnswer, ItemView,
    Rerun, Status, Submission, Submit, Which,
};
use crate::{
    item::Summary,
    name::Name,
    retool::{History, Plan, PlanFor, Promote, Retool, Retooled},
};
use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::UnixStream;
use url::form_urlencoded::Serializer;

/// The largest answer, in bytes.
const LARGEST: usize = 256 << 20;

/// A daemon that runs the lines of a state folder.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The daemon of a state folder; none where none runs.
    ///
    /// # Errors
    /// When there is a socket that this user may not open.
    pub async fn of(folder: &Path) -> io::Result<Option<Self>> {
        let socket = socket::path(folder);
        match UnixStream::connect(&socket).await {
            Ok(_) => Ok(Some(Self { socket })),
            // Nobody listens: a daemon that died left it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A path that is too long for a socket has none.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the daemon take nothing any more, and end when the visits under way have, or after `within`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn drain(&self, by: &str, within: Duration) -> Result<(), Fault> {
        let drain = Drain {
            within: Some(within.as_secs()),
        };
        self.order(by, "/v1/drain", &drain).await
    }

    /// The server-sent events of a page: each its data.
    ///
    /// # Errors
    /// When the daemon does not answer with events.
    pub async fn events(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<String, Fault>> + use<>, Fault> {
        let response = self.send(Request::get(path), Bytes::new()).await?;
        let body = checked(response).await?.into_body();
        let mut text = Text::default();
        let data = body.into_data_stream().map(move |chunk| match chunk {
            Ok(chunk) => text.take(&chunk).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(broken(error))],
        });
        Ok(data.flat_map(stream::iter))
    }

    /// Submits an input and waits for what it comes to.
    ///
    /// # Errors
    /// As [`Control::submit`].
    pub async fn submit_and_wait(
        &self,
        by: &str,
        submit: Submit,
        wait: Option<Duration>,
    ) -> Result<Accepted, Fault> {
        let mut request = Request::post(submit_path(&submit, wait)).header(BY, by.as_bytes());
        if let Some(key) = &submit.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(kind) = &submit.content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let body = submit.body.bytes()?;
        answer(self.send(request, body).await?).await
    }

    /// What the daemon says to a `GET`.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        answer(self.send(Request::get(path), Bytes::new()).await?).await
    }

    fn act<B, T>(&self, by: &str, path: String, order: B) -> Done<'_, T>
    where
        B: Serialize + Send + Sync + 'static,
        T: DeserializeOwned + Send + 'static,
    {
        let by = by.to_string();
        async move { self.order(&by, &path, &order).await }.boxed()
    }

    async fn order<B: Serialize, T: DeserializeOwned>(
        &self,
        by: &str,
        path: &str,
        order: &B,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(order).map_err(|error| Fault::internal(error.to_string()))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(BY, by.as_bytes())
            .header(header::CONTENT_TYPE, "application/json");
        answer(self.send(request, body.into()).await?).await
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, Fault> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            Fault::of(
                FaultKind::Unavailable,
                format!("the daemon does not answer: {error}\n  hint: has it just ended? the same command then works on the state folder itself"),
            )
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(async move {
            // What breaks it is told to whoever waits for the answer.
            let _ = connection.await;
        });
        let request = request
            .header(header::HOST, "localhost")
            .body(Full::new(body))
            .map_err(|error| Fault::invalid(format!("this cannot be sent: {error}")))?;
        sender.send_request(request).await.map_err(broken)
    }
}

fn broken(error: hyper::Error) -> Fault {
    Fault::of(
        FaultKind::Unavailable,
        format!(
            "the daemon ended before its answer did: {error}\n  hint: whether it was done is not known; look, or try again with the same key"
        ),
    )
}

/// The answer, if it is a success.
async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, Fault> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let fault = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    Err(fault.unwrap_or_else(|| Fault::internal(format!("the daemon answered {status}"))))
}

async fn answer<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, Fault> {
    let response = checked(response).await?;
    let strange = |reason: String| {
        Fault::internal(format!(
            "the daemon's answer is not understood: {reason}\n  hint: is it another version of andon?"
        ))
    };
    let body = Limited::new(response.into_body(), LARGEST)
        .collect()
        .await
        .map_err(|error| strange(error.to_string()))?
        .to_bytes();
    let text: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(text).map_err(|error| strange(error.to_string()))
}

/// Where to submit, with all that is said of the input beside its body.
fn submit_path(submit: &Submit, wait: Option<Duration>) -> String {
    let mut query = Serializer::new(String::new());
    if let Some(source) = &submit.source {
        query.append_pair("source", source);
    }
    if !submit.priority.is_normal() {
        query.append_pair("priority", submit.priority.key());
    }
    if let Some(deadline) = submit.deadline {
        query.append_pair("deadline", &deadline.to_string());
    }
    for (name, value) in &submit.labels {
        query.append_pair("label", &format!("{name}={value}"));
    }
    if let Some(wait) = wait {
        query.append_pair("wait", &format!("{}s", wait.as_secs()));
    }
    format!("/v1/lines/{}/items?{}", submit.line, query.finish())
}

/// A part of a path, whatever is in it.
fn part(text: &str) -> String {
    let mut part = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => part.push(byte as char),
            other => part.push_str(&format!("%{other:02X}")),
        }
    }
    part
}

/// Server-sent events, taken apart as they come.
#[derive(Default)]
struct Text {
    line: Vec<u8>,
    data: String,
}

impl Text {
    /// The data of the events that have come whole.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            } else if line.is_empty() && !self.data.is_empty() {
                whole.push(std::mem::take(&mut self.data));
            }
        }
        whole
    }
}

impl Control for Client {
    fn submit(&self, by: &str, submit: Submit) -> Done<'_, Submission> {
        let by = by.to_string();
        async move {
            let accepted = self.submit_and_wait(&by, submit, None).await?;
            Ok(accepted.submission)
        }
        .boxed()
    }

    fn clear(&self, by: &str, item: &str, clear: Clear) -> Done<'_, Summary> {
        self.act(by, format!("/v1/items/{}/clear", part(item)), clear)
    }

    fn clear_all(&self, by: &str, clear: ClearAll) -> Done<'_, ClearedAll> {
        self.act(by, "/v1/clear".into(), clear)
    }

    fn answer(&self, by: &str, item: &str, answer: GiveAnswer) -> Done<'_, Summary> {
        self.act(by, format!("/v1/items/{}/answer", part(item)), answer)
    }

    fn cancel(&self, by: &str, item: &str, cancel: Because) -> Done<'_, Summary> {
        self.act(by, format!("/v1/items/{}/cancel", part(item)), cancel)
    }

    fn rerun(&self, by: &str, item: &str, rerun: Rerun) -> Done<'_, Submission> {
        self.act(by, format!("/v1/items/{}/rerun", part(item)), rerun)
    }

    fn pause(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()> {
        self.act(
            by,
            format!("/v1/lines/{line}/stations/{station}/pause"),
            why,
        )
    }

    fn resume(&self, by: &str, line: &Name, station: &Name, why: Because) -> Done<'_, ()> {
        self.act(
            by,
            format!("/v1/lines/{line}/stations/{station}/resume"),
            why,
        )
    }

    fn plan(&self, line: &Name, wanted: PlanFor) -> Done<'_, Plan> {
        // Nobody is noted for having looked.
        self.act(
            &super::user(),
            format!("/v1/lines/{line}/retool/plan"),
            wanted,
        )
    }

    fn retool(&self, by: &str, line: &Name, wanted: Retool) -> Done<'_, Retooled> {
        self.act(by, format!("/v1/lines/{line}/retool"), wanted)
    }

    fn promote(&self, by: &str, line: &Name, wanted: Promote) -> Done<'_, Retooled> {
        self.act(by, format!("/v1/lines/{line}/promote"), wanted)
    }

    fn history(&self, line: &Name) -> Done<'_, History> {
        let path = format!("/v1/lines/{line}/history");
        async move { self.get(&path).await }.boxed()
    }

    fn status(&self, line: Option<&Name>) -> Done<'_, Status> {
        let line = line.cloned();
        async move {
            let mut status: Status = self.get("/v1/status").await?;
            if let Some(line) = line {
                status.lines.retain(|status| status.line == line);
            }
            Ok(status)
        }
        .boxed()
    }

    fn items(&self, which: Which) -> Done<'_, Vec<Summary>> {
        let mut query = Serializer::new(String::new());
        let phases: Vec<_> = which.phases.iter().map(|phase| phase.key()).collect();
        let pairs = [
            ("line", which.line.map(|name| name.to_string())),
            ("phase", (!phases.is_empty()).then(|| phases.join(","))),
            ("station", which.station.map(|name| name.to_string())),
            ("tree", which.tree.map(|item| item.to_string())),
            ("inputs", which.inputs.then(|| "true".into())),
            ("most", which.most.map(|most| most.to_string())),
            ("after", which.after.map(|item| item.to_string())),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        let path = format!("/v1/items?{}", query.finish());
        async move { self.get(&path).await }.boxed()
    }

    fn item(&self, item: &str) -> Done<'_, ItemView> {
        let path = format!("/v1/items/{}", part(item));
        async move { self.get(&path).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_apart_wherever_they_are_cut() {
        let stream = "event: taken\nid: 1\ndata: {\"a\":1}\n\n: alive\n\ndata:x\ndata: ü\n\n";
        for cut in 0..stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            let mut text = Text::default();
            let mut whole = text.take(first);
            whole.extend(text.take(second));
            assert_eq!(whole, ["{\"a\":1}", "x\nü"], "{cut}");
        }
    }

    #[test]
    fn a_part_of_a_path_stays_one() {
        assert_eq!(part("01-ab.3"), "01-ab.3");
        assert_eq!(part("../x?y#ü"), "..%2Fx%3Fy%23%C3%BC");
    }
}
