//! Answers from the effect log: what the guest got before, it gets again, at the same time on its clock.

use crate::{
    content::Content,
    effect::{Answered, Effect, Rest},
    item::Body,
    sandbox::way::{CameAt, Failure, Refusal, WayBody},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use std::{fs::File, io, io::Read as _};
use tokio::task::spawn_blocking;

/// How much of a long body is read at a time.
const PIECE: usize = 64 << 10;

const BROKEN: Refusal = Refusal::Failed(Failure::Broken);

/// The answer that an effect had.
pub(super) async fn answer(effect: Effect, content: Content) -> Result<Response<WayBody>, Refusal> {
    let end = effect.end.ok_or(BROKEN)?;
    let Some(answered) = end.answer else {
        return Err(end.failure.map_or(BROKEN, Refusal::Failed));
    };
    let Answered {
        at,
        status,
        headers,
        body,
        rest,
        ..
    } = answered;
    let body = match body {
        Body::Inline(bytes) => Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync(),
        Body::Stored { digest, .. } => {
            let opened = spawn_blocking(move || content.file(&digest)).await;
            let file = opened.map_err(|_| BROKEN)?.map_err(io::Error::from);
            let file = file.map_err(|error| lost(&error))?;
            pieces(file.ok_or_else(|| lost(&io::ErrorKind::NotFound.into()))?)
        }
        Body::File(_) => return Err(BROKEN),
    };
    let mut response = Response::new(ended(body, rest));
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| BROKEN)?;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BROKEN)?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| BROKEN)?;
        response.headers_mut().append(name, value);
    }
    response.extensions_mut().insert(CameAt(at));
    Ok(response)
}

fn lost(error: &io::Error) -> Refusal {
    tracing::error!("a recorded answer cannot be read: {error}");
    BROKEN
}

fn pieces(file: File) -> WayBody {
    let read = stream::try_unfold(file, |mut file| async move {
        let piece = spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, file))
        });
        let (piece, file) = (piece.await.map_err(|_| BROKEN)?).map_err(|error| lost(&error))?;
        Ok((!piece.is_empty()).then(|| (Frame::data(Bytes::from(piece)), file)))
    });
    StreamBody::new(read).boxed_unsync()
}

/// A body that ends as it did: where it broke off, and where nothing more is known of it, by an error.
fn ended(body: WayBody, rest: Rest) -> WayBody {
    let failure = match rest {
        Rest::Whole => return body,
        Rest::Failed(failure) => failure,
        Rest::Unread => Failure::Broken,
    };
    let end = stream::once(async move { Err(Refusal::Failed(failure)) });
    StreamBody::new(
        body.into_data_stream()
            .map(|data| data.map(Frame::data))
            .chain(end),
    )
    .boxed_unsync()
}
