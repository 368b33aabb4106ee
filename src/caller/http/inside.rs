//! Keeps addresses from answers of public services outside of this machine and of private networks.

use std::net::{IpAddr, Ipv6Addr};

use reqwest::dns::Addrs;
use thiserror::Error;

use super::error::unsafe_url;
use super::unreachable::causes;
use crate::job::Outcome;

/// Returns whether a name is that of this machine on every system.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

/// An address of this machine or of a private network, to which a public service leads.
#[derive(Debug, Error)]
#[error("{named_by} leads to {host}, an address of this machine or of a private network")]
pub(super) struct LeadsInside {
    host: String,
    named_by: String,
}

impl LeadsInside {
    fn new(host: &str, named_by: &str) -> Self {
        Self {
            host: host.to_owned(),
            named_by: named_by.to_owned(),
        }
    }

    /// Returns the outcome of an attempt that must not connect.
    pub(super) fn outcome(&self) -> Outcome {
        let host = &self.host;
        unsafe_url(format!(
            "{self}, and no URL of the run names it; --allow-origin allows it, such as --allow-origin https://{host}"
        ))
    }
}

/// Returns the outcome of an attempt that was kept from connecting inside.
pub(super) fn kept_outside(error: &(dyn std::error::Error + 'static)) -> Option<Outcome> {
    let causes = causes(error);
    let mut found = causes
        .iter()
        .filter_map(|cause| cause.downcast_ref::<LeadsInside>());
    found.next().map(LeadsInside::outcome)
}

/// Refuses a host that is inside by its own words, if a public host names it.
pub(super) fn check_host(host: &str, named_by: &str) -> Result<(), LeadsInside> {
    match is_host_inside(host) {
        true => Err(LeadsInside::new(host, named_by)),
        false => Ok(()),
    }
}

/// Refuses addresses of a host that are inside, if a public host names it. The connection is made to these.
pub(super) fn check_addresses(
    host: &str,
    found: Addrs,
    named_by: &str,
) -> Result<Addrs, LeadsInside> {
    let found: Vec<_> = found.collect();
    match found.iter().any(|address| is_inside(address.ip())) {
        true => Err(LeadsInside::new(host, named_by)),
        false => Ok(Box::new(found.into_iter())),
    }
}

/// Returns whether a host is inside by its own words. What its name resolves to does not count: its owner could name an
/// address inside for that alone.
pub(super) fn is_host_inside(host: &str) -> bool {
    is_local(host) || literal(host).is_some_and(is_inside)
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// Returns whether an address is one of this machine, a link or a private network (RFC 6890).
pub(super) fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_broadcast()
                || first == 0
                // Shared by the customers of a provider (RFC 6598).
                || first == 100 && second & 0xc0 == 64
        }
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_inside(v4),
            None => {
                v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
            }
        },
    }
}

/// Returns the IPv4 address within an IPv6 address: a mapped one, or one behind NAT64 (RFC 6052).
fn embedded(v6: Ipv6Addr) -> Option<IpAddr> {
    let mapped = v6.to_ipv4_mapped();
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else {
        return mapped.map(IpAddr::V4);
    };
    let [high, low] = [high, low].map(u16::to_be_bytes);
    Some(IpAddr::from([high[0], high[1], low[0], low[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_known_in_every_form() {
        for (address, inside) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("192.168.0.1", true),
            ("169.254.169.254", true),
            ("100.64.0.1", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("::", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::ffff:10.0.0.1", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("64:ff9b::808:808", false),
            ("::ffff:8.8.8.8", false),
            ("172.32.0.1", false),
            ("100.128.0.1", false),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_inside(address.parse().unwrap()), inside, "{address}");
        }
    }
}
