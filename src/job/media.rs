//! What a body is, by its media type and by itself.

/// Whether a media type says JSON: `application/json`, `text/json`, or any type with the suffix `+json`
/// (RFC 6839, section 3.1).
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// Reads bytes as one JSON text (RFC 8259). Nothing is built from them, so neither depth nor the size of
/// numbers matters.
///
/// # Errors
///
/// They are not one JSON text.
pub fn json_text(bytes: &[u8]) -> Result<&str, serde_json::Error> {
    serde_json::from_slice::<&serde_json::value::RawValue>(bytes)
        .map(serde_json::value::RawValue::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_media_type() {
        for media_type in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/json",
            "application/problem+json",
        ] {
            assert!(is_json(media_type), "{media_type}");
        }
        for media_type in [
            "text/plain",
            "application/jsonl",
            "application/x-ndjson",
            "",
        ] {
            assert!(!is_json(media_type), "{media_type}");
        }
    }

    #[test]
    fn only_one_whole_json_text_json_text() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let nines = "9".repeat(400);
        for good in [
            "{}",
            " 1 ",
            "null",
            r#"{"a":1,"a":2}"#,
            "1e400",
            r#""\ud800""#,
            &deep,
            &nines,
        ] {
            assert!(json_text(good.as_bytes()).is_ok(), "{good}");
        }
        let brackets = "[".repeat(1_000_000);
        for bad in [
            "",
            "{",
            "NaN",
            "{} {}",
            "\u{feff}{}",
            "{}x",
            "<html>",
            &brackets,
        ] {
            assert!(
                json_text(bad.as_bytes()).is_err(),
                "{}",
                bad.get(..20).unwrap_or(bad)
            );
        }
        assert!(json_text(b"\"\xff\"").is_err());
    }
}
