//! Whether a ramp goes on: the new revision's jams against the old one's. Pure.

use crate::journal::Guard;

/// What a revision's visits came to since the ramp began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Visits that ended, each once however many attempts it took.
    pub visits: u64,
    /// Those of them that jammed their item.
    pub jams: u64,
}

impl Tally {
    /// Of a thousand visits, how many jammed their item.
    fn rate(self) -> u64 {
        match self.visits {
            0 => 0,
            // Nothing says that counts were read at one moment.
            visits => (u128::from(self.jams.min(visits)) * 1000 / u128::from(visits)) as u64,
        }
    }

    /// What came since an earlier moment.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            visits: self.visits.saturating_sub(earlier.visits),
            jams: self.jams.saturating_sub(earlier.jams),
        }
    }
}

impl Guard {
    /// Why the ramp has to be rolled back; none where it goes on.
    pub fn judge(self, old: Tally, new: Tally) -> Option<String> {
        if new.visits < self.least.max(1) {
            return None;
        }
        let (was, is) = (old.rate(), new.rate());
        let over = is > was + u64::from(self.margin) * 10;
        over.then(|| {
            let percent = |rate: u64| format!("{}.{} %", rate / 10, rate % 10);
            format!(
                "{} of {} visits jammed ({}) against {} of {} ({}); the margin is {} points",
                new.jams,
                new.visits,
                percent(is),
                old.jams,
                old.visits,
                percent(was),
                self.margin
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_judged_by_its_jams() {
        let tally = |jams, visits| Tally { visits, jams };
        let cases = [
            // (old, new, margin, least) and whether it is rolled back
            (tally(0, 100), tally(0, 100), 10, 20, false),
            (tally(0, 100), tally(19, 19), 10, 20, false),
            (tally(0, 100), tally(20, 20), 10, 20, true),
            (tally(0, 100), tally(10, 100), 10, 20, false),
            (tally(0, 100), tally(11, 100), 10, 20, true),
            (tally(50, 100), tally(55, 100), 10, 20, false),
            (tally(50, 100), tally(61, 100), 10, 20, true),
            (tally(90, 100), tally(100, 100), 10, 1, false),
            (tally(0, 0), tally(1, 1), 10, 0, true),
            (tally(0, 0), tally(0, 0), 1, 0, false),
            (tally(0, 100), tally(100, 100), 100, 20, false),
            (tally(u64::MAX, u64::MAX), tally(u64::MAX, 1), 10, 1, false),
        ];
        for (old, new, margin, least, back) in cases {
            let told = Guard { margin, least }.judge(old, new);
            assert_eq!(told.is_some(), back, "{old:?} {new:?}: {told:?}");
        }
        let told = Guard::default().judge(tally(1, 40), tally(8, 20));
        insta::assert_snapshot!(told.unwrap_or_default(), @"8 of 20 visits jammed (40.0 %) against 1 of 40 (2.5 %); the margin is 10 points");
        assert_eq!(tally(3, 10).since(tally(1, 4)), tally(2, 6));
    }
}
