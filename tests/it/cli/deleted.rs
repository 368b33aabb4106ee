//! Deleting a run, and names that it does not have.

use std::fs;

use super::{Place, listed};
use crate::support::{FakeApi, Reply};

#[test]
fn a_new_run_does_not_begin_beside_the_log_of_a_deleted_one() {
    let api = FakeApi::start(|_| Reply::json("1"));
    let place = Place::new();
    let url = api.url();
    place.with_bystander(&url);
    place.texts(40);
    let run = ["run", "-j2", "--url", &url, "texts"];
    let running = place.begin(&run);
    api.wait_for(20);
    running.kill();
    fs::create_dir(place.at("moved")).unwrap();
    fs::rename(place.at("stride.db"), place.at("moved/stride.db")).unwrap();
    fs::remove_file(place.at("stride.db.lock")).unwrap();
    let before = listed(&place.at(""));
    // The service may still read a request of the process that was killed.
    let anew = format!("{url}/anew");
    let refused = place
        .stride(&["run", "-j2", "--url", &anew, "texts"])
        .expect(6)
        .says("stride.db-wal is left of a deleted or moved database")
        .says("if the database was moved, move ")
        .says("rm stride.db-wal stride.db-shm\n");
    assert_eq!(listed(&place.at("")), before);
    assert!(
        !api.log()
            .iter()
            .any(|call| call.target.starts_with("/anew"))
    );
    // A link to the database changes nothing.
    std::os::unix::fs::symlink("stride.db", place.at("link.db")).unwrap();
    let linked = [&run[..], &["--db", "link.db"]].concat();
    assert_ne!(place.stride(&linked).code, Some(0));
    assert!(!place.at("stride.db").exists(), "{}", refused.stderr);
    // Where its log is, the moved run is whole.
    for end in ["-wal", "-shm"] {
        let name = format!("stride.db{end}");
        fs::rename(place.at(&name), place.at(format!("moved/{name}"))).unwrap();
    }
    place
        .stride(&["status", "--db", "moved/stride.db"])
        .expect(0)
        .says("");
    place.stride(&run).expect(0).says("40 of 40 files done");
}

#[test]
fn a_run_is_deleted_with_all_its_files() {
    let api = FakeApi::start(|_| Reply::json("1"));
    let place = Place::new();
    let url = api.url();
    let bystander = place.with_bystander(&url);
    for words in [["rm", "stride.db"], ["delete", "./stride.db"]] {
        place
            .stride(&words)
            .expect(2)
            .says("stride.db is the database of a run, not one of its files")
            .says("to delete the database and the answers in it: rm stride.db stride.db.lock\n");
    }
    place
        .stride(&["rm", "--db", "other.db", "stride.db"])
        .expect(2)
        .says("rm stride.db stride.db.lock\n");
    for words in [
        &["delete"][..],
        &["rm"],
        &["purge"],
        &["clean"],
        &["run", "--fresh"],
    ] {
        place
            .stride(words)
            .expect(2)
            .says("rm -f FILE FILE-wal FILE-shm FILE.lock");
    }
    assert_eq!(place.bystander(), bystander);
    place
        .stride(&["forget", "bystander.txt"])
        .expect(0)
        .says("rm stride.db stride.db.lock   deletes the database and the answers in it");
}

#[test]
fn a_wrong_name_is_answered_with_the_right_one() {
    let api = FakeApi::start(|_| Reply::json("1"));
    let place = Place::new();
    let url = api.url();
    let bystander = place.with_bystander(&url);
    for name in [
        "texts/34.txt",
        "texts/typo-a",
        "texts/typo-b",
        "in/a/x",
        "in/b/x",
    ] {
        place.write(name, name);
    }
    place
        .stride(&["run", "--url", &url, "texts", "in", "bystander.txt"])
        .expect(0);
    for (names, said, hint) in [
        (
            &["34.txt"][..],
            "the run has no file 34.txt\n",
            "use texts/34.txt\n",
        ),
        (
            &["text/34.txt"],
            "the run has no file text/34.txt\n",
            "use texts/34.txt\n",
        ),
        (
            &["texts/bystander.txt"],
            "the run has no file",
            "use bystander.txt\n",
        ),
        (
            &["texts/typ-a"],
            "the run has no file",
            "use texts/typo-a\n",
        ),
        // Another number is another file.
        (&["texts/35.txt"], "the run has no file", "'name~*35.txt*'"),
        (&["x"], "the run has no file x\n", "'name~*x*'"),
        (
            &["34.txt", "tx/typo-a"],
            "the run does not have 2 files: 34.txt, tx/typo-a",
            "use texts/34.txt texts/typo-a\n",
        ),
        (
            &["tx/typo*"],
            "the run has no file tx/typo*\n",
            "use --where 'name~tx/typo*'\n",
        ),
        (
            &["texts/"],
            "the run has no file",
            "use --where 'name~texts/*'\n",
        ),
    ] {
        let words = [&["forget"], names].concat();
        place
            .stride(&words)
            .expect(2)
            .says(said)
            .says("nothing was changed")
            .says(hint);
    }
    place
        .stride(&["retry", "--done", "34.txt"])
        .expect(2)
        .says("use texts/34.txt\n");
    place
        .stride(&["retry", "--done", "texts/typo*"])
        .expect(2)
        .says("export --all");
    place
        .stride(&["forget", "--where", "name~texts/typo*"])
        .expect(0)
        .says("forgot 2 files");
    assert_eq!(place.bystander(), bystander);
}
