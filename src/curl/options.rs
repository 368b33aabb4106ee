//! The options of curl, and what becomes of each here.

use super::error::CurlError;

/// An option of curl.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its long name, without dashes.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// What its value is called, where it takes one.
    pub value: Option<&'static str>,
    /// What becomes of it.
    pub role: Role,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It says what the request is, and is an option of stride's too, with this help.
    Native(&'static str),
    /// It says what the request is; stride's own words for it are others.
    Request,
    /// It says what curl does with the answer or tells of it, and changes nothing of the request.
    Output,
    /// What is asked for is so anyway.
    Given,
    /// It would change what is sent, or how often, and stride does not have it.
    Refused(&'static str),
}

/// An option as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Which.
    pub option: &'static Spec,
    /// Its value, where it takes one.
    pub value: Option<String>,
    /// How it was written.
    pub written: String,
}

impl Given {
    /// Its value; empty where it takes none.
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

use Role::{Given as As, Native, Output, Refused, Request};

const NO_OTHER: &str =
    "stride signs in with a header, a name and a password, or a client certificate";
const NO_RETRY: &str = "stride repeats calls by its own rules: leave it out, and see --retries";
const ONE_REQUEST: &str = "a run has one request, made once for each file";

/// All options that are known. What is not here is refused by name too.
#[rustfmt::skip]
pub const OPTIONS: &[Spec] = &[
    spec("url", None, Some("URL"), Request),
    spec("request", Some('X'), Some("METHOD"), Native("The method [default: POST]")),
    spec("header", Some('H'), Some("HEADER"), Native("A header, `Name: value`; may hold placeholders. `Name:` removes a default header; `@FILE` has one a line")),
    spec("form", Some('F'), Some("NAME=VALUE"), Native("A field of a form: NAME=VALUE, NAME=@{path} for the file with its name, NAME=<{path} for its text; with ;type= and ;filename=")),
    spec("form-string", None, Some("NAME=VALUE"), Native("A field of a form, taken to the letter")),
    spec("data", Some('d'), Some("DATA"), Native("Data to send; @FILE sends a file without its line ends")),
    spec("data-ascii", None, Some("DATA"), Request),
    spec("data-raw", None, Some("DATA"), Native("The same, where @ is an @")),
    spec("data-binary", None, Some("DATA"), Native("Data to send; @{path} sends the file as it is, whatever its size")),
    spec("data-urlencode", None, Some("DATA"), Native("Data to send percent-encoded: TEXT, NAME=TEXT, @FILE or NAME@FILE")),
    spec("json", None, Some("JSON"), Native("JSON to send, or @FILE with it; placeholders are escaped for JSON")),
    spec("url-query", None, Some("DATA"), Native("What to put into the URL's query, as --data-urlencode reads it")),
    spec("upload-file", Some('T'), Some("FILE"), Native("PUT a file, {path} usually; its name is added to a URL that ends with a slash")),
    spec("get", Some('G'), None, Native("Put the data into the URL's query, and GET")),
    spec("head", Some('I'), None, Native("Ask for the headers only (HEAD)")),
    spec("user", Some('u'), Some("NAME:PASSWORD"), Native("Basic authentication; {env:NAME}:{env:PASSWORD} is stored, and a literal one is not")),
    spec("netrc", Some('n'), None, Native("Take the name and the password for the URL's host from .netrc, or the file that NETRC names")),
    spec("oauth2-bearer", None, Some("TOKEN"), Native("A bearer token, {env:NAME} for example")),
    spec("cookie", Some('b'), Some("NAME=VALUE"), Native("Cookies to send")),
    spec("user-agent", Some('A'), Some("NAME"), Native("The User-Agent header")),
    spec("referer", Some('e'), Some("URL"), Native("The Referer header")),
    spec("range", Some('r'), Some("RANGE"), Native("Only this range of the answer, such as 0-99")),
    spec("proxy", Some('x'), Some("URL"), Native("The proxy, instead of the one that the environment names")),
    spec("proxy-user", Some('U'), Some("NAME:PASSWORD"), Native("The name and the password for the proxy; used, and not stored")),
    spec("noproxy", None, Some("HOSTS"), Native("Hosts for which -x is not used, separated by commas")),
    spec("cacert", None, Some("FILE"), Native("Trust these certificates instead of the system's")),
    spec("cert", Some('E'), Some("FILE"), Native("The client's own certificate, as PEM")),
    spec("key", None, Some("FILE"), Native("The key of that certificate, as PEM")),
    spec("insecure", Some('k'), None, Native("Do not check the service's certificate")),
    spec("http1.1", None, None, Native("Speak HTTP/1.1 [default]")),
    spec("http2", None, None, Native("Speak HTTP/2 where the service does")),
    spec("http2-prior-knowledge", None, None, Native("Speak HTTP/2 from the first byte")),
    spec("compressed", None, None, Native("Take compressed answers [default]")),
    spec("location", Some('L'), None, Native("Follow redirects; credentials stay with the origin they are for")),
    spec("max-redirs", None, Some("N"), Native("Follow at most so many [default: 50]")),
    spec("resolve", None, Some("HOST:PORT:ADDRESS"), Native("The address of a host")),
    spec("config", Some('K'), Some("FILE"), Native("Read options from a configuration file of curl's")),
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
    spec("fail", Some('f'), None, As),
    spec("fail-with-body", None, None, As),
    spec("basic", None, None, As),
    spec("disable", Some('q'), None, As),
    spec("tlsv1", Some('1'), None, As),
    spec("tlsv1.0", None, None, As),
    spec("tlsv1.1", None, None, As),
    spec("tlsv1.2", None, None, As),
    spec("ssl-reqd", None, None, As),
    spec("no-keepalive", None, None, As),
    spec("keepalive", None, None, As),
    spec("tcp-nodelay", None, None, As),

    spec("digest", None, None, Refused(NO_OTHER)),
    spec("ntlm", None, None, Refused(NO_OTHER)),
    spec("negotiate", None, None, Refused(NO_OTHER)),
    spec("anyauth", None, None, Refused(NO_OTHER)),
    spec("aws-sigv4", None, None, Refused("stride does not sign requests; a gateway that does, or a service that takes a key, can be called")),
    spec("location-trusted", None, None, Refused("credentials never leave their origin; -L follows redirects without them")),
    spec("retry", None, None, Refused(NO_RETRY)),
    spec("retry-delay", None, None, Refused(NO_RETRY)),
    spec("retry-max-time", None, None, Refused(NO_RETRY)),
    spec("retry-all-errors", None, None, Refused(NO_RETRY)),
    spec("retry-connrefused", None, None, Refused(NO_RETRY)),
    spec("next", Some(':'), None, Refused(ONE_REQUEST)),
    spec("parallel", Some('Z'), None, Refused("stride calls with as many threads as -j says")),
    spec("parallel-max", None, None, Refused("stride calls with as many threads as -j says")),
    spec("rate", None, None, Refused("give --rate to stride itself")),
    spec("cookie-jar", Some('c'), None, Refused("calls are made in no order that cookies could follow")),
    spec("limit-rate", None, None, Refused("a pace in bytes is stride's own --rate 20MB/s")),
    spec("continue-at", Some('C'), None, Refused("every answer is taken whole")),
    spec("ftp-port", Some('P'), None, Refused("stride calls http and https")),
    spec("http1.0", Some('0'), None, Refused("stride speaks HTTP/1.1 and HTTP/2")),
    spec("http3", None, None, Refused("stride speaks HTTP/1.1 and HTTP/2")),
];

impl Spec {
    /// The option of this long name.
    ///
    /// # Errors
    ///
    /// There is none, or stride has no use for it.
    pub fn long(name: &str) -> Result<&'static Self, CurlError> {
        Self::usable(OPTIONS.iter().find(|spec| spec.long == name), || {
            format!("--{name}")
        })
    }

