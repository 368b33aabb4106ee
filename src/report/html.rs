//! Pieces of the page. `maud` escapes every value that it puts into markup, so that no name and no answer can become any.

use maud::{Markup, html};

use crate::job::{FileName, shortened};

/// Returns at most so many characters of a text from outside. Control characters, marks that reorder text and bytes that
/// are not UTF-8 become visible and do nothing.
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

/// A column of a table.
pub(super) struct Column {
    name: &'static str,
    class: Option<&'static str>,
}

impl Column {
    pub(super) const fn text(name: &'static str) -> Self {
        Self { name, class: None }
    }

    /// A column of numbers, which stand to the right.
    pub(super) const fn number(name: &'static str) -> Self {
        let class = Some("n");
        Self { name, class }
    }
}

/// Returns a table. The first cell of each row is its header.
pub(super) fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<Markup>>) -> Markup {
    html! {
        // A table wider than the page scrolls, with a keyboard too.
        div.scroll tabindex="0" role="group" aria-label="table" {
            table {
                thead { tr { @for column in columns {
                    th scope="col" class=[column.class] { (column.name) }
                } } }
                tbody { @for row in rows {
                    tr { @for (i, (column, cell)) in columns.iter().zip(row).enumerate() {
                        @if i == 0 { th scope="row" class=[column.class] { (cell) } }
                        @else { td class=[column.class] { (cell) } }
                    } }
                } }
            }
        }
    }
}

/// Returns a bar for parts of a whole, each with the class of its colour.
pub(super) fn bar(parts: &[(&'static str, f64)]) -> Markup {
    let mut end = 0.0;
    html! {
        svg.share aria-hidden="true" {
            @for (class, part) in parts.iter().filter(|(_, part)| *part > 0.0) {
                @let begin = end;
                ({ end += part * 100.0; "" })
                // The smallest part can be seen.
                rect class=(class) x=(percent(begin)) width=(percent((end - begin).max(0.7))) height="100%" {}
            }
        }
    }
}

/// Returns a length as SVG takes it.
pub(super) fn percent(percent: f64) -> String {
    format!("{:.2}%", percent.clamp(0.0, 100.0))
}

/// Returns what colours mean: classes with their names.
pub(super) fn legend<T: AsRef<str>>(names: impl IntoIterator<Item = (&'static str, T)>) -> Markup {
    html! {
        ul.legend { @for (class, name) in names { li class=(class) { (name.as_ref()) } } }
    }
}

/// Returns names with their values.
pub(super) fn list(class: &str, lines: impl IntoIterator<Item = (String, Markup)>) -> Markup {
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
    fn text_stays_text() {
        let put =
            |from: &[u8]| html! { p title=(text(from, 100)) { (text(from, 100)) } }.into_string();
        assert_eq!(
            put(b"<script>'\"&lt;"),
            "<p title=\"&lt;script&gt;'&quot;&amp;lt;\">&lt;script&gt;'&quot;&amp;lt;</p>"
        );
        assert_eq!(
            text("a\0\x1b\n\u{202e}b", 100),
            "a\\u{0}\\u{1b}\\n\\u{202e}b"
        );
        assert_eq!(text(b"caf\xe9", 100), "caf\\xe9");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!([text("abc", 3), text("größe", 3)], ["abc", "grö…"]);
        let long = format!("{}{}.txt", "a".repeat(500), "b".repeat(500));
        let shown = name(&FileName::from(long.as_str()));
        assert!(
            shown.starts_with("aaa") && shown.ends_with("b.txt"),
            "{shown}"
        );
        assert_eq!(shown.chars().count(), 181);
    }
}
