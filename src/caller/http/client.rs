//! HTTP calls: from a run's request to one request for each file.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::runtime::Runtime;

use super::credential::{Credential, with_given};
use super::error::{PlanError, no_step, root_cause};
use super::exchange::Exchange;
use super::headers::ResponseHead;
use super::judge::Judge;
use super::keys::Keys;
use super::message::{Message, Place};
use super::network::Network;
use super::origins::Origins;
use super::plan::{Clients, Limits, Plan, StepPlan};
use super::progress::Progress;
use super::reference::Lookup;
use super::remarks::Remarks;
use super::reuse::{Reuse, Suspension};
use super::secrets::Secrets;
use crate::caller::aside::aside;
use crate::caller::lanes::Lanes;
use crate::caller::outputs::{self, Outputs, WrongFolder};
use crate::caller::spill::{LARGEST_STORED, MOST_BESIDE_VALUES, MOST_IN_MEMORY, MemoryBudget};
use crate::caller::timer::Timer;
use crate::caller::{AsyncCaller, Caller, Calling, Cancel};
use crate::job::{Attempt, Job, Outcome};
use crate::settings::{Request, Settings};
use crate::validate::{RetryAfter, Validator};

/// After an idle time longer than this, a caller yields until the client has noticed closed connections.
const IDLE: Duration = Duration::from_millis(50);

/// The runtime inputs of a request, which are never stored.
pub struct PlanContext<'m> {
    /// The literal credentials: values of headers and of `{given:NAME}`.
    pub credentials: &'m [Credential],
    /// Options of the network.
    pub network: Network,
    /// Resolves references to secrets.
    pub lookup: Lookup,
    /// The rows of the pool, or none.
    pub lanes: Lanes,
    /// The folder for relative names of files other than the job's.
    pub base: &'m Path,
}

/// A checked request and the settings of its calls, for any file.
#[derive(Debug, Clone)]
pub struct HttpPlan {
    plan: Arc<Plan>,
    memory: Arc<MemoryBudget>,
    suspension: Arc<Suspension>,
    /// The folder for the bodies of results, if not the database.
    outputs: Option<Arc<Outputs>>,
}

impl HttpPlan {
    /// Checks a request and resolves its secrets.
    ///
    /// # Errors
    ///
    /// The request is invalid, one of its secrets or files cannot be read, or the HTTP client cannot be built.
    pub fn new(
        request: &Request,
        settings: &Settings,
        context: PlanContext<'_>,
    ) -> Result<Self, PlanError> {
        let PlanContext {
            credentials,
            network,
            base,
            ..
        } = context;
        let lookup = Arc::clone(&context.lookup);
        let mut secrets = Secrets::default();
        for Credential { value, .. } in credentials {
            secrets.add(value.as_bytes());
        }
        let steps = StepPlan::compile_all(request)?;
        let messages = request.all().enumerate().map(|(index, request)| {
            let place = Place {
                index,
                kind: steps[index].kind,
            };
            Message::compile(request, place, credentials, base)
        });
        let messages = messages.collect::<Result<Vec<_>, _>>()?;
        let lookup = with_given(credentials, lookup);
        let keys = Keys::of_lanes(&messages, secrets, &lookup, &context.lanes)?;
        let validator = Validator::new(&request.judging)?.metering(settings)?;
        let retry_after = settings.retry_after.as_deref().map(RetryAfter::new);
        let mut plan = Plan {
            keys,
            lanes: context.lanes.clone(),
            limits: Limits {
                timeout: settings.timeout,
                idle_timeout: settings.idle_timeout,
                max_response: settings.max_response.min(LARGEST_STORED) as usize,
            },
            rules: settings.classes.clone(),
            validator,
            retry_after: retry_after.transpose()?,
            output_dir: request.output_dir.as_ref().map(|folder| base.join(folder)),
            steps,
            connections: Vec::new(),
            origins: Origins::parse(&request.allow_origins, network.allow_plain_http)?,
            remarks: Remarks::default(),
        };
        plan.connect(request, settings.connect_timeout, &context)?;
        plan.output_dir.as_deref().map_or(Ok(()), outputs::check)?;
        Ok(Self {
            memory: Arc::new(memory(&plan, base.to_owned())),
            plan: Arc::new(plan),
            suspension: Arc::default(),
            outputs: None,
        })
    }

