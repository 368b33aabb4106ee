//! What other programs call what stride has.

/// Words that are no commands, and what to do instead.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    ("start", "write stride run --url URL FILES"),
    ("call", "write stride run --url URL FILES"),
    ("test", "write stride try FILE --url URL"),
    ("continue", "write stride resume"),
    ("restart", "write stride resume"),
    (
        "stop",
        "press Ctrl-C where it runs; stride status names its process",
    ),
    ("pause", "press Ctrl-C where it runs; stride resume goes on"),
    (
        "list",
        "write stride status, or stride failures for what failed",
    ),
    (
        "ls",
        "write stride status, or stride failures for what failed",
    ),
    ("info", "write stride status"),
    ("errors", "write stride failures"),
    ("results", "write stride export"),
    ("dump", "write stride export"),
    (
        "check",
        "write stride verify, or stride recheck to judge the answers again",
    ),
    (
        "config",
        "write stride set for a run; your own settings are in stride.toml",
    ),
    ("serve", "write stride demo --serve 8080"),
    ("version", "write stride --version"),
    (
        "completion",
        "write stride completions bash, or another shell",
    ),
    ("manual", "write stride man"),
];

/// Flags that stride does not have, and what to write instead.
pub(super) const FLAGS: &[(&str, &str)] = &[
    ("--concurrency", "write --threads"),
    ("--parallel", "write --threads"),
    ("--parallelism", "write --threads"),
    ("--workers", "write --threads"),
    ("--max-procs", "write --threads"),
    ("--rps", "write --rate 10/s"),
    ("--qps", "write --rate 10/s"),
    ("--rate-limit", "write --rate 10/s"),
    ("--tpslimit", "write --rate 10/s"),
    (
        "--limit",
        "write --max-calls, or --sample for a few at random",
    ),
    ("--max-retries", "write --retries"),
    ("--retry", "write --retries"),
    ("--retry-max", "write --retries"),
    ("--database", "write --db"),
    ("--log", "write --events"),
    ("--log-file", "write --events"),
    ("--joblog", "write --events"),
    (
        "--input",
        "name the files as arguments, or a list of them with --files-from",
    ),
    (
        "--resume",
        "write stride resume, or give the same stride run again",
    ),
    ("--max-filesize", "write --max-response 16MiB"),
    ("--max-time", "write --timeout 30s"),
    ("--budget", "write --max-cost 25 --cost 0.0015"),
    ("--simulate", "write --dry-run"),
    ("--force", "leave it out; what needs to be allowed says how"),
    ("--no-color", "write --color never"),
    ("--colour", "write --color"),
];

/// Values of flags as they are written.
pub(super) const FORMS: &[(&str, &str)] = &[
    ("--threads", "-j 10, or -j auto"),
    ("--rate", "--rate 10/s, 600/m, 20MB/s, auto or none"),
    ("--burst", "--burst 5"),
    ("--retries", "--retries 4"),
    ("--max-failures", "--max-failures 100, 5% or none"),
    ("--max-calls", "--max-calls 1000, or --max-calls none"),
    ("--max-cost", "--max-cost 25 --cost 0.0015"),
    ("--cost", "--cost 0.0015"),
    ("--sample", "--sample 2"),
    ("--status", "--status 404"),
    ("--serve", "--serve 8080"),
    ("--expect", "--expect json, text or any"),
    ("--class", "--class transient, or another of these"),
    ("--until", "--until 06:00"),
];
