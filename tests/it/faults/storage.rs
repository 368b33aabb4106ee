//! Faults of the database and of its disk, with calls in flight. stride loses no outcome that it can write anywhere:
//! each test counts the calls, and in the end there is one for each file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{counts, gated, named, run};
use crate::cli::{Place, Ran, Running};
use crate::support::{FakeApi, Gate, Reply};

const FILES: usize = 6;

/// A run with three calls in flight, which end when the gate is opened.
pub(super) struct Scene {
    gate: Gate,
    pub(super) api: FakeApi,
    pub(super) place: Place,
    url: String,
    bystander: Vec<Vec<String>>,
}

impl Scene {
    fn new() -> Self {
        // The bystander's call, and the first one, which goes alone.
        let (api, gate) = gated(2);
        let place = Place::new();
        let url = named(&api);
        let bystander = place.with_bystander(&url);
        place.texts(FILES);
        Self {
            gate,
            api,
            place,
            url,
            bystander,
        }
    }

    /// A run whose three calls in flight were saved in a rescue file.
    pub(super) fn saved() -> Self {
        let scene = Self::new();
        let running = scene.begin();
        let files = ["stride.db", "stride.db-wal", "stride.db-shm"];
        let elsewhere = scene.place.at("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        for name in files {
            fs::rename(scene.place.at(name), elsewhere.join(name)).unwrap();
        }
        scene.gate.open();
        running.end().expect(6);
        scene.expect_saved(3);
        for name in files {
            fs::rename(elsewhere.join(name), scene.place.at(name)).unwrap();
        }
        scene
    }

    fn begin(&self) -> Running {
        let running = self.place.begin(&run(&self.url, &["-j", "3"]));
        self.api.wait_for(5);
        running
    }

