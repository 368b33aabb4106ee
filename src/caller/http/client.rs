//! HTTP calls: from a run's request to one request for each file.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue as Value;
use reqwest::{Client, Method};
use tokio::runtime::Runtime;

use super::aside::aside;
use super::credential::{Credential, PROXY_AUTHORIZATION, with_given};
use super::error::{PlanError, root_cause};
use super::exchange::Exchange;
use super::head::Seen;
use super::keys::Keys;
use super::message::Message;
use super::network::{self, Network};
use super::outputs::{self, Outputs};
use super::plan::{Limits, Plan};
use super::progress::Progress;
use super::redirect::FOLLOWED;
use super::reference::Lookup;
use super::reuse::{Caution, Reuse};
use super::secrets::Secrets;
use super::spill::{MOST_BESIDE_VALUES, MOST_IN_MEMORY, Memory};
use super::timer::Timer;
use super::tls;
use super::verdict::Verdict;
use crate::caller::{AsyncCaller, Caller, Calling, Cancel};
use crate::job::{Attempt, Job, Outcome};
use crate::settings::{Request, Settings, Transport};
use crate::validate::{RetryAfter, Validator};

/// A caller that has rested for longer than this looks first which of its connections are still there.
const REST: Duration = Duration::from_millis(50);

/// The largest answer that can be stored, in bytes: SQLite's bound of a row, less some room for what stands beside.
const LARGEST_STORED: u64 = 1_000_000_000 - (1 << 20);

/// What a request is made with, beside what is stored of it.
pub struct Means<'m> {
    /// The values of the headers whose values are not stored.
    pub credentials: &'m [Credential],
    /// The way to the service.
    pub network: Network,
    /// Gives the values of references.
    pub lookup: Lookup,
    /// The folder against which the names of files resolve that are not a job's own.
    pub base: &'m Path,
}

/// A request, checked and ready to be made for any file, and the settings of its calls.
#[derive(Debug, Clone)]
pub struct HttpPlan {
    plan: Arc<Plan>,
    memory: Arc<Memory>,
    caution: Arc<Caution>,
    /// Where the bodies of results go, where that is not the database.
    outputs: Option<Arc<Outputs>>,
}

impl HttpPlan {
    /// Checks a request and brings its secrets in.
    ///
    /// # Errors
    ///
    /// Whatever would keep the request from being made, whichever the file.
    pub fn new(
        request: &Request,
        settings: &Settings,
        means: Means<'_>,
    ) -> Result<Self, PlanError> {
        let Means {
            credentials,
            network,
            lookup,
            base,
        } = means;
        let mut secrets = Secrets::default();
        for Credential { value, .. } in credentials {
            secrets.add(value.as_bytes());
        }
        let message = Message::compile(request, credentials, base)?;
        let keys = Keys::new(message, secrets, with_given(credentials, lookup))?;
        let target = keys.current().message.check(&request.url)?;
        if !network.allow_plain_http {
            network::keep_private(&target, &request.url, &keys.current().message)?;
        }
        let transport = request.transport.clone();
        let validator = Validator::new(&request.judging)?;
        let retry_after = settings.retry_after.as_deref().map(RetryAfter::new);
        let retry_after = retry_after.transpose()?;
        let both = |status: &&u16| transport.redirects > 0 && validator.names(**status);
        if let Some(status) = FOLLOWED.iter().find(both) {
            return Err(PlanError::Followed(*status));
        }
        let no_proxy = network.no_proxy && transport.proxy.is_none();
        let (tls, asked) = tls::configuration(&transport, target.scheme() == "https")?;
        let mut plan = Plan {
            keys,
            limits: Limits {
                timeout: settings.timeout,
                idle_timeout: settings.idle_timeout,
                max_response: settings.max_response.min(LARGEST_STORED) as usize,
            },
            rules: settings.classes.clone(),
            validator,
            retry_after,
            output_dir: request.output_dir.as_ref().map(PathBuf::from),
            connect_timeout: settings.connect_timeout,
            tls,
            asked,
            resolve: network::addresses(&transport.resolve)?,
            own_proxy: own_proxy(&transport, credentials)?,
            transport,
            no_proxy,
            proxy: None,
            door: None,
        };
        plan.output_dir.as_deref().map_or(Ok(()), outputs::check)?;
        // Whether the client can be made is found out before anything else is.
        plan.client(&Progress::default(), &plan.tls)?;
        if let Some((proxy, credential)) = &plan.own_proxy {
            plan.proxy = Some(proxy.clone());
            plan.door = network::door(proxy, credential.as_ref().map(Value::as_bytes));
        } else if !no_proxy && let Some(proxy) = network::proxy(&target) {
            for credential in proxy.credentials {
                plan.keys.hide(&credential);
            }
            plan.proxy = Some(proxy.shown);
            plan.door = proxy.door;
        }
        let plan = Self {
            plan: Arc::new(plan),
            memory: Arc::default(),
            caution: Arc::default(),
            outputs: None,
        };
        Ok(plan.spilling_into(base.to_owned()))
    }

