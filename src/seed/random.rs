//! Numbers that look random and are the same at each run with the same seed.

/// splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// One of these.
    pub fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all.get(self.below(all.len())).copied().unwrap_or_default()
    }

    /// Brings `count` elements that are chosen anew to the end of `all`, and answers where they begin.
    pub fn draw<T>(&mut self, all: &mut [T], count: usize) -> usize {
        let begin = all.len().saturating_sub(count);
        for place in (begin..all.len()).rev() {
            let chosen = self.below(place + 1);
            all.swap(chosen, place);
        }
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        assert_eq!([random.bits(), random.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn what_is_drawn_is_distinct_and_stays_in_the_set() {
        let mut random = Random::new(1);
        let mut all: Vec<_> = (0..100).collect();
        for count in [0, 1, 50, 100, 200] {
            let begin = random.draw(&mut all, count);
            assert_eq!(all.len() - begin, count.min(100));
            let mut sorted = all.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        }
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }
}
