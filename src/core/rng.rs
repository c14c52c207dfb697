//! A small generator for ids and jitter. Seeded by the driver, so that a simulation repeats.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, every seed is good.
#[derive(Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A lease id: positive, so that no dialect has to carry a sign, and never 0, which would let the server choose.
    pub(super) fn lease_id(&mut self) -> i64 {
        i64::try_from(self.next() >> 1).expect("63 bits fit").max(1)
    }

    /// Between half of `span` and all of it.
    pub(super) fn jitter(&mut self, span: Duration) -> Duration {
        let half = span / 2;
        let part = u32::try_from(self.next() >> 32).expect("32 bits fit");
        half + half.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}