    /// The same with results in the request's own folder for them, if it has one, which is made where it is missing.
    /// Without this they are in the answers, as they are of any request.
    ///
    /// # Errors
    ///
    /// The folder cannot be opened.
    pub fn keeping_outputs(self) -> Result<Self, PlanError> {
        let folder = self.plan.output_dir.as_deref();
        let outputs = folder.map(Outputs::open).transpose()?;
        Ok(Self {
            outputs: outputs.map(Arc::new),
            ..self
        })
    }

    /// The folder for results, if the request has one.
    pub fn output_dir(&self) -> Option<&Path> {
        self.plan.output_dir.as_deref()
    }

    /// Why results could not be written into the folder for them, if it came to that. They are in the answers then,
    /// and the reason is said only once.
    pub fn output_trouble(&self) -> Option<String> {
        self.outputs.as_ref()?.trouble()
    }

    /// The same with another folder for the temporary files of answers that are too much for the memory, instead of
    /// that against which names resolve. It should lie on a disk: the system's own is often in memory too.
    #[must_use]
    pub fn spilling_into(self, folder: PathBuf) -> Self {
        let most = match self.plan.validator.is_quick() {
            true => MOST_IN_MEMORY,
            false => MOST_BESIDE_VALUES,
        };
        self.with_memory(most, folder)
    }

    /// The same with another bound for what answers take of the memory: so many bytes, all callers together.
    #[must_use]
    pub fn with_memory(self, most: usize, folder: PathBuf) -> Self {
        Self {
            memory: Arc::new(Memory::new(most, folder)),
            ..self
        }
    }

    /// The most bytes of answers that were in memory at one moment so far.
    pub fn most_in_memory(&self) -> usize {
        self.memory.most_taken()
    }

