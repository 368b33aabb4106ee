//! The time line of a run: the times in which runners worked, one beside the other. The long pauses between them are cut
//! out, so that a run that is resumed after days has its charts whole.

/// A stretch of time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) begin: i64,
    pub(super) end: i64,
}

impl Period {
    pub(super) fn length(self) -> i64 {
        self.end.saturating_sub(self.begin)
    }
}

/// A stretch of the axis between two cuts that are marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Panel {
    /// Its stretches of time, which follow each other without a mark. More than one only in runs of very many runners.
    pieces: Vec<Period>,
    /// How long the pieces before each one are.
    before: Vec<i64>,
    /// Its first bucket.
    pub(super) first: usize,
    /// How many buckets it has.
    pub(super) buckets: usize,
}

/// The time line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    /// How long a bucket is, in milliseconds: a round number.
    pub(super) width: i64,
    /// Where it can be seen; none if no runner has begun.
    pub(super) panels: Vec<Panel>,
    /// How many buckets there are.
    pub(super) buckets: usize,
    /// How many pauses are cut out without a mark, for there are too many.
    pub(super) unmarked: usize,
}

/// The most buckets, so that a chart has no more marks than can be told apart.
const MOST_BUCKETS: i64 = 240;
/// The fewest that are wished for.
const FEWEST_BUCKETS: i64 = 12;
/// How many calls a bucket should have on the average, before there are more buckets.
const CALLS_A_BUCKET: i64 = 5;
/// The most panels.
const MOST_PANELS: usize = 24;
/// A pause is drawn as long as it is where it is no longer than this part of all the work…
const SHORT_PAUSE: i64 = 50;
/// …and all that are drawn so are no longer than this part of it.
const SHORT_PAUSES: i64 = 10;

/// Round lengths of time, in milliseconds.
const STEPS: [i64; 27] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    20 * DAY,
    50 * DAY,
    100 * DAY,
];
const DAY: i64 = 86_400_000;

/// The round lengths of time, from the shortest to those of whole ages.
pub(super) fn steps() -> impl Iterator<Item = i64> {
    let longer = (1..30).map(|doubled| STEPS[STEPS.len() - 1] << doubled);
    STEPS.into_iter().chain(longer)
}

impl Axis {
    /// The axis of runners that worked in these periods and made so many calls.
    pub(super) fn new(periods: &[Period], calls: u64) -> Self {
        let periods = apart(periods);
        let worked: i64 = periods.iter().map(|period| period.length()).sum();
        let (pieces, unmarked) = panels(&periods, worked);
        let wished = i64::try_from(calls / CALLS_A_BUCKET as u64).unwrap_or(i64::MAX);
        let wished = wished.clamp(FEWEST_BUCKETS, MOST_BUCKETS);
        let lengths: Vec<i64> = pieces.iter().map(|pieces| length(pieces)).collect();
        let count = |width: i64| -> i64 {
            // Each may begin earlier, at a round moment.
            lengths.iter().map(|length| length / width + 2).sum()
        };
        let fits = |width: &i64| worked / width <= wished && count(*width) <= MOST_BUCKETS;
        let width = steps().find(fits).unwrap_or(i64::MAX / 4);
        let mut axis = Self {
            width,
            panels: Vec::with_capacity(pieces.len()),
            buckets: 0,
            unmarked,
        };
        let mut last_end = i64::MIN;
        for mut pieces in pieces {
            let begin = pieces[0].begin;
            pieces[0].begin = (begin - begin.rem_euclid(width)).max(last_end);
            last_end = pieces.last().map_or(begin, |piece| piece.end);
            axis.add(pieces);
        }
        axis
    }

    fn add(&mut self, pieces: Vec<Period>) {
        let mut before = Vec::with_capacity(pieces.len());
        let mut sum = 0;
        for piece in &pieces {
            before.push(sum);
            sum += piece.length();
        }
        let buckets = ((sum + self.width - 1) / self.width).max(1) as usize;
        self.panels.push(Panel {
            pieces,
            before,
            first: self.buckets,
            buckets,
        });
        self.buckets += buckets;
    }

    /// Where a moment lies: in which panel, and how many buckets behind its beginning. A moment that was cut out lies at
    /// the end of what was before it. There has to be a panel.
    pub(super) fn place(&self, moment: i64) -> (usize, f64) {
        let after = self
            .panels
            .partition_point(|panel| panel.pieces[0].begin <= moment);
        let index = after.saturating_sub(1);
        let Some(panel) = self.panels.get(index) else {
            return (0, 0.0);
        };
        (index, panel.offset(moment) as f64 / self.width as f64)
    }

    /// The bucket of a moment; nothing where there is no panel.
    pub(super) fn bucket(&self, moment: i64) -> Option<usize> {
        let (index, offset) = self.place(moment);
        let panel = self.panels.get(index)?;
        Some(panel.first + (offset as usize).min(panel.buckets - 1))
    }

