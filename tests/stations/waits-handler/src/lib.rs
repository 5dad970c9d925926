//! A handler of WASI 0.3: waits, and gives the body back with what it was asked.

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_future, wit_stream};

struct It;

impl wasip3::exports::http::handler::Guest for It {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        monotonic_clock::wait_for(300_000_000).await;
        let (method, path) = (request.get_method(), request.get_path_with_query());
        let (_, read) = wit_future::new(|| Ok(()));
        let (body, _trailers) = Request::consume_body(request, read);
        let mut bytes = body.collect().await;
        bytes.extend(format!("{method:?} {path:?}\n").into_bytes());
        let headers = Fields::new();
        let label = b"yes".to_vec();
        headers
            .append("andon-label-waited", &label)
            .expect("a header");
        let (mut writer, reader) = wit_stream::new();
        let (trailers, none) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(reader), none);
        drop(trailers);
        wasip3::spawn_local(async move {
            writer.write_all(bytes).await;
        });
        Ok(response)
    }
}

wasip3::http::service::export!(It);
