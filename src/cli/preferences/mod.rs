//! What is set elsewhere than on the command line: by `STRIDE_` variables, by `stride.toml` beside the database, and by the
//! user's own `stride.toml`, in this order.
//!
//! None of them ever takes the place of a flag, be it given now or remembered by the run: so a file that somebody has
//! long forgotten makes no run faster than it was told to be.

mod file;
mod typed;

use std::collections::BTreeSet;
use std::error::Error as _;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use clap::error::ContextKind;
use clap::{Args as ClapArgs, Command, CommandFactory as _, FromArgMatches as _, ValueEnum as _};
use serde_json::Value;
use stride::class::ClassRule;
use stride::job::{FileName, escaped};
use stride::settings::Settings;

use super::args::{Args, Color, Once, Outputs};
use super::environment::{config_folder, names, variable};
use super::error::Problem;
use super::terminal::Terminal;
use super::tuning::Free;
pub(crate) use typed::Typed;

/// The name of the files.
const FILE: &str = "stride.toml";

/// All that can be set elsewhere than on the command line.
#[derive(Debug, Default, ClapArgs)]
struct Stands {
    #[command(flatten)]
    free: Free,
    /// Put answers into another class, such as status=409:transient or body~overloaded:throttled
    #[arg(long, value_name = "RULE")]
    class: Vec<ClassRule>,
    #[command(flatten)]
    outputs: Outputs,
    /// Use no proxy, whatever the environment says
    #[arg(long)]
    no_proxy: bool,
    /// When to use colours
    #[arg(long, value_enum, value_name = "WHEN")]
    color: Option<Color>,
}

/// What was found, and where. Of each setting the first has the word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preferences(Vec<Preference>);

/// A setting that is set elsewhere than on the command line.
#[derive(Debug, Clone)]
struct Preference {
    /// The flag's name.
    name: String,
    /// What would be given to the flag: several times where there are several.
    values: Vec<String>,
    origin: Origin,
}

/// Where a preference is from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Variable(String),
    Line { file: PathBuf, line: usize },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::Line { file, line } => {
                write!(f, "{}, line {line}", FileName::from(file.as_path()))
            }
        }
    }
}

/// Takes the preferences for a command that makes calls: those that are not remembered by a run at once, the others for
/// when it is known what the run remembers.
///
/// # Errors
///
/// A variable or a line of a file that is not understood: nobody should believe in a budget that is none.
pub(crate) fn prefer(
    db: &Path,
    free: &mut Free,
    once: &mut Once,
    outputs: Option<&mut Outputs>,
    terminal: &Terminal,
) -> Result<(), Problem> {
    for (name, similar) in misspelt() {
        terminal.say(&format!(
            "{} STRIDE_{} means nothing to stride; write STRIDE_{similar} if that was meant",
            terminal.bold("warning:"),
            escaped(name.as_bytes())
        ));
    }
    let preferences = Preferences::find(db)?;
    let stands = read(preferences.chosen(|_| true))?;
    once.no_proxy |= stands.no_proxy;
    if let Some(outputs) = outputs {
        let Outputs { events, on_finish } = stands.outputs;
        outputs.events = outputs.events.take().or(events);
        outputs.on_finish = outputs.on_finish.take().or(on_finish);
    }
    free.live.preferences = preferences;
    Ok(())
}

/// When to use colours, where the command line leaves it open. What is wrong with a file is said when it matters.
pub(crate) fn color(given: Color, db: &Path) -> Color {
    if given != Color::Auto {
        return given;
    }
    let from_file = || {
        let found = places(db).into_iter().filter_map(|(path, own)| {
            let found = file::read(&path, own, &flags()).ok()?;
            found.into_iter().find(|found| found.name == "color")
        });
        found
            .filter_map(|found| worded(found.values.first()?))
            .next()
    };
    color_variable().or_else(from_file).unwrap_or(given)
}

/// What `STRIDE_COLOR` says.
pub(crate) fn color_variable() -> Option<Color> {
    worded(&String::from_utf8(variable("STRIDE_COLOR")?).ok()?)
}

fn worded(word: &str) -> Option<Color> {
    Color::from_str(word, false).ok()
}

impl Preferences {
    /// Looks for variables and files.
    fn find(db: &Path) -> Result<Self, Problem> {
        let flags = flags();
        let mut found = variables(&flags)?;
        for (path, own) in places(db) {
            found.extend(file::read(&path, own, &flags)?);
        }
        // Each is understood by itself, or its place is named.
        for preference in &found {
            let stands = read([preference])?;
            if stands.free.put(Settings::default(), &[]).is_err() {
                return Err(preference.told("`none` says that there is no rate", "write it alone"));
            }
        }
        let mut first: Vec<Preference> = Vec::new();
        for preference in found {
            if first.iter().all(|other| other.name != preference.name) {
                first.push(preference);
            }
        }
        Ok(Self(first))
    }

