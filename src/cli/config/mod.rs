//! Resolves the settings of a run. Highest precedence first: this command's flags, earlier commands' flags, `STRIDE_`
//! variables, the user's `stride.toml`, stored values.
//!
//! A forgotten variable or file must not change a setting that a flag has set. So a run remembers which settings flags have
//! set ([`Settings::given`]), and the others are configured anew each time.
//!
//! The flags' parser also parses values of variables and the file, under the flags' names. A struct for `serde` would
//! repeat each setting together with its format.

mod sources;

use std::error::Error as _;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Args as ClapArgs, Command, FromArgMatches as _};

use stride::failure_class::ClassRule;
use stride::job::escaped;
use stride::limits::{Measure, Rates};
use stride::settings::{Call, Settings};
use stride::store::wall_clock;

use crate::cli::args::settings::{LimitArgs, SettingsArgs};
use crate::cli::args::{InvocationArgs, Outputs};
use crate::cli::output::error::CliError;
use crate::cli::output::terminal::{Color, Terminal};
use sources::{Entry, wrong};

/// Everything that can be configured, under the flags' names.
#[derive(Debug, ClapArgs)]
struct ConfigArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    #[arg(long)]
    class: Vec<ClassRule>,
    #[command(flatten)]
    outputs: Outputs,
    #[arg(long, value_parser = BoolishValueParser::new())]
    no_proxy: Option<bool>,
    #[arg(long, value_enum)]
    color: Option<Color>,
    #[arg(long, value_parser = BoolishValueParser::new())]
    quiet: Option<bool>,
}

/// The names of flags that hold for one invocation and are not settings of a run.
const NOT_REMEMBERED: [&str; 7] = [
    "end-with",
    "events",
    "wait-lock",
    "on-finish",
    "no-proxy",
    "color",
    "quiet",
];

/// The entries of variables and the user's file: for each setting, the one that takes precedence.
#[derive(Debug)]
pub(crate) struct Config(Vec<Entry>);

/// The settings of a run, resolved.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) settings: Settings,
    /// A message that lists the configured settings with their origins.
    note: Option<String>,
}

impl Resolved {
    /// Prints the settings that come from variables or the file, and returns all settings of the run.
    pub(crate) fn announce(self, terminal: &Terminal) -> Settings {
        if let Some(note) = self.note {
            terminal.say(&note);
        }
        self.settings
    }
}

impl Config {
    /// Reads variables and the user's file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or parsed, a name in it is unknown, or a value is invalid. A misspelt variable only causes a
    /// warning, in `load`.
    fn read() -> Result<Self, CliError> {
        let flags = flags();
        let mut entries: Vec<Entry> = Vec::new();
        for entry in sources::variables(&flags)?
            .into_iter()
            .chain(sources::file(&flags)?)
        {
            parse([&entry])?;
            if entries.iter().all(|other| other.name != entry.name) {
                entries.push(entry);
            }
        }
        Ok(Self(entries))
    }

    /// Reads the configuration of a command that makes calls. Warns about misspelt variables, and sets `--no-proxy`,
    /// `--events`, `--wait-lock` and `--on-finish` where they were not typed.
    ///
    /// # Errors
    ///
    /// As [`Config::read`].
    pub(crate) fn load(
        invocation: &mut InvocationArgs,
        outputs: Option<&mut Outputs>,
        terminal: &Terminal,
    ) -> Result<Self, CliError> {
        for warning in sources::misspelt(&flags()) {
            terminal.warn(&warning);
        }
        let config = Self::read()?;
        let args = parse(&config.0)?;
        invocation.no_proxy |= args.no_proxy == Some(true);
        if let Some(outputs) = outputs {
            outputs.typed = outputs.flags();
            outputs.events = outputs.events.take().or(args.outputs.events);
            outputs.wait_lock = outputs.wait_lock.or(args.outputs.wait_lock);
            outputs.on_finish = outputs.on_finish.take().or(args.outputs.on_finish);
        }
        Ok(config)
    }

