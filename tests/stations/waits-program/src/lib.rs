//! A program of WASI 0.3: waits, and copies its standard input to its standard output.

use wasip3::{cli, clocks::monotonic_clock, wit_stream};

struct It;

impl wasip3::exports::cli::run::Guest for It {
    async fn run() -> Result<(), ()> {
        monotonic_clock::wait_for(300_000_000).await;
        let (input, _) = cli::stdin::read_via_stream();
        let mut bytes = input.collect().await;
        let arguments = cli::environment::get_arguments();
        bytes.extend(format!("{arguments:?}\n").into_bytes());
        let fails = arguments.iter().any(|a| a == "fail");
        let (mut writer, reader) = wit_stream::new();
        let done = cli::stdout::write_via_stream(reader);
        let rest = writer.write_all(bytes).await;
        drop(writer);
        if !rest.is_empty() || done.await.is_err() || fails {
            return Err(());
        }
        Ok(())
    }
}

wasip3::cli::command::export!(It);