    fn chosen(&self, such: impl Fn(&str) -> bool) -> impl Iterator<Item = &Preference> {
        self.0.iter().filter(move |found| such(&found.name))
    }

    /// Those that have the word for a run of these settings, beside what is typed.
    fn standing(&self, kept: &Settings, typed: &Typed) -> Vec<&Preference> {
        let (given, known) = (given(kept), remembered());
        self.chosen(|name| known.contains(name) && !given.contains(name) && !typed.has(name))
            .collect()
    }

    /// Puts them over what a run remembers.
    ///
    /// # Errors
    ///
    /// None that [`prefer`] has not found before.
    pub(crate) fn under(&self, typed: &Typed, kept: Settings) -> Result<Settings, Problem> {
        let stands = read(self.standing(&kept, typed))?;
        let settings = Settings {
            given: Some(given(&kept)),
            ..kept
        };
        stands.free.put(settings, &stands.class)
    }

    /// What they say that is not what everybody has, for the user.
    pub(crate) fn told(&self, typed: &Typed, kept: &Settings) -> Option<String> {
        let told: Vec<String> = self
            .standing(kept, typed)
            .into_iter()
            .map(|found| {
                let value = escaped(found.values.join(", ").as_bytes());
                format!("{} = {value} ({})", found.name, found.origin)
            })
            .collect();
        (!told.is_empty()).then(|| format!("settings: {}", told.join("; ")))
    }
}

/// Returns what the user's own settings say of the end of every run, and of files that are written meanwhile.
///
/// # Errors
///
/// As [`prefer`].
pub(crate) fn at_end(db: &Path) -> Result<Vec<String>, Problem> {
    let names = ["events", "on-finish"];
    let found = Preferences::find(db)?;
    let told = found.chosen(|name| names.contains(&name)).map(|found| {
        let value = escaped(found.values.join(", ").as_bytes());
        format!("{} = {value} ({})", found.name, found.origin)
    });
    Ok(told.collect())
}

/// The settings that a run remembers, by their flags' names.
fn remembered() -> BTreeSet<String> {
    let command = Free::augment_args(Command::new("settings"));
    let longs = command.get_arguments().filter_map(clap::Arg::get_long);
    let names = longs.map(str::to_owned);
    names.chain(["class".to_owned()]).collect()
}

/// The settings that a run has been given by flags. One that was made before this was noted was given what is not as
/// everybody has it.
pub(crate) fn given(kept: &Settings) -> BTreeSet<String> {
    if let Some(given) = &kept.given {
        return given.clone();
    }
    let stored = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let usual = stored(&Settings::default());
    let differs = stored(kept)
        .into_iter()
        .filter(|(name, value)| usual.get(name) != Some(value));
    differs
        .map(|(name, _)| match name.as_str() {
            "classes" => "class".to_owned(),
            name => name.replace('_', "-"),
        })
        .collect()
}

/// The settings that are given by now: those that were, and those that are typed.
pub(crate) fn given_with(before: &Settings, typed: &Typed, classes: bool) -> BTreeSet<String> {
    let known = remembered();
    let mut given = given(before);
    let typed = typed.names().filter(|name| known.contains(*name));
    // `retry --class` may choose failures instead of saying what class answers are in.
    given.extend(typed.filter(|name| *name != "class").map(str::to_owned));
    given.extend(classes.then(|| "class".to_owned()));
    given
}

/// The parser of all that can be set elsewhere.
fn flags() -> Command {
    Stands::augment_args(Command::new("stride"))
        .no_binary_name(true)
        .disable_help_flag(true)
}

/// The file beside a database, whether or not there is one.
pub(crate) fn beside(db: &Path) -> PathBuf {
    db.parent().unwrap_or(Path::new("")).join(FILE)
}

/// The files, and whether each is the user's own.
fn places(db: &Path) -> Vec<(PathBuf, bool)> {
    let own = config_folder().map(|folder| (folder.join(FILE), true));
    [(beside(db), false)].into_iter().chain(own).collect()
}

/// The variable that stands for a flag, without the beginning that they have in common.
fn variable_name(flag: &str) -> String {
    flag.to_uppercase().replace('-', "_")
}

/// Variables that are nearly those of settings, and the names of these. What else begins with `STRIDE_` may be anybody's.
fn misspelt() -> Vec<(String, String)> {
    let flags = flags();
    let longs = flags.get_arguments().filter_map(clap::Arg::get_long);
    let known: Vec<String> = longs.chain(["db"]).map(variable_name).collect();
    let unknown = names("STRIDE_").into_iter();
    unknown
        .filter(|name| !known.contains(name))
        .filter_map(|name| {
            let near = |known: &&String| strsim::damerau_levenshtein(&name, known) == 1;
            let similar = known.iter().find(near)?.clone();
            Some((name, similar))
        })
        .collect()
}

