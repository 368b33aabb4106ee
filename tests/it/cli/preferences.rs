//! What is set by variables and files: whose word holds, and what is said of what cannot be understood.

use serde_json::Value;

use super::{Place, Ran, listed};
use crate::support::{FakeApi, Reply};

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

/// Goes on with the run under these variables.
fn resume(place: &Place, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let ran = place.stride_with(variables, &[&["resume"], words].concat());
    ran.expect(0)
}

const OWN: &str = ".home/.config/stride/stride.toml";

#[test]
fn a_flag_goes_before_a_variable_and_that_before_the_files() {
    let (api, place) = begin();
    place.write(
        OWN,
        "retries = 1\nthreads = 1\nburst = 1\nmax-wait = '1s'\n",
    );
    place.write("stride.toml", "retries = 2\nthreads = 2\nburst = 2\n");
    let variables = [("STRIDE_RETRIES", "3"), ("STRIDE_THREADS", "3")];
    let url = api.url();
    let words = ["run", "--retries", "4", "--url", &url, "texts"];
    let ran = place.stride_with(&variables, &words).expect(0);
    let folder = place.at("");
    let told = format!(
        "settings: threads = 3 (STRIDE_THREADS); burst = 2 ({0}stride.toml, line 3); max-wait = 1s ({0}{OWN}, line 4)\n",
        ""
    );
    let told_elsewhere = ran
        .stderr
        .replace(
            &format!("{}/", folder.canonicalize().unwrap().display()),
            "",
        )
        .replace(&format!("{}/", folder.display()), "")
        .replace(&folder.display().to_string(), "");
    assert!(told_elsewhere.contains(&told), "{told_elsewhere}");
    for (name, value) in [("retries", 4), ("threads", 3), ("burst", 2)] {
        assert_eq!(stored(&place, name), value, "{name}");
    }
    assert_eq!(stored(&place, "max_wait")["secs"], 1);
    let given = stored(&place, "given");
    assert_eq!(given, serde_json::json!(["retries"]));
}

#[test]
fn a_flag_that_the_run_remembers_goes_before_everything_else() {
    let (api, place) = begin();
    let url = api.url();
    place
        .stride(&["run", "-j", "2", "--url", &url, "texts"])
        .expect(0);
    place.write("stride.toml", "threads = 5\nretries = 5\n");
    // What was never given follows what is said elsewhere, each time anew.
    let ran = resume(
        &place,
        &[("STRIDE_THREADS", "7"), ("STRIDE_BURST", "7")],
        &[],
    );
    assert!(!ran.stderr.contains("threads"), "{}", ran.stderr);
    for (name, value) in [("threads", 2), ("retries", 5), ("burst", 7)] {
        assert_eq!(stored(&place, name), value, "{name}");
    }
    // Where nothing is said any longer, what was said last holds.
    place.write("stride.toml", "retries = 6\n");
    let ran = resume(&place, &[], &[]);
    for (name, value) in [("threads", 2), ("retries", 6), ("burst", 7)] {
        assert_eq!(stored(&place, name), value, "{name}");
    }
    ran.says("settings: retries = 6");
    // And what is given once holds from then on, by whatever command and even if it is what everybody has.
    place.stride(&["set", "--burst", "1"]).expect(0);
    place
        .stride(&["retry", "--retries", "4", "--queue-only"])
        .expect(0);
    let ran = resume(&place, &[("STRIDE_BURST", "9")], &[]);
    assert!(!ran.stderr.contains("settings"), "{}", ran.stderr);
    for (name, value) in [("threads", 2), ("retries", 4), ("burst", 1)] {
        assert_eq!(stored(&place, name), value, "{name}");
    }
    assert_eq!(api.requests(), 2);
}

#[test]
fn a_run_of_an_earlier_version_keeps_what_is_not_as_everybody_has_it() {
    let (api, place) = begin();
    let url = api.url();
    place
        .stride(&["run", "-j", "2", "--url", &url, "texts"])
        .expect(0);
    place.sql("UPDATE run SET settings = json_remove(settings, '$.given')");
    resume(
        &place,
        &[("STRIDE_THREADS", "7"), ("STRIDE_RETRIES", "7")],
        &[],
    );
    assert_eq!(stored(&place, "threads"), 2);
    assert_eq!(stored(&place, "retries"), 7);
}

#[test]
fn the_limits_of_a_pasted_command_are_given_by_it() {
    let (api, place) = begin();
    let pasted = format!("curl -m 7 {} -d @{{}}", api.url());
    let variables = [("STRIDE_TIMEOUT", "9s")];
    place
        .stride_with(&variables, &["run", "--curl", &pasted, "texts"])
        .expect(0);
    resume(&place, &variables, &[]);
    assert_eq!(stored(&place, "timeout")["secs"], 7);
}

