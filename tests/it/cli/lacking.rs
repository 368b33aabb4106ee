//! Missing permissions, threads and folders: each is named, with a way out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Place, Ran, listed};
use crate::support::{FakeApi, Reply};

/// Runs a command as a user without the superuser's access to all files.
fn as_user(place: &Place, words: &[&str]) -> Ran {
    let lesser = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let starter = match rustix::process::geteuid().is_root() {
        true => &lesser[..],
        false => &[],
    };
    place
        .begin_command(&mut place.command_under(starter, words))
        .end()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn api() -> FakeApi {
    FakeApi::start(|_| Reply::json(1))
}

#[test]
fn a_database_without_permission_names_its_owner_and_mode() {
    let (api, place) = (api(), Place::new());
    let bystander = place.with_bystander(&api.url());
    let url = api.url();
    let database = place.at("stride.db");
    let reads: [&[&str]; 4] = [&["status"], &["failures"], &["export"], &["verify"]];
    let writes: [&[&str]; 3] = [
        &["resume"],
        &["set", "--rate", "5/s"],
        &["run", "--url", &url, "bystander.txt"],
    ];
    for (mode, commands) in [
        (0o000, [&reads[..], &writes[..]].concat()),
        (0o400, writes.to_vec()),
    ] {
        set_mode(&database, mode);
        for words in commands {
            let ran = as_user(&place, words)
                .expect(6)
                .says("error: cannot use ")
                .says("caused by: Permission denied")
                .says(&format!(
                    "stride.db belongs to user {}",
                    rustix::process::geteuid().as_raw()
                ))
                .says(&format!("and has mode {mode:04o}"))
                .says("hint: allow it: chmod u+rw ");
            assert!(!ran.stderr.contains("Error code"), "{}", ran.stderr);
        }
    }
    set_mode(&database, 0o600);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_folder_without_permission_is_named() {
    let (api, place) = (api(), Place::new());
    let bystander = place.with_bystander(&api.url());
    fs::create_dir(place.at("closed")).unwrap();
    fs::copy(place.at("stride.db"), place.at("closed/stride.db")).unwrap();
    set_mode(&place.at("closed"), 0o000);
    for words in [&["status"][..], &["resume"]] {
        as_user(&place, &[words, &["--db", "closed/stride.db"]].concat())
            .expect(6)
            .says("note: this user may not enter the folder ")
            .says("hint: ask the owner of the folder, or let all users enter: sudo chmod a+x ");
    }
    // It may be read, and nothing may be written into it.
    set_mode(&place.at("closed"), 0o500);
    as_user(&place, &["status", "--db", "closed/stride.db"]).expect(0);
    for db in ["closed/stride.db", "closed/new.db"] {
        as_user(
            &place,
            &["run", "--url", &api.url(), "--db", db, "bystander.txt"],
        )
        .expect(6)
        .says("closed belongs to user ")
        .says("hint: use --db FILE in a folder in which this user may write");
    }
    assert_eq!(listed(&place.at("closed")), ["stride.db"]);
    assert_eq!(place.bystander(), bystander);
}

#[test]
fn a_removed_current_folder_is_named() {
    let place = Place::new();
    let url = "http://127.0.0.1:9/";
    place.write("a", "a");
    let (file, db) = (place.at("a"), place.at("x.db"));
    let (file, db) = (file.to_str().unwrap(), db.to_str().unwrap());
    for (words, code) in [
        (&["status"][..], 6),
        (&["run", "--url", url, file], 6),
        (&["run", "--url", url, file, "--db", db], 1),
        (&["try", "--url", url, file], 6),
        (&["demo"], 6),
    ] {
        let folder = place.at("gone");
        fs::create_dir(&folder).unwrap();
        let quoted = words.join("' '");
        let script = format!(
            "cd gone && rmdir ../gone && exec '{}' '{quoted}'",
            env!("CARGO_BIN_EXE_stride")
        );
        let ran = place.begin_command(&mut shell(&place, &script)).end();
        ran.expect(code)
            .says("error: the current folder does not exist any more")
            .says("hint: cd to a folder that exists");
    }
    // The run of an absolute path needs no folder.
    let api = api();
    place
        .stride(&["run", "--url", &api.url(), "--db", db, "a"])
        .expect(0);
    fs::create_dir(place.at("gone")).unwrap();
    let script = format!(
        "cd gone && rmdir ../gone && exec '{}' resume --db '{db}'",
        env!("CARGO_BIN_EXE_stride")
    );
    place
        .begin_command(&mut shell(&place, &script))
        .end()
        .expect(0);
}

fn shell(place: &Place, script: &str) -> std::process::Command {
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", script]).current_dir(place.at(""));
    shell
}

#[test]
fn a_thread_that_cannot_be_started_is_named_and_nothing_is_called() {
    // The limit counts all processes of a user, so this needs a user of its own, which only the superuser can become.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (api, place) = (api(), Place::new());
    let bystander = place.with_bystander(&api.url());
    place.texts(3);
    let url = api.url();
    set_mode(&place.at(""), 0o777);
    let db = place.at("other.db");
    let db = db.to_str().unwrap();
    let mut refused = 0;
    for limit in 1..4 {
        let script = format!(
            "ulimit -u {limit}; exec '{}' run -j 50 --url {url} --db {db} --events events texts",
            env!("CARGO_BIN_EXE_stride")
        );
        let user = [
            "--reuid=61234",
            "--regid=61234",
            "--clear-groups",
            "bash",
            "-c",
            &script,
        ];
        let mut command = std::process::Command::new("setpriv");
        command.args(user).current_dir(place.at(""));
        let ran = place.begin_command(&mut command).end();
        if ran.stderr.contains("Permission denied") {
            // The folder of the build is closed to other users.
            return;
        }
        refused += usize::from(ran.code == Some(1));
        ran.expect(1)
            .says("error: cannot start a thread")
            .says("caused by: Resource temporarily unavailable")
            .says("`ulimit -u` shows it");
    }
    assert_eq!((refused, api.requests()), (3, 1));
    assert_eq!(place.bystander(), bystander);
}
