//! Sends one request under every limit and receives its answer. Each way out decides whether the request can have been
//! sent.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Response, StatusCode, Url};

use super::error::root_cause;
use super::headers::{ResponseHead, lossy};
use super::inside::{check_host, is_host_inside, is_inside, kept_outside};
use super::judge::{Judge, Received};
use super::message::Trust;
use super::plan::{Clients, Connection};
use super::progress::{Progress, Target};
use super::reading::Reading;
use super::receive::receive;
use super::redirect::{Hop, Redirects};
use super::remarks::Kind;
use super::reuse::Reuse;
use super::source::Source;
use super::tunnel::{self, TunnelRefused};
use super::unreachable::{self, ClientCertificate, SentBack};
use crate::caller::Cancel;
use crate::caller::aside::aside;
use crate::caller::timer::{Timer, patience};
use crate::job::{Answer, Attempt, Body, Class, Failure, FailureKind, Job, Outcome};

/// The interval of checks on an upload that has not begun, or has ended.
const UPLOAD_CHECK: Duration = Duration::from_secs(1);

/// One call, from the request to the outcome.
pub(super) struct Exchange<'c> {
    pub(super) clients: &'c Clients,
    pub(super) progress: &'c Progress,
    pub(super) reuse: &'c Reuse,
    pub(super) job: &'c Job,
    pub(super) attempt: &'c Attempt,
    pub(super) judge: Judge,
    /// Receives the head of the answer, if the caller is watched.
    pub(super) seen: Option<&'c RefCell<Option<ResponseHead>>>,
    /// The client has the request.
    pub(super) is_out: Cell<bool>,
    /// A redirect was followed.
    pub(super) redirected: Cell<bool>,
    /// A URL of the user names the origin of the latest request.
    pub(super) is_own: Cell<bool>,
}

