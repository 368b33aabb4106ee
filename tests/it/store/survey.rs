//! The history of a whole run.

use stride::event::Ending;
use stride::job::Class;
use stride::store::{AttemptOutcome, AttemptSummary};

use crate::support::{
    BYSTANDER, Fixture, attempt, claim, failed, in_doubt, succeeded, throttled, unreachable,
};

fn attempts(fixture: &Fixture) -> Vec<AttemptSummary> {
    let mut found = Vec::new();
    fixture
        .reader()
        .attempts(&mut |tried| found.push(tried))
        .unwrap();
    found
}

#[test]
fn every_attempt_is_listed_with_its_outcome() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    let [a, b] = ["a", "b"].map(|name| fixture.id(name));
    attempt(&mut store, b, in_doubt());
    attempt(&mut store, a, throttled(None));
    attempt(&mut store, a, unreachable());
    attempt(&mut store, a, failed(Class::Rejected, Some(422), "no"));
    attempt(&mut store, b, succeeded("1"));
    store.finish(&Ending::Finished).unwrap();
    let found: Vec<_> = attempts(&fixture)
        .into_iter()
        .filter(|tried| tried.job == a || tried.job == b)
        .map(|tried| (tried.job, tried.number, tried.outcome.unwrap(), tried.took))
        .collect();
    assert_eq!(
        found,
        [
            (a, 1, AttemptOutcome::Throttled, 7),
            (a, 2, AttemptOutcome::NotSent, 7),
            (a, 3, AttemptOutcome::Failed, 7),
            (b, 1, AttemptOutcome::InDoubt, 7),
            (b, 2, AttemptOutcome::Succeeded, 7),
        ]
    );
    let names = fixture.reader().names(&[b, a]).unwrap();
    assert_eq!(names, ["b".into(), "a".into()]);
}

#[test]
fn a_runner_that_died_was_last_seen_at_its_last_attempt_and_not_when_it_was_found() {
    let fixture = Fixture::new(&["a", "b"]);
    let mut store = fixture.start();
    attempt(&mut store, fixture.id("a"), succeeded("1"));
    claim(&mut store, fixture.id("b"));
    assert_eq!(attempts(&fixture)[1].outcome, None);
    drop(store);
    // Long ago, so that the moments differ.
    let runners = "UPDATE runner SET started = 1000 WHERE id = 2";
    let attempts_before =
        "UPDATE attempt SET started = 5000, ended = 5007 WHERE runner = 2 AND outcome IS NOT NULL";
    let in_flight = "UPDATE attempt SET started = 4000 WHERE outcome IS NULL";
    for sql in [runners, attempts_before, in_flight] {
        fixture.sql().execute(sql, []).unwrap();
    }
    assert_eq!(fixture.reader().last_seen().unwrap(), [(2, 5007)].into());
    let mut store = fixture.start();
    let runners = fixture.reader().runners().unwrap();
    let (found, ending) = runners[1].ended.clone().unwrap();
    assert_eq!((runners[1].started, ending.as_str()), (1000, "died"));
    assert!(found > 1_000_000, "it is noted when it was found");
    let doubt = attempts(&fixture);
    let doubt = doubt
        .iter()
        .find(|tried| tried.outcome == Some(AttemptOutcome::InDoubt));
    assert_eq!(doubt.unwrap().ended(), 4000);
    // The present runner did not crash. It has no recorded end and no attempt either.
    assert_eq!(fixture.reader().last_seen().unwrap(), [(2, 5007)].into());
    store.finish(&Ending::Stopped).unwrap();
    let runners = fixture.reader().runners().unwrap();
    let endings = runners
        .iter()
        .map(|runner| runner.ended.as_ref().unwrap().1.as_str());
    assert_eq!(endings.collect::<Vec<_>>(), ["finished", "died", "stopped"]);
    assert!(fixture.record(BYSTANDER).result.is_some());
}
