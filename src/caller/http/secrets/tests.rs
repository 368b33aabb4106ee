mod forms;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::*;

fn knowing(values: &[&str]) -> Secrets {
    let mut secrets = Secrets::default();
    values
        .iter()
        .for_each(|value| secrets.add(value.as_bytes()));
    secrets
}

#[test]
fn a_value_is_found_in_every_form_of_quoting() {
    let secrets = knowing(&["s3cret \"key\"+1/?>&"]);
    for quoted in [
        r#"s3cret "key"+1/?>&"#,
        r#"S3CRET "KEY"+1/?>&"#,
        r#"s3cret \"key\"+1\/?>&"#,
        r#"s3cret \"key\"\u002B1\/?\u003e\u0026"#,
        r#"s3cret \\\"key\\\"\\u002b1\\\/?>\\u0026"#,
        r#"s3cret \x22key\x22\x2B1/?\u{3e}\U00000026"#,
        "s3cret &quot;key&quot;+1/?&gt;&amp;",
        "s3cret&#32;&#34;key&#x22;&plus;1&sol;?&#62;&#038;",
        "s3cret &amp;quot;key&amp;quot;+1/?&amp;gt;&amp;amp;",
        "s3cret+%22key%22%2B1%2F%3F%3E%26",
        "s3cret%20%22key%22%2b1/%3f%3e%26",
        "s3cret%2520%2522key%2522%252B1%252F%253F%253E%2526",
        "%73%33%63%72%65%74%u0020%22%6B%65%79%22%2B%31%2F%3F%3E%26",
        "73336372657420226b6579222b312f3f3e26",
        "73336372657420226B6579222B312F3F3E26",
        "czNjcmV0ICJrZXkiKzEvPz4m",
        "czNjcmV0ICJr\r\nZXkiKzEvPz4m",
        r"czNjcmV0ICJr\nZXkiKzEvPz4m",
        "Y3pOamNtVjBJQ0pyWlhraUt6RXZQejRt",
        "czNj\n    cmV0\n    ICJr\n    ZXki\n    KzEvPz4m",
        "czNjcmV0\r\n\tICJrZXki\r\n\tKzEvPz4m",
        "czNjcmV0ICJr<br>ZXkiKzEv<br />\nPz4m",
        "czNjcmV0ICJr&lt;br&gt;ZXkiKzEvPz4m",
        "73:33:63:72:65:74:20:22:6b:65:79:22:2b:31:2f:3f:3e:26",
        "73 33 63 72 65 74 20 22 6B 65 79 22 2B 31 2F 3F 3E 26",
        "733363726574\n  20226b657922\n  2b312f3f3e26",
        "&#115&#51&#99&#114&#101&#116&#32&#34key&#34&#43&#49&#47&#63&#62&#38",
        "&#x73&#x33&#x63&#x72&#x65&#x74 &#x22key&#x22&#x2b&#49/?&#x00000000000003e&#00000000000000038;",
    ] {
        let masked = secrets.mask_text(&format!("<{quoted}>"));
        assert_eq!(masked, "<[redacted]>", "{quoted}");
    }
    assert!(!format!("{secrets:?}").contains("s3cret"));
}

#[test]
fn other_text_is_unchanged() {
    let secrets = knowing(&["s3cret/key+1", "short", "Bearer sk-verysecret99"]);
    for text in [
        "",
        "short",
        "Bearer",
        r#"{"error": "100% \u00e9 \ud83d & \\ &nope; &#xffffffffff; %zz %u12 \u{110000} \x1"}"#,
        "c2hvcnQtdGV4dC1vZi1ub3RoaW5n 0123456789abcdef0123456789abcdef",
    ] {
        assert_eq!(secrets.mask_text(text), text);
    }
    assert_eq!(Secrets::default().mask(b"as it was"), b"as it was");
    assert_eq!(
        secrets.mask(b"\xff\\s3cret/key+1\xfe"),
        b"\xff\\[redacted]\xfe"
    );
}

/// Each copy has another alignment, so that each is decoded in another reading.
#[test]
fn row_118_a_value_is_found_in_each_of_two_places_that_decode_to_the_same() {
    let secrets = knowing(&["s3cret/key+1"]);
    let encoded = STANDARD_NO_PAD.encode("&#115&#51&#99&#114&#101&#116/key+1");
    let masked = secrets.mask_text(&format!("<a={encoded}>, <a=/{encoded}>, <a=me/{encoded}>"));
    assert_eq!(masked, "<a=[redacted]>, <a=/[redacted]>, <a=me/[redacted]>");
}

