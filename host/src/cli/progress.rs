//! How a run comes along: a bar for each station on a terminal, a line now and then elsewhere.
//! Always on standard error, so that results can be piped.

use super::print;
use crate::conveyor::{Board, Counts};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Shows a board until [`Progress::end`].
pub(super) struct Progress {
    over: Arc<AtomicBool>,
    shown: Mutex<Option<JoinHandle<()>>>,
    bars: Option<MultiProgress>,
}

/// How often a terminal is drawn anew.
const FRAME: Duration = Duration::from_millis(100);
/// How many frames pass between two lines elsewhere.
const FRAMES_A_LINE: u32 = 50;

impl Progress {
    /// Begins to show; nothing at all when `quiet`.
    pub(super) fn show(board: Arc<Board>, quiet: bool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        if quiet {
            return Self {
                over,
                shown: Mutex::new(None),
                bars: None,
            };
        }
        let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
        let shown = std::thread::spawn({
            let (over, bars) = (over.clone(), bars.clone());
            move || match bars {
                Some(bars) => draw(&bars, &board, &over),
                None => tell(&board, &over),
            }
        });
        Self {
            over,
            shown: Mutex::new(Some(shown)),
            bars,
        }
    }

    /// Prints a line above the bars.
    pub(super) fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| print::note(line)),
            None => print::note(line),
        }
    }

    /// Does something with standard output while no bar is in the way.
    pub(super) fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bars {
            // Results that go into a pipe or a file are in nobody's way.
            Some(bars) if std::io::stdout().is_terminal() => bars.suspend(act),
            _ => act(),
        }
    }

    /// Takes the bars away, for good: whoever still holds this may say something, but shows nothing.
    pub(super) fn end(&self) {
        self.over.store(true, Relaxed);
        let shown = self
            .shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(shown) = shown {
            shown.thread().unpark();
            let _ = shown.join();
        }
    }
}

fn draw(bars: &MultiProgress, board: &Board, over: &AtomicBool) {
    let width = board
        .counts()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let style = ProgressStyle::with_template("{prefix} {spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let lines: Vec<ProgressBar> = board
        .counts()
        .map(|(name, _)| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style.clone()));
            bar.set_prefix(format!("{name:>width$}"));
            bar
        })
        .collect();
    while !over.load(Relaxed) {
        for (bar, (_, counts)) in lines.iter().zip(board.counts()) {
            bar.set_message(words(counts));
            if counts.working > 0 {
                bar.tick();
            }
        }
        std::thread::park_timeout(FRAME);
    }
    for bar in lines {
        bar.finish_and_clear();
    }
}

fn tell(board: &Board, over: &AtomicBool) {
    let mut frame = 0;
    while !over.load(Relaxed) {
        frame += 1;
        if frame % FRAMES_A_LINE == 0 {
            let stations: Vec<String> = board
                .counts()
                .map(|(name, counts)| format!("{name}: {}", words(counts)))
                .collect();
            print::note(&stations.join("; "));
        }
        std::thread::park_timeout(FRAME);
    }
}

fn words(counts: Counts) -> String {
    let Counts {
        waiting,
        working,
        passed,
        failed,
        ..
    } = counts;
    let mut words = format!("{passed} passed, {working} working, {waiting} waiting");
    if failed > 0 {
        words.push_str(&format!(", {failed} failed"));
    }
    words
}
