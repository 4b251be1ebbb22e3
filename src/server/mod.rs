//! The server: checks and claims, then one executor per shard, listeners, connections, and the orderly end.
//!
//! The main thread starts and stops; each shard's thread serves. What a request means is `api`'s business, what it does
//! the shard's.

mod accept;
mod admission;
mod api_names;
mod budgets;
mod connection;
mod error;
mod holdings;
pub mod identity;
mod listener;
mod membership;
mod metrics;
mod mover;
mod moving;
mod overload;
mod peer;
mod pool;
pub mod preflight;
mod reader;
mod registry;
mod replies;
mod requests;
mod scrapes;
mod send_buffer;
mod services;
mod settings;
mod signals;
mod tallies;
mod thread;
mod writer;

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};

use crate::admin::{self, AdminSource, Readiness, ReadinessCell, ScrapeRequest};
use crate::base::ShardId;
use crate::config::{Advertise, Config};
use crate::controller::ControllerConfig;
use crate::runtime::nudge::Nudger;
use crate::runtime::recovery::{Origin, Recovery};
use crate::runtime::{Ending, mesh};
use crate::shard::{ClusterConfig, ShardRecovery};

pub use error::ServerError;
use identity::DataDir;
use listener::Bound;
use thread::ShardThread;

/// Keeps SIGTERM and SIGINT for [`run`], whenever they come: a thread that does not block them would end the process without
/// any order. Before any other thread starts.
pub fn block_signals() -> Result<(), ServerError> {
    signals::block().map_err(ServerError::Signals)
}

/// Runs a server until a signal ends it, or `ending` does because its storage has failed. Blocks. The caller has called
/// [`block_signals`].
pub fn run(config: Config, data: &DataDir, ending: Ending) -> Result<(), ServerError> {
    let shards = config.shards();
    let sockets = listener::bind(&config)?;
    let readiness = ReadinessCell::starting();
    let (scrapes, scraped): (Vec<_>, Vec<_>) = (0..shards).map(|_| flume::bounded(4)).unzip();
    let admin = admin::start(config.admin, AdminSource { readiness: readiness.clone(), shards: scrapes })?;
    readiness.set(Readiness::NotReady("recovering".to_owned()));
    let recovery = Recovery {
        data_dir: &data.path,
        directory: data.identity.directory,
        origin: Origin::Founded,
        voter: data.voter,
        commit: config.commit,
        controller: ControllerConfig::new(data.identity.cluster_id.clone(), &config),
    };
    let recovered = recovery.run()?;
    let cluster = Arc::new(membership::of(&config, data, recovered.voter())?);
    readiness.set(Readiness::NotReady("starting shards".to_owned()));
    let given = recovered.shards.into_iter().zip(sockets).zip(scraped);
    let running = start_shards(&config, data, &cluster, &ending, given)?;
    readiness.set(Readiness::Ready);
    announce(&config, data, &admin);
    signals::wait().map_err(ServerError::Signals)?;
    readiness.set(Readiness::NotReady("stopping".to_owned()));
    tracing::info!("stopping: finishing requests, flushing, writing a clean checkpoint");
    signals::exit_on_the_next(ending);
    stop_shards(running)?;
    tracing::info!("stopped");
    Ok(())
}

/// A shard that has been started: how it is told to stop, and how its end is waited for.
struct Running {
    stop: flume::Sender<()>,
    thread: JoinHandle<()>,
}

