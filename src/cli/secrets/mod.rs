//! What references in a request stand for.

mod netrc;
pub(crate) mod references;
