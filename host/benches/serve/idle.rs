//! A daemon of many lines that have nothing to do.

use super::{
    Sizes,
    hall::{Hall, runtime},
    mib, millis, row,
};
use std::time::{Duration, Instant};

/// How long processor time is counted.
const COUNTED: Duration = Duration::from_secs(15);

pub(super) fn lines(sizes: &Sizes) -> anyhow::Result<()> {
    let hall = Hall::new()?;
    let runtime = runtime()?;
    let files = (0..sizes.lines)
        .map(|n| {
            Ok(hall
                .line(&format!("line-{n}"), "plain.wasm", 64)?
                .display()
                .to_string())
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let what = format!("{} idle lines of three stations: ", sizes.lines);
    let (daemon, _, took) = hall.serve(&runtime, &files)?;
    row(&format!("{what}first start"), millis(took), "");
    hall.run(&["drain"])?;
    drop(daemon);
    let (daemon, _, took) = hall.serve(&runtime, &[])?;
    row(&format!("{what}start"), millis(took), "");
    std::thread::sleep(Duration::from_secs(3));
    let (ticks, began) = (daemon.ticks()?, Instant::now());
    std::thread::sleep(COUNTED);
    let spent = (daemon.ticks()? - ticks) as f64 / 100.0;
    let (all, own) = daemon.memory()?;
    row(&format!("{what}memory"), mib(all), "500 MiB");
    row(&format!("{what}what of it is its own"), mib(own), "");
    row(
        &format!("{what}processor"),
        format!("{:.2} %", 100.0 * spent / began.elapsed().as_secs_f64()),
        "2 %",
    );
    Ok(())
}