    /// Writes results into the request's folder for them, if it has one, and creates that folder if it is missing. By
    /// default they stay in the answers.
    ///
    /// # Errors
    ///
    /// The folder cannot be opened.
    pub fn keeping_outputs(self) -> Result<Self, WrongFolder> {
        let folder = self.plan.output_dir.as_deref();
        let outputs = folder.map(Outputs::open).transpose()?;
        Ok(Self {
            outputs: outputs.map(Arc::new),
            ..self
        })
    }

    /// Returns the request's folder for results.
    pub fn output_dir(&self) -> Option<&Path> {
        self.plan.output_dir.as_deref()
    }

    /// Returns once why results could not be written into their folder. Such results stay in the answers.
    pub fn output_trouble(&self) -> Option<String> {
        self.outputs.as_ref()?.trouble()
    }

    /// Returns remarks about the service's answers that change no outcome, each once.
    pub fn remarks(&self) -> Vec<String> {
        self.plan.remarks.take()
    }

    /// Sets the folder for temporary files of answers that exceed the memory budget. It should be on a disk: the system's
    /// temporary folder is often in memory, too. The default is the folder for relative names.
    #[must_use]
    pub fn spilling_into(self, folder: PathBuf) -> Self {
        Self {
            memory: Arc::new(memory(&self.plan, folder)),
            ..self
        }
    }

    /// Sets the memory budget for the answers of all callers, in bytes, and the folder for those that exceed it.
    #[must_use]
    pub fn with_memory(self, most: usize, folder: PathBuf) -> Self {
        Self {
            memory: Arc::new(MemoryBudget::new(most, folder)),
            ..self
        }
    }

    /// Returns the rows of the pool.
    pub(in crate::caller) fn lanes(&self) -> &Lanes {
        &self.plan.lanes
    }

    /// Returns the columns of the pool that the requests do not use.
    pub fn unused_columns(&self) -> Vec<String> {
        let current = self.plan.keys[0].current();
        self.plan.lanes.unused(current.references())
    }

    /// Returns whether a call reads the job's own file. A name need not be that of a file otherwise.
    pub fn reads_file(&self) -> bool {
        let current = self.plan.keys[0].current();
        current.messages.iter().any(Message::reads_file)
    }

    /// Returns the proxy that calls use, with `***` instead of a name or password.
    pub fn proxy(&self) -> Option<String> {
        self.plan
            .connections
            .iter()
            .find_map(|one| one.proxy.clone())
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the caller of one slot, to be driven by a runtime together with others.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be built.
    pub fn async_caller(&self) -> Result<AsyncHttpCaller, PlanError> {
        let progress = Progress::default();
        let connections = self.plan.connections.iter();
        let clients = connections.map(|connection| connection.clients(&progress));
        Ok(AsyncHttpCaller {
            clients: clients.collect::<Result<_, _>>()?,
            shared: self.clone(),
            progress,
            reuse: Reuse::new(Arc::clone(&self.suspension)),
            timer: Timer::default(),
            idle_since: None,
            seen: None,
        })
    }

    /// Returns a caller that has a thread, and a runtime, to itself.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be built, for example because no file descriptor is left.
    pub fn caller(&self) -> Result<HttpCaller, PlanError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| PlanError::Client(root_cause(&error)))?;
        Ok(HttpCaller {
            calls: self.async_caller()?,
            runtime: Some(runtime),
        })
    }
}

fn memory(plan: &Plan, folder: PathBuf) -> MemoryBudget {
    let most = match plan.validator.is_quick() {
        true => MOST_IN_MEMORY,
        false => MOST_BESIDE_VALUES,
    };
    MemoryBudget::new(most, folder)
}

