//! Addresses that the user gives for hosts (`--resolve`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::error::PlanError;
use super::inside::{check_addresses, is_local};
use super::progress::{Progress, Target};
use super::unreachable::Resolver;

/// The host that stands for all hosts without addresses of their own at a port.
const ANY: &str = "*";

/// The addresses of names below `localhost` (RFC 6761, section 6.3), which not every system resolves.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The given addresses of hosts at ports.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(HashMap<(String, u16), Vec<IpAddr>>);

impl Addresses {
    /// Parses lists of `HOST:PORT:ADDRESS[,ADDRESS]…`. As with curl, the last one for a host and a port counts, and
    /// `-HOST:PORT` takes an earlier one back. A `+` before a host changes nothing here.
    pub(super) fn parse(words: &[String]) -> Result<Self, PlanError> {
        let mut addresses = HashMap::new();
        for word in words {
            let wrong = || PlanError::Address(word.clone());
            if let Some(removed) = word.strip_prefix('-') {
                let (host, port) = removed.split_once(':').ok_or_else(wrong)?;
                addresses.remove(&key(host, port).ok_or_else(wrong)?);
                continue;
            }
            let entry = word.strip_prefix('+').unwrap_or(word);
            let (host, rest) = entry.split_once(':').ok_or_else(wrong)?;
            let (port, list) = rest.split_once(':').ok_or_else(wrong)?;
            let list = list.split(',').map(|address| {
                let address = address.trim_matches(['[', ']']).parse();
                address.map_err(|_| wrong())
            });
            let key = key(host, port).ok_or_else(wrong)?;
            addresses.insert(key, list.collect::<Result<_, _>>()?);
        }
        Ok(Self(addresses))
    }

    /// Returns whether a host has addresses, at any port.
    pub(super) fn has(&self, host: &str) -> bool {
        self.of_proxy(host).is_some()
    }

    fn of(&self, host: &str, port: u16) -> Option<&Vec<IpAddr>> {
        let given = |host: &str| self.0.get(&(host.to_ascii_lowercase(), port));
        given(host).or_else(|| given(ANY))
    }

    /// Returns the addresses of a proxy, whose port the resolver does not know.
    fn of_proxy(&self, host: &str) -> Option<&Vec<IpAddr>> {
        let mut given = self.0.iter();
        let found = given.find(|((known, _), _)| known.eq_ignore_ascii_case(host));
        found.map(|(_, list)| list)
    }
}

fn key(host: &str, port: &str) -> Option<(String, u16)> {
    Some((host.to_ascii_lowercase(), port.parse().ok()?))
}

/// Resolves names to the given addresses, names below `localhost` to this machine, and other names as the system does.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) addresses: Addresses,
    /// Knows the target of the current request.
    pub(super) progress: Progress,
    pub(super) others: Resolver,
}

impl Known {
    fn find(&self, target: &Target, name: Name) -> Resolving {
        let given = match target.host == name.as_str() {
            true => self.addresses.of(&target.host, target.port),
            false => self.addresses.of_proxy(name.as_str()),
        };
        let given = match given {
            Some(given) => given.as_slice(),
            None if is_local(name.as_str()) && name.as_str() != "localhost" => &LOOPBACK,
            None => return self.others.resolve(name),
        };
        // The connector replaces this port by the URL's.
        let given = given.iter().map(|address| SocketAddr::new(*address, 0));
        let given: Vec<SocketAddr> = given.collect();
        Box::pin(async { Ok(Box::new(given.into_iter()) as Addrs) })
    }
}

impl Resolve for Known {
    fn resolve(&self, name: Name) -> Resolving {
        let target = self.progress.target().clone();
        let is_target = target.host == name.as_str();
        let found = self.find(&target, name);
        let Some(named_by) = target.named_by.filter(|_| is_target) else {
            return found;
        };
        Box::pin(async move { Ok(check_addresses(&target.host, found.await?, &named_by)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_for_a_host_and_a_port() {
        let words = [
            "a.example:443:192.0.2.1",
            "+A.example:80:192.0.2.2,[2001:db8::1]",
            "*:443:192.0.2.3",
            "b.example:443:192.0.2.4",
            "-b.example:443",
        ];
        let addresses = Addresses::parse(&words.map(str::to_owned)).unwrap();
        let of = |host, port| {
            let found = addresses.of(host, port);
            found
                .into_iter()
                .flatten()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("a.example", 443), ["192.0.2.1"]);
        assert_eq!(of("a.example", 80), ["192.0.2.2", "2001:db8::1"]);
        assert_eq!(of("b.example", 443), ["192.0.2.3"]);
        assert!(of("b.example", 80).is_empty());
        assert!(addresses.of_proxy("a.example").is_some());
        assert!(addresses.of_proxy("c.example").is_none());
        for word in ["a.example", "a.example:x:192.0.2.1", "a.example:80:b", "-a"] {
            assert!(Addresses::parse(&[word.to_owned()]).is_err(), "{word}");
        }
    }
}
