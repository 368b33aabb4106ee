//! Parses any text as an expression, and passes any answer through one unchanged.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stride::job::json_text;
use stride::jq::{Body, Expression, Input};

static SAME: LazyLock<Expression> = LazyLock::new(|| Expression::new(".").expect("jq has it"));
static READ: LazyLock<Expression> = LazyLock::new(|| Expression::new("fromjson").expect("too"));

fn input(body: Body<'_>) -> Input<'_> {
    Input {
        body,
        status: Some(200),
        headers: None,
    }
}

fuzz_target!(|text: &str| {
    // An invalid expression is an error. A valid one is not evaluated, because it may not end.
    let _ = Expression::new(text);
    let once = SAME.value(&input(Body::Json(text)));
    let read = READ.value(&input(Body::Text(text)));
    if json_text(text.as_bytes()).is_ok() {
        assert_eq!(once.as_ref().ok(), read.as_ref().ok());
    } else {
        assert!(read.is_err());
        return;
    }
    if let Ok(once) = once {
        json_text(once.as_bytes()).expect("JSON comes of JSON");
        assert_eq!(SAME.value(&input(Body::Json(&once))), Ok(once.clone()));
    }
    let quoted = SAME.value(&input(Body::Text(text))).expect("a string");
    assert_eq!(
        serde_json::from_str::<String>(&quoted).expect("a string"),
        text
    );
});
