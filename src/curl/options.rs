//! The options of curl, and their treatment.

use super::error::CurlError;

/// An option of curl.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// The long name, without dashes.
    pub long: &'static str,
    /// The letter.
    pub short: Option<char>,
    /// The name of the value in help, if the option takes one.
    pub value: Option<&'static str>,
    /// The treatment.
    pub role: Role,
}

/// The treatment of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Part of the request, and an option of stride with this help.
    Native(&'static str),
    /// Part of the request, which stride spells differently.
    Request,
    /// Controls curl's output, and not the request.
    Output,
    /// Describes the default behaviour of stride.
    Implied,
    /// Changes the request or the number of calls in a way that stride does not support. Holds a hint.
    Refused(&'static str),
}

/// A parsed option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedOption {
    /// The option.
    pub option: &'static Spec,
    /// The value, if the option takes one.
    pub value: Option<String>,
    /// The option as written.
    pub written: String,
}

impl ParsedOption {
    /// Returns the value, or an empty text for an option without one.
    pub fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

const fn spec(
    long: &'static str,
    short: Option<char>,
    value: Option<&'static str>,
    role: Role,
) -> Spec {
    Spec {
        long,
        short,
        value,
        role,
    }
}

use Role::{Implied, Native, Output, Refused, Request};

const NO_OTHER: &str =
    "stride authenticates with a header, a name and a password, or a client certificate";
const NO_RETRY: &str = "leave it out: stride retries by its own rules, see --retries";
const THREADS: &str = "set the number of concurrent calls with stride's own -j";
const VERSIONS: &str = "stride supports HTTP/1.1 and HTTP/2";

/// The known options. Any other option is refused by name.
#[rustfmt::skip]
pub const OPTIONS: &[Spec] = &[
    spec("url", None, Some("URL"), Request),
    spec("request", Some('X'), Some("METHOD"), Native("The method [default: POST]")),
    spec("header", Some('H'), Some("HEADER"), Native("A header, `Name: value`; may hold placeholders. `Name:` removes a default header; `@FILE` reads one per line")),
    spec("form", Some('F'), Some("NAME=VALUE"), Native("A form field: NAME=VALUE; NAME=@{path} uploads the file under its name; NAME=<{path} sends its text. `;type=` and `;filename=` may follow")),
    spec("form-string", None, Some("NAME=VALUE"), Native("A field of a form; the value is sent unchanged")),
    spec("data", Some('d'), Some("DATA"), Native("Data to send; @FILE sends a file without its line breaks")),
    spec("data-ascii", None, Some("DATA"), Request),
    spec("data-raw", None, Some("DATA"), Native("Data to send; @ has no special meaning")),
    spec("data-binary", None, Some("DATA"), Native("Data to send; @{path} streams the file unchanged")),
    spec("data-urlencode", None, Some("DATA"), Native("Data to send percent-encoded: TEXT, NAME=TEXT, @FILE or NAME@FILE")),
    spec("json", None, Some("JSON"), Native("JSON to send, or @FILE; placeholders are escaped for JSON")),
    spec("url-query", None, Some("DATA"), Native("Data for the URL's query, in the forms of --data-urlencode")),
    spec("upload-file", Some('T'), Some("FILE"), Native("PUT a file, usually {path}; its name is appended to a URL that ends with a slash")),
    spec("get", Some('G'), None, Native("Put the data into the URL's query and use GET")),
    spec("head", Some('I'), None, Native("Request only the headers (HEAD)")),
    spec("user", Some('u'), Some("NAME:PASSWORD"), Native("Basic authentication; {env:NAME}:{env:PASSWORD} is stored, a literal password is not")),
    spec("netrc", Some('n'), None, Native("Use the name and the password of the URL's host from .netrc, or from the file that NETRC names")),
    spec("oauth2-bearer", None, Some("TOKEN"), Native("A bearer token, such as {env:NAME}")),
    spec("cookie", Some('b'), Some("NAME=VALUE"), Native("Cookies to send")),
    spec("user-agent", Some('A'), Some("NAME"), Native("The User-Agent header")),
    spec("referer", Some('e'), Some("URL"), Native("The Referer header")),
    spec("range", Some('r'), Some("RANGE"), Native("Request this range of bytes, such as 0-99")),
    spec("proxy", Some('x'), Some("URL"), Native("The proxy; takes precedence over the environment")),
    spec("proxy-user", Some('U'), Some("NAME:PASSWORD"), Native("The name and the password for the proxy; never stored")),
    spec("noproxy", None, Some("HOSTS"), Native("Hosts to call without -x, separated by commas")),
    spec("cacert", None, Some("FILE"), Native("Trust these certificates instead of the system's")),
    spec("cert", Some('E'), Some("FILE"), Native("The client certificate, as PEM")),
    spec("key", None, Some("FILE"), Native("The key of the client certificate, as PEM")),
    spec("insecure", Some('k'), None, Native("Do not check the service's certificate")),
    spec("http1.1", None, None, Native("Use HTTP/1.1 [default]")),
    spec("http2", None, None, Native("Use HTTP/2 if the service supports it")),
    spec("http2-prior-knowledge", None, None, Native("Use HTTP/2 without negotiation")),
    spec("compressed", None, None, Native("Accept compressed answers [default]")),
    spec("location", Some('L'), None, Native("Follow redirects; other origins receive no credentials")),
    spec("max-redirs", None, Some("N"), Native("The maximum number of redirects [default: 50]")),
    spec("resolve", None, Some("HOST:PORT:ADDRESS"), Native("Use this address for a host")),
    spec("config", Some('K'), Some("FILE"), Native("Read options from a configuration file of curl")),
    spec("globoff", Some('g'), None, Request),
    spec("connect-timeout", None, Some("SECONDS"), Request),
    spec("max-time", Some('m'), Some("SECONDS"), Request),
    spec("max-filesize", None, Some("BYTES"), Request),
    spec("socks5", None, Some("HOST"), Request),
    spec("socks5-hostname", None, Some("HOST"), Request),

    spec("silent", Some('s'), None, Output),
    spec("show-error", Some('S'), None, Output),
    spec("verbose", Some('v'), None, Output),
    spec("include", Some('i'), None, Output),
    spec("show-headers", None, None, Output),
    spec("output", Some('o'), Some("FILE"), Output),
    spec("remote-name", Some('O'), None, Output),
    spec("remote-header-name", Some('J'), None, Output),
    spec("create-dirs", None, None, Output),
    spec("progress-bar", Some('#'), None, Output),
    spec("no-progress-meter", None, None, Output),
    spec("progress-meter", None, None, Output),
    spec("write-out", Some('w'), Some("FORMAT"), Output),
    spec("dump-header", Some('D'), Some("FILE"), Output),
    spec("no-buffer", Some('N'), None, Output),
    spec("trace", None, Some("FILE"), Output),
    spec("trace-ascii", None, Some("FILE"), Output),
    spec("trace-time", None, None, Output),
    spec("stderr", None, Some("FILE"), Output),
    spec("styled-output", None, None, Output),
    spec("no-styled-output", None, None, Output),
    spec("fail", Some('f'), None, Implied),
    spec("fail-with-body", None, None, Implied),
    spec("basic", None, None, Implied),
    spec("disable", Some('q'), None, Implied),
    spec("tlsv1", Some('1'), None, Implied),
    spec("tlsv1.0", None, None, Implied),
    spec("tlsv1.1", None, None, Implied),
    spec("tlsv1.2", None, None, Implied),
    spec("ssl-reqd", None, None, Implied),
    spec("no-keepalive", None, None, Implied),
    spec("keepalive", None, None, Implied),
    spec("tcp-nodelay", None, None, Implied),

    spec("digest", None, None, Refused(NO_OTHER)),
    spec("ntlm", None, None, Refused(NO_OTHER)),
    spec("negotiate", None, None, Refused(NO_OTHER)),
    spec("anyauth", None, None, Refused(NO_OTHER)),
    spec("aws-sigv4", None, None, Refused("stride does not sign requests: call a gateway that does, or use a key")),
    spec("location-trusted", None, None, Refused("use -L, which follows redirects and sends credentials to their origin only")),
    spec("retry", None, None, Refused(NO_RETRY)),
    spec("retry-delay", None, None, Refused(NO_RETRY)),
    spec("retry-max-time", None, None, Refused(NO_RETRY)),
    spec("retry-all-errors", None, None, Refused(NO_RETRY)),
    spec("retry-connrefused", None, None, Refused(NO_RETRY)),
    spec("next", Some(':'), None, Refused("a run makes one request for each file: start a run for each")),
    spec("parallel", Some('Z'), None, Refused(THREADS)),
    spec("parallel-max", None, None, Refused(THREADS)),
    spec("rate", None, None, Refused("use --rate of stride itself")),
    spec("cookie-jar", Some('c'), None, Refused("leave it out: calls run concurrently and share no cookies")),
    spec("limit-rate", None, None, Refused("use --rate of stride itself, such as --rate 20MB/s")),
    spec("continue-at", Some('C'), None, Refused("leave it out: each answer is read whole")),
    spec("ftp-port", Some('P'), None, Refused("stride supports http and https")),
    spec("http1.0", Some('0'), None, Refused(VERSIONS)),
    spec("http3", None, None, Refused(VERSIONS)),
];

impl Spec {
    /// Returns the option of this long name.
    ///
    /// # Errors
    ///
    /// The option is unknown or not supported.
    pub fn long(name: &str) -> Result<&'static Self, CurlError> {
        Self::find(|spec| spec.long == name, || format!("--{name}"))
    }