/// Makes HTTP calls, one at a time, with a client of its own. Therefore "still connecting" proves that nothing was sent.
#[derive(Debug)]
pub struct AsyncHttpCaller {
    shared: HttpPlan,
    /// The clients of each connection.
    clients: Vec<Clients>,
    progress: Progress,
    reuse: Reuse,
    timer: Timer,
    /// The end of the latest call.
    idle_since: Option<Instant>,
    /// The head of the latest answer, if the caller is watched.
    seen: Option<RefCell<Option<ResponseHead>>>,
}

impl AsyncHttpCaller {
    async fn call_once(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        self.progress.reset();
        if cancel.is_cancelled() {
            return Outcome::Interrupted;
        }
        if self.idle_since.is_none_or(|since| since.elapsed() > IDLE) {
            // After two turns of the runtime the client has noticed closed connections, and uses none of them.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Outcome::Interrupted,
            () = self.reuse.pause() => {}
        }
        let plan = &self.shared.plan;
        let lane = usize::from(attempt.lane);
        let filled = match plan.keys[lane].at_hand() {
            Some(filled) => filled,
            None => {
                let plan = Arc::clone(plan);
                aside(move || plan.keys[lane].current()).await
            }
        };
        let step = usize::from(attempt.step.index);
        let (Some(message), Some(step_plan)) = (filled.messages.get(step), plan.steps.get(step))
        else {
            return no_step(step);
        };
        // The answer to HEAD describes a body and has none (RFC 9110, section 9.3.2).
        let has_body = *message.method() != Method::HEAD;
        let exchange = Exchange {
            clients: &self.clients[step_plan.connection],
            progress: &self.progress,
            reuse: &self.reuse,
            job,
            attempt,
            judge: Judge {
                plan: Arc::clone(plan),
                filled: Arc::clone(&filled),
                step,
                memory: Arc::clone(&self.shared.memory),
                columns: job.columns.clone(),
                has_body,
            },
            seen: self.seen.as_ref(),
            is_out: Cell::new(false),
            redirected: Cell::new(false),
            is_own: Cell::new(true),
        };
        let outcome = exchange.run(&mut self.timer, cancel).await;
        self.idle_since = Some(Instant::now());
        let id = job.id;
        let outcome = if Keys::learns_slowly(&outcome) {
            let plan = Arc::clone(plan);
            aside(move || plan.keys[lane].learn(&filled, id, outcome)).await
        } else {
            plan.keys[lane].learn(&filled, id, outcome)
        };
        match (outcome, &self.shared.outputs) {
            (Outcome::Succeeded(answer), Some(outputs)) if has_body => {
                let (outputs, id) = (Arc::clone(outputs), attempt.id);
                Outcome::Succeeded(aside(move || outputs.keep(id, answer)).await)
            }
            (outcome, _) => outcome,
        }
    }
}

impl AsyncCaller for AsyncHttpCaller {
    fn call<'c>(
        &'c mut self,
        job: &'c Job,
        attempt: &'c Attempt,
        cancel: &'c Cancel,
    ) -> Calling<'c> {
        Box::pin(self.call_once(job, attempt, cancel))
    }
}

/// Makes HTTP calls, one at a time, on the calling thread.
#[derive(Debug)]
pub struct HttpCaller {
    calls: AsyncHttpCaller,
    /// Taken only when the caller is dropped.
    runtime: Option<Runtime>,
}

impl HttpCaller {
    /// Records the head of each answer from now on.
    pub fn watched(mut self) -> Self {
        self.calls.seen = Some(RefCell::default());
        self
    }

    /// Returns the head of the latest answer, if the caller is watched.
    pub fn seen(&self) -> Option<ResponseHead> {
        self.calls.seen.as_ref()?.borrow().clone()
    }
}

impl Caller for HttpCaller {
    fn call(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        // This runtime did not run since the latest call.
        self.calls.idle_since = None;
        let Some(runtime) = &self.runtime else {
            return Outcome::Interrupted;
        };
        runtime.block_on(self.calls.call_once(job, attempt, cancel))
    }
}

impl Drop for HttpCaller {
    fn drop(&mut self) {
        // Looking up a name blocks a thread that cannot be interrupted.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
