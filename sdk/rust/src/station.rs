//! The trait of a station and the macro that makes a component export it.

use crate::{Inputs, Outputs, Result, Visit};

/// One kind of work, done to one item at a time.
pub trait Station {
    /// Does the work of one visit.
    ///
    /// `inputs` is one payload, or all that a join collected, in the order of the split. No output
    /// finishes the item, one carries it on, several split it into children. An `Err` says why the
    /// item does not go on; see [`Stop`](crate::Stop).
    fn run(visit: &Visit, inputs: Inputs) -> Result<Outputs>;
}

/// Exports a type that implements [`Station`] as the station of this component.
///
/// Once in a crate of the type `cdylib`. On the build machine it only checks the type.
#[macro_export]
macro_rules! export {
    ($station:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::Exported<$station>;
    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::Visit, $crate::Inputs) -> $crate::Result<$crate::Outputs> =
            <$station as $crate::Station>::run;
    };
}
