//! The program in a real terminal, tmux.
//!
//! `tests/data/screens/` has the screens, with placeholders for variable parts. With `STRIDE_REWRITE` in the
//! environment, the tests write them anew for a review of the differences.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::Place;
use crate::support::{FakeApi, Gate, Reply, has_tool, holds_in_time};

/// A terminal with one command in it.
struct Terminal<'p> {
    place: &'p Place,
    /// The socket of a tmux server of its own.
    socket: PathBuf,
}

impl<'p> Terminal<'p> {
    /// A terminal with `columns` columns that runs a command of stride's. It shows the exit code after `=>`.
    fn new(place: &'p Place, columns: usize, words: &[&str]) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        // The server before it may still have its socket.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let socket = place.at(format!(".tmux-{number}"));
        let terminal = Self { place, socket };
        let columns = columns.to_string();
        let size = ["-x", &columns, "-y", "16"];
        let start = [&["-u", "-f", "/dev/null", "new-session", "-d"], &size[..]].concat();
        // A shell that catches Ctrl-C and continues.
        let shell = "trap : INT; \"$@\"; echo \"=> $?\"; exec cat";
        let command = place.command(words);
        let program = command.get_program().to_str().unwrap().to_owned();
        let mut all = vec!["--", "sh", "-c", shell, "sh", &program];
        all.extend(command.get_args().map(|word| word.to_str().unwrap()));
        terminal.tmux(&[start, all].concat());
        // A copy of the output, so that tests wait for its changes.
        terminal.tmux(&["pipe-pane", "exec cat >> .shown"]);
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(words);
        tmux.current_dir(self.place.at("")).env_clear();
        // Times are in the time zone of the place.
        let output = tmux
            .envs([
                ("PATH", super::path().as_str()),
                ("LC_ALL", "C.UTF-8"),
                ("TZ", "UTC"),
            ])
            .env("HOME", self.place.at(".home"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn press(&self, keys: &str) {
        let keys: Vec<&str> = keys.split(' ').collect();
        self.tmux(&[&["send-keys"], &keys[..]].concat());
    }

    fn resize(&self, columns: usize) {
        self.tmux(&["resize-window", "-x", &columns.to_string()]);
    }

    /// Returns all rows, including those that have scrolled off the top.
    fn rows(&self) -> String {
        let rows = self.tmux(&["capture-pane", "-p", "-S", "-"]);
        rows.trim_end().to_owned() + "\n"
    }

    /// Waits until a row has some text.
    #[track_caller]
    fn until_shows(&self, text: &str) {
        self.place.until(|| self.rows().contains(text));
    }

    /// Waits until the terminal has all of these texts and is the stored screen of this name.
    #[track_caller]
    fn is(&self, name: &str, texts: &[&str]) {
        let file = format!(
            "{}/tests/data/screens/{name}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        let rewrites = std::env::var_os("STRIDE_REWRITE").is_some();
        let expected = fs::read_to_string(&file).unwrap_or_default();
        let came = holds_in_time(&self.place.at(""), || {
            let rows = masked(&self.rows());
            let complete = texts.iter().all(|text| rows.contains(text));
            complete && (rewrites || rows == expected)
        });
        let rows = masked(&self.rows());
        assert!(
            came,
            "not the screen {name}, which STRIDE_REWRITE=1 writes anew:\n{rows}"
        );
        if rewrites {
            fs::write(file, rows).unwrap();
        }
    }

    /// Checks that the cursor is visible and at the start of a line, and that lines wrap.
    #[track_caller]
    fn is_clean(&self) {
        let state = "#{cursor_flag} #{wrap_flag} #{cursor_x}";
        assert_eq!(self.tmux(&["display-message", "-p", state]), "1 1 0\n");
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut tmux = Command::new("tmux");
        let _ = tmux.arg("-S").arg(&self.socket).arg("kill-server").status();
    }
}

/// Rows with placeholders for times, rates and numbers of processes.
fn masked(rows: &str) -> String {
    let mut out = String::new();
    for row in rows.lines() {
        let mut words: Vec<String> = row.split(" · ").map(mask).collect();
        if let [word] = &mut words[..]
            && let Some(rest) = word.strip_prefix("  ")
            && let Some((time, name)) = rest.split_once("  ")
            && time.ends_with(" s")
        {
            *word = format!("  <time>  {name}");
        }
        out.push_str(&words.join(" · "));
        out.push('\n');
    }
    out
}

fn mask(word: &str) -> String {
    // The first aborted call is random.
    if let Some((before, names)) = word.rsplit_once(": ")
        && before.contains(" in doubt, because ")
    {
        let mut names: Vec<&str> = names.split(", ").collect();
        names.sort_unstable();
        return format!("{before}: {}", names.join(", "));
    }
    if word.starts_with("in ") && word.ends_with(" s") {
        return "in <time>".to_owned();
    }
    if let Some(rest) = word.strip_prefix("waiting until ")
        && let Some((_, reason)) = rest.split_once(", ")
    {
        return format!("waiting until <time>, {reason}");
    }
    for label in [
        "ETA ",
        "next try in ",
        "earliest end ",
        " calls in ",
        " call in ",
    ] {
        if let Some((before, time)) = word.split_once(label)
            && !time.is_empty()
        {
            return format!("{before}{label}<time>");
        }
    }
    if let Some((rate, _)) = word.split_once(" calls/")
        && rate.parse::<f64>().is_ok()
    {
        return "<rate>".to_owned();
    }
    match word
        .strip_prefix("process ")
        .and_then(|rest| rest.split_once(" since "))
    {
        Some(_) => "process <pid> since <time>".to_owned(),
        None => word.to_owned(),
    }
}

/// A service that refuses file 5, and answers from file `first` on only when the gate is open. A file's number is its
/// position in the list, which begins with the bystander.
fn held_from(first: usize) -> (FakeApi, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let api = FakeApi::start(move |request| match request.target[1..].parse().unwrap() {
        5 => Reply::status(422),
        file if file >= first => Reply::json(1).when(&held),
        _ => Reply::json(1),
    });
    (api, gate)
}

/// A run of 20 files and a bystander that stands still: 11 files are done, one has failed, and four of the others are
/// in flight.
struct Still {
    place: Place,
    gate: Gate,
    api: FakeApi,
    url: String,
    bystander: Vec<Vec<String>>,
}

impl Still {
    fn new() -> Self {
        let (api, gate) = held_from(13);
        let place = Place::new();
        let url = format!("{}/{{index}}", api.url());
        let bystander = place.with_bystander(&url);
        place.texts(20);
        Self {
            place,
            gate,
            api,
            url,
            bystander,
        }
    }

    fn run(&self) -> Vec<&str> {
        vec!["run", "-j", "4", "--url", &self.url, "texts"]
    }

    fn terminal(&self, columns: usize) -> Terminal<'_> {
        let terminal = Terminal::new(&self.place, columns, &self.run());
        self.api.wait_for(17);
        terminal
    }

    fn pid(&self) -> Pid {
        pid(&self.place)
    }

    fn end(self) {
        assert_eq!(self.place.bystander(), self.bystander);
    }
}

/// The process of a place's run.
fn pid(place: &Place) -> Pid {
    let pid = place.status()["pid"].as_i64().unwrap();
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

/// Returns the bar of such a run on a terminal with `columns` columns.
fn bar(columns: usize) -> String {
    let cells = ((columns - 1) / 3).clamp(8, 40);
    let full = 13 * cells / 21;
    format!("{}╸{} ", "━".repeat(full), "─".repeat(cells - full - 1))
}

#[test]
fn a_report_is_not_printed_to_a_terminal() {
    if !has_tool("tmux") {
        return;
    }
    let place = Place::new();
    let terminal = Terminal::new(&place, 80, &["report"]);
    terminal.until_shows("=> 2");
    let rows = terminal.rows();
    assert!(
        rows.contains("\nhint: use stride report -o report.html\n"),
        "{rows}"
    );
}

#[test]
fn the_view_is_as_wide_as_the_terminal() {
    if !has_tool("tmux") {
        return;
    }
    for columns in [40, 80, 200] {
        let still = Still::new();
        let terminal = still.terminal(columns);
        terminal.is(
            &format!("run-{columns}"),
            &[&bar(columns), "4 in flight", "<rate>"],
        );
        still.gate.open();
        terminal.is(&format!("end-{columns}"), &["=> 3"]);
        terminal.is_clean();
        drop(terminal);
        still.end();
    }
}

#[test]
fn the_view_follows_the_width_of_the_terminal() {
    if !has_tool("tmux") {
        return;
    }
    let still = Still::new();
    let terminal = still.terminal(80);
    terminal.is("run-80", &["4 in flight", "<rate>"]);
    for (number, columns) in [40, 200, 37, 80].into_iter().enumerate() {
        terminal.resize(columns);
        terminal.is(
            &format!("resized-{}-{columns}", number + 1),
            &[&bar(columns), "4 in flight", "<rate>"],
        );
    }
    still.gate.open();
    terminal.is("resized-end", &["=> 3"]);
    terminal.is_clean();
    drop(terminal);
    still.end();
}

#[test]
fn ctrl_c_restores_the_terminal() {
    if !has_tool("tmux") {
        return;
    }
    let still = Still::new();
    let terminal = still.terminal(80);
    terminal.until_shows("4 in flight");
    terminal.press("C-c");
    // After a while, the view names the files in flight.
    terminal.until_shows(" s  texts/001");
    still.gate.open();
    terminal.is("stopped", &["=> 130"]);
    terminal.is_clean();
    drop(terminal);
    still.end();

    let still = Still::new();
    let terminal = still.terminal(200);
    terminal.until_shows("4 in flight");
    terminal.press("C-c");
    terminal.until_shows("stopping: ");
    // Ctrl-C at once counts as the same one.
    kill_process(still.pid(), Signal::TERM).unwrap();
    terminal.is("stopped-at-once", &["=> 130"]);
    terminal.is_clean();
    drop(terminal);
    still.end();
}

#[test]
fn the_last_call_is_named_if_it_is_slow() {
    if !has_tool("tmux") {
        return;
    }
    let (api, gate) = held_from(4);
    let place = Place::new();
    let url = format!("{}/{{index}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(3);
    place.write("texts/会議/録音-2026-11-28-会議室の録音-第一部.txt", "0004");
    for columns in [40, 80] {
        let words = ["run", "-j", "2", "--url", &url, "texts"];
        let terminal = Terminal::new(&place, columns, &words);
        let texts = ["waiting for the last call\n  <time>  ", "第一部.txt"];
        terminal.is(&format!("last-call-{columns}"), &texts);
        terminal.press("C-c");
        terminal.until_shows("stopping: ");
        kill_process(pid(&place), Signal::TERM).unwrap();
        terminal.until_shows("=> 130");
        terminal.is_clean();
    }
    gate.open();
    place.stride(&["resume"]).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_wait_that_the_service_asks_for_is_shown() {
    if !has_tool("tmux") {
        return;
    }
    let api = FakeApi::start(|request| match &*request.target {
        "/2" => Reply::status(429).header("retry-after", "600"),
        _ => Reply::json(1),
    });
    let place = Place::new();
    let url = format!("{}/{{index}}", api.url());
    let bystander = place.with_bystander(&url);
    place.texts(5);
    let terminal = Terminal::new(&place, 80, &["run", "-j", "1", "--url", &url, "texts"]);
    terminal.is("throttled", &["next try in"]);
    terminal.press("C-c");
    terminal.until_shows("=> 130");
    terminal.is_clean();
    drop(terminal);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn sigusr1_prints_a_line_above_the_view() {
    if !has_tool("tmux") {
        return;
    }
    let still = Still::new();
    let terminal = still.terminal(80);
    terminal.is("run-80", &["4 in flight", "<rate>"]);
    kill_process(still.pid(), Signal::USR1).unwrap();
    terminal.is("asked", &["done, 1 failed · "]);
    still.gate.open();
    terminal.until_shows("=> 3");
    terminal.is_clean();
    drop(terminal);
    still.end();
}

#[test]
fn a_suspended_run_that_continues_keeps_text_written_meanwhile() {
    if !has_tool("tmux") {
        return;
    }
    let still = Still::new();
    let terminal = still.terminal(80);
    terminal.is("run-80", &["4 in flight", "<rate>"]);
    kill_process(still.pid(), Signal::STOP).unwrap();
    terminal.press("j o b s Enter");
    terminal.until_shows("jobs");
    kill_process(still.pid(), Signal::CONT).unwrap();
    terminal.is("continued", &["jobs\n━", "<rate>"]);
    still.gate.open();
    terminal.until_shows("=> 3");
    terminal.is_clean();
    drop(terminal);
    still.end();
}

#[test]
fn a_run_is_watched_from_another_terminal() {
    if !has_tool("tmux") {
        return;
    }
    let still = Still::new();
    let run = still.place.begin(&still.run());
    still.api.wait_for(17);
    let watch = Terminal::new(&still.place, 80, &["status", "--watch"]);
    watch.is("watch", &["4 in flight", "process <pid>"]);
    watch.press("C-c");
    watch.is("watch-left", &["=> 130"]);
    watch.is_clean();
    drop(watch);
    let watch = Terminal::new(&still.place, 40, &["status", "--watch"]);
    watch.is("watch-40", &["4 in flight", "process <pid>"]);
    still.gate.open();
    run.end().expect(3);
    watch.until_shows("=> 0");
    watch.until_shows("runner  the last one finished");
    assert!(!watch.rows().contains('━'), "{}", watch.rows());
    watch.is_clean();
    drop(watch);
    still.end();
}
