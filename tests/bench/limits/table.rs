//! Tables as Markdown has them, a row as soon as it is there.

use std::time::Duration;

/// The narrowest column.
const NARROWEST: usize = 7;

/// A table whose head has been printed.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Prints the head.
    pub(crate) fn start(columns: &[&str]) -> Self {
        let widths = columns.iter().map(|name| name.len().max(NARROWEST));
        let table = Self {
            widths: widths.collect(),
        };
        println!();
        table.row(&columns.iter().map(ToString::to_string).collect::<Vec<_>>());
        let lines = table.widths.iter().map(|width| "-".repeat(width - 1) + ":");
        table.row(&lines.collect::<Vec<_>>());
        table
    }

    /// Prints a row.
    pub(crate) fn row(&self, cells: &[String]) {
        let cells: Vec<String> = self
            .widths
            .iter()
            .zip(cells)
            .map(|(width, cell)| format!("{cell:>width$}"))
            .collect();
        println!("| {} |", cells.join(" | "));
    }
}

/// With one digit after the point.
pub(crate) fn tenths(number: f64) -> String {
    format!("{number:.1}")
}

/// In seconds; a line where it never came to it.
pub(crate) fn seconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| tenths(time.as_secs_f64()))
}
