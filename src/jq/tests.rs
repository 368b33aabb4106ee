//! The inputs, the results and the limits of expressions.

use super::error::ERROR_KEPT;
use super::*;

fn input(json: &str) -> Input<'_> {
    Input {
        body: Body::Json(json),
        status: Some(200),
        headers: Some(r#"{"content-type":"text/html","x-a":"1, 2"}"#),
        columns: Some(r#"{"lang":"de","n":1.50,"a b":null}"#),
    }
}

fn value(expression: &str, json: &str) -> Result<String, String> {
    Expression::new(expression)
        .unwrap()
        .value(&input(json))
        .map_err(|error| error.to_string())
}

fn holds(expression: &str, json: &str) -> Result<bool, EvalError> {
    Expression::new(expression).unwrap().holds(&input(json))
}

#[test]
fn the_first_output_decides() {
    for (expression, expected) in [
        (".ok", true),
        (".ok, false", true),
        ("false, .ok", false),
        (".none", false),
        ("empty", false),
        ("0", true),
        (r#""""#, true),
        ("$status == 200", true),
        ("$status == 201", false),
        (r#"$headers["x-a"] == "1, 2""#, true),
        (r#"$headers."content-type" | test("HTML"; "i")"#, true),
        ("$headers | has(\"server\")", false),
        (".list | length == 2 and all(. > 0)", true),
    ] {
        let held = holds(expression, r#"{"ok":true,"list":[1,2]}"#);
        assert_eq!(held, Ok(expected), "{expression}");
    }
    assert!(holds(".ok", "1").is_err());
    assert!(holds("error(\"no\")", "1").is_err());
    // The second output is not evaluated.
    assert_eq!(holds("true, error", "1"), Ok(true));
}

#[test]
fn outputs_are_one_value() {
    let json = r#"{"a":[1,{"b":null}],"t":"ü\n\u0001\ud83d\ude00"}"#;
    for (expression, expected) in [
        ("empty", "null"),
        (".a[1]", r#"{"b":null}"#),
        (".a[]", r#"[1,{"b":null}]"#),
        ("[.a[]]", r#"[1,{"b":null}]"#),
        (".t", "\"ü\\n\\u0001😀\""),
        ("{b: 1, a: 2}", r#"{"b":1,"a":2}"#),
        ("1/2", "0.5"),
        ("$status", "200"),
    ] {
        assert_eq!(
            value(expression, json).as_deref(),
            Ok(expected),
            "{expression}"
        );
    }
}

#[test]
fn numbers_keep_their_digits_and_strings_their_characters() {
    for json in [
        "12345678901234567890123456789",
        "-12345678901234567890123456789",
        "1e400",
        "0.10",
        "1E+2",
        r#""\ud800""#,
        r#"{"\udc00x":"\ud800\ud800"}"#,
        "[]",
    ] {
        assert_eq!(value(".", json).as_deref(), Ok(json));
    }
    assert_eq!(value(".", r#"{"a":1,"a":2}"#).as_deref(), Ok(r#"{"a":2}"#));
    // Two surrogates make one character when they are joined. An escaped backslash begins no escape.
    assert_eq!(
        value("add", r#"["\ud83d","\ude00"]"#).as_deref(),
        Ok(r#""\ud83d\ude00""#)
    );
    assert_eq!(value(".", r#""\\ud800""#).as_deref(), Ok(r#""\\ud800""#));
}

#[test]
fn values_that_json_lacks_are_errors() {
    for expression in [
        "nan",
        "infinite",
        "-infinite",
        "{(1|tostring|tobytes): 1}",
        "{(0): 1}",
        "tobytes",
        "[nan]",
    ] {
        assert!(value(expression, "\"1\"").is_err(), "{expression}");
    }
    for wrong in ["+7.50", "nan", "07"] {
        let converted = value("tonumber", &format!("\"{wrong}\""));
        assert!(converted.is_err(), "{converted:?}");
    }
}

#[test]
fn only_the_answer_is_visible() {
    for expression in [
        "env",
        "$ENV",
        "$ENV.PATH",
        "input",
        "inputs",
        "input_filename",
        "debug",
        "debug(1)",
        "stderr",
        "halt",
        "halt(1)",
        "halt_error",
        "halt_error(1)",
        "now",
        "localtime",
        "strflocaltime(\"%Z\")",
        "strptime(\"%Q\")",
        "get_search_list",
        "$__prog_args",
        "include \"a\"; 1",
        "import \"a\" as a; 1",
        "import \"a\" as $a; $a",
        "debug_empty",
        "stderr_empty",
    ] {
        assert!(Expression::new(expression).is_err(), "{expression}");
    }
    assert_eq!(
        value("0 | todate", "1").as_deref(),
        Ok("\"1970-01-01T00:00:00Z\"")
    );
}

#[test]
fn a_syntax_error_names_the_mistake_and_its_place() {
    let error = |text: &str| Expression::new(text).unwrap_err().to_string();
    for (text, expected) in [
        (".a | nope", "there is no filter `nope` at column 6"),
        (
            ".a | map(1; 2)",
            "there is no filter `map` with 2 arguments at column 6",
        ),
        ("$nope", "there is no variable `$nope` at column 1"),
        ("", "a term is missing at the end"),
        (".a |", "a term is missing at the end"),
        (".a ]", "a token is missing before `]` at column 4"),
        (
            "(.a",
            "the closing parenthesis is missing for `(` at column 1",
        ),
        ("\"a", "the closing quote is missing for `\"` at column 1"),
        (
            ".a\n| nope",
            "there is no filter `nope` at line 2, column 3",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(error(&deep).contains("nested"), "{}", error(&deep));
}

/// Runs a test on a stack as small as a chunk thread's.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    thread.spawn(test).unwrap().join().unwrap();
}

#[test]
fn values_up_to_the_maximum_nesting_can_be_evaluated() {
    on_a_small_stack(|| {
        let nested = |depth: usize, open: &str, close: &str| {
            format!("{}{}", open.repeat(depth), close.repeat(depth))
        };
        let arrays = nested(DEEPEST, "[", "]");
        let objects = format!("{}1{}", "{\"a\":".repeat(DEEPEST), "}".repeat(DEEPEST));
        for expression in [
            ".",
            "..",
            "walk(.)",
            "tojson",
            "tojson | fromjson",
            "[..] | length",
            "flatten",
            "[.] == [.]",
            "[paths] | length",
            "error",
            "sort?",
            "[., .] | unique",
            "tostring | length",
            "map_values(.)",
            "[leaf_paths?]",
            "to_entries",
            "getpath([0])?",
            "del(..)",
            "[.. | numbers]",
            "def r: if . >= {} then with_entries(.value |= r) elif . >= [] then map(r) else . end; r",
            "def d: if . >= [] then 1 + (map(d) | max // 0) else 0 end; d",
            "tojson | fromjson | def r: map(r)?; r",
            ". as [$a] | $a",
        ] {
            let Ok(expression) = Expression::new(expression) else {
                continue;
            };
            for json in [&arrays, &objects] {
                let _ = expression.value(&input(json));
                let _ = expression.holds(&input(json));
            }
        }
        for depth in [DEEPEST + 1, 1_000_000] {
            for json in [
                nested(depth, "[", "]"),
                format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)),
            ] {
                let error = value(".", &json).unwrap_err();
                assert!(error.contains("nested"), "{error}");
                // The same text within a string.
                let quoted = serde_json::to_string(&json).unwrap();
                assert_eq!(value("length > 0", &quoted).as_deref(), Ok("true"));
                assert!(value("fromjson", &quoted).unwrap_err().contains("nested"));
            }
        }
    });
}

#[test]
fn input_that_is_not_json_is_an_error() {
    for text in [
        "\\",
        "\"\\",
        "\"\\u",
        "\"\\ud83d\\",
        "",
        "{",
        "[",
        "[1",
        "{\"a\"",
        "{\"a\":",
        "[1}",
        "[]]",
        "1]",
        "1 2",
        "[-]",
    ] {
        assert!(value(".", text).is_err(), "{text}");
    }
}

#[test]
fn any_expression_can_be_compiled_or_refused() {
    on_a_small_stack(|| {
        for (before, open, middle, close, behind) in [
            ("\"\\(", "(", "1", ")", ")\""),
            ("\"\\(", "[", "1", "]", ")\""),
            ("", "\"\\(", "1", ")\"", ""),
            ("# \"\n", "[", "1", "]", ""),
            ("", "-", "1", "", ""),
            ("", ".|", ".", "", ""),
            ("", "1 as $x|", ".", "", ""),
            ("", ".//", ".", "", ""),
            ("", "1+", ".", "", ""),
            ("", "try ", ".", "", ""),
            ("", "if . then ", ".", " else 1 end", ""),
            ("", "def f:", ".", ";.", ""),
            ("", ".a", "", "", ""),
            ("", ".[0]", "", "", ""),
            ("", ". as [$x]|", ".", "", ""),
        ] {
            for length in [180, 5_900, 100_000] {
                let times = length / (open.len() + close.len());
                let text = [
                    before,
                    &open.repeat(times),
                    middle,
                    &close.repeat(times),
                    behind,
                ]
                .concat();
                match Expression::new(&text) {
                    Ok(expression) => drop(expression.value(&input("null"))),
                    Err(error) => assert!(length > 180, "{text}: {error}"),
                }
            }
        }
    });
}

#[test]
fn a_huge_number_is_refused() {
    let json = "9".repeat(1_000_000);
    assert!(value(".", &json).unwrap_err().contains("digits"));
    assert!(value(". | length", &format!("\"{json}\"")).is_ok());
}

#[test]
fn fromjson_reads_only_json() {
    assert_eq!(
        value("fromjson | .a", r#""{\"a\": 1e400}""#).as_deref(),
        Ok("1e400")
    );
    for wrong in [
        r#""""#,
        r#""NaN""#,
        r#""{} {}""#,
        r#""{a:1}""#,
        "1",
        r##""# comment\n1""##,
    ] {
        assert!(value("fromjson", wrong).is_err(), "{wrong}");
    }
    assert_eq!(value("try fromjson catch 7", r#""x""#).as_deref(), Ok("7"));
}

#[test]
fn an_error_is_short_and_a_panic_is_an_error() {
    let long = format!("\"{}\"", "x".repeat(100_000));
    let error = value(".a", &long).unwrap_err();
    assert!(
        error.starts_with("cannot index") && error.chars().count() <= ERROR_KEPT + 1,
        "{error}"
    );
    assert!(value("length", "-9223372036854775808").is_err() || cfg!(not(debug_assertions)));
}

#[test]
fn headers_are_needed_only_by_expressions_that_use_them() {
    let without = Input {
        headers: None,
        ..input("1")
    };
    let expression = Expression::new("$headers.a").unwrap();
    assert!(expression.needs_headers() && expression.value(&without).is_err());
    let expression = Expression::new(".").unwrap();
    assert!(!expression.needs_headers() && expression.value(&without).is_ok());
    let text = Input {
        body: Body::Text("a\"b"),
        ..without
    };
    assert_eq!(expression.value(&text).as_deref(), Ok(r#""a\"b""#));
    let nothing = Input {
        body: Body::Nothing,
        status: None,
        ..without
    };
    assert_eq!(
        Expression::new("., $status")
            .unwrap()
            .value(&nothing)
            .as_deref(),
        Ok("[null,null]")
    );
}

#[test]
fn the_columns_of_the_list_are_a_variable() {
    let joined = value(
        "{l: $col.lang, n: $col.n, b: $col[\"a b\"], no: $col.no}",
        "1",
    );
    assert_eq!(
        joined.as_deref(),
        Ok(r#"{"l":"de","n":1.50,"b":null,"no":null}"#)
    );
    assert_eq!(holds(".lang == $col.lang", r#"{"lang":"de"}"#), Ok(true));
    let without = Input {
        columns: None,
        ..input("1")
    };
    let expression = Expression::new("$col").unwrap();
    assert_eq!(expression.value(&without).as_deref(), Ok("{}"));
    for (text, names) in [
        (".a, $status", &[][..]),
        (
            r#"$col.lang | $col.lang, $col["größe"]"#,
            &["lang", "größe"],
        ),
        (
            r#"$col."a b", $col["c\u0064"], $col[ "e" ]?"#,
            &["a b", "cd", "e"],
        ),
        (r#"$col["a" + "b"], $col[.x], $col, $colour.x"#, &[]),
        (". as $col | $col.x", &[]),
    ] {
        let text = text.replace("$colour.x", "1");
        assert_eq!(Expression::new(&text).unwrap().columns(), names, "{text}");
    }
}

#[test]
fn a_thread_with_room_returns_its_result_and_its_panics() {
    let done = with_room(|| with_room(|| holds("def f: .; f", "1")).unwrap());
    assert_eq!(done.unwrap(), Ok(true));
    let panicked = std::panic::catch_unwind(|| with_room(|| panic!("at the discotheque")));
    assert!(panicked.is_err());
}

#[test]
fn an_expression_that_runs_away_from_every_answer_is_refused() {
    for text in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: def g: f; g; f",
        "[range(1e12)]",
        "last(range(1e12))",
        "repeat(.)",
        "isempty(repeat(.) | select(. == 2))",
        "[recurse([.])]",
        "until(false; [.])",
        "reduce range(1e5) as $i (.; [$i, .])",
        "reduce range(60) as $i (\"x\"; . + .)",
        "reduce range(60) as $i ([1]; . + .)",
        "\"x\" * 1000000000000",
        "[range(1000)] | [.[] + .[] + .[]] | length",
        "@expression",
        // It has an end.
        "[range(3e6)] | sort",
    ] {
        let refused = Expression::new(text).map_err(|error| error.to_string());
        let refused = refused.expect_err(text);
        let reason = "too many steps or too much memory, or runs without end";
        assert!(refused.contains(reason), "{text}: {refused}");
    }
}

#[test]
fn an_expression_that_runs_away_from_an_answer_fails_for_it() {
    on_a_small_stack(|| {
        for (text, json, expected) in [
            (
                "until(.done; .next)",
                r#"{"next":{"done":true}}"#,
                Ok(r#"{"done":true}"#),
            ),
            ("until(.done; .next)", "{}", Err("no end")),
            ("[limit(2; repeat(.))]", "1", Ok("[1,1]")),
            (
                "def f: if . > 9000 then . else . + 1 | f end; f",
                "0",
                Ok("9001"),
            ),
            (
                "def f: if . > 200 then . else 1 + (. + 1 | f) end; f",
                "0",
                Ok("402"),
            ),
            (
                "def f: if . > 1e6 then . else 1 + (. + 1 | f) end; f",
                "0",
                Err("recurses too deeply"),
            ),
            (
                "[recurse(if . < 100 then . + 1 else empty end)] | length",
                "0",
                Ok("101"),
            ),
            ("reduce range(.) as $i (.; [.])", "5000", Err("nested")),
            ("reduce range(40) as $i (.; . + .)", "\"x\"", Err("MiB")),
            (". * 1000000000", "\"x\"", Err("MiB")),
            (". * 3", "\"x\"", Ok("\"xxx\"")),
            ("[(1, 2) * (3, 4)]", "0", Ok("[3,4,6,8]")),
            ("path(first(repeat(.a)))", "{}", Ok("[\"a\"]")),
            ("(.. | select(. == 1)) |= 2", "[1,[1]]", Ok("[2,[2]]")),
            (
                "[range(0; 10; 3)] + [range(2; 0; -1)]",
                "0",
                Ok("[0,3,6,9,2,1]"),
            ),
            ("def range($a; $b; $c): 7; range(1; 2; 3)", "0", Ok("7")),
        ] {
            let found = value(text, json);
            match expected {
                Ok(expected) => assert_eq!(found.as_deref(), Ok(expected), "{text}"),
                Err(named) => assert!(
                    found.clone().unwrap_err().contains(named),
                    "{text}: {found:?}"
                ),
            }
        }
    });
}