#[test]
fn what_may_be_there_several_times_is_a_list() {
    let (api, place) = begin();
    let url = api.url();
    place.write(
        "stride.toml",
        "rate = ['5000/h', \"1000/s\"] # both\nclass = ['status=409:transient']\ncost = 0.0015\nmax-cost = 1\n",
    );
    place.stride(&["run", "--url", &url, "texts"]).expect(0);
    assert_eq!(place.status()["rate"], "5000/h and 1000/s");
    assert_eq!(stored(&place, "classes").as_array().unwrap().len(), 1);
    assert_eq!(stored(&place, "cost"), "0.0015");
    resume(&place, &[("STRIDE_RATE", "7/s, 70/m")], &[]);
    assert_eq!(place.status()["rate"], "7/s and 70/m");
    resume(&place, &[("STRIDE_RATE", "none")], &[]);
    assert_eq!(place.status()["rate"], "none");
    // A class by which failures are chosen is none that is given to the run.
    place
        .stride(&["retry", "--class", "local", "--queue-only"])
        .expect(0);
    assert_eq!(stored(&place, "given"), serde_json::json!([]));
}

#[test]
fn what_no_run_remembers_can_be_set_too() {
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
    assert!(place.at("own.jsonl").exists());
    assert!(place.at("end.json").exists());
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
fn a_trial_has_them_and_looks_do_without() {
    let (api, place) = begin();
    let url = api.url();
    place.write("stride.toml", "timeout = '90s'\n");
    place
        .stride(&["try", "texts/0000", "--url", &url])
        .expect(0)
        .says("settings: timeout = 90s");
    place
        .stride(&["run", "--dry-run", "--url", &url, "texts"])
        .expect(0)
        .says("settings: timeout = 90s");
    place.stride(&["run", "--url", &url, "texts"]).expect(0);
    // In a folder that is walked it is no input.
    let walk = ["run", "--db", "all.db", "--url", &url, "."];
    place.stride(&walk).expect(0);
    let names = place.stride(&["export", "--db", "all.db"]).expect(0).json();
    let names = names.as_object().unwrap();
    assert!(!names.contains_key("./stride.toml") && !names.contains_key("stride.toml"));
    assert!(
        names.keys().any(|name| name.ends_with("texts/0001")),
        "{names:?}"
    );
    place.write("stride.toml", "no such thing");
    for words in [&["status"][..], &["failures"], &["export"], &["verify"]] {
        place.stride(words).expect(0);
    }
}

/// What a file or a variable has, and what is said of it.
const WRONG: &[(&str, &[&str])] = &[
    (
        "threads = 4\nthread = 5",
        &[
            "stride.toml, line 2: there is no setting `thread`",
            "hint: write threads",
        ],
    ),
    (
        "max_calls = 5",
        &[
            "line 1: there is no setting `max_calls`",
            "hint: write max-calls",
        ],
    ),
    (
        "frobnicate = 5",
        &[
            "no setting `frobnicate`",
            "hint: the settings are threads, rate, ",
        ],
    ),
    (
        "\n\nthreads = 'ten'",
        &["line 3: threads: `ten` is neither"],
    ),
    (
        "timeout = 30",
        &[
            "timeout: `30` is not a duration",
            "hint: write a number and a unit",
        ],
    ),
    (
        "threads = [4]",
        &["threads has one value", "hint: write threads = "],
    ),
    ("rate = [['1/s']]", &["rate has texts in a list"]),
    (
        "rate = ['none', '1/s']",
        &["`none` says that there is no rate"],
    ),
    (
        "in-doubt = 'keep'",
        &["in-doubt: `keep` is none of retry, hold"],
    ),
    ("no-proxy = 3", &["no-proxy: it is neither true nor false"]),
    ("threads 4", &["stride.toml, line 1: "]),
    (
        "threads = 4\nthreads = 5",
        &["stride.toml, line 2: duplicate key"],
    ),
    ("[run]\nthreads = 4", &["line 1: there is no setting `run`"]),
    (
        "url = 'http://a/'",
        &[
            "`url` is not read from a file",
            "hint: give --url with the command",
        ],
    ),
    (
        "header = ['Authorization: Bearer x']",
        &["`header` is not read from a file"],
    ),
    (
        "user = 'me:hunter2hunter2'",
        &["`user` is not read from a file"],
    ),
    (
        "allow-commands = true",
        &["`allow-commands` is not read from a file"],
    ),
    (
        "db = 'other.db'",
        &[
            "no setting `db`",
            "hint: name the database with --db or STRIDE_DB",
        ],
    ),
    (
        "on-finish = 'touch x'",
        &["line 1: on-finish is not read", "STRIDE_ON_FINISH"],
    ),
    (
        "events = 'x.jsonl'",
        &["may be from somebody else", "STRIDE_EVENTS"],
    ),
    ("\"\\u001b[31m\" = 1", &["there is no setting `\\"]),
    (
        "max-cost = 25",
        &[
            "--max-cost needs to know",
            "note: settings: max-cost = 25 (",
            "stride.toml, line 1)",
        ],
    ),
];

#[test]
fn what_is_not_understood_is_named_and_nothing_is_changed() {
    let (api, place) = begin();
    let url = api.url();
    let bystander = place.with_bystander(&url);
    let words = ["run", "--url", &url, "texts"];
    for (text, said) in WRONG {
        place.write("stride.toml", text);
        let ran = place.stride(&words).expect(2);
        for said in *said {
            assert!(ran.stderr.contains(said), "{text}: {}", ran.stderr);
        }
        let is = |label: &str| {
            ran.stderr
                .lines()
                .filter(|line| line.starts_with(label))
                .count()
        };
        assert_eq!((is("error: "), is("hint: ")), (1, 1), "{}", ran.stderr);
        assert!(!ran.stderr.contains(['\x1b']), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    std::fs::remove_file(place.at("stride.toml")).unwrap();
    for (name, value, said) in [
        ("STRIDE_THREADS", "ten", "STRIDE_THREADS: `ten` is neither"),
        ("STRIDE_RATE", "10", "STRIDE_RATE: `10` is not a rate"),
        (
            "STRIDE_NO_PROXY",
            "perhaps",
            "STRIDE_NO_PROXY: it is neither",
        ),
        (
            "STRIDE_COLOR",
            "blue",
            "STRIDE_COLOR: `blue` is none of auto, always, never",
        ),
    ] {
        let ran = place.stride_with(&[(name, value)], &words).expect(2);
        ran.says(said).says("note: nothing was changed");
    }
    std::fs::create_dir(place.at("stride.toml")).unwrap();
    place
        .stride(&words)
        .expect(2)
        .says("cannot read stride.toml")
        .says("it is not a file");
    std::fs::remove_dir(place.at("stride.toml")).unwrap();
    place.write("stride.toml", "#".repeat(70_000));
    place.stride(&words).expect(2).says("more than 65536 bytes");
    place.write("stride.toml", b"\xff");
    place
        .stride(&words)
        .expect(2)
        .says("cannot read stride.toml");
    assert_eq!(place.bystander(), bystander);
    assert_eq!(api.requests(), 1);
    let names = listed(&place.at(""));
    assert_eq!(
        names,
        [
            ".home",
            "bystander.txt",
            "stride.db",
            "stride.db.lock",
            "stride.toml",
            "texts"
        ]
    );
    // An empty variable says nothing, and one that is not stride's is nobody's business.
    std::fs::remove_file(place.at("stride.toml")).unwrap();
    // A budget that is misspelt is none.
    let misspelt = [("STRIDE_MAX_COTS", "25")];
    let ran = place.stride_with(&misspelt, &["run", "--dry-run", "--url", &url, "texts"]);
    ran.expect(0)
        .says("warning: STRIDE_MAX_COTS means nothing to stride; write STRIDE_MAX_COST");
    let variables = [("STRIDE_THREADS", ""), ("STRIDE_API_KEY", "sesame")];
    let ran = place.stride_with(&variables, &words).expect(0);
    assert!(!ran.stderr.contains("STRIDE_"), "{}", ran.stderr);
    assert_eq!(api.requests(), 3);
}

#[test]
fn the_file_lies_beside_the_database_and_the_users_own_where_xdg_says() {
    let (api, place) = begin();
    let url = api.url();
    place.write("runs/stride.toml", "threads = 3\n");
    place.write("conf/stride/stride.toml", "retries = 3\nthreads = 9\n");
    place.write(OWN, "retries = 9\n");
    place.write("stride.toml", "retries = 9\n");
    let conf = place.at("conf");
    let variables = [("XDG_CONFIG_HOME", conf.to_str().unwrap())];
    let words = ["run", "--db", "runs/a.db", "--url", &url, "texts"];
    let ran = place.stride_with(&variables, &words).expect(0);
    let told = format!(
        "retries = 3 ({}/stride/stride.toml, line 1)",
        conf.display()
    );
    let ran = ran
        .says(&told)
        .says("threads = 3 (runs/stride.toml, line 1)");
    assert!(!ran.stderr.contains("= 9"), "{}", ran.stderr);
    // A folder that is not whole is none (XDG Base Directory Specification).
    let variables = [("XDG_CONFIG_HOME", "conf")];
    let words = ["run", "--db", "runs/b.db", "--url", &url, "texts"];
    place
        .stride_with(&variables, &words)
        .expect(0)
        .says("retries = 9");
}

#[test]
fn colours_are_where_the_user_wants_them() {
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
        (&[("STRIDE_COLOR", "blue")], &[], false),
    ] {
        // Both what the parser finds out and what a command does.
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
