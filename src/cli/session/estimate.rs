//! Estimates what the whole list costs and how long it takes, by the calls of a few files.

use std::time::Duration;

use stride::governor::{Governor, History};
use stride::job::Outcome;
use stride::limits::Money;
use stride::settings::{CallCost, Settings, Threads, show_duration};
use stride::store::{Location, Reader};

use crate::cli::output::format::counted;

/// What a few files have cost, and how long their calls took.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) costs: Vec<Money>,
    pub(crate) times: Vec<Duration>,
}

/// Describes the estimate for a list of so many files, if anything was measured.
pub(crate) fn describe(measured: &Measured, files: u64, settings: &Settings) -> Option<String> {
    let mut parts = Vec::new();
    let (least, most) = (measured.costs.iter().min(), measured.costs.iter().max());
    if let (Some(least), Some(most)) = (least, most)
        && most.0 > 0
    {
        let sum: u128 = measured.costs.iter().map(|cost| u128::from(cost.0)).sum();
        let all = sum * u128::from(files) / measured.costs.len() as u128;
        let all = Money(u64::try_from(all).unwrap_or(u64::MAX));
        let each = match least == most {
            true => format!("{least} a file"),
            false => format!("{least} to {most} a file"),
        };
        parts.push(format!("cost about {} ({each})", about(all)));
    }
    if let (Threads::Fixed(threads), false) = (settings.threads, measured.times.is_empty()) {
        let mean = measured.times.iter().sum::<Duration>().as_secs_f64();
        let mean = mean / measured.times.len() as f64;
        let calls = Duration::try_from_secs_f64(mean * files as f64 / threads as f64);
        let governor = Governor::new(settings.rules(), &History::default(), Duration::ZERO);
        let paced = governor.finish(files, Duration::ZERO);
        let time = Duration::from_secs(calls.unwrap_or(Duration::MAX).max(paced).as_secs());
        let threads = counted(threads as u64, "thread");
        parts.push(match time {
            Duration::ZERO => format!("less than a second with {threads}"),
            time => format!("time about {} with {threads}", show_duration(time)),
        });
    }
    let files = counted(files, "file");
    (!parts.is_empty()).then(|| format!("estimate for all {files}: {}", parts.join(", ")))
}

/// What the calls for one file have taken.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    calls: u64,
    stated: Option<Money>,
    took: Duration,
}

impl Spent {
    pub(crate) fn add(&mut self, outcome: &Outcome, took: Duration) {
        let stated = outcome.hint().and_then(|hint| hint.bill.cost);
        let sum = |cost: Money| Money(self.stated.unwrap_or_default().0.saturating_add(cost.0));
        self.stated = stated.map(sum).or(self.stated);
        self.calls += 1;
        self.took += took;
    }
}

/// Says what the calls for a file cost, and estimates the cost and the time of the run's whole list, if there is a run.
pub(crate) fn of_calls(db: &Location, spent: &Spent, settings: &Settings) -> Vec<String> {
    let cost = match (spent.stated, &settings.cost) {
        (Some(cost), _) => cost,
        (None, Some(CallCost::Each(each))) => Money(each.0.saturating_mul(spent.calls)),
        (None, Some(CallCost::Answer(expression))) => {
            let words =
                format!("cost: unknown, because `{expression}` is no number of at least zero");
            return vec![words];
        }
        (None, None) => return Vec::new(),
    };
    let measured = Measured {
        costs: vec![cost],
        times: vec![spent.took],
    };
    let counts = Reader::open(db).and_then(|run| run.counts());
    let estimate = counts.ok();
    let estimate = estimate.and_then(|counts| describe(&measured, counts.total, settings));
    [format!("cost: {cost}")]
        .into_iter()
        .chain(estimate)
        .collect()
}

/// Says what is known of the cost of so many files before any call.
pub(crate) fn before_calls(settings: &Settings, files: u64) -> Option<String> {
    Some(match settings.cost.as_ref()? {
        CallCost::Each(each) => {
            let all = Money(each.0.saturating_mul(files));
            format!("cost: {all}, if each file takes one call")
        }
        CallCost::Answer(_) => {
            "cost: unknown before the first answers; --sample 5 makes five calls and estimates it"
                .to_owned()
        }
    })
}

/// Rounds an amount to three digits.
fn about(amount: Money) -> Money {
    let digits = amount.0.checked_ilog10().unwrap_or(0);
    let unit = 10_u64.pow(digits.saturating_sub(2));
    Money(amount.0.saturating_add(unit / 2) / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_costs_as_much_as_its_sample_in_proportion() {
        let money = |text: &str| text.parse::<Money>().unwrap();
        let settings = |rate: &str| Settings {
            rates: stride::limits::Rates::parse([rate]).unwrap(),
            ..Settings::default()
        };
        let measured = Measured {
            costs: vec![money("0.002"), money("0.005")],
            times: vec![Duration::from_secs(1), Duration::from_secs(3)],
        };
        let expected = "estimate for all 1,234 files: cost about 4.32 (0.002 to 0.005 a file), time about 5 m 08 s with 8 threads";
        assert_eq!(
            describe(&measured, 1234, &settings("auto")).unwrap(),
            expected
        );
        // The rate takes longer.
        let paced = describe(&measured, 1234, &settings("1/s")).unwrap();
        assert!(paced.contains("time about 20 m"), "{paced}");
        let free = Measured {
            costs: vec![Money(0)],
            ..Measured::default()
        };
        assert_eq!(describe(&free, 9, &settings("auto")), None);
        for (exact, rounded) in [
            ("12345", "12300"),
            ("0.000000001", "0.000000001"),
            ("0", "0"),
            ("999.9", "1000"),
        ] {
            assert_eq!(about(money(exact)), money(rounded));
        }
    }
}
