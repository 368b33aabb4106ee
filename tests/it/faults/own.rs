//! The files that belong to a run beside its database: stride does not follow links in their place, and loses nothing
//! silently.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::storage::Scene;
use super::{named, place, run};
use crate::support::{FakeApi, Reply};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn row_130_a_lock_file_that_is_a_link_or_a_pipe_is_refused_by_name() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(2);
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    let lock = place.at("stride.db.lock");
    place.write("precious", "");
    for target in ["precious", "missing"] {
        fs::remove_file(&lock).unwrap();
        symlink(target, &lock).unwrap();
        for words in [&run(&url, &[])[..], &["resume"], &["retry"]] {
            place
                .stride(words)
                .expect(6)
                .says("stride.db.lock")
                .says("it is a symbolic link");
        }
        place.stride(&["status"]).expect(0);
        assert_eq!(fs::read(place.at("precious")).unwrap(), b"");
        assert!(!place.at("missing").exists());
        assert!(lock.is_symlink());
    }
    fs::remove_file(&lock).unwrap();
    let made = Command::new("mkfifo").arg(&lock).status().unwrap();
    assert!(made.success());
    // Neither command waits for the other end.
    place.stride(&["status"]).expect(0);
    place.stride(&["resume"]).expect(6).says("it is not a file");
    fs::remove_file(&lock).unwrap();
    assert_eq!(api.requests(), 1);
    place.stride(&run(&url, &[])).expect(0);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn row_130_rescue_files_of_a_run_are_refused_as_targets() {
    let scene = Scene::saved();
    let place = &scene.place;
    let rescued = scene.rescued().remove(0);
    let beside = place.at(rescued.file_name().unwrap());
    fs::copy(&rescued, &beside).unwrap();
    place.write(".stride.db.new", "half a run");
    symlink(".stride.db.new", place.at("link")).unwrap();
    let targets = [
        rescued.clone(),
        beside.clone(),
        place.at(".stride.db.new"),
        place.at("link"),
    ];
    for target in &targets {
        let before = fs::read(target).unwrap();
        let path = target.to_str().unwrap();
        let mut commands = vec![vec!["report", "-o", path]];
        for format in ["json", "csv", "parquet", "dir"] {
            commands.push(vec!["export", "--partial", "--format", format, "-o", path]);
        }
        for words in commands {
            place
                .stride(&words)
                .expect(2)
                .says("belongs to the run's database");
        }
        assert_eq!(fs::read(target).unwrap(), before, "{path}");
    }
    // A file with a similar name is like any other file.
    for name in ["stride.db.bak", "x.rescue-a.db"] {
        let words = ["export", "--partial", "--format", "json", "-o", name];
        place.stride(&words).expect(0);
    }
    fs::remove_file(beside).unwrap();
    let ran = place.stride(&["resume"]);
    scene.expect_complete(ran);
}

#[test]
fn row_131_saved_answers_that_cannot_be_imported_are_reported_without_a_call() {
    let scene = Scene::saved();
    let place = &scene.place;
    let rescued = scene.rescued().remove(0);
    let path = rescued.to_str().unwrap().to_owned();
    let whole = fs::read(&rescued).unwrap();
    let calls = scene.api.requests();
    let refused = |reason: &str| {
        for words in [&["resume"][..], &["retry"]] {
            place
                .stride(words)
                .expect(6)
                .says("cannot be recorded")
                .says(&path)
                .says(reason)
                .says("--ignore-rescue");
        }
        let status = String::from_utf8(place.stride(&["status"]).expect(0).stdout).unwrap();
        assert!(
            status.contains(&path) && status.contains(reason),
            "{status}"
        );
        assert_eq!(scene.api.requests(), calls);
        assert!(Path::new(&path).exists());
    };
    chmod(&rescued, 0o620);
    refused("other users may write to it");
    chmod(&rescued, 0o600);
    let moved = place.at("moved");
    fs::rename(&rescued, &moved).unwrap();
    symlink(&moved, &rescued).unwrap();
    refused("it is a symbolic link");
    fs::remove_file(&rescued).unwrap();
    fs::rename(&moved, &rescued).unwrap();
    let alter = |sql: &str| {
        let file = rusqlite::Connection::open(&rescued).unwrap();
        file.execute_batch(sql).unwrap();
    };
    alter("PRAGMA user_version = 1000");
    refused("another version of stride wrote it");
    fs::write(&rescued, &whole).unwrap();
    alter("PRAGMA application_id = 1");
    refused("it is not a rescue file");
    fs::write(&rescued, &whole[..whole.len() / 2]).unwrap();
    refused("it cannot be read: database disk image is malformed");
    fs::write(&rescued, "text").unwrap();
    refused("it is not a rescue file");
    fs::write(&rescued, &whole).unwrap();
    let ran = place.stride(&["resume"]);
    scene.expect_complete(ran.says("recorded 3 results"));
}

