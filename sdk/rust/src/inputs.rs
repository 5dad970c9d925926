//! What a visit is given: one payload, or all that a join collected.

use crate::{Payload, Result, Stop};

/// What a visit is given, in the order of the split if it is a join.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs(Vec<Payload>);

impl Inputs {
    /// The only input; rejects the item if a join gave another number.
    pub fn one(self) -> Result<Payload> {
        let count = self.0.len();
        let mut inputs = self.0.into_iter();
        match (inputs.next(), count) {
            (Some(input), 1) => Ok(input),
            _ => Err(Stop::reject(format!(
                "this station takes one input, not {count}; it cannot be a join"
            ))),
        }
    }
}

impl std::ops::Deref for Inputs {
    type Target = [Payload];

    fn deref(&self) -> &[Payload] {
        &self.0
    }
}

impl From<Payload> for Inputs {
    fn from(payload: Payload) -> Self {
        Self(vec![payload])
    }
}

impl From<Vec<Payload>> for Inputs {
    fn from(payloads: Vec<Payload>) -> Self {
        Self(payloads)
    }
}

impl FromIterator<Payload> for Inputs {
    fn from_iter<I: IntoIterator<Item = Payload>>(payloads: I) -> Self {
        Self(payloads.into_iter().collect())
    }
}

impl IntoIterator for Inputs {
    type Item = Payload;
    type IntoIter = std::vec::IntoIter<Payload>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_exactly_one() {
        let input = Payload::text_of("a");
        assert_eq!(Inputs::from(input.clone()).one(), Ok(input.clone()));
        for inputs in [vec![], vec![input.clone(), input]] {
            assert!(matches!(Inputs::from(inputs).one(), Err(Stop::Reject(_))));
        }
    }
}
