//! Flags of commands that read a run's results.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args as ClapArgs, ValueEnum};

use stride::export::Format;
use stride::failure_class::Statuses;
use stride::filter::Term;
use stride::settings::Expect;
use stride::store::wall_clock;

/// `stride export`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// File or folder to write, replaced only by a complete export [default: stdout]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Format of the export [default: by the ending of -o FILE, or json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    /// jq expression for what to write of each result, instead of the run's own
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) extract: Option<String>,
    /// Write whole answers, without any --extract expression
    #[arg(long, overrides_with = "extract")]
    pub(crate) raw: bool,
    /// With CSV: leave cells unchanged, even those that a spreadsheet would evaluate as formulas
    #[arg(long)]
    pub(crate) raw_csv: bool,
    /// With CSV: begin with a byte order mark, by which Excel recognizes UTF-8
    #[arg(long)]
    pub(crate) bom: bool,
    /// Replace half surrogate pairs such as \ud800 by U+FFFD; they are valid in JSON, but pandas and DuckDB refuse them
    #[arg(long)]
    pub(crate) replace_surrogates: bool,
    /// Write the results so far, even if the run is incomplete
    #[arg(long, conflicts_with = "all")]
    pub(crate) partial: bool,
    /// Write the results and the state of all other files, even if the run is incomplete
    #[arg(long)]
    pub(crate) all: bool,
    /// Columns of a table, in this order: some of file, state, attempts, status, class, error, started, duration,
    /// result, path_bytes, kind, outcome, step, handle, media_type, result_type, result_bytes, col.NAME (of the list), result.NAME (a field)
    #[arg(long, value_name = "A,B,C")]
    pub(crate) columns: Option<String>,
    /// Write the fields of results that are JSON objects as columns of the table
    #[arg(long)]
    pub(crate) flatten: bool,
    /// Only files that match, such as state=failed, class=rejected,auth, 'status>=500', 'attempts>1',
    /// 'started>2h ago', 'duration>10s', 'name~*.txt' or col.lang=de; with several terms, all must match
    #[arg(long = "where", value_name = "TERM",
        value_parser = OsStringValueParser::new().try_map(|words| Term::read(words.as_bytes(), wall_clock())))]
    pub(crate) terms: Vec<Term>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// One object that maps names to results
    Json,
    /// One object per file, each on a line
    Jsonl,
    /// A table for spreadsheets
    Csv,
    /// A table with types, for programs such as pandas and DuckDB
    Parquet,
    /// One file per answer and a list of them, `manifest.jsonl`; needs -o FOLDER
    Dir,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            // A folder does not use the format.
            FormatArg::Json | FormatArg::Dir => Self::Json,
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Csv => Self::Csv,
            FormatArg::Parquet => Self::Parquet,
        }
    }
}

/// `stride report`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    /// File to write, replaced only by a complete report [default: stdout]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `stride recheck`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Recheck {
    /// Statuses of results, such as 2xx,404 [default: the run's]
    #[arg(long, value_name = "STATUSES")]
    pub(crate) expect_status: Option<Statuses>,
    /// Required form of a result: json, text or any [default: the run's]
    #[arg(long, value_name = "WHAT")]
    pub(crate) expect: Option<Expect>,
    /// jq expression that must be true of a result; '' for none [default: the run's]
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) success: Option<String>,
    /// Store the new verdicts, and judge later answers by these rules; without it, only show the changes
    #[arg(long)]
    pub(crate) apply: bool,
}
