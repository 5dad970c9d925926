//! A daemon that starts before many items that wait.

use super::{
    Sizes,
    hall::{Hall, input, runtime},
    mib, millis, row,
};
use andon::{
    lines::{Because, Control as _, Lines},
    name::Name,
};
use futures::StreamExt as _;
use std::time::Duration;

pub(super) fn start(sizes: &Sizes) -> anyhow::Result<()> {
    for items in [sizes.waiting / 100, sizes.waiting] {
        let hall = Hall::new()?;
        let file = hall.line("bench", "plain.wasm", 64)?;
        let runtime = runtime()?;
        let line: Name = "bench".parse()?;
        let (daemon, ..) = hall.serve(&runtime, &[file.display().to_string()])?;
        hall.run(&["drain"])?;
        drop(daemon);
        // Taken at rest, where there is room for any number, and held up at the first station.
        runtime.block_on(async {
            let lines = Lines::at_rest(&hall.state())?;
            let fault = |fault: andon::lines::Fault| anyhow::anyhow!("{fault}");
            let why = Because { why: String::new() };
            let first = "first".parse()?;
            lines
                .pause("bench", &line, &first, why)
                .await
                .map_err(fault)?;
            let all = (0..items).map(|n| lines.submit("bench", input(&line, n)));
            let mut all = futures::stream::iter(all).buffer_unordered(256);
            while let Some(taken) = all.next().await {
                taken.map_err(fault)?;
            }
            drop(all);
            lines.close().await?;
            anyhow::Ok(())
        })?;
        let (daemon, client, took) = hall.serve(&runtime, &[])?;
        let what = format!("{items} items wait: ");
        row(
            &format!("{what}the daemon answers after"),
            millis(took),
            "1 s",
        );
        // Whatever it reads of them it has read by then.
        std::thread::sleep(Duration::from_secs(2));
        let status = runtime.block_on(client.status(Some(&line)));
        let status = status.map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let waits: u64 = status.lines[0].stations.iter().map(|it| it.waiting).sum();
        anyhow::ensure!(waits == items as u64, "{waits} wait");
        let (all, own) = daemon.memory()?;
        row(&format!("{what}memory of the daemon"), mib(all), "flat");
        row(&format!("{what}what of it is its own"), mib(own), "flat");
    }
    Ok(())
}