    /// Resolves the settings of a run that remembers `kept`.
    ///
    /// # Errors
    ///
    /// The settings do not fit together.
    pub(crate) fn resolve(
        &self,
        flags: &SettingsArgs,
        classes: &[ClassRule],
        kept: &Settings,
        call: &Call,
    ) -> Result<Resolved, CliError> {
        let given = apply(flags, classes, kept.clone())?.given;
        let entries = self.0.iter().filter(|entry| {
            !given.contains(&entry.name) && !NOT_REMEMBERED.contains(&&*entry.name)
        });
        let entries: Vec<&Entry> = entries.collect();
        let note = (!entries.is_empty()).then(|| {
            let entries = entries.iter().map(ToString::to_string);
            format!("settings: {}", entries.collect::<Vec<_>>().join("; "))
        });
        let configured = parse(entries)?;
        let settings = apply(&configured.settings, &configured.class, kept.clone())
            .and_then(|settings| apply(flags, classes, settings))
            .and_then(|settings| check(settings, call))
            .map_err(|cli_error| match &note {
                Some(note) => cli_error.note(note),
                None => cli_error,
            })?;
        Ok(Resolved {
            settings: Settings { given, ..settings },
            note,
        })
    }
}

/// Returns the settings of a run with the limits that flags change.
///
/// # Errors
///
/// The settings do not fit together.
pub(crate) fn change_limits(
    limits: &LimitArgs,
    kept: &Settings,
    call: &Call,
) -> Result<Settings, CliError> {
    check(apply_limits(limits, kept.clone())?, call)
}

/// Returns the flag's choice of colours, or else the configured one. Ignores an invalid configuration, which commands that
/// make calls report.
pub(crate) fn color(flag: Option<Color>) -> Color {
    let configured = || preferences().and_then(|args| args.color);
    flag.or_else(configured).unwrap_or(Color::Auto)
}

/// Returns whether a flag or the configuration asks for quiet.
pub(crate) fn quiet(flag: bool) -> bool {
    flag || preferences().and_then(|args| args.quiet) == Some(true)
}

/// Returns the configuration, unless it is invalid.
fn preferences() -> Option<ConfigArgs> {
    Config::read().and_then(|config| parse(&config.0)).ok()
}

/// Returns the configured events file and command, for display. The list is empty if the configuration is invalid.
pub(crate) fn outputs() -> Vec<String> {
    let entries = Config::read().map_or_else(|_| Vec::new(), |config| config.0);
    let outputs = entries
        .iter()
        .filter(|entry| ["events", "on-finish"].contains(&&*entry.name));
    outputs.map(ToString::to_string).collect()
}

/// Returns the parser of configured values.
fn flags() -> Command {
    ConfigArgs::augment_args(Command::new("stride"))
        .no_binary_name(true)
        .disable_help_flag(true)
}

/// Parses entries as if they were flags.
fn parse<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Result<ConfigArgs, CliError> {
    let (mut words, mut last) = (Vec::new(), None);
    for entry in entries {
        let values = entry.values.iter();
        words.extend(values.map(|value| format!("--{}={value}", entry.name)));
        last = Some(entry);
    }
    let matches = flags().try_get_matches_from(words);
    let args = matches.and_then(|matches| ConfigArgs::from_arg_matches(&matches));
    args.map_err(|error| {
        let reason = match (error.source(), error.get(ContextKind::ValidValue)) {
            (Some(source), _) => escaped(source.to_string().as_bytes()).to_string(),
            (None, Some(ContextValue::Strings(values))) if values.is_empty() => {
                "the value is empty".to_owned()
            }
            (None, Some(values)) => format!("the value is unknown; use one of {values}"),
            (None, None) => "the setting takes one value".to_owned(),
        };
        match last {
            Some(entry) => wrong(format!("{entry}: {reason}")),
            None => wrong(reason),
        }
    })
}

/// Replaces each setting whose flag has a value, and records its name. Destructures the flags, so that the compiler
/// reports a forgotten one.
macro_rules! replace {
    ($args:ident: $type:ident, but $other:ident => $settings:ident: $($name:ident)+) => {
        let $type { $other: _, $($name),+ } = $args;
        $(if let Some(value) = $name.clone() {
            $settings.$name = value.into();
            $settings.given.insert(stringify!($name).replace('_', "-"));
        })+
    };
}

fn apply(
    args: &SettingsArgs,
    classes: &[ClassRule],
    settings: Settings,
) -> Result<Settings, CliError> {
    let mut settings = apply_limits(&args.limits, settings)?;
    replace!(args: SettingsArgs, but limits => settings: retries retry_delay retry_max_delay retry_after settle in_doubt timeout idle_timeout
        connect_timeout max_response pool workers worker_start min_free grace);
    if let (Some(delay), None) = (args.retry_delay, args.retry_max_delay) {
        // A longer first delay needs a longer maximum.
        settings.retry_max_delay = settings.retry_max_delay.max(delay);
    }
    if !classes.is_empty() {
        settings.classes = classes.to_vec();
        settings.given.insert("class".to_owned());
    }
    Ok(settings)
}

