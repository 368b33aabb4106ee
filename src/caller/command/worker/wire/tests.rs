use proptest::prelude::*;

use super::*;
use crate::job::Policy;

proptest! {
    #[test]
    fn any_bytes_are_heard_the_same_in_pieces(words in prop::collection::vec(0usize..12, 0..40), step in 1usize..30) {
        let words = words.into_iter().map(|word| {
            [
                "{\"t\":\"done\",\"id\":1", ",\"bytes\":3", ",\"json\":[1]", ",\"text\":\"x\"", "}\n", "abc",
                "{\"t\":\"fail\",\"id\":2", ",\"message\":\"\\udce9\"", "{\"t\":\"beat\",\"id\":3}\n", "\n", "\u{e9}",
                "{\"t\":\"hello\",\"width\":2}\n",
            ][word]
        });
        let text: String = words.collect();
        prop_assert_eq!(heard(text.as_bytes(), step), heard(text.as_bytes(), text.len().max(1)));
    }
}

fn all(bytes: &[u8], step: usize) -> Result<Vec<Message>, String> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(step) {
        decoder.room().extend_from_slice(piece);
        while let Some((message, _)) = decoder.next().map_err(|wrong| wrong.to_string())? {
            if let Message::Done(Done {
                content: Content::Follows(_),
                ..
            }) = message
            {
                return Err("bytes follow".to_owned());
            }
            found.push(message);
        }
    }
    Ok(found)
}

fn one_line(line: &str) -> Result<Message, String> {
    let mut found = all(format!("{line}\n").as_bytes(), 1 << 20)?;
    assert_eq!(found.len(), 1, "{line}");
    Ok(found.remove(0))
}

#[test]
fn messages_are_read_however_they_arrive() {
    let lines = b"{\"t\":\"hello\"}\n{\"t\":\"beat\",\"id\":3}\n {\"t\":\"stop\",\"now\":true} \n{\"t\":\"bea";
    let hello = Hello {
        protocol: 1,
        name: None,
        version: None,
        source: None,
        width: 1,
        status: false,
    };
    let expected = [
        Message::Hello(hello),
        Message::Beat(3),
        Message::Stop { now: true },
    ];
    for step in [1, 2, 7, 100] {
        assert_eq!(all(lines, step).unwrap(), expected, "{step}");
    }
}

#[test]
fn json_is_kept_byte_for_byte() {
    for json in [
        r#"{ "b" : 1.00, "a":1e400,"a":[ ] }"#,
        "null",
        r#""\udce9""#,
        "12345678901234567890123",
    ] {
        let Message::Done(done) =
            one_line(&format!("{{\"t\":\"done\",\"id\":1,\"json\": {json} }}")).unwrap()
        else {
            panic!("{json}");
        };
        assert_eq!(done.content, Content::Here(json.as_bytes().to_vec()));
        assert_eq!(done.media_type, JSON);
    }
}

#[test]
fn limits_and_waits_are_read_where_they_make_sense() {
    let line = r#"{"t":"fail","id":2,"class":"throttled","retry_after":2.5,"status":429,"sent":null,"limit":{"remaining":3,"reset":20.5,"calls":100,"window":60},"more":[{}]}"#;
    let Message::Fail(fail) = one_line(line).unwrap() else {
        panic!();
    };
    let hint = Hint {
        policy: Some(Policy {
            calls: 100,
            window: Duration::from_secs(60),
        }),
        remaining: Some(3),
        reset: Some(Duration::from_millis(20_500)),
        ..Hint::default()
    };
    assert_eq!((fail.class, fail.sent), (Class::Throttled, None));
    assert_eq!(
        (fail.wait, fail.hint),
        (Some(Duration::from_millis(2500)), Some(Box::new(hint)))
    );
    for most in ["1e25", "1e300"] {
        let line = format!(r#"{{"t":"fail","id":2,"retry_after":{most}}}"#);
        let Message::Fail(fail) = one_line(&line).unwrap() else {
            panic!("{most}");
        };
        assert_eq!(fail.wait, Some(Duration::from_secs(366 * 86_400)), "{most}");
    }
    for odd in [r#""retry_after":-1"#, r#""limit":{"calls":9,"window":0}"#] {
        let Message::Fail(fail) = one_line(&format!("{{\"t\":\"fail\",\"id\":2,{odd}}}")).unwrap()
        else {
            panic!("{odd}");
        };
        assert_eq!((fail.wait, fail.hint), (None, None), "{odd}");
        assert_eq!((fail.class, fail.sent), (Class::Rejected, Some(true)));
        assert_eq!(fail.message, "the worker gave no reason");
    }
}

#[test]
fn what_is_no_message_is_quoted() {
    for (line, reason) in [
        ("", "no JSON object"),
        ("\"done\"", "no JSON object"),
        ("[\"done\",1]", "no JSON object"),
        ("{\"t\":\"done\"}", "missing field `id`"),
        ("{\"t\":\"done\",\"id\":-1}", "no message of the protocol"),
        ("{\"t\":\"done\",\"id\":1} x", "trailing characters"),
        ("{\"t\":\"hello\",\"width\":10001}", "the width is not"),
        ("{\"id\":1}", "missing field `t`"),
    ] {
        let error = one_line(line).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
        assert!(
            error.ends_with(&format!(": `{}`", line.trim_end())),
            "{error}"
        );
    }
    let long = format!("{{\"t\":\"\x1b{}\"", "é".repeat(150));
    let error = one_line(&long).unwrap_err();
    assert!(error.len() < 400 && error.contains("\\u{1b}"), "{error}");
    assert!(
        all(&vec![b'x'; LONGEST_LINE + 2], 1000)
            .unwrap_err()
            .contains("more than 1048576 bytes")
    );
}

#[test]
fn bytes_after_a_line_are_taken_as_they_are() {
    let mut decoder = Decoder::default();
    decoder
        .room()
        .extend_from_slice(b"{\"t\":\"done\",\"id\":1,\"bytes\":5}\n\n{\n");
    let (message, quote) = decoder.next().unwrap().unwrap();
    assert!(matches!(
        message,
        Message::Done(Done {
            content: Content::Follows(5),
            ..
        })
    ));
    assert_eq!(
        quote.violation("x").to_string(),
        "x: `{\"t\":\"done\",\"id\":1,\"bytes\":5}`"
    );
    assert_eq!(decoder.take(5), b"\n{\n");
    assert_eq!(decoder.take(2), b"");
    decoder
        .room()
        .extend_from_slice(b"ab\n{\"t\":\"beat\",\"id\":1}\n");
    assert_eq!(decoder.take(2), b"ab");
    assert_eq!(decoder.take(1), b"\n");
    assert_eq!(decoder.next().unwrap().unwrap().0, Message::Beat(1));
}
