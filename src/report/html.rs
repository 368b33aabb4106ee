//! Markup that nobody's text can become: literals, numbers, and [`Text`], which is escaped when it is made. There is
//! no way to put any other string into a page.

use std::fmt::Write as _;

use crate::job::{FileName, escaped, shortened};

/// A piece of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Markup(String);

/// What can be put into a page.
pub(super) trait Piece {
    /// Puts it at the end.
    fn put(self, to: &mut Markup);
}

/// Puts pieces at the end of a page, one after the other.
macro_rules! put {
    ($to:expr => $($piece:expr),+ $(,)?) => {{ $( $crate::report::html::Piece::put($piece, $to); )+ }};
}
pub(super) use put;

impl Markup {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A literal of this program. Text from elsewhere does not live as long, and does not compile.
impl Piece for &'static str {
    fn put(self, to: &mut Markup) {
        to.0.push_str(self);
    }
}

impl Piece for Markup {
    fn put(self, to: &mut Markup) {
        to.0.push_str(&self.0);
    }
}

impl Piece for Text {
    fn put(self, to: &mut Markup) {
        to.0.push_str(&self.0);
    }
}

macro_rules! digits {
    ($($number:ty),+) => {$(
        /// As plain digits.
        impl Piece for $number {
            fn put(self, to: &mut Markup) {
                let _ = write!(to.0, "{self}");
            }
        }
    )+};
}
digits!(i64, u64, usize, u32);

/// A coordinate, with as many digits as can be seen.
impl Piece for f64 {
    fn put(self, to: &mut Markup) {
        let value = if self.is_finite() { self } else { 0.0 };
        // Adding nothing makes a zero of a negative zero.
        let rounded = (value * 10.0).round() / 10.0 + 0.0;
        let _ = write!(to.0, "{rounded}");
    }
}

/// Text from anywhere, made safe: for people (control characters, what reorders text and bytes that are not UTF-8 can be
/// seen and do nothing) and for a browser (it is text wherever it stands, in an attribute too).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(text: impl AsRef<[u8]>) -> Self {
        Self::from_safe(&escaped(text.as_ref()))
    }

    /// At most so many characters of it.
    pub(super) fn clipped(text: impl AsRef<[u8]>, most: usize) -> Self {
        Self::from_safe(&shortened(text.as_ref(), most))
    }

    /// A file's name: of a long one the beginning and, for it tells more, the end.
    pub(super) fn name(name: &FileName) -> Self {
        const BEGINNING: usize = 60;
        const END: usize = 120;
        let text = name.to_string();
        let length = text.chars().count();
        if length <= BEGINNING + END {
            return Self::from_safe(&text);
        }
        let beginning: String = text.chars().take(BEGINNING).collect();
        let end: String = text.chars().skip(length - END).collect();
        Self::from_safe(&format!("{beginning}…{end}"))
    }

    fn from_safe(text: &str) -> Self {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
        }
        Self(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_text(text: impl AsRef<[u8]>) -> String {
        let mut to = Markup::new();
        put!(&mut to => "<p>", Text::of(text), "</p>");
        to.into_string()
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(
            put_text("<script>alert('1')</script> & \"x\""),
            "<p>&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;</p>"
        );
        assert_eq!(put_text("&lt;"), "<p>&amp;lt;</p>");
        assert_eq!(
            put_text("a\0\x1b\n\u{202e}b"),
            "<p>a\\u{0}\\u{1b}\\n\\u{202e}b</p>"
        );
        assert_eq!(put_text(b"caf\xe9<"), "<p>caf\\xe9&lt;</p>");
        assert_eq!(put_text("größe 文 👍"), "<p>größe 文 👍</p>");
    }

    #[test]
    fn long_text_is_cut_and_never_within_an_escape() {
        assert_eq!(Text::clipped("abc", 3), Text("abc".to_owned()));
        assert_eq!(Text::clipped("&&&&", 2), Text("&amp;&amp;…".to_owned()));
        let long = format!("{}{}.txt", "a".repeat(500), "b".repeat(500));
        let Text(shown) = Text::name(&FileName::from(long.as_str()));
        assert!(
            shown.starts_with("aaa") && shown.ends_with("b.txt"),
            "{shown}"
        );
        assert_eq!(shown.chars().count(), 181);
    }

    #[test]
    fn numbers_are_short_and_always_numbers() {
        let mut to = Markup::new();
        put!(&mut to => 1.0, " ", 1.25, " ", -0.01, " ", f64::NAN, " ", 7_u64);
        assert_eq!(to.into_string(), "1 1.3 0 0 7");
    }
}
