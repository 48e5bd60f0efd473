//! How much more than its share an endpoint may carry.

use std::fmt;

/// An endpoint carries at most its fair share times this.
///
/// Kept in thousandths, so that two of them are equal where they are written alike; more digits are rounded away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBound(u32);

impl LoadBound {
    /// Below it nearly every key would move with every request.
    pub const LEAST: f64 = 1.05;
    /// Above it nobody is held to anything.
    pub const GREATEST: f64 = 10.0;

    /// `bound`, from [`LEAST`](Self::LEAST) to [`GREATEST`](Self::GREATEST).
    ///
    /// # Errors
    /// [`LoadBoundError`], which says what it may be.
    pub fn new(bound: f64) -> Result<Self, LoadBoundError> {
        if !(Self::LEAST..=Self::GREATEST).contains(&bound) {
            return Err(LoadBoundError(bound));
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1050 and 10000, as checked"
        )]
        Ok(Self((bound * 1000.0).round() as u32))
    }

    /// As a number.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// How much an endpoint may carry, with the request that is to be placed: of `usable` endpoints at which `total` is
    /// under way already. It is rounded up, so one of them always has room for it.
    pub fn most(self, total: usize, usable: usize) -> usize {
        let shared = (total as u128 + 1) * u128::from(self.0);
        let most = shared.div_ceil(1000 * usable.max(1) as u128);
        usize::try_from(most).unwrap_or(usize::MAX)
    }
}

impl Default for LoadBound {
    /// 1.25: a quarter more than the others is nothing that a user feels, and the first choice of nearly every key has room
    /// under it.
    fn default() -> Self {
        Self(1250)
    }
}

impl fmt::Display for LoadBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A number that bounds no load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadBoundError(f64);

impl fmt::Display for LoadBoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, greatest) = (LoadBound::LEAST, LoadBound::GREATEST);
        write!(f, "a load bound of {} is not from {least} to {greatest}; write for example 1.25", self.0)
    }
}

impl std::error::Error for LoadBoundError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_from_1_05_to_10_and_says_so() {
        for bound in [1.05, 1.25, 10.0] {
            assert_eq!(LoadBound::new(bound).unwrap().to_string(), bound.to_string());
        }
        for bound in [0.0, 1.0, 1.049, 10.001, -1.25, f64::NAN, f64::INFINITY] {
            let said = LoadBound::new(bound).unwrap_err().to_string();
            assert_eq!(
                said,
                format!("a load bound of {bound} is not from 1.05 to 10; write for example 1.25")
            );
        }
    }

    #[test]
    fn every_bound_is_read_as_it_was_written() {
        for thousandths in 1050..=10_000 {
            let bound = LoadBound(thousandths);
            assert_eq!(LoadBound::new(bound.get()), Ok(bound));
            assert_eq!(LoadBound::new(bound.to_string().parse().unwrap()), Ok(bound));
        }
    }

    #[test]
    fn shares_are_rounded_up() {
        let bound = LoadBound::default();
        for (total, usable, expected) in
            [(0, 1, 2), (0, 4, 1), (3, 4, 2), (4, 4, 2), (7, 4, 3), (79, 4, 25), (80, 4, 26), (9, 0, 13)]
        {
            assert_eq!(bound.most(total, usable), expected, "{total} at {usable}");
        }
        assert_eq!(LoadBound::new(10.0).unwrap().most(usize::MAX, 1), usize::MAX);
    }

    proptest! {
        #[test]
        fn there_is_always_room_for_one_more(thousandths in 1050_u32..=10_000, loads in prop::collection::vec(0_usize..1000, 1..300)) {
            let most = LoadBound(thousandths).most(loads.iter().sum(), loads.len());
            prop_assert!(loads.iter().any(|load| *load < most), "{} {:?}", most, loads);
        }
    }
}
