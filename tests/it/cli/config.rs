//! Settings from flags, the run, variables and the user's file: which takes precedence, and which are refused.

use serde_json::{Value, json};

use super::{Place, Ran};
use crate::support::{FakeApi, Reply};

/// The user's file.
const OWN: &str = ".home/.config/stride/stride.toml";

/// A service, and a folder with two files.
fn begin() -> (FakeApi, Place) {
    let place = Place::new();
    place.texts(2);
    (FakeApi::start(|_| Reply::json(1)), place)
}

/// A setting of the run as its database has it.
fn stored(place: &Place, name: &str) -> Value {
    let settings = place.sql("SELECT settings FROM run").concat().concat();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    settings[name].clone()
}

/// Resumes the run under these variables.
fn resume(place: &Place, variables: &[(&str, &str)]) -> Ran {
    place.stride_with(variables, &["resume"]).expect(0)
}

#[test]
fn flags_go_before_variables_and_variables_before_the_file() {
    let (api, place) = begin();
    place.write(OWN, "retries = 1\nthreads = 1\n\nmax-wait = '1s'\n");
    let variables = [("STRIDE_RETRIES", "3"), ("STRIDE_THREADS", "3")];
    let url = api.url();
    let words = ["run", "--retries", "4", "--url", &url, "texts"];
    let ran = place.stride_with(&variables, &words).expect(0);
    let file = place.at(OWN);
    let file = file.display();
    ran.says(&format!(
        "settings: threads = 3 (STRIDE_THREADS); max-wait = 1s ({file}, line 4)\n"
    ));
    assert_eq!(stored(&place, "retries"), 4);
    assert_eq!(stored(&place, "threads"), 3);
    assert_eq!(stored(&place, "max_wait")["secs"], 1);
    assert_eq!(stored(&place, "given"), json!(["retries"]));
}

#[test]
fn flags_that_the_run_remembers_go_before_everything_else() {
    let (api, place) = begin();
    let url = api.url();
    place
        .stride(&["run", "-j", "2", "--url", &url, "texts"])
        .expect(0);
    place.write(OWN, "threads = 5\nretries = 5\n");
    // A setting that was never given follows the configuration each time.
    let ran = resume(&place, &[("STRIDE_THREADS", "7"), ("STRIDE_BURST", "7")]);
    assert!(!ran.stderr.contains("threads"), "{}", ran.stderr);
    for (name, value) in [("threads", 2), ("retries", 5), ("burst", 7)] {
        assert_eq!(stored(&place, name), value, "{name}");
    }
    // Without a configuration the last value holds.
    place.write(OWN, "retries = 6\n");
    resume(&place, &[]).says("settings: retries = 6");
    for (name, value) in [("threads", 2), ("retries", 6), ("burst", 7)] {
        assert_eq!(stored(&place, name), value, "{name}");
    }
    // A flag of any command holds from then on, even if its value is the default.
    place.stride(&["set", "--burst", "1"]).expect(0);
    place
        .stride(&["retry", "--retries", "4", "--queue-only"])
        .expect(0);
    let ran = resume(&place, &[("STRIDE_BURST", "9")]);
    assert!(!ran.stderr.contains("settings"), "{}", ran.stderr);
    for (name, value) in [("threads", 2), ("retries", 4), ("burst", 1)] {
        assert_eq!(stored(&place, name), value, "{name}");
    }
    assert_eq!(api.requests(), 2);
}

#[test]
fn the_limits_of_a_pasted_command_are_given_by_it() {
    let (api, place) = begin();
    let pasted = format!("curl -m 7 {} -d @{{}}", api.url());
    let variables = [("STRIDE_TIMEOUT", "9s")];
    place
        .stride_with(&variables, &["run", "--curl", &pasted, "texts"])
        .expect(0);
    resume(&place, &variables);
    assert_eq!(stored(&place, "timeout")["secs"], 7);
}

#[test]
fn rates_and_classes_are_lists() {
    let (api, place) = begin();
    let url = api.url();
    place.write(
        OWN,
        "rate = ['5000/h', \"1000/s\"] # both\nclass = ['status=409:transient']\ncost = 0.0015\nmax-cost = 1\n",
    );
    place.stride(&["run", "--url", &url, "texts"]).expect(0);
    assert_eq!(place.status()["rate"], "5000/h and 1000/s");
    assert_eq!(stored(&place, "classes").as_array().unwrap().len(), 1);
    assert_eq!(stored(&place, "cost"), "0.0015");
    resume(&place, &[("STRIDE_RATE", "7/s, 70/m")]);
    assert_eq!(place.status()["rate"], "7/s and 70/m");
    resume(&place, &[("STRIDE_RATE", "none")]);
    assert_eq!(place.status()["rate"], "none");
    // `--class` of `retry` is not a setting.
    place
        .stride(&["retry", "--class", "local", "--queue-only"])
        .expect(0);
    assert_eq!(stored(&place, "given"), json!([]));
}

