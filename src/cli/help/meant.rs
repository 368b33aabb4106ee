//! Words of other programs, and values that flags accept, for hints.

/// Commands and flags that stride does not have, each with a hint.
pub(super) const MEANT: &str = "\
stop cancel kill quit: press Ctrl-C where it runs; `stride status` names its process
pause: press Ctrl-C where it runs; `stride resume` continues
unpause: use `stride resume`
list ls show ps: use `stride status`, or `stride failures` for failed files
progress top watch tail: use `stride status --watch`
log logs: use `stride status --watch`, or `stride failures`; --events FILE of `stride run` writes a log
stats summary: use `stride status`, or `stride report -o report.html`
check repair fix doctor: use `stride verify`, or `stride recheck` to judge the answers again
validate judge: use `stride recheck`
config: use `stride set` for a run, or a stride.toml for all
rate speed threads: use `stride set`, as in `stride set --rate 10/s -j 4`
serve: use `stride demo --serve 8080`
version: use `stride --version`
init new create begin go call exec execute launch process batch submit send post upload curl: \
use `stride run --url URL FILES`; it creates the run
get fetch download save output json csv write: use `stride export -o results.json`
undo unforget restore: use `stride forget --undo` for forgotten files, or `stride retry --restore` for results that were set aside
query sql db database: use `sqlite3 stride.db 'SELECT * FROM results'`, or `stride export`
add queue import: use `stride run --url URL FILES` with the new files; it keeps the others
again redo rerun replay reprocess requeue reset: use `stride retry` for failed files; done files have their results
clean clear destroy purge wipe erase: to delete the run, delete its files: rm -f FILE FILE-wal FILE-shm FILE.lock, where FILE is its database
exclude ignore unlist: use `stride forget NAME`, which takes a file off the run
worker daemon service: use `stride run` or `stride resume`; it works until all files are called
login auth key: use -H 'Authorization: Bearer {env:API_KEY}' with `stride run`
dry-run plan preview: use `stride run --dry-run --url URL FILES`
sample: use `stride run --sample 2 --url URL FILES`
pending: use `stride status`
done: use `stride export --partial`
--max-workers --num-threads --processes --procs --num-workers --concurrent-requests -t: use --threads
--limit --max -N: use --max-calls, or --sample for a few random files
--first --head-n --top: use --sample for a few random files
--log --log-file --logfile: use --events
--input --inputs --file -i -f --list --dir --folder --directory --source --src --path --glob --pattern: \
name the files as arguments, or a list of them with --files-from
--recursive: leave it out; a folder is always walked
--exclude --include --filter: use --files-from with a list, as in find texts -name '*.txt' | stride run --files-from -
--resume --continue --skip-existing --incremental --restart: use `stride resume`, or repeat the same `stride run`
--fresh --from-scratch --start-over --clean --clear --purge --new --reset: use another database with --db FILE, or delete the run first, \
with rm -f FILE FILE-wal FILE-shm FILE.lock, where FILE is its database
--force --yes --overwrite: leave it out; an error names the flag that allows what was refused
--no-color --no-colour: use --color never
--output --out --outfile --results --save --dest -o -O: use `stride export -o results.json` after the run, or --output-dir \
for a file per result
--verbose --debug --trace -v -vv: use `stride try FILE` to see one call in full, or --events for a log
--progress -s: leave it out; --quiet turns the progress off
--background --daemon: use nohup or systemd-run to start it; `stride status --watch` shows it
--endpoint --host --uri --api --address --server: use --url
--method -M: use -X
--body --payload --content --input-file: use --data-binary or --json
--data-file: use --data-binary @FILE
--prompt --model: use --json, as in --json '{\"model\": \"small\", \"input\": \"{text}\"}'
--token --bearer --api-key --apikey --auth --auth-token: use -H 'Authorization: Bearer {env:API_KEY}'
--password --username --login: use -u '{env:NAME}:{env:PASSWORD}'
--follow-redirects: use -L
--proxy-url: use --proxy
--delay --sleep --wait --interval --pause: use --rate, as in --rate 2/s
--backoff --retry-wait --retry-interval: use --retry-delay
--attempts --max-attempts --tries --num-retries --retry-count: use --retries
--per-second --max-rate --throttle --speed --requests-per-second --rate-per-second: use --rate, as in --rate 10/s
--rpm --requests-per-minute --per-minute: use --rate, as in --rate 600/m
--request-timeout --timeout-ms --timeout-seconds: use --timeout, as in --timeout 30s
--chunks --chunk-size --batch --batch-size --batchsize: use --threads; with N threads, each calls every Nth file
--sqlite --database-file --checkpoint --state --state-file --store --cache: use --db
--success-codes --accept --status-codes: use --expect-status
--fail --ignore-errors --keep-going --continue-on-error: leave it out; failures are recorded, and the run continues
--fail-fast --max-errors --abort-on-error: use --max-failures, as in --max-failures 0
--csv --jsonl: use --files-from FILE --list-format for a list, or `stride export --format` for the results
--env: use {env:NAME} in the request
--json-output --json-lines: use `stride export --format jsonl`";