    /// The proxy that calls go through, if any; a name or password for it is shown as `***`.
    pub fn proxy(&self) -> Option<String> {
        self.plan.proxy.clone()
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A caller for one chunk, to be driven by a runtime together with others.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be set up.
    pub fn async_caller(&self) -> Result<AsyncHttpCaller, PlanError> {
        let (plan, progress) = (&self.plan, Progress::default());
        let has_certificate = plan.transport.certificate.is_some();
        let strangers = has_certificate && plan.transport.redirects > 0;
        let tls = strangers.then(|| tls::without_certificate(&plan.tls, &plan.asked));
        let strangers = tls.map(|tls| plan.client(&progress, &tls));
        Ok(AsyncHttpCaller {
            client: plan.client(&progress, &plan.tls)?,
            strangers: strangers.transpose()?,
            plan: Arc::clone(&self.plan),
            memory: Arc::clone(&self.memory),
            outputs: self.outputs.clone(),
            progress,
            reuse: Reuse::new(Arc::clone(&self.caution)),
            timer: Timer::default(),
            rested: None,
            seen: None,
        })
    }

    /// A caller that has a thread, and a runtime, to itself.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be set up, for want of descriptors for example.
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

/// The request's own proxy, and the credential for it.
fn own_proxy(
    transport: &Transport,
    credentials: &[Credential],
) -> Result<Option<(String, Option<Value>)>, PlanError> {
    let Some(proxy) = transport.proxy.clone() else {
        return Ok(None);
    };
    let same = |given: &&Credential| given.name.eq_ignore_ascii_case(PROXY_AUTHORIZATION);
    let given = credentials.iter().find(same);
    if given.is_none() && transport.proxy_withheld {
        return Err(PlanError::Missing(PROXY_AUTHORIZATION.to_owned()));
    }
    let value = given.map(|given| given.value.parse());
    let value = value
        .transpose()
        .map_err(|_| PlanError::Proxy(proxy.clone()))?;
    Ok(Some((proxy, value)))
}

/// Makes HTTP calls, one at a time, on a connection of its own.
///
/// That it has a client to itself, which makes one call at a time, is also what makes "still connecting" a proof that
/// nothing was sent.
#[derive(Debug)]
pub struct AsyncHttpCaller {
    plan: Arc<Plan>,
    memory: Arc<Memory>,
    outputs: Option<Arc<Outputs>>,
    client: Client,
    /// Calls other origins, where redirects may lead there and the client certificate is not for them.
    strangers: Option<Client>,
    progress: Progress,
    reuse: Reuse,
    timer: Timer,
    /// When the latest call ended.
    rested: Option<Instant>,
    /// The head of the latest answer, where somebody wants to see it.
    seen: Option<RefCell<Option<Seen>>>,
}

impl AsyncHttpCaller {
    async fn call_once(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        self.progress.reset();
        if cancel.is_cancelled() {
            return Outcome::Interrupted;
        }
        if self.rested.is_none_or(|since| since.elapsed() > REST) {
            // Two turns of the runtime show the client which of its connections have been closed meanwhile, so that
            // it does not take one of those.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Outcome::Interrupted,
            () = self.reuse.pause() => {}
        }
        let filled = match self.plan.keys.at_hand() {
            Some(filled) => filled,
            None => {
                let plan = Arc::clone(&self.plan);
                aside(move || plan.keys.current()).await
            }
        };
        // The answer to HEAD describes a body that does not come (RFC 9110, section 9.3.2).
        let has_body = *filled.message.method() != Method::HEAD;
        let exchange = Exchange {
            client: &self.client,
            strangers: self.strangers.as_ref().unwrap_or(&self.client),
            progress: &self.progress,
            reuse: &self.reuse,
            job,
            attempt,
            verdict: Verdict {
                plan: Arc::clone(&self.plan),
                filled: Arc::clone(&filled),
                memory: Arc::clone(&self.memory),
                has_body,
            },
            seen: self.seen.as_ref(),
            is_out: Cell::new(false),
            redirected: Cell::new(false),
        };
        let outcome = exchange.run(&mut self.timer, cancel).await;
        self.rested = Some(Instant::now());
        let id = job.id;
        let outcome = if Keys::learns_slowly(&outcome) {
            let plan = Arc::clone(&self.plan);
            aside(move || plan.keys.learn(&filled, id, outcome)).await
        } else {
            self.plan.keys.learn(&filled, id, outcome)
        };
        match (outcome, &self.outputs) {
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

/// Makes HTTP calls, one at a time, in the thread that asks for them.
#[derive(Debug)]
pub struct HttpCaller {
    calls: AsyncHttpCaller,
    /// Taken only when the caller is dropped.
    runtime: Option<Runtime>,
}

impl HttpCaller {
    /// The same caller, which keeps the head of each answer to be seen.
    pub fn watched(mut self) -> Self {
        self.calls.seen = Some(RefCell::default());
        self
    }

    /// The head of the answer to the latest call, if the caller is watched and there was one.
    pub fn seen(&self) -> Option<Seen> {
        self.calls.seen.as_ref()?.borrow().clone()
    }
}

impl Caller for HttpCaller {
    fn call(&mut self, job: &Job, attempt: &Attempt, cancel: &Cancel) -> Outcome {
        // This runtime stood still since the call before.
        self.calls.rested = None;
        let Some(runtime) = &self.runtime else {
            return Outcome::Interrupted;
        };
        runtime.block_on(self.calls.call_once(job, attempt, cancel))
    }
}

impl Drop for HttpCaller {
    fn drop(&mut self) {
        // A name being looked up sits in a thread that cannot be stopped; nobody waits for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
