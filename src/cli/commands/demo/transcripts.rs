//! The demo's files: transcripts of calls to a customer service, made from a few templates. A number always
//! gives the same transcript.

use std::fs;
use std::io;
use std::path::Path;

use fastrand::Rng;

/// Every 75th recording, from the 38th on, ends after a word or two.
const NEARLY_EMPTY: (usize, usize) = (75, 38);

const NAMES: &str = "{Alice|Amir|Carla|Chen|Elif|Fatima|Igor|Kofi|Lars|Leo|Maria|Mei|Nadia|Omar|Priya|Rosa|Tom|Yuki}";

const OPENING: &str = "\
Agent: {Customer service|Service desk|Customer line}, {how can I help you?|what is it about?|who is calling?}
Customer: {Hello, this is NAME.|Hi, NAME here.|Hello, my name is NAME.}";

/// The rest of a call. `{this|that}` is replaced by one of its alternatives, and `NAME` by the customer's name.
const CALLS: [&str; 5] = [
    " My {parcel|bookshelf|new kettle} came {a day early|this morning}, and {I love it|it is perfect}.
Agent: {How lovely|That is great to hear}, NAME. I will {tell the driver|pass that on to the depot}.
Customer: {Please do.|Yes, please.} The driver {was very kind|even carried it up the stairs}. {Thank you!|Well done!}",
    " We stayed in your hotel {by the lake|at the station|in the mill}, and {it was fantastic|we loved it}.
Agent: {How wonderful|Thank you}, NAME. Would you like {the same room|a room with a view} next time?
Customer: {With pleasure.|Yes, please.} The {breakfast|garden} was {superb|amazing}. {Thanks!|All the best!}",
    " You {charged me twice|took 89 euros too much} {in May|this month}. {I am angry.|My letters have no answer.}
Agent: {The system is wrong, NAME.|I am sorry, NAME.} {It may take six weeks to correct.|It cannot be stopped today.}
Customer: {That is unacceptable.|What a disgrace.} {I will complain.|I hate calling this line.} {It is useless.|Bye.}",
    " Your app {crashes|fails} {when I try to pay|each time I open it}. {It has lost my tickets.|It is a nightmare.}
Agent: It is a known error, NAME. {There is no solution yet, I am afraid.|The last version is bad, I am sorry.}
Customer: {I missed my train because of it.|I paid a fine of 60 euros.} {I am annoyed.|That is terrible.}",
    " I am moving to {the next town|the second floor} in {May|June}. {What do you need|How long does it take}?
Agent: {I need the new address, NAME.|It takes ten days, NAME.} {An engineer comes at eight.|The box comes by post.}
Customer: {It is on the corner.|I am at home from nine.} And {the cable|the old box}, {do I bring it|does it stay}?",
];

/// Writes the first `count` transcripts into a folder. A file that has its text already keeps its modification time:
/// the run would take another one for a change.
pub(super) fn write(folder: &Path, count: usize) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    (1..=count).try_for_each(|number| {
        let path = folder.join(format!("call-{number:04}.txt"));
        let text = transcript(number);
        match fs::read(&path) {
            Ok(present) if present == text.as_bytes() => Ok(()),
            _ => fs::write(path, text),
        }
    })
}

fn transcript(number: usize) -> String {
    let mut rng = Rng::with_seed(number as u64);
    let (every, first) = NEARLY_EMPTY;
    if number % every == first {
        return expand("Customer: {Hello?|Sorry, wrong number.}\n", &mut rng);
    }
    let name = expand(NAMES, &mut rng);
    let call = CALLS[rng.usize(..CALLS.len())];
    expand(&format!("{OPENING}{call}\n"), &mut rng).replace("NAME", &name)
}

/// Replaces each `{this|that}` by one of its alternatives.
fn expand(template: &str, rng: &mut Rng) -> String {
    let mut parts = template.split(['{', '}']);
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let (Some(group), Some(rest)) = (parts.next(), parts.next()) {
        let alternatives: Vec<&str> = group.split('|').collect();
        text.push_str(alternatives[rng.usize(..alternatives.len())]);
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcripts_are_complete_and_distinct() {
        let mut texts: Vec<String> = (1..=300).map(transcript).collect();
        let is_short = |text: &&String| text.split_whitespace().count() < 5;
        assert_eq!(texts.iter().filter(is_short).count(), 4);
        for text in &texts {
            let has_rest = text.contains(['{', '}', '|']) || text.contains("NAME");
            assert!(!has_rest, "{text}");
        }
        texts.sort();
        texts.dedup();
        assert!(texts.len() > 290);
    }
}
