//! The options of curl, and their treatment. The table has every option of curl 8's manual page.

use Role::{Dropped, Implied, Native, Output, Refused, Request};

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
    /// Part of the request, as an option of curl only in pasted commands and configuration files.
    Request,
    /// Controls curl's output, and not the request.
    Output,
    /// Has no effect on the request and its answer.
    Dropped,
    /// Describes the default behaviour of stride.
    Implied,
    /// Changes the request or the number of calls in a way that stride does not support. Holds a hint.
    Refused(&'static str),
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

/// An option without a letter and a value.
const fn flag(long: &'static str, role: Role) -> Spec {
    spec(long, None, None, role)
}

/// An option without a letter, with a value.
const fn with(long: &'static str, role: Role) -> Spec {
    spec(long, None, Some("VALUE"), role)
}

const AUTHENTICATION: &str =
    "stride authenticates with a header, a name and a password, or a client certificate";
const SIGNATURE: &str = "stride does not sign requests: call a gateway that does, or use a key";
const RETRY: &str = "leave it out: stride retries by its own rules, see --retries";
const THREADS: &str = "set the number of concurrent calls with stride's own -j";
const VERSIONS: &str = "leave it out: stride supports HTTP/1.1 and HTTP/2";
const RESOLVER: &str =
    "leave it out: stride asks the system's resolver, or use --resolve HOST:PORT:ADDRESS";
const SOCKET: &str = "forward a port to the socket, such as with socat TCP-LISTEN:8080,bind=127.0.0.1,fork UNIX-CONNECT:SOCKET (ABSTRACT-CONNECT:NAME for an abstract one), and call http://127.0.0.1:8080";
const CIPHERS: &str = "leave it out: stride offers the strong ciphers of TLS 1.2 and 1.3";
const REVOCATION: &str =
    "leave it out: stride trusts the system's certificates, or those of --cacert";
const PROXY: &str =
    "leave it out: use -x with an http:// or socks5h:// URL, and -U for a name and a password";
const PROXY_TLS: &str = "leave it out: stride trusts the system's certificates for a proxy, too";
const VARIABLES: &str = "leave it out: write the value, or $NAME, into the option itself";
const CALLS: &str = "paste a command that calls the service";
/// Options with this prefix take variables of curl's own.
pub(super) const EXPAND: (&str, &str) = ("expand-", VARIABLES);

/// The options. Any other one is an error that names it.
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
    spec("upload-file", Some('T'), Some("FILE"), Native("PUT a file, usually {path}; its name is appended to a URL without one")),
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
    spec("noproxy", None, Some("HOSTS"), Native("Hosts to call without a proxy, separated by commas; replaces NO_PROXY")),
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
    spec("socks4", None, Some("HOST"), Request),
    spec("socks4a", None, Some("HOST"), Request),
    spec("socks5", None, Some("HOST"), Request),
    spec("socks5-hostname", None, Some("HOST"), Request),
    spec("proto", None, Some("PROTOCOLS"), Request),
    spec("proto-redir", None, Some("PROTOCOLS"), Request),
    spec("proto-default", None, Some("PROTOCOL"), Request),
    spec("ipv4", Some('4'), None, Request),
    spec("ipv6", Some('6'), None, Request),
    spec("interface", None, Some("ADDRESS"), Request),
    flag("tlsv1.3", Request),
    with("tls-max", Request),
    with("cert-type", Request),
    with("key-type", Request),
    flag("follow", Request),
    flag("post301", Request),
    flag("post302", Request),
    flag("post303", Request),
    flag("disallow-username-in-url", Request),

    // Each of these is what stride does.
    spec("fail", Some('f'), None, Implied),
    flag("fail-with-body", Implied),
    flag("basic", Implied),
    flag("proxy-basic", Implied),
    flag("socks5-basic", Implied),
    spec("disable", Some('q'), None, Implied),
    spec("tlsv1", Some('1'), None, Implied),
    flag("tlsv1.0", Implied),
    flag("tlsv1.1", Implied),
    flag("tlsv1.2", Implied),
    flag("proxy-tlsv1", Implied),
    flag("ssl", Implied),
    flag("ssl-reqd", Implied),
    flag("ca-native", Implied),
    flag("proxy-ca-native", Implied),
    flag("tcp-nodelay", Implied),

    spec("silent", Some('s'), None, Output),
    spec("show-error", Some('S'), None, Output),
    spec("verbose", Some('v'), None, Output),
    spec("include", Some('i'), None, Output),
    flag("show-headers", Output),
    spec("output", Some('o'), Some("FILE"), Output),
    with("output-dir", Output),
    flag("out-null", Output),
    spec("remote-name", Some('O'), None, Output),
    flag("remote-name-all", Output),
    spec("remote-header-name", Some('J'), None, Output),
    spec("remote-time", Some('R'), None, Output),
    flag("remove-on-error", Output),
    flag("skip-existing", Output),
    flag("no-clobber", Output),
    flag("create-dirs", Output),
    with("create-file-mode", Output),
    flag("xattr", Output),
    with("etag-save", Output),
    spec("progress-bar", Some('#'), None, Output),
    flag("no-progress-meter", Output),
    spec("write-out", Some('w'), Some("FORMAT"), Output),
    spec("dump-header", Some('D'), Some("FILE"), Output),
    flag("suppress-connect-headers", Output),
    spec("no-buffer", Some('N'), None, Output),
    with("trace", Output),
    with("trace-ascii", Output),
    with("trace-config", Output),
    flag("trace-ids", Output),
    flag("trace-time", Output),
    with("stderr", Output),
    with("libcurl", Output),
    flag("styled-output", Output),

    // How curl uses the connection.
    flag("no-keepalive", Dropped),
    with("keepalive-time", Dropped),
    with("keepalive-cnt", Dropped),
    flag("tcp-fastopen", Dropped),
    flag("mptcp", Dropped),
    with("ip-tos", Dropped),
    with("vlan-priority", Dropped),
    with("happy-eyeballs-timeout-ms", Dropped),
    with("expect100-timeout", Dropped),
    spec("speed-limit", Some('Y'), Some("SPEED"), Dropped),
    spec("speed-time", Some('y'), Some("SECONDS"), Dropped),
    flag("no-alpn", Dropped),
    flag("no-npn", Dropped),
    flag("no-sessionid", Dropped),
    with("ssl-sessions", Dropped),
    flag("false-start", Dropped),
    flag("tls-earlydata", Dropped),
    with("alt-svc", Dropped),
    // Without effect in today's curl, or on this system.
    spec("sslv2", Some('2'), None, Dropped),
    spec("sslv3", Some('3'), None, Dropped),
    flag("ssl-allow-beast", Dropped),
    flag("ssl-no-revoke", Dropped),
    flag("ssl-revoke-best-effort", Dropped),
    flag("ssl-auto-client-cert", Dropped),
    flag("proxy-ssl-allow-beast", Dropped),
    flag("proxy-ssl-auto-client-cert", Dropped),
    with("random-file", Dropped),
    with("egd-file", Dropped),
    // Without effect on one call that keeps no cookies.
    flag("fail-early", Dropped),
    spec("junk-session-cookies", Some('j'), None, Dropped),
    // For other protocols than HTTP.
    spec("append", Some('a'), None, Dropped),
    spec("use-ascii", Some('B'), None, Dropped),
    spec("list-only", Some('l'), None, Dropped),
    spec("quote", Some('Q'), Some("COMMAND"), Dropped),
    spec("telnet-option", Some('t'), Some("OPTION"), Dropped),
    spec("ftp-port", Some('P'), Some("ADDRESS"), Dropped),
    flag("disable-eprt", Dropped),
    flag("disable-epsv", Dropped),
    flag("eprt", Dropped),
    flag("epsv", Dropped),
    with("ftp-account", Dropped),
    with("ftp-alternative-to-user", Dropped),
    flag("ftp-create-dirs", Dropped),
    with("ftp-method", Dropped),
    flag("ftp-pasv", Dropped),
    flag("ftp-pret", Dropped),
    flag("ftp-skip-pasv-ip", Dropped),
    flag("ftp-ssl", Dropped),
    flag("ftp-ssl-ccc", Dropped),
    with("ftp-ssl-ccc-mode", Dropped),
    flag("ftp-ssl-control", Dropped),
    flag("ftp-ssl-reqd", Dropped),
    with("krb", Dropped),
    with("krb4", Dropped),
    with("mail-auth", Dropped),
    with("mail-from", Dropped),
    with("mail-rcpt", Dropped),
    flag("mail-rcpt-allowfails", Dropped),
    with("upload-flags", Dropped),
    with("login-options", Dropped),
    with("sasl-authzid", Dropped),
    flag("sasl-ir", Dropped),
    flag("compressed-ssh", Dropped),
    with("hostpubmd5", Dropped),
    with("hostpubsha256", Dropped),
    with("knownhosts", Dropped),
    with("pubkey", Dropped),
    with("tftp-blksize", Dropped),
    flag("tftp-no-options", Dropped),
    with("ipfs-gateway", Dropped),

    flag("digest", Refused(AUTHENTICATION)),
    flag("ntlm", Refused(AUTHENTICATION)),
    flag("ntlm-wb", Refused(AUTHENTICATION)),
    flag("negotiate", Refused(AUTHENTICATION)),
    flag("anyauth", Refused("leave it out: with -u, stride sends Basic authentication")),
    with("delegation", Refused(AUTHENTICATION)),
    with("service-name", Refused(AUTHENTICATION)),
    with("tlsuser", Refused(AUTHENTICATION)),
    with("tlspassword", Refused(AUTHENTICATION)),
    with("tlsauthtype", Refused(AUTHENTICATION)),
    with("aws-sigv4", Refused(SIGNATURE)),
    with("httpsig-algo", Refused(SIGNATURE)),
    with("httpsig-headers", Refused(SIGNATURE)),
    with("httpsig-key", Refused(SIGNATURE)),
    with("httpsig-keyid", Refused(SIGNATURE)),
    with("netrc-file", Refused("use -n, and name the file in the variable NETRC")),
    flag("netrc-optional", Refused("use -n, or leave it out")),

    flag("location-trusted", Refused("use -L, which follows redirects and sends credentials to their origin only")),
    with("retry", Refused(RETRY)),
    with("retry-delay", Refused(RETRY)),
    with("retry-max-time", Refused(RETRY)),
    flag("retry-all-errors", Refused(RETRY)),
    flag("retry-connrefused", Refused(RETRY)),
    spec("next", Some(':'), None, Refused("a run makes one request for each file: start a run for each")),
    spec("parallel", Some('Z'), None, Refused(THREADS)),
    with("parallel-max", Refused(THREADS)),
    with("parallel-max-host", Refused(THREADS)),
    flag("parallel-immediate", Refused(THREADS)),
    with("rate", Refused("use --rate of stride itself")),
    with("limit-rate", Refused("use --rate of stride itself, such as --rate 20MB/s")),
    spec("cookie-jar", Some('c'), Some("FILE"), Refused("leave it out: calls run concurrently and share no cookies")),
    spec("continue-at", Some('C'), Some("OFFSET"), Refused("leave it out: each answer is read whole")),
    spec("time-cond", Some('z'), Some("TIME"), Refused("use -H 'If-Modified-Since: DATE'")),
    with("etag-compare", Refused("use -H 'If-None-Match: ETAG'")),
    with("request-target", Refused("write the target as the path of the URL")),
    flag("path-as-is", Refused("leave it out, and write the URL without /../ and /./")),
    flag("crlf", Refused("leave it out, and convert the files beforehand")),
    flag("form-escape", Refused("leave it out: names with quotes are percent-encoded, as in browsers")),
    flag("tr-encoding", Refused("leave it out, and use --compressed")),
    flag("raw", Refused("leave it out: stride stores decoded answers")),
    flag("ignore-content-length", Refused("leave it out: stride reads exactly the announced answer")),
    with("variable", Refused(VARIABLES)),

    flag("http0.9", Refused(VERSIONS)),
    spec("http1.0", Some('0'), None, Refused(VERSIONS)),
    flag("http3", Refused(VERSIONS)),
    flag("http3-only", Refused(VERSIONS)),
    with("connect-to", Refused("use --resolve HOST:PORT:ADDRESS, or write the other host into the URL and the name into -H 'Host: NAME'")),
    with("unix-socket", Refused(SOCKET)),
    with("abstract-unix-socket", Refused(SOCKET)),
    with("local-port", Refused("leave it out: the system chooses the port")),
    with("doh-url", Refused(RESOLVER)),
    flag("doh-insecure", Refused(RESOLVER)),
    flag("doh-cert-status", Refused(RESOLVER)),
    with("dns-interface", Refused(RESOLVER)),
    with("dns-ipv4-addr", Refused(RESOLVER)),
    with("dns-ipv6-addr", Refused(RESOLVER)),
    with("dns-servers", Refused(RESOLVER)),
    flag("haproxy-protocol", Refused("leave it out: stride sends no PROXY header")),
    with("haproxy-clientip", Refused("leave it out: stride sends no PROXY header")),
    with("hsts", Refused("leave it out, and write https:// in the URL")),
    with("ech", Refused("leave it out: stride sends the host's name in the clear, as most clients do")),

    with("capath", Refused("use --cacert FILE with the certificates in one file")),
    with("crlfile", Refused(REVOCATION)),
    flag("cert-status", Refused(REVOCATION)),
    with("pinnedpubkey", Refused("use --cacert FILE with the service's own certificate: stride then trusts no other")),
    with("pass", Refused("decrypt the key, such as with openssl pkey -in KEY -out PLAIN, and use --key PLAIN")),
    with("engine", Refused("use --key FILE with a key in PEM form")),
    with("ciphers", Refused(CIPHERS)),
    with("tls13-ciphers", Refused(CIPHERS)),
    with("curves", Refused(CIPHERS)),
    with("sigalgs", Refused(CIPHERS)),

    with("preproxy", Refused(PROXY)),
    with("proxy1.0", Refused(PROXY)),
    flag("socks5-gssapi", Refused(PROXY)),
    flag("socks5-gssapi-nec", Refused(PROXY)),
    with("socks5-gssapi-service", Refused(PROXY)),
    spec("proxytunnel", Some('p'), None, Refused("leave it out: stride tunnels https through the proxy, and sends http to it")),
    with("proxy-header", Refused(PROXY)),
    flag("proxy-http2", Refused(PROXY)),
    flag("proxy-http3", Refused(PROXY)),
    flag("proxy-anyauth", Refused(PROXY)),
    flag("proxy-digest", Refused(PROXY)),
    flag("proxy-negotiate", Refused(PROXY)),
    flag("proxy-ntlm", Refused(PROXY)),
    with("proxy-service-name", Refused(PROXY)),
    with("proxy-tlsuser", Refused(PROXY)),
    with("proxy-tlspassword", Refused(PROXY)),
    with("proxy-tlsauthtype", Refused(PROXY)),
    with("proxy-cacert", Refused(PROXY_TLS)),
    with("proxy-capath", Refused(PROXY_TLS)),
    with("proxy-crlfile", Refused(PROXY_TLS)),
    with("proxy-pinnedpubkey", Refused(PROXY_TLS)),
    flag("proxy-insecure", Refused(PROXY_TLS)),
    with("proxy-cert", Refused(PROXY_TLS)),
    with("proxy-cert-type", Refused(PROXY_TLS)),
    with("proxy-key", Refused(PROXY_TLS)),
    with("proxy-key-type", Refused(PROXY_TLS)),
    with("proxy-pass", Refused(PROXY_TLS)),
    with("proxy-ciphers", Refused(PROXY_TLS)),
    with("proxy-tls13-ciphers", Refused(PROXY_TLS)),

    flag("metalink", Refused(CALLS)),
    spec("help", Some('h'), None, Refused(CALLS)),
    spec("manual", Some('M'), None, Refused(CALLS)),
    spec("version", Some('V'), None, Refused(CALLS)),
    flag("dump-ca-embed", Refused(CALLS)),
];
