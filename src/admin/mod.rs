//! The administration thread: `/healthz`, `/readyz` and `/metrics` over HTTP.
//!
//! An ordinary thread with a current-thread tokio; nothing here is on the data path. It owns its listener, asks shards
//! by channel and never waits for one longer than [`SCRAPE_WAIT`]. Knows nothing of what shards do.
//!
//! Limits: [`REQUESTS_MAX`] requests at a time, each answered within a few seconds.

mod process;
mod render;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, oneshot};

use crate::base::ShardId;
use crate::base::metrics::ShardMetrics;

use render::Scraped;

/// How long one scrape waits for the slowest shard; a shard that does not answer is reported as such.
const SCRAPE_WAIT: Duration = Duration::from_secs(2);
const REQUESTS_MAX: usize = 16;

/// Sent to a shard; it answers with a copy of what it counts.
#[derive(Debug)]
pub struct ScrapeRequest {
    pub reply: flume::Sender<ShardMetrics>,
}

/// Whether clients should be sent here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    Ready,
    /// The reason is given in a few words, as "recovering" or "stopping".
    NotReady(String),
}

/// The server's word on its readiness; clones share it.
#[derive(Clone, Debug)]
pub struct ReadinessCell(Arc<Mutex<Readiness>>);

impl ReadinessCell {
    #[must_use]
    pub fn starting() -> ReadinessCell {
        ReadinessCell(Arc::new(Mutex::new(Readiness::NotReady("starting".to_owned()))))
    }

    pub fn set(&self, readiness: Readiness) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = readiness;
    }

    #[must_use]
    pub fn get(&self) -> Readiness {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the administration thread may ask. The channels can be made before the shards: until a shard receives, it is
/// reported as not answering.
#[derive(Clone, Debug)]
pub struct AdminSource {
    pub readiness: ReadinessCell,
    /// One channel per shard, in shard order. Each is bounded, so that a stuck shard does not gather requests.
    pub shards: Vec<flume::Sender<ScrapeRequest>>,
}

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("cannot listen on {address} for metrics and health: {source} (choose another with --admin)")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start the administration thread: {0}")]
    Thread(#[source] io::Error),
}

/// A running administration thread; stops when dropped.
#[derive(Debug)]
pub struct AdminHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AdminHandle {
    /// Where it listens: the port is known even when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminHandle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only fails by a panic, which has ended the process.
            let _ = thread.join();
        }
    }
}

/// A dashboard for Grafana, which draws what `/metrics` shows of a server.
const DASHBOARD: &str = include_str!("dashboard.json");

/// Listens and serves from a thread of its own.
///
/// # Errors
/// When the address cannot be bound or the thread not started.
pub fn start(address: SocketAddr, source: AdminSource) -> Result<AdminHandle, AdminError> {
    let listen = |error| AdminError::Listen { address, source: error };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(AdminError::Thread)?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || runtime.block_on(serve(listener, source, stopped)))
        .map_err(AdminError::Thread)?;
    Ok(AdminHandle { address, stop: Some(stop), thread: Some(thread) })
}

struct Admin {
    source: AdminSource,
    requests: Semaphore,
}

async fn serve(listener: TcpListener, source: AdminSource, stopped: oneshot::Receiver<()>) {
    let admin = Arc::new(Admin { source, requests: Semaphore::new(REQUESTS_MAX) });
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/dashboard.json", get(async || ([(header::CONTENT_TYPE, "application/json")], DASHBOARD)))
        .with_state(admin);
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "metrics and health are not served");
            return;
        }
    };
    // Serving ends with the process: open keep-alive connections are not waited for.
    tokio::select! {
        served = axum::serve(listener, router).into_future() => {
            if let Err(error) = served {
                tracing::error!(%error, "metrics and health are no longer served");
            }
        }
        _ = stopped => {}
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    match admin.source.readiness.get() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
        }
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let Ok(_permit) = admin.requests.try_acquire() else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many scrapes at a time\n").into_response();
    };
    let text = render::text(&scrape(&admin.source.shards).await, &process::sample());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn scrape(shards: &[flume::Sender<ScrapeRequest>]) -> Vec<Scraped> {
    let asked: Vec<_> = shards.iter().map(ask).collect();
    let deadline = tokio::time::Instant::now() + SCRAPE_WAIT;
    let mut scraped = Vec::with_capacity(asked.len());
    for (index, answer) in asked.into_iter().enumerate() {
        let metrics = match answer {
            Some(answer) => {
                tokio::time::timeout_at(deadline, answer.recv_async()).await.ok().and_then(Result::ok)
            }
            None => None,
        };
        scraped.push(Scraped { shard: ShardId(u16::try_from(index).expect("shards fit u16")), metrics });
    }
    scraped
}

/// All shards are asked before the first is waited for.
fn ask(shard: &flume::Sender<ScrapeRequest>) -> Option<flume::Receiver<ShardMetrics>> {
    let (reply, answer) = flume::bounded(1);
    shard.try_send(ScrapeRequest { reply }).ok().map(|()| answer)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use crate::base::metrics::Metric;

    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("listening");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    fn started(shards: Vec<flume::Sender<ScrapeRequest>>) -> (AdminHandle, ReadinessCell) {
        let readiness = ReadinessCell::starting();
        let source = AdminSource { readiness: readiness.clone(), shards };
        (start("127.0.0.1:0".parse().expect("an address"), source).expect("started"), readiness)
    }

    #[test]
    fn health_and_readiness_are_told_apart() {
        let (admin, readiness) = started(Vec::new());
        assert!(get(admin.address(), "/healthz").starts_with("HTTP/1.1 200"));
        let not_ready = get(admin.address(), "/readyz");
        assert!(not_ready.starts_with("HTTP/1.1 503") && not_ready.ends_with("starting\n"), "{not_ready}");
        readiness.set(Readiness::Ready);
        assert!(get(admin.address(), "/readyz").starts_with("HTTP/1.1 200"));
        assert!(get(admin.address(), "/nothing").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn metrics_come_from_the_shards_that_answer() {
        let (answering, requests) = flume::bounded::<ScrapeRequest>(1);
        let (silent, unheard) = flume::bounded(1);
        drop(unheard);
        let shard = std::thread::spawn(move || {
            let request = requests.recv().expect("a scrape");
            let mut metrics = ShardMetrics::default();
            metrics.show(&[Metric::counter("ringmain_things_total", "Things.", |things| *things)], &7);
            request.reply.send(metrics).expect("waited for");
        });
        let (admin, _) = started(vec![answering, silent]);
        let text = get(admin.address(), "/metrics");
        shard.join().expect("no panic");
        for line in [
            "ringmain_things_total{shard=\"0\"} 7\n",
            "ringmain_shard_up{shard=\"0\"} 1\n",
            "ringmain_shard_up{shard=\"1\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn an_address_in_use_is_named() {
        let (admin, _) = started(Vec::new());
        let source = AdminSource { readiness: ReadinessCell::starting(), shards: Vec::new() };
        let error = start(admin.address(), source).expect_err("in use").to_string();
        assert!(error.contains(&admin.address().to_string()) && error.contains("--admin"), "{error}");
    }
}
