//! A program of WASI 0.3 that posts its standard input to the path of its second argument at the
//! server of its first, and writes what came of it to its standard output.

use wasip3::{
    cli,
    http::{
        client,
        types::{ErrorCode, Fields, Method, Request, Response, Scheme},
    },
    wit_future, wit_stream,
};

struct It;

impl wasip3::exports::cli::run::Guest for It {
    async fn run() -> Result<(), ()> {
        let arguments = cli::environment::get_arguments();
        let [server, path] = &arguments[arguments.len() - 2..] else {
            return Err(());
        };
        let told = match exchange(server, path).await {
            Ok(told) => told,
            Err(code) => format!("{code:?}\n").into_bytes(),
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

async fn exchange(server: &str, path: &str) -> Result<Vec<u8>, ErrorCode> {
    let (input, _) = cli::stdin::read_via_stream();
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    drop(no_trailers);
    let (request, _sent) = Request::new(Fields::new(), Some(input), trailers, None);
    let set = [
        request.set_method(&Method::Post),
        request.set_scheme(Some(&Scheme::Http)),
        request.set_authority(Some(server)),
        request.set_path_with_query(Some(path)),
    ];
    if set.contains(&Err(())) {
        return Err(ErrorCode::HttpRequestUriInvalid);
    }
    let response = client::send(request).await?;
    let status = response.get_status_code();
    let (read, end) = wit_future::new(|| Ok(()));
    drop(read);
    let (body, ended) = Response::consume_body(response, end);
    let mut told = format!("{status} ").into_bytes();
    told.extend(body.collect().await);
    ended.await?;
    Ok(told)
}

wasip3::cli::command::export!(It);