/// The user can accept the loss and continue without them.
#[test]
fn row_131_saved_answers_are_left_on_request() {
    let scene = Scene::saved();
    let rescued = scene.rescued().remove(0);
    chmod(&rescued, 0o620);
    let whole = fs::read(&rescued).unwrap();
    scene
        .place
        .stride(&["resume", "--ignore-rescue"])
        .expect(0)
        .says("warning: saved results are not recorded")
        .says(rescued.to_str().unwrap());
    assert_eq!(fs::read(&rescued).unwrap(), whole);
    assert_eq!(scene.api.requests(), 7 + 3);
}

/// A folder that stride cannot read may have answers of the run, unless its last runner has noted its end.
#[test]
fn row_131_an_unreadable_state_folder_is_reported() {
    let scene = Scene::saved();
    let folder = scene.place.at(".home/.local/state/stride/rescue");
    let calls = scene.api.requests();
    chmod(&folder, 0);
    if fs::read_dir(&folder).is_ok() {
        // Permissions do not bind root, so root gets a loop of links instead.
        fs::rename(&folder, scene.place.at("kept")).unwrap();
        symlink("rescue", &folder).unwrap();
    }
    scene
        .place
        .stride(&["resume"])
        .expect(6)
        .says("cannot be recorded")
        .says(folder.to_str().unwrap())
        .says("--ignore-rescue");
    assert_eq!(scene.api.requests(), calls);
    if folder.is_symlink() {
        fs::remove_file(&folder).unwrap();
        fs::rename(scene.place.at("kept"), &folder).unwrap();
    }
    chmod(&folder, 0o700);
    let ran = scene.place.stride(&["resume"]);
    scene.expect_complete(ran.says("recorded 3 results"));
}

#[test]
fn row_142_a_run_does_not_write_to_a_file_of_its_list() {
    let api = FakeApi::start(|_| Reply::json(1));
    let place = place(3);
    let url = named(&api);
    let bystander = place.with_bystander(&url);
    let names = ["texts/0000", "texts/0001", "texts/0002"];
    let before: Vec<_> = names.map(|name| fs::read(place.at(name)).unwrap()).into();
    symlink("texts", place.at("linked")).unwrap();
    let refuses = |words: &[&str], reason: &str| {
        let calls = api.requests();
        place.stride(words).expect(2).says(reason);
        let now = names.map(|name| fs::read(place.at(name)).unwrap());
        assert_eq!((now.to_vec(), api.requests()), (before.clone(), calls));
    };
    let events = run(&url, &["--events", "texts/0001"]);
    refuses(&events, "it has other content");
    place.stride(&run(&url, &["--events", "events"])).expect(0);
    let listed = "is a file of the list";
    for path in ["texts/0000", "./texts/../texts/0000", "linked/0000"] {
        refuses(&["export", "--all", "-o", path], listed);
        refuses(&["report", "-o", path], listed);
        refuses(&["resume", "--events", path], "it has other content");
    }
    // stride replaces its own export and report, and appends to its own events.
    for _ in 0..2 {
        place
            .stride(&["export", "--all", "-o", "export.json"])
            .expect(0);
        place.stride(&["report", "-o", "report.html"]).expect(0);
        place.stride(&["resume", "--events", "events"]).expect(0);
    }
    assert_eq!(place.bystander(), bystander);
}
