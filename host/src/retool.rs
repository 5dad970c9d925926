//! Replacing a running line's revision by another: what would change, whether it may, and doing it.
//!
//! Everything that takes its time (building, compiling, checking, making stations ready) is done before
//! the line hears of it; the change itself is one step of its conveyor. What is decided about a plan is
//! pure ([`Plan`], `ramp`, `drain`); which revision an attempt runs on is the conveyor's to say.

mod apply;
mod drain;
mod draw;
mod lowered;
mod plan;
mod ramp;
mod render;
mod request;
mod shadow;
mod tend;

pub use apply::Retools;
pub use plan::{
    Difference, GrantPlan, Plan, Refusal, StationChange, StationPlan, Unfinished, WaitingPlan,
};
pub use ramp::Tally;
pub use request::{Aim, History, PlanFor, Promote, Retool, Retooled};
pub use shadow::{ACCEPT as ACCEPT_SHADOW, ShadowDifference, ShadowPlan, ShadowVisit};
pub(crate) use tend::tend;

#[cfg(test)]
mod tests;
