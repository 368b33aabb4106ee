//! What keeps a request from being made.

use std::path::PathBuf;

use thiserror::Error;

use super::template::TemplateError;
use crate::job::FileName;
use crate::judge::WrongExpression;

/// A request that cannot be made of what was asked for.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A template that is not one.
    #[error("{place}: {error}")]
    Template {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        error: TemplateError,
    },
    /// The URL cannot be called.
    #[error("`{url}` is not a URL that can be called: {reason}")]
    Url {
        /// As it was given, without user information.
        url: String,
        /// Why.
        reason: String,
    },
    /// The method is not one.
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    /// The header cannot be sent.
    #[error("the header `{name}` cannot be sent: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// Why; without its value.
        reason: &'static str,
    },
    /// A credential that is not stored was not given again.
    #[error("the value of the header `{0}` is not stored and has to be given again")]
    Missing(String),
    /// A credential would go through the network for all to read.
    #[error("{what} would be sent to {host} unencrypted")]
    Plain {
        /// What it is, without its value.
        what: String,
        /// Where it would go.
        host: String,
    },
    /// A certificate or a key cannot be used.
    #[error("{} cannot be used: {reason}", FileName::from(.path.as_path()))]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why; without any of what is in it.
        reason: String,
    },
    /// The proxy is not one.
    #[error("`{0}` is not a proxy that can be used")]
    Proxy(String),
    /// The address that a host is to have is not one.
    #[error("`{0}` does not say which address a host has: write HOST:PORT:ADDRESS")]
    Address(String),
    /// An expression by which answers are to be judged is none.
    #[error(transparent)]
    Expression(#[from] WrongExpression),
    /// A redirect is to be followed and to be a result.
    #[error("HTTP {0} cannot be the status of a result where redirects are followed")]
    Followed(u16),
    /// The folder that answers are to go into cannot be one.
    #[error("answers cannot go into {}: {reason}", FileName::from(.path.as_path()))]
    Outputs {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The HTTP client cannot be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}
