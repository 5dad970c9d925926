//! The tests of andon as a whole: real stations on real lines, through the command.

mod bad_input;
mod complete;
mod crash;
mod documents;
mod egress;
mod faces;
mod files;
mod floors;
mod ground;
mod holds;
mod hostile;
mod kinds;
mod lines;
mod litellm;
mod lock;
mod misleading;
mod name_server;
mod review;
mod rights;
mod run;
mod runners;
mod secrets;
mod sockets;
mod stations;
