//! The figures: medians, and numbers as they are read. Pure.

/// The one in the middle, or the mean of the two there.
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

/// The least and the greatest.
pub(crate) fn range(numbers: &[f64]) -> Option<(f64, f64)> {
    let least = numbers.iter().copied().min_by(f64::total_cmp)?;
    let greatest = numbers.iter().copied().max_by(f64::total_cmp)?;
    Some((least, greatest))
}

/// The median of the ratios of what was measured in the same round. A round in which one of the two has no figure
/// has no ratio: the machine was another in each round, so only neighbours are compared.
pub(crate) fn ratio(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<f64> {
    let pairs = ours.iter().zip(theirs);
    let ratios = pairs.filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?));
    median(&ratios.filter(|ratio| ratio.is_finite()).collect::<Vec<_>>())
}

/// Calls a second over the middle half of what was counted, in whole seconds where there are some: no crew that is
/// still connecting is in it, and no end at which threads find nothing more to do. A second has so many counts.
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

/// With as many digits as are of use: three, or all of a whole number.
pub(crate) fn figure(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => thousands(number.round() as u64),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
