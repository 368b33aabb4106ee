//! `stride demo`.
use super::args::Demo;
use super::error::Problem;
use super::terminal::Terminal;

pub(crate) fn demo(_: &Demo, _: &Terminal) -> Result<u8, Problem> {
    Err(Problem::usage("not yet"))
}