    /// The option of this letter.
    ///
    /// # Errors
    ///
    /// There is none, or stride has no use for it.
    pub fn short(letter: char) -> Result<&'static Self, CurlError> {
        let found = OPTIONS.iter().find(|spec| spec.short == Some(letter));
        Self::usable(found, || format!("-{letter}"))
    }

    fn usable(
        found: Option<&'static Self>,
        written: impl Fn() -> String,
    ) -> Result<&'static Self, CurlError> {
        match found {
            Some(Self {
                role: Refused(hint),
                ..
            }) => Err(CurlError::Option {
                written: written(),
                hint,
            }),
            Some(spec) => Ok(spec),
            None => Err(CurlError::Option {
                written: written(),
                hint: "leave it out if the service does not need it",
            }),
        }
    }
}

/// The value of an option: one it takes, or none.
pub(super) fn takes(
    option: &Spec,
    value: impl FnOnce() -> Option<String>,
) -> Result<Option<String>, CurlError> {
    if option.value.is_none() {
        return Ok(None);
    }
    value()
        .map(Some)
        .ok_or_else(|| CurlError::Value(format!("--{}", option.long)))
}

/// Reads the words of a command, `curl` first.
///
/// # Errors
///
/// The command is another one; an option that curl does not have, or that stride has no use for; a value that is
/// missing.
pub fn read(words: Vec<String>) -> Result<Vec<Given>, CurlError> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    if !matches!(program.rsplit('/').next(), Some("curl" | "curl.exe")) {
        return Err(CurlError::Program(program));
    }
    let (mut given, mut only_urls) = (Vec::new(), false);
    while let Some(word) = words.next() {
        if only_urls || word == "-" || !word.starts_with('-') {
            given.push(Given {
                option: Spec::long("url")?,
                written: word.clone(),
                value: Some(word),
            });
        } else if word == "--" {
            only_urls = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let option = Spec::long(long)?;
            given.push(Given {
                option,
                value: takes(option, || words.next())?,
                written: word,
            });
        } else {
            given.extend(letters(&word[1..], || words.next())?);
        }
    }
    Ok(given)
}

