//! Kinds of failures: finer than a class, and stored as words.

use std::fmt;

/// The kind of a failure. A program's own callers may use words of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The answer is not in its content coding.
    BadCoding,
    /// A header cannot be sent.
    BadHeader,
    /// The URL cannot be called.
    BadUrl,
    /// The service answered 409: the operation is under way.
    Conflict,
    /// The connection was lost before the answer came.
    ConnectionLost,
    /// The service refused credentials that have been renewed since; the job is called again with the new ones.
    CredentialsRenewed,
    /// The host's name does not exist.
    Dns,
    /// The host's name cannot be resolved now.
    DnsTemporary,
    /// The service asks for fewer requests, by HTTP/2.
    Http2,
    /// The status of the answer.
    HttpStatus,
    /// No byte moved for the idle timeout.
    IdleTimeout,
    /// The file changed while it was sent.
    InputChanged,
    /// The file is missing.
    InputMissing,
    /// The file cannot be read.
    InputUnreadable,
    /// The service knows the idempotency key from another request.
    KeyReused,
    /// The list has no such column.
    NoColumn,
    /// The process has no file descriptor left.
    NoDescriptors,
    /// The input is not a regular file.
    NotARegularFile,
    /// The answer is not JSON.
    NotJson,
    /// `--success` is not true of the answer.
    NotSuccessful,
    /// The answer or the file is not UTF-8 text.
    NotText,
    /// The caller panicked.
    Panicked,
    /// The proxy refused to connect.
    Proxy,
    /// The allowance is used up.
    Quota,
    /// The answer is a redirect that is not followed.
    Redirect,
    /// The service refused this file repeatedly while it accepted others.
    RefusedAgainAndAgain,
    /// The answer exceeds `--max-response`.
    ResponseTooLarge,
    /// The service sent the request back unprocessed.
    SentBack,
    /// A stop cut the call off.
    Stopped,
    /// The call took longer than its timeout.
    Timeout,
    /// TLS failed.
    Tls,
    /// The file or the request is too large.
    TooLarge,
    /// The answer broke off.
    Truncated,
    /// The status is not that of a result.
    UnexpectedStatus,
    /// This machine could not keep the answer.
    Unkept,
    /// No connection was made.
    Unreachable,
    /// A word of a program's own caller.
    Other(&'static str),
}

/// The stored word of each kind.
const WORDS: [(FailureKind, &str); 36] = [
    (FailureKind::BadCoding, "bad_coding"),
    (FailureKind::BadHeader, "bad_header"),
    (FailureKind::BadUrl, "bad_url"),
    (FailureKind::Conflict, "conflict"),
    (FailureKind::ConnectionLost, "connection_lost"),
    (FailureKind::CredentialsRenewed, "credentials_renewed"),
    (FailureKind::Dns, "dns"),
    (FailureKind::DnsTemporary, "dns_temporary"),
    (FailureKind::Http2, "http2"),
    (FailureKind::HttpStatus, "http_status"),
    (FailureKind::IdleTimeout, "idle_timeout"),
    (FailureKind::InputChanged, "input_changed"),
    (FailureKind::InputMissing, "input_missing"),
    (FailureKind::InputUnreadable, "input_unreadable"),
    (FailureKind::KeyReused, "key_reused"),
    (FailureKind::NoColumn, "no_column"),
    (FailureKind::NoDescriptors, "no_descriptors"),
    (FailureKind::NotARegularFile, "not_a_regular_file"),
    (FailureKind::NotJson, "not_json"),
    (FailureKind::NotSuccessful, "not_successful"),
    (FailureKind::NotText, "not_text"),
    (FailureKind::Panicked, "panicked"),
    (FailureKind::Proxy, "proxy"),
    (FailureKind::Quota, "quota"),
    (FailureKind::Redirect, "redirect"),
    (FailureKind::RefusedAgainAndAgain, "refused_again_and_again"),
    (FailureKind::ResponseTooLarge, "response_too_large"),
    (FailureKind::SentBack, "sent_back"),
    (FailureKind::Stopped, "stopped"),
    (FailureKind::Timeout, "timeout"),
    (FailureKind::Tls, "tls"),
    (FailureKind::TooLarge, "too_large"),
    (FailureKind::Truncated, "truncated"),
    (FailureKind::UnexpectedStatus, "unexpected_status"),
    (FailureKind::Unkept, "unkept"),
    (FailureKind::Unreachable, "unreachable"),
];

impl FailureKind {
    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Other(word) => word,
            kind => WORDS
                .iter()
                .find(|(known, _)| *known == kind)
                .map_or("", |(_, word)| word),
        }
    }
}

impl From<&'static str> for FailureKind {
    fn from(word: &'static str) -> Self {
        WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map_or(Self::Other(word), |(kind, _)| *kind)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