    /// The panel of a bucket.
    pub(super) fn panel_of(&self, bucket: usize) -> usize {
        let after = self.panels.partition_point(|panel| panel.first <= bucket);
        after.saturating_sub(1)
    }

    /// When a bucket begins, in milliseconds since 1970.
    pub(super) fn begin(&self, bucket: usize) -> i64 {
        match self.panels.get(self.panel_of(bucket)) {
            Some(panel) => panel.moment((bucket - panel.first) as i64 * self.width),
            None => 0,
        }
    }

    /// The round moments on the axis that are at least `apart` buckets from each other, and how far one is from the next in
    /// milliseconds. Each comes with its panel and its offset, as [`Axis::place`] says it.
    pub(super) fn ticks(&self, apart: f64) -> (i64, Vec<(i64, usize, f64)>) {
        let wide_enough = |step: &i64| *step as f64 >= apart * self.width as f64;
        let step = steps().find(wide_enough).unwrap_or(i64::MAX / 4);
        let mut ticks: Vec<(i64, usize, f64)> = Vec::new();
        for (index, panel) in self.panels.iter().enumerate() {
            // Ticks are at least so far apart, and what is cut out has none; so there are not many.
            let mut last = None;
            for piece in &panel.pieces {
                let mut moment = piece.begin - piece.begin.rem_euclid(step);
                if moment < piece.begin {
                    moment += step;
                }
                while moment <= piece.end {
                    let offset = panel.offset(moment) as f64 / self.width as f64;
                    if last.is_none_or(|last| offset - last >= apart) {
                        ticks.push((moment, index, offset));
                        last = Some(offset);
                    }
                    moment += step;
                }
            }
        }
        (step, ticks)
    }

    /// How long the pause before a panel is, in milliseconds.
    pub(super) fn pause_before(&self, panel: usize) -> i64 {
        let ends = |panel: &Panel| panel.pieces.last().map_or(0, |piece| piece.end);
        let before = panel.checked_sub(1).and_then(|i| self.panels.get(i));
        match before.zip(self.panels.get(panel)) {
            Some((before, panel)) => (panel.pieces[0].begin - ends(before)).max(0),
            None => 0,
        }
    }
}

impl Panel {
    /// When it begins.
    pub(super) fn begin(&self) -> i64 {
        self.pieces[0].begin
    }

    /// How much time is shown before a moment.
    fn offset(&self, moment: i64) -> i64 {
        let after = self.pieces.partition_point(|piece| piece.begin <= moment);
        let index = after.saturating_sub(1);
        let piece = self.pieces[index];
        self.before[index] + moment.clamp(piece.begin, piece.end) - piece.begin
    }

    /// The moment before which so much time is shown.
    fn moment(&self, offset: i64) -> i64 {
        let after = self.before.partition_point(|before| *before <= offset);
        let index = after.saturating_sub(1);
        self.pieces[index].begin + offset - self.before[index]
    }
}

fn length(pieces: &[Period]) -> i64 {
    pieces.iter().map(|piece| piece.length()).sum()
}

/// The periods in their order, none within another and none empty: clocks are put back at times.
fn apart(periods: &[Period]) -> Vec<Period> {
    let mut sorted = periods.to_vec();
    sorted.sort_unstable_by_key(|period| (period.begin, period.end));
    let mut apart: Vec<Period> = Vec::with_capacity(sorted.len());
    for period in sorted {
        let end = period.end.max(period.begin + 1);
        match apart.last_mut() {
            Some(last) if period.begin <= last.end => last.end = last.end.max(end),
            _ => apart.push(Period {
                begin: period.begin,
                end,
            }),
        }
    }
    apart
}

/// Periods into panels, at the longest pauses between them; and how many pauses are cut out within panels.
fn panels(periods: &[Period], worked: i64) -> (Vec<Vec<Period>>, usize) {
    // Pauses by the period that comes after them.
    let mut pauses: Vec<(i64, usize)> = periods
        .windows(2)
        .zip(1..)
        .map(|(pair, after)| (pair[1].begin - pair[0].end, after))
        .collect();
    pauses.sort_unstable();
    let mut drawn = 0;
    let short = pauses
        .iter()
        .take_while(|(pause, _)| {
            drawn += pause;
            *pause <= worked / SHORT_PAUSE && drawn <= worked / SHORT_PAUSES
        })
        .count();
    let cut = pauses.split_off(short);
    let unmarked = cut.len().saturating_sub(MOST_PANELS - 1);
    let is_cut = in_order(periods.len(), &cut);
    let is_marked = in_order(periods.len(), &cut[unmarked..]);
    let mut panels: Vec<Vec<Period>> = Vec::new();
    for (i, period) in periods.iter().enumerate() {
        match panels.last_mut() {
            Some(pieces) if !is_marked[i] => match pieces.last_mut() {
                Some(piece) if !is_cut[i] => piece.end = period.end,
                _ => pieces.push(*period),
            },
            _ => panels.push(vec![*period]),
        }
    }
    (panels, unmarked)
}