fn apply_limits(args: &LimitArgs, mut settings: Settings) -> Result<Settings, CliError> {
    // A past moment has stopped the run once, and must not stop it again.
    settings.until = settings.until.filter(|until| *until > wall_clock());
    replace!(args: LimitArgs, but rate => settings: threads burst weight max_wait max_outage max_failures max_calls max_duration max_cost
        cost poll_every poll_for max_submitted until);
    if !args.rate.is_empty() {
        let rates = Rates::parse(args.rate.iter().map(String::as_str));
        settings.rates = rates
            .map_err(|reason| CliError::usage(reason).hint("use `none` alone, or leave it out"))?;
        settings.given.insert("rate".to_owned());
    }
    Ok(settings)
}

/// Refuses a setting without one that it needs.
fn check(settings: Settings, call: &Call) -> Result<Settings, CliError> {
    let weighs = settings.rates.counts(Measure::Weight);
    if weighs && settings.weight.is_none() {
        return Err(CliError::usage("a rate in weights needs --weight")
            .hint("use --weight size/4, for example"));
    }
    if settings.weight.is_some() && !weighs {
        return Err(CliError::usage("--weight needs a rate in weights")
            .hint("use one, such as --rate 90000w/m, or remove the weight with --weight none"));
    }
    if settings.settle.is_some() && !weighs {
        return Err(CliError::usage("--settle needs a rate in weights").hint(
            "use one, such as --rate 90000w/m with --weight size/4, or remove it with --settle none",
        ));
    }
    // Workers and Rust programs state costs with their answers.
    let states_cost = call.has_workers() || matches!(call, Call::Program { .. });
    if settings.max_cost.is_some() && settings.cost.is_none() && !states_cost {
        return Err(CliError::usage("--max-cost needs --cost")
            .hint("use --cost 0.0015 or --cost '.usage.total_tokens * 0.000002', for example"));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use stride::settings::Threads;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: SettingsArgs,
    }

    fn resolved(flags: &str, kept: &Settings) -> Result<Settings, CliError> {
        let words = ["stride"].into_iter().chain(flags.split_whitespace());
        let flags = Flags::parse_from(words).settings;
        let call = Call::Program {
            name: "test".to_owned(),
        };
        let resolved = Config(Vec::new()).resolve(&flags, &[], kept, &call)?;
        Ok(resolved.settings)
    }

    #[test]
    fn every_setting_is_noted_under_its_flags_name() {
        let stored = serde_json::to_value(Settings::default()).unwrap();
        for arg in flags().get_arguments().filter_map(clap::Arg::get_long) {
            let field = match arg {
                "class" => "classes".to_owned(),
                name => name.replace('-', "_"),
            };
            let is_stored = stored.get(&field).is_some();
            assert_eq!(is_stored, !NOT_REMEMBERED.contains(&arg), "{field}");
        }
    }

    #[test]
    fn a_longer_first_delay_raises_the_maximum_unless_one_is_given() {
        let bound = |flags| {
            let settings = resolved(flags, &Settings::default()).unwrap();
            settings.retry_max_delay.as_secs()
        };
        assert_eq!(bound("--retry-delay 300s"), 300);
        assert_eq!(bound("--retry-delay 300s --retry-max-delay 1s"), 1);
    }

    #[test]
    fn an_omitted_setting_is_unchanged() {
        let stored = Settings {
            threads: 3.into(),
            retries: 9,
            max_calls: Some(7),
            until: Some(1),
            given: ["retries".to_owned()].into(),
            ..Settings::default()
        };
        let flags = "-j auto --rate 10/s --rate auto --max-calls none";
        assert_eq!(
            resolved(flags, &stored).unwrap(),
            Settings {
                threads: Threads::Auto,
                rates: Rates::parse(["auto", "10/s"]).unwrap(),
                max_calls: None,
                until: None,
                given: ["max-calls", "rate", "retries", "threads"]
                    .map(str::to_owned)
                    .into(),
                ..stored
            }
        );
    }
}
