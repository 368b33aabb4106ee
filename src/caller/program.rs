//! Callers from a program's own functions.

use super::{AsyncCaller, Caller, Calling, Cancel};
use crate::job::{
    Answer, Attempt, Class, Failure, FailureKind, Job, Outcome, Refused, Reply, Step, check_json,
    is_json,
};

/// A caller from a function. `Ok` is the job's result, or a failure if its media type is JSON and its body is not. `Err` is
/// a definite failure. It is retried if its class is [`Class::Transient`], and delays all calls if it is
/// [`Class::Throttled`].
#[derive(Debug, Clone)]
pub struct FnCaller<F>(pub F);

impl<F: FnMut(&Job) -> Result<Answer, Failure> + Send> Caller for FnCaller<F> {
    fn call(&mut self, job: &Job, _: &Attempt, _: &Cancel) -> Outcome {
        outcome((self.0)(job))
    }
}

/// A caller from a function that makes one step of a job at a time. It may return several times for a job: see [`Reply`].
#[derive(Debug, Clone)]
pub struct StepCaller<F>(pub F);

impl<F: FnMut(&Job, &Step) -> Result<Reply, Failure> + Send> Caller for StepCaller<F> {
    fn call(&mut self, job: &Job, attempt: &Attempt, _: &Cancel) -> Outcome {
        match (self.0)(job, &attempt.step) {
            Ok(Reply::Done(answer)) => outcome(Ok(answer)),
            Ok(Reply::Next(answer, next)) => Outcome::Advanced {
                answer: Box::new(answer),
                next,
                wait: None,
            },
            Ok(Reply::NotReady { words, wait }) => Outcome::NotReady {
                status: None,
                wait,
                words,
                hint: None,
            },
            Err(failure) => outcome(Err(failure)),
        }
    }
}

/// A caller from a function that returns a future for tokio. The future stays on its thread and must not block it.
/// A stop drops it, and the call is in doubt.
#[derive(Debug, Clone)]
pub struct AsyncFnCaller<F>(pub F);

impl<F, C> AsyncCaller for AsyncFnCaller<F>
where
    F: FnMut(Job) -> C + Send,
    C: Future<Output = Result<Answer, Failure>> + 'static,
{
    fn call<'c>(&'c mut self, job: &'c Job, _: &'c Attempt, cancel: &'c Cancel) -> Calling<'c> {
        let call = (self.0)(job.clone());
        Box::pin(async move {
            tokio::select! {
                biased;
                returned = call => outcome(returned),
                () = cancel.cancelled() => Outcome::InDoubt(Failure::new(
                    Class::Transient,
                    FailureKind::Stopped,
                    "stopped before the call returned",
                )),
            }
        })
    }
}

fn outcome(returned: Result<Answer, Failure>) -> Outcome {
    let answer = match returned {
        Ok(answer) => answer,
        Err(failure) if failure.class == Class::Throttled => {
            let wait = failure.hint.as_deref().and_then(|hint| hint.reset);
            return Outcome::Throttled { failure, wait };
        }
        Err(failure) => return Outcome::Failed(failure),
    };
    if !answer.media_type.as_deref().is_some_and(is_json) {
        return Outcome::Succeeded(answer);
    }
    match check_json(&answer.body) {
        Ok(Ok(())) => Outcome::Succeeded(answer),
        Ok(Err(error)) => {
            let message =
                format!("the answer is not JSON, although its media type says so: {error}");
            Outcome::Failed(Failure {
                answer: Some(Box::new(Refused {
                    media_type: answer.media_type,
                    headers: answer.headers,
                    body: answer.body,
                })),
                ..Failure::new(Class::BadResponse, FailureKind::NotJson, message)
            })
        }
        Err(error) => Outcome::InDoubt(Failure::unkept(&error)),
    }
}
