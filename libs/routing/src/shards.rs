//! Which group a user belongs to.

use std::fmt;

use crate::KeyHash;

/// Deals users out to groups, which are known by their place in the list: by ranges of their number, or in turn.
///
/// An id of nothing but digits counts as the number it spells, however many digits it has; `007` is 7. Any other id is
/// hashed ([`KeyHash`]) and takes the place that the hash has in the table modulo its size, so it never lies outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardTable(Table);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Table {
    Ranges {
        ranges: Box<[Range]>,
        /// How many users all ranges hold together. All numbers there are would be one more than a `u64` holds.
        size: u128,
    },
    Modulo {
        groups: u64,
    },
}

/// Numbers from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: u64,
    to: u64,
    /// How many users the ranges before it hold.
    before: u128,
}

impl Range {
    fn size(self) -> u128 {
        u128::from(self.to) - u128::from(self.from) + 1
    }
}

/// Ranges that make no table. Groups are named by their place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardError {
    /// There is no group.
    Empty,
    /// A range ends before it begins.
    Backwards {
        /// Whose.
        group: usize,
    },
    /// A range begins before the one in front of it in the list.
    Unsorted {
        /// Whose.
        group: usize,
    },
    /// A range begins before the one in front of it has ended.
    Overlap {
        /// Whose.
        group: usize,
    },
}

impl ShardError {
    /// The group to blame, where it is one.
    pub fn group(self) -> Option<usize> {
        match self {
            Self::Empty => None,
            Self::Backwards { group } | Self::Unsorted { group } | Self::Overlap { group } => Some(group),
        }
    }
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "at least one group is needed",
            Self::Backwards { .. } => "from must not be greater than to",
            Self::Unsorted { .. } => "begins before the group in front of it: sort the groups by from",
            Self::Overlap { .. } => {
                "overlaps the group in front of it: each user belongs to one group (from and to are both inclusive)"
            }
        })
    }
}

impl std::error::Error for ShardError {}

impl ShardTable {
    /// A group for each of `ranges`, whose `from` and `to` both belong to it, in their order.
    ///
    /// # Errors
    /// [`ShardError`], about the first range that does not fit.
    pub fn ranges(ranges: impl IntoIterator<Item = (u64, u64)>) -> Result<Self, ShardError> {
        let mut table: Vec<Range> = Vec::new();
        let mut size = 0;
        for (group, (from, to)) in ranges.into_iter().enumerate() {
            if from > to {
                return Err(ShardError::Backwards { group });
            }
            if let Some(last) = table.last().filter(|last| from <= last.to) {
                let sorted = from >= last.from;
                return Err(if sorted {
                    ShardError::Overlap { group }
                } else {
                    ShardError::Unsorted { group }
                });
            }
            let range = Range { from, to, before: size };
            size += range.size();
            table.push(range);
        }
        if table.is_empty() {
            return Err(ShardError::Empty);
        }
        Ok(Self(Table::Ranges { ranges: table.into(), size }))
    }

    /// So many groups, in turn.
    ///
    /// # Errors
    /// [`ShardError::Empty`].
    pub fn modulo(groups: usize) -> Result<Self, ShardError> {
        // No list is longer.
        let groups = u64::try_from(groups).unwrap_or(u64::MAX);
        if groups == 0 { Err(ShardError::Empty) } else { Ok(Self(Table::Modulo { groups })) }
    }

    /// The groups in front of which the ranges leave users out, with the first and the last of those users.
    pub fn gaps(&self) -> impl Iterator<Item = (usize, u64, u64)> {
        let ranges = match &self.0 {
            Table::Ranges { ranges, .. } => &ranges[..],
            Table::Modulo { .. } => &[],
        };
        ranges.windows(2).enumerate().filter_map(|(first, pair)| {
            let [before, after] = pair else { return None };
            // There is a number above the end of a range with another behind it, and one below a beginning.
            let gap = after.from - before.to > 1;
            gap.then(|| (first + 1, before.to + 1, after.from - 1))
        })
    }

    /// The group of `user`; none where its number lies outside of the ranges. An empty id belongs to nobody.
    pub fn group_of(&self, user: &[u8]) -> Option<usize> {
        if user.is_empty() {
            return None;
        }
        let number = Number::of(user);
        match &self.0 {
            Table::Ranges { ranges, size } => match number {
                Some(Number::Some(number)) => holding(ranges, number),
                Some(Number::Beyond) => None,
                None => at(ranges, u128::from(KeyHash::of(user).get()) % size),
            },
            Table::Modulo { groups } => {
                let group = match number {
                    Some(_) => remainder(user, *groups),
                    None => KeyHash::of(user).get() % groups,
                };
                // Below a number that was an index.
                usize::try_from(group).ok()
            }
        }
    }
}

/// What an id of digits spells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Some(u64),
    /// More than any range can say.
    Beyond,
}

impl Number {
    fn of(user: &[u8]) -> Option<Self> {
        if !user.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = user
            .iter()
            .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
        Some(number.map_or(Self::Beyond, Self::Some))
    }
}

/// The remainder of the number that `digits` spell, of any length.
fn remainder(digits: &[u8], divisor: u64) -> u64 {
    let divisor = u128::from(divisor);
    let rest = digits.iter().fold(0_u128, |rest, digit| (rest * 10 + u128::from(digit - b'0')) % divisor);
    // Less than a divisor that was a `u64`.
    u64::try_from(rest).unwrap_or_default()
}

/// The range that holds `number`.
fn holding(ranges: &[Range], number: u64) -> Option<usize> {
    let after = ranges.partition_point(|range| range.from <= number);
    let group = after.checked_sub(1)?;
    ranges.get(group).filter(|range| number <= range.to).map(|_| group)
}

/// The range that holds the user at `place`, counted over all ranges from 0.
fn at(ranges: &[Range], place: u128) -> Option<usize> {
    ranges.partition_point(|range| range.before <= place).checked_sub(1)
}

#[cfg(test)]
mod tests;
