//! The examples and other texts of the help and the manual pages.

/// What a command line does, and the command line, which is tested and can be pasted.
pub(crate) type Example = (&'static str, &'static str);

/// The examples of stride itself and of every command.
pub(crate) const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "stride",
        &[
            ("See it work, on this machine", "stride demo"),
            (
                "Call an API for each file of a folder",
                "stride run --url https://api.example.com/v1/sentiment texts/",
            ),
            ("Go on after a stop or a crash", "stride resume"),
            ("Write all results", "stride export -o results.json"),
        ],
    ),
    (
        "run",
        &[
            (
                "POST each file of a folder",
                "stride run --url https://api.example.com/v1/sentiment texts/",
            ),
            (
                "With a key, ten threads, and at most ten calls a second",
                "stride run --url https://api.example.com/v1/sentiment -j 10 --rate 10/s \\
    -H 'Authorization: Bearer {env:API_KEY}' texts/",
            ),
            (
                "A command from the API's documentation, with the file as @{}",
                "stride run --curl 'curl https://api.example.com/v1/ocr -F page=@{}' texts/",
            ),
        ],
    ),
    (
        "try",
        &[
            (
                "Call one file and see everything",
                "stride try texts/0.txt --url https://api.example.com/v1/sentiment",
            ),
            (
                "With a question in JSON, of which the file is a part",
                "stride try texts/0.txt --url https://api.example.com/v1/chat \\
    --json '{\"input\": \"{text}\"}' --extract .label",
            ),
            (
                "One file of the run, with the run's own request",
                "stride try texts/0.txt",
            ),
        ],
    ),
    (
        "resume",
        &[
            ("Go on after a stop, a crash or a reboot", "stride resume"),
            (
                "Slower than before, from now on",
                "stride resume -j 2 --rate 5/s",
            ),
            ("With a higher budget", "stride resume --max-calls 5000"),
        ],
    ),
    (
        "retry",
        &[
            ("Call every failed file again", "stride retry"),
            (
                "Only those that failed in passing",
                "stride retry --class transient",
            ),
            (
                "Only those that the service refused for one reason",
                "stride retry --status 422 --match 'too short'",
            ),
            ("Those that are held, being in doubt", "stride retry --held"),
        ],
    ),
    (
        "set",
        &[
            (
                "Faster, while it goes on in another terminal",
                "stride set -j 16 --rate 50/s",
            ),
            ("A budget of calls", "stride set --max-calls 10000"),
            ("No rate of mine any longer", "stride set --rate auto"),
        ],
    ),
    (
        "status",
        &[
            ("Where the run stands", "stride status"),
            ("The same for a program", "stride status --json"),
        ],
    ),
    (
        "failures",
        &[
            ("What failed, by cause", "stride failures"),
            (
                "Each file with its cause, for a program",
                "stride failures --json > failures.json",
            ),
            (
                "Do something with each of them",
                "stride failures -0 | xargs -0 ls -l",
            ),
        ],
    ),
    (
        "export",
        &[
            (
                "One JSON object from name to result, if every file has one",
                "stride export -o results.json",
            ),
            (
                "What there is by now, as a table",
                "stride export --partial --format csv -o results.csv",
            ),
            (
                "A field of each answer, a line a file, failures too",
                "stride export --all --format jsonl --extract .label > labels.jsonl",
            ),
        ],
    ),
    (
        "report",
        &[
            (
                "A page to keep, print or pass on",
                "stride report -o report.html",
            ),
            (
                "Of a copy that is elsewhere",
                "stride report --db backup/stride.db > report.html",
            ),
        ],
    ),
    (
        "recheck",
        &[
            (
                "Which results would none be, if they had to have a label?",
                "stride recheck --success '.label != null'",
            ),
            (
                "Make it so",
                "stride recheck --success '.label != null' --apply",
            ),
        ],
    ),
    (
        "verify",
        &[
            ("Check the database and all results", "stride verify"),
            (
                "Of a copy that is elsewhere",
                "stride verify --db backup/stride.db",
            ),
        ],
    ),
    (
        "demo",
        &[
            ("See all of it", "stride demo"),
            (
                "An API to try your own files with",
                "stride demo --serve 8080",
            ),
        ],
    ),
    (
        "completions",
        &[
            (
                "For bash; the next shell has it",
                "mkdir -p ~/.local/share/bash-completion/completions
stride completions bash > ~/.local/share/bash-completion/completions/stride",
            ),
            (
                "For zsh, where ~/.zfunc is in fpath",
                "mkdir -p ~/.zfunc && stride completions zsh > ~/.zfunc/_stride",
            ),
            (
                "For fish",
                "mkdir -p ~/.config/fish/completions
stride completions fish > ~/.config/fish/completions/stride.fish",
            ),
        ],
    ),
    (
        "man",
        &[
            (
                "Have `man stride` and `man stride-run`",
                "stride man -o ~/.local/share/man/man1",
            ),
            ("Read one page now", "stride man run | man -l -"),
        ],
    ),
];

