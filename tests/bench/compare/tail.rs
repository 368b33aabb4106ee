//! The times that a service with a heavy tail takes for each file, and the minimum total time. Pure: the file's name
//! determines its time, so that the service and the benchmark agree without communication.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// The minimum time of a call, and the shape of a Pareto distribution, whose mean is three times the minimum.
const LEAST: Duration = Duration::from_millis(5);
const ALPHA: f64 = 1.5;
/// One file in this many is slower, by the factor below.
const RARE: u64 = 100;
const SLOWER: f64 = 100.0;
/// The maximum time of a call. Without it, the longest call would decide everything.
pub(crate) const CUT: Duration = Duration::from_secs(5);

/// Returns well mixed bits of a name (FNV-1a, and the finish of SplitMix64).
fn mixed(name: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let mut bits = name.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Returns the time that the service takes for the file of this name.
pub(crate) fn latency(name: &[u8]) -> Duration {
    let bits = mixed(name);
    // In (0, 1], of the upper 40 bits; the lower ones say whether it is a rare one.
    let chance = ((bits >> 24) + 1) as f64 / (1_u64 << 40) as f64;
    let rare = (bits & 0xff_ffff).is_multiple_of(RARE);
    let factor = chance.powf(-1.0 / ALPHA) * if rare { SLOWER } else { 1.0 };
    LEAST.mul_f64(factor).min(CUT)
}

/// The minimum time of a set of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// In any order: at least the work divided by the threads, and at least the longest call.
    pub(crate) lower: Duration,
    /// In the order of strides, by threads that do not know the calls' times and are never idle: a long call may be the
    /// last to start.
    pub(crate) strided: Duration,
}

/// Returns the minimum time of calls of these latencies with this many threads.
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
        // A thread at the end of its chunk helps the chunk with the most jobs left.
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