    fn find(
        is_it: impl Fn(&Self) -> bool,
        written: impl Fn() -> String,
    ) -> Result<&'static Self, CurlError> {
        let hint = match OPTIONS.iter().find(|spec| is_it(spec)) {
            Some(spec) => match spec.role {
                Refused(hint) => hint,
                _ => return Ok(spec),
            },
            None => "leave it out if the service does not need it",
        };
        let written = written();
        Err(CurlError::Option { written, hint })
    }

    /// Pairs the option with its value, which comes from `next` if the option takes one.
    fn with_value(
        &'static self,
        written: String,
        next: impl FnOnce() -> Option<String>,
    ) -> Result<ParsedOption, CurlError> {
        let value = match self.value {
            Some(_) => {
                let missing = || CurlError::Value(format!("--{}", self.long));
                Some(next().ok_or_else(missing)?)
            }
            None => None,
        };
        Ok(ParsedOption {
            option: self,
            value,
            written,
        })
    }
}

/// Parses the words of a command, `curl` first.
///
/// # Errors
///
/// The command is not curl, an option is unknown or not supported, or its value is missing.
pub fn read(words: Vec<String>) -> Result<Vec<ParsedOption>, CurlError> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    if !matches!(program.rsplit('/').next(), Some("curl" | "curl.exe")) {
        return Err(CurlError::Program(program));
    }
    let (mut options, mut only_urls) = (Vec::new(), false);
    while let Some(word) = words.next() {
        if only_urls || word == "-" || !word.starts_with('-') {
            options.push(long("url", || Some(word))?);
        } else if word == "--" {
            only_urls = true;
        } else if let Some(name) = word.strip_prefix("--") {
            options.push(long(name, || words.next())?);
        } else {
            options.extend(letters(&word[1..], || words.next())?);
        }
    }
    Ok(options)
}

