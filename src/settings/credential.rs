//! Recognizes credentials by their names.

/// Words that name a credential as the last word of any name.
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
/// Suffixes of words that are written together, such as `apikey`.
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
/// Words that make a following `key` a credential. A sort key is not one.
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
/// Words after which `token` is not a credential: it belongs to a page or a language model.
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
/// The minimum length of a value that looks like a key, in bytes.
const LEAST: usize = 16;

/// The maximum length of such a value. A longer one is data, such as an image in base64.
const MOST: usize = 512;

/// The minimum number of changes between letters and digits in such a value. A name with a version has fewer.
const CHANGES: usize = 3;

/// Returns whether a text has a word that looks like a key: many letters and digits, mixed, without any punctuation.
pub fn has_key(text: &str) -> bool {
    let mut words = text.split(|char: char| !char.is_ascii_alphanumeric());
    words.any(|word| {
        let pairs = word.as_bytes().windows(2);
        let changes = pairs.filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit());
        (LEAST..=MOST).contains(&word.len()) && changes.count() >= CHANGES
    })
}

/// Returns whether a header of this name carries a credential.
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

/// Returns whether a value of this name in a query, a cookie or a form is a credential, by the last words of the name.
/// `api_key`, `accessToken` and `X-Amz-Signature` are, `max_tokens`, `page_token` and `signature_version` are not.
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

/// Returns whether a name in a text such as JSON is that of a credential. `key`, `token`, `pass` and `auth` alone also name
/// other things there, so their value must look like a key.
pub fn is_credential_in_text(name: &str, value: &str) -> bool {
    let is_bare = ["key", "token", "pass", "auth"].contains(&name.to_ascii_lowercase().as_str());
    let looks_like_one = value.len() >= LEAST
        && !value.contains(char::is_whitespace)
        && value.contains(|char: char| char.is_ascii_digit());
    is_credential(name) && (!is_bare || looks_like_one)
}

/// Splits a name into words in lower case: at punctuation, and before a capital letter that follows a small one. Drops
/// trailing numbers.
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
    fn keys_are_recognized_by_their_mixed_characters() {
        for text in [
            "sk-proj-a1B2c3D4e5F6g7H8i9",
            "Bearer 0f9c1d2e3b4a59687786950413220ef1",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl1x2y3z",
        ] {
            assert!(has_key(text), "{text}");
        }
        for text in [
            "2",
            "application/json",
            "gpt-4o-mini-2024-07-18",
            "whisperlargev3turbo",
            "123e4567-e89b-12d3-a456-426614174000",
            "Classify this text as positive or negative: 1, 2 or 3.",
        ] {
            assert!(!has_key(text), "{text}");
        }
    }

    #[test]
    fn credentials_are_recognized_by_their_names() {
        for (is_credential, found, names) in [
            (
                is_sensitive as fn(&str) -> bool,
                true,
                "Authorization X-Authorization Proxy-Authorization X-Api-Key cookie x-auth-token Client-Secret X-Password X-Signature X-Hub-Signature-256 X-Amz-Credential",
            ),
            (
                is_sensitive,
                false,
                "Accept Idempotency-Key X-Language X-Request-Signature-Version X-Password-Policy Signature-Input",
            ),
            (
                is_credential,
                true,
                "key api_key apikey apiKey myapikey X-RapidAPI-Key subscription-key token access_token accessToken idToken client_secret sig signature X-Amz-Signature password user[password] auth key2",
            ),
            (
                is_credential,
                false,
                "q sort_key primaryKey keyword keys max_tokens maxTokens page_token nextToken sig_version monkey design author",
            ),
        ] {
            for name in names.split(' ') {
                assert_eq!(is_credential(name), found, "{name}");
            }
        }
        assert!(!is_credential(""));
        for (name, value, found) in [
            ("key", "sentiment", false),
            ("token", "a word", false),
            ("key", "AIzaSyA1b2c3d4e5f6", true),
            ("api_key", "short", true),
        ] {
            assert_eq!(is_credential_in_text(name, value), found, "{name}");
        }
    }
}