#[test]
fn row_118_each_part_of_a_credential_is_secret_too() {
    let pair = STANDARD.encode("me-and-you:hunter2:pass");
    for (value, parts) in [
        ("sid=s3cr3t-sesame; theme=dark", &["s3cr3t-sesame"][..]),
        (
            "a=1;sid=s3cr3t+sesame==",
            &["s3cr3t+sesame==", "s3cr3t+sesame"],
        ),
        ("sid=abcd,efgh,ijkl; theme=dark", &["abcd,efgh,ijkl"]),
        (
            "session=%7B%22token%22%3A%22s3cr3t%2Bsesame%22%7D",
            &["s3cr3t%2Bsesame", "s3cr3t+sesame"],
        ),
        ("Token token=\"s3cr3t-sesame\"", &["s3cr3t-sesame"]),
        (
            "Custom user='me', pass=\"horse; battery=staple\", n=1",
            &["horse; battery=staple", "battery=staple"],
        ),
        ("id7,s3cr3t-sesame", &["s3cr3t-sesame"]),
        ("id7:s3cr3t:sesame", &["s3cr3t:sesame"]),
        ("s3cr3t-sesame:", &["s3cr3t-sesame"]),
        ("user=me&pass=s3cr3t-sesame&x=1", &["s3cr3t-sesame"]),
        ("s3cr3t-sesame\"", &["s3cr3t-sesame"]),
        (
            "{\"type\": \"x\", \"keys\": [{\"token\": \"s3cr3t \\\"sesame\"}, 1234567890]}",
            &["s3cr3t \"sesame", "1234567890"],
        ),
        (
            &format!("basic {pair}"),
            &["me-and-you", "hunter2:pass", "me-and-you:hunter2:pass"],
        ),
        (
            &format!("BASIC  {}", pair.trim_end_matches('=')),
            &["hunter2:pass"],
        ),
        (&pair, &["hunter2:pass"]),
        ("fn5_Om9ubHktdGhlLWtleT8_Pg==", &["only-the-key??>"]),
        ("Bearer sk-verysecret99", &["sk-verysecret99"]),
        (
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=fe5f80f77d5fa3be",
            &[
                "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
                "fe5f80f77d5fa3be",
            ],
        ),
    ] {
        let secrets = knowing(&[value]);
        for part in parts {
            assert_eq!(
                secrets.mask_text(&format!("<{part}>")),
                "<[redacted]>",
                "{part} of {value}"
            );
        }
        assert_eq!(secrets.mask_text(value), "[redacted]", "{value}");
    }
}

/// Messages stay readable, and redirects without secrets are followed.
#[test]
fn row_118_the_names_in_a_credential_are_not_secret() {
    let secrets = knowing(&[
        "session_token=s3cr3t-sesame; theme=dark; HttpOnly",
        "OAuth oauth_consumer_key=\"dpf43f3p2l4k5l03\", oauth_signature=\"wIjqoXYHuRw\"",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-date, Signature=fe5f80f77d5fa3be",
        "{\"private_key\": \"s3cr3t-sesame\"}",
    ]);
    for text in [
        "session_token, Credential, SignedHeaders and Signature of 20130524, us-east-1",
        "oauth_consumer_key, oauth_signature, private_key",
        "https://s3.us-east-1.amazonaws.com/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20130524T0Z&X-Amz-SignedHeaders=range&theme=light",
    ] {
        assert_eq!(secrets.mask_text(text), text);
    }
}

/// The number of parts grows with the length, not exponentially.
#[test]
fn row_118_a_long_credential_has_few_parts() {
    for sign in [";", " ", ",", "=", ":", "\"", "a=", "a:b;c,d e=\"f\""] {
        let value = sign.repeat(65536 / sign.len());
        let secrets = knowing(&[&value]);
        let length: usize = secrets.values.iter().map(Vec::len).sum();
        assert!(length < 20 * value.len(), "{length} for {sign}");
    }
}

#[test]
fn overlapping_values_are_masked_completely() {
    let secrets = knowing(&["abcdefgh-1234", "1234-ijklmnop"]);
    assert_eq!(secrets.mask_text("abcdefgh-1234-ijklmnop"), "[redacted]");
}

#[test]
fn a_value_at_the_end_of_a_cut_message_is_masked() {
    let secrets = knowing(&["s3cret/key+1"]);
    let cut = |text: &str| secrets.mask_text(&format!("no such key: {text}…"));
    for text in [
        "s3cret/ke",
        r"s3cret\/k",
        r"s3cret\u002",
        "czNjcmV0L2tleSsx",
        "czNjcmV0L2tl",
    ] {
        assert_eq!(cut(text), "no such key: [redacted]…", "{text}");
    }
    assert_eq!(cut("what"), "no such key: what…");
}

/// A service may read the bytes as Latin-1, or replace them.
#[test]
fn a_value_is_found_in_another_character_encoding() {
    let secrets = knowing(&["pässwörd"]);
    for text in [
        "pässwörd",
        "p\\u00e4ssw\\u00f6rd",
        "p&auml;ssw&ouml;rd",
        "p\\u00c3\\u00a4ssw\\u00c3\\u00b6rd",
    ] {
        assert_eq!(secrets.mask_text(text), "[redacted]", "{text}");
    }
}
