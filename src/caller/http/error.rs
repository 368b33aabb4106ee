//! Errors of requests that cannot be built.

use std::error::Error;
use std::path::{Component, Path, PathBuf};

use super::template::TemplateError;
use crate::caller::outputs::WrongFolder;
use crate::job::{Class, Failure, FailureKind, FileName, Job, Outcome};
use crate::validate::WrongExpression;

/// The reason why a request cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Invalid template.
    #[error("{place}: {error}")]
    Template {
        /// The part of the request.
        place: String,
        /// The error.
        error: TemplateError,
    },
    /// The URL cannot be called.
    #[error("cannot call `{url}`: {reason}")]
    Url {
        /// The URL, without user information.
        url: String,
        /// Why.
        reason: String,
    },
    /// The transport's options do not allow the URL.
    #[error("cannot call `{url}` as the options ask: {reason}")]
    NotAllowed {
        /// The URL, without user information.
        url: String,
        /// Why.
        reason: String,
    },
    /// Invalid method.
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    /// Invalid header.
    #[error("the header `{name}` cannot be sent: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// Why, without the value.
        reason: &'static str,
    },
    /// A credential that is never stored was not given again.
    #[error("the value of the header `{0}` is not stored and has to be given again")]
    Missing(String),
    /// A credential would be sent unencrypted.
    #[error("{what} would be sent to {host} unencrypted")]
    Plain {
        /// A description of the credential, without its value.
        what: String,
        /// The recipient.
        host: String,
    },
    /// A file that every request carries cannot be read.
    #[error("the request cannot be made with {}: {reason}", FileName::from(.path.as_path()))]
    File {
        /// The file.
        path: PathBuf,
        /// Why not, such as "the file is missing".
        reason: String,
    },
    /// A certificate or a key cannot be used.
    #[error("{} cannot be used: {reason}", FileName::from(.path.as_path()))]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why, without any of its content.
        reason: String,
    },
    /// Invalid proxy.
    #[error("invalid proxy `{0}`")]
    Proxy(String),
    /// Invalid `HOST:PORT:ADDRESS`.
    #[error("`{0}` is not a fixed address: use HOST:PORT:ADDRESS")]
    Address(String),
    /// Invalid `--success` or `--extract` expression.
    #[error(transparent)]
    Expression(#[from] WrongExpression),
    /// A file to send, whose path an answer would name.
    #[error("an answer cannot name a file of this machine to send")]
    FileOfAnswer,
    /// Invalid origin of `--allow-origin`.
    #[error("`{0}` is not an origin: use a scheme and a host, such as https://files.example.com")]
    Origin(String),
    /// `--expect-status` names a redirect that `--location` would follow.
    #[error("--expect-status {0} conflicts with -L: a followed redirect is never a result")]
    Followed(u16),
    /// The folder for results cannot be used.
    #[error(transparent)]
    Outputs(#[from] WrongFolder),
    /// The HTTP client cannot be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

impl PlanError {
    /// Names the part of the request that a template's error is in.
    pub(super) fn in_template(place: &str) -> impl Fn(TemplateError) -> Self {
        move |error| Self::Template {
            place: place.to_owned(),
            error,
        }
    }
}

/// Returns the outcome of a job whose request cannot be built.
pub(super) fn unsendable(kind: FailureKind, message: String) -> Outcome {
    Outcome::Unsendable(Failure::new(Class::Input, kind, message))
}

/// Returns the outcome of a job whose next request cannot be built from the answers before.
pub(super) fn bad_answer(message: String) -> Outcome {
    let (class, kind) = (Class::BadResponse, FailureKind::NoValue);
    Outcome::Unsendable(Failure::new(class, kind, message))
}

/// Returns the outcome of a job whose answers name an address that must not be called from there.
pub(super) fn unsafe_url(message: String) -> Outcome {
    unsendable(FailureKind::UnsafeUrl, message)
}

/// Returns the outcome of a job that has come farther than the run's requests go.
pub(super) fn no_step(step: usize) -> Outcome {
    let message = format!("the run has no step {} any more", step + 1);
    Outcome::Unsendable(Failure::new(Class::Local, FailureKind::NoValue, message))
}

/// Adds the way out to the outcome of a row whose file is missing, unless the row's usual column names that file.
pub(super) fn missing_of_row(job: &Job, outcome: Outcome) -> Outcome {
    let Outcome::Unsendable(failure) = &outcome else {
        return outcome;
    };
    if failure.kind != FailureKind::InputMissing {
        return outcome;
    }
    let usual = ["path", "file"]
        .into_iter()
        .find_map(|column| Some((column, job.columns.text(column)?)));
    let message = match usual {
        Some((_, name)) if job.file.ends_with(plain(Path::new(&*name))) => return outcome,
        Some((column, _)) => format!(
            "the file is missing; the column `{column}` names another one: --key-column {column}"
        ),
        None => "the file is missing; if the row names none, --json '{row}' or --data 'x={col.NAME}' sends the row itself"
            .to_owned(),
    };
    unsendable(FailureKind::InputMissing, message)
}

/// Returns a path without `.`.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

/// Returns the message of the innermost error, which says what happened. The outer ones say where.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
