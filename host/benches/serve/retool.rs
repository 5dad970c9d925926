//! Items of a line while one of its stations is replaced, and while none is.

use super::{
    Sizes,
    hall::{Hall, input, runtime},
    millis, row, share,
};
use andon::{
    conveyor::Notice,
    lines::{Control, Lines, LinesSettings},
    name::Name,
    retool::{Aim, Retool, Retooled},
};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Between two inputs.
const PACE: Duration = Duration::from_millis(4);

/// When inputs were submitted, and how long those took that have ended.
#[derive(Default)]
struct Clocks {
    begun: HashMap<String, Instant>,
    took: Vec<Duration>,
}

struct Load {
    lines: Arc<Lines>,
    line: Name,
    clocks: Arc<Mutex<Clocks>>,
    next: usize,
}

impl Load {
    /// Submits for so long, one input after the other at a steady pace: how long each took from then until
    /// its end was durable.
    async fn run(&mut self, time: Duration) -> anyhow::Result<Vec<Duration>> {
        let mut tick = tokio::time::interval(PACE);
        let end = Instant::now() + time;
        let mut submitted = tokio::task::JoinSet::new();
        while Instant::now() < end {
            tick.tick().await;
            self.next += 1;
            let (lines, input) = (self.lines.clone(), input(&self.line, self.next));
            let mut clocks = self.clocks.lock().expect("nobody panicked");
            clocks.begun.insert(self.next.to_string(), Instant::now());
            drop(clocks);
            submitted.spawn(async move { lines.submit("bench", input).await });
        }
        while let Some(done) = submitted.join_next().await {
            done?.map_err(|fault| anyhow::anyhow!("{fault}"))?;
        }
        while !self
            .clocks
            .lock()
            .expect("nobody panicked")
            .begun
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut clocks = self.clocks.lock().expect("nobody panicked");
        Ok(mem::take(&mut clocks.took))
    }
}

async fn retool(lines: &Lines, line: &Name, revision: Option<u64>) -> anyhow::Result<Retooled> {
    let wanted = Retool {
        aim: Aim {
            revision,
            file: None,
        },
        ..Retool::default()
    };
    let retooled = lines.retool("bench", line, wanted).await;
    retooled.map_err(|fault| anyhow::anyhow!("{fault}"))
}

/// Saves another component each second and retools the line by it: how long each took, and what came of it.
async fn each_second(
    hall: &mut Hall,
    lines: &Lines,
    line: &Name,
    seconds: u64,
) -> anyhow::Result<Vec<(Duration, Retooled)>> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut all = Vec::new();
    for _ in 0..seconds {
        second.tick().await;
        hall.save("middle.wasm")?;
        let began = Instant::now();
        let done = retool(lines, line, None).await?;
        all.push((began.elapsed(), done));
    }
    Ok(all)
}

pub(super) fn under_load(sizes: &Sizes) -> anyhow::Result<()> {
    let mut hall = Hall::new()?;
    hall.save("middle.wasm")?;
    let file = hall.line("bench", "middle.wasm", 4_096)?;
    let runtime = runtime()?;
    let clocks: Arc<Mutex<Clocks>> = Arc::default();
    let inside = runtime.enter();
    let lines = Lines::open(LinesSettings {
        state: hall.state(),
        factory: None,
        exe: env!("CARGO_BIN_EXE_andon").into(),
        say: Arc::new(|text| eprintln!("  {text}")),
        worker: None,
        patient: true,
        told: Some(Arc::new({
            let clocks = clocks.clone();
            move |told| {
                if let Notice::Ended { item } = &told.notice {
                    let mut clocks = clocks.lock().expect("nobody panicked");
                    let begun = clocks.begun.remove(&item.source);
                    clocks.took.extend(begun.map(|begun| begun.elapsed()));
                }
            }
        })),
    })?;
    lines.start(&file)?;
    drop(inside);
    let line: Name = "bench".parse()?;
    let mut load = Load {
        lines: lines.clone(),
        line: line.clone(),
        clocks,
        next: 0,
    };
    let time = Duration::from_secs(sizes.seconds);
    let (mut pauses, mut whole) = (Vec::new(), Vec::new());
    let (mut ratios, mut quiet, mut retooled) = (Vec::new(), Vec::new(), Vec::new());
    runtime.block_on(load.run(Duration::from_secs(1)))?;
    for _ in 0..sizes.rounds {
        let mut without = runtime.block_on(load.run(time))?;
        let (with, done) = runtime.block_on(async {
            let retooling = each_second(&mut hall, &lines, &line, sizes.seconds);
            tokio::join!(load.run(time), retooling)
        });
        let mut with = with?;
        for (took, done) in done? {
            whole.push(took);
            pauses.push(Duration::from_micros(done.pause_us));
        }
        let (without99, with99) = (share(&mut without, 99), share(&mut with, 99));
        ratios.push(with99.as_secs_f64() / without99.as_secs_f64());
        quiet.push(without99);
        retooled.push(with99);
        println!(
            "    {} items: p50 {}, p99 {}; retooled every second, {} items: p50 {}, p99 {}",
            without.len(),
            millis(share(&mut without, 50)),
            millis(without99),
            with.len(),
            millis(share(&mut with, 50)),
            millis(with99),
        );
    }
    ratios.sort_by(f64::total_cmp);
    row(
        "items of three stations, p99, median of the rounds",
        millis(share(&mut quiet, 50)),
        "",
    );
    row(
        "the same while the second is another every second",
        millis(share(&mut retooled, 50)),
        "",
    );
    row(
        "the one against the other, median of the rounds",
        format!("{:.2}x", ratios[ratios.len() / 2]),
        "1.3x",
    );
    row(
        "a retool to a component that nobody has seen, p50",
        millis(share(&mut whole, 50)),
        "",
    );
    // To and fro between two revisions, so that there are enough of them.
    let current = runtime.block_on(async {
        let status = lines.status(Some(&line)).await;
        status.map_err(|fault| anyhow::anyhow!("{fault}"))
    })?;
    let current = current.lines[0].revision;
    runtime.block_on(async {
        let mut running = Box::pin(load.run(Duration::from_secs(3600)));
        let (lines, line) = (lines.clone(), line.clone());
        let retools = sizes.retools;
        let retooling = tokio::spawn(async move {
            let mut pauses = Vec::new();
            for n in 0..retools {
                let to = current - u64::from(n % 2 == 0);
                let done = retool(&lines, &line, Some(to)).await?;
                pauses.push(Duration::from_micros(done.pause_us));
            }
            anyhow::Ok(pauses)
        });
        tokio::select! {
            took = &mut running => { took?; }
            done = retooling => pauses.extend(done??),
        }
        anyhow::Ok(())
    })?;
    row(
        &format!("the pause of {} retools, p50", pauses.len()),
        millis(share(&mut pauses, 50)),
        "",
    );
    row("the same, p99", millis(share(&mut pauses, 99)), "1 ms");
    row("the same, at most", millis(share(&mut pauses, 100)), "");
    runtime.block_on(lines.drain(Duration::from_secs(5)));
    Ok(())
}
