//! The time axis: the time in which sessions worked, one session after the other. Pauses between sessions take no room,
//! so that the charts of a run that is resumed after days stay readable.

/// The time axis of a run, cut into steps of equal length.
#[derive(Debug)]
pub(super) struct Timeline {
    /// The length of a step in milliseconds, a round number.
    pub(super) width: i64,
    /// How many steps there are: none before the first session.
    pub(super) steps: usize,
    periods: Vec<Period>,
}

/// A time without a pause. Moments are in milliseconds since 1970.
#[derive(Debug)]
struct Period {
    begin: i64,
    end: i64,
    /// How much of the axis lies before it, in milliseconds.
    before: i64,
}

/// A label of the axis.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) percent: f64,
    pub(super) moment: i64,
}

/// The time between two sessions.
#[derive(Debug)]
pub(super) struct Pause {
    /// Where it lies on the axis.
    pub(super) percent: f64,
    pub(super) begin: i64,
    pub(super) end: i64,
}

/// More steps than this are too narrow to tell apart.
const MOST_STEPS: i64 = 240;
const FEWEST_STEPS: i64 = 12;
/// The average number of calls wanted in a step, so that a short run has few steps.
const CALLS_PER_STEP: u64 = 5;
/// The least distance between two labels, in percent of the axis. A phone has room for five.
const BETWEEN_TICKS: f64 = 18.0;
/// A label further right would leave the page.
const LAST_TICK: f64 = 88.0;

/// Round lengths of time, in tenths of a second: from 0.1 s to 100 days.
const ROUND: [i64; 27] = [
    1, 2, 5, 10, 20, 50, 100, 150, 300, 600, 1200, 3000, 6000, 9000, 18000, 36000, 72000, 108000,
    216000, 432000, 864000, 1728000, 4320000, 8640000, 17280000, 43200000, 86400000,
];

/// Returns the shortest round length of time that is long enough, in milliseconds.
fn round(is_long_enough: impl Fn(i64) -> bool) -> Option<i64> {
    let mut lengths = ROUND.into_iter().map(|tenths| tenths * 100);
    lengths.find(|length| is_long_enough(*length))
}

impl Timeline {
    /// Returns the axis for sessions that worked from and until these moments and made so many calls.
    pub(super) fn new(sessions: impl IntoIterator<Item = (i64, i64)>, calls: u64) -> Self {
        let mut periods = merged(sessions);
        let worked: i64 = periods.iter().map(|period| period.end - period.begin).sum();
        let wished = i64::try_from(calls / CALLS_PER_STEP).unwrap_or(i64::MAX);
        let wished = wished.clamp(FEWEST_STEPS, MOST_STEPS - 2);
        let width = round(|width| worked / width <= wished).unwrap_or(worked / wished + 1);
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
            steps: (length.unsigned_abs()).div_ceil(width.unsigned_abs()) as usize,
            periods,
        }
    }

    /// Returns the step of a moment. A moment in a pause lies where the pause does.
    pub(super) fn step(&self, moment: i64) -> Option<usize> {
        let step = (self.offset(moment)? / self.width) as usize;
        Some(step.min(self.steps.saturating_sub(1)))
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

    /// Returns where a moment lies on the axis, in percent.
    pub(super) fn percent(&self, moment: i64) -> f64 {
        let length = self.steps as f64 * self.width as f64;
        self.offset(moment).unwrap_or(0) as f64 / length.max(1.0) * 100.0
    }

    /// Returns the pauses between sessions, in their order.
    pub(super) fn pauses(&self) -> impl Iterator<Item = Pause> {
        self.periods.windows(2).map(|pair| Pause {
            percent: self.percent(pair[1].begin),
            begin: pair[0].end,
            end: pair[1].begin,
        })
    }

    /// Returns labels that have room beside each other, where sessions begin and then at round moments; and the time between
    /// two round moments.
    pub(super) fn ticks(&self) -> (i64, Vec<Tick>) {
        let length = self.steps as f64 * self.width as f64;
        let apart = round(|apart| apart as f64 >= length * BETWEEN_TICKS / 100.0);
        let apart = apart.unwrap_or(i64::MAX);
        let begins = self.periods.iter().map(|period| period.begin);
        let rounds = self.periods.iter().flat_map(|period| {
            let first = period.begin - period.begin.rem_euclid(apart);
            (first..=period.end).step_by(apart as usize).skip(1)
        });
        let mut ticks: Vec<Tick> = Vec::new();
        for moment in begins.chain(rounds) {
            let percent = self.percent(moment);
            let is_apart = |tick: &Tick| (percent - tick.percent).abs() >= BETWEEN_TICKS;
            if percent <= LAST_TICK && ticks.iter().all(is_apart) {
                ticks.push(Tick { percent, moment });
            }
        }
        ticks.sort_unstable_by_key(|tick| tick.moment);
        (apart, ticks)
    }

    /// Returns how much of the axis lies before a moment, in milliseconds.
    fn offset(&self, moment: i64) -> Option<i64> {
        let after = self.periods.partition_point(|p| p.begin <= moment);
        let period = self.periods.get(after.saturating_sub(1))?;
        Some(period.before + moment.clamp(period.begin, period.end) - period.begin)
    }
}

/// Sorts and merges periods that overlap, as they do where a clock was put back. None is empty.
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
    }

    #[test]
    fn a_run_without_sessions_has_no_time() {
        let line = Timeline::new([], 0);
        assert_eq!((line.steps, line.step(BEGIN), line.begin(0)), (0, None, 0));
        assert_eq!(line.percent(BEGIN), 0.0);
        assert!(line.ticks().1.is_empty() && line.pauses().next().is_none());
    }

    #[test]
    fn pauses_take_no_room() {
        let sessions = [session(0, 60 * MINUTE), session(4 * DAY, 30 * MINUTE)];
        let line = Timeline::new(sessions, 100_000);
        let pauses: Vec<Pause> = line.pauses().collect();
        let [pause] = &pauses[..] else {
            panic!("{pauses:?}");
        };
        assert_eq!((pause.begin, pause.end), (sessions[0].1, sessions[1].0));
        assert!((66.0..=67.0).contains(&pause.percent), "{pause:?}");
        // A moment in the pause lies where the pause does.
        assert_eq!(line.percent(BEGIN + 2 * DAY), pause.percent);
        assert!(line.begin(line.steps - 1) > sessions[1].0);
        let (apart, ticks) = line.ticks();
        assert_eq!(apart, 30 * MINUTE);
        assert!(ticks.len() <= 5, "{ticks:?}");
        assert!(ticks.iter().any(|tick| tick.moment == sessions[1].0));
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
        assert!(line.ticks().1.len() <= 5);
        for step in 0..line.steps {
            assert_eq!(line.step(line.begin(step)), Some(step));
        }
    }

    #[test]
    fn clocks_that_were_put_back_do_no_harm() {
        let sessions = [
            session(10_000, 5_000),
            session(0, 12_000),
            session(20_000, -9),
        ];
        let line = Timeline::new(sessions, 50);
        assert_eq!(line.pauses().count(), 1);
        assert!((5..=14).contains(&line.steps), "{}", line.steps);
        let ages = Timeline::new([(0, 253_402_300_799_999)], 1);
        assert!((1..=240).contains(&ages.steps), "{}", ages.steps);
        assert!(ages.ticks().1.len() <= 5);
    }
}
