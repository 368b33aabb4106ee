//! Scales whose ticks are round numbers.

/// A scale from nothing to a round number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// From tick to tick: 1, 2 or 5 times a power of ten.
    step: f64,
    /// How many steps.
    steps: u32,
}

impl Scale {
    /// The smallest one with at most so many steps that reaches `most`.
    pub(super) fn to(most: f64, steps: u32) -> Self {
        let most = if most.is_finite() && most > 0.0 {
            most
        } else {
            1.0
        };
        let step = round_up(most / f64::from(steps.max(1)));
        // What is a round number but for the last bit is that number.
        let steps = (most / step - 1e-9).ceil().max(1.0) as u32;
        Self { step, steps }
    }

    /// Where it ends.
    pub(super) fn top(self) -> f64 {
        self.step * f64::from(self.steps)
    }

    /// A value's place on it, from 0 to 1.
    pub(super) fn share(self, value: f64) -> f64 {
        (value / self.top()).clamp(0.0, 1.0)
    }

    /// Its ticks, with their labels.
    pub(super) fn ticks(self) -> impl Iterator<Item = (f64, String)> {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        (0..=self.steps).map(move |i| {
            let value = self.step * f64::from(i);
            (value, grouped_decimals(value, decimals))
        })
    }
}

/// The next number up that is 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|digit| value / power <= digit + 1e-9);
    digit.unwrap_or(10.0) * power
}

fn grouped_decimals(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, rest) = match text.split_once('.') {
        Some((whole, _)) => (whole, &text[whole.len()..]),
        None => (text.as_str(), ""),
    };
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    format!("{whole}{rest}")
}

/// A number with its thousands set apart: 41,000.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A unit of time in which values are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit {
    /// Its name.
    pub(super) name: &'static str,
    /// How many milliseconds it has.
    pub(super) milliseconds: f64,
}

const fn unit(name: &'static str, milliseconds: f64) -> Unit {
    Unit { name, milliseconds }
}

/// The unit for durations up to this one, in milliseconds.
pub(super) fn duration_unit(most: u64) -> Unit {
    match most {
        ..1_000 => unit("ms", 1.0),
        1_000..120_000 => unit("s", 1_000.0),
        120_000..7_200_000 => unit("min", 60_000.0),
        _ => unit("h", 3_600_000.0),
    }
}

/// The shortest unit in which there is at least one of something, where there are at most so many in a bucket of this
/// width.
pub(super) fn rate_unit(most: u64, width: i64) -> Unit {
    let units = [
        unit("second", 1_000.0),
        unit("minute", 60_000.0),
        unit("hour", 3_600_000.0),
    ];
    let fits = |unit: &Unit| most as f64 * unit.milliseconds >= width as f64;
    units
        .into_iter()
        .find(fits)
        .unwrap_or(unit("day", 86_400_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(most: f64, steps: u32) -> Vec<String> {
        Scale::to(most, steps)
            .ticks()
            .map(|(_, label)| label)
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(7.0, 4), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(1.0, 4), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(0.3, 3), ["0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(100.0, 5), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(41_000.0, 3), ["0", "20,000", "40,000", "60,000"]);
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(labels(nothing, 2), ["0.0", "0.5", "1.0"]);
        }
    }

    #[test]
    fn a_scale_holds_its_values_and_is_not_much_longer() {
        let mut most = 1e-3;
        while most < 1e12 {
            let scale = Scale::to(most, 4);
            assert!(scale.top() >= most * (1.0 - 1e-8), "{most}");
            assert!(scale.top() < most * 2.6, "{most}: {}", scale.top());
            assert!(scale.ticks().count() <= 6, "{most}");
            most *= 1.37;
        }
        let scale = Scale::to(8.0, 4);
        assert_eq!(
            [-1.0, 0.0, 4.0, 9.0].map(|value| scale.share(value)),
            [0.0, 0.0, 0.5, 1.0]
        );
    }

    #[test]
    fn units_fit_their_values() {
        assert_eq!(duration_unit(999).name, "ms");
        assert_eq!(duration_unit(1_000).name, "s");
        assert_eq!(duration_unit(10_000_000).name, "h");
        assert_eq!(rate_unit(10, 10_000).name, "second");
        assert_eq!(rate_unit(9, 10_000).name, "minute");
        assert_eq!(rate_unit(1, 3_600_000).name, "hour");
        assert_eq!(rate_unit(0, 1_000).name, "day");
    }
}
