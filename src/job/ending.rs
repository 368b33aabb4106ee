//! File extensions of answers.

/// The extensions of media types for which `mime_guess` has several, or an unusual one first.
const ENDINGS: [(&str, &str); 24] = [
    ("application/gzip", "gz"),
    ("application/javascript", "js"),
    ("application/json", "json"),
    ("application/jsonl", "jsonl"),
    ("application/octet-stream", "bin"),
    ("application/pdf", "pdf"),
    ("application/x-ndjson", "jsonl"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("audio/flac", "flac"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/vnd.wave", "wav"),
    ("audio/wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/x-wav", "wav"),
    ("image/jpeg", "jpg"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tiff"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("video/mp4", "mp4"),
];

/// Returns the file extension for a media type: always one of a fixed set, `bin` if the type is unknown.
pub fn ending(media_type: Option<&str>) -> &'static str {
    let media_type = media_type.unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    if let Some((_, ending)) = ENDINGS.iter().find(|(known, _)| *known == essence) {
        return ending;
    }
    // A wildcard would match every extension.
    let known = (!essence.contains('*'))
        .then(|| mime_guess::get_mime_extensions_str(&essence))
        .flatten();
    let plain = |ending: &&&str| ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some(ending) = known.into_iter().flatten().find(plain) {
        return ending;
    }
    // Structured syntaxes (RFC 6839).
    match essence.rsplit_once('+').map(|(_, suffix)| suffix) {
        Some("json") => "json",
        Some("xml") => "xml",
        Some("zip") => "zip",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_come_from_a_fixed_set() {
        for (media_type, expected) in [
            ("application/json", "json"),
            ("Text/Plain; charset=utf-8", "txt"),
            (" audio/mpeg ", "mp3"),
            ("audio/x-wav", "wav"),
            ("image/png", "png"),
            ("image/jpeg", "jpg"),
            ("application/pdf", "pdf"),
            ("text/html", "html"),
            ("text/csv", "csv"),
            ("image/webp", "webp"),
            ("application/problem+json", "json"),
            ("application/atom+xml", "atom"),
            ("application/vnd.nobody+xml", "xml"),
            ("application/octet-stream", "bin"),
            ("application/x-nobody-knows", "bin"),
            ("", "bin"),
            ("/", "bin"),
            ("*/*", "bin"),
            ("audio/*", "bin"),
            ("json", "bin"),
            ("../../x", "bin"),
            ("text/../../x", "bin"),
            ("text/plain/../x", "bin"),
            ("x/y; name=a.exe", "bin"),
        ] {
            assert_eq!(ending(Some(media_type)), expected, "{media_type}");
        }
        assert_eq!(ending(None), "bin");
    }
}
