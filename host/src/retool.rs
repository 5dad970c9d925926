//! Replacing a running line's revision by another: what would change, whether it may, and doing it.

mod plan;
mod ramp;
mod render;

pub use plan::{
    Difference, GrantPlan, Plan, Refusal, StationChange, StationPlan, WaitingPlan,
};
pub use ramp::{Guard, Tally};

#[cfg(test)]
mod tests;
