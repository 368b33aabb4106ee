//! Flags of `stride forget`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use stride::filter::Term;
use stride::store::wall_clock;

/// `stride forget`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Forget {
    /// Files of the run, by their names in its list
    #[arg(value_name = "NAMES", required_unless_present_any = ["terms", "undo"])]
    pub(crate) names: Vec<PathBuf>,
    /// Instead of names: files that match, such as class=input, state=failed,held, 'name~tmp/*' or col.lang=de; with several
    /// terms, all must match
    #[arg(long = "where", value_name = "TERM", conflicts_with = "names",
        value_parser = OsStringValueParser::new().try_map(|words| Term::read(words.as_bytes(), wall_clock())))]
    pub(crate) terms: Vec<Term>,
    /// Bring files back, in the state that they had; without names and --where, all forgotten ones
    #[arg(long)]
    pub(crate) undo: bool,
}
