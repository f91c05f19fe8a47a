//! Keys that cost nothing to make: computed from a number, so that no table of keys is read whose
//! cache misses would be measured too.

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// The key with this number; different numbers have different keys.
#[inline]
pub fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (first, second) = key.split_at_mut(KEY_BYTES / 2);
    first.copy_from_slice(&mix(number).to_le_bytes());
    second.copy_from_slice(&mix(!number).to_le_bytes());
    key
}

/// Numbers below a bound, each as likely.
#[derive(Clone, Debug)]
pub struct Numbers {
    state: u64,
    count: u64,
}

impl Numbers {
    /// Numbers below `count`; another `seed`, another order.
    pub fn below(count: u64, seed: u64) -> Self {
        Self { state: mix(seed), count }
    }

    /// The next key.
    #[inline]
    pub fn next_key(&mut self) -> [u8; KEY_BYTES] {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let random = u128::from(mix(self.state));
        key(((random * u128::from(self.count)) >> 64) as u64)
    }
}

/// The finishing steps of splitmix64, a permutation.
#[inline]
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_different_and_within_the_count() {
        let all: std::collections::HashSet<_> = (0..100).map(key).collect();
        assert_eq!(all.len(), 100);
        let mut numbers = Numbers::below(100, 1);
        assert!((0..1_000).all(|_| all.contains(&numbers.next_key())));
    }
}
