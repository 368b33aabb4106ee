//! What of a run is exported: of which jobs, and which columns.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args as ClapArgs;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

use stride::export::ColumnList;
use stride::filter::Term;
use stride::store::wall_clock;

use crate::cli::output::error::quoted;

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Choosing {
    /// The columns of a table, in this order: some of file, state, attempts, status, class, error, started, duration,
    /// result, path_bytes, kind, media_type, result_type, result_bytes
    #[arg(long, value_name = "A,B,C")]
    pub(crate) columns: Option<ColumnList>,
    /// Only files of which this is true, such as state=failed, class=rejected,auth, 'status>=500', 'attempts>1',
    /// 'started>2h ago', 'duration>10s' or 'name~*.txt'; of several, all have to be
    #[arg(long = "where", value_name = "TERM", value_parser = OsStringValueParser::new().try_map(Asked::read))]
    terms: Vec<Asked>,
}

/// A term, and the words it was asked for in.
#[derive(Debug, Clone)]
struct Asked {
    words: OsString,
    term: Term,
}

impl Asked {
    fn read(words: OsString) -> Result<Self, String> {
        let term = Term::read(words.as_bytes(), wall_clock())?;
        Ok(Self { words, term })
    }
}

impl Choosing {
    /// What has to hold of a file.
    pub(crate) fn terms(&self) -> Vec<Term> {
        self.terms.iter().map(|asked| asked.term.clone()).collect()
    }

    /// The words again, each with a space before it.
    pub(crate) fn words(&self) -> String {
        let columns = self.columns.iter().map(|columns| {
            let names = columns.as_slice().iter().map(|column| column.as_str());
            format!(" --columns {}", names.collect::<Vec<_>>().join(","))
        });
        let terms = self
            .terms
            .iter()
            .map(|asked| format!(" --where {}", quoted(Path::new(&asked.words))));
        columns.chain(terms).collect()
    }
}
