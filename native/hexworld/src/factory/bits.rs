//! A set of small numbers, one bit each.

#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number; false if it is there already.
    #[inline]
    pub fn add(&mut self, n: u32) -> bool {
        let (word, bit) = (n as usize / 64, 1 << (n % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let added = self.0[word] & bit == 0;
        self.0[word] |= bit;
        added
    }

    #[inline]
    pub fn remove(&mut self, n: u32) {
        if let Some(word) = self.0.get_mut(n as usize / 64) {
            *word &= !(1 << (n % 64));
        }
    }

    #[inline]
    pub fn has(&self, n: u32) -> bool {
        self.0.get(n as usize / 64).is_some_and(|word| word & 1 << (n % 64) != 0)
    }

    /// Appends the numbers, ascending.
    pub fn list(&self, to: &mut Vec<u32>) {
        for (n, &word) in self.0.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                to.push(64 * n as u32 + left.trailing_zeros());
                left &= left - 1;
            }
        }
    }

    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn numbers_come_and_go() {
        let mut bits = Bits::default();
        assert!(bits.add(200) && bits.add(63) && bits.add(64) && !bits.add(64));
        bits.remove(63);
        bits.remove(5_000);
        assert!(bits.has(64) && !bits.has(63) && !bits.has(5_000));
        let mut list = vec![1];
        bits.list(&mut list);
        assert_eq!(list, [1, 64, 200]);
        bits.clear();
        assert!(!bits.has(200));
    }
}
