//! Percentiles in little memory: how many values there are about so large.

/// Counts values in buckets whose width grows with what they hold, so that a percentile is off by less than 2 %.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    /// As many as the largest value so far needs.
    counts: Vec<u32>,
    count: u64,
    least: u64,
    most: u64,
}

/// Below this, each value has a bucket to itself.
const EXACT: u64 = 64;
/// From there on, each doubling has so many.
const PARTS: u64 = 32;
/// Values are no larger than this, which is more than thirty years in milliseconds.
const LARGEST: u64 = 1 << 40;

impl Histogram {
    /// Counts a value.
    pub(super) fn add(&mut self, value: u64) {
        let value = value.min(LARGEST);
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.least = if self.count == 0 {
            value
        } else {
            self.least.min(value)
        };
        self.most = self.most.max(value);
        self.count += 1;
    }

    /// How many values there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The largest one, exactly.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// The value that the share `q` of all values does not exceed: the nearest rank. Nothing of no values.
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let counts = self.counts.iter().enumerate();
        for (bucket, count) in counts {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(middle(bucket).clamp(self.least, self.most));
            }
        }
        None
    }
}

fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let doubling = u64::from(value.ilog2() - EXACT.ilog2());
    let part = (value >> (doubling + 1)) - PARTS;
    (EXACT + doubling * PARTS + part) as usize
}

/// The middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let (doubling, part) = ((bucket - EXACT) / PARTS, (bucket - EXACT) % PARTS);
    let width = 1 << (doubling + 1);
    (PARTS + part) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_their_middle_is_near() {
        let mut last = 0;
        let mut value = 0;
        while value < LARGEST {
            let bucket = bucket(value);
            assert!(bucket == last || bucket == last + 1, "{value}");
            last = bucket;
            let off = middle(bucket).abs_diff(value) as f64;
            assert!(off <= 0.02 * value as f64, "{value}: {}", middle(bucket));
            value += 1 + value / 97;
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        // Squares, in an order that is not theirs.
        let values: Vec<u64> = (0..1000)
            .map(|i| (i * 619 % 1000) * (i * 619 % 1000))
            .collect();
        values.iter().for_each(|value| histogram.add(*value));
        let mut sorted = values;
        sorted.sort_unstable();
        for (q, rank) in [
            (0.5, 500),
            (0.9, 900),
            (0.95, 950),
            (0.99, 990),
            (1.0, 1000),
        ] {
            let (exact, found) = (sorted[rank - 1], histogram.quantile(q).unwrap());
            assert!(
                found.abs_diff(exact) as f64 <= 0.02 * exact as f64,
                "{q}: {found} for {exact}"
            );
        }
        assert_eq!((histogram.count(), histogram.most()), (1000, 999 * 999));
    }

    #[test]
    fn few_values_are_told_exactly() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let mut histogram = Histogram::default();
        histogram.add(12_345);
        assert_eq!(histogram.quantile(0.5), Some(12_345));
        histogram.add(u64::MAX);
        assert!(histogram.quantile(0.5).unwrap().abs_diff(12_345) <= 246);
        assert_eq!(histogram.most(), LARGEST);
    }
}
