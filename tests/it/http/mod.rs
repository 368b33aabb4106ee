//! The HTTP caller against a fake API.

mod answers;
mod classes;
pub(crate) mod coding;
mod connection;
mod files;
mod headers;
mod hints;
mod limits;
mod proxy;
mod redirects;
mod refresh;
mod run;
mod secrets;
mod spill;
mod steps;
mod streams;
pub(crate) mod tls;
pub(crate) mod transport;
mod unasked;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use stride::caller::{
    Caller, Cancel, Credential, HttpCaller, HttpPlan, Network, PlanContext, PlanError, Reference,
};
use stride::job::{
    Answer, Attempt, AttemptId, Class, Columns, Failure, FileName, IdempotencyKey, Job, JobId,
    Outcome, Position, Step,
};
use stride::settings::{Header, HeaderValue, Judging, Request, Settings};
use tempfile::TempDir;

use crate::support::{FakeApi, Reply, inside};

/// A request to test, for files in a folder of its own.
struct Client {
    folder: TempDir,
    request: Request,
    settings: Settings,
    credentials: Vec<Credential>,
    network: Network,
}

impl Client {
    fn post(url: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            request: Request {
                method: "POST".to_owned(),
                url: url.to_owned(),
                headers: Vec::new(),
                ..Request::default()
            },
            settings: Settings::default(),
            credentials: Vec::new(),
            network: Network::default(),
        }
    }

    fn method(mut self, method: &str) -> Self {
        self.request.method = method.to_owned();
        self
    }

    fn header(mut self, name: &str, value: HeaderValue) -> Self {
        let name = name.to_owned();
        self.request.headers.push(Header { name, value });
        self
    }

    fn template(self, name: &str, value: &str) -> Self {
        self.header(name, HeaderValue::Template(value.to_owned()))
    }

    fn judged(mut self, change: impl FnOnce(&mut Judging)) -> Self {
        change(&mut self.request.judging);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// A job with a file of these bytes.
    fn job(&self, name: impl Into<FileName>, bytes: &[u8]) -> Job {
        let job = self.job_without_file(name);
        assert_eq!(
            inside(self.folder.path(), &job.path).as_ref(),
            Some(&job.file)
        );
        fs::create_dir_all(job.file.parent().unwrap()).unwrap();
        fs::write(&job.file, bytes).unwrap();
        job
    }

    fn job_without_file(&self, name: impl Into<FileName>) -> Job {
        let path = name.into();
        let file = self.folder.path().join(path.as_path());
        Job {
            id: JobId(1),
            position: Position(0),
            columns: Columns::default(),
            answers: Vec::new(),
            path,
            file,
        }
    }

    fn plan(&self) -> Result<HttpPlan, PlanError> {
        // Files are in the folder of the jobs.
        let folder = self.folder.path().to_owned();
        let lookup = Arc::new(move |reference: &Reference| match reference {
            Reference::Env(name) if name == "SECRET" => Ok(SECRET.as_bytes().to_vec()),
            Reference::File(path) => fs::read(folder.join(path)).map_err(|error| error.to_string()),
            _ => Err("there is no such thing".to_owned()),
        });
        let context = PlanContext {
            credentials: &self.credentials,
            network: self.network,
            lookup,
            lanes: stride::caller::Lanes::default(),
            base: self.folder.path(),
        };
        HttpPlan::new(&self.request, &self.settings, context)
    }

    fn caller(&self) -> HttpCaller {
        self.plan().unwrap().caller().unwrap()
    }

    /// Calls once, for a small text file.
    fn call(&self) -> Outcome {
        self.call_for(&self.job("a.txt", b"hello"))
    }

    fn call_for(&self, job: &Job) -> Outcome {
        self.caller().call(job, &attempt(1), &Cancel::new())
    }
}

/// The value of `{env:SECRET}`.
const SECRET: &str = "s3cr3t/t0ken+of-forty-characters-exactly";

fn attempt(number: u32) -> Attempt {
    let job = JobId(1);
    Attempt {
        id: AttemptId { job, number },
        key: IdempotencyKey::derive(&[7; 16], job, number),
        repeat: false,
        suspect: false,
        step: Step::FIRST,
        lane: 0,
    }
}

/// Calls a service that always gives this answer.
fn answer_to(reply: Reply) -> Outcome {
    let api = FakeApi::start(move |_| reply.clone());
    Client::post(&api.url()).call()
}

/// Calls a service that always gives this answer, under changed validation settings.
fn judged_answer(reply: Reply, change: impl FnOnce(&mut Judging)) -> Outcome {
    let api = FakeApi::start(move |_| reply.clone());
    Client::post(&api.url()).judged(change).call()
}

fn succeeded(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Succeeded(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// The failure of an attempt that the service has answered.
fn failed(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn is_in_doubt(outcome: &Outcome, kind: &str) -> bool {
    matches!(outcome, Outcome::InDoubt(failure) if failure.kind.as_str() == kind && failure.class == Class::Transient)
}

fn throttled(outcome: Outcome) -> (Failure, Option<Duration>) {
    match outcome {
        Outcome::Throttled { failure, wait } => (failure, wait),
        other => panic!("{other:?}"),
    }
}
