//! Scores the sentiment of a text with VADER: a lexicon and a handful of rules, so the same text always gets
//! the same score, without a model, a network or a key. Any text is scored, and in bounded time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use vader_sentimental::SentimentIntensityAnalyzer;

/// How much of a text is scored, in bytes: more than the words below take in any but an odd text.
pub(crate) const MOST_BYTES: usize = 8 << 10;

/// How many of its words are scored, which is a call of several minutes. The analyzer may walk all of them for
/// each one that carries a sentiment, so that its time grows with their square.
const MOST_WORDS: usize = 500;

/// A compound score at least this far from zero is a sentiment: the threshold that VADER's authors advise.
const THRESHOLD: f64 = 0.05;

/// What is known of a text's sentiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sentiment {
    /// `positive`, `negative` or `neutral`.
    pub(crate) label: &'static str,
    /// VADER's compound score, from -1 to 1, with four digits.
    pub(crate) score: f64,
    /// The words of the text that was scored.
    pub(crate) words: usize,
}

/// Scores texts. Built once, for the lexicon is parsed.
#[derive(Debug)]
pub(crate) struct Scorer {
    analyzer: SentimentIntensityAnalyzer<'static>,
}

impl Scorer {
    /// A scorer that is ready: what the analyzer builds on first use is built here.
    pub(crate) fn new() -> Self {
        let scorer = Self {
            analyzer: SentimentIntensityAnalyzer::new(),
        };
        scorer.score("This is not so BAD, and a very kind word \u{1f600} is the best of all!");
        scorer
    }

    /// Scores the beginning of a text.
    pub(crate) fn score(&self, text: &str) -> Sentiment {
        let text = text.trim_start();
        let scored = &text[..text.floor_char_boundary(MOST_BYTES)];
        let words: Vec<_> = scored.split_whitespace().take(MOST_WORDS).collect();
        // A demonstration that a panic of its analyzer ends is worse than one text without a sentiment.
        let compound = catch_unwind(AssertUnwindSafe(|| self.compound(&words))).unwrap_or(0.0);
        // Adding zero turns a negative zero, which would be written as such, into a plain one.
        let score = (compound * 10_000.0).round() / 10_000.0 + 0.0;
        Sentiment {
            label: match score {
                score if score >= THRESHOLD => "positive",
                score if score <= -THRESHOLD => "negative",
                _ => "neutral",
            },
            score,
            words: words.len(),
        }
    }

    fn compound(&self, words: &[&str]) -> f64 {
        // An emoji becomes several words.
        let described = self.analyzer.append_emoji_descriptions(&words.join(" "));
        let words: Vec<_> = described.split_whitespace().take(MOST_WORDS).collect();
        let scores = self.analyzer.polarity_scores(&words.join(" "));
        // Where no word carries a sentiment, question and exclamation marks have nothing to amplify. The
        // analyzer takes them for a negative sentiment, which VADER as published does not.
        if scores.pos > 0.0 || scores.neg > 0.0 {
            scores.compound
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn labels_follow_the_score() {
        let scorer = Scorer::new();
        for (text, label, score) in [
            ("VADER is smart, handsome, and funny.", "positive", 0.8316),
            ("Today SUX!", "negative", -0.5461),
            ("The book was good.", "positive", 0.4404),
            ("At least it isn't a horrible book.", "positive", 0.431),
            ("The parcel is at the depot. Is it? It is!", "neutral", 0.0),
        ] {
            let sentiment = scorer.score(text);
            assert_eq!((sentiment.label, sentiment.score), (label, score), "{text}");
            assert_eq!(sentiment.words, text.split_whitespace().count());
        }
    }

    #[test]
    fn odd_texts_are_scored_in_bounded_time() {
        let scorer = Scorer::new();
        let great = "great ".repeat(1 << 20);
        let lexicon = "aa good ".repeat(1 << 17);
        let emoji = "\u{1f602}".repeat(1 << 18);
        let one_word = "x".repeat(1 << 20);
        let long_and_short = format!("{} {lexicon}", "x".repeat(4 << 10));
        let wide = "\u{1d11e}".repeat(1 << 18);
        for text in [
            "",
            " ",
            "\n\t\u{a0}\u{2003}",
            "!",
            "?!?! ... --- ,,, ;;",
            "[ ] ( ) ' \" '' \"\"",
            "but",
            "least good",
            "kind of",
            "kind",
            "so so so so",
            ":) :( :D ;)",
            "\0\u{1}\u{7f}\u{1b}[31m",
            "\u{feff}\u{200b}\u{200d}\u{fffd}",
            "\u{e4}\u{f6}\u{fc} \u{df} \u{130}\u{131} \u{1e9e} good",
            "\u{4f60}\u{597d} \u{4e16}\u{754c}",
            "\u{645}\u{631}\u{62d}\u{628}\u{627} e\u{301}\u{301}\u{301}",
            "\u{1f600}\u{1f468}\u{200d}\u{1f393}\u{1f3ff}\u{1f1e9}\u{1f1ea}",
            &great,
            &lexicon,
            &emoji,
            &one_word,
            &long_and_short,
            &wide,
        ] {
            let began = Instant::now();
            let sentiment = scorer.score(text);
            let head = text.get(..12).unwrap_or_default();
            assert!((-1.0..=1.0).contains(&sentiment.score), "{head}");
            assert!(sentiment.words <= MOST_WORDS, "{head}");
            // Some milliseconds, on a machine with nothing else to do.
            assert!(began.elapsed() < Duration::from_secs(2), "{head}");
        }
        assert_eq!(scorer.score("").score.to_bits(), 0.0_f64.to_bits());
    }
}
