//! How long a service with a heavy tail works on each file, and the least time in which that can be done. Pure: a
//! file's name says it all, so that the service and the benchmark agree without a word.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// The least that a call takes, and the shape of the rest: a Pareto distribution, whose mean is three times this.
const LEAST: Duration = Duration::from_millis(5);
const ALPHA: f64 = 1.5;
/// One file of so many is slower by this.
const RARE: u64 = 100;
const SLOWER: f64 = 100.0;
/// No call takes longer: with no bound the longest would decide everything.
pub(crate) const CUT: Duration = Duration::from_secs(5);

/// Well mixed bits of a name (FNV-1a, and the finish of SplitMix64).
fn mixed(name: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let mut bits = name.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// How long the service works on the file of this name.
pub(crate) fn latency(name: &[u8]) -> Duration {
    let bits = mixed(name);
    // In (0, 1], of the upper 40 bits; the lower ones say whether it is a rare one.
    let chance = ((bits >> 24) + 1) as f64 / (1_u64 << 40) as f64;
    let rare = (bits & 0xff_ffff).is_multiple_of(RARE);
    let factor = chance.powf(-1.0 / ALPHA) * if rare { SLOWER } else { 1.0 };
    LEAST.mul_f64(factor).min(CUT)
}

/// The least time that calls can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// In whatever order: neither the work divided by the threads nor the longest call can be gone below.
    pub(crate) lower: Duration,
    /// In the order of strides, by threads of which none knows how long a call will take, and none is ever idle: a long
    /// call may be the last to start.
    pub(crate) strided: Duration,
}

/// The least time that calls of these latencies can take with so many threads.
pub(crate) fn bound(latencies: &[Duration], threads: usize) -> Bound {
    let threads = threads.max(1);
    let total: Duration = latencies.iter().sum();
    let longest = latencies.iter().max().copied().unwrap_or_default();
    let lower = total.div_f64(threads as f64).max(longest);
    let mut chunks: Vec<VecDeque<Duration>> = (0..threads)
        .map(|chunk| {
            latencies
                .iter()
                .skip(chunk)
                .step_by(threads)
                .copied()
                .collect()
        })
        .collect();
    let mut free: BinaryHeap<_> = (0..threads)
        .map(|thread| Reverse((Duration::ZERO, thread)))
        .collect();
    let mut strided = lower;
    while let Some(Reverse((begin, thread))) = free.pop() {
        // A thread whose chunk is at its end helps the one that has most left.
        let own = chunks[thread].pop_front();
        let fullest = || {
            chunks
                .iter_mut()
                .max_by_key(|chunk| chunk.len())?
                .pop_front()
        };
        if let Some(latency) = own.or_else(fullest) {
            strided = strided.max(begin + latency);
            free.push(Reverse((begin + latency, thread)));
        }
    }
    Bound { lower, strided }
}
