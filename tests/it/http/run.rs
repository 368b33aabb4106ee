//! The engine and the HTTP caller together, against a service with every fault.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use stride::caller::{HttpPlan, Network, PlanContext, Reference, SlotCaller};
use stride::engine::{self, Stop};
use stride::job::FileName;
use stride::settings::{Request, Settings};

use crate::support::{BYSTANDER, FakeApi, Fixture, Reply, within_limit};

/// Every received call was recorded before, under the same key; every complete answer is kept; and no job is called
/// again without a recorded reason.
#[test]
fn every_call_is_traced_and_every_answer_is_kept() {
    const JOBS: usize = 60;
    let fixture = Fixture::numbered(JOBS);
    let api = FakeApi::start(|request| {
        let job: usize = request.target[1..].parse().unwrap();
        match (job % 6, request.attempt) {
            (1, 0) => Reply::close(),
            (2, 0) => Reply::status(500),
            (3, 0) => Reply::status(429).header("retry-after", "0"),
            (4, 0 | 1) => Reply::truncated("{\"half\":", 100),
            (5, 0) => Reply::json("done, and then the connection closes")
                .with_status(503)
                .then_close(),
            _ => Reply::json(format!("{{\"job\": {job}}}")),
        }
    });
    let request = Request {
        method: "POST".to_owned(),
        url: format!("{}/{{name}}", api.url()),
        headers: Vec::new(),
        ..Request::default()
    };
    let settings = Settings {
        retry_delay: Duration::ZERO,
        retry_max_delay: Duration::ZERO,
        threads: 4.into(),
        ..Settings::default()
    };
    let plan = {
        let lookup = Arc::new(|_: &Reference| Err(String::new()));
        let context = PlanContext {
            credentials: &[],
            network: Network::default(),
            lookup,
            lanes: stride::caller::Lanes::default(),
            base: std::path::Path::new("/"),
        };
        HttpPlan::new(&request, &settings, context).unwrap()
    };
    let mut make = move || Ok(SlotCaller::Async(Box::new(plan.async_caller()?)));
    let mut store = fixture.open();
    let outline = within_limit(move || {
        let outline =
            engine::run(&mut store, &mut make, &settings, &Stop::new(), &mut |_| {}).unwrap();
        store.close().unwrap();
        outline
    });
    assert_eq!(outline.counts.done as usize, JOBS + 1);
    assert_eq!(outline.counts.in_doubt as usize, JOBS / 6 * 3);
    assert_eq!(fixture.problems(), [""; 0]);

    let sql = fixture.sql();
    let mut attempts = HashMap::<String, Vec<String>>::new();
    let mut statement = sql
        .prepare("SELECT path, idempotency_key FROM attempts ORDER BY path, number")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    for (path, key) in rows.map(Result::unwrap) {
        attempts.entry(path).or_default().push(key);
    }
    attempts.remove(BYSTANDER);
    let mut seen = HashMap::<String, Vec<String>>::new();
    for logged in api.log() {
        assert_eq!(
            *logged.body,
            *FileName::from(&logged.target[1..]).as_bytes()
        );
        seen.entry(logged.target[1..].to_owned())
            .or_default()
            .push(logged.key.unwrap());
    }
    assert_eq!(seen, attempts);
    for job in 0..JOBS {
        let keys = &seen[&job.to_string()];
        let (calls, distinct) = (
            keys.len(),
            keys.iter().collect::<std::collections::HashSet<_>>().len(),
        );
        let expected = [(1, 1), (2, 1), (2, 2), (2, 1), (3, 1), (2, 2)][job % 6];
        assert_eq!((calls, distinct), expected, "{job}");
        let body = fixture.record(&job.to_string()).result.unwrap().body;
        assert_eq!(body, format!("{{\"job\": {job}}}").into_bytes());
    }
}