    /// The rescue files in the user's own folder.
    pub(super) fn rescued(&self) -> Vec<PathBuf> {
        let folder = self.place.at(".home/.local/state/stride/rescue");
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Checks that the outcomes of the calls in flight were saved, and that other users cannot read them.
    #[track_caller]
    fn expect_saved(&self, calls: usize) {
        let files = self.rescued();
        assert_eq!(files.len(), 1, "{files:?}");
        let file = rusqlite::Connection::open(&files[0]).unwrap();
        let sql = "SELECT count(*) FROM attempt WHERE outcome IS NOT NULL";
        let saved: usize = file.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(saved, calls);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&files[0].metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    /// Resumes the run, and checks that everything is done after one call for each file.
    #[track_caller]
    pub(super) fn expect_complete(&self, ran: Ran) {
        let ran = ran.expect(0);
        assert!(self.rescued().is_empty(), "{}", ran.stderr);
        counts(
            &self.place,
            &[
                ("done", FILES as u64 + 1),
                ("in_doubt", 0),
                ("attempts", FILES as u64 + 1),
            ],
        );
        assert_eq!(self.api.requests(), FILES + 1);
        assert_eq!(self.place.bystander(), self.bystander);
        self.place.stride(&["verify"]).expect(0);
        let exported = self.place.stride(&["export"]).expect(0).json();
        for name in 0..FILES {
            assert_eq!(exported[format!("texts/{name:04}")], format!("/{name:04}"));
        }
    }
}

#[test]
fn row_21_a_database_that_is_moved_and_put_back_has_every_answer() {
    let scene = Scene::new();
    let running = scene.begin();
    let elsewhere = scene.place.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let files = ["stride.db", "stride.db-wal", "stride.db-shm"];
    for name in files {
        fs::rename(scene.place.at(name), elsewhere.join(name)).unwrap();
    }
    scene.gate.open();
    running
        .end()
        .expect(6)
        .says("was removed or replaced")
        .says("3 results saved in");
    scene.expect_saved(3);
    for name in files {
        fs::rename(elsewhere.join(name), scene.place.at(name)).unwrap();
    }
    let status = scene.place.status();
    assert_eq!(status["rescue_files"].as_array().unwrap().len(), 1);
    let shown = scene.place.stride(&["status"]).expect(0).stdout;
    let shown = String::from_utf8(shown).unwrap();
    let saved =
        "ended with 3 calls that it could not record; the next session records what it saved";
    assert!(shown.contains(saved), "{shown}");
    let ran = scene.place.stride(&["resume"]);
    scene.expect_complete(ran.says("recorded 3 results"));
    assert_eq!(scene.place.status()["rescue_files"], serde_json::json!([]));
}

#[test]
fn row_21_a_refused_resume_of_a_copy_without_its_wal_leaves_the_rescue_file() {
    let scene = Scene::new();
    let place = &scene.place;
    // The list is in the database, and the claims are in the WAL.
    place
        .stride(&run(&scene.url, &["--max-calls", "1"]))
        .expect(4);
    let words = run(&scene.url, &["-j", "3", "--max-calls", "none"]);
    let running = place.begin(&words);
    scene.api.wait_for(5);
    let folders = ["elsewhere", "copy"].map(|name| place.at(name));
    folders
        .iter()
        .for_each(|folder| fs::create_dir(folder).unwrap());
    let moved = folders[0].join("stride.db");
    fs::rename(place.at("stride.db"), &moved).unwrap();
    scene.gate.open();
    running.end().expect(6).says("3 results saved in");
    fs::copy(&moved, folders[1].join("stride.db")).unwrap();
    let refused = ["resume", "-H", "X-A: b", "--db", "copy/stride.db"];
    place.stride(&refused).expect(2).says("recorded 3 results");
    scene.expect_saved(3);
    fs::rename(&moved, place.at("stride.db")).unwrap();
    scene.expect_complete(place.stride(&["resume"]).says("recorded 3 results"));
}

#[test]
fn row_21_a_database_in_place_of_another_gets_none_of_its_answers() {
    let scene = Scene::new();
    let (other, service) = (Place::new(), FakeApi::start(|_| Reply::json(1)));
    other.texts(1);
    other.stride(&run(&named(&service), &[])).expect(0);
    let running = scene.begin();
    let before = fs::read(other.at("stride.db")).unwrap();
    fs::rename(other.at("stride.db"), scene.place.at("stride.db")).unwrap();
    scene.gate.open();
    running.end().expect(6).says("was removed or replaced");
    scene.expect_saved(3);
    assert_eq!(fs::read(scene.place.at("stride.db")).unwrap(), before);
    // Another run imports nothing.
    for name in ["stride.db-wal", "stride.db-shm"] {
        let _ = fs::remove_file(scene.place.at(name));
    }
    scene.place.stride(&["resume"]).expect(0);
    scene.expect_saved(3);
}

#[test]
fn row_20_a_database_that_is_deleted_ends_the_run_and_the_answers_are_kept() {
    let scene = Scene::new();
    let words = ["-j", "3", "--events", "events"];
    let running = scene.place.begin(&run(&scene.url, &words));
    scene.api.wait_for(5);
    for name in ["stride.db", "stride.db-wal", "stride.db-shm"] {
        fs::remove_file(scene.place.at(name)).unwrap();
    }
    scene.gate.open();
    running
        .end()
        .expect(6)
        .says("was removed or replaced")
        .says("if the database was deleted, they are lost")
        .says("hint: move the database and the files beside it back");
    scene.expect_saved(3);
    let status = scene.place.stride(&["status"]).expect(6);
    status
        .says("has saved results in ")
        .says("/rescue/stride.db.rescue-");
    assert_eq!(scene.api.requests(), 5, "no call was made after it");
    assert!(!scene.place.at("stride.db").exists());
    let events = fs::read_to_string(scene.place.at("events")).unwrap();
    let told = |event: &str| events.matches(&format!("\"event\":\"{event}\"")).count();
    assert_eq!((told("claimed"), told("settled")), (4, 1), "{events}");
}

#[test]
fn row_22_a_deleted_wal_ends_the_run_and_no_answer_is_lost() {
    for name in ["stride.db-wal", "stride.db-shm"] {
        let scene = Scene::new();
        let running = scene.begin();
        fs::remove_file(scene.place.at(name)).unwrap();
        scene.gate.open();
        running
            .end()
            .expect(6)
            .says(&format!("{name} was removed or replaced"));
        scene.expect_saved(3);
        assert_eq!(scene.api.requests(), 5, "no call was made after it");
    }
}

#[test]
fn row_140_a_truncated_wal_ends_the_run_at_the_next_write() {
    let scene = Scene::new();
    let running = scene.begin();
    let log = fs::OpenOptions::new()
        .write(true)
        .open(scene.place.at("stride.db-wal"));
    log.unwrap().set_len(0).unwrap();
    scene.gate.open();
    running
        .end()
        .expect(6)
        .says("stride.db-wal was cut short by another program");
    scene.expect_saved(3);
    assert_eq!(scene.api.requests(), 5, "no call was made after it");
    // The claims of the calls were in the WAL, and so was the list. stride imports the outcomes nevertheless.
    let ran = scene.place.stride(&["resume"]).expect(0);
    ran.says("3 saved answers in")
        .says("these files are missing from the list");
    scene.expect_saved(3);
    let ran = scene.place.stride(&run(&scene.url, &[])).expect(0);
    let ran = ran.says("recorded 3 results");
    assert!(scene.rescued().is_empty(), "{}", ran.stderr);
    let calls_again = scene.api.requests() - (FILES + 1);
    assert!(calls_again <= 2, "{calls_again} files were called again");
    scene.place.stride(&["verify"]).expect(0);
    assert_eq!(scene.place.bystander(), scene.bystander);
}

#[test]
fn row_140_a_wal_that_another_program_checkpoints_is_not_damage() {
    let scene = Scene::new();
    let running = scene.begin();
    let other = rusqlite::Connection::open(scene.place.at("stride.db")).unwrap();
    let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: i64 = other.query_row(fold, [], |row| row.get(0)).unwrap();
    assert_eq!(is_busy, 0);
    let log = scene.place.at("stride.db-wal").metadata().unwrap();
    assert_eq!(log.len(), 0);
    drop(other);
    scene.gate.open();
    scene.expect_complete(running.end().expect(0));
}

#[test]
fn row_23_a_second_runner_takes_over_and_the_answers_of_the_first_are_not_lost() {
    let scene = Scene::new();
    let running = scene.begin();
    fs::remove_file(scene.place.at("stride.db.lock")).unwrap();
    // It holds the jobs in flight, because it cannot know that the first runner lives.
    let words = ["resume", "--in-doubt", "hold", "--max-calls", "5"];
    scene.place.stride(&words).expect(4);
    scene.gate.open();
    running
        .end()
        .expect(5)
        .says("another process has taken over this run");
    scene.expect_saved(3);
    let ran = scene.place.stride(&["resume", "--max-calls", "none"]);
    scene.expect_complete(ran.says("recorded 3 results"));
}

#[test]
fn row_34_a_database_that_stays_locked_is_reported_and_ends_the_run() {
    let scene = Scene::new();
    let running = scene.begin();
    let other = rusqlite::Connection::open(scene.place.at("stride.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    scene.gate.open();
    let ran = running.end().expect(6);
    ran.says("another program has held the lock on the database for ")
        .says("the database is busy")
        .says("3 results saved in");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    let ran = scene.place.stride(&["resume"]);
    scene.expect_complete(ran.says("recorded 3 results"));
}

/// Runs a command under a limit of `ulimit`.
fn limited(place: &Place, limit: &str, words: &[&str]) -> Ran {
    let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    let mut shell = place.command_under(&["/bin/sh", "-c", &script], words);
    place.begin_command(&mut shell).end()
}

/// Answers of 64 KiB.
fn large(place: &Place) -> (FakeApi, String, Vec<Vec<String>>) {
    let body = format!("\"{}\"", "x".repeat(64 << 10));
    let api = FakeApi::start(move |_| Reply::json(&body));
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(60);
    (api, url, bystander)
}

#[test]
fn row_35_a_limit_on_the_size_of_files_ends_the_run_and_no_answer_is_lost() {
    let place = Place::new();
    let (api, url, bystander) = large(&place);
    // In blocks of 512 bytes: 2 MiB.
    let ran = limited(&place, "-f 4096", &run(&url, &["-j", "4"])).expect(7);
    let done = place.status()["done"].as_u64().unwrap();
    assert!(done > 1 && done < 61, "{done}: {}", ran.stderr);
    place.stride(&["resume"]).expect(0).says("recorded ");
    assert_eq!(api.requests(), 61, "one call a file");
    counts(&place, &[("done", 61), ("in_doubt", 0)]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_35_too_few_descriptors_are_reported_before_anything_is_done() {
    let place = Place::new();
    place.texts(1);
    let ran = limited(&place, "-n 40", &run("http://127.0.0.1:9/", &["-j", "16"])).expect(2);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    assert!(!place.at("stride.db").exists());
}

/// A file system in memory of this many MiB, mounted for a test.
struct Disk(PathBuf);

impl Disk {
    /// Returns `None`, with a message, if this user may not mount one.
    fn mount(at: &Path, mebibytes: usize) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let disk = Self(at.to_owned());
        if disk.say(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"],
        ) {
            return Some(disk);
        }
        std::mem::forget(disk);
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("skipped: nothing can be mounted here");
        }
        None
    }

    fn say(&self, command: &str, words: &[&str]) -> bool {
        let mut command = Command::new(command);
        command
            .args(words)
            .arg(&self.0)
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Mounts a file over another, as containers do.
    fn bind(file: &Path, at: &Path) -> Option<Self> {
        let bound = Self(at.to_owned());
        if bound.say("mount", &["--bind", file.to_str().unwrap()]) {
            return Some(bound);
        }
        std::mem::forget(bound);
        None
    }

    fn grow(&self, mebibytes: usize) {
        assert!(self.say("mount", &["-o", &format!("remount,size={mebibytes}m")]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.say("umount", &["-l"]);
    }
}

#[test]
fn row_139_a_database_that_is_mounted_by_itself_is_refused() {
    let place = Place::new();
    let api = FakeApi::start(|_| Reply::json(1));
    let url = named(&api);
    place.texts(3);
    place.stride(&run(&url, &[])).expect(0);
    let log = place.at("stride.db-wal");
    fs::create_dir(place.at("inside")).unwrap();
    for (file, at) in [
        (place.at("stride.db"), place.at("inside/stride.db")),
        (place.at("texts/0000"), place.at("inside/stride.db-wal")),
    ] {
        fs::copy(place.at("stride.db"), place.at("inside/stride.db")).unwrap();
        fs::write(&at, []).unwrap();
        let Some(_bound) = Disk::bind(&file, &at) else {
            return;
        };
        let before = fs::read(&file).unwrap();
        let mounted = run(&url, &["--db", "inside/stride.db"]);
        let looks: [&[&str]; 4] = [
            &mounted,
            &["resume", "--db", "inside/stride.db"],
            &["status", "--db", "inside/stride.db"],
            &["export", "--db", "inside/stride.db"],
        ];
        for words in looks {
            let name = at.file_name().unwrap().to_str().unwrap();
            place
                .stride(words)
                .expect(6)
                .says(&format!("{name} is a mount of a single file"))
                .says("hint: mount the database's folder");
        }
        assert_eq!(fs::read(&file).unwrap(), before);
        assert!(!place.at("inside/stride.db.lock").exists());
    }
    assert!(!log.exists());
    assert_eq!(api.requests(), 3);
    // The folder may be a mount.
    fs::create_dir(place.at("other")).unwrap();
    fs::create_dir(place.at("whole")).unwrap();
    fs::rename(place.at("stride.db"), place.at("whole/stride.db")).unwrap();
    let _bound = Disk::bind(&place.at("whole"), &place.at("other")).unwrap();
    place
        .stride(&["status", "--db", "other/stride.db"])
        .expect(0);
    place
        .stride(&["resume", "--db", "other/stride.db"])
        .expect(0);
}

#[test]
fn row_15_a_disk_that_is_full_ends_the_run_and_no_answer_is_lost() {
    let place = Place::new();
    let Some(disk) = Disk::mount(&place.at("disk"), 3) else {
        return;
    };
    let body = format!("\"{}\"", "x".repeat(64 << 10));
    let api = FakeApi::start(move |_| Reply::json(&body));
    let url = named(&api);
    place.texts(60);
    let words = run(
        &url,
        &["-j", "4", "--db", "disk/stride.db", "--min-free", "none"],
    );
    let ran = place.stride(&words).expect(7);
    let ran = ran
        .says("the disk is full")
        .says("saved in")
        .says("hint: free disk space");
    let calls = api.requests();
    assert!(calls < 60, "{calls}: {}", ran.stderr);
    // Another command can read it meanwhile.
    place
        .stride(&["status", "--db", "disk/stride.db"])
        .expect(0);
    disk.grow(30);
    place
        .stride(&["resume", "--db", "disk/stride.db"])
        .expect(0)
        .says("recorded ");
    assert_eq!(api.requests(), 60, "one call a file");
    place
        .stride(&["verify", "--db", "disk/stride.db"])
        .expect(0);
}

#[test]
fn row_16_too_little_room_is_waited_out_without_a_call() {
    let place = Place::new();
    let Some(_disk) = Disk::mount(&place.at("disk"), 80) else {
        return;
    };
    place.write("disk/filler", vec![0; 40 << 20]);
    let api = FakeApi::start(|_| Reply::json(1));
    let url = named(&api);
    place.texts(5);
    let words = run(&url, &["--db", "disk/stride.db"]);
    let running = place.begin(&words);
    running.until_says("little disk space");
    assert_eq!(api.requests(), 0);
    fs::remove_file(place.at("disk/filler")).unwrap();
    running.end().expect(0).says("enough disk space again");
    assert_eq!(api.requests(), 5);
}

#[test]
fn row_16_too_little_room_for_too_long_ends_the_run() {
    let place = Place::new();
    let api = FakeApi::start(|_| Reply::json(1));
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(5);
    let words = run(&url, &["--min-free", "1000000GiB", "--max-outage", "500ms"]);
    let ran = place.stride(&words).expect(7);
    ran.says("there is no room for results")
        .says("hint: free disk space");
    assert_eq!(api.requests(), 1);
    counts(&place, &[("pending", 5), ("in_doubt", 0)]);
    assert_eq!(place.bystander(), bystander);
    place.stride(&["resume", "--min-free", "none"]).expect(0);
}

#[test]
fn row_24_a_database_that_can_only_be_read_is_read_and_not_run() {
    let place = Place::new();
    let api = FakeApi::start(|_| Reply::json(1));
    let url = named(&api);
    let folder = place.at("disk");
    let Some(disk) = Disk::mount(&folder, 10) else {
        return;
    };
    place.texts(3);
    place
        .stride(&run(
            &url,
            &["--db", "disk/stride.db", "--min-free", "none"],
        ))
        .expect(0);
    assert!(disk.say("mount", &["-o", "remount,ro"]));
    for words in [&["status"][..], &["export"], &["verify"], &["failures"]] {
        let words = [words, &["--db", "disk/stride.db"]].concat();
        place.stride(&words).expect(0);
    }
    place.write("texts/more", "more");
    let ran = place
        .stride(&run(&url, &["--db", "disk/stride.db"]))
        .expect(6);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    assert_eq!(api.requests(), 3);
}

#[test]
fn row_33_a_reader_that_never_ends_is_reported_and_the_run_continues() {
    let place = Place::new();
    let body = format!("\"{}\"", "x".repeat(12 << 20));
    // The service answers the last file after the warning about the WAL.
    let told = Gate::default();
    let gate = told.clone();
    let api = FakeApi::start(move |request| match request.target.ends_with("0029") {
        true => Reply::json(&body).when(&gate),
        false => Reply::json(&body),
    });
    let url = named(&api);
    let api = (api, place.with_bystander(&url));
    place.texts(30);
    let reader = rusqlite::Connection::open(place.at("stride.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM job")
        .unwrap();
    let total = |reader: &rusqlite::Connection| -> i64 {
        reader
            .query_row("SELECT count(*) FROM job", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(total(&reader), 1);
    let running = place.begin(&run(&url, &["-j", "2"]));
    running.until_says("the WAL beside the database has");
    told.open();
    running.end().expect(0);
    assert_eq!(total(&reader), 1, "its snapshot");
    reader.execute_batch("ROLLBACK").unwrap();
    assert_eq!(total(&reader), 31);
    assert_eq!(place.bystander(), api.1);
}

#[test]
fn row_36_a_slow_disk_makes_a_run_slow_and_nothing_else() {
    let place = Place::new();
    let api = FakeApi::start(|_| Reply::json(1));
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    place.texts(8);
    let delay = "inject=fsync,fdatasync:delay_enter=100000";
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null"];
    let trace = ["-e", "trace=fsync,fdatasync", "-e", delay];
    if Command::new(strace[0]).arg("-V").output().is_err() {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("skipped: strace is missing, which makes a disk slow");
        }
        return;
    }
    let starter = [&strace[..], &trace].concat();
    let words = run(&url, &["-j", "2"]);
    let ran = place.begin_command(&mut place.command_under(&starter, &words));
    ran.end().expect(0);
    assert_eq!(api.requests(), 9);
    counts(&place, &[("done", 9), ("in_doubt", 0), ("attempts", 9)]);
    assert_eq!(place.bystander(), bystander);
}
