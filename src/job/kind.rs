//! Kinds of failures: finer than a class, and stored as words.

use std::fmt;

use strum::{EnumIter, IntoEnumIterator as _, IntoStaticStr};

/// The kind of a failure. Its stored word is its name in snake case. Callers of other programs may use other words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// An argument or a variable cannot be passed to a program.
    BadArgument,
    /// The answer cannot be decoded by its content coding.
    BadCoding,
    /// A header cannot be sent.
    BadHeader,
    /// The URL cannot be called.
    BadUrl,
    /// The service answered 409: the operation is still running.
    Conflict,
    /// The connection was lost before the answer came.
    ConnectionLost,
    /// The service refused credentials that were renewed meanwhile. The job is called again with the new ones.
    CredentialsRenewed,
    /// The host's name does not exist.
    Dns,
    /// The host's name cannot be resolved at the moment.
    DnsTemporary,
    /// The service asks for fewer requests, by HTTP/2.
    Http2,
    /// The answer's status is an error.
    HttpStatus,
    /// All threads of the function hang in calls that were given up.
    Hung,
    /// No byte moved within the idle timeout.
    IdleTimeout,
    /// A worker ended during the call.
    Crashed,
    /// A function of the user's raised an exception.
    Exception,
    /// A command exited with another code than 0.
    Exited,
    /// The service no longer knows the handle of an earlier step.
    Expired,
    /// The file changed, or could not be read, during the call.
    InputChanged,
    /// The file is missing.
    InputMissing,
    /// The file cannot be read.
    InputUnreadable,
    /// The service has ended the submitted job as failed.
    JobFailed,
    /// The service knows the idempotency key from another request.
    KeyReused,
    /// The list gives the file no such column.
    NoColumn,
    /// The answer before lacks a value that the request takes from it.
    NoValue,
    /// The process has no file descriptor or memory left.
    NoDescriptors,
    /// The input is not a regular file, or the system generates its contents.
    NotARegularFile,
    /// The answer is not JSON.
    NotJson,
    /// The command or the worker cannot be started.
    NotStarted,
    /// The expression of `--success` is false for the answer.
    NotSuccessful,
    /// The answer or the file is not UTF-8 text.
    NotText,
    /// The caller panicked.
    Panicked,
    /// The service was not ready within `--poll-for`.
    PollTimedOut,
    /// A worker broke the protocol.
    Protocol,
    /// The proxy refused to connect.
    Proxy,
    /// The account's quota is exhausted.
    Quota,
    /// The answer is a redirect that is not followed.
    Redirect,
    /// The service refused this file repeatedly while it accepted others.
    RefusedAgainAndAgain,
    /// The answer exceeds `--max-response`.
    ResponseTooLarge,
    /// The service refused the request over HTTP/2 before processing it.
    SentBack,
    /// A signal ended the command.
    Signalled,
    /// A stop aborted the call.
    Stopped,
    /// The call took longer than its timeout.
    Timeout,
    /// TLS failed.
    Tls,
    /// The file or the request is too large.
    TooLarge,
    /// The answer ended early.
    Truncated,
    /// The status is not one that the run accepts as a success.
    UnexpectedStatus,
    /// The answer could not be stored on this machine.
    Unkept,
    /// No connection was made.
    Unreachable,
    /// An answer names an address that must not be called from there.
    UnsafeUrl,
    /// A word of another program's caller.
    #[strum(disabled)]
    Other(&'static str),
}

impl FailureKind {
    /// Returns true if a signal ended the user's command, or if a worker crashed or broke the protocol, perhaps because of
    /// the job's file.
    pub fn is_crash(self) -> bool {
        matches!(self, Self::Crashed | Self::Protocol | Self::Signalled)
    }

    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Other(word) => word,
            kind => kind.into(),
        }
    }
}

impl From<&'static str> for FailureKind {
    fn from(word: &'static str) -> Self {
        let known = Self::iter().find(|kind| kind.as_str() == word);
        known.unwrap_or(Self::Other(word))
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_stored_as_words() {
        for (kind, word) in [
            (FailureKind::Http2, "http2"),
            (FailureKind::NotARegularFile, "not_a_regular_file"),
            (FailureKind::RefusedAgainAndAgain, "refused_again_and_again"),
            (FailureKind::Other("of_a_program"), "of_a_program"),
        ] {
            assert_eq!((kind.as_str(), FailureKind::from(word)), (word, kind));
        }
    }
}
