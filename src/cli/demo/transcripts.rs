//! Writes the demo's files: short transcripts of calls to a customer service, made up from a small grammar.
//! The same number always gives the same call, so that a demonstration can be repeated.

use std::fs;
use std::io;
use std::path::Path;

use fastrand::Rng;

use super::scenes::{
    ASKING, CLOSINGS, DAYS, GOODBYES, GREETINGS, Mood, NAMES, NEARLY_EMPTY, OPENINGS, SCENES, Scene,
};

/// One call in so many was cut off after a word or two.
const NEARLY_EMPTY_EVERY: usize = 75;

/// The first of those, early enough to be in a short list.
const FIRST_NEARLY_EMPTY: usize = 38;

/// Added to a call's number. Another one makes other calls.
const SEED: u64 = 0x5712_1DE0;

/// Writes the first `count` transcripts into a folder, which is made if need be. A file that is there already,
/// with the same content, is left alone.
pub(crate) fn write(folder: &Path, count: usize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for number in 1..=count {
        let path = folder.join(format!("call-{number:04}.txt"));
        let text = transcript(number);
        if !fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            fs::write(&path, text)?;
        }
    }
    Ok(())
}

/// The text of one call.
fn transcript(number: usize) -> String {
    let mut call = Call::new(number);
    if number % NEARLY_EMPTY_EVERY == FIRST_NEARLY_EMPTY {
        call.say("Customer", &[NEARLY_EMPTY]);
        return call.text;
    }
    let mood = match call.rng.u8(..100) {
        0..40 => Mood::Positive,
        40..75 => Mood::Negative,
        _ => Mood::Neutral,
    };
    if let Some(scene) = call.rng.choice(SCENES.of(mood)) {
        call.play(scene, mood);
    }
    call.text
}

/// A call in the making.
struct Call {
    rng: Rng,
    name: &'static str,
    text: String,
}

impl Call {
    fn new(number: usize) -> Self {
        let mut rng = Rng::with_seed(SEED.wrapping_add(number as u64));
        Self {
            name: pick(&mut rng, NAMES),
            rng,
            text: String::new(),
        }
    }

    /// Plays a scene from the first word to the last.
    fn play(&mut self, scene: &Scene, mood: Mood) {
        self.say("Agent", &[OPENINGS]);
        self.say("Customer", &[GREETINGS, scene.matter]);
        // Nobody asks for a reference when there is nothing to settle.
        if mood != Mood::Positive && self.rng.u8(..3) > 0 {
            let (question, answer) = ASKING;
            self.say("Agent", &[question]);
            self.say("Customer", &[answer]);
        }
        self.say("Agent", &[scene.reply]);
        self.say("Customer", &[scene.reaction]);
        // A third of the recordings ends here.
        if self.rng.u8(..3) == 0 {
            return;
        }
        self.say("Agent", &[CLOSINGS.of(mood)]);
        if self.rng.bool() {
            self.say("Customer", &[GOODBYES.of(mood)]);
        }
    }

    /// Adds a line in which somebody says what the templates expand to.
    fn say(&mut self, speaker: &str, templates: &[&str]) {
        self.text.push_str(speaker);
        self.text.push(':');
        for template in templates {
            self.text.push(' ');
            let said = self.expand(template);
            self.text.push_str(&said);
        }
        self.text.push('\n');
    }

    /// A template with one of the alternatives for each `{this|that}`, and with what `{name}`, `{day}` and
    /// `{number}` stand for.
    fn expand(&mut self, template: &str) -> String {
        let mut text = template.to_owned();
        // The group that begins last has no other within it.
        while let Some(start) = text.rfind('{')
            && let Some(length) = text[start..].find('}')
        {
            let end = start + length;
            let said = match &text[start + 1..end] {
                "name" => self.name.to_owned(),
                "day" => pick(&mut self.rng, DAYS).to_owned(),
                "number" => self.rng.u32(10_000..100_000).to_string(),
                alternatives => pick(&mut self.rng, alternatives).to_owned(),
            };
            text.replace_range(start..=end, &said);
        }
        text
    }
}