#[test]
fn settings_of_one_invocation_are_configured_too() {
    let (api, place) = begin();
    let url = api.url();
    place.write(
        OWN,
        "events = 'own.jsonl'\non-finish = 'cat > end.json'\nno-proxy = true\n",
    );
    let proxy = ("http_proxy", "http://127.0.0.1:9/");
    place
        .stride_with(&[proxy], &["run", "--url", &url, "texts"])
        .expect(0);
    assert!(place.at("own.jsonl").exists() && place.at("end.json").exists());
    place.texts(3);
    let variables = [
        proxy,
        ("STRIDE_EVENTS", "variable.jsonl"),
        ("STRIDE_NO_PROXY", "1"),
    ];
    place
        .stride_with(&variables, &["run", "--url", &url, "texts"])
        .expect(0);
    assert!(place.at("variable.jsonl").exists());
    assert_eq!(api.requests(), 3);
}

#[test]
fn only_commands_that_make_calls_need_a_valid_configuration() {
    let (api, place) = begin();
    let url = api.url();
    place.write(OWN, "timeout = '90s'\n");
    for words in [
        &["try", "texts/0000", "--url", &url][..],
        &["run", "--dry-run", "--url", &url, "texts"],
        &["run", "--url", &url, "texts"],
    ] {
        place
            .stride(words)
            .expect(0)
            .says("settings: timeout = 90s");
    }
    place.write(OWN, "no such thing");
    for words in ["status", "failures", "export", "verify"] {
        place.stride(&[words]).expect(0);
    }
    // A file beside the database is untrusted.
    place.write(OWN, "");
    place.write("stride.toml", "threads = 3\n");
    let ran = resume(&place, &[]);
    assert!(!ran.stderr.contains("settings"), "{}", ran.stderr);
}

/// The content of the file, and the error.
const WRONG: &[(&str, &[&str])] = &[
    (
        "threads = 4\nthread = 5",
        &[
            "stride.toml, line 2: unknown setting `thread`",
            "hint: use threads",
        ],
    ),
    (
        "frobnicate = 5",
        &[
            "unknown setting `frobnicate`",
            "hint: use one of threads, rate, ",
        ],
    ),
    (
        "threads = 'ten'",
        &["stride.toml, line 1): `ten` is neither"],
    ),
    ("timeout = 30", &["timeout = 30 (", "is not a duration"]),
    (
        "threads = [4, 5]",
        &["threads = 4, 5 (", "the setting takes one value"],
    ),
    ("rate = [['1/s']]", &["neither a value nor a list"]),
    ("rate = ['none', '1/s']", &["`none` cannot be combined"]),
    (
        "in-doubt = 'keep'",
        &["the value is unknown; use one of retry, hold"],
    ),
    ("events = ''", &["events =  (", "the value is empty"]),
    ("no-proxy = 3", &["no-proxy = 3 (", "not a boolean"]),
    ("threads 4", &["stride.toml, line 1: "]),
    (
        "threads = 4\nthreads = 5",
        &["stride.toml, line 2: duplicate key"],
    ),
    ("user = 'me:hunter2hunter2'", &["unknown setting `user`"]),
    (
        "allow-commands = true",
        &["unknown setting `allow-commands`"],
    ),
    ("\"\\u001b[31m\" = 1", &["unknown setting `\\"]),
    (
        "max-cost = 25",
        &["--max-cost needs --cost", "note: settings: max-cost = 25 ("],
    ),
];

