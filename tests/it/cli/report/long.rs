//! A page about a run with the longest texts and lists.

use rusqlite::params;

use super::browser::looked_at;
use super::page::check_whole;
use super::{Place, page_of};
use crate::support::{FakeApi, Reply};

/// A run of `jobs` files, written as if five hundred runners had worked on it in as many days, with long texts
/// everywhere.
fn long_run(place: &Place, jobs: u32) {
    let api = FakeApi::start(|_| Reply::json("1"));
    let value = format!("X-A: {}", "\"'<&>".repeat(100));
    let mut words = vec!["run", "--url", "", "bystander.txt"];
    let url = format!("{}/{}", api.url(), "'".repeat(1_000));
    words[2] = &url;
    words.extend((0..100).flat_map(|_| ["-H", &value]));
    place.write("bystander.txt", "bystander");
    place.stride(&words).expect(0);
    let mut connection = rusqlite::Connection::open(place.at("stride.db")).unwrap();
    let begin = 1_700_000_000_000_i64;
    let day = 86_400_000;
    let transaction = connection.transaction().unwrap();
    let host = "\"".repeat(1_000);
    transaction
        .execute(
            "UPDATE runner SET started = ?1, ended = ?1 + 60000, host = ?2",
            params![begin, host],
        )
        .unwrap();
    for runner in 2..=500_i64 {
        let began = begin + runner * day;
        let ending = ["finished", "stopped", "halted", "died"][runner as usize % 4];
        transaction
            .execute(
                "INSERT INTO runner VALUES (?1, 1, ?2, 8, ?3, ?3 + 100000, ?4, NULL, NULL, NULL, NULL, 1)",
                params![runner, host, began, ending],
            )
            .unwrap();
    }
    {
        let mut job = transaction
            .prepare("INSERT INTO job (id, path) VALUES (?1 - 1, ?2)")
            .unwrap();
        let mut work = transaction
            .prepare("INSERT INTO work (job, state, attempts) VALUES (?1 - 1, ?2, ?3)")
            .unwrap();
        let mut attempt = transaction
            .prepare(
                "INSERT INTO attempt (job, number, runner, chunk, key, started, ended, took, outcome, class, kind, status, message, body)
                 VALUES (?1 - 1, ?2, ?3, ?4, zeroblob(16), ?5, ?5 + ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )
            .unwrap();
        let long = "\"".repeat(2_000);
        for i in 2..=jobs {
            let fails = i % 50 == 0;
            let runner = 1 + i64::from(i) * 499 / i64::from(jobs);
            let started = begin + runner * day + i64::from(i % 90_000);
            let tries = if i % 7 == 0 { 2 } else { 1 };
            let name = if fails {
                format!("{i}{long}{i}")
            } else {
                format!("{i}<")
            };
            job.execute(params![i, name]).unwrap();
            work.execute(params![i, if fails { 3 } else { 2 }, tries])
                .unwrap();
            for number in 1..=tries {
                let (outcome, class) = match (number < tries, fails) {
                    (true, _) => ("throttled", Some("throttled")),
                    (_, true) => ("failed", Some("rejected")),
                    _ => ("succeeded", None),
                };
                let text = class.map(|_| long.as_str());
                // Those that fail are the slowest, too.
                let took = if fails { 100_000 + i } else { 50 + i % 1_000 };
                let status = 400 + i / 50 % 90;
                attempt
                    .execute(params![
                        i,
                        number,
                        runner,
                        i % 5_000,
                        started,
                        took,
                        outcome,
                        class,
                        text,
                        status,
                        text,
                        text.map(str::as_bytes)
                    ])
                    .unwrap();
            }
        }
    }
    let failed = jobs / 50;
    let counts = params![jobs - failed, failed, jobs + jobs / 7];
    transaction
        .execute(
            "UPDATE counts SET done = ?1, failed = ?2, attempts = ?3",
            counts,
        )
        .unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_page_about_a_long_run_is_no_longer_than_others() {
    let place = Place::new();
    long_run(&place, 100_000);
    let before = place.bystander();
    let html = page_of(&place);
    check_whole(&html);
    looked_at(&place, &html);
    for said in [
        "<strong>98,000</strong> of 100,000 files done",
        "These are the 64 slowest of 5,000, by p90.",
        "And 1,900 more",
        "500 sessions",
        "And 70 other causes",
        "And 64 more lines.",
    ] {
        assert!(html.contains(said), "{said} is not in the page");
    }
    let (_, pauses) = html.split_once("class=\"pause\" d=\"").unwrap();
    let (pauses, _) = pauses.split_once('"').unwrap();
    let pauses = pauses.matches('M').count();
    assert!((100..300).contains(&pauses), "{pauses}");
    assert_eq!(place.bystander(), before);
}
