//! stride's HTTP client alone: the same library with the same settings (`caller::http`), as tasks on a thread for each
//! core. It reads each file and each whole answer, and stores nothing.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use reqwest::Client;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime;
use tokio::task::LocalSet;

/// stride's timeouts for idle connections and for connecting.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The shared state of the tasks.
struct Work {
    names: Vec<String>,
    next: AtomicUsize,
    url: String,
}

fn client(tls: &ClientConfig) -> reqwest::Result<Client> {
    Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls.clone())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(IDLE_CONNECTION)
        .http1_only()
        .build()
}

async fn call(client: &Client, work: &Work, name: &str) -> io::Result<()> {
    let body = std::fs::read(name)?;
    let base = Path::new(name).file_name().unwrap_or_default();
    let url = format!("{}/{}", work.url, base.display());
    let sent = client.post(url).body(body).send().await;
    let mut answer = sent
        .and_then(reqwest::Response::error_for_status)
        .map_err(io::Error::other)?;
    while answer.chunk().await.map_err(io::Error::other)?.is_some() {}
    Ok(())
}

/// Runs this many tasks, each with one call at a time, until no file is left.
fn crew(work: &Arc<Work>, tls: &ClientConfig, tasks: usize) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut running = Vec::new();
        for _ in 0..tasks {
            let (client, work) = (
                Rc::new(client(tls).map_err(io::Error::other)?),
                Arc::clone(work),
            );
            running.push(tokio::task::spawn_local(async move {
                loop {
                    let next = work.next.fetch_add(1, Ordering::Relaxed);
                    match work.names.get(next) {
                        Some(name) => call(&client, &work, name).await?,
                        None => return io::Result::Ok(()),
                    }
                }
            }));
        }
        for task in running {
            task.await??;
        }
        Ok(())
    })
}

/// Calls `url` once for each file of the list, with this many calls at once.
pub(crate) fn run(url: &str, list: &str, threads: usize) -> io::Result<()> {
    let list = std::fs::read_to_string(list)?;
    let work = Arc::new(Work {
        names: list.lines().map(str::to_owned).collect(),
        next: AtomicUsize::new(0),
        url: url.to_owned(),
    });
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let cores = thread::available_parallelism()?.get().min(threads.max(1));
    thread::scope(|scope| {
        let crews: Vec<_> = (0..cores)
            .map(|core| {
                let tasks = threads / cores + usize::from(core < threads % cores);
                let (work, tls) = (&work, &tls);
                scope.spawn(move || crew(work, tls, tasks))
            })
            .collect();
        for crew in crews {
            crew.join()
                .map_err(|_| io::Error::other("a task panicked"))??;
        }
        Ok(())
    })
}
