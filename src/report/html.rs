//! Parts of the page. `maud` escapes every value that it puts into markup, so no name and no answer can become markup.

use maud::{Markup, Render, html};

use crate::job::{FileName, shortened};

/// Escapes an untrusted text and shortens it to `most` characters. Control characters, marks that reorder text and bytes
/// that are not UTF-8 become visible and have no effect.
pub(super) fn text(text: impl AsRef<[u8]>, most: usize) -> String {
    shortened(text.as_ref(), most)
}

/// Returns a file's name; of a long one the beginning and, because it tells more, the end.
pub(super) fn name(name: &FileName) -> String {
    const BEGINNING: usize = 60;
    const END: usize = 120;
    let text = name.to_string();
    let length = text.chars().count();
    if length <= BEGINNING + END {
        return text;
    }
    let beginning: String = text.chars().take(BEGINNING).collect();
    let end: String = text.chars().skip(length - END).collect();
    format!("{beginning}…{end}")
}

/// Makes a row of a table from values that `maud` can render.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$(maud::html! { ($cell) }),*] };
}
pub(super) use row;

/// Returns a table. `head` names the columns, with `|` between them; `#` marks a column of numbers. The first cell of each
/// row is its header.
pub(super) fn table(head: &str, rows: impl IntoIterator<Item = Vec<Markup>>) -> Markup {
    let columns = head
        .split('|')
        .map(|column| match column.strip_prefix('#') {
            Some(name) => (name, Some("n")),
            None => (column, None),
        });
    let columns: Vec<_> = columns.collect();
    html! {
        // A table wider than the page scrolls, with a keyboard too.
        div.scroll tabindex="0" role="group" aria-label="table" {
            table {
                thead { tr { @for (name, class) in &columns { th scope="col" class=[class] { (name) } } } }
                tbody { @for row in rows {
                    tr { @for (i, ((_, class), cell)) in columns.iter().zip(row).enumerate() {
                        @if i == 0 { th scope="row" class=[class] { (cell) } }
                        @else { td class=[class] { (cell) } }
                    } }
                } }
            }
        }
    }
}

/// Returns a bar for parts of a whole, each with the class of its color.
pub(super) fn bar(parts: &[(&'static str, f64)]) -> Markup {
    let mut end = 0.0;
    html! {
        svg.share aria-hidden="true" {
            @for (class, part) in parts.iter().filter(|(_, part)| *part > 0.0) {
                @let begin = end;
                ({ end += part * 100.0; "" })
                // Keep the smallest part visible.
                rect class=(class) x=(percent(begin)) width=(percent((end - begin).max(0.7))) height="100%" {}
            }
        }
    }
}

/// Formats a length for SVG.
pub(super) fn percent(percent: f64) -> String {
    format!("{:.2}%", percent.clamp(0.0, 100.0))
}

/// Returns the meanings of colors: classes with their names.
pub(super) fn legend<T: AsRef<str>>(names: impl IntoIterator<Item = (&'static str, T)>) -> Markup {
    html! {
        ul.legend { @for (class, name) in names { li class=(class) { (name.as_ref()) } } }
    }
}

/// Returns names with their values.
pub(super) fn list(
    class: &str,
    lines: impl IntoIterator<Item = (impl Render, impl Render)>,
) -> Markup {
    html! {
        dl class=(class) { @for (name, value) in lines { div { dt { (name) } dd { (value) } } } }
    }
}

/// Returns a sentence in place of a table or a chart.
pub(super) fn empty(sentence: &str) -> Markup {
    html! { p.empty { (sentence) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_name_stays() {
        let long = format!("{}{}.txt", "a".repeat(500), "b".repeat(500));
        let shown = name(&FileName::from(long.as_str()));
        assert!(
            shown.starts_with("aaa") && shown.ends_with("b.txt"),
            "{shown}"
        );
        assert_eq!(shown.chars().count(), 181);
    }
}
