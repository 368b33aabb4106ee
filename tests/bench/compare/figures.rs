//! Figures: medians and formatted numbers. Pure.

/// Returns the middle number, or the mean of the two in the middle.
pub(crate) fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[middle - 1], upper))
}

/// Returns the minimum and the maximum.
pub(crate) fn range(numbers: &[f64]) -> Option<(f64, f64)> {
    let least = numbers.iter().copied().min_by(f64::total_cmp)?;
    let greatest = numbers.iter().copied().max_by(f64::total_cmp)?;
    Some((least, greatest))
}

/// Returns the median of the ratios of figures in the same round. A round without one of the figures has no ratio: the
/// machine's speed changes from round to round, so only neighbours are compared.
pub(crate) fn ratio(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<f64> {
    let pairs = ours.iter().zip(theirs);
    let ratios = pairs.filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?));
    median(&ratios.filter(|ratio| ratio.is_finite()).collect::<Vec<_>>())
}

/// Returns calls a second over the middle half of the counts, in whole seconds if there are some. That excludes the
/// start, when threads connect, and the end, when they run out of calls. A second has `second` counts.
pub(crate) fn steady(counts: &[u64], second: usize) -> f64 {
    let middle = match counts.len() / 2 {
        half if half >= second => half / second * second,
        half => half.max(1),
    };
    let from = counts.len().saturating_sub(middle) / 2;
    let calls: u64 = counts.iter().skip(from).take(middle).sum();
    calls as f64 * second as f64 / middle as f64
}

/// A whole number with commas between its thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with three digits, or all of a whole number.
pub(crate) fn figure(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => thousands(number.round() as u64),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
