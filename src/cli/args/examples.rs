//! The examples and other texts of the help and the manual pages.

/// The examples of stride itself and of every command: comments, and command lines that can be pasted and are tested.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    (
        "stride",
        "\
# See it work, on this machine
stride demo
# Call an API for each file of a folder
stride run --url https://api.example.com/v1/sentiment texts/
# Resume after a stop or a crash
stride resume
# Write all results
stride export -o results.json",
    ),
    (
        "run",
        "\
# POST each file of a folder
stride run --url https://api.example.com/v1/sentiment texts/
# With a key, ten threads, and at most ten calls a second
stride run --url https://api.example.com/v1/sentiment -j 10 --rate 10/s \\
    -H 'Authorization: Bearer {env:API_KEY}' texts/
# A command from the API's documentation, with the file as @{}
stride run --curl 'curl https://api.example.com/v1/ocr -F page=@{}' texts/",
    ),
    (
        "try",
        "\
# Call one file and see everything
stride try texts/0.txt --url https://api.example.com/v1/sentiment
# With a question in JSON that contains the file
stride try texts/0.txt --url https://api.example.com/v1/chat \\
    --json '{\"input\": \"{text}\"}' --extract .label
# One file of the run, with the run's own request
stride try texts/0.txt",
    ),
    (
        "resume",
        "\
# Resume after a stop, a crash or a reboot
stride resume
# Slower than before, from now on
stride resume -j 2 --rate 5/s
# With a higher budget
stride resume --max-calls 5000",
    ),
    (
        "retry",
        "\
# Call every failed file again
stride retry
# Only files that the service refused for one reason
stride retry --status 422 --match 'too short'
# One failed file
stride retry texts/3.txt
# Files that are held because their calls are in doubt
stride retry --held
# A done file, whose answer is set aside
stride retry --done texts/0.txt
# Done files that have changed since their calls
stride retry --changed
# Bring back the results that were set aside
stride retry --restore",
    ),
    (
        "set",
        "\
# Go faster, while the run works in another terminal
stride set -j 16 --rate 50/s
# A budget of calls
stride set --max-calls 10000
# Find the rate automatically again
stride set --rate auto",
    ),
    (
        "status",
        "\
# Show the run's progress
stride status
# The same for a program
stride status --json",
    ),
    (
        "failures",
        "\
# Show what failed, by cause
stride failures
# Each file with its cause, for a program
stride failures --json > failures.json
# Pass each failed file to a command
stride failures -0 | xargs -0 ls -l",
    ),
    (
        "forget",
        "\
# Take two files off the run
stride forget texts/1.txt texts/2.txt
# Missing and unusable files
stride forget --where class=input
# Bring all of them back
stride forget --undo",
    ),
    (
        "export",
        "\
# One JSON object from name to result, if every file has one
stride export -o results.json
# The results so far, as a table; the ending chooses the format
stride export --partial -o results.csv
# A column for each field of the answers, failures too
stride export --all --flatten -o results.parquet
# One field of each answer, one file per line, failures too
stride export --all --format jsonl --extract .label > labels.jsonl",
    ),
    (
        "report",
        "\
# A page to keep, print or pass on
stride report -o report.html
# The report of a backup
stride report --db backup/stride.db > report.html",
    ),
    (
        "recheck",
        "\
# Which results would fail if they had to have a label?
stride recheck --success '.label != null'
# Apply that rule
stride recheck --success '.label != null' --apply",
    ),
    (
        "verify",
        "\
# Check the database and all results
stride verify
# Check a backup
stride verify --db backup/stride.db",
    ),
    (
        "demo",
        "\
# See the whole demo
stride demo
# An API to try your own files with
stride demo --serve 8080",
    ),
    (
        "completions",
        "\
# For bash; start a new shell afterwards
mkdir -p ~/.local/share/bash-completion/completions
stride completions bash > ~/.local/share/bash-completion/completions/stride
# For zsh, if ~/.zfunc is in fpath
mkdir -p ~/.zfunc && stride completions zsh > ~/.zfunc/_stride
# For fish
mkdir -p ~/.config/fish/completions
stride completions fish > ~/.config/fish/completions/stride.fish",
    ),
    (
        "man",
        "\
# Install the pages for `man stride` and `man stride-run`
stride man -o ~/.local/share/man/man1
# Read one page now
stride man run",
    ),
];

/// The end of the long help of commands that make calls.
pub(crate) const PREFERENCES: &str = "\
A run remembers the settings that flags have set. For each other setting, stride uses the environment variable STRIDE_NAME, \
as in STRIDE_MAX_CALLS=100, or else ~/.config/stride/stride.toml, as in max-calls = 100. If neither sets it, the run \
keeps its last value.";

/// The exit codes, for the manual pages.
pub(crate) const EXITS: &[(&str, &str)] = &[
    ("0", "Every file is done, or the command did its work."),
    ("1", "Any other error."),
    ("2", "Wrong usage or settings; nothing was changed."),
    (
        "3",
        "Some files are not done, or the export would be incomplete.",
    ),
    (
        "4",
        "A guard, a limit or a budget stopped the run. Follow the printed hint, then resume.",
    ),
    ("5", "Another process works on this run."),
    (
        "6",
        "The database or a stored result cannot be used, because it is missing, foreign, damaged or locked, for example.",
    ),
    (
        "7",
        "The disk is full, or storage failed during the run; a message names the files with saved answers, if there are any.",
    ),
    ("70", "A bug."),
    (
        "75",
        "An outage, a long wait or --until stopped the run; resume it later.",
    ),
    (
        "130, 143, 129",
        "Stopped by SIGINT, SIGTERM or SIGHUP; everything is safe.",
    ),
];

/// The environment variables, for the manual pages.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    ("STRIDE_DB", "The run's database, unless --db is given."),
    (
        "STRIDE_THREADS, STRIDE_RATE, …",
        "Settings that no flag of the run has set: the flag's name in capitals, with _ for -. Commas separate several rates. \
         STRIDE_EVENTS, STRIDE_ON_FINISH, STRIDE_WAIT_LOCK, STRIDE_NO_PROXY, STRIDE_COLOR and STRIDE_QUIET replace flags that \
         the run does not store.",
    ),
    (
        "NO_COLOR, CLICOLOR_FORCE, CLICOLOR, TERM",
        "No colours; colours even without a terminal; no colours if 0; no colours if dumb. --color takes precedence over \
         all of them, and each over the next.",
    ),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME, HOME",
        "The folders of the user's stride.toml, and of known requests and rescued answers.",
    ),
    (
        "http_proxy, https_proxy, all_proxy, no_proxy",
        "The proxy, unless --no-proxy is given.",
    ),
    ("NETRC", "The file that --netrc reads instead of ~/.netrc."),
    (
        "TZ",
        "The time zone of --until, and of printed times without Z or UTC.",
    ),
];

/// The files, for the manual pages.
pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "stride.db",
        "The run. While it is in use, stride.db-wal, stride.db-shm and stride.db.lock are beside it.",
    ),
    (
        "~/.config/stride/stride.toml",
        "The user's settings, one per line, such as grace = \"1m\". It holds no secret and no request.",
    ),
    (
        "~/.local/state/stride",
        "Checksums of the requests that are known on this machine, and answers that could not be recorded.",
    ),
];
