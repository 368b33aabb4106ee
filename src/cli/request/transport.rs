//! Parses the options about the connection.

use std::net::IpAddr;
use std::path::PathBuf;

use stride::caller::Credential;
use stride::curl::ParsedOption;
use stride::settings::{Http, Ip, Tls, Transport};

use super::numbers::redirects;
use super::options::Options;
use super::{file, proxy};
use crate::cli::output::error::{CliError, quoted};

/// The number of redirects that curl follows by default.
const MOST_REDIRECTS: u32 = 50;

/// The schemes that can be called.
const SCHEMES: [&str; 2] = ["http", "https"];

impl Options {
    pub(super) fn transport(&self) -> Result<(Transport, Option<Credential>), CliError> {
        let text = |name| self.value(name).map(str::to_owned);
        let path = |name| self.value(name).map(file::absolute).transpose();
        let redirects = match self.last(&["max-redirs"]) {
            Some(given) => redirects(given)?,
            None => MOST_REDIRECTS,
        };
        let proxy = self.last(&["proxy", "socks4", "socks4a", "socks5", "socks5-hostname"]);
        // An empty value means no proxy, even if the environment names one.
        let no_proxy = match proxy.is_some_and(|given| given.value().is_empty()) {
            true => Some("*".to_owned()),
            false => text("noproxy"),
        };
        let proxy = proxy.filter(|given| !given.value().is_empty());
        let proxy = proxy.map(|given| match given.option.long {
            "proxy" => given.value().to_owned(),
            "socks5-hostname" => format!("socks5h://{}", given.value()),
            scheme => format!("{scheme}://{}", given.value()),
        });
        let (proxy, credential) = proxy::parse(proxy, text("proxy-user"))?;
        let http = self.last(&["http1.1", "http2", "http2-prior-knowledge"]);
        self.are_pem()?;
        let transport = Transport {
            proxy,
            proxy_withheld: credential.is_some(),
            no_proxy,
            ca_file: path("cacert")?,
            certificate: self.certificate()?,
            key: path("key")?,
            insecure: self.has("insecure"),
            http: match http.map(|given| given.option.long) {
                Some("http2") => Http::Http2,
                Some("http2-prior-knowledge") => Http::Http2Only,
                _ => Http::Http1,
            },
            tls: self.tls()?,
            ip: self
                .last(&["ipv4", "ipv6"])
                .map(|given| match given.option.long {
                    "ipv4" => Ip::V4,
                    _ => Ip::V6,
                }),
            interface: self.last(&["interface"]).map(interface).transpose()?,
            uncompressed: self.is_pasted() && !self.has("compressed"),
            schemes: schemes(&[self.value("proto")]),
            redirects: if self.follows() { redirects } else { 0 },
            redirect_schemes: schemes(&[self.value("proto"), self.value("proto-redir")]),
            keep_post: [("post301", 301), ("post302", 302), ("post303", 303)]
                .into_iter()
                .filter_map(|(name, status)| self.has(name).then_some(status))
                .collect(),
            resolve: self
                .all(&["resolve"])
                .map(|given| given.value().to_owned())
                .collect(),
        };
        Ok((transport, credential))
    }

    /// Returns whether redirects are followed.
    pub(super) fn follows(&self) -> bool {
        self.has("location") || self.has("follow")
    }

    /// Returns the versions of TLS: from the last minimum up to the maximum.
    fn tls(&self) -> Result<Tls, CliError> {
        let names = ["tlsv1", "tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"];
        let least = self.last(&names).map(|given| given.option.long);
        match (least, self.value("tls-max")) {
            (Some("tlsv1.3"), None | Some("1.3" | "default")) => Ok(Tls::Only13),
            (_, None | Some("1.3" | "default")) => Ok(Tls::Any),
            (Some("tlsv1.3"), Some("1.2")) => Err(CliError::usage(
                "--tlsv1.3 and --tls-max 1.2 leave no version of TLS",
            )
            .hint("leave out one of them")),
            (_, Some("1.2")) => Ok(Tls::Only12),
            (_, Some(most)) => Err(
                CliError::usage(format!("--tls-max {most} is not supported"))
                    .hint("use --tls-max 1.2 or 1.3: older versions of TLS are not secure"),
            ),
        }
    }