/// Reads the letters behind a dash. The first that takes a value has what comes after it, or else the next word.
pub(super) fn letters(
    letters: &str,
    mut next: impl FnMut() -> Option<String>,
) -> Result<Vec<Given>, CurlError> {
    let mut given = Vec::new();
    for (at, letter) in letters.char_indices() {
        let option = Spec::short(letter)?;
        let rest = &letters[at + letter.len_utf8()..];
        let value = takes(option, || match rest {
            "" => next(),
            rest => Some(rest.to_owned()),
        })?;
        let ends = value.is_some();
        given.push(Given {
            option,
            value,
            written: format!("-{letter}"),
        });
        if ends {
            break;
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &str) -> Vec<(&'static str, String)> {
        let words = words.split(' ').map(str::to_owned).collect();
        let given = read(words).unwrap();
        given
            .into_iter()
            .map(|given| (given.option.long, given.value.unwrap_or_default()))
            .collect()
    }

    fn refused(words: &str) -> String {
        let words = words.split(' ').map(str::to_owned).collect();
        read(words).unwrap_err().to_string()
    }

    #[test]
    fn words_are_read_as_curl_reads_them() {
        let pair = |long, value: &str| (long, value.to_owned());
        assert_eq!(
            told("curl -sXPOST http://a/ -H x --data - -Ff=@b -- -c"),
            [
                pair("silent", ""),
                pair("request", "POST"),
                pair("url", "http://a/"),
                pair("header", "x"),
                pair("data", "-"),
                pair("form", "f=@b"),
                pair("url", "-c"),
            ]
        );
    }

    #[test]
    fn what_there_is_no_use_for_is_named() {
        assert!(refused("curl --limit-rate 10k http://a/").contains("--limit-rate"));
        assert!(refused("curl --no-such-thing").contains("--no-such-thing"));
        assert!(refused("curl -sc jar").contains("-c"));
        assert!(refused("curl -H").contains("--header"));
        assert!(refused("wget http://a/").contains("wget"));
        assert!(read(Vec::new()).is_err());
    }

    #[test]
    fn no_name_is_there_twice() {
        for (i, one) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[i + 1..] {
                assert_ne!(one.long, other.long);
                assert!(one.short.is_none() || one.short != other.short, "{one:?}");
            }
        }
    }
}
