//! The tests of andon as a whole: real stations on real lines, through the command.

mod bad_input;
mod complete;
mod crash;
mod documents;
mod faces;
mod floors;
mod ground;
mod kinds;
mod litellm;
mod misfits;
mod review;
mod run;
mod runners;
