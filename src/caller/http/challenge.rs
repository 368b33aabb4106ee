//! Describes what a service asks for with a 401 (RFC 9110, section 11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use super::headers::lossy;

/// A part of the message about an authentication that stride does not have.
pub const UNSUPPORTED: &str = "which stride does not support";

/// Authentications that need an exchange with the service.
const EXCHANGES: [&str; 3] = ["Digest", "Negotiate", "NTLM"];

/// Returns what the service asks for, if it says so and the status alone does not.
pub(super) fn describe(headers: &HeaderMap) -> Option<String> {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter().map(lossy);
    let challenges = challenges.collect::<Vec<_>>().join(", ");
    let words: Vec<&str> = challenges
        .split(',')
        .filter_map(|part| part.split_whitespace().next())
        .collect();
    let asks_for = |scheme: &str| words.iter().any(|word| word.eq_ignore_ascii_case(scheme));
    if let Some(said) = parameter(&challenges, "error_description") {
        return Some(said.to_owned());
    }
    if asks_for("Basic") {
        return Some("the service asks for Basic authentication (-u)".to_owned());
    }
    if asks_for("Bearer") {
        return None;
    }
    let scheme = EXCHANGES.into_iter().find(|scheme| asks_for(scheme))?;
    Some(format!(
        "the service asks for {scheme} authentication, {UNSUPPORTED}"
    ))
}

/// Returns a parameter of a challenge, which is between double quotes.
fn parameter<'c>(challenges: &'c str, name: &str) -> Option<&'c str> {
    let (_, rest) = challenges.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authentication_is_named() {
        let digest = "the service asks for Digest authentication, which stride does not support";
        let basic = "the service asks for Basic authentication (-u)";
        for (challenges, expected) in [
            (&[r#"Digest realm="a, b", nonce="n""#][..], Some(digest)),
            (&[r#"digest realm="a""#, "Negotiate"], Some(digest)),
            (&["Digest realm=a", r#"Basic realm="a""#], Some(basic)),
            (
                &[r#"Bearer realm="a", error="x", error_description="It expired""#],
                Some("It expired"),
            ),
            (&["Bearer"], None),
            (&["ApiKey"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for challenge in challenges {
                headers.append(WWW_AUTHENTICATE, challenge.parse().unwrap());
            }
            assert_eq!(describe(&headers).as_deref(), expected, "{challenges:?}");
        }
    }
}