/// What the environment says.
fn variables(flags: &Command) -> Result<Vec<Preference>, Problem> {
    let mut found = Vec::new();
    for name in flags.get_arguments().filter_map(clap::Arg::get_long) {
        let whole_name = format!("STRIDE_{}", variable_name(name));
        let Some(value) = variable(&whole_name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let origin = Origin::Variable(whole_name);
        // Paths may have any bytes, and events alone is a path; it is read as text all the same, as a file has it.
        let text = OsString::from_vec(value).into_string().map_err(|_| {
            Problem::usage(format!("{origin} is not UTF-8"))
                .note("nothing was changed")
                .hint("write it in UTF-8, or take it out of the environment")
        })?;
        let values = match name {
            "rate" => text.split(',').map(|rate| rate.trim().to_owned()).collect(),
            "class" => text.lines().map(str::to_owned).collect(),
            _ => vec![text],
        };
        found.push(Preference {
            name: name.to_owned(),
            values,
            origin,
        });
    }
    Ok(found)
}

/// Reads preferences as if they were flags.
fn read<'p>(preferences: impl IntoIterator<Item = &'p Preference>) -> Result<Stands, Problem> {
    let (mut words, mut last) = (Vec::new(), None);
    let flags = flags();
    for preference in preferences {
        words.extend(preference.words(&flags)?);
        last = Some(preference);
    }
    let matches = flags.try_get_matches_from(words);
    let stands = matches.and_then(|matches| Stands::from_arg_matches(&matches));
    stands.map_err(|error| match last {
        Some(preference) => preference.wrong(&error),
        None => Problem::usage(error.to_string()),
    })
}

impl Preference {
    /// The words of a command line that say the same.
    fn words(&self, flags: &Command) -> Result<Vec<String>, Problem> {
        let mut args = flags.get_arguments();
        let arg = args.find(|arg| arg.get_long() == Some(&self.name));
        let takes_value = arg.is_some_and(|arg| arg.get_action().takes_values());
        if takes_value {
            let words = self.values.iter();
            return Ok(words
                .map(|value| format!("--{}={value}", self.name))
                .collect());
        }
        match self.values.first().map(String::as_str) {
            Some("true" | "1" | "yes") => Ok(vec![format!("--{}", self.name)]),
            Some("false" | "0" | "no") => Ok(Vec::new()),
            _ => Err(self.told("it is neither true nor false", "write true or false")),
        }
    }

    /// That it cannot be read, and where it is.
    fn wrong(&self, error: &clap::Error) -> Problem {
        let said = error.source().map(ToString::to_string);
        let said = said.unwrap_or_else(|| {
            let value = self.values.join(", ");
            match error.get(ContextKind::ValidValue) {
                Some(values) => format!("`{value}` is none of {values}"),
                None => format!("`{value}` cannot be read"),
            }
        });
        match said.split_once(": write ") {
            Some((said, form)) => self.told(said, &format!("write {form}")),
            None => self.told(&said, "mend it there, or take it out"),
        }
    }

    fn told(&self, said: &str, hint: &str) -> Problem {
        let said = escaped(said.as_bytes());
        Problem::usage(match &self.origin {
            Origin::Variable(name) => format!("{name}: {said}"),
            origin => format!("{origin}: {}: {said}", self.name),
        })
        .note("nothing was changed")
        .hint(escaped(hint.as_bytes()))
    }
}

/// Whether a flag of this name is one of `stride run`, though no setting.
fn is_other_flag(name: &str) -> bool {
    let command = Args::command();
    let run = command.find_subcommand("run");
    run.is_some_and(|run| run.get_arguments().any(|arg| arg.get_long() == Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_stored_under_its_flags_name() {
        let stored = serde_json::to_value(Settings::default()).unwrap();
        for name in remembered() {
            let field = match name.as_str() {
                "class" => "classes".to_owned(),
                name => name.replace('-', "_"),
            };
            assert!(stored.get(&field).is_some(), "{field}");
        }
    }

    #[test]
    fn an_older_run_was_given_what_is_not_as_everybody_has_it() {
        let kept = Settings {
            retries: 9,
            max_calls: Some(3),
            ..Settings::default()
        };
        let names: Vec<String> = given(&kept).into_iter().collect();
        assert_eq!(names, ["max-calls", "retries"]);
        assert!(given(&Settings::default()).is_empty());
        let noted = Settings {
            given: Some(BTreeSet::new()),
            ..kept
        };
        assert!(given(&noted).is_empty());
    }
}