/// Starts the shards, each with its state, its socket and its scrapes, and waits until all have begun.
fn start_shards(
    config: &Config,
    data: &DataDir,
    cluster: &Arc<ClusterConfig>,
    ending: &Ending,
    given: impl Iterator<Item = ((ShardRecovery, Bound), flume::Receiver<ScrapeRequest>)>,
) -> Result<Vec<Running>, ServerError> {
    let shards = config.shards();
    let nudger = Nudger::start().map_err(ServerError::Nudger)?;
    let mesh = (shards > 1).then(|| mesh::plan(shards));
    let (started, starts) = mpsc::channel();
    let mut running = Vec::new();
    for (index, ((recovered, socket), scraped)) in (0..).zip(given) {
        let (stop, stopping) = flume::bounded(1);
        let shard = ShardThread {
            here: ShardId(index),
            config: config.clone(),
            cluster: Arc::clone(cluster),
            data: data.path.clone(),
            recovered,
            socket,
            mesh: mesh.clone(),
            scraped,
            stopping,
            started: started.clone(),
            ending: ending.clone(),
        };
        running.push(Running { stop, thread: start(config, shard, nudger.clone())? });
    }
    drop(started);
    wait_for_start(&starts, shards)?;
    Ok(running)
}

fn stop_shards(running: Vec<Running>) -> Result<(), ServerError> {
    for shard in &running {
        // A shard that has already ended has nothing to stop.
        let _ = shard.stop.send(());
    }
    for (index, shard) in (0..).zip(running) {
        if shard.thread.join().is_err() {
            let reason = "its thread has panicked".to_owned();
            return Err(ServerError::Shard { shard: ShardId(index), reason });
        }
    }
    Ok(())
}

fn start(config: &Config, shard: ShardThread, nudger: Nudger) -> Result<JoinHandle<()>, ServerError> {
    let here = shard.here;
    let cpu = config.shard_cpus.get(usize::from(here.0)).copied().unwrap_or(0);
    let run = move || {
        let executor = LocalExecutorBuilder::new(Placement::Fixed(cpu))
            // Shorter ones make the executor fall asleep with runnable tasks under load from neighbours.
            .preempt_timer(Duration::from_millis(20))
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(256)
            .make();
        match executor {
            Ok(executor) => {
                // From before its first task: it may fall asleep before that has run.
                let _watch = nudger.watch_this_thread();
                executor.run(shard.run());
            }
            // Nobody hears it if the main thread is gone. Other shards would wait for this one in the mesh.
            Err(error) => drop(shard.started.send(Err((here, error.to_string())))),
        }
    };
    std::thread::Builder::new()
        .name(format!("shard-{here}"))
        .spawn(run)
        .map_err(|error| ServerError::Shard { shard: here, reason: error.to_string() })
}

/// Registered I/O memory per shard; what is beyond comes from the heap and is as good for writes.
const IO_MEMORY_BYTES: usize = 1024 * 1024;

/// A start that takes longer than this is spoken of.
const START_USUAL: Duration = Duration::from_secs(10);

fn wait_for_start(
    starts: &mpsc::Receiver<Result<ShardId, (ShardId, String)>>,
    shards: u16,
) -> Result<(), ServerError> {
    let mut waiting: Vec<ShardId> = (0..shards).map(ShardId).collect();
    while !waiting.is_empty() {
        match starts.recv_timeout(START_USUAL) {
            Ok(Ok(begun)) => waiting.retain(|shard| *shard != begun),
            Ok(Err((shard, reason))) => return Err(ServerError::Shard { shard, reason }),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                tracing::warn!(?waiting, "shards take long to open their files and to find each other");
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let reason = "a shard ended before it had begun".to_owned();
                return Err(ServerError::Shard { shard: waiting[0], reason });
            }
        }
    }
    Ok(())
}

/// The first line: how to connect.
fn announce(config: &Config, data: &DataDir, admin: &admin::AdminHandle) {
    let host = config.advertised_host.clone().unwrap_or_else(|| match config.listen.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        ip => ip.to_string(),
    });
    let port = config.advertised_port.unwrap_or(config.listen.port());
    let shards = config.shards();
    println!(
        "Ringmain is ready: bootstrap.servers={host}:{port} ({shards} shards, data in {}, metrics on http://{}/metrics)",
        data.path.display(),
        admin.address()
    );
    if config.advertise == Advertise::ShardPorts {
        println!("Shards listen on ports {port} to {}", u32::from(port) + u32::from(shards) - 1);
    }
}