/// Parses a long option, without its dashes.
pub(super) fn long(
    name: &str,
    next: impl FnOnce() -> Option<String>,
) -> Result<ParsedOption, CurlError> {
    Spec::long(name)?.with_value(format!("--{name}"), next)
}

/// Parses the letters after a dash. The first option with a value takes the rest of the word, or else the next word.
pub(super) fn letters(
    letters: &str,
    mut next: impl FnMut() -> Option<String>,
) -> Result<Vec<ParsedOption>, CurlError> {
    let mut options = Vec::new();
    for (at, letter) in letters.char_indices() {
        let written = || format!("-{letter}");
        let spec = Spec::find(|spec| spec.short == Some(letter), written)?;
        let rest = &letters[at + letter.len_utf8()..];
        options.push(spec.with_value(written(), || match rest {
            "" => next(),
            rest => Some(rest.to_owned()),
        })?);
        if spec.value.is_some() {
            break;
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parsed_like_curl() {
        let words = "curl -sXPOST http://a/ -H x --data - -Ff=@b -- -c";
        let options = read(words.split(' ').map(str::to_owned).collect()).unwrap();
        let parsed: Vec<_> = options
            .iter()
            .map(|option| (option.option.long, option.value()))
            .collect();
        assert_eq!(
            parsed,
            [
                ("silent", ""),
                ("request", "POST"),
                ("url", "http://a/"),
                ("header", "x"),
                ("data", "-"),
                ("form", "f=@b"),
                ("url", "-c"),
            ]
        );
    }

    #[test]
    fn names_are_unique() {
        for (i, one) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[i + 1..] {
                assert_ne!(one.long, other.long);
                assert!(one.short.is_none() || one.short != other.short, "{one:?}");
            }
        }
    }
}
