//! Stable hashes: the same at every peer, in every build.
//!
//! They name things that an operator configures, so nobody gains by a collision; a collision of
//! two limit names is found when the limits are built.

/// FNV-1a, 64 bits.
pub(crate) const fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// The 32-bit id that stands for a limit's name in keys.
#[inline]
pub(crate) const fn limit_id(name: &str) -> u32 {
    let hash = fnv(0, name.as_bytes());
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids are part of replicated keys: a build that computes others would read foreign cells.
    #[test]
    fn limit_ids_never_change() {
        assert_eq!(fnv(0, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(0, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(limit_id("api"), 0xe225_6e1e);
    }
}
