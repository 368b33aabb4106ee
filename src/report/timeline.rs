//! The time axis: the time in which sessions worked, one session after the other. Pauses between sessions take no room,
//! so the charts of a run that was resumed days later stay readable.

/// The time axis of a run, cut into steps of equal length. Moments are in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Timeline {
    /// The length of a step in milliseconds: a round number, except for runs too long for `ROUND`.
    pub(super) width: i64,
    /// The number of steps; zero if no session has begun.
    pub(super) steps: usize,
    periods: Vec<Period>,
}

/// A time without a pause.
#[derive(Debug)]
struct Period {
    begin: i64,
    end: i64,
    /// The part of the axis before it, in milliseconds.
    before: i64,
}

/// The maximum number of steps; more would be too narrow to tell apart.
const MOST_STEPS: i64 = 240;
/// The smallest limit on the number of steps; a short run may have fewer.
const FEWEST_STEPS: i64 = 12;
/// The average number of calls wanted in a step, so that a short run has few steps.
const CALLS_PER_STEP: u64 = 5;
/// Round lengths of a step, in seconds.
const ROUND: [f64; 20] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0,
    3600.0, 7200.0, 10800.0, 21600.0, 86400.0,
];

impl Timeline {
    /// Returns the axis for sessions with these beginnings and ends, and for this number of calls.
    pub(super) fn new(sessions: impl IntoIterator<Item = (i64, i64)>, calls: u64) -> Self {
        let mut periods = merged(sessions);
        let worked: i64 = periods.iter().map(|period| period.end - period.begin).sum();
        let wished = i64::try_from(calls / CALLS_PER_STEP).unwrap_or(i64::MAX);
        let wished = wished.clamp(FEWEST_STEPS, MOST_STEPS - 2);
        let mut round = ROUND.into_iter().map(|seconds| (seconds * 1e3) as i64);
        let width = round.find(|width| worked / width <= wished);
        let width = width.unwrap_or(worked / wished + 1);
        if let Some(first) = periods.first_mut() {
            first.begin -= first.begin.rem_euclid(width);
        }
        let mut length = 0;
        for period in &mut periods {
            period.before = length;
            length += period.end - period.begin;
        }
        Self {
            width,
            steps: length.unsigned_abs().div_ceil(width.unsigned_abs()) as usize,
            periods,
        }
    }

    /// Returns the step of a moment. A moment in a pause gets the step in which the next session begins.
    pub(super) fn step(&self, moment: i64) -> Option<usize> {
        let last = self.steps.checked_sub(1)?;
        Some((self.position(moment) as usize).min(last))
    }

    /// Returns the moment at which a step begins.
    pub(super) fn begin(&self, step: usize) -> i64 {
        let offset = step as i64 * self.width;
        let after = self.periods.partition_point(|p| p.before <= offset);
        match self.periods.get(after.saturating_sub(1)) {
            Some(period) => period.begin + offset - period.before,
            None => 0,
        }
    }

    /// Returns the position of a moment, in steps from the left end.
    pub(super) fn position(&self, moment: i64) -> f64 {
        let after = self.periods.partition_point(|p| p.begin <= moment);
        let offset = match self.periods.get(after.saturating_sub(1)) {
            Some(p) => p.before + moment.clamp(p.begin, p.end) - p.begin,
            None => 0,
        };
        offset as f64 / self.width as f64
    }

    /// Returns the positions of pauses between sessions, at most one for each step.
    pub(super) fn pauses(&self) -> Vec<f64> {
        let later = self.periods.iter().skip(1);
        let mut pauses: Vec<f64> = later.map(|period| self.position(period.begin)).collect();
        pauses.dedup_by_key(|position| *position as usize);
        pauses
    }
}

/// Sorts sessions and merges those that overlap (after the clock was set back) or touch. Each period lasts at least 1 ms.
fn merged(sessions: impl IntoIterator<Item = (i64, i64)>) -> Vec<Period> {
    let mut sorted: Vec<(i64, i64)> = sessions.into_iter().collect();
    sorted.sort_unstable();
    let mut merged: Vec<Period> = Vec::with_capacity(sorted.len());
    for (begin, end) in sorted {
        let end = end.max(begin + 1);
        match merged.last_mut() {
            Some(last) if begin <= last.end => last.end = last.end.max(end),
            _ => merged.push(Period {
                begin,
                end,
                before: 0,
            }),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 86_400_000;
    const BEGIN: i64 = 1_795_851_697_250;

    fn session(begin: i64, length: i64) -> (i64, i64) {
        (BEGIN + begin, BEGIN + begin + length)
    }

    #[test]
    fn one_session_has_round_steps() {
        let line = Timeline::new([session(0, 20 * MINUTE)], 1_000_000);
        assert_eq!((line.width, line.steps), (10_000, 121));
        assert_eq!(line.begin(0) % 10_000, 0);
        assert_eq!(line.begin(7), line.begin(0) + 70_000);
        assert_eq!(line.step(BEGIN), Some(0));
        assert_eq!(line.step(BEGIN + 20 * MINUTE), Some(120));
        assert_eq!(line.step(0), Some(0), "before all");
        assert_eq!(line.step(i64::MAX), Some(120), "after all");
    }

    #[test]
    fn few_calls_have_few_steps() {
        let line = Timeline::new([session(0, 20 * MINUTE)], 3);
        assert!((6..=16).contains(&line.steps), "{}", line.steps);
        let moment = Timeline::new([session(0, 0)], 1);
        assert_eq!((moment.steps, moment.width), (1, 100));
        let none = Timeline::new([], 0);
        assert_eq!((none.steps, none.step(BEGIN), none.begin(0)), (0, None, 0));
        assert!(none.pauses().is_empty());
    }

    #[test]
    fn pauses_take_no_room() {
        let sessions = [session(0, 60 * MINUTE), session(4 * DAY, 30 * MINUTE)];
        let line = Timeline::new(sessions, 100_000);
        let pauses = line.pauses();
        let [pause] = pauses[..] else {
            panic!("{pauses:?}");
        };
        let share = pause / line.steps as f64;
        assert!((0.66..=0.67).contains(&share), "{share}");
        // A moment in the pause has the position of the pause.
        assert_eq!(line.position(BEGIN + 2 * DAY), pause);
        assert!(line.begin(line.steps - 1) > sessions[1].0);
    }

    #[test]
    fn thousands_of_sessions_have_no_more_steps_than_one() {
        let sessions = (0..5_000).map(|i| session(i * DAY, MINUTE + i));
        let line = Timeline::new(sessions, 1_000_000);
        assert!((50..=240).contains(&line.steps), "{}", line.steps);
        let steps: Vec<usize> = (0..5_000)
            .filter_map(|i| line.step(BEGIN + i * DAY))
            .collect();
        assert!(steps.len() == 5_000 && steps.is_sorted());
        assert_eq!(steps.last(), Some(&(line.steps - 1)));
        assert!(line.pauses().len() <= line.steps);
        for step in 0..line.steps {
            assert_eq!(line.step(line.begin(step)), Some(step));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_does_no_harm() {
        let sessions = [
            session(10_000, 5_000),
            session(0, 12_000),
            session(20_000, -9),
        ];
        let line = Timeline::new(sessions, 50);
        assert_eq!(line.pauses().len(), 1);
        assert!((5..=17).contains(&line.steps), "{}", line.steps);
        let ages = Timeline::new([(0, 253_402_300_799_999)], 1);
        assert!((1..=240).contains(&ages.steps), "{}", ages.steps);
    }
}
