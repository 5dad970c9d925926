//! Bad input of every kind, and the whole of what the command says of it.

mod components;
mod inputs;
mod lines;
mod operate;
mod served;
mod state;

use crate::ground::Ground;

/// A line of one station that adds a line to each text, with more settings for it.
fn one(settings: &str) -> String {
    format!(
        "line = \"l\"\nentry = \"s\"\n[stations.s]\nuse = \"@stamp\"\nworkers = 1\nnext = \"done\"\n{settings}\n"
    )
}

/// A ground with a line, and all that a command there says.
fn says(line: &str, arguments: &[&str]) -> String {
    let ground = Ground::new();
    ground.line(line).write("a.txt", "a\n");
    ground.andon(arguments).whole()
}
