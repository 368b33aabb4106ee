//! Looks up the values of references in a request.

mod netrc;
pub(crate) mod references;