    /// Returns the path of the client certificate, which curl takes with the password of its key.
    fn certificate(&self) -> Result<Option<PathBuf>, CliError> {
        let Some(given) = self.value("cert") else {
            return Ok(None);
        };
        let path = file::absolute(given)?;
        if !path.exists()
            && let Some((name, _)) = given.split_once(':')
            && file::absolute(name)?.exists()
        {
            return Err(CliError::usage(format!(
                "--cert {}:… has a password, but encrypted keys are not supported",
                quoted(name.as_ref())
            ))
            .hint("decrypt the key, such as with openssl pkey -in KEY -out PLAIN, and use --cert FILE --key PLAIN"));
        }
        Ok(Some(path))
    }

    /// Refuses other forms of certificates and keys than PEM.
    fn are_pem(&self) -> Result<(), CliError> {
        for given in self.all(&["cert-type", "key-type"]) {
            if !given.value().eq_ignore_ascii_case("pem") {
                let (option, form) = (&given.written, given.value());
                let converter = match (&*form.to_ascii_lowercase(), given.option.long) {
                    ("der", "cert-type") => "openssl x509 -inform DER",
                    ("der", _) => "openssl pkey -inform DER",
                    _ => "openssl pkcs12 -nodes",
                };
                return Err(
                    CliError::usage(format!("{option} {form} is not supported")).hint(format!(
                        "convert the file to PEM, such as with {converter} -in FILE -out FILE.pem"
                    )),
                );
            }
        }
        Ok(())
    }
}

fn interface(given: &ParsedOption) -> Result<IpAddr, CliError> {
    let address = given.value();
    let address = address.strip_prefix("host!").unwrap_or(address);
    address.parse().map_err(|_| {
        CliError::usage(format!("{} {address} is not an address", given.written))
            .hint("use an address of this machine: --interface ADDRESS")
    })
}

/// Returns the schemes that all lists of protocols allow, or an empty list if they allow both. A list starts with all
/// protocols; `+` adds one to them, `-` takes one away, and `=` leaves only this one.
fn schemes(lists: &[Option<&str>]) -> Vec<String> {
    let mut all = SCHEMES.map(|_| true);
    for list in lists.iter().flatten() {
        let mut allowed = SCHEMES.map(|_| true);
        for word in list.split(',') {
            let name = word.trim_start_matches(['+', '-', '=']);
            let change = word[..word.len() - name.len()].chars().last();
            for (scheme, allowed) in SCHEMES.iter().zip(&mut allowed) {
                let is_it = name == "all" || name.eq_ignore_ascii_case(scheme);
                *allowed = match change {
                    Some('=') => is_it,
                    Some('-') => *allowed && !is_it,
                    _ => *allowed || is_it,
                };
            }
        }
        for (all, allowed) in all.iter_mut().zip(allowed) {
            *all &= allowed;
        }
    }
    if all == [true, true] {
        return Vec::new();
    }
    let left = SCHEMES.iter().zip(all).filter(|(_, allowed)| *allowed);
    let left: Vec<String> = left.map(|(scheme, _)| (*scheme).to_owned()).collect();
    match left.is_empty() {
        // An empty list would allow both.
        true => vec!["none".to_owned()],
        false => left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_protocols_are_read_as_by_curl() {
        for (lists, expected) in [
            (&[None][..], &[][..]),
            (&[Some("=https")], &["https"]),
            (&[Some("-all,https")], &["https"]),
            (&[Some("=http,https,ftp")], &[]),
            (&[Some("-http")], &["https"]),
            (&[Some("https")], &[]),
            (&[Some("=ftp")], &["none"]),
            (&[Some("=HTTPS"), Some("=http,https")], &["https"]),
            (&[None, Some("=http")], &["http"]),
        ] {
            assert_eq!(schemes(lists), expected, "{lists:?}");
        }
    }
}
