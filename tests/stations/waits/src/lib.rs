//! A typed station that waits in WASI 0.3, where a plain `func` cannot.

use wasip3::clocks::monotonic_clock;

wasip3::wit_bindgen::generate!({
    path: "../../../wit",
    world: "station-async",
    generate_all,
    runtime_path: "wasip3::wit_bindgen::rt",
});

use andon::station::work::{Body, Output, Payload, Stop, Visit};

struct It;

impl exports::andon::station::process_async::Guest for It {
    async fn run(visit: Visit, inputs: Vec<Payload>) -> Result<Vec<Output>, Stop> {
        let began = monotonic_clock::now();
        monotonic_clock::wait_for(300_000_000).await;
        let waited = (monotonic_clock::now() - began) / 1_000_000;
        let Some(payload) = inputs.into_iter().next() else {
            return Err(Stop::Reject("no input".into()));
        };
        let Body::Bytes(mut bytes) = payload.body else {
            return Err(Stop::Reject("a file".into()));
        };
        let station = &visit.station;
        bytes.extend(format!("{station} waited {waited} ms\n").into_bytes());
        Ok(vec![Output {
            port: "pass".into(),
            payload: Payload {
                content_type: payload.content_type,
                body: Body::Bytes(bytes),
                labels: vec![("waited".into(), waited.to_string())],
            },
        }])
    }
}

export!(It);
