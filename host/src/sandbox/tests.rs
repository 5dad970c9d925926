//! Guests that behave and guests that do not, through the one way in: a runner's `visit`.

mod bench;
mod command;
mod files;
mod handler;
mod typed;