/// Flags that one command does not have, with the command and a hint.
pub(super) const MEANT_OF: &[(&str, &str, &str)] = &[
    (
        "failures",
        "--limit --head --max -n -N",
        "use `stride failures | head`, or choose some with --class, --status or --match",
    ),
    (
        "failures",
        "--file --name --names",
        "use --match, as in `stride failures --match texts/0.txt`",
    ),
    (
        "failures",
        "--csv --format",
        "use --json, or `stride export --all -o results.csv`",
    ),
    (
        "failures",
        "--where --filter --text --grep",
        "use --class, --status, --cause or --match, as in `stride failures --class rejected --match 'too short'`",
    ),
    (
        "retry",
        "--where --filter --text --grep",
        "use --class, --status, --cause or --match, as in `stride retry --class transient`",
    ),
    (
        "retry",
        "--undo",
        "use --restore, which brings back the results that were set aside",
    ),
    (
        "retry",
        "--failed --all --failures",
        "leave it out: `stride retry` calls all failed files again",
    ),
    (
        "retry",
        "--name --file --files",
        "leave it out, and name the files, as in `stride retry texts/0.txt`",
    ),
    (
        "retry",
        "--dry-run --simulate --preview",
        "use `stride failures` to see the files that `stride retry` calls; `stride try FILE` shows the call of one",
    ),
    (
        "resume",
        "--dry-run --simulate --preview",
        "use `stride status`, which counts the pending files; `stride try FILE` shows the call of one",
    ),
    (
        "forget",
        "--dry-run --simulate --preview",
        "use `stride export --all --format csv --columns file,state` with the same --where, or `stride forget --undo` afterwards",
    ),
    (
        "forget",
        "--list --show",
        "use `stride export --all --format csv --columns file --where state=forgotten`",
    ),
    (
        "forget",
        "--all --failed",
        "use `stride forget --where state=failed,held`",
    ),
    (
        "report",
        "--open --browser --html",
        "use `stride report -o report.html`, and open that file",
    ),
    (
        "set",
        "--list --show --get",
        "use `stride set` alone, which shows the values",
    ),
];

/// Values that flags accept.
const VALUES: &[(&str, &str)] = &[
    ("burst", "5"),
    ("cause", "0123abcd"),
    ("columns", "file,status,result"),
    ("cookie", "session=1"),
    ("cost", "0.0015"),
    ("credential", "API_KEY={env:API_KEY}"),
    ("curl", "curl https://api.example.com/v1/ocr -F page=@{}"),
    ("data", "text={text}"),
    ("data-binary", "@{path}"),
    ("data-raw", "text={text}"),
    ("data-urlencode", "text={text}"),
    ("db", "stride.db"),
    ("events", "events.jsonl"),
    ("expect", "text"),
    ("expect-status", "2xx,404"),
    ("extract", ".label"),
    ("files-from", "list.txt"),
    ("form", "file=@{path}"),
    ("form-string", "language=en"),
    ("header", "Authorization: Bearer {env:API_KEY}"),
    ("json", r#"{"input": "{text}"}"#),
    ("key-column", "path"),
    ("match", "too short"),
    ("max-cost", "25"),
    ("max-failures", "5%"),
    ("max-redirs", "5"),
    ("noproxy", "localhost"),
    ("oauth2-bearer", "{env:TOKEN}"),
    ("on-finish", "cat > summary.json"),
    ("output", "results.json"),
    ("output-dir", "answers"),
    ("proxy", "http://proxy.example.com:3128"),
    ("proxy-user", "NAME:PASSWORD"),
    ("range", "0-99"),
    ("rate", "10/s"),
    ("referer", "https://example.com/"),
    ("request", "PUT"),
    ("resolve", "api.example.com:443:192.0.2.1"),
    ("retries", "4"),
    ("retry-after", ".error.wait"),
    ("serve", "8080"),
    ("settle", ".usage.total_tokens"),
    ("status", "422"),
    ("success", r#".status == "ok""#),
    ("threads", "8"),
    ("until", "06:00"),
    ("upload-file", "{path}"),
    ("url", "https://api.example.com/v1/sentiment"),
    ("url-query", "name={name}"),
    ("user", "{env:NAME}:{env:PASSWORD}"),
    ("weight", "size/4"),
    ("where", "state=failed"),
];

/// Values for flags that are not in [`VALUES`], by the form that the help shows.
const FORMS: &[(&str, &str)] = &[
    ("CLASS", "transient"),
    ("N", "10"),
    ("TIME", "30s"),
    ("SIZE", "16MiB"),
    ("RATE", "10/s"),
    ("RULE", "status=409:transient"),
    ("EXPR", ".label"),
    ("DIR", "folder"),
];

/// Returns a value that a flag accepts.
pub(super) fn value(flag: &str, form: &str) -> Option<&'static str> {
    let find = |table: &[(&str, &'static str)], name| {
        table
            .iter()
            .find_map(|(key, value)| (*key == name).then_some(*value))
    };
    find(VALUES, flag).or_else(|| find(FORMS, form))
}