#[test]
fn an_invalid_configuration_is_named_and_nothing_is_changed() {
    let (api, place) = begin();
    let url = api.url();
    let bystander = place.with_bystander(&url);
    let words = ["run", "--url", &url, "texts"];
    for (text, said) in WRONG {
        place.write(OWN, text);
        let ran = place.stride(&words).expect(2);
        for said in *said {
            assert!(ran.stderr.contains(said), "{text}: {}", ran.stderr);
        }
        let count = |label| ran.stderr.matches(label).count();
        assert_eq!((count("error: "), count("hint: ")), (1, 1), "{text}");
        assert!(!ran.stderr.contains('\x1b'), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    std::fs::remove_file(place.at(OWN)).unwrap();
    for (name, value, said) in [
        (
            "STRIDE_THREADS",
            "ten",
            "(STRIDE_THREADS): `ten` is neither",
        ),
        ("STRIDE_RATE", "10", "(STRIDE_RATE): `10` is not a rate"),
        (
            "STRIDE_COLOR",
            "blue",
            "the value is unknown; use one of auto, always, never",
        ),
    ] {
        let ran = place.stride_with(&[(name, value)], &words).expect(2);
        ran.says(said).says("note: nothing was changed");
    }
    std::fs::create_dir(place.at(OWN)).unwrap();
    place.stride(&words).expect(2).says("cannot read ");
    std::fs::remove_dir(place.at(OWN)).unwrap();
    assert_eq!(place.bystander(), bystander);
    assert_eq!(api.requests(), 1);
    let misspelt = [("STRIDE_MAX_COTS", "25")];
    let ran = place.stride_with(&misspelt, &["run", "--dry-run", "--url", &url, "texts"]);
    ran.expect(0)
        .says("warning: STRIDE_MAX_COTS is ignored; did you mean STRIDE_MAX_COST?");
    // An empty variable sets nothing, and one that is not stride's is not named.
    let variables = [("STRIDE_THREADS", ""), ("STRIDE_API_KEY", "sesame")];
    let ran = place.stride_with(&variables, &words).expect(0);
    assert!(!ran.stderr.contains("STRIDE_"), "{}", ran.stderr);
    assert_eq!(api.requests(), 3);
}

#[test]
fn the_file_is_where_xdg_says() {
    let (api, place) = begin();
    let url = api.url();
    place.write("conf/stride/stride.toml", "retries = 3\n");
    place.write(OWN, "retries = 9\n");
    let conf = place.at("conf");
    let words = ["run", "--dry-run", "--url", &url, "texts"];
    // A folder that is not absolute is ignored (XDG Base Directory Specification).
    for (folder, said) in [
        (conf.to_str().unwrap(), "retries = 3"),
        ("conf", "retries = 9"),
    ] {
        place
            .stride_with(&[("XDG_CONFIG_HOME", folder)], &words)
            .expect(0)
            .says(said);
    }
}

#[test]
fn colours_follow_the_flag_the_configuration_and_the_terminal() {
    let place = Place::new();
    let red = "\x1b[1;31merror:\x1b[0m";
    let no = &[("NO_COLOR", "1")][..];
    let forced = &[("CLICOLOR_FORCE", "1")][..];
    let (never, always) = (&["--color", "never"][..], &["--color=always"][..]);
    for (variables, words, colored) in [
        (&[][..], &[][..], false),
        (&[], always, true),
        (no, always, true),
        (forced, &[], true),
        (&[("CLICOLOR_FORCE", "0")], &[], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")], &[], true),
        (forced, never, false),
        (&[("STRIDE_COLOR", "always"), ("NO_COLOR", "1")], &[], true),
        (
            &[("STRIDE_COLOR", "never"), ("CLICOLOR_FORCE", "1")],
            &[],
            false,
        ),
        (&[("STRIDE_COLOR", "never")], always, true),
        (&[("STRIDE_COLOR", "always")], &["--color", "auto"], false),
        (&[("STRIDE_COLOR", "blue")], &[], false),
    ] {
        // Errors of the parser and of a command.
        for misuse in [&["status"][..], &["exprot"], &["status", "--josn"]] {
            let ran = place.stride_with(variables, &[words, misuse].concat());
            let is = ran.stderr.starts_with(red);
            assert_eq!(is, colored, "{variables:?} {words:?} {}", ran.stderr);
            assert_eq!(ran.stderr.contains('\x1b'), colored, "{}", ran.stderr);
        }
        let help = place.stride_with(variables, &[words, &["run", "-h"]].concat());
        let has = help.stdout.contains(&b'\x1b');
        assert_eq!(has, colored, "{variables:?} {words:?}");
    }
    place.write(OWN, "color = 'always'\n");
    assert!(place.stride_with(no, &["status"]).stderr.starts_with(red));
    let none = place.stride(&["status", "--color", "never"]);
    assert!(none.stderr.starts_with("error:"));
    place.write(OWN, "color = \n");
    let none = place.stride(&["status"]);
    assert!(
        none.stderr.starts_with("error: there is no run"),
        "{}",
        none.stderr
    );
}
