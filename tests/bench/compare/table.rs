//! The table: rows as Markdown, each as soon as it is measured, and all of them for the README in the end.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;

/// The marks around the table in the README.
const BEGIN: &str = "<!-- table -->";
const END: &str = "<!-- /table -->";

const COLUMNS: [&str; 9] = [
    "scenario",
    "program",
    "of",
    "median",
    "min–max",
    "stride ÷ it",
    "CPU µs each",
    "peak MiB",
    "note",
];

/// A row, its cells in the order of the columns.
pub(crate) type Row = [String; 9];

/// All that was printed.
pub(crate) struct Table {
    text: RefCell<String>,
}

impl Table {
    /// Prints the description of the machine, and the header.
    pub(crate) fn start(head: &str) -> Self {
        let table = Self {
            text: RefCell::default(),
        };
        table.line(head);
        table.line("");
        table.line(&format!("| {} |", COLUMNS.join(" | ")));
        table.line("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
        table
    }

    /// Prints a line outside of the table.
    pub(crate) fn line(&self, line: &str) {
        println!("{line}");
        let mut text = self.text.borrow_mut();
        text.push_str(line);
        text.push('\n');
    }

    /// Prints a row.
    pub(crate) fn row(&self, cells: Row) {
        self.line(&format!("| {} |", cells.join(" | ")).replace("  ", " "));
    }

    /// Writes the table between the marks of a file.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let text = fs::read_to_string(file)?;
        let whole = put(&text, &self.text.borrow());
        let whole = whole.ok_or_else(|| {
            let file = file.display();
            io::Error::other(format!("{file} has no {BEGIN} with an {END} after it"))
        })?;
        fs::write(file, whole)
    }
}

/// Returns the text with a table between its marks, instead of the old one.
pub(crate) fn put(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let table = table.trim_end();
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}