impl Exchange<'_> {
    pub(super) async fn run(&self, timer: &mut Timer, cancel: &Cancel) -> Outcome {
        let received = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                Err(self.cut_off(FailureKind::Stopped, "stopped before the answer came", true))
            }
            received = self.under_limits(timer) => received,
        };
        self.reuse.ended(received.is_ok());
        // No limit and no stop interrupts the judging of a complete answer, because the service was paid for it.
        match received {
            Ok(received) => {
                let seen = self.seen.map(|_| received.answer.body.clone());
                let outcome = self.judge.judge(received).await;
                if let (Outcome::NotReady { .. }, Some(body)) = (&outcome, seen) {
                    self.show_body(&body);
                }
                self.with_source(outcome)
            }
            Err(outcome) => self.after_redirects(outcome),
        }
    }

    /// Shows the beginning of a body to the watcher.
    fn show_body(&self, body: &Body) {
        let shown = self.judge.beginning(body).unwrap_or_default();
        if let Some(seen) = self.seen
            && let Some(head) = seen.borrow_mut().as_mut()
        {
            head.not_ready = self.judge.keep(&shown);
        }
    }

    /// Adds the stamp of the file to an answer, so that a later change is noticed.
    fn with_source(&self, outcome: Outcome) -> Outcome {
        let source = self.progress.upload(|upload| upload.source);
        match outcome {
            Outcome::Succeeded(answer) => Outcome::Succeeded(Answer { source, ..answer }),
            Outcome::Advanced {
                mut answer,
                next,
                wait,
            } => {
                answer.source = source;
                Outcome::Advanced { answer, next, wait }
            }
            outcome => outcome,
        }
    }

    /// Corrects the outcome of a redirected call: the service that sent the redirect may have acted, even if the next
    /// request was never sent.
    fn after_redirects(&self, outcome: Outcome) -> Outcome {
        if !self.redirected.get() {
            return match outcome {
                // Only this job's answer names the host, so nothing follows for other jobs.
                Outcome::Unreachable(failure)
                    if !self.is_own.get() && failure.kind != FailureKind::Proxy =>
                {
                    Outcome::Failed(failure)
                }
                outcome => outcome,
            };
        }
        let after_redirect = |failure: Failure| Failure {
            message: format!("after a redirect: {}", failure.message),
            ..failure
        };
        match outcome {
            Outcome::Unreachable(failure) => Outcome::InDoubt(after_redirect(failure)),
            Outcome::Unsendable(failure) => Outcome::Failed(after_redirect(failure)),
            Outcome::Interrupted => {
                self.in_doubt(FailureKind::Stopped, "stopped before the answer came")
            }
            outcome => outcome,
        }
    }

    async fn under_limits(&self, timer: &mut Timer) -> Result<Received, Outcome> {
        // No limit applies while the file's disk does not respond, because nothing has been sent.
        let (request, trust) = self.request(None).await?;
        self.is_out.set(true);
        let limits = &self.judge.plan.limits;
        tokio::select! {
            biased;
            () = timer.patience(limits.timeout) => {
                let message = format!("no complete answer within {:?}", limits.timeout);
                Err(self.cut_off(FailureKind::Timeout, &message, false))
            }
            () = self.upload_stalls(), if self.progress.upload(|upload| upload.streams) => {
                let message = format!("no byte of the file was sent for {:?}", limits.idle_timeout);
                Err(self.in_doubt(FailureKind::IdleTimeout, &message))
            }
            received = self.exchange(request, trust) => received,
        }
    }

    /// Sends the request and follows redirects.
    async fn exchange(
        &self,
        mut request: reqwest::Request,
        mut trust: Trust,
    ) -> Result<Received, Outcome> {
        let transport = &self.connection().transport;
        let mut is_foreign = trust.is_foreign;
        let mut redirects = Redirects::new(request.method(), request.url(), is_foreign, transport);
        loop {
            self.aim_at(request.url(), &trust)?;
            self.reuse.prepare(&mut request);
            let response = match self.clients.of(is_foreign).execute(request).await {
                Ok(response) => response,
                Err(error) => return Err(self.transport_error(&error).await),
            };
            self.reuse.answered(&response, self.progress.is_fresh());
            if let Some(seen) = self.seen {
                *seen.borrow_mut() = Some(self.head(&response));
            }
            let is_inside = self.is_inside(redirects.target(), response.remote_addr());
            let from = redirects.target().host_str().unwrap_or_default().to_owned();
            let Some(hop) = redirects.next(&self.judge, response.status(), response.headers())
            else {
                return receive(&self.judge, response, self.attempt.repeat, is_foreign).await;
            };
            self.redirected.set(true);
            if !hop.keeps_body {
                self.remark_on_body(response.status(), &hop);
            }
            is_foreign = hop.strayed;
            trust.is_own = self.is_own(&hop.target);
            (request, _) = self.request(Some(hop)).await?;
            trust.named_by = (!trust.is_own && !is_inside).then_some(from);
        }
    }

    fn connection(&self) -> &Connection {
        let plan = &self.judge.plan;
        &plan.connections[plan.steps[self.judge.step].connection]
    }

    /// Returns whether the user names the origin of a URL.
    fn is_own(&self, url: &Url) -> bool {
        let source = Source::new(&self.job.file, Reading::AtHand);
        let origins = &self.judge.plan.origins;
        origins.is_own(&self.judge.filled, self.job, &source, url)
    }

    /// Returns whether an answer came from this machine or a private network: by the words of its URL, or by the address of
    /// the connection. An address of `--resolve` stands for the public one.
    fn is_inside(&self, url: &Url, peer: Option<SocketAddr>) -> bool {
        let (host, connection) = (url.host_str().unwrap_or_default(), self.connection());
        let is_peer_inside = || {
            let is_direct = !connection.addresses.has(host) && connection.proxies.of(url).is_none();
            is_direct && peer.is_some_and(|peer| is_inside(peer.ip()))
        };
        is_host_inside(host) || is_peer_inside()
    }

    /// Records the target for the resolver. Refuses an address that a service must not lead to.
    fn aim_at(&self, url: &Url, trust: &Trust) -> Result<(), Outcome> {
        let host = url.host_str().unwrap_or_default();
        let named_by = trust.named_by.clone();
        if let Some(named_by) = &named_by {
            check_host(host, named_by).map_err(|inside| inside.outcome())?;
        }
        self.is_own.set(trust.is_own);
        *self.progress.target() = Target {
            host: host.to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            named_by,
        };
        Ok(())
    }

    /// Adds a remark that a redirect was followed without the body, unless it is a 303, which asks for that.
    fn remark_on_body(&self, status: StatusCode, hop: &Hop) {
        let filled = &self.judge.filled;
        if status == StatusCode::SEE_OTHER || !self.judge.message().has_body() {
            return;
        }
        self.judge.plan.remarks.add(Kind::BodyDropped, || {
            let target = filled.secrets.mask_text(hop.target.as_str());
            format!(
                "HTTP {status} led to {target}, which was called with GET and without the file, as curl -L does; if such answers are no results, use that URL"
            )
        });
    }

    /// Builds the request, or the one that a redirect asks for: on this thread if the file is in memory.
    async fn request(&self, hop: Option<Hop>) -> Result<(reqwest::Request, Trust), Outcome> {
        let (judge, job, attempt) = (&self.judge, self.job, self.attempt);
        let (progress, at_hand) = (self.progress, Reading::AtHand);
        match request(judge, job, attempt, hop.clone(), progress, at_hand) {
            Err(Outcome::Interrupted) => {}
            done => return done,
        }
        let (judge, job, attempt) = (judge.clone(), job.clone(), *attempt);
        let (progress, patient) = (progress.clone(), Reading::Patient);
        aside(move || request(&judge, &job, &attempt, hop, &progress, patient)).await
    }

    fn head(&self, response: &Response) -> ResponseHead {
        let mask = |text: &str| self.judge.filled.secrets.mask_text(text);
        let headers = response.headers().iter();
        ResponseHead {
            version: format!("{:?}", response.version()),
            status: response.status().to_string(),
            headers: headers
                .map(|(name, value)| (mask(name.as_str()), mask(&lossy(value))))
                .collect(),
            not_ready: Vec::new(),
        }
    }

    /// Returns the outcome of a call that a stop or a timeout has ended.
    fn cut_off(&self, kind: FailureKind, message: &str, by_stop: bool) -> Outcome {
        if !self.is_out.get() {
            return Outcome::Interrupted;
        }
        match (self.progress.is_connecting(), by_stop) {
            (true, true) => Outcome::Interrupted,
            (true, false) => Outcome::Unreachable(Failure::new(
                Class::Transient,
                FailureKind::Unreachable,
                message,
            )),
            (false, _) => self.in_doubt(kind, message),
        }
    }

    async fn transport_error(&self, error: &reqwest::Error) -> Outcome {
        if let Some(message) = self.progress.upload(|upload| upload.error.take()) {
            // The body was shorter than announced, so no service can have taken the request as complete.
            return Outcome::Failed(Failure::new(
                Class::Input,
                FailureKind::InputChanged,
                message,
            ));
        }
        let failure = |class, kind, message: &str| self.judge.failure(class, kind, message);
        let unreachable =
            |kind, message: &str| Outcome::Unreachable(failure(Class::Transient, kind, message));
        if let Some(outcome) = kept_outside(error) {
            return outcome;
        }
        let connection = self.connection();
        let own = match (
            &connection.transport.certificate,
            connection.certificate_requests.any(),
        ) {
            (Some(_), _) => ClientCertificate::Given,
            (None, true) => ClientCertificate::Missing,
            (None, false) => ClientCertificate::NotRequested,
        };
        if error.is_connect() {
            let (kind, message) = if let Some(refused) = tunnel::refused(error) {
                tunnel::describe(self.tunnel_status(refused, error.url()).await)
            } else if error.is_timeout() {
                let (place, limit) = (self.place(error.url()), connection.timeout);
                let message = format!("no connection to {place} within {limit:?}");
                (FailureKind::Unreachable, message)
            } else {
                unreachable::describe(error, own, &self.place(error.url()))
            };
            return unreachable(kind, &message);
        }
        // The service has accepted the certificate of a connection that carried a call.
        let rejected = unreachable::rejected_certificate(error, own);
        if let Some(message) = rejected.filter(|_| self.progress.is_fresh()) {
            return unreachable(FailureKind::Tls, &message);
        }
        let cause = root_cause(error);
        match unreachable::sent_back(error) {
            Some(SentBack::Unprocessed) => {
                let message = format!("the service refused the request unprocessed: {cause}");
                unreachable(FailureKind::SentBack, &message)
            }
            Some(SentBack::TooMuch) => {
                let message = format!("the service asks for fewer requests: {cause}");
                Outcome::Throttled {
                    failure: failure(Class::Throttled, FailureKind::Http2, &message),
                    wait: None,
                }
            }
            None => self.in_doubt(
                FailureKind::ConnectionLost,
                &format!("the connection was lost before the answer came: {cause}"),
            ),
        }
    }

    /// Names the service of a URL, and the proxy that leads there.
    fn place(&self, url: Option<&Url>) -> String {
        let host = url.and_then(Url::host_str).unwrap_or("the service");
        let port = url.and_then(Url::port_or_known_default);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let proxy = self.connection().proxy.as_deref();
        let proxy = proxy.map_or_else(String::new, |proxy| format!(" through {proxy}"));
        format!("{host}{port}{proxy}")
    }

    /// Returns the status with which the proxy has refused a tunnel, asking it again if the client does not report it.
    async fn tunnel_status(&self, refused: TunnelRefused, url: Option<&Url>) -> Option<u16> {
        if let TunnelRefused::With(status) = refused {
            return Some(status);
        }
        let proxy = self.connection().plain_proxy.clone()?;
        let (host, port) = (url?.host_str()?, url?.port_or_known_default()?);
        let target = format!("{host}:{port}");
        let status = aside(move || proxy.connect_status(&target)).await.ok();
        // The proxy may accept this time.
        status.filter(|status| !(200..300).contains(status))
    }

    /// Resolves when no byte of a streamed file was sent for the idle timeout.
    async fn upload_stalls(&self) {
        let limit = self.judge.plan.limits.idle_timeout;
        loop {
            match self.progress.upload(|upload| upload.moved) {
                Some(moved) if moved.elapsed() >= limit => return,
                Some(moved) => patience(limit.saturating_sub(moved.elapsed())).await,
                None => patience(UPLOAD_CHECK.min(limit)).await,
            }
        }
    }

    fn in_doubt(&self, kind: FailureKind, message: &str) -> Outcome {
        Outcome::InDoubt(self.judge.failure(Class::Transient, kind, message))
    }
}

fn request(
    judge: &Judge,
    job: &Job,
    attempt: &Attempt,
    hop: Option<Hop>,
    progress: &Progress,
    reading: Reading,
) -> Result<(reqwest::Request, Trust), Outcome> {
    let origins = &judge.plan.origins;
    let built = origins.build(&judge.filled, judge.step, job, attempt, reading)?;
    progress.upload(|upload| upload.source = built.source);
    let built = match hop {
        Some(hop) => hop.change(built, judge),
        None => built,
    };
    let trust = built.trust.clone();
    Ok((built.into_request(progress, reading)?, trust))
}