/// What stands at the end of the whole help of commands that make calls.
pub(crate) const PREFERENCES: &str = "\
A run remembers the settings that flags have given. Others are taken each time from the environment variable STRIDE_NAME, \
as in STRIDE_MAX_CALLS=100, or else from ~/.config/stride/stride.toml, as in max-calls = 100; where neither has them, \
their last value holds.";

/// The exit codes, as the manual pages have them.
pub(crate) const EXITS: &[(&str, &str)] = &[
    ("0", "Every file is done, or the command did its work."),
    ("1", "An error that has no code of its own."),
    ("2", "Wrong usage or settings; nothing was changed."),
    (
        "3",
        "The run ended and not every file is done; or there is no whole to export.",
    ),
    (
        "4",
        "Stopped early by a guard, a limit or a budget, and a person is needed; the rest is pending.",
    ),
    ("5", "Another process works on this run."),
    (
        "6",
        "The database is missing, not a run's, newer, damaged, taken away, locked, on a network, or cannot be written.",
    ),
    (
        "7",
        "Storage failed during the run; where answers were saved is said.",
    ),
    ("70", "A bug."),
    (
        "75",
        "Stopped early by an outage, a long wait or --until, and it comes back by itself; the rest is pending.",
    ),
    (
        "130, 143, 129",
        "Stopped by SIGINT, SIGTERM or SIGHUP; everything is safe.",
    ),
];

/// The environment variables, as the manual pages have them.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    ("STRIDE_DB", "The run's database, without --db."),
    (
        "STRIDE_THREADS, STRIDE_RATE, …",
        "Settings of which the run was given no flag: the flag's name in capitals, with _ for -. Several rates stand between \
         commas. STRIDE_EVENTS, STRIDE_ON_FINISH, STRIDE_NO_PROXY and STRIDE_COLOR stand for flags that are not remembered.",
    ),
    (
        "NO_COLOR, CLICOLOR_FORCE, CLICOLOR, TERM",
        "No colours; colours even where there is no terminal; none where it is 0; none where it is dumb. --color has the \
         last word, and the first that is set of these the next.",
    ),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME, HOME",
        "Where the user's stride.toml is, and where commands and rescued answers are remembered.",
    ),
    (
        "http_proxy, https_proxy, all_proxy, no_proxy",
        "The proxy, unless --no-proxy is given.",
    ),
    ("NETRC", "The file that --netrc reads instead of ~/.netrc."),
    (
        "TZ",
        "The time zone of --until and of the times that are shown.",
    ),
];

/// The files, as the manual pages have them.
pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "stride.db",
        "The run, in the folder where it was made; beside it, while it is in use, stride.db-wal, stride.db-shm and stride.db.lock.",
    ),
    (
        "~/.config/stride/stride.toml",
        "The user's settings: a line such as rate = [\"10/s\", \"5000/d\"] or grace = \"1m\" for each. No secret is read from \
         it, and no request.",
    ),
    (
        "~/.local/state/stride",
        "Which commands requests may run, and answers that could not be recorded.",
    ),
];
