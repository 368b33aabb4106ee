//! Sets of job ids.

/// A set of job ids, one bit each. Ten million need two mebibytes.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds an id and returns true if it is new.
    pub(super) fn insert(&mut self, id: i64) -> bool {
        let (word, bit) = Self::place(id);
        if word >= self.0.len() {
            self.0.resize((word + 1).next_power_of_two(), 0);
        }
        let word = &mut self.0[word];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        let (word, bit) = Self::place(id);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(id: i64) -> (usize, u64) {
        let id = id.unsigned_abs();
        ((id / 64) as usize, 1 << (id % 64))
    }
}
