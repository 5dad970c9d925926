//! The developer's loop: from the save of a station's component to the first item through it.

use super::{
    Sizes,
    hall::{Hall, input, runtime},
    millis, row, share,
};
use andon::{
    item::Record,
    journal::{Journal as _, Sqlite},
    lines::Control as _,
    name::Name,
};
use std::time::{Duration, Instant};

/// A way that takes longer than this has broken.
const BOUND: Duration = Duration::from_secs(20);

pub(super) fn saves(sizes: &Sizes) -> anyhow::Result<()> {
    let mut hall = Hall::new()?;
    hall.save("middle.wasm")?;
    let file = hall.line("bench", "middle.wasm", 64)?;
    let runtime = runtime()?;
    let (_daemon, client, _) = hall.serve(&runtime, &[file.display().to_string()])?;
    let _watching = hall.start(&["retool", "bench", "--watch", "--reason", "bench"])?;
    let line: Name = "bench".parse()?;
    let journal = Sqlite::open_read_only(&hall.state())?;
    let fault = |fault: andon::lines::Fault| anyhow::anyhow!("{fault}");
    let mut all = Vec::new();
    let mut next = 0;
    // The first only tells that it watches.
    for save in 0..=sizes.saves {
        let status = runtime
            .block_on(client.status(Some(&line)))
            .map_err(fault)?;
        let before = status.lines[0].revision;
        let mut saved = hall.save("middle.wasm")?;
        loop {
            next += 1;
            let submit =
                client.submit_and_wait("bench", input(&line, next), Some(Duration::from_secs(10)));
            let item = runtime.block_on(submit).map_err(fault)?.submission.item;
            let ended = Instant::now();
            let records = journal.load(&item)?;
            let by_new = records.iter().any(
                |record| matches!(record, Record::Started { revision, .. } if *revision > before),
            );
            if by_new {
                all.extend((save > 0).then(|| ended - saved));
                break;
            }
            if save == 0 && saved.elapsed() > Duration::from_secs(1) {
                saved = hall.save("middle.wasm")?;
            }
            anyhow::ensure!(saved.elapsed() < BOUND, "a save came to nothing");
        }
    }
    row(
        &format!(
            "from a save to the end of the first item by it, {} saves, p50",
            all.len()
        ),
        millis(share(&mut all, 50)),
        "300 ms",
    );
    row("the same, at most", millis(share(&mut all, 100)), "");
    Ok(())
}
