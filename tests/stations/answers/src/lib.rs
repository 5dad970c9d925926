//! A handler of WASI 0.2 that answers what it is asked to: a body that begins with a status is the
//! response to give, word by word; any other one gets told what the request was.

use std::io::{Read as _, Write as _};
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct It;

impl wasip2::exports::http::incoming_handler::Guest for It {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut body = Vec::new();
        let incoming = request.consume().expect("a body");
        let mut stream = incoming.stream().expect("a stream");
        stream.read_to_end(&mut body).expect("it ends");
        drop(stream);
        let headers = Fields::new();
        let set = |name: &str, value: &str| {
            let value = value.as_bytes().to_vec();
            headers.append(name, &value).expect("a header");
        };
        let head = body.split(|b| *b == b'\n').next().unwrap_or_default();
        let status = str::from_utf8(head).ok().and_then(|line| line.parse().ok());
        let answer = match status {
            None => {
                let mut told = format!(
                    "{:?} {:?} {:?} {:?}, {} bytes\n",
                    request.method(),
                    request.scheme(),
                    request.authority(),
                    request.path_with_query(),
                    body.len()
                );
                let mut entries = request.headers().entries();
                entries.sort();
                for (name, value) in entries {
                    told.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(&value)));
                }
                told.into_bytes()
            }
            Some(_) => {
                let mut rest = &body[head.len() + 1..];
                loop {
                    let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                    let (line, after) = rest.split_at(end);
                    rest = after.strip_prefix(b"\n").unwrap_or(after);
                    match str::from_utf8(line).expect("text").split_once(": ") {
                        Some((name, value)) => set(name, value),
                        None => break,
                    }
                }
                rest.to_vec()
            }
        };
        let response = OutgoingResponse::new(headers);
        response
            .set_status_code(status.unwrap_or(200))
            .expect("a status");
        let outgoing = response.body().expect("a body");
        ResponseOutparam::set(out, Ok(response));
        let mut stream = outgoing.write().expect("a stream");
        stream.write_all(&answer).expect("it can be written");
        stream.flush().expect("it can be written");
        drop(stream);
        OutgoingBody::finish(outgoing, None).expect("no length was promised");
    }
}

wasip2::http::proxy::export!(It);
