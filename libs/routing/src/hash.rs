//! The one hash that routes are decided by.

use xxhash_rust::xxh64::xxh64;

/// Of a key that a request is routed by: the value of a header, the address of a client.
///
/// It is XXH64 with seed 0. Several processes must come to the same answer about the same key: every replica of a
/// gateway, the proxy behind it, and each of them before and after an upgrade. So it is a hash with a published
/// definition and implementations in every language, not the one of the standard library, which may change with the
/// compiler. It is fast on a few bytes and spreads keys that differ in one digit over all bits. It keeps out nobody who
/// chooses keys on purpose: [`LoadBound`](crate::LoadBound) does that where it matters.
///
/// **What it answers never changes**: another answer would move every user at once, and while two versions run, back and
/// forth. A test holds some values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Of `key`.
    pub fn of(key: &[u8]) -> Self {
        Self(xxh64(key, 0))
    }

    /// As a number, evenly spread over all of them.
    pub fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_xxh64_with_seed_0() {
        // What the reference implementation says (`xxhsum -H1`).
        for (key, expected) in [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0x44bc_2cf5_ad77_0999),
            ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
        ] {
            assert_eq!(KeyHash::of(key.as_bytes()).get(), expected, "{key:?}");
        }
    }
}
