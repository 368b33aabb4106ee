//! Tables, with what a reader that speaks needs: a header for each column and each row.

use super::html::{Markup, Text, put};
use super::scale::grouped;
use super::words;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

/// A row of a table.
#[derive(Debug)]
pub(super) struct Row {
    header: Text,
    /// With whether each stands to the right, as numbers do.
    cells: Vec<(bool, Markup)>,
}

impl Table {
    pub(super) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with this header.
    pub(super) fn row(&mut self, header: Text) -> &mut Row {
        let at = self.rows.len();
        self.rows.push(Row {
            header,
            cells: Vec::new(),
        });
        &mut self.rows[at]
    }

    pub(super) fn markup(self) -> Markup {
        let mut out = Markup::new();
        if self.rows.is_empty() {
            put!(&mut out => "<p class=\"empty\">Nothing.</p>\n");
            return out;
        }
        // What is wider than the page can be moved, with a keyboard too.
        put!(&mut out => "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"table\"><table>\n<thead><tr>");
        let numbers = self.rows.first().map_or(&[][..], |row| &row.cells);
        for (i, column) in self.columns.into_iter().enumerate() {
            let is_number = i > 0 && numbers.get(i - 1).is_some_and(|(right, _)| *right);
            put!(&mut out => "<th scope=\"col\"", if is_number { " class=\"n\">" } else { ">" }, column, "</th>");
        }
        put!(&mut out => "</tr></thead>\n<tbody>\n");
        for row in self.rows {
            put!(&mut out => "<tr><th scope=\"row\">", row.header, "</th>");
            for (right, cell) in row.cells {
                put!(&mut out => if right { "<td class=\"n\">" } else { "<td>" }, cell, "</td>");
            }
            put!(&mut out => "</tr>\n");
        }
        put!(&mut out => "</tbody></table></div>\n");
        out
    }
}

impl Row {
    fn cell(&mut self, right: bool, cell: Markup) -> &mut Self {
        self.cells.push((right, cell));
        self
    }

    pub(super) fn text(&mut self, text: Text) -> &mut Self {
        let mut cell = Markup::new();
        put!(&mut cell => text);
        self.cell(false, cell)
    }

    /// A drawing.
    pub(super) fn drawing(&mut self, drawing: Markup) -> &mut Self {
        self.cell(false, drawing)
    }

    /// Text that stands to the right.
    pub(super) fn number(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let mut cell = Markup::new();
        put!(&mut cell => Text::of(text));
        self.cell(true, cell)
    }

    pub(super) fn count(&mut self, count: u64) -> &mut Self {
        self.number(grouped(count))
    }

    pub(super) fn counts(&mut self, counts: &[u64]) -> &mut Self {
        for count in counts {
            self.count(*count);
        }
        self
    }

    /// How long things took, in milliseconds.
    pub(super) fn times(&mut self, times: &[Option<u64>]) -> &mut Self {
        for time in times {
            self.number(time.map_or_else(String::new, words::took));
        }
        self
    }
}

/// How long a bar in a table is at most.
const BAR: f64 = 120.0;

/// A bar in a table, for a part of a whole, with the class of its colour.
pub(super) fn bar(parts: &[(&'static str, f64)]) -> Markup {
    let mut out = Markup::new();
    put!(&mut out => "<svg class=\"share\" viewBox=\"0 0 ", BAR, " 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        "<path class=\"rail\" d=\"M0 9.5H", BAR, "\"/>");
    let mut x = 0.0;
    for (class, part) in parts {
        let width = (part * BAR).clamp(0.0, BAR - x);
        if width > 0.0 {
            // What is there can be seen.
            put!(&mut out => "<rect class=\"", *class, "\" x=\"", x, "\" width=\"", width.max(0.8), "\" height=\"9\"/>");
        }
        x += width;
    }
    put!(&mut out => "</svg>");
    out
}