/// One of the alternatives `this|that`.
fn pick<'a>(rng: &mut Rng, alternatives: &'a str) -> &'a str {
    rng.choice(alternatives.split('|').collect::<Vec<_>>())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, SystemTime};

    use super::super::sentiment::Scorer;
    use super::*;

    fn is_nearly_empty(number: usize) -> bool {
        number % NEARLY_EMPTY_EVERY == FIRST_NEARLY_EMPTY
    }

    #[test]
    fn the_same_files_are_written_each_time() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let nested = first.path().join("a/b");
        write(&nested, 120).unwrap();
        write(second.path(), 100).unwrap();
        assert_eq!(fs::read_dir(&nested).unwrap().count(), 120);
        assert_eq!(fs::read_dir(second.path()).unwrap().count(), 100);
        for number in 1..=100 {
            let name = format!("call-{number:04}.txt");
            let [a, b] = [&nested, second.path()].map(|folder| fs::read(folder.join(&name)));
            assert_eq!(a.unwrap(), b.unwrap(), "{name}");
        }
    }

    #[test]
    fn only_a_file_that_differs_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 2).unwrap();
        let [same, other] =
            [1, 2].map(|number| folder.path().join(format!("call-000{number}.txt")));
        fs::write(&other, "else").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let file = fs::File::options().write(true).open(&same).unwrap();
        file.set_modified(long_ago).unwrap();
        write(folder.path(), 2).unwrap();
        assert_eq!(fs::metadata(&same).unwrap().modified().unwrap(), long_ago);
        assert_eq!(fs::read_to_string(&other).unwrap(), transcript(2));
    }

    #[test]
    fn transcripts_are_whole_and_differ() {
        let mut seen = HashSet::new();
        for number in (1..=2_000).filter(|&number| !is_nearly_empty(number)) {
            let text = transcript(number);
            let words = text.split_whitespace().count();
            assert!((40..=140).contains(&words), "{words} words: {text}");
            assert!(
                !text.contains(['{', '}', '|']) && !text.contains("  "),
                "{text}"
            );
            assert!(
                text.starts_with("Agent: ") && text.contains("\nCustomer: "),
                "{text}"
            );
            assert!(
                seen.insert(text),
                "call {number} is not the first one like it"
            );
        }
    }

    #[test]
    fn a_few_calls_are_nearly_empty() {
        let empty: Vec<_> = (1..=300)
            .filter(|&number| is_nearly_empty(number))
            .collect();
        assert_eq!(empty, [38, 113, 188, 263]);
        for number in empty {
            let text = transcript(number);
            assert!((1..5).contains(&text.split_whitespace().count()), "{text}");
        }
    }

    #[test]
    fn the_moods_are_mixed_and_can_be_told() {
        let scorer = Scorer::new();
        let mut counts = [0; 3];
        for number in (1..=1_000).filter(|&number| !is_nearly_empty(number)) {
            match scorer.score(&transcript(number)).label {
                "positive" => counts[0] += 1,
                "negative" => counts[1] += 1,
                _ => counts[2] += 1,
            }
        }
        let [positive, negative, neutral] = counts;
        assert!((360..440).contains(&positive), "{counts:?}");
        assert!((310..390).contains(&negative), "{counts:?}");
        assert!((210..290).contains(&neutral), "{counts:?}");
    }

    #[test]
    fn each_scene_sounds_as_it_should() {
        let scorer = Scorer::new();
        for (mood, label) in [
            (Mood::Positive, "positive"),
            (Mood::Negative, "negative"),
            (Mood::Neutral, "neutral"),
        ] {
            for scene in SCENES.of(mood) {
                for number in 0..200 {
                    let mut call = Call::new(number);
                    call.play(scene, mood);
                    let sentiment = scorer.score(&call.text);
                    assert_eq!(sentiment.label, label, "{sentiment:?}: {}", call.text);
                }
            }
        }
    }
}
