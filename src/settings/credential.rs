//! Which names are those of credentials.

/// Words that name a credential wherever they stand last in a name.
const ALWAYS: [&str; 19] = [
    "assertion",
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "dpop",
    "jwt",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "sas",
    "secret",
    "sig",
    "signature",
    "token",
];
/// The ends of words that are several written as one, such as `apikey`.
const ENDS: [&str; 10] = [
    "accesskey",
    "apikey",
    "appkey",
    "authkey",
    "authorization",
    "password",
    "secret",
    "secretkey",
    "signature",
    "subscriptionkey",
];
/// Words before `key` with which it is a credential. A sort key is none.
const KEYS: [&str; 23] = [
    "access",
    "account",
    "admin",
    "api",
    "app",
    "application",
    "auth",
    "client",
    "consumer",
    "developer",
    "encryption",
    "function",
    "functions",
    "license",
    "master",
    "private",
    "rapidapi",
    "secret",
    "service",
    "shared",
    "signing",
    "subscription",
    "x",
];
/// Words before `token` with which it is none: those of pages and of language models.
const NO_TOKENS: [&str; 14] = [
    "bos",
    "continuation",
    "cursor",
    "end",
    "eos",
    "mask",
    "next",
    "pad",
    "page",
    "prev",
    "previous",
    "start",
    "stop",
    "sync",
];
/// The least length of a value that looks like a key where the name alone does not say so, in bytes.
const LEAST: usize = 16;

/// Returns whether a header's literal value is a credential, judged by the header's name.
pub fn is_sensitive(header: &str) -> bool {
    let name = header.to_ascii_lowercase();
    match name.as_str() {
        "idempotency-key" => false,
        name => {
            let mut words = ["key", "token", "secret"].iter();
            words.any(|word| name.contains(word)) || is_credential(header)
        }
    }
}

/// Returns whether a value of this name in a URL's query, a cookie or a form is a credential, judged by the last words of
/// the name: `api_key`, `accessToken` and `X-Amz-Signature` are, `max_tokens`, `page_token` and `signature_version` are not.
pub fn is_credential(name: &str) -> bool {
    let words = words(name);
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    let before = before.last().map(String::as_str);
    match last.as_str() {
        "key" => before.is_none_or(|before| KEYS.contains(&before)),
        "token" => before.is_none_or(|before| !NO_TOKENS.contains(&before)),
        last if ALWAYS.contains(&last) => true,
        last => last.ends_with("token") || ENDS.iter().any(|end| last.ends_with(end)),
    }
}

/// The same in a text such as JSON, where `key` and `token` name other things more often: there the value has to look like
/// a key too.
pub fn is_credential_in_text(name: &str, value: &str) -> bool {
    let is_bare = ["key", "token", "pass", "auth"].contains(&name.to_ascii_lowercase().as_str());
    let looks_like_one = value.len() >= LEAST
        && !value.contains(char::is_whitespace)
        && value.contains(|char: char| char.is_ascii_digit());
    is_credential(name) && (!is_bare || looks_like_one)
}

/// The words of a name, in lower case and without numbers behind them: parted by signs, or by a capital letter.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_lower = false;
    let mut goes_on = false;
    for char in name
        .trim_end_matches(|char: char| !char.is_alphabetic())
        .chars()
    {
        if !char.is_alphanumeric() {
            goes_on = false;
            was_lower = false;
            continue;
        }
        if char.is_uppercase() && was_lower {
            goes_on = false;
        }
        match words.last_mut().filter(|_| goes_on) {
            Some(word) => word.extend(char.to_lowercase()),
            None => words.push(char.to_lowercase().collect()),
        }
        (goes_on, was_lower) = (true, char.is_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in [
            "Authorization",
            "X-Authorization",
            "Proxy-Authorization",
            "X-Api-Key",
            "cookie",
            "x-auth-token",
            "Client-Secret",
            "X-Password",
            "X-Signature",
            "X-Hub-Signature-256",
            "X-Amz-Credential",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in [
            "Accept",
            "Idempotency-Key",
            "X-Language",
            "X-Request-Signature-Version",
            "X-Password-Policy",
            "Signature-Input",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn what_is_typed_elsewhere_has_to_be_named_more_clearly() {
        for name in [
            "key",
            "api_key",
            "apikey",
            "apiKey",
            "myapikey",
            "X-RapidAPI-Key",
            "subscription-key",
            "token",
            "access_token",
            "accessToken",
            "idToken",
            "client_secret",
            "sig",
            "signature",
            "X-Amz-Signature",
            "password",
            "user[password]",
            "auth",
            "key2",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "",
            "q",
            "sort_key",
            "primaryKey",
            "keyword",
            "keys",
            "max_tokens",
            "maxTokens",
            "page_token",
            "nextToken",
            "sig_version",
            "monkey",
            "design",
            "author",
        ] {
            assert!(!is_credential(name), "{name}");
        }
        assert!(!is_credential_in_text("key", "sentiment"));
        assert!(!is_credential_in_text("token", "a word"));
        assert!(is_credential_in_text("key", "AIzaSyA1b2c3d4e5f6"));
        assert!(is_credential_in_text("api_key", "short"));
    }
}
