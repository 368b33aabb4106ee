//! How much room text takes on a terminal, in columns, and text that is cut to fit.

use console::measure_text_width;

/// What stands for what was cut off.
const CUT: &str = "…";

/// How many columns a character takes. Where terminals differ it is the most of them: what asks for a coloured picture
/// (U+FE0F) takes one more on some.
fn width_of(c: char) -> usize {
    match c {
        ' '..='~' | '\u{fe0f}' => 1,
        c => measure_text_width(c.encode_utf8(&mut [0; 4])),
    }
}

/// How many columns a text takes, at most.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// How many rows a line takes on a terminal that goes on in the next one where there are no more columns.
pub(crate) fn rows(line: &str, columns: usize) -> usize {
    let (mut rows, mut taken) = (1, 0);
    for each in line.chars().map(width_of) {
        if taken + each > columns && taken > 0 {
            (rows, taken) = (rows + 1, 0);
        }
        taken += each;
    }
    rows
}

/// The beginning of a text, where all of it takes more than so many columns.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(width(CUT));
    let kept = text.chars().take_while(|c| take(&mut room, *c));
    kept.chain(CUT.chars().take(columns)).collect()
}

/// The end of a text, where all of it takes more than so many columns.
pub(crate) fn cut_front(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(width(CUT));
    let kept = text.char_indices().rev();
    let kept = kept.take_while(|(_, c)| take(&mut room, *c)).last();
    let from = kept.map_or(text.len(), |(at, _)| at);
    let cut = CUT.chars().take(columns);
    cut.chain(text[from..].chars()).collect()
}

/// Takes the room of a character, if there is enough.
fn take(room: &mut usize, c: char) -> bool {
    match room.checked_sub(width_of(c)) {
        Some(left) => {
            *room = left;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_to_columns_and_not_to_characters() {
        assert_eq!(cut("stride", 6), "stride");
        assert_eq!(cut("stride", 5), "stri…");
        assert_eq!(cut("文文文", 6), "文文文");
        assert_eq!(cut("文文文", 5), "文文…");
        assert_eq!(cut("文文文", 4), "文…");
        assert_eq!(cut_front("texts/文文", 7), "…s/文文");
        assert_eq!(cut_front("texts/文文", 6), "…/文文");
        for cut in [cut, cut_front] {
            assert_eq!(cut("stride", 1), "…");
            assert_eq!(cut("stride", 0), "");
        }
    }

    #[test]
    fn a_line_goes_on_where_there_are_no_more_columns() {
        assert_eq!(rows("", 4), 1);
        assert_eq!(rows("abcd", 4), 1);
        assert_eq!(rows("abcde", 4), 2);
        // The second one does not fit into the last column.
        assert_eq!(rows("abc文", 4), 2);
        assert_eq!(rows("文文", 3), 2);
        assert_eq!(rows("文", 1), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_cut_fits(text in "\\PC*", columns in 0..50_usize) {
            for cut in [cut(&text, columns), cut_front(&text, columns)] {
                prop_assert!(width(&cut) <= columns, "{cut}");
                prop_assert!(measure_text_width(&cut) <= columns, "{cut}");
            }
        }
    }
}
