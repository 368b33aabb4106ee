//! A test of the oracle: each of its rules can fail alone.

use std::collections::BTreeSet;

use crate::oracle::{Attempt, Broken, Call, Disk, Event, Evidence, Job, Stored, What, judge};

/// Checks the oracle. Returns the number of lies, and those that it did not detect.
pub(crate) fn check() -> (usize, Vec<String>) {
    let mut missed = Vec::new();
    let truth = judge(&truth());
    if !truth.is_empty() {
        missed.push(format!("nothing is wrong, and the oracle says {truth:?}"));
    }
    let lies = lies();
    for (rule, what, lie) in &lies {
        let mut evidence = self::truth();
        lie(&mut evidence);
        let broken = judge(&evidence);
        if !broken.iter().any(|broken: &Broken| broken.rule == *rule) {
            missed.push(format!("rule {rule} did not see that {what}: {broken:?}"));
        }
    }
    for rule in 1..=9 {
        if !lies.iter().any(|(other, ..)| *other == rule) {
            missed.push(format!("rule {rule} was told no lie"));
        }
    }
    let mut void = self::truth();
    void.events
        .extend([claimed(70, "b", 9), settled(71, "b", 9)]);
    void.void.push((70, 80));
    let broken = judge(&void);
    if !broken.is_empty() {
        missed.push(format!("what is void was believed: {broken:?}"));
    }
    (lies.len(), missed)
}

type Lie = Box<dyn Fn(&mut Evidence)>;

/// A rule, the finding that it must report, and the change of the evidence.
fn lies() -> Vec<(u8, &'static str, Lie)> {
    fn lie(
        rule: u8,
        what: &'static str,
        bend: impl Fn(&mut Evidence) + 'static,
    ) -> (u8, &'static str, Lie) {
        (rule, what, Box::new(bend))
    }
    vec![
        lie(1, "a page is damaged", |it| {
            disk(it).complaints.push("row 1 missing".to_owned());
        }),
        lie(1, "verify complains", |it| {
            it.unsound = Some("no".to_owned());
        }),
        lie(2, "a result is lost", |it| {
            disk(it).results.remove(0);
        }),
        lie(2, "a result was changed", |it| {
            disk(it).results[0].sha256 = "0".to_owned();
        }),
        lie(2, "an outcome is lost", |it| {
            disk(it).attempts[0].outcome = None;
        }),
        lie(2, "a result was recorded twice", |it| {
            let again = it.events[1].clone();
            it.events.push(again);
        }),
        lie(2, "the database is gone", |it| it.disk = None),
        lie(3, "a claim is lost", |it| {
            it.events.push(claimed(9, "b", 3));
        }),
        lie(3, "a claim has another key", |it| {
            it.events[0].key = "k?".to_owned();
        }),
        lie(4, "a call has no attempt", |it| {
            it.calls.push(call("b", "k?", "n9"));
        }),
        lie(4, "a fresh key came twice", |it| {
            it.calls.push(call("a", "ka1", "n9"));
        }),
        lie(4, "a key came again after an answer", |it| {
            disk(it).attempts[1].outcome = Some("failed".to_owned());
        }),
        lie(4, "a call was not sent, they say", |it| {
            disk(it).attempts[1].outcome = Some("interrupted".to_owned());
        }),
        lie(5, "a nonce is invented", |it| {
            disk(it).results[0].says = Some(("a".to_owned(), "n?".to_owned()));
        }),
        lie(5, "a result is another file's", |it| {
            disk(it).results[0].says = Some(("b".to_owned(), "n3".to_owned()));
        }),
        lie(5, "a result is no answer", |it| {
            disk(it).results[0].says = None;
        }),
        lie(5, "a result belongs to another attempt's key", |it| {
            it.calls[0].key = "kb1".to_owned();
        }),
        lie(6, "a call has no reason", |it| {
            for nonce in ["n7", "n8"] {
                it.calls.push(call("a", "ka1", nonce));
            }
        }),
        lie(7, "there is more doubt than crashes", |it| it.crashes = 0),
        lie(7, "one runner left more than it has threads", |it| {
            it.crashes = 9;
            let doubt = (2..5).map(|number| attempt("a", number, 1, "in_doubt"));
            disk(it).attempts.extend(doubt);
        }),
        lie(8, "a done job has no result", |it| {
            disk(it).jobs[2].done = true;
        }),
        lie(8, "a result is of a job that is not done", |it| {
            disk(it).jobs[0].done = false;
        }),
        lie(9, "the last run failed", |it| it.finished = Some(Some(3))),
        lie(9, "the last run was killed", |it| it.finished = Some(None)),
        lie(9, "a file is not done", |it| it.finished = Some(Some(0))),
    ]
}

fn disk(evidence: &mut Evidence) -> &mut Disk {
    evidence.disk.get_or_insert_default()
}

/// One file that was done at once, one that was cut off and done by a second runner, and one that is pending.
fn truth() -> Evidence {
    Evidence {
        names: BTreeSet::from(["a", "b", "c"].map(str::to_owned)),
        threads: 2,
        crashes: 1,
        deaths: 0,
        last_crash: 4,
        events: vec![
            claimed(1, "a", 1),
            settled(2, "a", 1),
            claimed(3, "b", 1),
            claimed(5, "b", 2),
            settled(6, "b", 2),
        ],
        void: Vec::new(),
        calls: vec![
            call("a", "ka1", "n1"),
            call("b", "kb1", "n2"),
            call("b", "kb1", "n3"),
        ],
        disk: Some(Disk {
            complaints: Vec::new(),
            jobs: [("a", true), ("b", true), ("c", false)]
                .map(|(name, done)| Job {
                    name: name.to_owned(),
                    done,
                })
                .into(),
            attempts: vec![
                attempt("a", 1, 1, "succeeded"),
                attempt("b", 1, 1, "in_doubt"),
                attempt("b", 2, 2, "succeeded"),
            ],
            results: vec![stored("a", 1, "n1"), stored("b", 2, "n3")],
        }),
        unsound: None,
        finished: None,
    }
}

fn claimed(t: i64, name: &str, number: i64) -> Event {
    event(t, name, number, What::Claimed)
}

fn settled(t: i64, name: &str, number: i64) -> Event {
    let what = What::Settled {
        outcome: "succeeded".to_owned(),
        sha256: Some(format!("sum of {name}")),
    };
    event(t, name, number, what)
}

fn event(t: i64, name: &str, number: i64, what: What) -> Event {
    Event {
        t,
        name: name.to_owned(),
        number,
        key: format!("k{name}1"),
        what,
    }
}

fn call(name: &str, key: &str, nonce: &str) -> Call {
    let [name, key, nonce] = [name, key, nonce].map(str::to_owned);
    Call { name, key, nonce }
}

fn attempt(name: &str, number: i64, runner: i64, outcome: &str) -> Attempt {
    Attempt {
        name: name.to_owned(),
        number,
        runner,
        key: format!("k{name}1"),
        outcome: Some(outcome.to_owned()),
    }
}

fn stored(name: &str, attempt: i64, nonce: &str) -> Stored {
    Stored {
        name: name.to_owned(),
        attempt,
        sha256: format!("sum of {name}"),
        says: Some((name.to_owned(), nonce.to_owned())),
    }
}