/// For each period, whether one of these pauses is before it.
fn in_order(periods: usize, pauses: &[(i64, usize)]) -> Vec<bool> {
    let mut found = vec![false; periods];
    for (_, after) in pauses {
        found[*after] = true;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const BEGIN: i64 = 1_795_851_697_250;

    fn period(begin: i64, length: i64) -> Period {
        Period {
            begin: BEGIN + begin,
            end: BEGIN + begin + length,
        }
    }

    #[test]
    fn one_runner_is_one_panel_of_round_buckets() {
        let axis = Axis::new(&[period(0, 20 * MINUTE)], 1_000_000);
        assert_eq!((axis.width, axis.panels.len()), (10_000, 1));
        assert!(axis.buckets <= 240, "{}", axis.buckets);
        assert_eq!(axis.begin(0) % 10_000, 0);
        assert_eq!(axis.begin(7), axis.begin(0) + 70_000);
        assert_eq!(axis.bucket(BEGIN), Some(0));
        assert_eq!(axis.bucket(BEGIN + 20 * MINUTE), Some(axis.buckets - 1));
        assert_eq!(axis.bucket(0), Some(0), "before all");
        assert_eq!(axis.bucket(i64::MAX), Some(axis.buckets - 1), "after all");
    }

    #[test]
    fn few_calls_have_few_buckets() {
        let axis = Axis::new(&[period(0, 20 * MINUTE)], 3);
        assert!((6..=16).contains(&axis.buckets), "{}", axis.buckets);
        let moment = Axis::new(&[period(0, 0)], 1);
        assert_eq!((moment.buckets, moment.width), (1, 100));
    }

    #[test]
    fn a_run_without_runners_has_no_time() {
        let axis = Axis::new(&[], 0);
        assert_eq!((axis.buckets, axis.bucket(BEGIN)), (0, None));
        assert_eq!((axis.begin(0), axis.place(BEGIN)), (0, (0, 0.0)));
        assert!(axis.ticks(3.0).1.is_empty());
    }

    #[test]
    fn long_pauses_are_cut_out_and_short_ones_are_not() {
        let days = 4 * DAY;
        let periods = [
            period(0, 60 * MINUTE),
            period(60 * MINUTE + 5_000, 30 * MINUTE),
            period(days, 30 * MINUTE),
        ];
        let axis = Axis::new(&periods, 100_000);
        assert_eq!((axis.panels.len(), axis.unmarked), (2, 0));
        assert!(axis.buckets > 100, "{}", axis.buckets);
        let pause = days - 90 * MINUTE - 5_000;
        assert!((pause - axis.width..=pause).contains(&axis.pause_before(1)));
        assert_eq!(axis.pause_before(0), 0);
        // What was cut out lies at the end of what was before it.
        let last_before = axis.panels[1].first - 1;
        assert_eq!(axis.bucket(BEGIN + days / 2), Some(last_before));
        assert_eq!(axis.bucket(BEGIN + days), Some(last_before + 1));
        assert_eq!(axis.panel_of(last_before), 0);
        let (step, ticks) = axis.ticks(20.0);
        assert!(ticks.iter().all(|(moment, ..)| moment % step == 0));
        assert!(ticks.iter().any(|(_, panel, _)| *panel == 1) && ticks.len() < 12);
    }

    #[test]
    fn thousands_of_runners_are_no_more_than_can_be_shown() {
        let periods: Vec<Period> = (0..5_000).map(|i| period(i * DAY, MINUTE + i)).collect();
        let axis = Axis::new(&periods, 1_000_000);
        assert_eq!(axis.panels.len(), MOST_PANELS);
        assert_eq!(axis.unmarked, 4_999 - 23);
        assert!((50..=240).contains(&axis.buckets), "{}", axis.buckets);
        let mut last = 0;
        for i in 0..5_000 {
            let bucket = axis.bucket(BEGIN + i * DAY).unwrap();
            assert!(bucket >= last);
            last = bucket;
        }
        assert_eq!(last, axis.buckets - 1);
        assert!(axis.ticks(10.0).1.len() <= 24 + 24);
        // Each bucket begins where it says.
        for bucket in 0..axis.buckets {
            assert_eq!(axis.bucket(axis.begin(bucket)), Some(bucket));
        }
    }

    #[test]
    fn clocks_that_were_put_back_do_no_harm() {
        let periods = [period(10_000, 5_000), period(0, 12_000), period(20_000, -9)];
        let axis = Axis::new(&periods, 50);
        assert!(axis.buckets >= 10 && axis.buckets <= 240);
        assert_eq!(apart(&periods), [period(0, 15_000), period(20_000, 1)]);
    }
}
