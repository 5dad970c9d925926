//! How many descendants an item may still have. The limit is one of the whole tree, and no item sees
//! more than itself: so each carries its share of what is left, a split divides it, and a child's end
//! gives back what the child did not use.

use super::Jam;
use crate::limits::Limit;
use serde::{Deserialize, Serialize};

/// How many descendants an item may still have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its own children, and what it may leave to them.
    pub left: u64,
    /// The limit that this is left of: that of the station that allows least.
    pub of: u64,
}

/// What a split makes of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// What the item keeps, for splits after its join.
    pub own: Budget,
    /// What each of the children gets.
    pub each: Budget,
}

impl Budget {
    /// Divides what an item carries (nothing, where no ancestor of it was split, nor itself) among
    /// itself and the `children` that a station makes of it whose limit is `most`.
    ///
    /// # Errors
    /// When it is not enough for the children themselves.
    pub(super) fn split(carried: Option<Self>, most: u64, children: u64) -> Result<Shares, Jam> {
        let all = Self {
            left: most,
            of: most,
        };
        let now = match carried {
            Some(carried) if carried.left <= most => carried,
            _ => all,
        };
        let Some(rest) = now.left.checked_sub(children) else {
            return Err(Jam::Overrun {
                limit: Limit::Children,
                value: match carried {
                    Some(Self { left, of }) if left < of => {
                        format!("{of}, of which {left} are left to this item")
                    }
                    _ => now.of.to_string(),
                },
            });
        };
        let each = rest / children.saturating_add(1);
        let share = |left| Self { left, of: now.of };
        Ok(Shares {
            own: share(rest - each * children),
            each: share(each),
        })
    }

    /// Takes back what a child has not used.
    pub(super) fn give_back(&mut self, unused: u64) {
        self.left = self.left.saturating_add(unused).min(self.of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_split_gives_no_more_than_there_is(
            left in 0..1000u64, more in 0..1000u64, most in 0..1000u64, n in 0..100u64, carries: bool
        ) {
            let carried = carries.then_some(Budget { left, of: left + more });
            let allowed = if carries { left.min(most) } else { most };
            match Budget::split(carried, most, n) {
                Ok(Shares { own, each }) => {
                    prop_assert_eq!(own.left + n * (1 + each.left), allowed);
                    prop_assert!(own.left <= own.of && own.of == each.of);
                }
                Err(_) => prop_assert!(n > allowed),
            }
        }
    }

    #[test]
    fn the_reason_says_what_is_left() {
        let of = |left, of| Some(Budget { left, of });
        for (carried, most, says) in [
            (None, 3, "3"),
            (of(3, 3), 10, "3"),
            (of(2, 9), 10, "9, of which 2 are left to this item"),
            (of(9, 9), 3, "3"),
        ] {
            let jam = Budget::split(carried, most, 4).unwrap_err().to_string();
            assert_eq!(jam, format!("over the limit `children` of {says}"));
        }
    }
}
